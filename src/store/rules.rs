//! An organization's rules as one document with a mark of its content, so that two who change it at once do not undo each other.

use super::{
    Doing as _, Result, Store, StoreError,
    decision::{Whom, record},
    price::insert_prices,
    read_json, webhook, write_json,
};
use crate::{
    crypto::{self, Hex},
    domain::{OrgId, SiteId, choice::Decides, organization::OrganizationFile},
};

/// The rules in force.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What was applied last.
    pub file: OrganizationFile,
    /// A mark of its content: another content has another mark.
    pub mark: String,
}

impl Store {
    /// The rules of an organization.
    ///
    /// # Errors
    /// [`StoreError::NoOrganization`], or when the database does not answer.
    pub async fn rules(&self, org: OrgId) -> Result<Rules> {
        let text: Option<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT file FROM organization WHERE id = $1").bind(org.to_string()).fetch_optional(pool).await)
                .doing("read an organization's rules")?;
        let text = text.ok_or(StoreError::NoOrganization)?;
        Ok(Rules { file: read_json("organization file", text.as_bytes())?, mark: mark(&text) })
    }

    /// Puts `file` in the place of the rules with this mark; identities stay as they are. Gives the new mark.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the rules are others by now.
    pub async fn change_rules(&self, org: OrgId, expected: &str, file: &OrganizationFile, whom: Whom<'_>) -> Result<String> {
        let key = self.key(org).await?;
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let known: Option<String> =
            locked!(&mut tx, query_scalar("SELECT file FROM organization WHERE id = $1").bind(org.to_string()).fetch_optional)
                .doing("read an organization's rules")?;
        let known = known.ok_or(StoreError::NoOrganization)?;
        if mark(&known) != expected {
            return Err(StoreError::Lost);
        }
        let text = String::from_utf8(write_json("organization file", file)?).unwrap_or_default();
        within!(&mut tx, c => sqlx::query("UPDATE organization SET mode = $1, file = $2, updated_at = $3 WHERE id = $4")
            .bind(file.mode.as_str()).bind(&text).bind(now.micros()).bind(org.to_string()).execute(c).await.map(drop))
        .doing("change an organization's rules")?;
        for site in &file.sites {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO site (org_id, id, local_id) VALUES ($1, $2, $3) ON CONFLICT (org_id, local_id) DO NOTHING")
                .bind(org.to_string()).bind(SiteId::new().to_string()).bind(&site.local_id).execute(c).await.map(drop))
            .doing("store a site")?;
        }
        insert_prices(&mut tx, org, file, now.micros()).await?;
        webhook::apply(&mut tx, &key, org, &file.webhooks, &[], now).await?;
        record(&mut tx, org, now, (Decides::Rules, &file.slug, &mark(&text)), None, whom).await?;
        tx.commit().await?;
        Ok(mark(&text))
    }
}

fn mark(text: &str) -> String {
    Hex(&crypto::sha256(text.as_bytes())).to_string()
}
