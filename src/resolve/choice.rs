//! Which of several directory addresses is meant: pinned, then affiliated, then last delivered to. What is left open
//! between organizations is left to a person: every guess would be a disclosure.

use std::collections::BTreeMap;

use crate::domain::{DirectAddress, Npi, route::DirectoryEntry};

use super::rules::Affiliation;

/// What the rules make of the entries of one NPI.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// There is nothing to choose from.
    None,
    /// This one; the others were passed over.
    One {
        /// The address.
        address: DirectAddress,
        /// Why this one, as the end of a sentence.
        why: &'static str,
        /// The addresses passed over, lowest first.
        passed_over: Vec<DirectAddress>,
    },
    /// These stand at different organizations and nothing says which is meant. Lowest first.
    Ambiguous(Vec<DirectAddress>),
}

/// Chooses among `entries` of `npi`. `stated` is the organization the order names for the recipient; `affiliations` are
/// the order's site and organization, nearest first.
pub(super) fn choose(npi: &Npi, entries: &[DirectoryEntry], stated: Option<&str>, affiliations: &[Affiliation<'_>]) -> Choice {
    // An entry of somebody else is a fault of the source, and no reason to send there.
    let all: Vec<&DirectoryEntry> = entries.iter().filter(|entry| entry.npi == *npi).collect();
    if all.is_empty() {
        return Choice::None;
    }
    let mut left = all.clone();
    let mut why = "it is the only address the directory has for the NPI";
    let mut narrow = |reason: &'static str, keep: &dyn Fn(&DirectoryEntry) -> bool| {
        let kept: Vec<_> = left.iter().copied().filter(|entry| keep(entry)).collect();
        if addresses(&left).len() > 1 && !kept.is_empty() && kept.len() < left.len() {
            left = kept;
            why = reason;
        }
    };
    narrow("it is pinned for this NPI", &|entry| entry.pinned);
    if let Some(name) = stated {
        let stated = Affiliation { npi: None, name: Some(name) };
        narrow("it belongs to the organization the order names for the recipient", &|entry| stated.is_of(entry));
    }
    for affiliation in affiliations {
        narrow("it is affiliated with the order's site or organization", &|entry| affiliation.is_of(entry));
    }
    let latest = left.iter().filter_map(|entry| entry.last_success).max();
    if addresses(&left).len() > 1 && latest.is_some() {
        left.retain(|entry| entry.last_success == latest);
        why = "it is the one last delivered to";
    }

    let open = addresses(&left);
    if open.len() > 1 {
        if !left.iter().all(|a| left.iter().all(|b| same_organization(a, b))) {
            return Choice::Ambiguous(open);
        }
        why = "it comes first of several at the same organization";
    }
    let Some(address) = open.into_iter().next() else { return Choice::None };
    let passed_over = addresses(&all).into_iter().filter(|other| *other != address).collect();
    Choice::One { address, why, passed_over }
}

/// The different addresses, lowest normalized one first; of two spellings the lower in byte order, so that the order
/// of the entries never shows.
fn addresses(entries: &[&DirectoryEntry]) -> Vec<DirectAddress> {
    let mut by_key = BTreeMap::<String, &DirectAddress>::new();
    for entry in entries {
        by_key
            .entry(entry.address.key())
            .and_modify(|kept| {
                if entry.address.as_str() < kept.as_str() {
                    *kept = &entry.address;
                }
            })
            .or_insert(&entry.address);
    }
    by_key.into_values().cloned().collect()
}

/// Whether two entries are known to belong to one organization. Not knowing is a no.
fn same_organization(a: &DirectoryEntry, b: &DirectoryEntry) -> bool {
    match (&a.affiliation.npi, &b.affiliation.npi) {
        (Some(a), Some(b)) => a == b,
        _ => match (&a.affiliation.name, &b.affiliation.name) {
            (Some(a), Some(b)) => same_name(a, b),
            _ => a.address == b.address,
        },
    }
}

/// Whether two legal names are the same but for case, punctuation and spacing.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    fn words(name: &str) -> impl Iterator<Item = String> {
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
    }
    words(a).next().is_some() && words(a).eq(words(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        id::SnapshotId,
        route::{AffiliatedWith, DirectorySource},
    };

    const NPI: &str = "2000000010";

    fn entry(address: &str, organization: Option<&str>) -> DirectoryEntry {
        DirectoryEntry {
            npi: NPI.parse().unwrap(),
            address: address.parse().unwrap(),
            source: DirectorySource::Nppes,
            snapshot: SnapshotId::default(),
            rank: None,
            kind: None,
            affiliation: AffiliatedWith { name: organization.map(str::to_owned), ..AffiliatedWith::default() },
            first_seen: 0,
            last_seen: 0,
            pinned: false,
            last_success: None,
        }
    }

    fn chosen(entries: &[DirectoryEntry], stated: Option<&str>, affiliations: &[Affiliation<'_>]) -> Option<String> {
        match choose(&NPI.parse().unwrap(), entries, stated, affiliations) {
            Choice::One { address, .. } => Some(address.to_string()),
            Choice::None | Choice::Ambiguous(_) => None,
        }
    }

    #[test]
    fn a_pin_beats_an_affiliation_and_an_affiliation_beats_the_last_success() {
        let mut entries =
            [entry("p@a.example", Some("Alpha")), entry("p@b.example", Some("Beta")), entry("p@c.example", Some("Gamma"))];
        entries[0].last_success = Some(5);
        let beta = [Affiliation { npi: None, name: Some("BETA") }];
        assert_eq!(chosen(&entries, None, &[]).as_deref(), Some("p@a.example"));
        assert_eq!(chosen(&entries, None, &beta).as_deref(), Some("p@b.example"));
        entries[2].pinned = true;
        assert_eq!(chosen(&entries, None, &beta).as_deref(), Some("p@c.example"));
    }

    #[test]
    fn the_later_success_wins() {
        let mut entries = [entry("p@a.example", Some("Alpha")), entry("p@b.example", Some("Beta"))];
        entries[0].last_success = Some(5);
        entries[1].last_success = Some(6);
        assert_eq!(chosen(&entries, None, &[]).as_deref(), Some("p@b.example"));
    }

    #[test]
    fn the_organization_the_order_names_for_the_recipient_decides() {
        let entries = [entry("p@a.example", Some("North Clinic, LLC")), entry("p@b.example", Some("Beta"))];
        assert_eq!(chosen(&entries, Some("north clinic llc"), &[]).as_deref(), Some("p@a.example"));
        assert_eq!(chosen(&entries, Some("north"), &[]), None, "part of a name is not the name");
    }

    #[test]
    fn an_organization_npi_that_differs_is_never_overruled_by_a_name() {
        let mut entries = [entry("p@a.example", Some("Alpha")), entry("p@b.example", Some("Alpha"))];
        entries[0].affiliation.npi = Some("2000000044".parse().unwrap());
        entries[1].affiliation.npi = Some("2000000010".parse().unwrap());
        let site = Affiliation { npi: entries[1].affiliation.npi.as_ref(), name: Some("Alpha") };
        assert_eq!(chosen(&entries, None, &[site]).as_deref(), Some("p@b.example"));
        assert_eq!(chosen(&entries, None, &[]), None);
    }

    #[test]
    fn inside_one_organization_the_lowest_address_is_taken_whatever_the_order() {
        let (a, b) = (entry("B@x.example", Some("One")), entry("a@x.example", Some("One")));
        assert_eq!(chosen(&[a.clone(), b.clone()], None, &[]).as_deref(), Some("a@x.example"));
        assert_eq!(chosen(&[b, a], None, &[]).as_deref(), Some("a@x.example"));
    }

    #[test]
    fn addresses_of_unknown_organizations_are_a_tie() {
        assert_eq!(chosen(&[entry("a@x.example", None), entry("b@x.example", None)], None, &[]), None);
        assert_eq!(chosen(&[entry("a@x.example", None), entry("A@x.example", None)], None, &[]).as_deref(), Some("A@x.example"));
    }

    #[test]
    fn an_entry_of_another_npi_is_ignored() {
        let mut other = entry("p@a.example", None);
        other.npi = "1234567893".parse().unwrap();
        assert_eq!(choose(&NPI.parse().unwrap(), &[other], None, &[]), Choice::None);
    }
}
