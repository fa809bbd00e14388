//! How an organization's deliveries to an address went: what a choice among addresses learns from.

use std::collections::HashMap;

use super::{Doing as _, Result, Store, read};
use crate::domain::{DirectAddress, OrgId, Reason, Timestamp, choice::Experience, delivery::Disposition};

/// So far back failures are counted.
const LOOKED_AT: i64 = 20;

impl Store {
    /// How deliveries to each of these addresses went, by address key.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn experience<'a>(
        &self,
        org: OrgId,
        addresses: impl IntoIterator<Item = &'a DirectAddress> + Send,
    ) -> Result<HashMap<String, Experience>> {
        let mut keys: Vec<String> = addresses.into_iter().map(DirectAddress::key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut all = HashMap::with_capacity(keys.len());
        for key in keys {
            let experience = self.experience_of(org, &key).await?;
            all.insert(key, experience);
        }
        Ok(all)
    }

    async fn experience_of(&self, org: OrgId, address_key: &str) -> Result<Experience> {
        let rows: Vec<(String, i64, Option<String>, Option<String>)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT * FROM (SELECT 'success' AS sort, accepted_at AS at, disposition, reason FROM delivery
                WHERE org_id = $1 AND address_key = $2 AND accepted_at IS NOT NULL
                    AND disposition IN ('processed', 'dispatched', 'unconfirmed', 'not_expected') ORDER BY accepted_at DESC LIMIT 1) AS s
             UNION ALL SELECT * FROM (SELECT 'accepted', accepted_at, disposition, reason FROM delivery
                WHERE org_id = $1 AND address_key = $2 AND accepted_at IS NOT NULL ORDER BY accepted_at DESC LIMIT $3) AS a
             UNION ALL SELECT * FROM (SELECT 'refused', updated_at, disposition, reason FROM delivery
                WHERE org_id = $1 AND address_key = $2 AND state = 'refused' ORDER BY updated_at DESC LIMIT $3) AS r")
            .bind(org.to_string()).bind(address_key).bind(LOOKED_AT).fetch_all(pool).await)
        .doing("look how deliveries to an address went")?;
        let last_success = rows.iter().find(|row| row.0 == "success").map(|row| Timestamp(row.1));
        let since = last_success.unwrap_or(Timestamp(i64::MIN));
        let mut experience = Experience { last_success, ..Experience::default() };
        for (sort, at, disposition, reason) in rows.iter().filter(|row| Timestamp(row.1) > since) {
            let disposition: Option<Disposition> = disposition.as_deref().map(|text| read("disposition", text)).transpose()?;
            let reason: Option<Reason> = reason.as_deref().map(|text| read("reason", text)).transpose()?;
            let failed = sort == "accepted" && matches!(disposition, Some(Disposition::Failed | Disposition::Expired));
            let refused = sort == "refused" && reason.is_some_and(is_about_the_address);
            experience.failures += u32::from(failed || refused);
            if let (true, Some(reason)) = (sort == "refused", reason.filter(|reason| cannot_be_sealed_to(*reason))) {
                let at = Timestamp(*at);
                if experience.unsealable.is_none_or(|(known, _)| known < at) {
                    experience.unsealable = Some((at, reason));
                }
            }
        }
        Ok(experience)
    }
}

/// Whether a refusal speaks against the address, not against our relay or the document.
const fn is_about_the_address(reason: Reason) -> bool {
    cannot_be_sealed_to(reason) || matches!(reason, Reason::Rejected5xx | Reason::RemoteFailed)
}

/// Whether there was no certificate to believe.
const fn cannot_be_sealed_to(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NoCert
            | Reason::Untrusted
            | Reason::Revoked
            | Reason::ExpiredCert
            | Reason::NotBound
            | Reason::KeyUsage
            | Reason::KeyAlgorithm
    )
}
