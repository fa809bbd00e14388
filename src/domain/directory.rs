//! What each source of the directory says about an NPI, and what they say together. Pure.

use super::{
    Timestamp,
    id::SnapshotId,
    route::{DirectoryAnswer, DirectoryEntry, DirectorySource},
};

/// What one source says about one NPI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which source.
    pub source: DirectorySource,
    /// What it is called: the file of a load, the name of a live directory.
    pub name: String,
    /// Its load, or its live answer.
    pub snapshot: SnapshotId,
    /// When the load was put into force, or the answer given.
    pub as_of: Timestamp,
    /// What it says.
    pub says: Says,
}

/// What a source can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// It has these addresses; never empty.
    Addresses(Vec<DirectoryEntry>),
    /// It knows the NPI and has no address for it.
    Known,
    /// The NPI is deactivated.
    Inactive,
    /// It has never heard of the NPI.
    Unknown,
    /// It could not be asked, or cannot be believed now: why, for people.
    Unavailable(String),
}

impl Says {
    /// One word for tables and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Addresses(_) => "found",
            Self::Known => "no_address",
            Self::Inactive => "inactive",
            Self::Unknown => "not_found",
            Self::Unavailable(_) => "unavailable",
        }
    }
}

/// Whether a source that calls an NPI deactivated is believed against the addresses others have: the registry that issues
/// NPIs is, and so is an organization about its own recipients. Anybody else may only be behind.
const fn outranks_addresses(source: DirectorySource) -> bool {
    matches!(source, DirectorySource::Registry | DirectorySource::TenantList)
}

/// What all sources say together.
#[must_use]
pub fn answer(findings: Vec<Finding>) -> DirectoryAnswer {
    let Some(last) = findings.last().map(|finding| finding.snapshot) else { return DirectoryAnswer::NotConfigured };
    let inactive = |finding: &&Finding| finding.says == Says::Inactive;
    if let Some(finding) = findings.iter().filter(inactive).find(|finding| outranks_addresses(finding.source)) {
        return DirectoryAnswer::Inactive(finding.snapshot);
    }
    let first = |says: &Says| findings.iter().find(|finding| finding.says == *says).map(|finding| finding.snapshot);
    let (inactive, known) = (first(&Says::Inactive), first(&Says::Known));
    let (mut entries, mut unavailable) = (Vec::new(), Vec::new());
    for finding in findings {
        match finding.says {
            Says::Addresses(found) => entries.extend(found),
            Says::Unavailable(why) => unavailable.push(why),
            Says::Known | Says::Inactive | Says::Unknown => {}
        }
    }
    match (inactive, known) {
        _ if !entries.is_empty() => DirectoryAnswer::Found { entries, unavailable },
        // One that could not be asked might have had an address: no is not the answer yet.
        _ if !unavailable.is_empty() => DirectoryAnswer::Unavailable { why: unavailable.join("; ") },
        (Some(snapshot), _) => DirectoryAnswer::Inactive(snapshot),
        (None, Some(snapshot)) => DirectoryAnswer::NoAddress(snapshot),
        (None, None) => DirectoryAnswer::NotFound(last),
    }
}

/// How old a load may be before somebody should look at why no newer one came, in days: one monthly file missed, or two
/// weeks of a feed. An organization's own list is as current as the organization keeps it.
#[must_use]
pub const fn alarm_days(source: DirectorySource) -> Option<u64> {
    match source {
        DirectorySource::Nppes | DirectorySource::Registry | DirectorySource::Npd => Some(45),
        DirectorySource::DirectTrust | DirectorySource::Fhir => Some(14),
        DirectorySource::TenantList => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::route::AffiliatedWith;

    use DirectorySource as S;

    fn finding(source: S, says: Says) -> Finding {
        Finding { source, name: "x".into(), snapshot: SnapshotId::new(), as_of: Timestamp(1), says }
    }

    fn found(source: S) -> Finding {
        let mut finding = finding(source, Says::Known);
        finding.says = Says::Addresses(vec![DirectoryEntry {
            npi: "1234567893".parse().unwrap(),
            address: "a@d.example".parse().unwrap(),
            source,
            snapshot: finding.snapshot,
            rank: None,
            kind: None,
            affiliation: AffiliatedWith::default(),
            first_seen: 0,
            last_seen: 0,
            pinned: false,
            last_success: None,
        }]);
        finding
    }

    fn kind(findings: Vec<Finding>) -> &'static str {
        match answer(findings) {
            DirectoryAnswer::Found { .. } => "found",
            DirectoryAnswer::NoAddress(_) => "no address",
            DirectoryAnswer::Inactive(_) => "inactive",
            DirectoryAnswer::NotFound(_) => "not found",
            DirectoryAnswer::NotConfigured => "not configured",
            DirectoryAnswer::Unavailable { .. } => "unavailable",
        }
    }

    #[test]
    fn the_most_telling_word_of_several_sources_counts() {
        let down = || finding(S::Nppes, Says::Unavailable("it is too old".into()));
        let says = finding;
        for (findings, expected) in [
            (vec![], "not configured"),
            (vec![says(S::Npd, Says::Unknown)], "not found"),
            (vec![says(S::Npd, Says::Unknown), says(S::Registry, Says::Known)], "no address"),
            (vec![says(S::Npd, Says::Inactive), says(S::Registry, Says::Known)], "inactive"),
            (vec![says(S::Npd, Says::Unknown), down()], "unavailable"),
            (vec![says(S::Registry, Says::Known), down()], "unavailable"),
            (vec![found(S::Npd), down()], "found"),
            (vec![found(S::Npd), says(S::Nppes, Says::Inactive)], "found"),
            (vec![found(S::Npd), found(S::TenantList), says(S::Registry, Says::Inactive)], "inactive"),
            (vec![found(S::Npd), says(S::TenantList, Says::Inactive)], "inactive"),
            (vec![says(S::Registry, Says::Inactive), down()], "inactive"),
        ] {
            let shown = format!("{findings:?}");
            assert_eq!(kind(findings), expected, "{shown}");
        }
    }

    #[test]
    fn every_entry_is_kept_and_what_could_not_be_asked_is_named() {
        let down = finding(S::Fhir, Says::Unavailable("clinic answered with 503".into()));
        let DirectoryAnswer::Found { entries, unavailable } = answer(vec![found(S::Npd), down, found(S::Nppes)]) else {
            panic!("not found")
        };
        assert_eq!(entries.iter().map(|entry| entry.source).collect::<Vec<_>>(), [S::Npd, S::Nppes]);
        assert_eq!(unavailable, ["clinic answered with 503"]);
    }

    #[test]
    fn sources_are_ordered_by_how_much_they_are_trusted() {
        assert!(S::ALL.is_sorted());
        assert_eq!(S::ALL.first(), Some(&S::TenantList));
    }
}
