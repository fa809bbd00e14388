//! Ledger lines, grouped and added up. Pure: the same lines give the same report.
//!
//! A row is what a biller can check by hand: so many, at this price, make this amount. A price that changed within the
//! period therefore makes two rows, and a credit is a row of its own.

use std::collections::BTreeMap;

use serde::Serialize;

use super::BillError;
use crate::{
    domain::{Currency, Money, prices::EntryType, time::Date},
    store::ledger::read::PaidRow,
};

/// The fees of a period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// First day.
    pub from: Date,
    /// First day no longer in it.
    pub to: Date,
    /// By organization, site, entry type, fee code, currency, note and price.
    pub rows: Vec<Row>,
    /// What each organization owes in each currency.
    pub organizations: Vec<Owed>,
    /// What all of them owe in each currency.
    pub totals: Vec<Total>,
}

/// Lines that differ in nothing but the delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What they have in common.
    #[serde(flatten)]
    pub group: Group,
    /// How many.
    pub quantity: i64,
    /// Quantity times price.
    pub amount: Money,
}

/// What the lines of one row have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    /// Slug.
    pub organization: String,
    /// The site's `local_id`.
    pub site: String,
    /// Charge, credit ...
    pub entry_type: EntryType,
    /// What for.
    pub fee_code: String,
    /// In what.
    pub currency: Currency,
    /// `unpriced`, `test` or empty.
    pub note: String,
    /// Price of one.
    pub unit_price: Money,
}

/// The sum of one organization in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owed {
    /// Slug.
    pub organization: String,
    /// The sum.
    #[serde(flatten)]
    pub total: Total,
}

/// A sum in one currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Total {
    /// In what.
    pub currency: Currency,
    /// How many deliveries were charged for.
    pub charges: i64,
    /// Of these, how many at no price because none was in force.
    pub unpriced: i64,
    /// Of these, how many at no price because they were test traffic.
    pub test: i64,
    /// What is owed, credits taken off.
    pub amount: Money,
}

/// Adds up what the ledger adds up to in a period; each row comes with the slug of its organization.
///
/// # Errors
/// [`BillError::TooMuch`].
pub fn report<'a>(from: Date, to: Date, sums: impl IntoIterator<Item = (&'a str, &'a PaidRow)>) -> Result<Report, BillError> {
    let mut rows: BTreeMap<Group, (i64, Money)> = BTreeMap::new();
    let mut owed: BTreeMap<(String, Currency), Total> = BTreeMap::new();
    let mut totals: BTreeMap<Currency, Total> = BTreeMap::new();
    for (organization, sum) in sums {
        let too_much = || BillError::TooMuch { organization: organization.to_owned() };
        let known = &sum.row.group;
        let group = Group {
            organization: organization.to_owned(),
            site: known.site.clone(),
            entry_type: known.entry_type,
            fee_code: known.fee_code.clone(),
            currency: known.currency.clone(),
            note: known.note.clone(),
            unit_price: known.unit_price,
        };
        let (quantity, amount) = rows.entry(group).or_default();
        *quantity = quantity.checked_add(sum.row.quantity).ok_or_else(too_much)?;
        *amount = amount.plus(sum.row.amount).ok_or_else(too_much)?;
        let nothing = || Total::nothing(&known.currency);
        owed.entry((organization.to_owned(), known.currency.clone())).or_insert_with(nothing).add(sum).ok_or_else(too_much)?;
        totals.entry(known.currency.clone()).or_insert_with(nothing).add(sum).ok_or_else(too_much)?;
    }
    Ok(Report {
        from,
        to,
        rows: rows.into_iter().map(|(group, (quantity, amount))| Row { group, quantity, amount }).collect(),
        organizations: owed.into_iter().map(|((organization, _), total)| Owed { organization, total }).collect(),
        totals: totals.into_values().collect(),
    })
}

impl Total {
    fn nothing(currency: &Currency) -> Self {
        Self { currency: currency.clone(), charges: 0, unpriced: 0, test: 0, amount: Money::ZERO }
    }

    fn add(&mut self, sum: &PaidRow) -> Option<()> {
        let (group, quantity) = (&sum.row.group, sum.row.quantity);
        self.amount = self.amount.plus(sum.row.amount)?;
        if sum.row.is_delivery() {
            self.charges = self.charges.checked_add(quantity)?;
            match group.note.as_str() {
                "unpriced" => self.unpriced = self.unpriced.checked_add(quantity)?,
                "test" => self.test = self.test.checked_add(quantity)?,
                _ => {}
            }
        }
        Some(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::{
        OrgId,
        prices::closing::{Group as Lines, Row as Sum},
    };

    /// One line, added up.
    pub(in crate::bill) fn line(site: &str, entry_type: EntryType, price: &str, note: &str) -> PaidRow {
        let amount: Money = price.parse().unwrap();
        let group = Lines {
            bill_to: OrgId::new(),
            currency: Currency::default(),
            site: site.into(),
            cost_center: String::new(),
            channel: "direct".into(),
            status: "final".into(),
            entry_type,
            fee_code: "direct".into(),
            note: note.into(),
            relates_to: None,
            unit_price: amount,
            price: None,
        };
        let row = Sum { group, quantity: 1, amount, lines: 1, first: 1 };
        PaidRow { payer: String::new(), relay: String::new(), period: "2026-01".parse().unwrap(), row }
    }

    pub(in crate::bill) fn january(lines: &[(&str, PaidRow)]) -> Report {
        let lines = lines.iter().map(|(slug, line)| (*slug, line));
        report("2026-01-01".parse().unwrap(), "2026-02-01".parse().unwrap(), lines).unwrap()
    }

    #[test]
    fn a_row_is_quantity_times_price_so_that_a_new_price_makes_another_row() {
        use EntryType::{Charge, Credit};
        let report = january(&[
            ("north", line("R1", Charge, "0.25", "")),
            ("north", line("R1", Charge, "0.25", "")),
            ("north", line("R1", Charge, "0.30", "")),
            ("north", line("R1", Credit, "-0.25", "")),
            ("north", line("R1", Charge, "0", "unpriced")),
            ("alpha", line("R1", Charge, "0", "test")),
        ]);
        let rows: Vec<_> = report
            .rows
            .iter()
            .map(|row| (row.group.organization.as_str(), row.quantity, row.group.unit_price.to_string(), row.amount.to_string()))
            .collect();
        let row = |org, quantity, price: &str, amount: &str| (org, quantity, price.to_owned(), amount.to_owned());
        assert_eq!(
            rows,
            [
                row("alpha", 1, "0.00", "0.00"),
                row("north", 2, "0.25", "0.50"),
                row("north", 1, "0.30", "0.30"),
                row("north", 1, "0.00", "0.00"),
                row("north", 1, "-0.25", "-0.25"),
            ]
        );
        let north = &report.organizations[1].total;
        assert_eq!((north.charges, north.unpriced, north.amount.to_string().as_str()), (4, 1, "0.55"));
        assert_eq!((report.totals[0].charges, report.totals[0].test), (5, 1));
    }

    #[test]
    fn currencies_are_never_added_up() {
        let mut euro = line("R1", EntryType::Charge, "1.00", "");
        euro.row.group.currency = "EUR".parse().unwrap();
        let report = january(&[("north", line("R1", EntryType::Charge, "1.00", "")), ("north", euro)]);
        assert_eq!(report.totals.len(), 2);
        assert!(report.totals.iter().all(|total| total.amount.to_string() == "1.00"));
    }

    #[test]
    fn a_sum_that_does_not_fit_is_an_error_and_no_wrong_number() {
        let mut huge = line("R1", EntryType::Charge, "0", "");
        huge.row.amount = Money::from_micros(i64::MAX);
        let day: Date = "2026-01-01".parse().unwrap();
        assert!(report(day, day.next(), [("north", &huge), ("north", &huge)]).is_err());
    }
}
