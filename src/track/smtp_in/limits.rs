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

/// Places and pace.
#[derive(Debug)]
pub(super) struct Limits {
    open: Mutex<HashMap<IpAddr, usize>>,
    connections: usize,
    per_client: usize,
    pace: Option<DefaultKeyedRateLimiter<IpAddr>>,
}

/// A connection's place; free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    limits: Arc<Limits>,
    client: IpAddr,
}

impl Limits {
    pub(super) fn new(settings: &SmtpInSection) -> Self {
        let pace = NonZeroU32::new(settings.per_minute).map(|most| DefaultKeyedRateLimiter::hashmap(Quota::per_minute(most)));
        Self { open: Mutex::default(), connections: settings.connections, per_client: settings.per_client, pace }
    }

    /// A place for `client`, if there is one.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> Option<Place> {
        let client = network(client);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, own) = (open.values().sum::<usize>(), open.get(&client).copied().unwrap_or(0));
        if all >= self.connections || own >= self.per_client {
            return None;
        }
        open.insert(client, own + 1);
        Some(Place { limits: Arc::clone(self), client })
    }

    /// Whether `client` may bring one more message now.
    pub(super) fn may_bring(&self, client: IpAddr) -> bool {
        let Some(pace) = &self.pace else { return true };
        if pace.len() > MANY {
            pace.retain_recent();
        }
        pace.check_key(&network(client)).is_ok()
    }
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
        match open.get_mut(&self.client) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.client)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(connections: usize, per_client: usize, per_minute: u32) -> Arc<Limits> {
        Arc::new(Limits::new(&SmtpInSection { connections, per_client, per_minute, ..SmtpInSection::default() }))
    }

    #[test]
    fn one_client_cannot_take_every_place_and_a_place_left_is_free_again() {
        let limits = limits(3, 2, 0);
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let first = limits.enter(one);
        let _second = limits.enter(one).unwrap();
        assert!(first.is_some() && limits.enter(one).is_none());
        let _third = limits.enter(other).unwrap();
        assert!(limits.enter(other).is_none(), "the house is full");
        drop(first);
        assert!(limits.enter(other).is_some());
    }

    #[test]
    fn a_whole_ipv6_network_is_one_client() {
        let limits = limits(9, 1, 1);
        let _place = limits.enter("2001:db8::1".parse().unwrap()).unwrap();
        assert!(limits.enter("2001:db8::2".parse().unwrap()).is_none());
        assert!(limits.may_bring("2001:db8::1".parse().unwrap()));
        assert!(!limits.may_bring("2001:db8::2".parse().unwrap()));
        assert!(limits.may_bring("2001:db8:0:1::1".parse().unwrap()));
    }
}
