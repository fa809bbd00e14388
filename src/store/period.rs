//! Months of organizations, with their bounds as they were resolved when they began.

use std::collections::HashMap;

use super::{
    Doing as _, Result, Store, StoreError, Tx,
    ledger::{Chains, close::ClosingRecord, revise},
    read, read_json, rows,
};
use crate::domain::{
    Month, OrgId, OrgScope, Timestamp,
    organization::OrganizationFile,
    period::{Bounds, PeriodState},
    time::TimeZone,
};

/// A month of one organization.
#[derive(Debug, Clone, PartialEq)]
pub struct BillingPeriod {
    /// Whose.
    pub org: OrgId,
    /// Which month, and its instants.
    pub bounds: Bounds,
    /// In which zone they were resolved.
    pub zone: TimeZone,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// By whom.
    pub closed_by: Option<String>,
    /// Whether it was closed although something was still open.
    pub forced: bool,
    /// The ledger's last line when it was closed.
    pub last_seq: Option<i64>,
    /// Names and control totals as they were when it was closed.
    pub record: Option<ClosingRecord>,
}

impl BillingPeriod {
    /// Where it stands at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> PeriodState {
        if self.closed_at.is_some() { PeriodState::Closed } else { self.bounds.state(now) }
    }
}

#[derive(sqlx::FromRow)]
struct PeriodRow {
    org_id: String,
    month: String,
    zone: String,
    starts_at: i64,
    ends_at: i64,
    closed_at: Option<i64>,
    closed_by: Option<String>,
    forced: bool,
    last_seq: Option<i64>,
    record: Option<String>,
}

impl PeriodRow {
    fn period(self) -> Result<BillingPeriod> {
        Ok(BillingPeriod {
            org: read("organization id", &self.org_id)?,
            bounds: Bounds {
                month: read("month", &self.month)?,
                starts_at: Timestamp(self.starts_at),
                ends_at: Timestamp(self.ends_at),
            },
            zone: read("time zone", &self.zone)?,
            closed_at: self.closed_at.map(Timestamp),
            closed_by: self.closed_by,
            forced: self.forced,
            last_seq: self.last_seq,
            record: self.record.map(|json| read_json("closing record", json.as_bytes())).transpose()?,
        })
    }
}

/// The months of some organizations that something can be written into.
#[derive(Debug, Default)]
pub(super) struct OpenPeriods {
    known: HashMap<OrgId, Vec<BillingPeriod>>,
    begun: bool,
}

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The month it is billed in.
    pub(super) month: Month,
    /// The closed month it belongs to.
    pub(super) relates_to: Option<Month>,
}

impl OpenPeriods {
    /// Takes them for this transaction: whoever closes one waits. Those that have begun since are made. The ledgers' heads
    /// must have been taken before.
    pub(super) async fn take(tx: &mut Tx, orgs: impl Iterator<Item = &OrgId>, now: Timestamp) -> Result<Self> {
        let orgs: Vec<OrgId> = orgs.copied().collect();
        let keys = orgs.iter().map(|org| [org.to_string().into(), now.micros().into()]).collect();
        let found: Vec<PeriodRow> = rows::fetch(
            tx,
            "WITH k (org_id, at) AS (",
            keys,
            ") SELECT p.org_id, p.month, p.zone, p.starts_at, p.ends_at, p.closed_at, p.closed_by, p.forced, p.last_seq, p.record
               FROM k JOIN billing_period p ON p.org_id = k.org_id AND (p.closed_at IS NULL OR p.ends_at > k.at)",
            " ORDER BY p.org_id, p.month FOR SHARE OF p",
        )
        .await
        .doing("take the periods that are open")?;
        let mut periods = Self::default();
        for row in found {
            let period = row.period()?;
            periods.known.entry(period.org).or_default().push(period);
        }
        for org in orgs {
            let known = periods.known.entry(org).or_default();
            known.sort_by_key(|period| period.bounds.starts_at);
            if !reach(known, now) {
                periods.begun = true;
                let made = begin(tx, org, now).await?;
                known.retain(|period| made.iter().all(|new| new.bounds.month != period.bounds.month));
                known.extend(made);
            }
        }
        Ok(periods)
    }

    /// Whether one of them is open at `now`.
    pub(super) fn reach(&self, org: OrgId, now: Timestamp) -> bool {
        self.known.get(&org).is_some_and(|known| reach(known, now))
    }

    /// Whether some were made for this transaction.
    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Where a line of `now` goes that belongs to the month `to`, or to the present.
    pub(super) fn place(&self, org: OrgId, now: Timestamp, to: Option<Month>) -> Result<Place> {
        let periods = self.known.get(&org).map_or(&[][..], Vec::as_slice);
        let open = |period: &&BillingPeriod| period.closed_at.is_none();
        if let Some(month) = to
            && periods.iter().filter(open).any(|period| period.bounds.month == month)
        {
            return Ok(Place { month, relates_to: None });
        }
        let present = periods.iter().find(|period| period.bounds.ends_at > now).map(|period| period.bounds.month);
        let target = periods.iter().filter(open).find(|period| period.bounds.ends_at > now);
        let month = target.ok_or(StoreError::NoOrganization)?.bounds.month;
        let belongs = to.or(present).filter(|belongs| *belongs != month);
        Ok(Place { month, relates_to: belongs })
    }
}

/// Whether the last one can be written into at `now`.
fn reach(known: &[BillingPeriod], now: Timestamp) -> bool {
    known.last().is_some_and(|last| now < last.bounds.ends_at && last.closed_at.is_none())
}

/// Makes the months from the last one known, or from this one, until one is open at `now`.
async fn begin(tx: &mut Tx, org: OrgId, now: Timestamp) -> Result<Vec<BillingPeriod>> {
    let (org_id, mut made) = (org.to_string(), Vec::new());
    let file: Option<String> = within!(tx, c =>
        sqlx::query_scalar("SELECT file FROM organization WHERE id = $1").bind(&org_id).fetch_optional(c).await)
    .doing("read an organization's time zone")?;
    let file: OrganizationFile = read_json("organization file", file.ok_or(StoreError::NoOrganization)?.as_bytes())?;
    let last: Option<PeriodRow> = within!(tx, c => sqlx::query_as(
        "SELECT org_id, month, zone, starts_at, ends_at, closed_at, closed_by, forced, last_seq, record FROM billing_period
         WHERE org_id = $1 ORDER BY month DESC LIMIT 1")
        .bind(&org_id).fetch_optional(c).await)
    .doing("read the last period")?;
    let mut last = last.map(PeriodRow::period).transpose()?;
    while last.as_ref().is_none_or(|last| last.bounds.ends_at <= now || last.closed_at.is_some()) {
        let zone = &file.time_zone;
        let bounds = last.as_ref().map_or_else(|| Bounds::around(now, zone), |last| last.bounds.next(zone));
        within!(tx, c => sqlx::query(
            "INSERT INTO billing_period (org_id, month, zone, starts_at, ends_at, forced) VALUES ($1, $2, $3, $4, $5, FALSE)
             ON CONFLICT (org_id, month) DO NOTHING")
            .bind(&org_id).bind(bounds.month.to_string()).bind(zone.to_string()).bind(bounds.starts_at.micros())
            .bind(bounds.ends_at.micros()).execute(c).await.map(drop))
        .doing("begin a period")?;
        let period = BillingPeriod {
            org,
            bounds,
            zone: zone.clone(),
            closed_at: None,
            closed_by: None,
            forced: false,
            last_seq: None,
            record: None,
        };
        made.push(period.clone());
        last = Some(period);
    }
    revise(tx, org).await?;
    Ok(made)
}

/// What was recorded when a month was closed.
pub(super) async fn record_of(tx: &mut Tx, org: OrgId, month: Month) -> Result<Option<ClosingRecord>> {
    let record: Option<Option<String>> = within!(tx, c =>
        sqlx::query_scalar("SELECT record FROM billing_period WHERE org_id = $1 AND month = $2")
        .bind(org.to_string()).bind(month.to_string()).fetch_optional(c).await)
    .doing("read a closed period")?;
    record.flatten().map(|json| read_json("closing record", json.as_bytes())).transpose()
}

/// One month as it is now, locked for whoever closes it.
pub(super) async fn period_to_close(tx: &mut Tx, org: OrgId, month: Month) -> Result<Option<BillingPeriod>> {
    let row: Option<PeriodRow> = locked!(
        tx,
        query_as(
            "SELECT org_id, month, zone, starts_at, ends_at, closed_at, closed_by, forced, last_seq, record FROM billing_period
             WHERE org_id = $1 AND month = $2"
        )
        .bind(org.to_string())
        .bind(month.to_string())
        .fetch_optional
    )
    .doing("read a period")?;
    row.map(PeriodRow::period).transpose()
}

impl Store {
    /// Makes the months of an organization that have begun, also those in which nothing was sent.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_periods(&self, org: OrgId) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        Chains::take(&mut tx, [org].iter()).await?;
        OpenPeriods::take(&mut tx, [org].iter(), now).await?;
        tx.commit().await
    }

    /// The months of the organizations in the scope, oldest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn periods(&self, scope: OrgScope) -> Result<Vec<BillingPeriod>> {
        let rows: Vec<PeriodRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, month, zone, starts_at, ends_at, closed_at, closed_by, forced, last_seq, record FROM billing_period
             WHERE ($1 IS NULL OR org_id = $1) ORDER BY org_id, month")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list periods")?;
        rows.into_iter().map(PeriodRow::period).collect()
    }

    /// One month of an organization.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn period(&self, scope: OrgScope, org: OrgId, month: Month) -> Result<Option<BillingPeriod>> {
        if scope.org().is_some_and(|only| only != org) {
            return Ok(None);
        }
        Ok(self.periods(OrgScope::One(org)).await?.into_iter().find(|period| period.bounds.month == month))
    }
}
