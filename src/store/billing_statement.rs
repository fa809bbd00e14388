//! What was handed out for a closed month.

use super::{Doing as _, Result, Store};
use crate::{
    crypto::{Hex, sha256},
    domain::prices::closing::Row,
    domain::{Month, OrgId, OrgScope},
    store::{
        ledger::close::{Controls, controls},
        period::BillingPeriod,
    },
};

impl Store {
    /// What ties the lines of a month to its deliveries, as it is now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn period_controls(&self, period: &BillingPeriod, rows: &[Row]) -> Result<Controls> {
        let mut tx = self.begin_reading().await?;
        controls(&mut tx, period, rows).await
    }

    /// Keeps the statement of a closed month, once: what was handed out stays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_billing_statement(&self, org: OrgId, month: Month, bill_to: OrgId, json: &str) -> Result<()> {
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO billing_statement (org_id, month, bill_to_org, sha256, document, made_at) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (org_id, month, bill_to_org) DO NOTHING")
            .bind(org.to_string()).bind(month.to_string()).bind(bill_to.to_string())
            .bind(Hex(&sha256(json.as_bytes())).to_string()).bind(json).bind(self.clock.now().micros()).execute(pool).await.map(drop))
        .doing("keep a statement")
    }

    /// The statement that was handed out; `None` when none was. Whoever is confined to one organization sees those it pays.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn kept_billing_statement(
        &self,
        scope: OrgScope,
        org: OrgId,
        month: Month,
        bill_to: OrgId,
    ) -> Result<Option<String>> {
        if scope.org().is_some_and(|only| only != bill_to) {
            return Ok(None);
        }
        on!(&self.db, pool => sqlx::query_scalar(
            "SELECT document FROM billing_statement WHERE org_id = $1 AND month = $2 AND bill_to_org = $3")
            .bind(org.to_string()).bind(month.to_string()).bind(bill_to.to_string()).fetch_optional(pool).await)
        .doing("read a statement")
    }
}
