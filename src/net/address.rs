//! Which network addresses a fetch may touch: a URL that somebody else wrote must not reach into our own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::domain::Network;

/// Which addresses may be connected to when somebody else names the host: the open internet, and what the installation
/// allows besides.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    allowed: Vec<Network>,
}

impl Guard {
    /// Allows the open internet and these networks.
    #[must_use]
    pub const fn allowing(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    /// Whether `address` may be connected to.
    #[must_use]
    pub fn permits(&self, address: IpAddr) -> bool {
        is_public(address) || self.allowed.iter().any(|network| network.contains(address))
    }
}

/// Whether `address` belongs to the open internet: not this host, not a private or shared network, not a link, not a
/// group, not a documentation or reserved block, and not such a one in IPv6 clothes.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => embedded_v4(v6).map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0 // RFC 791 "this network"
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || (a == 100 && b & 0xc0 == 64) // RFC 6598 carrier-grade NAT
        || (a == 192 && b == 0 && c == 0) // RFC 6890 protocol assignments
        || (a == 192 && b == 88 && c == 99) // RFC 7526 6to4 relay
        || (a == 198 && b & 0xfe == 18) // RFC 2544 benchmarks
        || address.is_documentation()
        || a >= 224) // multicast, reserved, broadcast
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000 // RFC 4291 2.4: global unicast is 2000::/3; all else is local, a group, or reserved
        && !(first == 0x2001 && second < 0x0200) // RFC 2928 protocol assignments, Teredo among them
        && !(first == 0x2001 && second == 0x0db8) // RFC 3849 documentation
        && !(first == 0x3fff && second < 0x1000) // RFC 9637 documentation
}

/// The IPv4 address inside mapped and compatible (RFC 4291), translated (RFC 2765, RFC 6052) and 6to4 (RFC 3056) forms.
fn embedded_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let ([0, 0, 0, 0, 0, 0 | 0xffff, high, low]
    | [0, 0, 0, 0, 0xffff, 0, high, low]
    | [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
    | [0x2002, high, low, ..]) = address.segments()
    else {
        return None;
    };
    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_networks_are_not_public_in_any_clothes() {
        for text in [
            "127.0.0.1",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "203.0.113.9",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::1",
            "2001::1",
            "2001:db8::1",
            "fec0::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_guard_lets_through_what_is_public_and_what_is_allowed() {
        let guard = Guard::allowing(vec!["10.1.0.0/16".parse().unwrap()]);
        for (text, permitted) in [("8.8.8.8", true), ("10.1.9.9", true), ("10.2.0.1", false), ("127.0.0.1", false)] {
            assert_eq!(guard.permits(text.parse().unwrap()), permitted, "{text}");
        }
        assert!(!Guard::default().permits("10.1.9.9".parse().unwrap()));
    }

    #[test]
    fn the_internet_is_public() {
        for text in
            ["8.8.8.8", "100.128.0.1", "172.32.0.1", "198.20.0.1", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
        {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }
}
