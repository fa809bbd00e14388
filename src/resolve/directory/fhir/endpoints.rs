//! Direct endpoints by what refers to them, kept small: a release has more than a million. Forty octets for each, where a map of
//! addresses takes a hundred and fifty.

use std::collections::HashMap;

use super::graph::Key;
use crate::domain::DirectAddress;

/// Takes endpoints in any order, and answers once it is settled.
#[derive(Debug, Default)]
pub(super) struct Endpoints {
    rows: Vec<Row>,
    /// A domain, or where a domain is and a local part; each with its length before it.
    texts: Vec<u8>,
    domains: HashMap<Box<str>, u32>,
    /// Few have one.
    ranks: HashMap<Key, i64>,
    settled: bool,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    key: Key,
    address: u32,
    /// Practitioners it is the endpoint of; more than one share it.
    practitioners: u8,
}

/// One of them, as long as none is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Endpoints {
    /// One more. Of two with the same name the later counts. `None` when there is no more room: four gigabytes of addresses.
    pub(super) fn insert(&mut self, key: Key, address: &DirectAddress, rank: Option<i64>) -> Option<()> {
        let domain = if let Some(at) = self.domains.get(address.domain()) {
            *at
        } else {
            let at = self.put(&[], address.domain())?;
            self.domains.insert(address.domain().into(), at);
            at
        };
        let address = self.put(&domain.to_le_bytes(), address.local())?;
        self.rows.push(Row { key, address, practitioners: 0 });
        match rank {
            Some(rank) => self.ranks.insert(key, rank),
            None => self.ranks.remove(&key),
        };
        self.settled = false;
        Some(())
    }

    fn put(&mut self, before: &[u8], text: &str) -> Option<u32> {
        let (at, length) = (u32::try_from(self.texts.len()).ok()?, u8::try_from(text.len()).ok()?);
        self.texts.extend_from_slice(before);
        self.texts.push(length);
        self.texts.extend_from_slice(text.as_bytes());
        Some(at)
    }

    /// Puts them in order, so that they can be found.
    pub(super) fn settle(&mut self) {
        if self.settled {
            return;
        }
        // The later one has the later address, and comes first.
        self.rows.sort_unstable_by(|a, b| a.key.cmp(&b.key).then(b.address.cmp(&a.address)));
        self.rows.dedup_by_key(|row| row.key);
        self.settled = true;
    }

    /// Where an endpoint is; `None` when it is no Direct endpoint. Only when settled.
    pub(super) fn find(&self, key: &Key) -> Option<Place> {
        debug_assert!(self.settled, "asked before everything was in order");
        self.rows.binary_search_by(|row| row.key.cmp(key)).ok().map(Place)
    }

    /// It is the endpoint of one practitioner more.
    pub(super) fn count(&mut self, place: Place) {
        if let Some(row) = self.rows.get_mut(place.0) {
            row.practitioners = row.practitioners.saturating_add(1);
        }
    }

    /// Whether several practitioners have it.
    pub(super) fn is_shared(&self, place: Place) -> bool {
        self.rows.get(place.0).is_some_and(|row| row.practitioners > 1)
    }

    /// Its address, and how it is ranked among others.
    pub(super) fn address(&self, place: Place) -> Option<(DirectAddress, Option<i64>)> {
        let row = self.rows.get(place.0)?;
        let (domain, local) = self.texts.get(row.address as usize..)?.split_first_chunk::<4>()?;
        let domain = self.texts.get(u32::from_le_bytes(*domain) as usize..)?;
        let address = format!("{}@{}", text(local)?, text(domain)?);
        Some((address.parse().ok()?, self.ranks.get(&row.key).copied()))
    }
}

/// A text with its length before it.
fn text(at: &[u8]) -> Option<&str> {
    let (length, rest) = at.split_first()?;
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> Key {
        [n; 12]
    }

    #[test]
    fn an_address_comes_back_as_it_was_written_and_of_two_of_a_name_the_later() {
        let mut endpoints = Endpoints::default();
        let local = "l".repeat(64);
        let long = format!("{local}@{}.example", "d".repeat(60));
        for (n, address, rank) in [
            (3, "Avery.Sample@Direct.North.example", None),
            (1, "b@direct.north.example", Some(7)),
            (3, "=x+y@d.example", Some(2)),
            (9, &long, None),
        ] {
            endpoints.insert(key(n), &address.parse().unwrap(), rank).unwrap();
        }
        endpoints.settle();
        let told =
            |n| endpoints.find(&key(n)).and_then(|at| endpoints.address(at)).map(|(a, rank)| (a.as_str().to_owned(), rank));
        assert_eq!(told(1), Some(("b@direct.north.example".into(), Some(7))));
        assert_eq!(told(3), Some(("=x+y@d.example".into(), Some(2))));
        assert_eq!(told(9), Some((long, None)));
        assert_eq!(told(2), None);
        endpoints.insert(key(2), &"a@Direct.North.example".parse().unwrap(), None).unwrap();
        endpoints.settle();
        let place = endpoints.find(&key(2)).unwrap();
        assert_eq!(endpoints.address(place).unwrap().0.as_str(), "a@Direct.North.example");
        assert!(!endpoints.is_shared(place));
        endpoints.count(place);
        endpoints.count(place);
        assert!(endpoints.is_shared(place));
    }
}
