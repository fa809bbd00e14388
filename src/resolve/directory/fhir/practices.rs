//! The organizations that addresses belong to, kept small: as text, side by side, and where each begins.

use std::collections::HashMap;

use super::graph::Key;
use crate::domain::route::AffiliatedWith;

/// Marks a field that is absent; no field has a control character.
const ABSENT: &str = "\u{1}";

#[derive(Debug, Default)]
pub(super) struct Practices {
    places: HashMap<Key, u32>,
    texts: Vec<u8>,
}

impl Practices {
    /// One more, or the same one once more. What would not fit into four gigabytes is left out.
    pub(super) fn insert(&mut self, key: Key, practice: &AffiliatedWith) {
        let Ok(at) = u32::try_from(self.texts.len()) else { return };
        let npi = practice.npi.as_ref().map(crate::domain::Npi::as_str);
        for field in [npi, practice.name.as_deref(), practice.state.as_deref(), practice.postal_code.as_deref()] {
            self.texts.extend_from_slice(field.unwrap_or(ABSENT).as_bytes());
            self.texts.push(0);
        }
        self.places.insert(key, at);
    }

    /// What is known of it; nothing when it is not there.
    pub(super) fn get(&self, key: &Key) -> AffiliatedWith {
        let rest = self.places.get(key).and_then(|at| self.texts.get(*at as usize..)).unwrap_or_default();
        let mut fields =
            rest.split(|octet| *octet == 0).map(|field| std::str::from_utf8(field).ok().filter(|field| *field != ABSENT));
        let mut next = || fields.next().flatten().filter(|_| !rest.is_empty());
        AffiliatedWith {
            npi: next().and_then(|npi| npi.parse().ok()),
            name: next().map(str::to_owned),
            state: next().map(str::to_owned),
            postal_code: next().map(str::to_owned),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_practice_comes_back_and_what_is_not_stays_absent() {
        let mut practices = Practices::default();
        let whole = AffiliatedWith {
            npi: Some("2000000044".parse().unwrap()),
            name: Some("Café North LLC".into()),
            state: Some("OH".into()),
            postal_code: Some("454020001".into()),
        };
        let part = AffiliatedWith { name: Some("South".into()), ..AffiliatedWith::default() };
        for (n, practice) in [(1, &part), (2, &whole), (3, &AffiliatedWith::default()), (1, &whole)] {
            practices.insert([n; 12], practice);
        }
        let nothing = AffiliatedWith::default();
        assert_eq!([1, 2, 3, 4].map(|n| practices.get(&[n; 12])), [whole.clone(), whole, nothing.clone(), nothing]);
    }
}
