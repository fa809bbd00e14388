//! Payer rosters: who a member's primary care provider is, and since when. The section `[roster]` of an organization file.

use serde::{Deserialize, Serialize};

use super::{
    BirthDate, Npi, Order, Report, Timestamp,
    id::RosterId,
    organization::When,
    time::{Date, TimeZone},
    words,
};

words! {
    /// On which day the primary care provider is looked up.
    pub enum AttributeBy {
        /// On the day the result is routed: who treats the patient now.
        Current = "current",
        /// On the day of the exam.
        DateOfService = "date_of_service",
    }
}

/// How the roster is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RosterRules {
    /// `current` (default): the provider of the day the result is routed. `date_of_service`: of the day of the exam.
    pub attribution: AttributeBy,
    /// `only_if_none` (default): the provider of the roster is a recipient when the order names no primary care provider.
    /// `always`: also beside the one the order names.
    pub when: When,
}

impl Default for RosterRules {
    fn default() -> Self {
        Self { attribution: AttributeBy::Current, when: When::OnlyIfNone }
    }
}

impl RosterRules {
    /// The day on which the roster is asked who the provider is. The day of service is that of the exam, else that on which its
    /// report was finished, each in its own zone; else today.
    #[must_use]
    pub fn day(&self, order: &Order, report: &Report, zone: &TimeZone, now: Timestamp) -> Date {
        let service = match self.attribution {
            AttributeBy::Current => None,
            AttributeBy::DateOfService => order.scheduled_at.or(report.completed_at),
        };
        service.and_then(|at| at.to_string().get(..10)?.parse().ok()).unwrap_or_else(|| zone.date_at(now))
    }
}

/// One row of a roster as it is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RosterRow {
    /// The plan, when the roster says.
    pub plan: Option<String>,
    /// The member number: patient data, stored as a keyed hash only.
    pub member: String,
    /// Date of birth, to be sure of whom is meant: stored as a keyed hash only.
    pub birth: Option<BirthDate>,
    /// The primary care provider.
    pub npi: Npi,
    /// First day; `None`: from ever.
    pub from: Option<Date>,
    /// Last day; `None`: until further notice.
    pub to: Option<Date>,
}

/// What the roster in force says about the patient of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    /// Which version of the roster.
    pub roster: RosterId,
    /// On which day.
    pub day: Date,
    /// What it says.
    pub says: Says,
}

/// What a roster says about a member on a day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// This is the primary care provider.
    Pcp(Npi),
    /// The member is not in it.
    NoMember,
    /// The member is in it, with nobody on that day.
    Nobody,
    /// Several at once: nothing is guessed.
    Overlap(Vec<Npi>),
    /// The member has another date of birth there: it may be another person.
    OtherPerson,
}

impl Says {
    /// The provider, when there is exactly one.
    #[must_use]
    pub const fn pcp(&self) -> Option<&Npi> {
        match self {
            Self::Pcp(npi) => Some(npi),
            _ => None,
        }
    }
}
