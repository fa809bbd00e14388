//! Who is told of what, and when the digest is due.

use std::time::Duration;

use serde::Serialize;

use super::{Alert, AlertKind, AlertRules, Happened};
use crate::domain::{DirectAddress, OrgId, Timestamp, words};

words! {
    /// How people are told.
    pub enum Channel {
        /// A plain e-mail.
        Mail = "mail",
        /// A signed HTTP request.
        Webhook = "webhook",
    }
}

words! {
    /// What is said.
    pub enum Said {
        /// An alert began.
        Opened = "opened",
        /// An alert got worse.
        Worse = "worse",
        /// Nobody has cared: the next tier is told.
        Escalated = "escalated",
        /// An alert is over.
        Resolved = "resolved",
        /// What is still open.
        Digest = "digest",
    }
}

impl From<Happened> for Said {
    fn from(happened: Happened) -> Self {
        match happened {
            Happened::Opened => Self::Opened,
            Happened::Worse => Self::Worse,
            Happened::Escalated => Self::Escalated,
            Happened::Resolved => Self::Resolved,
        }
    }
}

/// One who is told: a mailbox or an endpoint, for the installation's operators or for one organization.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Listener {
    /// How.
    pub channel: Channel,
    /// Where: an address, or `operators` for the installation's endpoint.
    pub target: String,
    /// Whose alerts they are told of; `None`: everybody's.
    pub org: Option<OrgId>,
}

/// Who listens on one side: the operators, or one organization.
#[derive(Debug, Clone, Default)]
pub struct Listeners {
    /// Mailboxes.
    pub to: Vec<DirectAddress>,
    /// Mailboxes of those who are told when nobody cares.
    pub escalate_to: Vec<DirectAddress>,
    /// Whether there is an endpoint.
    pub webhook: bool,
    /// What they do not want to hear of.
    pub off: Vec<AlertKind>,
    /// Whose; `None`: the operators.
    pub org: Option<OrgId>,
}

impl Listeners {
    /// Those an organization names in its file. It is told of what is its own and it can do something about.
    #[must_use]
    pub fn of(org: OrgId, rules: &AlertRules) -> Self {
        Self {
            to: rules.to.clone(),
            escalate_to: rules.escalate_to.clone(),
            webhook: false,
            off: rules.off.clone(),
            org: Some(org),
        }
    }

    /// Whether `alert` is theirs to know.
    #[must_use]
    pub fn care_for(&self, alert: &Alert) -> bool {
        let kind = alert.condition.kind;
        let theirs = self.org.is_none() || (alert.condition.org == self.org && kind.concerns_organization());
        theirs && !self.off.contains(&kind)
    }

    /// Who of them is told that `said` about `alert`.
    #[must_use]
    pub fn told(&self, alert: &Alert, said: Said) -> Vec<Listener> {
        if self.care_for(alert) { self.everybody(said == Said::Escalated || alert.escalated_at.is_some()) } else { Vec::new() }
    }

    /// All of them, the next tier only when `escalated`.
    #[must_use]
    pub fn everybody(&self, escalated: bool) -> Vec<Listener> {
        let next = if escalated { &self.escalate_to[..] } else { &[] };
        let mut all: Vec<Listener> = Vec::new();
        for address in self.to.iter().chain(next) {
            let listener = Listener { channel: Channel::Mail, target: address.key(), org: self.org };
            if !all.contains(&listener) {
                all.push(listener);
            }
        }
        if self.webhook {
            all.push(Listener { channel: Channel::Webhook, target: "operators".to_owned(), org: self.org });
        }
        all
    }
}

/// Whether it is time to say what is still open: at most once in `every`, and not before the oldest has been open for so
/// long. Zero switches it off.
#[must_use]
pub fn digest_due(last: Option<Timestamp>, oldest_open: Option<Timestamp>, every: Duration, now: Timestamp) -> bool {
    let Some(oldest) = oldest_open.filter(|_| !every.is_zero()) else { return false };
    now.since(last.map_or(oldest, |last| last.max(oldest))) >= every
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::alert::{Condition, Pace, step};

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    fn alert(condition: &Condition) -> Alert {
        step(None, Some(condition), false, &Pace::default(), NOW).0.unwrap()
    }

    fn listeners(org: Option<OrgId>) -> Listeners {
        let address = |text: &str| text.parse().unwrap();
        Listeners { to: vec![address("a@x.example")], escalate_to: vec![address("boss@x.example")], org, ..Listeners::default() }
    }

    #[test]
    fn an_organization_hears_only_of_its_own_and_only_of_what_it_can_mend() {
        let (ours, theirs) = (OrgId::new(), OrgId::new());
        let side = listeners(Some(ours));
        let held = |org| alert(&Condition::new(AlertKind::Held, "held", 3, 1).of(org));
        assert_eq!(side.told(&held(ours), Said::Opened).len(), 1);
        assert!(side.told(&held(theirs), Said::Opened).is_empty());
        let bundle = alert(&Condition::new(AlertKind::BundleStale, "peers", 1, 1).of(ours));
        assert!(side.told(&bundle, Said::Opened).is_empty());
        assert_eq!(listeners(None).told(&bundle, Said::Opened).len(), 1, "the operators hear of everything");
    }

    #[test]
    fn the_next_tier_hears_of_an_escalation_and_of_what_follows_it() {
        let side = Listeners { off: vec![AlertKind::Held], ..listeners(None) };
        let mut urgent = alert(&Condition::new(AlertKind::UrgentNotAccepted, "1", 900, 600));
        assert_eq!(side.told(&urgent, Said::Opened).len(), 1);
        assert_eq!(side.told(&urgent, Said::Escalated).len(), 2);
        urgent.escalated_at = Some(NOW);
        assert_eq!(side.told(&urgent, Said::Resolved).len(), 2);
        assert!(side.told(&alert(&Condition::new(AlertKind::Held, "x", 1, 1)), Said::Opened).is_empty(), "switched off");
    }

    proptest! {
        #[test]
        fn there_is_at_most_one_digest_in_a_period(gaps in proptest::collection::vec(1..7_200_u64, 1..200), every in 1..86_400_u64) {
            let every = Duration::from_secs(every);
            let (mut now, mut last, mut sent) = (NOW, None, Vec::new());
            for gap in gaps {
                now = now.plus(Duration::from_secs(gap));
                if digest_due(last, Some(NOW), every, now) {
                    last = Some(now);
                    sent.push(now);
                }
            }
            prop_assert!(sent.first().is_none_or(|first| first.since(NOW) >= every));
            prop_assert!(sent.windows(2).all(|two| two[1].since(two[0]) >= every));
            prop_assert!(!digest_due(last, None, every, now), "nothing is open");
        }
    }
}
