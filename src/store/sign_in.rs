//! Tries in a row, by name and by address: how long nobody gets in that way. Names nobody has are counted like others, so that
//! waiting tells nothing.
//!
//! A try is counted before it is judged, and taken back when it was right: of any number that come at the same time no more are
//! judged than are forgiven.

use super::{Doing as _, Result, Store, person};
use crate::{
    crypto::{Hex, sha256},
    domain::{
        Timestamp,
        password::{FORGOTTEN, wait, wrong_now},
    },
};

/// What tries are counted under.
#[derive(Debug, Clone, Copy)]
pub enum TryKey<'a> {
    /// The name somebody signs in as, whether there is one or not.
    Name(&'a str),
    /// Where from: an IPv4 address, or the 64 bits of an IPv6 network.
    Address(&'a str),
}

/// A try that was counted as if it were wrong.
#[derive(Debug)]
#[must_use = "a try that was right is taken back"]
pub struct Counted {
    /// How many there are in a row now, this one among them, under the key that was named first.
    pub wrong: u32,
    /// Until when nobody gets in that way any more, should it be wrong.
    pub until: Timestamp,
    /// Each key's hash, and how many there were under it with this one.
    under: Vec<(String, u32)>,
}

impl TryKey<'_> {
    /// Names are told apart as accounts are, and in no other way: nobody's tries count for their neighbour.
    fn field_and_value(&self) -> (&'static str, String) {
        match self {
            Self::Name(name) => ("sign-in name", person::key(name)),
            Self::Address(address) => ("sign-in address", (*address).to_owned()),
        }
    }
}

impl Store {
    /// The instant before which nobody gets in under any of these.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn locked_until(&self, keys: &[TryKey<'_>]) -> Result<Option<Timestamp>> {
        let mut latest = None;
        for key in keys {
            let until: Option<i64> = on!(&self.db, pool => sqlx::query_scalar("SELECT until FROM sign_in_try WHERE key = $1")
                .bind(self.try_key(key).await?).fetch_optional(pool).await)
            .doing("look wrong tries up")?;
            latest = latest.max(until.map(Timestamp));
        }
        Ok(latest.filter(|until| *until > self.clock.now()))
    }

    /// Counts a try under each of `keys`, with how many of them are forgiven; `None` when nobody gets in under one of them now:
    /// then it is not counted, and must not be judged.
    ///
    /// # Errors
    /// When it cannot be written: then nobody may be answered.
    pub async fn begin_try(&self, keys: &[(TryKey<'_>, u32)]) -> Result<Option<Counted>> {
        // Looking costs nothing; to count is a write.
        let named: Vec<TryKey<'_>> = keys.iter().map(|(key, _)| *key).collect();
        if self.locked_until(&named).await?.is_some() {
            return Ok(None);
        }
        let mut hashed = Vec::with_capacity(keys.len());
        for (key, forgiven) in keys {
            hashed.push((self.try_key(key).await?, *forgiven));
        }
        let mut tx = self.begin().await?;
        let now = self.clock.now();
        let mut counted = Counted { wrong: 0, until: now, under: Vec::with_capacity(keys.len()) };
        let mut is_first = false;
        // Everybody takes them in the same order.
        for (key, forgiven) in hashed.iter().rev() {
            // The update that changes nothing locks the row.
            let (before, last, until): (i64, i64, i64) = within!(&mut tx, c => sqlx::query_as(
                "INSERT INTO sign_in_try (key, wrong, last_at, until) VALUES ($1, 0, $2, 0)
                 ON CONFLICT (key) DO UPDATE SET wrong = sign_in_try.wrong RETURNING wrong, last_at, until")
                .bind(key).bind(now.micros()).fetch_one(c).await)
            .doing("count a try")?;
            if Timestamp(until) > now {
                // What was counted under the key before is undone with the transaction.
                return Ok(None);
            }
            let wrong = wrong_now(u32::try_from(before).unwrap_or(u32::MAX), Timestamp(last), now);
            let until = now.plus(wait(wrong, *forgiven));
            within!(&mut tx, c => sqlx::query("UPDATE sign_in_try SET wrong = $1, last_at = $2, until = $3 WHERE key = $4")
                .bind(i64::from(wrong)).bind(now.micros()).bind(until.micros()).bind(key).execute(c).await.map(drop))
            .doing("count a try")?;
            counted.wrong = wrong;
            counted.until = counted.until.max(until);
            counted.under.push((key.clone(), wrong));
            is_first |= before == 0;
        }
        tx.commit().await?;
        if is_first {
            // What nobody remembers need not be kept: names are made up faster than people are.
            on!(&self.writing, pool => sqlx::query("DELETE FROM sign_in_try WHERE last_at < $1")
                .bind(now.minus(FORGOTTEN).micros()).execute(pool).await.map(drop))
            .doing("forget old tries")?;
        }
        Ok(Some(counted))
    }

    /// Takes a counted try back: it was right, or it was not judged. The wrong ones before it, and those that came at the same
    /// time, stay.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn take_back_try(&self, counted: &Counted) -> Result<()> {
        let mut tx = self.begin().await?;
        for (key, wrong) in &counted.under {
            // A lock that a later one has begun is that one's.
            within!(&mut tx, c => sqlx::query(
                "UPDATE sign_in_try SET wrong = wrong - 1, until = CASE WHEN wrong = $1 THEN 0 ELSE until END WHERE key = $2 AND wrong > 0")
                .bind(i64::from(*wrong)).bind(key).execute(c).await.map(drop))
            .doing("take a try back")?;
        }
        tx.commit().await
    }

    /// Forgets the wrong tries: somebody got in, or an admin says so.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn forget_tries(&self, key: TryKey<'_>) -> Result<()> {
        let hashed = self.try_key(&key).await?;
        on!(&self.writing, pool => sqlx::query("DELETE FROM sign_in_try WHERE key = $1").bind(hashed).execute(pool).await.map(drop))
            .doing("forget wrong tries")
    }

    /// People type passwords where their name belongs, so it is kept only as a keyed hash.
    pub(super) async fn try_key(&self, key: &TryKey<'_>) -> Result<String> {
        let (field, value) = key.field_and_value();
        // The keyed hash would take blanks and dashes away.
        let exactly = Hex(&sha256(value.as_bytes())).to_string();
        Ok(self.installation_key().await?.search_hash(field, &exactly)?)
    }
}
