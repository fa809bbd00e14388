//! People whom an OpenID provider vouches for: known by the provider's own name for them, which never changes.

use std::time::Duration;

use super::{Doing as _, Result, Store, StoreError, Tx, audit, person::Person, read};
use crate::{
    crypto::{Hex, sha256},
    domain::{audit::Witness, id::PersonId},
};

/// Ways that were used longer ago than this are forgotten: what the provider said then is too old to be believed by far.
const REMEMBERED: Duration = Duration::from_hours(24);

impl Store {
    /// Whom `issuer` means by `subject`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn person_vouched_for(&self, issuer: &str, subject: &str) -> Result<Option<Person>> {
        let id: Option<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT user_id FROM user_provider WHERE issuer = $1 AND subject = $2")
            .bind(issuer).bind(subject).fetch_optional(pool).await)
        .doing("look up whom a provider means")?;
        match id {
            Some(id) => self.person(read("person id", &id)?).await,
            None => Ok(None),
        }
    }

    /// From now on `issuer` means `person` by `subject`.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when that is somebody else already, or somebody else was meant by this person.
    pub async fn link_person(&self, person: PersonId, issuer: &str, subject: &str, witness: Witness<'_>) -> Result<()> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let linked = within!(&mut tx, c => sqlx::query(
            "INSERT INTO user_provider (user_id, issuer, subject, linked_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
            .bind(person.to_string()).bind(issuer).bind(subject).bind(now.micros())
            .execute(c).await.map(|done| done.rows_affected()))
        .doing("link a person to a provider's")?;
        if linked == 0 {
            return Err(StoreError::Taken("somebody the provider knows"));
        }
        audit::commit(tx, witness, now).await
    }

    /// Forgets whom a provider took for `person`; gives whether there was somebody.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn unlink_person(&self, person: PersonId, witness: Witness<'_>) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let forgotten = drop_link(&mut tx, person).await?;
        if forgotten {
            audit::commit(tx, witness, now).await?;
        }
        Ok(forgotten)
    }

    /// Spends a way through the provider, named by its `nonce`; gives whether it was good still: each is good once.
    ///
    /// # Errors
    /// When it cannot be written: then nobody may be let in.
    pub async fn spend_passage(&self, nonce: &str) -> Result<bool> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        within!(&mut tx, c => sqlx::query("DELETE FROM spent_passage WHERE spent_at < $1")
            .bind(now.minus(REMEMBERED).micros()).execute(c).await.map(drop))
        .doing("forget old ways in")?;
        let spent = within!(&mut tx, c => sqlx::query("INSERT INTO spent_passage (hash, spent_at) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(Hex(&sha256(nonce.as_bytes())).to_string()).bind(now.micros())
            .execute(c).await.map(|done| done.rows_affected()))
        .doing("spend a way in")?;
        tx.commit().await?;
        Ok(spent > 0)
    }
}

/// Forgets whom a provider means by `person`, inside a transaction; gives whether there was somebody.
pub(super) async fn drop_link(tx: &mut Tx, person: PersonId) -> Result<bool> {
    let forgotten = within!(tx, c => sqlx::query("DELETE FROM user_provider WHERE user_id = $1")
        .bind(person.to_string()).execute(c).await.map(|done| done.rows_affected()))
    .doing("forget whom a provider means")?;
    Ok(forgotten > 0)
}
