//! What stands between a delivery and a certificate to believe, as it is kept beside the delivery.

use super::{Doing as _, Result, Tx, read};
use crate::domain::{Doubt, Reason, Timestamp};

/// As it lies in the database.
#[derive(sqlx::FromRow)]
pub(super) struct DoubtRow {
    waiting_for: Option<String>,
    distrusted_since: Option<i64>,
    rechecks: i64,
    unchecked_since: Option<i64>,
}

impl DoubtRow {
    pub(super) fn doubt(&self) -> Result<Doubt> {
        Ok(Doubt {
            reason: self.waiting_for.as_deref().map(|text| read("reason", text)).transpose()?,
            distrusted_since: self.distrusted_since.map(Timestamp),
            rechecks: u32::try_from(self.rechecks).unwrap_or(u32::MAX),
            unchecked_since: self.unchecked_since.map(Timestamp),
        })
    }
}

/// Puts `doubt` in the place of what was kept.
pub(super) async fn write_doubt(tx: &mut Tx, org: &str, delivery: &str, doubt: &Doubt) -> Result<()> {
    within!(tx, c => sqlx::query(
        "UPDATE delivery SET waiting_for = $1, distrusted_since = $2, rechecks = $3, unchecked_since = $4 WHERE org_id = $5 AND id = $6")
        .bind(doubt.reason.map(Reason::as_str)).bind(doubt.distrusted_since.map(Timestamp::micros)).bind(i64::from(doubt.rechecks))
        .bind(doubt.unchecked_since.map(Timestamp::micros)).bind(org).bind(delivery).execute(c).await.map(drop))
    .doing("keep why a delivery waits")
}
