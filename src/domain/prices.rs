//! Price lists: what a delivery costs, what a period costs beside its deliveries, and who pays.
//!
//! These are the keys of `[price]` in an organization file. A price that was ever applied is kept for ever: a new one
//! takes effect from its first day on, and no line that was written under an old one changes.

/// What a period costs when it is closed.
pub mod closing;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Currency, Money,
    organization::{BadOrganization, Billable},
    report::ResultStatus,
    time::Date,
    words,
};

words! {
    /// The way a result goes.
    pub enum Channel {
        /// A Direct message.
        Direct = "direct",
        /// An HL7 v2 message.
        Hl7 = "hl7",
        /// A fax.
        Fax = "fax",
        /// A portal.
        Portal = "portal",
    }
}

words! {
    /// What a ledger line is.
    pub enum EntryType {
        /// A delivery became billable, or an address was used in a month.
        Charge = "charge",
        /// A charge is given back.
        Credit = "credit",
        /// Entered by hand, or what tiers and a cap change when a period is closed.
        Adjustment = "adjustment",
        /// What a period lacks of its minimum.
        Minimum = "minimum",
        /// What rounding the rows of a statement makes of its sum.
        Rounding = "rounding",
    }
}

words! {
    /// How tiers are read.
    pub enum Tiering {
        /// Each delivery costs what its own place in the period costs.
        Graduated = "graduated",
        /// All deliveries of the period cost what its last one costs.
        Volume = "volume",
    }
}

words! {
    /// When a charge is given back.
    pub enum FailureRule {
        /// When it is proven that the message was not delivered for reasons of trust or certificates.
        Trust = "trust",
        /// When it is proven that the message was not delivered, whatever the reason.
        Any = "any",
        /// Never.
        Never = "never",
    }
}

/// A versioned price list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceList {
    /// ISO 4217.
    #[serde(default)]
    pub currency: Currency,
    /// Rates; for one fee code the latest `from` that has begun is in force.
    #[serde(rename = "rate", default)]
    pub rates: Vec<Rate>,
    /// What a period costs beside its deliveries, and who pays; the latest `from` that has begun is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub terms: Vec<Terms>,
    /// Whether a charge is given back when it is proven afterwards that the message was not delivered for reasons of trust or
    /// certificates.
    #[serde(default = "yes")]
    pub credit_trust_failures: bool,
    /// The same in more words: `trust` (default), `any` or `never`. Takes the place of `credit_trust_failures`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit_failures: Option<FailureRule>,
}

const fn yes() -> bool {
    true
}

/// One price from one day on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// First day it is in force, in the organization's time zone.
    pub from: Date,
    /// What is charged for: `direct`, `direct_resend`.
    pub fee_code: String,
    /// Price of one delivery; with tiers, that of the first.
    pub amount: Money,
    /// When a delivery becomes billable.
    #[serde(default = "accepted")]
    pub billable: Billable,
    /// Only for this channel; such a rate beats one for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    /// Only for results of this status; such a rate beats one for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ResultStatus>,
    /// How many deliveries of a period are free.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub included: u32,
    /// `graduated` (default) or `volume`.
    #[serde(default = "graduated", skip_serializing_if = "is_graduated")]
    pub tiering: Tiering,
    /// Other prices above so many deliveries of a period, rising.
    #[serde(default, rename = "tier", skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier>,
}

const fn accepted() -> Billable {
    Billable::Accepted
}

const fn graduated() -> Tiering {
    Tiering::Graduated
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_graduated(tiering: &Tiering) -> bool {
    *tiering == Tiering::Graduated
}

/// What deliveries cost above a number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// Above so many deliveries of the period.
    pub above: u32,
    /// Price of one.
    pub amount: Money,
}

/// What a period costs beside its deliveries, and who pays, from one day on. A period goes by what is in force on its first
/// day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// First day they are in force, in the organization's time zone.
    pub from: Date,
    /// What a period costs at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Money>,
    /// What a period costs at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Money>,
    /// What each of our addresses costs in a month in which something was sent from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_month: Option<Money>,
    /// Who pays instead of the organization; the first that fits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sponsor: Vec<Sponsor>,
    /// Cost centre of each site, by its `local_id`; stands on the lines.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cost_center: BTreeMap<String, String>,
}

/// Whose deliveries another organization pays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sponsor {
    /// The organization that pays, by its slug.
    pub organization: String,
    /// Only to recipients in this role: `pcp`, `ordering` ..., or `site`, `organization` for configured addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Only for members of this health plan, by the sender's key of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payer: Option<String>,
    /// Only for this site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
}

/// What a price and a payer are found by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Billed {
    /// The way it goes.
    pub channel: Channel,
    /// Of the result.
    pub status: ResultStatus,
    /// The order's health plan, by the sender's key of it; may be empty.
    pub payer: String,
}

impl Default for Billed {
    fn default() -> Self {
        Self { channel: Channel::Direct, status: ResultStatus::Final, payer: String::new() }
    }
}

impl Billed {
    /// As a delivery's row says it. A word nobody knows is priced as a final result sent over Direct.
    #[must_use]
    pub fn read(channel: &str, status: &str, payer: &str) -> Self {
        let unknown = Self::default();
        Self {
            channel: channel.parse().unwrap_or(unknown.channel),
            status: status.parse().unwrap_or(unknown.status),
            payer: payer.to_owned(),
        }
    }
}

/// A sender's key of a health plan as the ledger may hold it: a short word. Whatever else stands there could be about a
/// patient, and is left out.
#[must_use]
pub fn payer_key(stated: Option<&str>) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    stated.map(str::trim).filter(|key| key.len() <= 40 && key.chars().all(plain)).unwrap_or_default().to_owned()
}

impl Rate {
    /// Whether it is for deliveries like this.
    #[must_use]
    pub fn fits(&self, fee_code: &str, channel: Channel, status: ResultStatus) -> bool {
        self.fee_code == fee_code
            && self.channel.is_none_or(|only| only == channel)
            && self.status.is_none_or(|only| only == status)
    }

    /// What beats what: one for a status beats one for a channel beats one for all; then the later day.
    #[must_use]
    pub fn precedence(&self) -> (bool, bool, Date) {
        (self.status.is_some(), self.channel.is_some(), self.from)
    }

    /// Whether what a delivery costs in the end depends on how many there are in the period.
    #[must_use]
    pub const fn depends_on_count(&self) -> bool {
        self.included > 0 || !self.tiers.is_empty()
    }
}

impl Sponsor {
    /// Whether it pays for this.
    #[must_use]
    pub fn pays(&self, role: &str, payer: &str, site: &str) -> bool {
        self.role.as_deref().is_none_or(|only| only == role)
            && self.payer.as_deref().is_none_or(|only| only == payer)
            && self.site.as_deref().is_none_or(|only| only == site)
    }
}

impl PriceList {
    /// The rate of `fee_code` for every channel and status in force on `day`.
    #[must_use]
    pub fn rate(&self, fee_code: &str, day: Date) -> Option<&Rate> {
        let general = |rate: &&Rate| rate.channel.is_none() && rate.status.is_none();
        self.rates
            .iter()
            .filter(general)
            .filter(|rate| rate.fee_code == fee_code && rate.from <= day)
            .max_by_key(|rate| rate.from)
    }

    /// Whether a charge is given back after a proven failure, for reasons of trust or for others.
    #[must_use]
    pub fn credits(&self, trust: bool) -> bool {
        let by_switch = if self.credit_trust_failures { FailureRule::Trust } else { FailureRule::Never };
        match self.credit_failures.unwrap_or(by_switch) {
            FailureRule::Trust => trust,
            FailureRule::Any => true,
            FailureRule::Never => false,
        }
    }

    /// Whom terms name as sponsors: with the number of the terms and of the sponsor in them.
    pub fn sponsors(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        let terms = self.terms.iter().enumerate();
        terms.flat_map(|(i, terms)| {
            terms.sponsor.iter().enumerate().map(move |(j, sponsor)| (i, j, sponsor.organization.as_str()))
        })
    }

    /// Everything wrong with it, as the prices of the organization `slug`.
    #[must_use]
    pub fn problems(&self, slug: &str) -> Vec<BadOrganization> {
        let mut problems = Vec::new();
        let mut bad = |field: String, problem: &str| problems.push(BadOrganization { field, problem: problem.to_owned() });
        for (i, rate) in self.rates.iter().enumerate() {
            let same = |earlier: &Rate| {
                (&earlier.fee_code, earlier.from, earlier.channel, earlier.status)
                    == (&rate.fee_code, rate.from, rate.channel, rate.status)
            };
            if self.rates[..i].iter().any(same) {
                bad(format!("price.rate[{i}].from"), "is the first day of an earlier rate of this fee code too");
            }
            if rate.amount < Money::ZERO || rate.tiers.iter().any(|tier| tier.amount < Money::ZERO) {
                bad(format!("price.rate[{i}].amount"), "cannot be negative");
            }
            if rate.tiers.windows(2).any(|pair| pair[0].above >= pair[1].above) {
                bad(format!("price.rate[{i}].tier"), "must rise: each `above` is more than the one before");
            }
            if rate.tiers.first().is_some_and(|tier| tier.above == 0) {
                bad(format!("price.rate[{i}].tier"), "begins above 1 at the earliest: the first deliveries cost `amount`");
            }
        }
        for (i, terms) in self.terms.iter().enumerate() {
            if self.terms[..i].iter().any(|earlier| earlier.from == terms.from) {
                bad(format!("price.terms[{i}].from"), "is the first day of earlier terms too");
            }
            let amounts = [terms.minimum, terms.cap, terms.address_month];
            if amounts.into_iter().flatten().any(|amount| amount < Money::ZERO) {
                bad(format!("price.terms[{i}]"), "cannot have negative amounts");
            }
            if terms.minimum.zip(terms.cap).is_some_and(|(minimum, cap)| minimum > cap) {
                bad(format!("price.terms[{i}].minimum"), "is more than the cap");
            }
            let cells = terms.cost_center.iter().flat_map(|(site, center)| [site, center]);
            if cells.into_iter().any(|cell| super::text::line(cell, 64).is_err()) {
                bad(format!("price.terms[{i}].cost_center"), "must be short texts of one line");
            }
        }
        for (i, j, _) in self.sponsors().filter(|(_, _, sponsor)| *sponsor == slug) {
            // It would look as if somebody else paid, and take the place of one who does.
            bad(
                format!("price.terms[{i}].sponsor[{j}].organization"),
                "is the organization itself, which pays without a sponsor",
            );
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(toml: &str) -> PriceList {
        toml::from_str(toml).unwrap()
    }

    #[test]
    fn the_latest_rate_that_has_begun_is_in_force() {
        let prices = list(
            "rate = [{ from = '2026-11-01', fee_code = 'direct', amount = '0.30' }, \
             { from = '2026-01-01', fee_code = 'direct', amount = '0.25' }]",
        );
        let on = |day: &str| prices.rate("direct", day.parse().unwrap()).map(|rate| rate.amount.to_string());
        assert_eq!(on("2025-12-31"), None);
        assert_eq!(on("2026-10-31").as_deref(), Some("0.25"));
        assert_eq!(on("2026-11-01").as_deref(), Some("0.30"));
        assert_eq!(prices.rate("direct_resend", "2026-11-01".parse().unwrap()), None);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let prices = list(
            "rate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.30', tier = [{ above = 9, amount = '1' }, { above = 9, amount = '2' }] }, \
             { from = '2026-01-01', fee_code = 'direct', amount = '-1' }]\n\
             terms = [{ from = '2026-01-01', minimum = '9', cap = '8', sponsor = [{ organization = 'plan' }, { organization = 'north' }] }]",
        );
        let fields: Vec<_> = prices.problems("north").into_iter().map(|problem| problem.field).collect();
        assert_eq!(
            fields,
            [
                "price.rate[0].tier",
                "price.rate[1].from",
                "price.rate[1].amount",
                "price.terms[0].minimum",
                "price.terms[0].sponsor[1].organization"
            ]
        );
    }

    #[test]
    fn failures_are_given_back_as_the_rule_says() {
        let credits = |toml: &str| (list(toml).credits(true), list(toml).credits(false));
        assert_eq!(credits(""), (true, false));
        assert_eq!(credits("credit_trust_failures = false"), (false, false));
        assert_eq!(credits("credit_failures = 'any'"), (true, true));
        assert_eq!(credits("credit_failures = 'never'"), (false, false));
    }

    #[test]
    fn a_key_of_a_plan_that_could_be_about_a_patient_is_left_out() {
        assert_eq!(payer_key(Some(" PLAN-DEMO ")), "PLAN-DEMO");
        for stated in [None, Some("Morgan Testriver"), Some("a@b"), Some(&*"9".repeat(41))] {
            assert_eq!(payer_key(stated), "");
        }
    }
}
