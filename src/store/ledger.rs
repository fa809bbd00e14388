//! The fee ledger: append-only, hash-chained per organization, one charge per delivery and fee code for ever.

use std::collections::BTreeMap;

use super::{Doing as _, Result, Store, StoreError, Tx, habit::Lessons, organization::price_in_force, read};
use crate::{
    crypto::{self, Hex},
    domain::{
        Currency, DeliveryId, Money, OrgId, OrgScope, Timestamp, delivery::Disposition, id::LedgerLineId, time::TimeZone, words,
    },
};

words! {
    /// What a ledger line is.
    pub enum EntryType {
        /// A delivery became billable.
        Charge = "charge",
        /// A charge is given back.
        Credit = "credit",
        /// Anything entered by hand.
        Adjustment = "adjustment",
    }
}

/// What a charge, or the credit of one, is about.
pub(super) struct Charge {
    pub(super) delivery: DeliveryId,
    pub(super) entry_type: EntryType,
    pub(super) site: String,
    pub(super) fee_code: String,
    pub(super) test: bool,
    /// The price is that of the day here.
    pub(super) zone: TimeZone,
}

/// The charges and credits of one transaction, and what it learnt. They are written at its end, each organization's chain
/// taken once and in the order of their ids, so that two transactions with many charges never wait for each other.
#[derive(Default)]
pub(super) struct Charges {
    lines: BTreeMap<OrgId, Vec<Charge>>,
    lessons: Lessons,
}

impl Charges {
    /// Notes one charge.
    pub(super) fn add(&mut self, org: OrgId, charge: Charge) {
        self.lines.entry(org).or_default().push(charge);
    }

    /// Notes how a recipient domain answered.
    pub(super) fn learn(&mut self, org: OrgId, address: &str, disposition: Disposition) {
        self.lessons.add(org, address, disposition);
    }

    /// Writes them. A second one for the same delivery and fee code changes nothing.
    pub(super) async fn write(self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        self.lessons.write(tx, now).await?;
        for (org, charges) in self.lines {
            let org_text = org.to_string();
            let (before, mut previous) = lock_head(tx, &org_text).await?;
            let mut seq = before;
            for charge in charges {
                let line = if charge.entry_type == EntryType::Credit {
                    credited(tx, org, charge, seq + 1, previous.clone(), now).await?
                } else {
                    Some(priced(tx, org, charge, seq + 1, previous.clone(), now).await?)
                };
                let Some(line) = line else { continue };
                if insert(tx, &line).await? {
                    seq += 1;
                    previous = line.hash;
                }
            }
            if seq > before {
                within!(tx, c => sqlx::query("UPDATE ledger_head SET seq = $1, hash = $2 WHERE org_id = $3")
                    .bind(seq).bind(&previous).bind(&org_text).execute(c).await.map(drop))
                .doing("move the ledger's head")?;
            }
        }
        Ok(())
    }
}

/// One line of the ledger. Holds nothing about a patient.
#[derive(Debug, Clone)]
pub struct LedgerLine {
    /// Its place in the organization's chain, from 1.
    pub seq: i64,
    /// Whose ledger.
    pub org: OrgId,
    /// The delivery it is about.
    pub delivery: DeliveryId,
    /// The site.
    pub site: String,
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
    /// `unpriced`, `test` or empty.
    pub note: String,
    /// When it became billable.
    pub occurred_at: Timestamp,
}

/// A line as it lies in the database.
#[derive(sqlx::FromRow)]
struct StoredLine {
    org_id: String,
    seq: i64,
    id: String,
    bill_to_org: String,
    delivery_id: String,
    site: String,
    entry_type: String,
    fee_code: String,
    quantity: i64,
    unit_price: i64,
    amount: i64,
    currency: String,
    price_id: Option<String>,
    note: String,
    occurred_at: i64,
    recorded_at: i64,
    previous: String,
    hash: String,
}

impl StoredLine {
    /// What its hash must be: over every field, each with its length before it, so that no two lines read the same.
    fn expected_hash(&self) -> String {
        let numbers = [self.seq, self.quantity, self.unit_price, self.amount, self.occurred_at, self.recorded_at];
        let texts = [
            &self.previous,
            &self.org_id,
            &self.id,
            &self.bill_to_org,
            &self.delivery_id,
            &self.site,
            &self.entry_type,
            &self.fee_code,
            &self.currency,
            self.price_id.as_ref().unwrap_or(&String::new()),
            &self.note,
        ]
        .map(|text| format!("{}:{text}", text.len()));
        let numbers = numbers.map(|number| format!("{number};"));
        Hex(&crypto::sha256([texts.concat(), numbers.concat()].concat().as_bytes())).to_string()
    }
}

/// The line of a charge at the price in force.
async fn priced(tx: &mut Tx, org: OrgId, charge: Charge, seq: i64, previous: String, now: Timestamp) -> Result<StoredLine> {
    let day = charge.zone.date_at(now).to_string();
    let price = price_in_force(tx, org, &charge.fee_code, &day).await?;
    // Test traffic is priced at zero, visibly; without a price the line says so and the delivery goes on.
    let (amount, note) = match &price {
        _ if charge.test => (Money::ZERO, "test"),
        Some(price) => (price.amount, ""),
        None => (Money::ZERO, "unpriced"),
    };
    let mut line = StoredLine {
        org_id: org.to_string(),
        seq,
        id: LedgerLineId::new().to_string(),
        bill_to_org: org.to_string(),
        delivery_id: charge.delivery.to_string(),
        site: charge.site,
        entry_type: EntryType::Charge.as_str().to_owned(),
        fee_code: charge.fee_code,
        quantity: 1,
        unit_price: amount.micros(),
        amount: amount.micros(),
        currency: price.as_ref().map(|price| price.currency.clone()).unwrap_or_default().as_str().to_owned(),
        price_id: price.map(|price| price.id),
        note: note.to_owned(),
        occurred_at: now.micros(),
        recorded_at: now.micros(),
        previous,
        hash: String::new(),
    };
    line.hash = line.expected_hash();
    Ok(line)
}

/// The line that gives a charge back, at the price it was charged at; `None` when there is no charge.
async fn credited(
    tx: &mut Tx,
    org: OrgId,
    credit: Charge,
    seq: i64,
    previous: String,
    now: Timestamp,
) -> Result<Option<StoredLine>> {
    let charge: Option<StoredLine> = within!(tx, c => sqlx::query_as(
        "SELECT org_id, seq, id, bill_to_org, delivery_id, site, entry_type, fee_code, quantity, unit_price, amount, currency, price_id,
            note, occurred_at, recorded_at, previous, hash
         FROM ledger_line WHERE org_id = $1 AND delivery_id = $2 AND fee_code = $3 AND entry_type = 'charge'")
        .bind(org.to_string()).bind(credit.delivery.to_string()).bind(&credit.fee_code).fetch_optional(c).await)
    .doing("find the charge to give back")?;
    let Some(charge) = charge else { return Ok(None) };
    let mut line = StoredLine {
        seq,
        id: LedgerLineId::new().to_string(),
        entry_type: EntryType::Credit.as_str().to_owned(),
        unit_price: -charge.unit_price,
        amount: -charge.amount,
        // The charge stays where it is; the credit belongs to the day it is given.
        occurred_at: now.micros(),
        recorded_at: now.micros(),
        previous,
        hash: String::new(),
        ..charge
    };
    line.hash = line.expected_hash();
    Ok(Some(line))
}

/// `false` when a line of this kind for the same delivery and fee code is there already.
async fn insert(tx: &mut Tx, line: &StoredLine) -> Result<bool> {
    let written = within!(tx, c => sqlx::query(
        "INSERT INTO ledger_line (org_id, seq, id, bill_to_org, delivery_id, site, entry_type, fee_code, quantity, unit_price, amount,
            currency, price_id, note, occurred_at, recorded_at, previous, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
         ON CONFLICT (org_id, delivery_id, fee_code, entry_type) DO NOTHING")
        .bind(&line.org_id).bind(line.seq).bind(&line.id).bind(&line.bill_to_org).bind(&line.delivery_id).bind(&line.site)
        .bind(&line.entry_type).bind(&line.fee_code).bind(line.quantity).bind(line.unit_price).bind(line.amount).bind(&line.currency)
        .bind(line.price_id.as_deref()).bind(&line.note).bind(line.occurred_at).bind(line.recorded_at).bind(&line.previous).bind(&line.hash)
        .execute(c).await.map(|done| done.rows_affected()))
    .doing("write a charge")?;
    Ok(written == 1)
}

/// Takes the head of an organization's chain for this transaction.
async fn lock_head(tx: &mut Tx, org: &str) -> Result<(i64, String)> {
    let head: Option<(i64, String)> =
        locked!(tx, query_as("SELECT seq, hash FROM ledger_head WHERE org_id = $1").bind(org).fetch_optional)
            .doing("read the ledger's head")?;
    head.ok_or(StoreError::NoOrganization)
}

type LineRow = (i64, String, String, String, String, String, i64, i64, i64, String, String, i64);

/// Which lines a report is about.
#[derive(Debug, Clone, Copy)]
pub struct LineFilter<'a> {
    /// Whose.
    pub org: OrgId,
    /// One site only.
    pub site: Option<&'a str>,
    /// First instant.
    pub from: Timestamp,
    /// First instant no longer in it.
    pub to: Timestamp,
}

impl Store {
    /// The lines of one organization in a half-open period, in the order they were written.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ledger_lines(&self, scope: OrgScope, filter: LineFilter<'_>) -> Result<Vec<LedgerLine>> {
        if scope.org().is_some_and(|only| only != filter.org) {
            return Ok(Vec::new());
        }
        let rows: Vec<LineRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT seq, org_id, delivery_id, site, entry_type, fee_code, quantity, unit_price, amount, currency, note, occurred_at
             FROM ledger_line WHERE org_id = $1 AND occurred_at >= $2 AND occurred_at < $3 AND ($4 IS NULL OR site = $4) ORDER BY seq")
            .bind(filter.org.to_string()).bind(filter.from.micros()).bind(filter.to.micros()).bind(filter.site)
            .fetch_all(pool).await)
        .doing("read the ledger")?;
        rows.into_iter().map(line).collect()
    }

    /// Recomputes an organization's chain: how many lines it has, or the place of the first that does not fit. A line
    /// missing at the end is the place after the last.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn verify_ledger(&self, org: OrgId) -> Result<std::result::Result<i64, i64>> {
        // Lines and head as they were at one instant: charges go on being written.
        let mut tx = self.begin_reading().await?;
        let org = org.to_string();
        let head: Option<(i64, String)> = within!(&mut tx, c =>
            sqlx::query_as("SELECT seq, hash FROM ledger_head WHERE org_id = $1").bind(&org).fetch_optional(c).await)
        .doing("read the ledger's head")?;
        let (mut place, mut previous, mut after) = (0, String::new(), i64::MIN);
        loop {
            let lines: Vec<StoredLine> = within!(&mut tx, c => sqlx::query_as(
                "SELECT org_id, seq, id, bill_to_org, delivery_id, site, entry_type, fee_code, quantity, unit_price, amount, currency, price_id,
                    note, occurred_at, recorded_at, previous, hash
                 FROM ledger_line WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT 5000")
                .bind(&org).bind(after).fetch_all(c).await)
            .doing("read the ledger")?;
            let Some(last) = lines.last() else { break };
            after = last.seq;
            for line in lines {
                place += 1;
                if line.seq != place || line.previous != previous || line.hash != line.expected_hash() {
                    return Ok(Err(place));
                }
                previous = line.hash;
            }
        }
        Ok(if head == Some((place, previous)) { Ok(place) } else { Err(place + 1) })
    }
}

fn line(row: LineRow) -> Result<LedgerLine> {
    let (seq, org, delivery, site, entry_type, fee_code, quantity, unit_price, amount, currency, note, occurred_at) = row;
    Ok(LedgerLine {
        seq,
        org: read("organization id", &org)?,
        delivery: read("delivery id", &delivery)?,
        site,
        entry_type: read("entry type", &entry_type)?,
        fee_code,
        quantity,
        unit_price: Money::from_micros(unit_price),
        amount: Money::from_micros(amount),
        currency: read("currency", &currency)?,
        note,
        occurred_at: Timestamp(occurred_at),
    })
}
