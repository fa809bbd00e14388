//! Which address is meant, case by case.

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
    chosen_with(entries, stated, affiliations, &Known::default())
}

fn chosen_with(
    entries: &[DirectoryEntry],
    stated: Option<&str>,
    affiliations: &[Affiliation<'_>],
    known: &Known,
) -> Option<String> {
    match ask(entries, stated, affiliations, known, &ChoiceRules::default()).0 {
        Choice::One { chosen, .. } => Some(chosen.address.to_string()),
        Choice::None | Choice::Ambiguous(_) => None,
    }
}

fn ask(
    entries: &[DirectoryEntry],
    stated: Option<&str>,
    affiliations: &[Affiliation<'_>],
    known: &Known,
    rules: &ChoiceRules,
) -> (Choice, Vec<Filtered>) {
    let npi: Npi = NPI.parse().unwrap();
    choose(&Question { npi: &npi, entries, stated, for_practice: false, affiliations, rules, known })
}

const DAY: i64 = 86_400 * 1_000_000;

fn at(day: i64) -> Timestamp {
    Timestamp(day * DAY)
}

/// A year from the beginning of time, with this having happened to deliveries.
fn after(experience: &[(&str, Experience)]) -> Known {
    let experience = experience.iter().map(|(address, went)| ((*address).to_owned(), *went)).collect();
    Known { at: at(365), experience, ..Known::default() }
}

#[test]
fn a_success_counts_for_180_days_and_not_after_repeated_failures() {
    let entries = [entry("p@a.example", Some("Alpha")), entry("p@b.example", Some("Beta"))];
    let went = |day, failures| Experience { last_success: Some(at(day)), failures, ..Experience::default() };
    let chosen = |known: &Known| chosen_with(&entries, None, &[], known);
    assert_eq!(chosen(&after(&[("p@b.example", went(185, 1))])).as_deref(), Some("p@b.example"));
    assert_eq!(chosen(&after(&[("p@b.example", went(184, 0))])), None, "181 days ago");
    assert_eq!(chosen(&after(&[("p@b.example", went(300, 2))])), None, "two failures since then");
    assert_eq!(chosen(&after(&[("p@b.example", went(300, 2)), ("p@a.example", went(200, 0))])).as_deref(), Some("p@a.example"));
}

#[test]
fn failures_alone_never_decide_between_organizations_and_do_inside_one() {
    let failed = after(&[("a@x.example", Experience { failures: 5, ..Experience::default() })]);
    let apart = [entry("a@x.example", Some("One")), entry("b@x.example", Some("Two"))];
    assert_eq!(chosen_with(&apart, None, &[], &failed), None, "the other organization would be a guess");
    let together = [entry("a@x.example", Some("One")), entry("b@x.example", Some("One"))];
    assert_eq!(chosen_with(&together, None, &[], &failed).as_deref(), Some("b@x.example"));
}

#[test]
fn source_and_rank_decide_inside_one_organization_only_but_the_own_list_decides_anywhere() {
    let mut entries = [entry("a@x.example", Some("One")), entry("b@x.example", Some("One"))];
    entries[1].source = DirectorySource::DirectTrust;
    assert_eq!(chosen(&entries, None, &[]).as_deref(), Some("b@x.example"));
    entries[0].source = DirectorySource::DirectTrust;
    (entries[0].rank, entries[1].rank) = (Some(2), Some(1));
    assert_eq!(chosen(&entries, None, &[]).as_deref(), Some("b@x.example"));
    entries[1].affiliation.name = Some("Two".into());
    assert_eq!(chosen(&entries, None, &[]), None, "a rank is no reason to choose between organizations");
    entries[1].source = DirectorySource::TenantList;
    assert_eq!(chosen(&entries, None, &[]).as_deref(), Some("b@x.example"));
}

#[test]
fn a_pin_needs_no_directory_and_what_is_suppressed_is_never_chosen() {
    let npi: Npi = NPI.parse().unwrap();
    let decided = crate::domain::choice::Decided { by: "ana".into(), why: "called them".into(), at: at(1) };
    let pin = crate::domain::choice::Pin { npi: npi.clone(), address: "pin@z.example".parse().unwrap(), decided };
    let mut known = Known { pins: [(npi, pin)].into(), ..Known::default() };
    let entries = [entry("p@a.example", Some("Alpha"))];
    assert_eq!(chosen_with(&entries, None, &[], &known).as_deref(), Some("pin@z.example"));
    assert_eq!(chosen_with(&[], None, &[], &known).as_deref(), Some("pin@z.example"));
    known.suppressed.push("z.example".parse().unwrap());
    assert_eq!(chosen_with(&entries, None, &[], &known).as_deref(), Some("p@a.example"));
    let (_, filtered) = ask(&entries, None, &[], &known, &ChoiceRules::default());
    assert_eq!((filtered.len(), filtered[0].reason), (1, Reason::Suppressed));
    assert!(filtered[0].weighed.score.pinned && filtered[0].note.contains("domain z.example"), "{}", filtered[0].note);
}

#[test]
fn tr10_an_address_without_a_certificate_is_left_out_for_30_days() {
    let webmail = [entry("dr@webmail.example", None)];
    let failed = |day| {
        after(&[(
            "dr@webmail.example",
            Experience { unsealable: Some((at(day), Reason::NoCert)), failures: 1, ..Experience::default() },
        )])
    };
    let (choice, filtered) = ask(&webmail, None, &[], &failed(340), &ChoiceRules::default());
    assert_eq!((choice, filtered[0].reason), (Choice::None, Reason::NoCert));
    assert_eq!(chosen_with(&webmail, None, &[], &failed(334)).as_deref(), Some("dr@webmail.example"), "31 days later");
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
    assert_eq!(ask(&[other], None, &[], &Known::default(), &ChoiceRules::default()).0, Choice::None);
}
