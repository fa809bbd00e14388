//! Alerts: what people have to be told about the gateway, on change of state and never per retry.
//!
//! Whoever looks, looks again and again and hands in the [`Condition`]s that hold now. [`step`] makes a life of them: an
//! [`Alert`] opens when its condition has held for a while, may get worse, is escalated when nobody cares, and is resolved
//! when its condition has been absent for a while. People hear of these changes and of nothing else.

mod kind;
mod life;
mod rules;
mod told;

use serde::Serialize;

pub use self::{
    kind::{AlertKind, Severity, Unit},
    life::{Happened, Pace, step},
    rules::{AlertRules, Weekday, quiet_for},
    told::{Channel, Listener, Listeners, Said, digest_due},
};
use super::{OrgId, Timestamp, id::AlertId};

/// Something that should not be, seen now. Never about a patient: subjects are names from the configuration, our own
/// addresses and ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// What is wrong.
    pub kind: AlertKind,
    /// With what: a relay's name, an address of ours, the id of a delivery.
    pub subject: String,
    /// Whose it is, when it is one organization's.
    pub org: Option<OrgId>,
    /// How bad: a higher one is told of again.
    pub level: u8,
    /// What was measured, in the kind's unit.
    pub value: u64,
    /// What it should not pass.
    pub limit: u64,
    /// More for people; empty when there is nothing to add.
    pub detail: String,
}

impl Condition {
    /// A condition of the lowest level.
    #[must_use]
    pub fn new(kind: AlertKind, subject: impl Into<String>, value: u64, limit: u64) -> Self {
        Self { kind, subject: subject.into(), org: None, level: 0, value, limit, detail: String::new() }
    }

    /// Of one organization.
    #[must_use]
    pub const fn of(mut self, org: OrgId) -> Self {
        self.org = Some(org);
        self
    }

    /// So bad.
    #[must_use]
    pub const fn level(mut self, level: u8) -> Self {
        self.level = level;
        self
    }

    /// With more to say.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.detail = detail.into();
        self
    }

    /// What makes it the same one as before.
    #[must_use]
    pub fn key(&self) -> (AlertKind, Option<OrgId>, &str) {
        (self.kind, self.org, &self.subject)
    }

    /// What was measured and what it should not pass, in words.
    #[must_use]
    pub fn measured(&self) -> String {
        self.kind.unit().words(self.value, self.limit)
    }
}

/// The life of one condition. One that has not opened yet nobody knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its id.
    pub id: AlertId,
    /// As it was seen last.
    pub condition: Condition,
    /// When it was seen first.
    pub first_seen: Timestamp,
    /// When it opened; people know of it from then on.
    pub opened_at: Option<Timestamp>,
    /// Since when it has not been seen.
    pub quiet_since: Option<Timestamp>,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
    /// The worst level people were told of.
    pub told_level: u8,
    /// When the next tier was told because nobody had cared.
    pub escalated_at: Option<Timestamp>,
    /// When somebody said that they care.
    pub acked_at: Option<Timestamp>,
    /// Who, as they put it.
    pub acked_by: Option<String>,
    /// Counts the changes, so that two who change it at once notice.
    #[serde(skip)]
    pub revision: i64,
}

impl Alert {
    /// Whether people know of it and it is not over.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.opened_at.is_some() && self.resolved_at.is_none()
    }
}
