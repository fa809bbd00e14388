//! `[fees]`: what the HISP asks for, how accounts are called, and who counts the ledger with us.

use std::collections::BTreeMap;

use super::{secret::Secret, section::section};
use crate::domain::{Currency, Money, prices::Channel, time::Span};

section! {
    /// Fees: what deliveries cost the installation itself, for margins and for comparing with the HISP's invoice; how accounts
    /// are called in exports; and a metering system that is told of every ledger line. What customers pay stands in their files.
    ["fees"] FeesSection {
        /// What the HISP asks for one message, by channel.
        cost: BTreeMap<Channel, Money> = BTreeMap::new(); for example "{ direct = \"0.05\" }",
        /// The same for messages that leave by one relay, by its name, or `mx`: it comes before what the channel costs.
        cost_by_relay: BTreeMap<String, Money> = BTreeMap::new(); for example "{ hisp-a = \"0.04\", mx = \"0\" }",
        /// By how much the price of one message may differ from that in the HISP's usage file without being a difference.
        tolerance: Money = Money::ZERO,
        /// In which currency.
        cost_currency: Currency = Currency::default(),
        /// The account of what customers owe, as it is called in the books.
        receivable: String = "Accounts Receivable".to_owned(),
        /// The account of what was earned.
        income: String = "Messaging Income".to_owned(),
        /// Where ledger lines are posted to, one by one, signed as Standard Webhooks has it, the line's id as webhook-id.
        metering: Option<String> = None; for example "\"https://metering.lab.example/lines\"",
        /// The secret they are signed with: whsec_ and base64 of 24 to 64 octets.
        metering_secret: Option<Secret> = None; for example "\"whsec_...\"",
        /// Whether it may be plain http and inside our own network.
        metering_internal: bool = false,
        /// How often it is looked for new lines.
        metering_every: Span = Span::seconds(30),
    }
}

impl FeesSection {
    /// What no single setting can know.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.cost.values().any(|cost| *cost < Money::ZERO) {
            problems.push("fees.cost must not be negative".to_owned());
        }
        if self.cost_by_relay.values().any(|cost| *cost < Money::ZERO) {
            problems.push("fees.cost_by_relay must not be negative".to_owned());
        }
        if self.tolerance < Money::ZERO {
            problems.push("fees.tolerance must not be negative".to_owned());
        }
        if self.metering.is_some() && self.metering_secret.is_none() {
            problems.push("fees.metering needs fees.metering_secret: what is not signed nobody should believe".to_owned());
        }
        if self.metering_every.0.is_zero() {
            problems.push("fees.metering_every must be longer than nothing".to_owned());
        }
        problems
    }
}
