//! Closing a month: what tiers, a minimum, a cap and rounding add is written, and nothing goes into it after that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Chains, EntryType, StoredLine,
    read::{LineQuery, sums},
    revise,
};
use crate::{
    domain::{
        Delivery, Month, OrgId, OrgScope, Timestamp,
        delivery::{Fee, State},
        id::LedgerLineId,
        organization::{Billable, WhenUnknown},
        period::GRACE,
        prices::closing::{self, LastPrice, Row, lines, merged},
    },
    store::{
        Doing as _, Result, Store, StoreError, Tx,
        organization::Organization,
        period::{BillingPeriod, period_to_close},
        price::PriceBook,
        read, write_json,
    },
};

/// How a month is to be closed.
#[derive(Debug, Clone)]
pub struct Close {
    /// Only tell what would be written.
    pub dry_run: bool,
    /// Also before its grace is over and while deliveries are open.
    pub force: bool,
    /// Who closes it.
    pub by: String,
}

/// Why a month is not closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It never began.
    #[error("nothing is known of this month: the organization's first is {0}")]
    NoPeriod(Month),
    /// Closed is closed.
    #[error("it was closed on {0}, and a closed month stays closed")]
    Closed(Timestamp),
    /// It is not over.
    #[error("it ends on {0}")]
    NotEnded(Timestamp),
    /// Months are closed in their order.
    #[error("{0} has to be closed before it")]
    EarlierOpen(Month),
    /// What belongs to it may still come.
    #[error("what belongs to it may come until {0}; --force closes it now")]
    Grace(Timestamp),
    /// Deliveries of it are still on their way.
    #[error("{0} of its deliveries are still on their way; --force closes it, and their fees go to the month they arise in")]
    Unsettled(u64),
    /// The numbers do not add up.
    #[error("its deliveries and charges do not tie; postern verify says more")]
    Untied,
    /// A sum does not fit.
    #[error("its lines add up to more than can be written down")]
    TooMuch,
}

impl Refusal {
    /// Whether `--force` overcomes it.
    #[must_use]
    pub const fn gives_way(&self) -> bool {
        matches!(self, Self::Grace(_) | Self::Unsettled(_))
    }
}

/// What ties the lines of a month to its deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controls {
    /// Deliveries made in this month.
    pub deliveries: u64,
    /// Of these, charged in it.
    pub charged: u64,
    /// Of these, charged in a later month.
    pub charged_later: u64,
    /// Of these, not charged, by the reason.
    pub not_charged: BTreeMap<String, u64>,
    /// Deliveries of earlier months that were charged in this one.
    pub from_before: u64,
    /// Charges for deliveries in this month.
    pub charges: u64,
    /// Of these, at no price because none was in force.
    pub unpriced: u64,
    /// Of these, at no price because they were test traffic.
    pub test: u64,
    /// Deliveries still on their way.
    pub unsettled: u64,
}

impl Controls {
    /// Whether every delivery is charged once or says why not, and every charge has its delivery.
    #[must_use]
    pub fn tie(&self) -> bool {
        self.deliveries == self.charged + self.charged_later + self.not_charged.values().sum::<u64>()
            && self.charges == self.charged + self.from_before
    }
}

/// Who an organization was when a month was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Its id.
    pub id: OrgId,
    /// Its slug.
    pub slug: String,
    /// Its name.
    pub name: String,
}

/// What a statement needs beside ledger and prices: as it was when the month was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingRecord {
    /// Whose ledger.
    pub organization: Party,
    /// Everybody who pays.
    pub payers: Vec<Party>,
    /// What tied.
    pub controls: Controls,
    /// What the last delivery cost by each price that depends on their number.
    pub last_prices: Vec<LastPrice>,
    /// The hash of the ledger's last line.
    pub hash: String,
}

/// What closing a month found and did.
#[derive(Debug, Clone)]
pub struct Closing {
    /// The month, as it is now.
    pub period: BillingPeriod,
    /// Its lines before, added up.
    pub rows: Vec<Row>,
    /// What closing adds.
    pub added: Vec<Row>,
    /// What ties.
    pub controls: Controls,
    /// What stands in the way, whether it gave way or not.
    pub refusals: Vec<Refusal>,
    /// Whether it is closed now, by this.
    pub closed: bool,
}

impl Store {
    /// Closes a month of an organization, or tells what that would do. Everything or nothing.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn close_period(
        &self,
        organization: &Organization,
        month: Month,
        close: &Close,
    ) -> Result<std::result::Result<Closing, Refusal>> {
        // A month in which nothing was sent has its minimum too.
        self.begin_periods(organization.id).await?;
        insist!(self.close_once(organization, month, close))
    }

    async fn close_once(
        &self,
        organization: &Organization,
        month: Month,
        close: &Close,
    ) -> Result<std::result::Result<Closing, Refusal>> {
        let org = organization.id;
        let periods = self.periods(OrgScope::One(org)).await?;
        let Some(first) = periods.first() else { return Err(StoreError::NoOrganization) };
        let earlier = periods.iter().find(|period| period.closed_at.is_none() && period.bounds.month < month);
        let Some(period) = periods.iter().find(|period| period.bounds.month == month) else {
            return Ok(Err(Refusal::NoPeriod(first.bounds.month)));
        };
        if let Some(at) = period.closed_at {
            return Ok(Err(Refusal::Closed(at)));
        }
        let (mut tx, chains, period) = if close.dry_run {
            (self.begin_reading().await?, None, period.clone())
        } else {
            let mut tx = self.begin().await?;
            // Whoever charges takes the head first as well.
            let chains = Chains::take(&mut tx, [org].iter()).await?;
            let period = period_to_close(&mut tx, org, month).await?.ok_or(StoreError::Lost)?;
            if let Some(at) = period.closed_at {
                return Ok(Err(Refusal::Closed(at)));
            }
            (tx, Some(chains), period)
        };
        let now = self.now().await?;
        let query = LineQuery { period: Some(month), ..LineQuery::of(org) };
        let rows: Vec<Row> = sums(&mut tx, OrgScope::All, &query).await?.into_iter().map(|paid| paid.row).collect();
        let book = PriceBook::read(&mut tx, [org].iter()).await?;
        let rates = book.rates(org).collect();
        let listed = book.terms(org, month.first());
        let currency = listed.map(|listed| listed.currency.clone()).unwrap_or_default();
        let terms = listed.map(|listed| &listed.terms);
        let addresses = match terms.and_then(|terms| terms.address_month) {
            Some(_) => addresses_used(&mut tx, &period).await?,
            None => 0,
        };
        let known = closing::Period { own: org, currency: &currency, rows: &rows, rates: &rates, terms, addresses };
        let (Some(added), Some(last_prices), Some(rows)) = (lines(&known), closing::last_prices(&known), merged(&rows)) else {
            return Ok(Err(Refusal::TooMuch));
        };
        let controls = controls(&mut tx, &period, &rows).await?;
        let mut refusals = Vec::new();
        if now < period.bounds.ends_at {
            refusals.push(Refusal::NotEnded(period.bounds.ends_at));
        } else if now < period.bounds.ends_at.plus(GRACE) {
            refusals.push(Refusal::Grace(period.bounds.ends_at.plus(GRACE)));
        }
        refusals.extend(earlier.map(|earlier| Refusal::EarlierOpen(earlier.bounds.month)));
        if controls.unsettled > 0 {
            refusals.push(Refusal::Unsettled(controls.unsettled));
        }
        if !controls.tie() {
            refusals.push(Refusal::Untied);
        }
        let refused = refusals.iter().any(|refusal| !(close.force && refusal.gives_way()));
        let mut closing = Closing { period, rows, added, controls, refusals, closed: false };
        let Some(chains) = chains.filter(|_| !refused) else { return Ok(Ok(closing)) };
        write(&mut tx, chains, organization, &mut closing, last_prices, close, now).await?;
        tx.commit().await?;
        Ok(Ok(closing))
    }
}

/// Writes the lines and the end of the month.
async fn write(
    tx: &mut Tx,
    mut chains: Chains,
    organization: &Organization,
    closing: &mut Closing,
    last_prices: Vec<LastPrice>,
    close: &Close,
    now: Timestamp,
) -> Result<()> {
    let (org, month) = (organization.id, closing.period.bounds.month);
    for row in &closing.added {
        chains.append(org, closing_line(org, month, row, now))?;
    }
    let (last_seq, hash) = chains.head(org)?;
    let hash = hash.to_owned();
    chains.write(tx).await?;
    let own = Party { id: org, slug: organization.file.slug.clone(), name: organization.file.name.clone() };
    let mut payers = Vec::new();
    let mut ids: Vec<OrgId> = closing.rows.iter().chain(&closing.added).map(|row| row.group.bill_to).chain([org]).collect();
    ids.sort();
    ids.dedup();
    for id in ids {
        payers.push(if id == org { own.clone() } else { party(tx, id).await? });
    }
    let record = ClosingRecord { organization: own, payers, controls: closing.controls.clone(), last_prices, hash };
    let json = String::from_utf8(write_json("closing record", &record)?).unwrap_or_default();
    let forced = !closing.refusals.is_empty();
    within!(tx, c => sqlx::query(
        "UPDATE billing_period SET closed_at = $1, closed_by = $2, forced = $3, last_seq = $4, record = $5
         WHERE org_id = $6 AND month = $7 AND closed_at IS NULL")
        .bind(now.micros()).bind(&close.by).bind(forced).bind(last_seq).bind(json).bind(org.to_string()).bind(month.to_string())
        .execute(c).await.map(drop))
    .doing("close a period")?;
    revise(tx, org).await?;
    let period = &mut closing.period;
    (period.closed_at, period.closed_by, period.forced) = (Some(now), Some(close.by.clone()), forced);
    (period.last_seq, period.record, closing.closed) = (Some(last_seq), Some(record), true);
    Ok(())
}

async fn party(tx: &mut Tx, id: OrgId) -> Result<Party> {
    let file: Option<String> = within!(tx, c =>
        sqlx::query_scalar("SELECT file FROM organization WHERE id = $1").bind(id.to_string()).fetch_optional(c).await)
    .doing("read a sponsor's name")?;
    let file: crate::domain::organization::OrganizationFile =
        crate::store::read_json("organization file", file.ok_or(StoreError::NoOrganization)?.as_bytes())?;
    Ok(Party { id, slug: file.slug, name: file.name })
}

fn closing_line(org: OrgId, month: Month, row: &Row, now: Timestamp) -> StoredLine {
    let group = &row.group;
    StoredLine {
        org_id: org.to_string(),
        seq: 0,
        id: LedgerLineId::new().to_string(),
        bill_to_org: group.bill_to.to_string(),
        cost_center: group.cost_center.clone(),
        delivery_id: None,
        site: group.site.clone(),
        payer: String::new(),
        channel: group.channel.clone(),
        status: group.status.clone(),
        entry_type: group.entry_type.as_str().to_owned(),
        fee_code: group.fee_code.clone(),
        quantity: row.quantity,
        unit_price: group.unit_price.micros(),
        amount: row.amount.micros(),
        currency: group.currency.as_str().to_owned(),
        price_id: group.price.clone(),
        note: group.note.clone(),
        period: month.to_string(),
        relates_to: None,
        reverses: None,
        reason: String::new(),
        entered_by: String::new(),
        occurred_at: now.micros(),
        recorded_at: now.micros(),
        previous: String::new(),
        hash: String::new(),
    }
}

/// From how many of our addresses something was accepted in the month.
async fn addresses_used(tx: &mut Tx, period: &BillingPeriod) -> Result<i64> {
    within!(tx, c => sqlx::query_scalar(
        "SELECT COUNT(DISTINCT sent_from) FROM delivery
         WHERE org_id = $1 AND accepted_at >= $2 AND accepted_at < $3 AND test = FALSE AND sent_from IS NOT NULL")
        .bind(period.org.to_string()).bind(period.bounds.starts_at.micros()).bind(period.bounds.ends_at.micros()).fetch_one(c).await)
    .doing("count the addresses used")
}

type CountRow = (String, String, Option<String>, bool, Option<String>, i64);

/// Counts the deliveries of the month against their charges.
pub(in crate::store) async fn controls(tx: &mut Tx, period: &BillingPeriod, rows: &[Row]) -> Result<Controls> {
    let (org, month) = (period.org.to_string(), period.bounds.month.to_string());
    let counts: Vec<CountRow> = within!(tx, c => sqlx::query_as(
        "SELECT d.state, d.fee, l.period, d.notice_at IS NOT NULL AND d.fee = 'none', d.disposition, COUNT(*) FROM delivery d
         LEFT JOIN ledger_line l ON l.org_id = d.org_id AND l.delivery_id = d.id AND l.fee_code = d.fee_code AND l.entry_type = 'charge'
         WHERE d.org_id = $1 AND d.created_at >= $2 AND d.created_at < $3 GROUP BY 1, 2, 3, 4, 5")
        .bind(&org).bind(period.bounds.starts_at.micros()).bind(period.bounds.ends_at.micros()).fetch_all(c).await)
    .doing("count a month's deliveries")?;
    let mut controls = Controls::default();
    for (state, fee, charged_in, awaits, disposition, count) in counts {
        let (state, fee): (State, Fee) = (read("state", &state)?, read("fee", &fee)?);
        let disposition = disposition.as_deref().map(|said| read("disposition", said)).transpose()?;
        let count = u64::try_from(count).unwrap_or(0);
        controls.deliveries += count;
        // Its clock runs as long as a notice can still make it billable.
        let wants_dispatched = awaits;
        let delivery =
            Delivery { state, disposition, fee, wants_dispatched, ..Delivery::queued(Billable::Accepted, WhenUnknown::Resend) };
        match (&charged_in, delivery.no_charge_reason()) {
            (Some(charged_in), _) if *charged_in == month => controls.charged += count,
            (Some(_), _) => controls.charged_later += count,
            (None, Some(reason)) => *controls.not_charged.entry(reason.to_owned()).or_default() += count,
            // Charged, and no line: it does not tie.
            (None, None) => {}
        }
        let moving = matches!(state, State::Queued | State::Claimed | State::OnWire | State::Unknown);
        if moving || (state == State::Accepted && awaits) {
            controls.unsettled += count;
        }
    }
    let before: i64 = within!(tx, c => sqlx::query_scalar(
        "SELECT COUNT(*) FROM ledger_line l JOIN delivery d ON d.org_id = l.org_id AND d.id = l.delivery_id
         WHERE l.org_id = $1 AND l.period = $2 AND l.entry_type = 'charge' AND (d.created_at < $3 OR d.created_at >= $4)")
        .bind(&org).bind(&month).bind(period.bounds.starts_at.micros()).bind(period.bounds.ends_at.micros()).fetch_one(c).await)
    .doing("count charges of earlier deliveries")?;
    controls.from_before = u64::try_from(before).unwrap_or(0);
    for row in rows.iter().filter(|row| row.group.entry_type == EntryType::Charge && !row.group.channel.is_empty()) {
        let lines = u64::try_from(row.lines).unwrap_or(0);
        controls.charges += lines;
        match row.group.note.as_str() {
            "unpriced" => controls.unpriced += lines,
            "test" => controls.test += lines,
            _ => {}
        }
    }
    Ok(controls)
}
