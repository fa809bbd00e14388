//! How what comes back is waited for and asked for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    organization::{Billable, SendMode},
    time::Span,
    words,
};

words! {
    /// Whether the receiving side is asked to say that a message reached its final place (`dispatched`).
    pub enum AskDispatched {
        /// In every message.
        Always = "always",
        /// In none.
        Never = "never",
        /// In the sta modes by default, in edge mode once the domain has shown that it answers; no longer after it left three
        /// in a row unanswered.
        Auto = "auto",
    }
}

/// How what comes back is followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackingRules {
    /// How long the receiving side has to answer, from acceptance on.
    pub notice_within: Span,
    /// The same in edge mode: the HISP's own time-out comes first.
    pub notice_within_edge: Span,
    /// `auto`, `always` or `never`.
    pub dispatched: AskDispatched,
}

impl Default for TrackingRules {
    fn default() -> Self {
        Self {
            notice_within: Span::seconds(60 * 60),
            notice_within_edge: Span::seconds(75 * 60),
            dispatched: AskDispatched::Auto,
        }
    }
}

impl TrackingRules {
    /// How long messages sent in `mode` wait for their notices.
    #[must_use]
    pub const fn within(&self, mode: SendMode) -> Duration {
        match mode {
            SendMode::Edge => self.notice_within_edge.0,
            SendMode::StaRelay | SendMode::StaMx => self.notice_within.0,
        }
    }
}

/// So many unanswered requests in a row, and `dispatched` is no longer asked for.
const PATIENCE: u32 = 3;

/// How a recipient domain has answered so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Habit {
    /// Deliveries it said `processed` about.
    pub processed: u32,
    /// Deliveries it said `dispatched` about.
    pub dispatched: u32,
    /// Deliveries it said `failed` about.
    pub failed: u32,
    /// Deliveries it said nothing about in time.
    pub expired: u32,
    /// Deliveries in a row whose final place it was asked about in vain.
    pub unconfirmed: u32,
}

impl Habit {
    /// Whether nothing has ever come back from it.
    #[must_use]
    pub const fn never_answered(&self) -> bool {
        self.processed == 0 && self.dispatched == 0 && self.failed == 0
    }

    /// Whether `dispatched` is asked for. What is billed by it is always asked for, unless somebody said never: there would
    /// be no fee otherwise.
    #[must_use]
    pub const fn asks_dispatched(&self, rule: AskDispatched, mode: SendMode, billable: Billable) -> bool {
        match rule {
            AskDispatched::Always => true,
            AskDispatched::Never => false,
            AskDispatched::Auto if matches!(billable, Billable::Dispatched) => true,
            AskDispatched::Auto if self.unconfirmed >= PATIENCE => false,
            AskDispatched::Auto => match mode {
                SendMode::StaRelay | SendMode::StaMx => true,
                SendMode::Edge => self.dispatched > 0,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dispatched_is_asked_for_where_an_answer_can_be_hoped_for() {
        let new = Habit::default();
        let answers = Habit { dispatched: 1, ..new };
        let silent = Habit { unconfirmed: 3, ..answers };
        let auto = |habit: Habit, mode| habit.asks_dispatched(AskDispatched::Auto, mode, Billable::Accepted);
        assert!(auto(new, SendMode::StaRelay) && auto(new, SendMode::StaMx));
        assert!(!auto(new, SendMode::Edge) && auto(answers, SendMode::Edge));
        assert!(!auto(silent, SendMode::StaRelay) && !auto(silent, SendMode::Edge));
        assert!(auto(Habit { unconfirmed: 2, ..new }, SendMode::StaMx), "two are no habit yet");
        assert!(silent.asks_dispatched(AskDispatched::Always, SendMode::Edge, Billable::Accepted));
        assert!(silent.asks_dispatched(AskDispatched::Auto, SendMode::Edge, Billable::Dispatched), "the fee depends on it");
        assert!(!answers.asks_dispatched(AskDispatched::Never, SendMode::StaMx, Billable::Dispatched));
    }

    #[test]
    fn the_hisp_of_an_edge_client_has_a_quarter_of_an_hour_more() {
        let rules = TrackingRules::default();
        assert_eq!(rules.within(SendMode::StaRelay), Duration::from_hours(1));
        assert_eq!(rules.within(SendMode::StaMx), Duration::from_hours(1));
        assert_eq!(rules.within(SendMode::Edge), Duration::from_mins(75));
    }
}
