//! How many may come, and how much each may bring.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
};

use governor::{DefaultKeyedRateLimiter, Quota};

use crate::config::smtp_in::SmtpInSection;

/// Addresses remembered before those that have been quiet are forgotten.
const MANY: usize = 10_000;
/// Octets are counted in units of this many.
const UNIT: usize = 1_000;

/// Places and pace.
#[derive(Debug)]
pub(super) struct Limits {
    open: Mutex<Open>,
    connections: usize,
    /// Of these, for whoever is no relay of ours.
    for_strangers: usize,
    per_client: usize,
    messages: Option<DefaultKeyedRateLimiter<IpAddr>>,
    octets: Option<DefaultKeyedRateLimiter<IpAddr>>,
    octets_at_most: usize,
}

/// The places taken.
#[derive(Debug, Default)]
struct Open {
    by_relays: usize,
    by_strangers: HashMap<IpAddr, usize>,
}

/// Who wants a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Comes from where a relay of ours does.
    Relay,
    /// Anybody else, from there.
    Stranger(IpAddr),
}

/// Whether a message of so many octets may be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// It may.
    Now,
    /// Not at this moment.
    Later,
    /// Not for so many addressees.
    ForFewer,
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Arc<Limits>,
    caller: Caller,
}

fn a_minute(most: u32) -> Option<DefaultKeyedRateLimiter<IpAddr>> {
    NonZeroU32::new(most).map(|most| DefaultKeyedRateLimiter::hashmap(Quota::per_minute(most)))
}

impl Limits {
    /// With places kept for relays if any `relays_known` by where they come from.
    pub(super) fn new(settings: &SmtpInSection, relays_known: bool) -> Self {
        let kept = if relays_known { (settings.connections / 4).max(1) } else { 0 };
        Self {
            open: Mutex::default(),
            connections: settings.connections,
            // Where there is one place alone, it is anybody's.
            for_strangers: settings.connections.saturating_sub(kept).max(1),
            per_client: settings.per_client,
            messages: a_minute(settings.per_minute),
            octets: a_minute(units(settings.bytes_per_minute)),
            octets_at_most: settings.bytes_per_minute,
        }
    }

    /// A place for `caller`, if there is one.
    pub(super) fn enter(self: &Arc<Self>, caller: Caller) -> Option<Place> {
        let caller = match caller {
            Caller::Relay => Caller::Relay,
            Caller::Stranger(client) => Caller::Stranger(network(client)),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let strangers: usize = open.by_strangers.values().sum();
        if open.by_relays + strangers >= self.connections {
            return None;
        }
        match caller {
            Caller::Relay => open.by_relays += 1,
            Caller::Stranger(client) => {
                let own = open.by_strangers.get(&client).copied().unwrap_or(0);
                if strangers >= self.for_strangers || own >= self.per_client {
                    return None;
                }
                open.by_strangers.insert(client, own + 1);
            }
        }
        Some(Place { limits: Arc::clone(self), caller })
    }

    /// Whether `client`, a stranger, may bring one more message now.
    pub(super) fn may_bring(&self, client: IpAddr) -> bool {
        let Some(pace) = &self.messages else { return true };
        if pace.len() > MANY {
            pace.retain_recent();
        }
        pace.check_key(&network(client)).is_ok()
    }

    /// Whether `octets` are ever taken for so many addressees from a stranger.
    pub(super) const fn has_room(&self, octets: usize, addressees: usize) -> bool {
        self.octets_at_most == 0 || octets.saturating_mul(addressees) <= self.octets_at_most
    }

    /// Whether a message of `client`, a stranger, may be kept for so many addressees now; then it is counted.
    pub(super) fn may_keep(&self, client: IpAddr, octets: usize, addressees: usize) -> May {
        let Some(pace) = &self.octets else { return May::Now };
        if pace.len() > MANY {
            pace.retain_recent();
        }
        let octets = units(octets.saturating_mul(addressees));
        match pace.check_key_n(&network(client), NonZeroU32::new(octets).unwrap_or(NonZeroU32::MIN)) {
            Ok(Ok(())) => May::Now,
            Ok(Err(_)) => May::Later,
            Err(_) => May::ForFewer,
        }
    }
}

fn units(octets: usize) -> u32 {
    u32::try_from(octets.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

/// Who has one IPv6 address has the whole /64.
fn network(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.limits.open.lock().unwrap_or_else(PoisonError::into_inner);
        match self.caller {
            Caller::Relay => open.by_relays = open.by_relays.saturating_sub(1),
            Caller::Stranger(client) => match open.by_strangers.get_mut(&client) {
                Some(own) if *own > 1 => *own -= 1,
                _ => drop(open.by_strangers.remove(&client)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, per_client: usize, per_minute: u32) -> SmtpInSection {
        SmtpInSection { connections, per_client, per_minute, ..SmtpInSection::default() }
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn stranger(text: &str) -> Caller {
        Caller::Stranger(address(text))
    }

    #[test]
    fn one_client_cannot_take_every_place_and_a_place_left_is_free_again() {
        let limits = Arc::new(Limits::new(&limits(3, 2, 0), false));
        let (one, other) = (stranger("192.0.2.1"), stranger("192.0.2.2"));
        let first = limits.enter(one);
        let _second = limits.enter(one).unwrap();
        assert!(first.is_some() && limits.enter(one).is_none());
        let _third = limits.enter(other).unwrap();
        assert!(limits.enter(other).is_none(), "the house is full");
        drop(first);
        assert!(limits.enter(other).is_some());
    }

    #[test]
    fn however_many_strangers_there_are_a_relay_finds_a_place() {
        let limits = Arc::new(Limits::new(&limits(8, 1, 0), true));
        let crowd: Vec<_> = (0..100).filter_map(|n| limits.enter(stranger(&format!("192.0.2.{n}")))).collect();
        assert_eq!(crowd.len(), 6);
        let relay: Vec<_> = (0..3).map_while(|_| limits.enter(Caller::Relay)).collect();
        assert_eq!(relay.len(), 2, "as many as there are, from one address");
        drop(relay);
        assert!(limits.enter(stranger("198.51.100.1")).is_none(), "what is kept stays kept");
        drop(crowd);
        assert!(limits.enter(stranger("198.51.100.1")).is_some());
    }

    #[test]
    fn a_whole_ipv6_network_is_one_client() {
        let limits = Arc::new(Limits::new(&limits(9, 1, 1), false));
        let _place = limits.enter(stranger("2001:db8::1")).unwrap();
        assert!(limits.enter(stranger("2001:db8::2")).is_none());
        assert!(limits.may_bring(address("2001:db8::1")));
        assert!(!limits.may_bring(address("2001:db8::2")));
        assert!(limits.may_bring(address("2001:db8:0:1::1")));
    }

    #[test]
    fn octets_count_as_often_as_they_are_kept() {
        let settings = SmtpInSection { bytes_per_minute: 1_000_000, ..SmtpInSection::default() };
        let limits = Limits::new(&settings, false);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        assert_eq!(limits.may_keep(one, 30_000, 30), May::Now);
        assert_eq!(limits.may_keep(one, 30_000, 30), May::Later);
        assert_eq!(limits.may_keep(other, 30_000, 30), May::Now, "the others do not notice");
        assert_eq!(limits.may_keep(other, 30_000, 40), May::ForFewer);
        assert!(limits.has_room(30_000, 33) && !limits.has_room(30_000, 34));
        let limits = Limits::new(&SmtpInSection { bytes_per_minute: 0, ..settings }, false);
        assert_eq!(limits.may_keep(one, usize::MAX, 100), May::Now);
        assert!(limits.has_room(usize::MAX, 100));
    }
}
