//! The fee ledger: append-only, hash-chained per organization, one charge per delivery and fee code for ever.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{
    Doing as _, Result, Store, StoreError, Tx,
    event::{NewEvent, NewEvents},
    habit::Lessons,
    organization::{Price, price_in_force},
    read,
    rows::{self, Cell},
};
use crate::{
    crypto::{self, Hex},
    domain::{
        Currency, DeliveryId, Money, OrgId, OrgScope, Timestamp, delivery::Disposition, event::EventKind, id::LedgerLineId,
        time::TimeZone, words,
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

/// The charges and credits of one transaction, what it learnt, and what it tells. They are written at its end, each organization's chain
/// taken once and in the order of their ids, so that two transactions with many charges never wait for each other.
#[derive(Default)]
pub(super) struct Charges {
    lines: BTreeMap<OrgId, Vec<Charge>>,
    lessons: Lessons,
    events: NewEvents,
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

    /// Notes an event.
    pub(super) fn tell(&mut self, org: &str, kind: EventKind, event: NewEvent) {
        self.events.add(org, kind, event);
    }

    /// Writes them. A second one for the same delivery and fee code changes nothing.
    pub(super) async fn write(self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        self.lessons.write(tx, now).await?;
        self.events.write(tx, now).await?;
        if self.lines.is_empty() {
            return Ok(());
        }
        let mut heads = lock_heads(tx, self.lines.keys()).await?;
        // Whoever charges holds the head, so what is not there now will not be there later either.
        let mut known = recorded(tx, &self.lines).await?;
        let mut prices = HashMap::new();
        let (mut lines, mut moved) = (Vec::new(), BTreeSet::new());
        for (org, charges) in self.lines {
            let (seq, previous) = heads.get_mut(&org.to_string()).ok_or(StoreError::NoOrganization)?;
            for charge in charges {
                if known.contains_key(&charge.key(org, charge.entry_type)) {
                    continue;
                }
                let line = if charge.entry_type == EntryType::Credit {
                    // What was never charged is not given back.
                    let Some(charged) = known.get(&charge.key(org, EntryType::Charge)) else { continue };
                    charged.clone().given_back(*seq + 1, previous.clone(), now)
                } else {
                    let key = (org, charge.fee_code.clone(), charge.zone.date_at(now).to_string());
                    let price = match prices.get(&key) {
                        Some(price) => price,
                        None => &*prices.entry(key.clone()).or_insert(price_in_force(tx, org, &key.1, &key.2).await?),
                    };
                    priced(price.as_ref(), org, charge, *seq + 1, previous.clone(), now)
                };
                (*seq, *previous) = (line.seq, line.hash.clone());
                moved.insert(line.org_id.clone());
                known.insert(line.key(), line.clone());
                lines.push(line);
            }
        }
        heads.retain(|org, _| moved.contains(org));
        if !lines.is_empty() {
            let lines = lines.into_iter().map(StoredLine::row).collect();
            rows::execute(tx, LINE, lines, "").await.doing("write charges")?;
            move_heads(tx, heads).await?;
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
#[derive(Clone, sqlx::FromRow)]
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

impl Charge {
    fn key(&self, org: OrgId, entry_type: EntryType) -> Key {
        (org.to_string(), self.delivery.to_string(), self.fee_code.clone(), entry_type.as_str().to_owned())
    }
}

/// The line of a charge at the price in force.
fn priced(price: Option<&Price>, org: OrgId, charge: Charge, seq: i64, previous: String, now: Timestamp) -> StoredLine {
    // Test traffic is priced at zero, visibly; without a price the line says so and the delivery goes on.
    let (amount, note) = match price {
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
        currency: price.map(|price| price.currency.clone()).unwrap_or_default().as_str().to_owned(),
        price_id: price.map(|price| price.id.clone()),
        note: note.to_owned(),
        occurred_at: now.micros(),
        recorded_at: now.micros(),
        previous,
        hash: String::new(),
    };
    line.hash = line.expected_hash();
    line
}

const LINE: &str =
    "INSERT INTO ledger_line (org_id, seq, id, bill_to_org, delivery_id, site, entry_type, fee_code, quantity, unit_price,
        amount, currency, price_id, note, occurred_at, recorded_at, previous, hash) ";

impl StoredLine {
    fn key(&self) -> Key {
        (self.org_id.clone(), self.delivery_id.clone(), self.fee_code.clone(), self.entry_type.clone())
    }

    /// The line that gives this charge back, at the price it was charged at. The charge stays where it is; the credit
    /// belongs to the day it is given.
    fn given_back(self, seq: i64, previous: String, now: Timestamp) -> Self {
        let mut line = Self {
            seq,
            id: LedgerLineId::new().to_string(),
            entry_type: EntryType::Credit.as_str().to_owned(),
            unit_price: -self.unit_price,
            amount: -self.amount,
            occurred_at: now.micros(),
            recorded_at: now.micros(),
            previous,
            hash: String::new(),
            ..self
        };
        line.hash = line.expected_hash();
        line
    }

    /// As [`LINE`] names it.
    fn row(self) -> [Cell; 18] {
        [
            self.org_id.into(),
            self.seq.into(),
            self.id.into(),
            self.bill_to_org.into(),
            self.delivery_id.into(),
            self.site.into(),
            self.entry_type.into(),
            self.fee_code.into(),
            self.quantity.into(),
            self.unit_price.into(),
            self.amount.into(),
            self.currency.into(),
            self.price_id.into(),
            self.note.into(),
            self.occurred_at.into(),
            self.recorded_at.into(),
            self.previous.into(),
            self.hash.into(),
        ]
    }
}

/// The ends of some organizations' chains: place and hash of the last line.
type Heads = HashMap<String, (i64, String)>;

/// Takes the heads of these chains for this transaction, in one order.
async fn lock_heads(tx: &mut Tx, orgs: impl Iterator<Item = &OrgId>) -> Result<Heads> {
    let orgs = orgs.map(|org| [org.to_string().into()]).collect();
    let (heads, lock) = (
        ") SELECT h.org_id, h.seq, h.hash FROM k JOIN ledger_head h ON h.org_id = k.org_id",
        " ORDER BY h.org_id FOR UPDATE OF h",
    );
    let found: Vec<(String, i64, String)> =
        rows::fetch(tx, "WITH k (org_id) AS (", orgs, heads, lock).await.doing("read the ledgers' heads")?;
    Ok(found.into_iter().map(|(org, seq, hash)| (org, (seq, hash))).collect())
}

async fn move_heads(tx: &mut Tx, heads: Heads) -> Result<()> {
    let heads = heads.into_iter().map(|(org, (seq, hash))| [org.into(), seq.into(), hash.into()]).collect();
    let set = ") UPDATE ledger_head AS h SET seq = n.seq, hash = n.hash FROM n WHERE h.org_id = n.org_id";
    rows::execute(tx, "WITH n (org_id, seq, hash) AS (", heads, set).await.doing("move the ledgers' heads")
}

/// What stands at most once: organization, delivery, fee code and entry type.
type Key = (String, String, String, String);

/// The lines that are on record already about these deliveries.
async fn recorded(tx: &mut Tx, charges: &BTreeMap<OrgId, Vec<Charge>>) -> Result<HashMap<Key, StoredLine>> {
    let keys: HashSet<(String, String)> = charges
        .iter()
        .flat_map(|(org, charges)| charges.iter().map(|charge| (org.to_string(), charge.delivery.to_string())))
        .collect();
    let keys = keys.into_iter().map(|(org, delivery)| [org.into(), delivery.into()]).collect();
    let lines = ") SELECT l.org_id, l.seq, l.id, l.bill_to_org, l.delivery_id, l.site, l.entry_type, l.fee_code, l.quantity,
            l.unit_price, l.amount, l.currency, l.price_id, l.note, l.occurred_at, l.recorded_at, l.previous, l.hash
        FROM k JOIN ledger_line l ON l.org_id = k.org_id AND l.delivery_id = k.delivery_id";
    let found: Vec<StoredLine> =
        rows::fetch(tx, "WITH k (org_id, delivery_id) AS (", keys, lines, "").await.doing("look for lines written before")?;
    Ok(found.into_iter().map(|line| (line.key(), line)).collect())
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
