//! `[discovery]`: finding the certificates of recipients.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use super::section::section;
use crate::domain::{Network, serde_as_text, time::Span};

section! {
    /// Finding the certificates of recipients: imported ones first, then DNS, then LDAP. A step is taken only when the
    /// one before gave nothing; a step that could not be taken is tried again later, and nothing is sent until then.
    ["discovery"] DiscoverySection {
        /// Ask DNS for certificates (CERT records).
        dns: bool = true,
        /// Ask LDAP directories, which DNS names (SRV records).
        ldap: bool = true,
        /// Name servers to ask, `ADDRESS` or `ADDRESS:PORT`; none: those of this machine. When they will not answer for
        /// certificates, the domain's own name servers are asked.
        resolvers: Vec<NameServer> = Vec::new(),
        /// How long one name server may take for one answer.
        dns_timeout: Span = Span::seconds(5),
        /// How long one LDAP directory, or one web server that a CERT record points to, may take.
        server_timeout: Span = Span::seconds(10),
        /// How long a whole search may take. What is not found by then is tried again later.
        timeout: Span = Span::seconds(45),
        /// Longest time for which a certificate that was found is kept; a shorter life given by DNS wins.
        cache_max: Span = Span::seconds(3600),
        /// Longest time for which "there is none" is kept. "No answer" is never kept.
        cache_none_max: Span = Span::seconds(5 * 60),
        /// Networks of ours that a recipient's DNS may send us to, like `10.1.0.0/16`. All other private addresses are
        /// refused: somebody else's DNS must not reach into our network.
        allow: Vec<Network> = Vec::new(),
    }
}

/// A name server: an address, and a port that is 53 when it is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer(pub SocketAddr);

/// Not a name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a name server like 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53")]
pub struct BadNameServer;

impl FromStr for NameServer {
    type Err = BadNameServer;

    fn from_str(text: &str) -> Result<Self, BadNameServer> {
        let alone = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
        alone.or_else(|_| text.parse()).map(Self).map_err(|_| BadNameServer)
    }
}

impl fmt::Display for NameServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

serde_as_text!(NameServer);

/// What no single setting can know.
pub(super) fn problems(section: &DiscoverySection) -> Vec<String> {
    let mut problems = Vec::new();
    for (setting, span) in [("dns_timeout", section.dns_timeout), ("server_timeout", section.server_timeout)] {
        if span.0.is_zero() || span > section.timeout {
            problems.push(format!("discovery.{setting} must be longer than nothing and not longer than discovery.timeout"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_needs_no_port() {
        for (text, address) in [("192.0.2.1", "192.0.2.1:53"), ("192.0.2.1:5353", "192.0.2.1:5353"), ("::1", "[::1]:53")] {
            assert_eq!(text.parse::<NameServer>().unwrap().to_string(), address);
        }
        assert!("ns.example".parse::<NameServer>().is_err());
    }

    #[test]
    fn one_server_may_not_take_longer_than_the_whole_search() {
        let mut section = DiscoverySection::default();
        assert_eq!(problems(&section), Vec::<String>::new());
        section.dns_timeout = Span::seconds(60);
        section.server_timeout = Span::seconds(0);
        assert_eq!(problems(&section).len(), 2);
    }
}
