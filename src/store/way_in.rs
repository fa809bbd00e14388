//! The mailboxes that notices come into, and when each was looked through last.
//!
//! Silence is an answer only once it is known that nothing lies there unread: a notice that waited in the HISP's mailbox
//! while we were down came in time. So a clock that has run out waits until the mailbox was looked through after that moment,
//! though not for ever: see [`Store::silent_deliveries`].

use std::{collections::BTreeMap, time::Duration};

use super::{Doing as _, Result, Store};
use crate::domain::Timestamp;

/// A mailbox that is watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayIn {
    /// The task that watches it.
    pub name: String,
    /// Whose mailbox, in lower case; `None` when it gets the mail of all our addresses.
    pub address: Option<String>,
}

/// The mailboxes `w` that a notice about delivery `d` may lie in unseen: it was sent from that address over that relay, or the
/// mailbox is everybody's; and nobody has looked since the clock ran out.
macro_rules! unseen {
    () => {
        "(w.address_key IS NULL OR (w.relay = d.relay AND w.address_key = lower(d.sent_from)))
         AND (w.looked_at IS NULL OR w.looked_at < d.notice_at)"
    };
}
pub(super) use unseen;

const HELD: &str = concat!(
    "SELECT w.name, w.relay, COUNT(*) FROM delivery d JOIN way_in w ON ",
    unseen!(),
    " WHERE d.notice_at <= $1 AND d.notice_at > $2 GROUP BY w.name, w.relay"
);

/// A mailbox for which clocks wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The task that watches it.
    pub name: String,
    /// Its relay.
    pub relay: String,
    /// How many deliveries wait.
    pub deliveries: u64,
}

impl Store {
    /// These are the mailboxes of `relay`, from now on: those not seen before were never looked into.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn set_ways_in(&self, relay: &str, ways: &[WayIn]) -> Result<()> {
        let mut tx = self.begin().await?;
        let known: Vec<String> =
            within!(&mut tx, c => sqlx::query_scalar("SELECT name FROM way_in WHERE relay = $1").bind(relay).fetch_all(c).await)
                .doing("read which mailboxes are watched")?;
        for gone in known.iter().filter(|name| ways.iter().all(|way| way.name != **name)) {
            within!(&mut tx, c => sqlx::query("DELETE FROM way_in WHERE name = $1").bind(gone).execute(c).await.map(drop))
                .doing("forget a mailbox")?;
        }
        for new in ways.iter().filter(|way| !known.contains(&way.name)) {
            within!(&mut tx, c => sqlx::query(
                "INSERT INTO way_in (name, relay, address_key) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING")
                .bind(&new.name).bind(relay).bind(new.address.as_deref()).execute(c).await.map(drop))
            .doing("note a mailbox")?;
        }
        tx.commit().await
    }

    /// Forgets the mailboxes of relays that are not configured any more: nobody will look into them.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn keep_ways_in_of(&self, relays: &[&str]) -> Result<()> {
        let known: Vec<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT DISTINCT relay FROM way_in").fetch_all(pool).await)
                .doing("read which mailboxes are watched")?;
        for gone in known.iter().filter(|relay| !relays.contains(&relay.as_str())) {
            self.set_ways_in(gone, &[]).await?;
        }
        Ok(())
    }

    /// Everything that lay in a mailbox at `at` is durable here.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn looked_into(&self, name: &str, at: Timestamp) -> Result<()> {
        on!(&self.db, pool => sqlx::query("UPDATE way_in SET looked_at = $1 WHERE name = $2 AND (looked_at IS NULL OR looked_at < $1)")
            .bind(at.micros()).bind(name).execute(pool).await.map(drop))
        .doing("note that a mailbox was looked through")
    }

    /// The mailboxes that clocks wait for: they have run out less than `patience` ago.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn clocks_held(&self, patience: Duration) -> Result<BTreeMap<String, Held>> {
        let now = self.now().await?;
        let rows: Vec<(String, String, i64)> = on!(&self.db, pool => sqlx::query_as(HELD)
            .bind(now.micros()).bind(now.minus(patience).micros()).fetch_all(pool).await)
        .doing("look for clocks that wait for a mailbox")?;
        let held = |(name, relay, count): (String, String, i64)| {
            (name.clone(), Held { name, relay, deliveries: u64::try_from(count).unwrap_or(0) })
        };
        Ok(rows.into_iter().map(held).collect())
    }
}
