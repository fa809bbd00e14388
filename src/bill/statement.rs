//! What a month costs, for whoever pays it. Made of the ledger, the month and what was recorded when it was closed: from
//! the same facts the same octets, whenever and wherever it is made again.

/// As CSV.
pub mod csv;
/// As a page for a browser and a printer.
pub mod html;
/// As a PDF.
pub mod pdf;

use std::collections::BTreeMap;

use serde::Serialize;

use super::BillError;
use crate::{
    domain::{
        Currency, Money, Month, OffsetTime, OrgId, OrgScope,
        period::PeriodState,
        prices::{
            EntryType,
            closing::{Row, merged},
        },
        time::TimeZone,
    },
    store::{
        Store,
        ledger::{
            close::{Controls, Party},
            read::LineQuery,
        },
        organization::Organization,
        period::BillingPeriod,
    },
};

/// What a month costs one payer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statement {
    /// What it is called: the organization and the month, and the payer when that is another.
    pub number: String,
    /// `closed`; anything else is a draft.
    pub state: PeriodState,
    /// Whose deliveries.
    pub organization: Name,
    /// Who pays.
    pub bill_to: Name,
    /// Which month.
    pub month: Month,
    /// Whose days.
    pub time_zone: TimeZone,
    /// Its first instant.
    pub from: OffsetTime,
    /// The first instant no longer in it.
    pub to: OffsetTime,
    /// When it was closed.
    pub closed_at: Option<OffsetTime>,
    /// Whether it was closed although something was still open.
    pub forced: bool,
    /// A quantity times a price each.
    pub rows: Vec<StatementRow>,
    /// What is owed in each currency.
    pub totals: Vec<StatementTotal>,
    /// What ties it to the deliveries; only for the organization itself.
    pub controls: Option<StatementControls>,
    /// The ledger's last line when the month was closed.
    pub last_line: Option<i64>,
    /// That line's hash.
    pub last_hash: Option<String>,
}

/// Who.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Name {
    /// Slug.
    pub slug: String,
    /// Name.
    pub name: String,
}

/// Lines that differ in nothing but the delivery.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatementRow {
    /// The site's `local_id`; empty for what is about the whole month.
    pub site: String,
    /// Its cost centre.
    pub cost_center: String,
    /// The way it went.
    pub channel: String,
    /// Of the result.
    pub status: String,
    /// Charge, credit ...
    pub entry_type: EntryType,
    /// What for.
    pub fee_code: String,
    /// `unpriced`, `test`, `tier`, `cap` or empty.
    pub note: String,
    /// The closed month it belongs to.
    pub relates_to: Option<Month>,
    /// The price it was charged by.
    pub price: Option<String>,
    /// How many.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Money,
    /// Quantity times price, before rounding.
    pub exact: Money,
    /// The same in coins there are.
    pub amount: Money,
    /// In what.
    pub currency: Currency,
}

/// What is owed in one currency. Charged, credited, adjusted, minimum and rounding add up to the total, and so do the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementTotal {
    /// In what.
    pub currency: Currency,
    /// How many deliveries were charged.
    pub charges: i64,
    /// What was charged.
    pub charged: Money,
    /// What was given back.
    pub credited: Money,
    /// What was corrected, and what tiers and a cap change.
    pub adjusted: Money,
    /// What a minimum adds.
    pub minimum: Money,
    /// What rounding the rows adds.
    pub rounding: Money,
    /// What is owed.
    pub total: Money,
}

/// What ties a statement to the deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementControls {
    /// Deliveries and charges.
    #[serde(flatten)]
    pub counts: Controls,
    /// Charges for deliveries that others pay.
    pub billed_to_others: u64,
    /// Whether every delivery is charged once or says why not, and every charge has its delivery.
    pub ties: bool,
}

/// What a statement is made of.
#[derive(Debug)]
pub struct Facts<'a> {
    /// The month.
    pub period: &'a BillingPeriod,
    /// Where it stands.
    pub state: PeriodState,
    /// Whose deliveries.
    pub organization: Name,
    /// Who pays.
    pub bill_to: (OrgId, Name),
    /// The lines of the month, added up, whoever pays.
    pub rows: &'a [Row],
    /// What ties.
    pub controls: Option<Controls>,
}

impl Statement {
    /// The statement of `bill_to` about a month of `organization`: final when that is closed, a draft until then.
    ///
    /// # Errors
    /// [`BillError`].
    pub async fn make(
        store: &Store,
        organization: &Organization,
        month: Month,
        bill_to: &Organization,
    ) -> Result<Self, BillError> {
        Self::counting(store, organization, month, bill_to, true).await
    }

    /// The same for a quick look: as long as the month is open its deliveries are not counted, so that a draft says nothing about
    /// whether it ties.
    ///
    /// # Errors
    /// [`BillError`].
    pub async fn glance(
        store: &Store,
        organization: &Organization,
        month: Month,
        bill_to: &Organization,
    ) -> Result<Self, BillError> {
        Self::counting(store, organization, month, bill_to, false).await
    }

    async fn counting(
        store: &Store,
        organization: &Organization,
        month: Month,
        bill_to: &Organization,
        count: bool,
    ) -> Result<Self, BillError> {
        let no_period = || BillError::NoPeriod { organization: organization.file.slug.clone(), month };
        let period = store.period(OrgScope::All, organization.id, month).await?.ok_or_else(no_period)?;
        let query = LineQuery { period: Some(month), ..LineQuery::of(organization.id) };
        let sums = store.ledger_sums(OrgScope::All, &query).await?;
        let rows: Vec<Row> = sums.into_iter().map(|paid| paid.row).collect();
        let state = period.state(store.now().await?);
        let (own, payer, controls) = match &period.record {
            Some(record) => {
                let payer = record.payers.iter().find(|payer| payer.id == bill_to.id).map(Name::from);
                (Name::from(&record.organization), payer, Some(record.controls.clone()))
            }
            None if count => (Name::of(organization), None, Some(store.period_controls(&period, &rows).await?)),
            None => (Name::of(organization), None, None),
        };
        let bill_to = (bill_to.id, payer.unwrap_or_else(|| Name::of(bill_to)));
        Self::of(Facts { period: &period, state, organization: own, bill_to, rows: &rows, controls })
    }

    /// The statements of everybody who pays for a month of `organization`, or of `payer` alone. Of a month that is not closed
    /// nobody is known to pay: the draft of the organization itself.
    ///
    /// # Errors
    /// [`BillError`].
    pub async fn all(
        store: &Store,
        organization: &Organization,
        month: Month,
        payer: Option<&Organization>,
    ) -> Result<Vec<Self>, BillError> {
        let mut payers: Vec<Organization> = payer.into_iter().cloned().collect();
        if payers.is_empty() {
            let period = store.period(OrgScope::All, organization.id, month).await?;
            for payer in period.and_then(|period| period.record).map(|record| record.payers).unwrap_or_default() {
                payers.extend(store.organization(payer.id).await?);
            }
        }
        if payers.is_empty() {
            payers.push(organization.clone());
        }
        let mut statements = Vec::with_capacity(payers.len());
        for payer in payers {
            statements.push(Self::make(store, organization, month, &payer).await?);
        }
        Ok(statements)
    }

    /// The same from what is at hand. Pure.
    ///
    /// # Errors
    /// [`BillError::TooMuch`], [`BillError::Untied`].
    pub fn of(facts: Facts<'_>) -> Result<Self, BillError> {
        let Facts { period, state, organization, bill_to: (payer, bill_to), rows, controls } = facts;
        let month = period.bounds.month;
        let own = payer == period.org;
        let number = if own {
            format!("{}-{month}", organization.slug)
        } else {
            format!("{}-{month}-{}", organization.slug, bill_to.slug)
        };
        let too_much = || BillError::TooMuch { organization: organization.slug.clone() };
        let mine = rows.iter().filter(|row| row.group.bill_to == payer);
        let merged = merged(mine).ok_or_else(too_much)?;
        let totals = totals(&merged).ok_or_else(too_much)?;
        if period.closed_at.is_some() {
            let rounding = |currency: &Currency| {
                let rows =
                    merged.iter().filter(|row| row.group.entry_type == EntryType::Rounding && row.group.currency == *currency);
                rows.fold(Money::ZERO, |sum, row| sum.plus(row.amount).unwrap_or(sum))
            };
            if totals.iter().any(|total| total.rounding != rounding(&total.currency)) {
                return Err(BillError::Untied { number });
            }
        }
        let others = rows.iter().filter(|row| row.group.bill_to != payer && row.is_delivery());
        let billed_to_others = others.map(|row| u64::try_from(row.lines).unwrap_or(0)).sum();
        let controls = controls.filter(|_| own);
        let controls = controls.map(|counts| StatementControls { ties: counts.tie(), billed_to_others, counts });
        let record = period.record.as_ref();
        let of_rows = merged.iter().filter(|row| row.group.entry_type != EntryType::Rounding);
        let mut rows: Vec<StatementRow> = of_rows.map(StatementRow::of).collect();
        // Sites first, then what is about the whole month.
        rows.sort_by_key(|row| row.site.is_empty());
        Ok(Self {
            number,
            state,
            organization,
            bill_to,
            month,
            time_zone: period.zone.clone(),
            from: period.bounds.starts_at.in_zone(&period.zone),
            to: period.bounds.ends_at.in_zone(&period.zone),
            closed_at: period.closed_at.map(|at| at.in_zone(&period.zone)),
            forced: period.forced,
            rows,
            totals,
            controls,
            last_line: period.last_seq,
            last_hash: record.map(|record| record.hash.clone()),
        })
    }

    /// As JSON, always the same.
    ///
    /// # Errors
    /// [`BillError::Json`].
    pub fn json(&self) -> Result<String, BillError> {
        serde_json::to_string_pretty(self).map(|json| json + "\n").map_err(BillError::Json)
    }
}

fn totals(rows: &[Row]) -> Option<Vec<StatementTotal>> {
    let mut totals: BTreeMap<Currency, StatementTotal> = BTreeMap::new();
    for row in rows {
        let total =
            totals.entry(row.group.currency.clone()).or_insert_with_key(|currency| StatementTotal::nothing(currency.clone()));
        let part = match row.group.entry_type {
            EntryType::Charge => &mut total.charged,
            EntryType::Credit => &mut total.credited,
            EntryType::Adjustment => &mut total.adjusted,
            EntryType::Minimum => &mut total.minimum,
            // What it must be follows from the rows.
            EntryType::Rounding => continue,
        };
        *part = part.plus(row.amount)?;
        total.total = total.total.plus(row.rounded())?;
        total.rounding = total.rounding.plus(row.rounded())?.minus(row.amount)?;
        if row.is_delivery() {
            total.charges = total.charges.checked_add(row.quantity)?;
        }
    }
    Some(totals.into_values().collect())
}

impl StatementTotal {
    const fn nothing(currency: Currency) -> Self {
        Self {
            currency,
            charges: 0,
            charged: Money::ZERO,
            credited: Money::ZERO,
            adjusted: Money::ZERO,
            minimum: Money::ZERO,
            rounding: Money::ZERO,
            total: Money::ZERO,
        }
    }
}

impl StatementRow {
    fn of(row: &Row) -> Self {
        let group = &row.group;
        Self {
            site: group.site.clone(),
            cost_center: group.cost_center.clone(),
            channel: group.channel.clone(),
            status: group.status.clone(),
            entry_type: group.entry_type,
            fee_code: group.fee_code.clone(),
            note: group.note.clone(),
            relates_to: group.relates_to,
            price: group.price.clone(),
            quantity: row.quantity,
            unit_price: group.unit_price,
            exact: row.amount,
            amount: row.rounded(),
            currency: group.currency.clone(),
        }
    }

    /// What it is, in words for people.
    #[must_use]
    pub fn words(&self) -> String {
        let what = match (self.entry_type, self.fee_code.as_str(), self.note.as_str()) {
            (EntryType::Charge, "address_month", _) => "Address in use".to_owned(),
            (EntryType::Charge, "direct", _) => "Delivery".to_owned(),
            (EntryType::Charge, "direct_resend", _) => "Delivery, sent again as asked".to_owned(),
            (EntryType::Charge, other, _) => format!("Delivery ({other})"),
            (EntryType::Credit, ..) => "Given back: not delivered".to_owned(),
            (EntryType::Adjustment, fee_code, "tier") => format!("Price by number ({fee_code})"),
            (EntryType::Adjustment, _, "cap") => "Monthly cap".to_owned(),
            (EntryType::Adjustment, ..) => "Correction".to_owned(),
            (EntryType::Minimum, ..) => "Up to the monthly minimum".to_owned(),
            (EntryType::Rounding, ..) => "Rounding".to_owned(),
        };
        let of = [
            Some(&self.status).filter(|status| !status.is_empty() && *status != "final").cloned(),
            Some(&self.channel).filter(|channel| !channel.is_empty() && *channel != "direct").cloned(),
            Some(&self.note).filter(|note| matches!(note.as_str(), "test" | "unpriced")).cloned(),
            self.relates_to.map(|month| format!("belongs to {month}")),
        ];
        let of: Vec<String> = of.into_iter().flatten().collect();
        if of.is_empty() { what } else { format!("{what} ({})", of.join(", ")) }
    }

    /// Where: the site and its cost centre.
    #[must_use]
    pub fn place(&self) -> String {
        if self.cost_center.is_empty() { self.site.clone() } else { format!("{} / {}", self.site, self.cost_center) }
    }
}

impl Name {
    /// An organization as it is called now.
    #[must_use]
    pub fn of(organization: &Organization) -> Self {
        Self { slug: organization.file.slug.clone(), name: organization.file.name.clone() }
    }
}

impl From<&Party> for Name {
    fn from(party: &Party) -> Self {
        Self { slug: party.slug.clone(), name: party.name.clone() }
    }
}

#[cfg(test)]
mod tests;
