//! The organizations that addresses belong to, kept small: as text, side by side, and where each begins.

use std::collections::HashMap;

use super::graph::Key;
use crate::domain::route::AffiliatedWith;

/// Marks a field that is absent; no field has a control character.
const ABSENT: &str = "\u{1}";

/// Named when somebody refers to one, described when it is read.
#[derive(Debug, Default)]
pub(super) struct Practices {
    names: HashMap<Key, u32>,
    /// Where the description of each begins; none yet at `NOWHERE`.
    places: Vec<u32>,
    texts: Vec<u8>,
}

/// Stands for a place in the texts that is none.
const NOWHERE: u32 = u32::MAX;

/// The number of a practice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Practice(u32);

impl Practice {
    /// Nobody's number: there are never so many.
    pub(super) const NONE: Self = Self(u32::MAX);
}

impl Practices {
    /// Its number, whether it was read already or not.
    pub(super) fn named(&mut self, key: Key) -> Practice {
        let next = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let number = *self.names.entry(key).or_insert(next);
        if number == next {
            self.places.push(NOWHERE);
        }
        Practice(number)
    }

    /// Whether somebody has referred to it, or it was read.
    pub(super) fn knows(&self, key: &Key) -> bool {
        self.names.contains_key(key)
    }

    /// One more, or the same one once more. What would not fit into four gigabytes is left out.
    pub(super) fn insert(&mut self, key: Key, practice: &AffiliatedWith) {
        let Practice(number) = self.named(key);
        let (Ok(at), Some(place)) = (u32::try_from(self.texts.len()), self.places.get_mut(number as usize)) else { return };
        *place = at;
        let npi = practice.npi.as_ref().map(crate::domain::Npi::as_str);
        for field in [npi, practice.name.as_deref(), practice.state.as_deref(), practice.postal_code.as_deref()] {
            self.texts.extend_from_slice(field.unwrap_or(ABSENT).as_bytes());
            self.texts.push(0);
        }
    }

    /// What is known of it; nothing when it was never read.
    pub(super) fn get(&self, practice: Practice) -> AffiliatedWith {
        let at = self.places.get(practice.0 as usize).copied().unwrap_or(NOWHERE);
        let rest = self.texts.get(at as usize..).unwrap_or_default();
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
        assert!(practices.knows(&[3; 12]) && !practices.knows(&[4; 12]));
        let nothing = AffiliatedWith::default();
        let told = [1, 2, 3, 4].map(|n| practices.named([n; 12])).map(|practice| practices.get(practice));
        assert_eq!(told, [whole.clone(), whole, nothing.clone(), nothing.clone()]);
        assert_eq!(practices.get(Practice::NONE), nothing);
    }
}
