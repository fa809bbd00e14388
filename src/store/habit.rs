//! How recipient domains answer, for each organization by itself: learnt from what happened to its deliveries.

use std::collections::BTreeMap;

use super::{Doing as _, Result, Store, Tx};
use crate::domain::{DirectAddress, OrgId, Timestamp, delivery::Disposition, tracking::Habit};

/// What one transaction learnt, written at its end in one order.
#[derive(Default)]
pub(super) struct Lessons(BTreeMap<(OrgId, String), Vec<Disposition>>);

impl Lessons {
    pub(super) fn add(&mut self, org: OrgId, address: &str, disposition: Disposition) {
        let domain = address.rsplit_once('@').map_or(address, |(_, domain)| domain).to_ascii_lowercase();
        if !matches!(disposition, Disposition::Awaited | Disposition::NotExpected) {
            self.0.entry((org, domain)).or_default().push(disposition);
        }
    }

    pub(super) async fn write(&self, tx: &mut Tx, now: Timestamp) -> Result<()> {
        for ((org, domain), dispositions) in &self.0 {
            let count = |which: Disposition| i64::try_from(dispositions.iter().filter(|d| **d == which).count()).unwrap_or(0);
            let dispatched = count(Disposition::Dispatched);
            within!(tx, c => sqlx::query(
                "INSERT INTO notice_habit (org_id, domain, processed, dispatched, failed, expired, unconfirmed, updated_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (org_id, domain) DO UPDATE SET processed = notice_habit.processed + excluded.processed,
                    dispatched = notice_habit.dispatched + excluded.dispatched, failed = notice_habit.failed + excluded.failed,
                    expired = notice_habit.expired + excluded.expired,
                    unconfirmed = CASE WHEN excluded.dispatched > 0 THEN 0 ELSE notice_habit.unconfirmed + excluded.unconfirmed END,
                    updated_at = excluded.updated_at")
                .bind(org.to_string()).bind(domain).bind(count(Disposition::Processed)).bind(dispatched).bind(count(Disposition::Failed))
                .bind(count(Disposition::Expired)).bind(if dispatched > 0 { 0 } else { count(Disposition::Unconfirmed) }).bind(now.micros())
                .execute(c).await.map(drop))
            .doing("learn how a domain answers")?;
        }
        Ok(())
    }
}

/// A `dispatched` that came late, or unasked, shows all the same that the domain can say it.
pub(super) async fn has_dispatched(tx: &mut Tx, org: OrgId, address: &DirectAddress, now: Timestamp) -> Result<()> {
    let mut lessons = Lessons::default();
    lessons.add(org, address.as_str(), Disposition::Dispatched);
    lessons.write(tx, now).await
}

impl Store {
    /// How `address`'s domain has answered this organization so far.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn habit(&self, org: OrgId, address: &DirectAddress) -> Result<Habit> {
        let row: Option<(i64, i64, i64, i64, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT processed, dispatched, failed, expired, unconfirmed FROM notice_habit WHERE org_id = $1 AND domain = $2")
            .bind(org.to_string()).bind(address.domain_key()).fetch_optional(pool).await)
        .doing("look up how a domain answers")?;
        let narrow = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
        Ok(row.map_or_else(Habit::default, |(processed, dispatched, failed, expired, unconfirmed)| Habit {
            processed: narrow(processed),
            dispatched: narrow(dispatched),
            failed: narrow(failed),
            expired: narrow(expired),
            unconfirmed: narrow(unconfirmed),
        }))
    }
}
