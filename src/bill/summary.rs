//! Fees by whatever they are looked at by: sites, payers, months, any of them together. Pure: the same lines give the same
//! rows, and the rows add up to the totals.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::BillError;
use crate::{
    config::fees::FeesSection,
    domain::{Currency, Money, Month, OrgId, prices::EntryType, words},
    store::ledger::read::PaidRow,
};

words! {
    /// What the lines of one row have in common.
    pub enum By {
        /// Whose deliveries.
        Organization = "organization",
        /// Where.
        Site = "site",
        /// Who pays.
        BillTo = "bill_to",
        /// From which cost centre.
        CostCenter = "cost_center",
        /// The health plan, by the sender's key of it.
        Payer = "payer",
        /// The way it went.
        Channel = "channel",
        /// By which relay it left, or `mx`.
        Relay = "relay",
        /// The month it is billed in.
        Month = "month",
        /// Of the result.
        Status = "status",
        /// What for.
        FeeCode = "fee_code",
        /// Charge, credit ...
        EntryType = "entry_type",
    }
}

/// Fees, looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// By what.
    pub by: Vec<By>,
    /// One for each combination and currency.
    pub rows: Vec<Line>,
    /// All rows of a currency.
    pub totals: Vec<Sums>,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Line {
    /// What its lines have in common, in the order of [`Summary::by`].
    #[serde(flatten)]
    pub keys: Keys,
    /// What they add up to.
    #[serde(flatten)]
    pub sums: Sums,
    /// How much more than in the month before; only by month, and only where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Money>,
}

/// Names with their values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keys(pub Vec<(By, String)>);

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (by, value) in &self.0 {
            map.serialize_entry(by.as_str(), value)?;
        }
        map.end()
    }
}

/// What lines of one currency add up to. Charged, credited, adjusted, minimum and rounding make the amount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sums {
    /// In what.
    pub currency: Currency,
    /// How many deliveries were charged.
    pub charges: i64,
    /// Of these, at no price because none was in force.
    pub unpriced: i64,
    /// Of these, at no price because they were test traffic.
    pub test: i64,
    /// What was charged.
    pub charged: Money,
    /// What was given back.
    pub credited: Money,
    /// What was corrected, and what tiers and caps change.
    pub adjusted: Money,
    /// What minimums add.
    pub minimum: Money,
    /// What rounding adds.
    pub rounding: Money,
    /// What is owed.
    pub amount: Money,
    /// What the HISP asks for these deliveries; absent when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Money>,
    /// What is left of the amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<Money>,
}

/// What HISPs ask for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Costs {
    /// In what.
    pub currency: Currency,
    /// By channel.
    pub channels: BTreeMap<String, Money>,
    /// By the relay it left by, or `mx`: comes before the channel's.
    pub relays: BTreeMap<String, Money>,
}

impl Costs {
    /// As the installation has set them; `None` when it has not.
    #[must_use]
    pub fn of(fees: &FeesSection) -> Option<Self> {
        let channels = fees.cost.iter().map(|(channel, cost)| (channel.to_string(), *cost)).collect();
        let costs = Self { currency: fees.cost_currency.clone(), channels, relays: fees.cost_by_relay.clone() };
        (!costs.channels.is_empty() || !costs.relays.is_empty()).then_some(costs)
    }

    /// What one message costs that left so.
    #[must_use]
    pub fn one(&self, relay: &str, channel: &str) -> Option<Money> {
        self.relays.get(relay).or_else(|| self.channels.get(channel)).copied()
    }
}

/// Whether lines have to be told apart by the relay their deliveries left by: that takes a look at each delivery.
#[must_use]
pub fn asks_for_relays(by: &[By], costs: Option<&Costs>) -> bool {
    by.contains(&By::Relay) || costs.is_some_and(|costs| !costs.relays.is_empty())
}

/// Adds up. `slugs` says what organizations are called; without `costs` there is no margin.
///
/// # Errors
/// [`BillError::TooMuch`].
pub fn summary(
    by: &[By],
    slugs: &BTreeMap<OrgId, String>,
    costs: Option<&Costs>,
    sums: &[(OrgId, PaidRow)],
) -> Result<Summary, BillError> {
    let slug = |org: OrgId| slugs.get(&org).cloned().unwrap_or_else(|| org.to_string());
    let mut rows: BTreeMap<(Keys, Currency), Sums> = BTreeMap::new();
    let mut totals: BTreeMap<Currency, Sums> = BTreeMap::new();
    for (org, paid) in sums {
        let too_much = || BillError::TooMuch { organization: slug(*org) };
        let currency = &paid.row.group.currency;
        let keys = Keys(by.iter().map(|by| (*by, value(*by, slug(*org), slug(paid.row.group.bill_to), paid))).collect());
        let nothing = || Sums::nothing(currency.clone(), costs);
        rows.entry((keys, currency.clone())).or_insert_with(nothing).add(paid, costs).ok_or_else(too_much)?;
        totals.entry(currency.clone()).or_insert_with(nothing).add(paid, costs).ok_or_else(too_much)?;
    }
    let known: BTreeMap<(Keys, Currency), Money> = rows.iter().map(|(key, sums)| (key.clone(), sums.amount)).collect();
    let rows = rows.into_iter().map(|((keys, currency), sums)| {
        let before = keys.month_before().and_then(|keys| known.get(&(keys, currency)));
        let change = before.and_then(|before| sums.amount.minus(*before));
        Line { keys, sums, change }
    });
    Ok(Summary { by: by.to_vec(), rows: rows.collect(), totals: totals.into_values().collect() })
}

fn value(by: By, organization: String, bill_to: String, paid: &PaidRow) -> String {
    let group = &paid.row.group;
    match by {
        By::Organization => organization,
        By::Site => group.site.clone(),
        By::BillTo => bill_to,
        By::CostCenter => group.cost_center.clone(),
        By::Payer => paid.payer.clone(),
        By::Channel => group.channel.clone(),
        By::Relay => paid.relay.clone(),
        By::Month => paid.period.to_string(),
        By::Status => group.status.clone(),
        By::FeeCode => group.fee_code.clone(),
        By::EntryType => group.entry_type.to_string(),
    }
}

impl Keys {
    /// The same a month earlier; `None` when the month is none of them.
    fn month_before(&self) -> Option<Self> {
        let mut before = self.clone();
        let (_, month) = before.0.iter_mut().find(|(by, _)| *by == By::Month)?;
        *month = month.parse::<Month>().ok()?.before().to_string();
        Some(before)
    }
}

impl Sums {
    fn nothing(currency: Currency, costs: Option<&Costs>) -> Self {
        // What is paid in another currency than the HISP has no margin anybody could add up.
        let cost = costs.filter(|costs| costs.currency == currency).map(|_| Money::ZERO);
        Self {
            currency,
            charges: 0,
            unpriced: 0,
            test: 0,
            charged: Money::ZERO,
            credited: Money::ZERO,
            adjusted: Money::ZERO,
            minimum: Money::ZERO,
            rounding: Money::ZERO,
            amount: Money::ZERO,
            cost,
            margin: cost,
        }
    }

    fn add(&mut self, paid: &PaidRow, costs: Option<&Costs>) -> Option<()> {
        let row = &paid.row;
        let part = match row.group.entry_type {
            EntryType::Charge => &mut self.charged,
            EntryType::Credit => &mut self.credited,
            EntryType::Adjustment => &mut self.adjusted,
            EntryType::Minimum => &mut self.minimum,
            EntryType::Rounding => &mut self.rounding,
        };
        *part = part.plus(row.amount)?;
        self.amount = self.amount.plus(row.amount)?;
        if row.is_delivery() {
            self.charges = self.charges.checked_add(row.quantity)?;
            match row.group.note.as_str() {
                "unpriced" => self.unpriced = self.unpriced.checked_add(row.quantity)?,
                "test" => self.test = self.test.checked_add(row.quantity)?,
                _ => {}
            }
            // The HISP asks for what it has taken, also when we give our charge back. What has no known cost makes the sum unknown.
            let one = costs.and_then(|costs| costs.one(&paid.relay, &row.group.channel));
            self.cost = match (self.cost, one) {
                (Some(cost), Some(one)) => Some(cost.plus(one.times(row.quantity)?)?),
                _ => None,
            };
        }
        self.margin = match self.cost {
            Some(cost) => Some(self.amount.minus(cost)?),
            None => None,
        };
        Some(())
    }
}

/// The rows as CSV (RFC 4180), so that a spreadsheet can add them up.
///
/// # Errors
/// [`BillError::Write`].
pub fn csv(summary: &Summary, out: impl std::io::Write) -> Result<(), BillError> {
    let text = crate::domain::text::spreadsheet;
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
    let names = summary.by.iter().map(|by| by.as_str()).chain(COLUMNS);
    writer.write_record(names).map_err(BillError::Write)?;
    for row in &summary.rows {
        let keys = row.keys.0.iter().map(|(_, value)| text(value));
        writer.write_record(keys.chain(row.numbers())).map_err(BillError::Write)?;
    }
    writer.flush().map_err(|error| BillError::Write(error.into()))
}

/// What stands behind the names of a row.
pub const COLUMNS: [&str; 13] = [
    "charges", "unpriced", "test", "charged", "credited", "adjusted", "minimum", "rounding", "amount", "currency", "change",
    "cost", "margin",
];

impl Line {
    /// Its numbers, as [`COLUMNS`] names them. Numbers stay numbers: a credit begins with a minus and must add up.
    #[must_use]
    pub fn numbers(&self) -> [String; 13] {
        let maybe = |money: Option<Money>| money.map_or_else(String::new, |money| money.to_string());
        let sums = &self.sums;
        [
            sums.charges.to_string(),
            sums.unpriced.to_string(),
            sums.test.to_string(),
            sums.charged.to_string(),
            sums.credited.to_string(),
            sums.adjusted.to_string(),
            sums.minimum.to_string(),
            sums.rounding.to_string(),
            sums.amount.to_string(),
            sums.currency.to_string(),
            maybe(self.change),
            maybe(sums.cost),
            maybe(sums.margin),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::line;
    use super::*;

    fn of(sums: &[(OrgId, PaidRow)], by: &[By], costs: Option<&Costs>) -> Summary {
        summary(by, &BTreeMap::new(), costs, sums).unwrap()
    }

    fn in_month(month: &str, mut row: PaidRow) -> PaidRow {
        row.period = month.parse().unwrap();
        row
    }

    #[test]
    fn rows_add_up_to_the_totals_whatever_they_are_looked_at_by() {
        use EntryType::{Adjustment, Charge, Credit};
        let org = OrgId::new();
        let lines = [("R1", Charge, "0.25"), ("R2", Charge, "0.30"), ("R1", Credit, "-0.25"), ("R2", Adjustment, "0.0125")];
        let lines = lines.map(|(site, entry, price)| (org, line(site, entry, price, "")));
        for by in By::ALL {
            let summary = of(&lines, &[*by], None);
            let sum = summary.rows.iter().fold(Money::ZERO, |sum, row| sum.plus(row.sums.amount).unwrap());
            let total = &summary.totals[0];
            assert_eq!((sum, total.amount.to_string().as_str(), total.charges), (total.amount, "0.3125", 2), "{by}");
            let parts = [total.charged, total.credited, total.adjusted, total.minimum, total.rounding];
            assert_eq!(parts.into_iter().fold(Money::ZERO, |sum, part| sum.plus(part).unwrap()), total.amount);
        }
    }

    #[test]
    fn a_month_says_how_it_differs_from_the_one_before() {
        let org = OrgId::new();
        let charge = |month: &str, price: &str| (org, in_month(month, line("R1", EntryType::Charge, price, "")));
        let lines = [charge("2025-12", "1.00"), charge("2026-01", "0.75"), charge("2026-03", "2.00")];
        let rows = of(&lines, &[By::Site, By::Month], None).rows;
        let changes: Vec<_> = rows.iter().map(|row| row.change.map(|change| change.to_string())).collect();
        assert_eq!(changes, [None, Some("-0.25".to_owned()), None], "there was no February");
    }

    #[test]
    fn what_is_given_back_still_costs_what_the_hisp_asks_and_an_unknown_cost_is_no_margin() {
        let org = OrgId::new();
        let lines = [
            (org, line("R1", EntryType::Charge, "0.25", "")),
            (org, line("R1", EntryType::Credit, "-0.25", "")),
            (org, line("R1", EntryType::Charge, "0", "test")),
        ];
        let cost: Money = "0.04".parse().unwrap();
        let channels = BTreeMap::from([("direct".to_owned(), cost)]);
        let costs = Costs { currency: Currency::default(), channels, relays: BTreeMap::new() };
        let total = of(&lines, &[], Some(&costs)).totals.remove(0);
        assert_eq!((total.cost.unwrap().to_string(), total.margin.unwrap().to_string()), ("0.08".into(), "-0.08".into()));
        let unknown = Costs { channels: BTreeMap::new(), ..costs };
        let total = of(&lines, &[], Some(&unknown)).totals.remove(0);
        assert_eq!((total.cost, total.margin), (None, None));
    }

    #[test]
    fn what_leaves_by_a_relay_costs_what_that_relay_asks_and_the_channels_price_otherwise() {
        let org = OrgId::new();
        let by = |relay: &str| PaidRow { relay: relay.into(), ..line("R1", EntryType::Charge, "0.25", "") };
        let lines = [(org, by("hisp-a")), (org, by("hisp-b")), (org, by("mx"))];
        let money = |text: &str| text.parse::<Money>().unwrap();
        let costs = Costs {
            currency: Currency::default(),
            channels: BTreeMap::from([("direct".to_owned(), money("0.05"))]),
            relays: BTreeMap::from([("hisp-a".to_owned(), money("0.02")), ("mx".to_owned(), Money::ZERO)]),
        };
        assert!(asks_for_relays(&[], Some(&costs)) && asks_for_relays(&[By::Relay], None) && !asks_for_relays(&[By::Site], None));
        let told = of(&lines, &[By::Relay], Some(&costs));
        let each: Vec<_> = told.rows.iter().map(|row| (row.keys.0[0].1.as_str(), row.sums.cost.unwrap().to_string())).collect();
        assert_eq!(each, [("hisp-a", "0.02".into()), ("hisp-b", "0.05".into()), ("mx", "0.00".into())]);
        assert_eq!(told.totals[0].margin, Some(money("0.68")));
    }

    #[test]
    fn a_name_from_outside_is_no_formula_and_a_number_stays_one() {
        let mut out = Vec::new();
        csv(&of(&[(OrgId::new(), line("=1+1", EntryType::Credit, "-0.25", ""))], &[By::Site], None), &mut out).unwrap();
        let written = String::from_utf8(out).unwrap();
        assert!(written.ends_with("\r\n'=1+1,0,0,0,0.00,-0.25,0.00,0.00,0.00,-0.25,USD,,,\r\n"), "{written}");
    }
}
