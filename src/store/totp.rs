//! Codes (TOTP) of people, kept encrypted, and recovery codes, kept as keyed hashes. Each code works once.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use uuid::Uuid;

use super::{Doing as _, Result, Store, StoreError, Tx, at_rest, audit, person::end_sessions};
use crate::{
    crypto::{DataKey, totp::Secret},
    domain::{OrgId, audit::Witness, id::PersonId, id::SessionId},
};

/// Codes to be set up, once a first one was right.
pub struct NewCodes<'a> {
    /// Whose.
    pub person: PersonId,
    /// What [`Store::offer_codes`] gave.
    pub offer: &'a str,
    /// The step whose code proved that the telephone has it: it is used up.
    pub step: i64,
    /// Codes for the day the telephone is lost, as they are shown this once.
    pub recovery: &'a [String],
    /// The session that goes on; all others of theirs end.
    pub keep: SessionId,
}

impl Store {
    /// Seals a new secret for one person, to be carried by the page that shows it until the first code comes back.
    ///
    /// # Errors
    /// When the installation's key cannot be had.
    pub async fn offer_codes(&self, person: PersonId, secret: &Secret) -> Result<String> {
        let key = self.installation_key().await?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode(seal(&key, "totp offer", person, secret.octets())?))
    }

    /// The secret of an offer; nothing when it is not one that was made to this person.
    ///
    /// # Errors
    /// When the installation's key cannot be had.
    pub async fn offered_codes(&self, person: PersonId, offer: &str) -> Result<Option<Secret>> {
        let Ok(sealed) = BASE64_URL_SAFE_NO_PAD.decode(offer) else { return Ok(None) };
        let key = self.installation_key().await?;
        Ok(open(&key, "totp offer", person, &sealed).ok())
    }

    /// Sets codes up.
    ///
    /// # Errors
    /// [`StoreError::Lost`] when the offer was not made to this person.
    pub async fn set_codes(&self, new: &NewCodes<'_>, witness: Witness<'_>) -> Result<()> {
        let secret = self.offered_codes(new.person, new.offer).await?.ok_or(StoreError::Lost)?;
        let key = self.installation_key().await?;
        let sealed = seal(&key, "user_.totp", new.person, secret.octets())?;
        let hashes = new.recovery.iter().map(|code| Ok(key.search_hash("recovery code", code)?)).collect::<Result<Vec<_>>>()?;
        let person = new.person.to_string();
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        within!(&mut tx, c => sqlx::query("UPDATE user_ SET totp = $1, totp_step = $2 WHERE id = $3")
            .bind(&sealed).bind(new.step).bind(&person).execute(c).await.map(drop))
        .doing("set codes up")?;
        within!(&mut tx, c => sqlx::query("DELETE FROM recovery_code WHERE user_id = $1").bind(&person).execute(c).await.map(drop))
            .doing("set codes up")?;
        for hash in hashes {
            within!(&mut tx, c => sqlx::query("INSERT INTO recovery_code (user_id, hash) VALUES ($1, $2)").bind(&person).bind(hash)
                .execute(c).await.map(drop))
            .doing("set codes up")?;
        }
        end_sessions(&mut tx, new.person, Some(new.keep)).await?;
        audit::commit(tx, witness, now).await
    }

    /// Whether this is a good code of somebody's: from the telephone or for recovery. Either is used up by asking.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn use_code(&self, person: PersonId, code: &str) -> Result<bool> {
        let id = person.to_string();
        let sealed: Option<Option<Vec<u8>>> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT totp FROM user_ WHERE id = $1").bind(&id).fetch_optional(pool).await)
                .doing("read a secret for codes")?;
        let Some(sealed) = sealed.flatten() else { return Ok(false) };
        let key = self.installation_key().await?;
        let secret = open(&key, "user_.totp", person, &sealed)?;
        let used = if let Some(step) = secret.step_of(code, self.clock.now())? {
            // RFC 6238 5.2: the same code is not taken twice, nor one before it.
            on!(&self.writing, pool => sqlx::query(
                "UPDATE user_ SET totp_step = $1 WHERE id = $2 AND (totp_step IS NULL OR totp_step < $1)")
                .bind(step).bind(&id).execute(pool).await.map(|done| done.rows_affected()))
            .doing("use a code")?
        } else {
            let hash = key.search_hash("recovery code", code)?;
            on!(&self.writing, pool => sqlx::query("UPDATE recovery_code SET used_at = $1 WHERE user_id = $2 AND hash = $3 AND used_at IS NULL")
                .bind(self.clock.now().micros()).bind(&id).bind(hash).execute(pool).await.map(|done| done.rows_affected()))
            .doing("use a recovery code")?
        };
        Ok(used == 1)
    }

    /// How many recovery codes somebody has left.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn recovery_codes_left(&self, person: PersonId) -> Result<i64> {
        on!(&self.db, pool => sqlx::query_scalar("SELECT COUNT(*) FROM recovery_code WHERE user_id = $1 AND used_at IS NULL")
            .bind(person.to_string()).fetch_one(pool).await)
        .doing("count recovery codes")
    }
}

/// Takes codes away, inside a transaction: they are set up anew at the next sign-in, where they are asked for.
pub(super) async fn drop_codes(tx: &mut Tx, person: PersonId) -> Result<()> {
    let id = person.to_string();
    within!(tx, c => sqlx::query("UPDATE user_ SET totp = NULL, totp_step = NULL WHERE id = $1").bind(&id).execute(c).await.map(drop))
        .doing("take codes away")?;
    within!(tx, c => sqlx::query("DELETE FROM recovery_code WHERE user_id = $1").bind(&id).execute(c).await.map(drop))
        .doing("take codes away")
}

/// Stands where an organization's id would: no organization has it.
const NOBODY: OrgId = OrgId(Uuid::nil());

fn seal(key: &DataKey, what: &'static str, person: PersonId, secret: &[u8]) -> Result<Vec<u8>> {
    at_rest::seal(key, NOBODY, what, person.0, secret)
}

fn open(key: &DataKey, what: &'static str, person: PersonId, sealed: &[u8]) -> Result<Secret> {
    Ok(Secret::from_octets(at_rest::open(key, NOBODY, what, person.0, sealed)?))
}
