//! API tokens: one organization each, shown once, stored as a hash.

use super::{Doing as _, Result, Store, read};
use crate::{
    crypto::{self, Hex},
    domain::{OrgId, Timestamp},
};

/// Who a token speaks for.
#[derive(Debug, Clone)]
pub struct TokenHolder {
    /// The organization.
    pub org: OrgId,
    /// Unknown JSON fields are ignored instead of refused.
    pub ignore_unknown: bool,
    /// May change the organization's rules and resolve its worklist.
    pub admin: bool,
    /// What the token is called.
    pub name: String,
}

impl Store {
    /// Makes a token and returns its text, which is never shown again.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn create_token(&self, org: OrgId, name: &str, ignore_unknown: bool) -> Result<String> {
        self.create_token_with(org, name, ignore_unknown, false).await
    }

    /// The same with the right to change the organization's rules and to resolve its worklist, or without.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn create_token_with(&self, org: OrgId, name: &str, ignore_unknown: bool, admin: bool) -> Result<String> {
        // 32 random bytes: nothing to guess, so a plain hash is enough at rest.
        let mut secret = [0; 32];
        crypto::random(&mut secret)?;
        let token = format!("pt_{}", Hex(&secret));
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO api_token (org_id, id, name, hash, ignore_unknown, admin, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(org.to_string()).bind(uuid::Uuid::now_v7().to_string()).bind(name)
            .bind(hash(&token)).bind(ignore_unknown).bind(admin).bind(self.clock.now().micros())
            .execute(pool).await.map(drop))
        .doing("store a token")?;
        Ok(token)
    }

    /// Who holds this token; `None` when nobody does. Looked up by hash, so timing tells nothing about the token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn token_holder(&self, token: &str) -> Result<Option<TokenHolder>> {
        let row: Option<(String, bool, bool, String)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT org_id, ignore_unknown, admin, name FROM api_token WHERE hash = $1 AND revoked_at IS NULL")
            .bind(hash(token)).fetch_optional(pool).await)
        .doing("look a token up")?;
        row.map(|(org, ignore_unknown, admin, name)| {
            Ok(TokenHolder { org: read("organization id", &org)?, ignore_unknown, admin, name })
        })
        .transpose()
    }

    /// Revokes every token of that name; returns how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn revoke_token(&self, org: OrgId, name: &str, now: Timestamp) -> Result<u64> {
        on!(&self.db, pool => sqlx::query("UPDATE api_token SET revoked_at = $1 WHERE org_id = $2 AND name = $3 AND revoked_at IS NULL")
            .bind(now.micros()).bind(org.to_string()).bind(name).execute(pool).await.map(|done| done.rows_affected()))
        .doing("revoke a token")
    }
}

fn hash(token: &str) -> String {
    Hex(&crypto::sha256(token.as_bytes())).to_string()
}
