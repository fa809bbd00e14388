//! One line of the ledger, and the hash that chains it to the one before.

use crate::{
    crypto::{self, Hex},
    domain::{Currency, DeliveryId, Money, Month, OrgId, Timestamp, id::LedgerLineId, prices::EntryType},
    store::{Result, read, rows::Cell},
};

/// One line of the ledger. Holds nothing about a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerLine {
    /// Its place in the organization's chain, from 1.
    pub seq: i64,
    /// Which.
    pub id: LedgerLineId,
    /// Whose ledger.
    pub org: OrgId,
    /// Who pays.
    pub bill_to: OrgId,
    /// From which cost centre; may be empty.
    pub cost_center: String,
    /// The delivery it is about; `None` when it is about a period.
    pub delivery: Option<DeliveryId>,
    /// The site; empty when it is about a period.
    pub site: String,
    /// The health plan, by the sender's key of it; may be empty.
    pub payer: String,
    /// The way it went; empty when it is about a period.
    pub channel: String,
    /// Of the result; empty when it is about a period.
    pub status: String,
    /// Charge, credit ...
    pub entry_type: EntryType,
    /// What for.
    pub fee_code: String,
    /// How many.
    pub quantity: i64,
    /// Price of one.
    pub unit_price: Money,
    /// Quantity times price.
    pub amount: Money,
    /// In what.
    pub currency: Currency,
    /// The price it was charged by.
    pub price: Option<String>,
    /// `unpriced`, `test`, `tier`, `cap` or empty.
    pub note: String,
    /// The month it is billed in.
    pub period: Month,
    /// The closed month it belongs to.
    pub relates_to: Option<Month>,
    /// The line it takes back.
    pub reverses: Option<LedgerLineId>,
    /// Why a person entered it.
    pub reason: String,
    /// Who did.
    pub entered_by: String,
    /// When it became billable.
    pub occurred_at: Timestamp,
    /// When it was written.
    pub recorded_at: Timestamp,
}

/// Every column, for a SELECT from `ledger_line l`.
macro_rules! line_columns {
    () => {
        "l.org_id, l.seq, l.id, l.bill_to_org, l.cost_center, l.delivery_id, l.site, l.payer, l.channel, l.status, l.entry_type,
         l.fee_code, l.quantity, l.unit_price, l.amount, l.currency, l.price_id, l.note, l.period, l.relates_to, l.reverses, l.reason,
         l.entered_by, l.occurred_at, l.recorded_at, l.previous, l.hash"
    };
}
pub(super) use line_columns;

/// Before the rows of an INSERT.
pub(super) const LINE: &str =
    "INSERT INTO ledger_line (org_id, seq, id, bill_to_org, cost_center, delivery_id, site, payer, channel, status, entry_type,
        fee_code, quantity, unit_price, amount, currency, price_id, note, period, relates_to, reverses, reason,
        entered_by, occurred_at, recorded_at, previous, hash) ";

/// A line as it lies in the database.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(super) struct StoredLine {
    pub(super) org_id: String,
    pub(super) seq: i64,
    pub(super) id: String,
    pub(super) bill_to_org: String,
    pub(super) cost_center: String,
    pub(super) delivery_id: Option<String>,
    pub(super) site: String,
    pub(super) payer: String,
    pub(super) channel: String,
    pub(super) status: String,
    pub(super) entry_type: String,
    pub(super) fee_code: String,
    pub(super) quantity: i64,
    pub(super) unit_price: i64,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) price_id: Option<String>,
    pub(super) note: String,
    pub(super) period: String,
    pub(super) relates_to: Option<String>,
    pub(super) reverses: Option<String>,
    pub(super) reason: String,
    pub(super) entered_by: String,
    pub(super) occurred_at: i64,
    pub(super) recorded_at: i64,
    pub(super) previous: String,
    pub(super) hash: String,
}

impl StoredLine {
    /// What its hash must be at the place `seq`: over every field, each with its length before it, so that no two lines
    /// read the same.
    pub(super) fn hash_at(&self, seq: i64) -> String {
        use std::fmt::Write as _;
        let mut all = String::with_capacity(700);
        let texts = [
            Some(&self.previous),
            Some(&self.org_id),
            Some(&self.id),
            Some(&self.bill_to_org),
            Some(&self.cost_center),
            self.delivery_id.as_ref(),
            Some(&self.site),
            Some(&self.payer),
            Some(&self.channel),
            Some(&self.status),
            Some(&self.entry_type),
            Some(&self.fee_code),
            Some(&self.currency),
            self.price_id.as_ref(),
            Some(&self.note),
            Some(&self.period),
            self.relates_to.as_ref(),
            self.reverses.as_ref(),
            Some(&self.reason),
            Some(&self.entered_by),
        ];
        // Writing to a String cannot fail.
        for text in texts {
            let _ = match text {
                Some(text) => write!(all, "{}:{text}", text.len()),
                None => write!(all, "-:"),
            };
        }
        for number in [seq, self.quantity, self.unit_price, self.amount, self.occurred_at, self.recorded_at] {
            let _ = write!(all, "{number};");
        }
        Hex(&crypto::sha256(all.as_bytes())).to_string()
    }

    /// Puts it behind the line with the hash `previous`.
    pub(super) fn chained(mut self, seq: i64, previous: &str) -> Self {
        previous.clone_into(&mut self.previous);
        self.seq = seq;
        self.hash = self.hash_at(seq);
        self
    }

    pub(super) fn is(&self, entry_type: EntryType) -> bool {
        self.entry_type == entry_type.as_str()
    }

    /// The line that takes this one back, at the price it was charged at. The line itself stays where it is.
    pub(super) fn taken_back(&self, entry_type: EntryType, period: crate::store::period::Place, now: Timestamp) -> Self {
        Self {
            id: LedgerLineId::new().to_string(),
            entry_type: entry_type.as_str().to_owned(),
            unit_price: self.unit_price.saturating_neg(),
            amount: self.amount.saturating_neg(),
            period: period.month.to_string(),
            relates_to: period.relates_to.map(|month| month.to_string()),
            reverses: Some(self.id.clone()),
            reason: String::new(),
            entered_by: String::new(),
            occurred_at: now.micros(),
            recorded_at: now.micros(),
            previous: String::new(),
            hash: String::new(),
            ..self.clone()
        }
    }

    /// As [`LINE`] names it.
    pub(super) fn row(self) -> [Cell; 27] {
        [
            self.org_id.into(),
            self.seq.into(),
            self.id.into(),
            self.bill_to_org.into(),
            self.cost_center.into(),
            self.delivery_id.into(),
            self.site.into(),
            self.payer.into(),
            self.channel.into(),
            self.status.into(),
            self.entry_type.into(),
            self.fee_code.into(),
            self.quantity.into(),
            self.unit_price.into(),
            self.amount.into(),
            self.currency.into(),
            self.price_id.into(),
            self.note.into(),
            self.period.into(),
            self.relates_to.into(),
            self.reverses.into(),
            self.reason.into(),
            self.entered_by.into(),
            self.occurred_at.into(),
            self.recorded_at.into(),
            self.previous.into(),
            self.hash.into(),
        ]
    }

    pub(super) fn line(self) -> Result<LedgerLine> {
        Ok(LedgerLine {
            seq: self.seq,
            id: read("ledger line id", &self.id)?,
            org: read("organization id", &self.org_id)?,
            bill_to: read("organization id", &self.bill_to_org)?,
            cost_center: self.cost_center,
            delivery: self.delivery_id.as_deref().map(|id| read("delivery id", id)).transpose()?,
            site: self.site,
            payer: self.payer,
            channel: self.channel,
            status: self.status,
            entry_type: read("entry type", &self.entry_type)?,
            fee_code: self.fee_code,
            quantity: self.quantity,
            unit_price: Money::from_micros(self.unit_price),
            amount: Money::from_micros(self.amount),
            currency: read("currency", &self.currency)?,
            price: self.price_id,
            note: self.note,
            period: read("month", &self.period)?,
            relates_to: self.relates_to.as_deref().map(|month| read("month", month)).transpose()?,
            reverses: self.reverses.as_deref().map(|id| read("ledger line id", id)).transpose()?,
            reason: self.reason,
            entered_by: self.entered_by,
            occurred_at: Timestamp(self.occurred_at),
            recorded_at: Timestamp(self.recorded_at),
        })
    }
}
