//! The ledger for other programs: line by line as CSV and JSON, a closed month as an invoice for QuickBooks.

/// Invoices for QuickBooks Desktop.
pub mod iif;

use std::{collections::HashMap, io::Write};

use serde::Serialize;

use super::BillError;
use crate::{
    domain::{
        Currency, DeliveryId, Money, Month, OrgId, OrgScope, Timestamp, id::LedgerLineId, prices::EntryType, text::spreadsheet,
    },
    store::{
        Store,
        ledger::{LedgerLine, read::LineQuery},
    },
};

/// So many lines are read at a time.
const PAGE: u32 = 2000;

/// One ledger line as other programs read it. Holds nothing about a patient. Its `id` names it for ever: whoever takes a line
/// twice knows by it.
#[derive(Debug, Clone, Serialize)]
pub struct ExportedLine<'a> {
    /// Names the line for ever.
    pub id: LedgerLineId,
    /// Its place in the organization's ledger.
    pub line: i64,
    /// Charge, credit ...
    pub entry_type: EntryType,
    /// When it became billable, in UTC.
    #[serde(serialize_with = "as_text")]
    pub occurred_at: Timestamp,
    /// When it was written, in UTC.
    #[serde(serialize_with = "as_text")]
    pub recorded_at: Timestamp,
    /// The month it is billed in.
    pub month: Month,
    /// The closed month it belongs to.
    pub relates_to: Option<Month>,
    /// Whose delivery.
    pub organization: &'a str,
    /// Who pays.
    pub bill_to: &'a str,
    /// From which cost centre.
    pub cost_center: &'a str,
    /// Where.
    pub site: &'a str,
    /// The health plan, by the sender's key of it.
    pub payer: &'a str,
    /// The way it went.
    pub channel: &'a str,
    /// Of the result.
    pub status: &'a str,
    /// What for.
    pub fee_code: &'a str,
    /// `unpriced`, `test`, `tier`, `cap` or empty.
    pub note: &'a str,
    /// How many.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Money,
    /// Quantity times price.
    pub amount: Money,
    /// In what.
    pub currency: &'a Currency,
    /// The price it was charged by.
    pub price: Option<&'a str>,
    /// The delivery it is about.
    pub delivery: Option<DeliveryId>,
    /// The line it takes back.
    pub reverses: Option<LedgerLineId>,
    /// Why a person entered it.
    pub reason: &'a str,
    /// Who did.
    pub entered_by: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn as_text<S: serde::Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

const HEADER: [&str; 25] = [
    "id",
    "line",
    "entry_type",
    "occurred_at",
    "recorded_at",
    "month",
    "relates_to",
    "organization",
    "bill_to",
    "cost_center",
    "site",
    "payer",
    "channel",
    "status",
    "fee_code",
    "note",
    "quantity",
    "unit_price",
    "amount",
    "currency",
    "price",
    "delivery",
    "reverses",
    "reason",
    "entered_by",
];

impl<'a> ExportedLine<'a> {
    /// A line; `slugs` says what organizations are called.
    #[must_use]
    pub fn of(line: &'a LedgerLine, slugs: &'a HashMap<OrgId, String>) -> Self {
        let slug = |org: OrgId| slugs.get(&org).map_or("", String::as_str);
        Self {
            id: line.id,
            line: line.seq,
            entry_type: line.entry_type,
            occurred_at: line.occurred_at,
            recorded_at: line.recorded_at,
            month: line.period,
            relates_to: line.relates_to,
            organization: slug(line.org),
            bill_to: slug(line.bill_to),
            cost_center: &line.cost_center,
            site: &line.site,
            payer: &line.payer,
            channel: &line.channel,
            status: &line.status,
            fee_code: &line.fee_code,
            note: &line.note,
            quantity: line.quantity,
            unit_price: line.unit_price,
            amount: line.amount,
            currency: &line.currency,
            price: line.price.as_deref(),
            delivery: line.delivery,
            reverses: line.reverses,
            reason: &line.reason,
            entered_by: &line.entered_by,
        }
    }

    /// As the header names them: what others have chosen is made text, what is a number stays one.
    fn cells(&self) -> [String; 25] {
        let word = |value: Option<&dyn ToString>| value.map(ToString::to_string).unwrap_or_default();
        [
            self.id.to_string(),
            self.line.to_string(),
            self.entry_type.to_string(),
            self.occurred_at.to_string(),
            self.recorded_at.to_string(),
            self.month.to_string(),
            word(self.relates_to.as_ref().map(|it| it as _)),
            spreadsheet(self.organization),
            spreadsheet(self.bill_to),
            spreadsheet(self.cost_center),
            spreadsheet(self.site),
            spreadsheet(self.payer),
            spreadsheet(self.channel),
            spreadsheet(self.status),
            spreadsheet(self.fee_code),
            spreadsheet(self.note),
            self.quantity.to_string(),
            self.unit_price.to_string(),
            self.amount.to_string(),
            spreadsheet(self.currency.as_str()),
            spreadsheet(self.price.unwrap_or_default()),
            word(self.delivery.as_ref().map(|it| it as _)),
            word(self.reverses.as_ref().map(|it| it as _)),
            spreadsheet(self.reason),
            spreadsheet(self.entered_by),
        ]
    }
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// RFC 4180, with a header.
    Csv,
    /// One JSON object on each line.
    Jsonl,
}

/// What was written: the control totals of an export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// How many lines.
    pub lines: u64,
    /// The last one's place; where to go on.
    pub last: i64,
    /// What they add up to, by currency.
    pub amounts: std::collections::BTreeMap<Currency, Money>,
}

/// Writes the lines a query asks for behind the place `after`, in their order, page by page: memory is bounded however many
/// there are.
///
/// # Errors
/// [`BillError`].
pub async fn lines(
    store: &Store,
    scope: OrgScope,
    query: &LineQuery<'_>,
    after: i64,
    slugs: &HashMap<OrgId, String>,
    format: LineFormat,
    mut out: impl Write,
) -> Result<Exported, BillError> {
    let mut exported = Exported { last: after, ..Exported::default() };
    loop {
        let page = page(store, scope, query, exported.last, PAGE, slugs, format, &mut out).await?;
        exported.last = page.last;
        exported.lines += page.lines;
        for (currency, sum) in page.amounts {
            let all = exported.amounts.entry(currency).or_default();
            *all = all.plus(sum).ok_or_else(|| too_much(query.org, slugs))?;
        }
        if page.lines < u64::from(PAGE) {
            return Ok(exported);
        }
    }
}

fn too_much(org: OrgId, slugs: &HashMap<OrgId, String>) -> BillError {
    BillError::TooMuch { organization: slugs.get(&org).cloned().unwrap_or_default() }
}

/// Writes at most `most` of these lines. The header of a CSV comes before the first line there is.
///
/// # Errors
/// [`BillError`].
#[expect(clippy::too_many_arguments, reason = "what is read, from where on, how it is written and where to are as many")]
pub async fn page(
    store: &Store,
    scope: OrgScope,
    query: &LineQuery<'_>,
    after: i64,
    most: u32,
    slugs: &HashMap<OrgId, String>,
    format: LineFormat,
    mut out: impl Write,
) -> Result<Exported, BillError> {
    let page = store.ledger_page(scope, query, after, most).await?;
    let mut exported = Exported { last: page.last().map_or(after, |line| line.seq), ..Exported::default() };
    let mut chunk = Vec::with_capacity(page.len() * 300);
    if format == LineFormat::Csv {
        let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(&mut chunk);
        if after == 0 {
            writer.write_record(HEADER).map_err(BillError::Write)?;
        }
        for line in &page {
            writer.write_record(ExportedLine::of(line, slugs).cells()).map_err(BillError::Write)?;
        }
        writer.flush().map_err(|error| BillError::Write(error.into()))?;
    } else {
        for line in &page {
            serde_json::to_writer(&mut chunk, &ExportedLine::of(line, slugs)).map_err(BillError::Json)?;
            chunk.push(b'\n');
        }
    }
    out.write_all(&chunk).map_err(|error| BillError::Write(error.into()))?;
    for line in &page {
        exported.lines += 1;
        let sum = exported.amounts.entry(line.currency.clone()).or_default();
        *sum = sum.plus(line.amount).ok_or_else(|| too_much(query.org, slugs))?;
    }
    Ok(exported)
}
