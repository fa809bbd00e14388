//! `[alerts]`: who is told when something is wrong, and from when on it is.

use super::{relay::RelaySettings, secret::Secret, section::section};
use crate::domain::{DirectAddress, alert::AlertKind, time::Span};

section! {
    /// Alerts to the installation's operators: on change of state, never per retry. Organizations name their own people in
    /// the section [alerts] of their files. Alerts hold nothing about patients, so they go out as plain mail.
    ["alerts"] AlertsSection {
        /// What this installation is called in alerts.
        name: String = "postern".to_owned(),
        /// Plain mail addresses that hear of everything.
        to: Vec<DirectAddress> = Vec::new(),
        /// Who is told too when nobody has cared for an urgent result in time.
        escalate_to: Vec<DirectAddress> = Vec::new(),
        /// The address alerts come from; needed for mail.
        from: Option<DirectAddress> = None; for example "\"postern@lab.example\"",
        /// The [[relay]] that alerts leave by: an ordinary mail server of your own, best none that messages leave by, or
        /// nobody hears that it is down.
        relay: Option<String> = None; for example "\"office\"",
        /// Where alerts are posted to besides, signed as Standard Webhooks has it.
        webhook: Option<String> = None; for example "\"https://alerts.lab.example/postern\"",
        /// The secret they are signed with: whsec_ and base64 of 24 to 64 octets.
        webhook_secret: Option<Secret> = None; for example "\"whsec_...\"",
        /// Whether the webhook may be plain http and inside our own network.
        webhook_internal: bool = false,
        /// Kinds of alerts that nobody wants to hear of.
        off: Vec<AlertKind> = Vec::new(),
        /// How often it is looked.
        every: Span = Span::seconds(15),
        /// How long something must be wrong before somebody is told. What is a settled fact is told at once.
        opens_after: Span = Span::seconds(120),
        /// How long it must be right again before it is over.
        resolves_after: Span = Span::seconds(300),
        /// How often those who are told hear what is still open; 0s: never.
        digest: Span = Span::seconds(24 * 3600),
        /// Least time between two messages to one address, unless something critical is in it.
        gap: Span = Span::seconds(300),
        /// How long an urgent result may take until a relay or mail exchanger has accepted it.
        urgent_accepted: Span = Span::seconds(600),
        /// How long an urgent result may then wait for its notice.
        urgent_answered: Span = Span::seconds(1800),
        /// After how long escalate_to is told of an urgent result that nobody has cared for.
        escalate_after: Span = Span::seconds(1800),
        /// How long anything may wait for us.
        waiting: Span = Span::seconds(4 * 3600),
        /// From how many things on that wait for a person somebody is told.
        held: u64 = 1,
        /// Percent of the messages of a way out that are answered, at least.
        answers: u64 = 50,
        /// How many unanswered messages in a row mean that nothing comes back.
        answers_in_a_row: usize = 20,
        /// How long the anchors of a bundle may go unconfirmed.
        bundle_age: Span = Span::seconds(7 * 24 * 3600),
        /// Percent of a disk that must be free.
        disk_percent: u64 = 10,
        /// How long alerts that are over are kept.
        keep: Span = Span::seconds(90 * 24 * 3600),
    }
}

impl AlertsSection {
    /// Whether anybody would be told of anything.
    #[must_use]
    pub fn reaches_somebody(&self) -> bool {
        !self.to.is_empty() || self.webhook.is_some()
    }

    /// What no single setting can know: every problem.
    pub(super) fn problems(&self, relays: &[RelaySettings]) -> Vec<String> {
        let mut problems = Vec::new();
        let mut must = |holds: bool, problem: &str| {
            if !holds {
                problems.push(format!("alerts.{problem}"));
            }
        };
        let mails = !self.to.is_empty();
        must(!mails || (self.from.is_some() && self.relay.is_some()), "to needs alerts.from and alerts.relay");
        must(mails || self.escalate_to.is_empty(), "escalate_to is a second tier: name the first in alerts.to");
        let known = |name: &String| relays.iter().any(|relay| relay.name == *name);
        must(self.relay.as_ref().is_none_or(known), "relay names no [[relay]]");
        must(self.webhook.is_some() == self.webhook_secret.is_some(), "webhook and alerts.webhook_secret belong together");
        let scheme = |url: &String| url.starts_with("https://") || (self.webhook_internal && url.starts_with("http://"));
        must(
            self.webhook.as_ref().is_none_or(scheme),
            "webhook must begin with https:// (or set alerts.webhook_internal = true)",
        );
        let plain = |text: &str| !text.is_empty() && text.len() <= 60 && text.bytes().all(|b| (b' '..=b'~').contains(&b));
        must(plain(&self.name), "name must be 1 to 60 plain ASCII characters");
        must((1..=600).contains(&self.every.0.as_secs()), "every must be between 1s and 10m");
        must(self.held > 0, "held must be at least 1");
        must(self.answers_in_a_row >= 5, "answers_in_a_row must be at least 5");
        must(self.disk_percent < 100 && self.answers <= 100, "disk_percent and alerts.answers are percentages");
        for (name, span) in [
            ("urgent_accepted", self.urgent_accepted),
            ("urgent_answered", self.urgent_answered),
            ("escalate_after", self.escalate_after),
            ("waiting", self.waiting),
        ] {
            must(!span.0.is_zero(), &format!("{name} must be longer than nothing"));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_channel_is_named() {
        let section: AlertsSection =
            toml::from_str("to = [\"ops@lab.example\"]\nrelay = \"office\"\nwebhook = \"http://x.example/\"\nname = \"\"")
                .unwrap();
        let problems = section.problems(&[]);
        for part in ["alerts.from", "names no [[relay]]", "webhook_secret", "https://", "alerts.name"] {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part} in {problems:?}");
        }
        assert!(AlertsSection::default().problems(&[]).is_empty() && !AlertsSection::default().reaches_somebody());
    }
}
