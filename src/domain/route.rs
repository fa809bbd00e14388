//! Targets, and the trace that explains them: every candidate considered and why it was taken, held or dropped.

use serde::{Deserialize, Serialize};

use super::{
    DirectAddress, Npi, Reason,
    id::SnapshotId,
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

/// One address the directory has for an NPI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// Whose it is.
    pub npi: Npi,
    /// The address.
    pub address: DirectAddress,
    /// The organization it belongs to, by name.
    pub organization: Option<String>,
    /// The same by NPI.
    pub organization_npi: Option<Npi>,
    /// Chosen by hand for this organization.
    pub pinned: bool,
    /// When we last delivered to it (microseconds), if ever.
    pub last_success: Option<i64>,
}

/// One row of a directory as it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryRow {
    /// Whose it is: a person's NPI, or an organization's own.
    pub npi: Npi,
    /// The address; a row without one says that the NPI is known.
    pub address: Option<DirectAddress>,
    /// The organization it belongs to, by name.
    pub organization: Option<String>,
    /// The same by NPI.
    pub organization_npi: Option<Npi>,
    /// False when the NPI has been deactivated.
    pub active: bool,
}

/// What a directory answers. *Unavailable* is never remembered as *not found*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryAnswer {
    /// These addresses.
    Found {
        /// The entries, in no particular order.
        entries: Vec<DirectoryEntry>,
        /// The load they come from.
        snapshot: SnapshotId,
    },
    /// The NPI is known, without a Direct address.
    NoAddress(SnapshotId),
    /// The NPI is known to be deactivated.
    Inactive(SnapshotId),
    /// The NPI is not in the directory.
    NotFound(SnapshotId),
    /// No directory has been loaded at all: there is nothing to ask.
    NotConfigured,
    /// There is one, but it cannot be believed now (too old, unreachable).
    Unavailable {
        /// One sentence for people.
        why: String,
    },
}
