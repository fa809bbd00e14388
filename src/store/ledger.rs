//! The fee ledger: append-only, hash-chained per organization, one charge per delivery and fee code for ever.

/// Corrections by hand: reversed and entered again.
pub mod adjust;
/// Whether a ledger is what was written.
pub mod audit;
/// What charges are priced by.
mod book;
/// Closing a month.
pub mod close;
mod line;
/// Reading lines and sums.
pub mod read;
/// The signed ends of ledgers.
pub mod seal;
/// Adding lines up.
mod sum;

pub use crate::domain::prices::EntryType;
pub use line::LedgerLine;
pub use read::LineFilter;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Doing as _, Result, StoreError, Tx,
    event::{NewEvent, NewEvents},
    habit::Lessons,
    period::record_of,
    rows,
};
use book::Book;
pub(super) use book::{Books, revise};

use crate::domain::{
    DeliveryId, Money, OrgId, Timestamp, delivery::Disposition, event::EventKind, id::LedgerLineId, prices::Channel,
    report::ResultStatus, time::TimeZone,
};
use line::{LINE, StoredLine, line_columns};

/// What a charge, or the credit of one, is about.
pub(super) struct Charge {
    pub(super) delivery: DeliveryId,
    pub(super) entry_type: EntryType,
    pub(super) site: String,
    pub(super) fee_code: String,
    pub(super) channel: String,
    pub(super) status: String,
    pub(super) payer: String,
    pub(super) role: String,
    pub(super) test: bool,
    /// The price is that of the day here.
    pub(super) zone: TimeZone,
}

/// The charges and credits of one transaction, what it learnt, and what it tells. They are written at its end, each organization's chain
/// taken once and in the order of their ids, so that two transactions with many charges never wait for each other.
#[derive(Default)]
pub(super) struct Charges {
    books: Books,
    lines: BTreeMap<OrgId, Vec<Charge>>,
    lessons: Lessons,
    events: NewEvents,
}

impl Charges {
    /// None yet; they are priced by what is in `books`.
    pub(super) fn by(books: &Books) -> Self {
        Self { books: books.clone(), ..Self::default() }
    }

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
        let mut chains = Chains::take(tx, self.lines.keys()).await?;
        let mut books: HashMap<OrgId, Arc<Book>> = HashMap::new();
        for org in self.lines.keys() {
            books.insert(*org, self.books.open(tx, *org, chains.revision(*org)?, now).await?);
        }
        // Whoever charges holds the head, so what is not there now will not be there later either.
        let mut known = recorded(tx, &self.lines).await?;
        for (org, charges) in self.lines {
            let book = books.get(&org).ok_or(StoreError::NoOrganization)?;
            for charge in charges {
                let before = known.entry((org.to_string(), charge.delivery.to_string())).or_default();
                if before.iter().any(|line| line.fee_code == charge.fee_code && line.is(charge.entry_type)) {
                    continue;
                }
                let line = if charge.entry_type == EntryType::Credit {
                    // What was never charged is not given back.
                    let Some(credit) = credit(tx, book, org, before, &charge.fee_code, now).await? else { continue };
                    credit
                } else {
                    priced(book, org, charge, now)?
                };
                before.push(chains.append(org, line)?.clone());
            }
        }
        chains.write(tx).await
    }
}

/// The line of a charge at the price in force.
fn priced(book: &Book, org: OrgId, charge: Charge, now: Timestamp) -> Result<StoredLine> {
    let day = charge.zone.date_at(now);
    let (channel, status): (Option<Channel>, Option<ResultStatus>) = (charge.channel.parse().ok(), charge.status.parse().ok());
    let (channel, status) = (channel.unwrap_or(Channel::Direct), status.unwrap_or(ResultStatus::Final));
    let price = book.prices.price(org, &charge.fee_code, channel, status, day);
    // Test traffic is priced at zero, visibly; without a price the line says so and the delivery goes on.
    let (amount, note) = match price {
        _ if charge.test => (Money::ZERO, "test"),
        Some(price) => (price.rate.amount, ""),
        None => (Money::ZERO, "unpriced"),
    };
    let (bill_to, cost_center) = book.prices.payer(org, day, &charge.role, &charge.payer, &charge.site);
    let place = book.periods.place(org, now, None)?;
    Ok(StoredLine {
        org_id: org.to_string(),
        seq: 0,
        id: LedgerLineId::new().to_string(),
        bill_to_org: bill_to.to_string(),
        cost_center,
        delivery_id: Some(charge.delivery.to_string()),
        site: charge.site,
        payer: charge.payer,
        channel: charge.channel,
        status: charge.status,
        entry_type: EntryType::Charge.as_str().to_owned(),
        fee_code: charge.fee_code,
        quantity: 1,
        unit_price: amount.micros(),
        amount: amount.micros(),
        currency: price.map(|price| price.currency.clone()).unwrap_or_default().as_str().to_owned(),
        price_id: price.map(|price| price.id.clone()),
        note: note.to_owned(),
        period: place.month.to_string(),
        relates_to: place.relates_to.map(|month| month.to_string()),
        reverses: None,
        reason: String::new(),
        entered_by: String::new(),
        occurred_at: now.micros(),
        recorded_at: now.micros(),
        previous: String::new(),
        hash: String::new(),
    })
}

/// What stands of a delivery's fee: its charge, or what a person entered in its place, as long as nothing takes it back.
fn standing<'l>(lines: &'l [StoredLine], fee_code: &str) -> Option<&'l StoredLine> {
    let taken_back: HashSet<&str> = lines.iter().filter_map(|line| line.reverses.as_deref()).collect();
    let may_stand = |line: &&StoredLine| {
        line.fee_code == fee_code
            && line.reverses.is_none()
            && (line.is(EntryType::Charge) || line.is(EntryType::Adjustment))
            && !taken_back.contains(line.id.as_str())
    };
    lines.iter().filter(may_stand).max_by_key(|line| line.seq)
}

/// The line that gives back what stands. It belongs to the month of the charge as long as that is open, and to the day it
/// is given after that.
async fn credit(
    tx: &mut Tx,
    book: &Book,
    org: OrgId,
    lines: &[StoredLine],
    fee_code: &str,
    now: Timestamp,
) -> Result<Option<StoredLine>> {
    let Some(charge) = lines.iter().find(|line| line.fee_code == fee_code && line.is(EntryType::Charge)) else { return Ok(None) };
    let stands = standing(lines, fee_code);
    let line = stands.unwrap_or(charge);
    let place = book.periods.place(org, now, Some(super::read("month", &line.period)?))?;
    let mut credit = line.taken_back(EntryType::Credit, place, now);
    if stands.is_none() {
        // A person has given it back before: the record says so, and nothing is given twice.
        (credit.unit_price, credit.amount, credit.reverses) = (0, 0, None);
    } else if let (Some(month), Some(price)) = (place.relates_to, line.price_id.as_deref())
        && book.prices.rates(org).any(|(id, rate)| id == price && rate.depends_on_count())
        && let Some(record) = record_of(tx, org, month).await?
        && let Some(last) =
            record.last_prices.iter().find(|last| last.price == price && last.bill_to.to_string() == line.bill_to_org)
    {
        // What it cost in the end was settled when its month was closed; no more than that is given back.
        (credit.unit_price, credit.amount) = (last.amount.micros().saturating_neg(), last.amount.micros().saturating_neg());
    }
    Ok(Some(credit))
}

/// The end of a chain.
struct Head {
    seq: i64,
    hash: String,
    /// Grows with every price, all terms and every month that is begun or closed.
    revision: i64,
}

/// The ends of some organizations' chains, and what is to be put behind them.
pub(super) struct Chains {
    heads: HashMap<String, Head>,
    moved: BTreeSet<String>,
    lines: Vec<StoredLine>,
}

impl Chains {
    /// Takes the ends for this transaction, in one order.
    pub(super) async fn take(tx: &mut Tx, orgs: impl Iterator<Item = &OrgId>) -> Result<Self> {
        let orgs = orgs.map(|org| [org.to_string().into()]).collect();
        let (heads, lock) = (
            ") SELECT h.org_id, h.seq, h.hash, h.revision FROM k JOIN ledger_head h ON h.org_id = k.org_id",
            " ORDER BY h.org_id FOR UPDATE OF h",
        );
        let found: Vec<(String, i64, String, i64)> =
            rows::fetch(tx, "WITH k (org_id) AS (", orgs, heads, lock).await.doing("read the ledgers' heads")?;
        let heads = found.into_iter().map(|(org, seq, hash, revision)| (org, Head { seq, hash, revision })).collect();
        Ok(Self { heads, moved: BTreeSet::new(), lines: Vec::new() })
    }

    /// Puts a line behind the last one.
    fn append(&mut self, org: OrgId, line: StoredLine) -> Result<&StoredLine> {
        let org = org.to_string();
        let head = self.heads.get_mut(&org).ok_or(StoreError::NoOrganization)?;
        let line = line.chained(head.seq + 1, &head.hash);
        (head.seq, head.hash) = (line.seq, line.hash.clone());
        self.moved.insert(org);
        self.lines.push(line);
        self.lines.last().ok_or(StoreError::NoOrganization)
    }

    /// The place and hash of a ledger's last line.
    fn head(&self, org: OrgId) -> Result<(i64, &str)> {
        let head = self.heads.get(&org.to_string()).ok_or(StoreError::NoOrganization)?;
        Ok((head.seq, &head.hash))
    }

    /// Of which revision its prices and months are.
    fn revision(&self, org: OrgId) -> Result<i64> {
        Ok(self.heads.get(&org.to_string()).ok_or(StoreError::NoOrganization)?.revision)
    }

    /// Writes the new lines and where the chains end now.
    async fn write(mut self, tx: &mut Tx) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.lines).into_iter().map(StoredLine::row).collect();
        rows::execute(tx, LINE, lines, "").await.doing("write to the ledger")?;
        let moved = self.heads.into_iter().filter(|(org, _)| self.moved.contains(org));
        let heads = moved.map(|(org, head)| [org.into(), head.seq.into(), head.hash.into()]).collect();
        let set = ") UPDATE ledger_head AS h SET seq = n.seq, hash = n.hash FROM n WHERE h.org_id = n.org_id";
        rows::execute(tx, "WITH n (org_id, seq, hash) AS (", heads, set).await.doing("move the ledgers' heads")
    }
}

/// The lines that are on record already about these deliveries, by organization and delivery, in their order.
async fn recorded(tx: &mut Tx, charges: &BTreeMap<OrgId, Vec<Charge>>) -> Result<HashMap<(String, String), Vec<StoredLine>>> {
    let keys: HashSet<(String, String)> = charges
        .iter()
        .flat_map(|(org, charges)| charges.iter().map(|charge| (org.to_string(), charge.delivery.to_string())))
        .collect();
    lines_about(tx, keys).await
}

async fn lines_about(tx: &mut Tx, keys: HashSet<(String, String)>) -> Result<HashMap<(String, String), Vec<StoredLine>>> {
    let keys = keys.into_iter().map(|(org, delivery)| [org.into(), delivery.into()]).collect();
    let lines = concat!(
        ") SELECT ",
        line_columns!(),
        " FROM k JOIN ledger_line l ON l.org_id = k.org_id AND l.delivery_id = k.delivery_id"
    );
    let found: Vec<StoredLine> =
        rows::fetch(tx, "WITH k (org_id, delivery_id) AS (", keys, lines, "").await.doing("look for lines written before")?;
    let mut known: HashMap<_, Vec<StoredLine>> = HashMap::new();
    for line in found {
        let key = (line.org_id.clone(), line.delivery_id.clone().unwrap_or_default());
        known.entry(key).or_default().push(line);
    }
    Ok(known)
}
