//! API tokens: each speaks for one organization or for the installation, has the rights it was given, is shown once and stored
//! as a hash.

use std::{collections::BTreeSet, time::Duration};

use super::{Doing as _, Result, Store, Tx, audit, read};
use crate::{
    crypto::{self, Hex},
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::Witness,
        id::TokenId,
        person::{Reach, Right},
    },
};

/// Who a token speaks for.
#[derive(Debug, Clone)]
pub struct TokenHolder {
    /// The token.
    pub id: TokenId,
    /// What it is called.
    pub name: String,
    /// Its organization; none: the whole installation.
    pub org: Option<OrgId>,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// Unknown JSON fields are ignored instead of refused.
    pub ignore_unknown: bool,
    /// When it was last used, as far as it was noted.
    used_at: Option<Timestamp>,
}

impl TokenHolder {
    /// Whose rows it may see.
    #[must_use]
    pub fn reach(&self) -> Reach {
        Reach::of(self.org.into_iter().collect())
    }
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct NewToken<'a> {
    /// The id it will have.
    pub id: TokenId,
    /// Whose; none: the installation's.
    pub org: Option<OrgId>,
    /// What it is called.
    pub name: &'a str,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// Unknown JSON fields are ignored instead of refused.
    pub ignore_unknown: bool,
    /// When it ends; none: when somebody ends it.
    pub expires_at: Option<Timestamp>,
}

/// One as a list shows it.
#[derive(Debug, Clone)]
pub struct TokenView {
    /// Which.
    pub id: TokenId,
    /// Whose; none: the installation's.
    pub org: Option<OrgId>,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub used_at: Option<Timestamp>,
    /// When it was ended.
    pub revoked_at: Option<Timestamp>,
}

/// So much later it is noted that a token is used.
const NOTED: Duration = Duration::from_mins(1);

type HolderRow = (String, Option<String>, String, String, bool, Option<i64>, Option<i64>);
type ViewRow = (String, Option<String>, String, String, i64, Option<i64>, Option<i64>, Option<i64>);

impl Store {
    /// Makes a token for a sender of orders and results, which lasts until it is revoked.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn create_token(&self, org: OrgId, name: &str, ignore_unknown: bool) -> Result<String> {
        self.create_token_with(org, name, ignore_unknown, false).await
    }

    /// The same; with `admin`, one that may do everything within its organization.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn create_token_with(&self, org: OrgId, name: &str, ignore_unknown: bool, admin: bool) -> Result<String> {
        let rights = if admin { Right::meant_by("admin") } else { Right::of_a_sender() };
        let new = NewToken { id: TokenId::new(), org: Some(org), name, rights, ignore_unknown, expires_at: None };
        let mut tx = self.begin().await?;
        let token = insert(&mut tx, &new, self.clock.now()).await?;
        tx.commit().await?;
        Ok(token)
    }

    /// Makes a token and returns its text, which is never shown again.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn make_token(&self, new: &NewToken<'_>, witness: Witness<'_>) -> Result<String> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let token = insert(&mut tx, new, now).await?;
        audit::commit(tx, witness, now).await?;
        Ok(token)
    }

    /// Makes a token in the place of those of the same name, which last `overlap` longer at most; nothing when there is none
    /// that still lets anybody in. The new one has the same rights, those of the newest.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn rotate_token(&self, new: &NewToken<'_>, overlap: Duration, witness: Witness<'_>) -> Result<Option<String>> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let org = new.org.map(|org| org.to_string());
        let newest: Option<(String, bool)> = within!(&mut tx, c => sqlx::query_as(
            "SELECT rights, ignore_unknown FROM api_token
             WHERE COALESCE(org_id, '') = COALESCE($1, '') AND name = $2 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
             ORDER BY created_at DESC, id DESC LIMIT 1")
            .bind(&org).bind(new.name).bind(now.micros()).fetch_optional(c).await)
        .doing("look for the token to rotate")?;
        let Some((rights, ignore_unknown)) = newest else { return Ok(None) };
        within!(&mut tx, c => sqlx::query(
            "UPDATE api_token SET expires_at = $1 WHERE COALESCE(org_id, '') = COALESCE($2, '') AND name = $3 AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $1)")
            .bind(now.plus(overlap).micros()).bind(&org).bind(new.name).execute(c).await.map(drop))
        .doing("let the tokens before end")?;
        let token = insert(&mut tx, &NewToken { rights: rights_of(&rights)?, ignore_unknown, ..new.clone() }, now).await?;
        audit::commit(tx, witness, now).await?;
        Ok(Some(token))
    }

    /// Who holds this token; `None` when nobody does. Looked up by hash, so timing tells nothing about the token.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn token_holder(&self, token: &str) -> Result<Option<TokenHolder>> {
        let now = self.clock.now();
        let row: Option<HolderRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, name, rights, ignore_unknown, expires_at, used_at FROM api_token WHERE hash = $1 AND revoked_at IS NULL")
            .bind(hash(token)).fetch_optional(pool).await)
        .doing("look a token up")?;
        let Some((id, org, name, rights, ignore_unknown, expires_at, used_at)) = row else { return Ok(None) };
        if expires_at.is_some_and(|at| at <= now.micros()) {
            return Ok(None);
        }
        let org = org.as_deref().map(|org| read("organization id", org)).transpose()?;
        let (id, rights) = (read("token id", &id)?, rights_of(&rights)?);
        Ok(Some(TokenHolder { id, name, org, rights, ignore_unknown, used_at: used_at.map(Timestamp) }))
    }

    /// Notes that a token is used, once a minute.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn touch_token(&self, holder: &TokenHolder) -> Result<()> {
        let now = self.clock.now();
        if holder.used_at.is_some_and(|at| now.since(at) < NOTED) {
            return Ok(());
        }
        on!(&self.writing, pool => sqlx::query("UPDATE api_token SET used_at = $1 WHERE id = $2")
            .bind(now.micros()).bind(holder.id.to_string()).execute(pool).await.map(drop))
        .doing("note that a token is used")
    }

    /// The tokens the scope may see, newest first; those of the installation are seen by the installation alone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn tokens(&self, scope: OrgScope) -> Result<Vec<TokenView>> {
        let rows: Vec<ViewRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, org_id, name, rights, created_at, expires_at, used_at, revoked_at FROM api_token
             WHERE ($1 IS NULL OR org_id = $1) ORDER BY created_at DESC, id DESC")
            .bind(scope.org().map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list tokens")?;
        let view = |(id, org, name, rights, created_at, expires_at, used_at, revoked_at): ViewRow| {
            Ok(TokenView {
                id: read("token id", &id)?,
                org: org.as_deref().map(|org| read("organization id", org)).transpose()?,
                name,
                rights: rights_of(&rights)?,
                created_at: Timestamp(created_at),
                expires_at: expires_at.map(Timestamp),
                used_at: used_at.map(Timestamp),
                revoked_at: revoked_at.map(Timestamp),
            })
        };
        rows.into_iter().map(view).collect()
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

    /// The same, on record; with `org` none, those of the installation.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn end_tokens(&self, org: Option<OrgId>, name: &str, witness: Witness<'_>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let ended = within!(&mut tx, c => sqlx::query(
            "UPDATE api_token SET revoked_at = $1 WHERE COALESCE(org_id, '') = COALESCE($2, '') AND name = $3 AND revoked_at IS NULL")
            .bind(now.micros()).bind(org.map(|org| org.to_string())).bind(name).execute(c).await.map(|done| done.rows_affected()))
        .doing("revoke a token")?;
        if ended > 0 {
            audit::commit(tx, witness, now).await?;
        }
        Ok(ended)
    }
}

async fn insert(tx: &mut Tx, new: &NewToken<'_>, now: Timestamp) -> Result<String> {
    // 32 random bytes: nothing to guess, so a plain hash is enough at rest.
    let mut secret = [0; 32];
    crypto::random(&mut secret)?;
    let token = format!("pt_{}", Hex(&secret));
    let rights: Vec<&str> = new.rights.iter().map(|right| right.as_str()).collect();
    within!(tx, c => sqlx::query(
        "INSERT INTO api_token (org_id, id, name, hash, rights, ignore_unknown, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(new.org.map(|org| org.to_string())).bind(new.id.to_string()).bind(new.name).bind(hash(&token)).bind(rights.join(" "))
        .bind(new.ignore_unknown).bind(now.micros()).bind(new.expires_at.map(Timestamp::micros)).execute(c).await.map(drop))
    .doing("store a token")?;
    Ok(token)
}

fn rights_of(text: &str) -> Result<BTreeSet<Right>> {
    text.split_whitespace().map(|word| read("right", word)).collect()
}

fn hash(token: &str) -> String {
    Hex(&crypto::sha256(token.as_bytes())).to_string()
}
