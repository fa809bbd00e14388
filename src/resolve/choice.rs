//! Which of several addresses of one NPI is meant: pinned, on the organization's own list, at the organization the order
//! names, affiliated with the order's site or organization, last delivered to. What is left open between organizations is
//! left to a person: every guess would be a disclosure. Inside one organization the better source, rank and record decide,
//! and in the end the lower address, so that two runs agree.

use std::collections::BTreeMap;

use crate::domain::{
    DirectAddress, Npi, Reason, Timestamp,
    choice::{ChoiceRules, Experience, Known},
    id::SnapshotId,
    route::{AddressKind, AffiliatedWith, DirectoryEntry, DirectorySource, Score},
};

use super::rules::Affiliation;

/// What a choice goes by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    /// Whose addresses.
    pub(super) npi: &'a Npi,
    /// What the directory has.
    pub(super) entries: &'a [DirectoryEntry],
    /// The organization the order names for the recipient.
    pub(super) stated: Option<&'a str>,
    /// Whether the result is for a practice, not for one clinician in it.
    pub(super) for_practice: bool,
    /// The order's site and organization, nearest first.
    pub(super) affiliations: &'a [Affiliation<'a>],
    /// The organization's rules.
    pub(super) rules: &'a ChoiceRules,
    /// Pins, suppressions, and how deliveries went.
    pub(super) known: &'a Known,
}

/// An address that was considered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weighed {
    /// The address.
    pub(super) address: DirectAddress,
    /// Who says that it is one of the NPI's: the best source that does. `None`: only a person.
    pub(super) source: Option<(DirectorySource, SnapshotId)>,
    /// What spoke for it.
    pub(super) score: Score,
}

/// An address that could not be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Filtered {
    /// The address.
    pub(super) weighed: Weighed,
    /// Why.
    pub(super) reason: Reason,
    /// The same in words.
    pub(super) note: String,
}

/// What the rules make of the addresses of one NPI.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// There is nothing to choose from.
    None,
    /// This one; the others were passed over.
    One {
        /// The address.
        chosen: Weighed,
        /// Why this one, as the end of a sentence.
        why: &'static str,
        /// The addresses passed over, lowest first.
        passed_over: Vec<Weighed>,
    },
    /// These stand at different organizations and nothing says which is meant. Lowest first.
    Ambiguous(Vec<Weighed>),
}

/// One address with everything the directory says about it.
struct Group<'a> {
    weighed: Weighed,
    entries: Vec<&'a DirectoryEntry>,
    rank: Option<i64>,
    organization_level: bool,
    last_seen: i64,
    nearest: Option<usize>,
}

/// What is left of the addresses, and what was passed over on the way.
struct Narrowing<'a> {
    left: Vec<Group<'a>>,
    passed_over: Vec<Weighed>,
    why: &'static str,
}

impl Narrowing<'_> {
    /// Keeps what `keep` speaks for, if that is some and not all.
    fn to(&mut self, why: &'static str, keep: impl Fn(&Group<'_>) -> bool) {
        let kept = self.left.iter().filter(|group| keep(group)).count();
        if kept > 0 && kept < self.left.len() {
            let (stay, go): (Vec<_>, Vec<_>) = std::mem::take(&mut self.left).into_iter().partition(|group| keep(group));
            self.left = stay;
            self.passed_over.extend(go.into_iter().map(|group| group.weighed));
            self.why = why;
        }
    }

    /// One organization, several of its addresses: none of these says anything between organizations.
    fn within_one(&mut self, question: &Question<'_>) {
        let demote = question.rules.demote_after;
        self.to("the others at the same organization failed of late", |group| {
            demote == 0 || group.weighed.score.failures < demote
        });
        let source = |group: &Group<'_>| group.weighed.source.map(|(source, _)| source);
        let best = self.left.iter().filter_map(source).min();
        self.to("its source is the best of several at the same organization", |group| source(group) == best);
        let rank = self.left.iter().filter_map(|group| group.rank).min();
        self.to("its source ranks it first of several at the same organization", |group| rank.is_some() && group.rank == rank);
        if question.for_practice {
            self.to("it is the practice's own of several at the same organization", |group| group.organization_level);
        }
        let seen = self.left.iter().map(|group| group.last_seen).max();
        self.to("its source had it last of several at the same organization", |group| Some(group.last_seen) == seen);
        if self.left.len() > 1 {
            // They come lowest first.
            self.passed_over.extend(self.left.drain(1..).map(|group| group.weighed));
            self.why = "it comes first of several at the same organization";
        }
    }
}

/// Chooses among the addresses of an NPI. What a filter takes out is given beside.
pub(super) fn choose(question: &Question<'_>) -> (Choice, Vec<Filtered>) {
    let mut filtered = Vec::new();
    let mut left = Vec::new();
    for group in groups(question) {
        match filter(question, &group.weighed) {
            Some((reason, note)) => filtered.push(Filtered { weighed: group.weighed, reason, note }),
            None => left.push(group),
        }
    }
    let why = if filtered.is_empty() { "it is the only one" } else { "it is the only one that can be used" };
    let mut narrowing = Narrowing { left, passed_over: Vec::new(), why };
    narrowing.to("it is pinned for this NPI", |group| group.weighed.score.pinned);
    narrowing.to("it is on the organization's own list", |group| group.weighed.score.own_list);
    narrowing.to("it belongs to the organization the order names for the recipient", |group| group.weighed.score.stated);
    for place in 0..question.affiliations.len() {
        narrowing.to("it is affiliated with the order's site or organization", |group| group.nearest == Some(place));
    }
    let latest = narrowing.left.iter().filter_map(|group| group.weighed.score.last_success).max();
    narrowing.to("it is the one last delivered to", |group| latest.is_some() && group.weighed.score.last_success == latest);
    if narrowing.left.len() > 1 {
        if !narrowing.left.iter().all(|a| narrowing.left.iter().all(|b| same_organization(a, b))) {
            return (Choice::Ambiguous(narrowing.left.into_iter().map(|group| group.weighed).collect()), filtered);
        }
        narrowing.within_one(question);
    }
    let Narrowing { mut left, mut passed_over, why } = narrowing;
    passed_over.sort_by_key(|other| other.address.key());
    let choice = left.pop().map_or(Choice::None, |group| Choice::One { chosen: group.weighed, why, passed_over });
    (choice, filtered)
}

/// The different addresses, lowest normalized one first; of two spellings the lower in byte order, so that the order
/// of the entries never shows.
fn groups<'a>(question: &Question<'a>) -> Vec<Group<'a>> {
    let mut by_key = BTreeMap::<String, (DirectAddress, Vec<&DirectoryEntry>)>::new();
    // An entry of somebody else is a fault of the source, and no reason to send there.
    for entry in question.entries.iter().filter(|entry| entry.npi == *question.npi) {
        let (address, entries) = by_key.entry(entry.address.key()).or_insert_with(|| (entry.address.clone(), Vec::new()));
        if entry.address.as_str() < address.as_str() {
            *address = entry.address.clone();
        }
        entries.push(entry);
    }
    let pin = question.known.pins.get(question.npi);
    if let Some(pin) = pin {
        by_key.entry(pin.address.key()).or_insert_with(|| (pin.address.clone(), Vec::new()));
    }
    by_key
        .into_iter()
        .map(|(key, (address, entries))| {
            let pinned = pin.is_some_and(|pin| pin.address == address);
            group(question, &key, address, entries, pinned)
        })
        .collect()
}

fn group<'a>(
    question: &Question<'a>,
    key: &str,
    address: DirectAddress,
    entries: Vec<&'a DirectoryEntry>,
    pinned: bool,
) -> Group<'a> {
    let stated = question.stated.map(|name| Affiliation { npi: None, name: Some(name) });
    let nearest = question.affiliations.iter().position(|place| entries.iter().any(|entry| place.is_of(entry)));
    let experience = question.known.experience.get(key).copied().unwrap_or_default();
    let own_record = entries.iter().filter_map(|entry| entry.last_success.map(Timestamp)).max();
    let last_success = experience.last_success.max(own_record);
    let young = |at: &Timestamp| question.known.at.since(*at) <= question.rules.success_within.0;
    let demoted = question.rules.demote_after > 0 && experience.failures >= question.rules.demote_after;
    let source =
        entries.iter().map(|entry| (entry.source, entry.snapshot)).min_by_key(|(source, snapshot)| (*source, snapshot.0));
    Group {
        rank: source
            .and_then(|(best, _)| entries.iter().filter(|entry| entry.source == best).filter_map(|entry| entry.rank).min()),
        organization_level: entries.iter().any(|entry| entry.kind == Some(AddressKind::Organization)),
        last_seen: entries.iter().map(|entry| entry.last_seen).max().unwrap_or(0),
        nearest,
        weighed: Weighed {
            address,
            source,
            score: Score {
                pinned: pinned || entries.iter().any(|entry| entry.pinned),
                own_list: entries.iter().any(|entry| entry.source == DirectorySource::TenantList),
                stated: stated.is_some_and(|stated| entries.iter().any(|entry| stated.is_of(entry))),
                affiliated: nearest.map(|place| if place == 0 { "site" } else { "organization" }.to_owned()),
                // What failed again and again since then speaks for nothing any more.
                last_success: last_success.filter(young).filter(|_| !demoted),
                failures: experience.failures,
            },
        },
        entries,
    }
}

/// Why an address cannot be chosen, whatever speaks for it.
fn filter(question: &Question<'_>, weighed: &Weighed) -> Option<(Reason, String)> {
    let Question { known, rules, .. } = question;
    if let Some(what) = suppressed(&weighed.address, rules, known) {
        return Some((Reason::Suppressed, format!("{} {what} is suppressed", what.kind())));
    }
    let Experience { unsealable: Some((at, reason)), .. } = known.experience.get(&weighed.address.key())? else { return None };
    // A person who pins it knows more than the last attempt.
    let recent = known.at.since(*at) <= rules.unsealable_for.0 && !rules.unsealable_for.0.is_zero();
    (recent && !weighed.score.pinned).then(|| {
        (
            *reason,
            format!(
                "left out for {} since a delivery to it failed for want of a certificate to believe ({reason})",
                rules.unsealable_for
            ),
        )
    })
}

/// What says that `address` is not to be used.
pub(super) fn suppressed<'a>(
    address: &DirectAddress,
    rules: &'a ChoiceRules,
    known: &'a Known,
) -> Option<&'a crate::domain::choice::Suppressed> {
    rules.suppress.iter().chain(&known.suppressed).find(|what| what.covers(address))
}

/// Whether two addresses are known to belong to one organization. Not knowing is a no.
fn same_organization(a: &Group<'_>, b: &Group<'_>) -> bool {
    if a.weighed.address == b.weighed.address {
        return true;
    }
    let pairs = || a.entries.iter().flat_map(|a| b.entries.iter().map(|b| (&a.affiliation, &b.affiliation)));
    let npis = |(a, b): (&AffiliatedWith, &AffiliatedWith)| Some(a.npi.as_ref()? == b.npi.as_ref()?);
    // An NPI that differs is never overruled by a name.
    if pairs().filter_map(npis).any(|same| !same) {
        return false;
    }
    pairs().any(|pair| npis(pair) == Some(true) || matches!((&pair.0.name, &pair.1.name), (Some(a), Some(b)) if same_name(a, b)))
}

/// Whether two legal names are the same but for case, punctuation and spacing.
pub(super) fn same_name(a: &str, b: &str) -> bool {
    fn words(name: &str) -> impl Iterator<Item = String> {
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_lowercase)
    }
    words(a).next().is_some() && words(a).eq(words(b))
}

#[cfg(test)]
mod tests;
