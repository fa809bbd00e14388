//! Wrong tries in a row, by name and by address: how long nobody gets in that way. Names nobody has are counted like others,
//! so that waiting tells nothing.

use super::{Doing as _, Result, Store};
use crate::domain::{
    Timestamp,
    password::{FORGOTTEN, wait, wrong_now},
};

/// What tries are counted under.
#[derive(Debug, Clone, Copy)]
pub enum TryKey<'a> {
    /// The name somebody signs in as, whether there is one or not.
    Name(&'a str),
    /// Where from: an IPv4 address, or the 64 bits of an IPv6 network.
    Address(&'a str),
}

impl TryKey<'_> {
    const fn field_and_value(&self) -> (&'static str, &str) {
        match self {
            Self::Name(name) => ("sign-in name", name),
            Self::Address(address) => ("sign-in address", address),
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

    /// Counts a wrong try; gives how many there are in a row, and until when nobody gets in.
    ///
    /// # Errors
    /// When it cannot be written: then nobody may be answered.
    pub async fn note_wrong_try(&self, key: TryKey<'_>, forgiven: u32) -> Result<(u32, Timestamp)> {
        let hashed = self.try_key(&key).await?;
        let mut tx = self.begin().await?;
        let now = self.clock.now();
        within!(&mut tx, c => sqlx::query("INSERT INTO sign_in_try (key, wrong, last_at, until) VALUES ($1, 0, $2, 0) ON CONFLICT (key) DO NOTHING")
            .bind(&hashed).bind(now.micros()).execute(c).await.map(drop))
        .doing("count a wrong try")?;
        let found: Option<(i64, i64)> =
            locked!(&mut tx, query_as("SELECT wrong, last_at FROM sign_in_try WHERE key = $1").bind(&hashed).fetch_optional)
                .doing("count a wrong try")?;
        let (before, last) = found.unwrap_or((0, now.micros()));
        let wrong = wrong_now(u32::try_from(before).unwrap_or(u32::MAX), Timestamp(last), now);
        let until = now.plus(wait(wrong, forgiven));
        within!(&mut tx, c => sqlx::query("UPDATE sign_in_try SET wrong = $1, last_at = $2, until = $3 WHERE key = $4")
            .bind(i64::from(wrong)).bind(now.micros()).bind(until.micros()).bind(&hashed).execute(c).await.map(drop))
        .doing("count a wrong try")?;
        // What nobody remembers need not be kept: names are made up faster than people are.
        within!(&mut tx, c => sqlx::query("DELETE FROM sign_in_try WHERE last_at < $1").bind(now.minus(FORGOTTEN).micros()).execute(c).await.map(drop))
            .doing("forget old tries")?;
        tx.commit().await?;
        Ok((wrong, until))
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
        Ok(self.installation_key().await?.search_hash(field, value)?)
    }
}
