//! Targets, and the trace that explains them: every candidate considered and why it was taken, held or dropped.

use serde::{Deserialize, Serialize};

use super::{
    DirectAddress, Npi, Reason, Timestamp,
    id::{RosterId, SnapshotId},
    order::{PersonName, Role},
    words,
};

words! {
    /// The rule that put an address forward.
    pub enum Rule {
        /// The order names the address.
        OrderAddress = "order_address",
        /// The order names an NPI and the directory answered.
        Directory = "directory",
        /// The payer's roster names the primary care provider, and the directory answered.
        Roster = "roster",
        /// A person named the address on the worklist.
        Person = "person",
        /// The site's configured address.
        Site = "site",
        /// The organization's configured address.
        Organization = "organization",
        /// Got the version this one corrects.
        EarlierRecipient = "earlier_recipient",
    }
}

words! {
    /// What became of a candidate.
    pub enum Verdict {
        /// It is a target.
        Taken = "taken",
        /// A person has to decide.
        Held = "held",
        /// It is not a target; the reason says why.
        Dropped = "dropped",
    }
}

/// One Direct address a result must reach, with the rule that chose it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Where to.
    pub address: DirectAddress,
    /// Which rule.
    pub rule: Rule,
    /// Whom it is meant for, when the order says.
    pub recipient: Option<IntendedRecipient>,
    /// Configured on the order's own site: the site's patient identifier may be shown.
    pub own_site: bool,
}

impl Target {
    /// Whom it goes to, as `[price]` names it: the recipient's role, or the rule of a configured address.
    #[must_use]
    pub fn billed_role(&self) -> &'static str {
        match self.rule {
            Rule::Site | Rule::Organization => self.rule.as_str(),
            _ => self.recipient.as_ref().and_then(|recipient| recipient.role).map_or("", Role::as_str),
        }
    }
}

/// The clinician a message is meant for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IntendedRecipient {
    /// Who this is to the patient.
    pub role: Option<Role>,
    /// NPI, when valid.
    pub npi: Option<Npi>,
    /// Name.
    pub name: Option<PersonName>,
    /// Their organization.
    pub organization: Option<String>,
}

/// One line of the trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where it came from: `deliver_to[0]`, `site RIVERSIDE01`, `organization` ...
    pub origin: String,
    /// The rule that put it forward.
    pub rule: Rule,
    /// The address, when there is one.
    pub address: Option<DirectAddress>,
    /// The NPI looked up, as stated.
    pub npi: Option<String>,
    /// Taken, held or dropped.
    pub verdict: Verdict,
    /// Why it was held or dropped; absent when nothing was wrong (e.g. a duplicate says so in `note`).
    pub reason: Option<Reason>,
    /// One sentence for people.
    pub note: String,
    /// The directory snapshot that answered.
    pub snapshot: Option<SnapshotId>,
    /// Who the recipient is to the patient, when it is one of the order or of a roster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// The version of the payer's roster that named the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roster: Option<RosterId>,
    /// What spoke for the address, when there was something to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Score>,
}

/// Where lines of the trace come from that tell what followed from a failure, before the number of the tier.
const FALLBACK: &str = "fallback[";

impl Candidate {
    /// Where a line comes from that tells what followed from a failure: from this tier of the organization's fallback.
    #[must_use]
    pub fn of_fallback(tier: usize) -> String {
        format!("{FALLBACK}{tier}]")
    }

    /// Whether it tells what followed from a failure: no rule put it forward, it happened afterwards.
    #[must_use]
    pub fn tells_of_fallback(&self) -> bool {
        self.origin.starts_with(FALLBACK)
    }
}

/// What spoke for an address of an NPI, in the order in which it counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Score {
    /// Chosen by hand.
    pub pinned: bool,
    /// On the organization's own list.
    pub own_list: bool,
    /// At the organization the order names for the recipient.
    pub stated: bool,
    /// `site` or `organization`: which of the order's it is affiliated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affiliated: Option<String>,
    /// When a delivery to it last succeeded, of late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Timestamp>,
    /// Failures since then.
    pub failures: u32,
}

/// The targets of one result version and how they came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it goes.
    pub targets: Vec<Target>,
    /// Everything considered, in the order it was considered.
    pub trace: Vec<Candidate>,
    /// What follows.
    pub decision: Decision,
}

/// What follows from a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
pub enum Decision {
    /// Send to the targets.
    Routed,
    /// Nothing can be sent; a person must look.
    Held(Reason),
    /// A source could not answer; ask again later.
    Waiting(Reason),
    /// Deliberately not sent.
    NotSent(Reason),
}

words! {
    /// Where the directory has something from, most trusted first: [`Ord`] is the order of preference.
    pub enum DirectorySource {
        /// An organization's own list; answers for that organization alone.
        TenantList = "tenant_list",
        /// The aggregated directory of the HISPs, or another flat file of theirs.
        DirectTrust = "directtrust",
        /// The National Provider Directory of CMS, in bulk.
        Npd = "npd",
        /// The registry in which clinicians enter their addresses themselves.
        Nppes = "nppes",
        /// Another FHIR directory.
        Fhir = "fhir",
        /// NPPES's list of all NPIs: which were issued and which are deactivated. Has no addresses.
        Registry = "registry",
    }
}

words! {
    /// Whose mailbox an address is.
    pub enum AddressKind {
        /// The clinician's own.
        Personal = "personal",
        /// The practice's or department's.
        Organization = "organization",
    }
}

/// The organization an address belongs to, as far as its source says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct AffiliatedWith {
    /// Its own NPI.
    pub npi: Option<Npi>,
    /// Its legal name.
    pub name: Option<String>,
    /// State or territory, two capital letters.
    pub state: Option<String>,
    /// ZIP code: five or nine digits.
    pub postal_code: Option<String>,
}

/// One address a directory has for an NPI. The same address may come from several sources, each with its own entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Whose it is.
    pub npi: Npi,
    /// The address.
    pub address: DirectAddress,
    /// Who says so.
    pub source: DirectorySource,
    /// The load that says so, or the live answer.
    pub snapshot: SnapshotId,
    /// The source's own order of preference among the addresses of an NPI (`endpoint-rank`); the lowest is preferred.
    pub rank: Option<i64>,
    /// Whose mailbox, when the source says.
    pub kind: Option<AddressKind>,
    /// The organization it belongs to.
    pub affiliation: AffiliatedWith,
    /// Since when the source has had it without a gap (microseconds).
    pub first_seen: i64,
    /// When the source last had it: when the load was put into force, or the live answer given (microseconds).
    pub last_seen: i64,
    /// Chosen by hand for this organization.
    pub pinned: bool,
    /// When we last delivered to it (microseconds), if ever.
    pub last_success: Option<i64>,
}

/// One row of a directory as it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryRow {
    /// Whose it is: a person's NPI, or an organization's own.
    pub npi: Npi,
    /// The address; a row without one says that the NPI is known.
    pub address: Option<DirectAddress>,
    /// Whose mailbox, when the source says.
    pub kind: Option<AddressKind>,
    /// The source's own order of preference; the lowest is preferred.
    pub rank: Option<i64>,
    /// The organization it belongs to.
    pub affiliation: AffiliatedWith,
    /// False when the NPI has been deactivated.
    pub active: bool,
}

/// What the directory answers, all its sources together. *Unavailable* is never remembered as *not found*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryAnswer {
    /// These addresses.
    Found {
        /// The entries of every source, in no particular order; each names its snapshot.
        entries: Vec<DirectoryEntry>,
        /// What could not be asked or believed: one sentence for each source, for people.
        unavailable: Vec<String>,
    },
    /// The NPI is known, without a Direct address. The snapshot that knows it.
    NoAddress(SnapshotId),
    /// The NPI is known to be deactivated, whatever addresses there are. The snapshot that says so.
    Inactive(SnapshotId),
    /// No source has the NPI. The snapshot asked last.
    NotFound(SnapshotId),
    /// No directory has been loaded at all: there is nothing to ask.
    NotConfigured,
    /// No source has an address, and one that might cannot be believed now (too old, unreachable).
    Unavailable {
        /// One sentence for people.
        why: String,
    },
}
