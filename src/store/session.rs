//! Who is signed in. A session is named by 256 random bits that only the browser has; here is their hash.

use std::time::Duration;

use super::{Doing as _, Result, Store, audit, person::Person, person::end_sessions, read};
use crate::{
    crypto::{self, Hex},
    domain::{
        Timestamp,
        audit::Witness,
        id::{PersonId, SessionId},
        words,
    },
};

words! {
    /// How far a sign-in came.
    pub enum Stage {
        /// The password was right; a code is awaited. It lets nobody do anything else.
        Code = "code",
        /// Signed in.
        Open = "open",
    }
}

/// A session to be begun. The one before ends with it: nobody keeps an id from before signing in.
pub struct NewSession<'a> {
    /// Whose.
    pub person: PersonId,
    /// How far the sign-in came.
    pub stage: Stage,
    /// An OpenID provider vouched for them; no password was shown.
    pub by_provider: bool,
    /// Where from.
    pub address: &'a str,
    /// With which browser, as it says.
    pub agent: &'a str,
    /// However busy it is, it ends after so long.
    pub lasts: Duration,
    /// The session it takes the place of.
    pub instead_of: Option<SessionId>,
}

/// A session that is good, and whose it is.
#[derive(Debug, Clone)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// How far the sign-in came.
    pub stage: Stage,
    /// An OpenID provider vouched for them.
    pub by_provider: bool,
    /// Whose.
    pub person: Person,
    /// When something was last done in it.
    pub seen_at: Timestamp,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
}

/// One as its owner sees it in a list.
#[derive(Debug, Clone)]
pub struct SessionView {
    /// Which.
    pub id: SessionId,
    /// Where from.
    pub address: String,
    /// With which browser, as it says.
    pub agent: String,
    /// When it began.
    pub created_at: Timestamp,
    /// When something was last done in it.
    pub seen_at: Timestamp,
}

/// So much later it is noted that somebody did something: not every click is a write.
const NOTED: Duration = Duration::from_secs(20);

impl Store {
    /// Begins a session and gives what its cookie holds. `witness` is put on record with it; for a sign-in that still waits for
    /// a code there is nothing to record yet.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn begin_session(&self, new: &NewSession<'_>, witness: Option<Witness<'_>>) -> Result<String> {
        let mut secret = zeroize::Zeroizing::new([0; 32]);
        crypto::random(&mut secret[..])?;
        let token = Hex(&secret[..]).to_string();
        let (id, now) = (SessionId::new(), self.clock.now());
        let mut tx = self.begin().await?;
        if let Some(before) = new.instead_of {
            within!(&mut tx, c => sqlx::query("DELETE FROM console_session WHERE id = $1").bind(before.to_string()).execute(c).await.map(drop))
                .doing("end the session before")?;
        }
        within!(&mut tx, c => sqlx::query("DELETE FROM console_session WHERE ends_at <= $1").bind(now.micros()).execute(c).await.map(drop))
            .doing("forget old sessions")?;
        within!(&mut tx, c => sqlx::query(
            "INSERT INTO console_session (id, user_id, hash, stage, address, agent, created_at, seen_at, ends_at, by_provider)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)")
            .bind(id.to_string()).bind(new.person.to_string()).bind(hash(&token)).bind(new.stage.as_str()).bind(new.address)
            .bind(new.agent).bind(now.micros()).bind(now.plus(new.lasts).micros()).bind(new.by_provider).execute(c).await.map(drop))
        .doing("begin a session")?;
        if new.stage == Stage::Open {
            within!(&mut tx, c => sqlx::query("UPDATE user_ SET signed_in_at = $1 WHERE id = $2")
                .bind(now.micros()).bind(new.person.to_string()).execute(c).await.map(drop))
            .doing("note a sign-in")?;
        }
        match witness {
            Some(witness) => audit::commit(tx, witness, now).await?,
            None => tx.commit().await?,
        }
        Ok(token)
    }

    /// The session of a cookie, if it is good: not ended, not idle for longer than `idle`, of somebody who may still sign in.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session(&self, token: &str, idle: Duration) -> Result<Option<Session>> {
        let now = self.clock.now();
        let row: Option<(String, String, String, i64, i64, bool)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, user_id, stage, seen_at, ends_at, by_provider FROM console_session WHERE hash = $1")
            .bind(hash(token)).fetch_optional(pool).await)
        .doing("look a session up")?;
        let Some((id, person, stage, seen_at, ends_at, by_provider)) = row else { return Ok(None) };
        let (seen_at, ends_at) = (Timestamp(seen_at), Timestamp(ends_at));
        if now >= ends_at || now >= seen_at.plus(idle) {
            return Ok(None);
        }
        let person = self.person(read("person id", &person)?).await?;
        let Some(person) = person.filter(|person| person.disabled_at.is_none()) else { return Ok(None) };
        Ok(Some(Session { id: read("session id", &id)?, stage: read("stage", &stage)?, by_provider, person, seen_at, ends_at }))
    }

    /// Whether a session of somebody who is signed in is still good: a page that follows what happens asks again and again.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn session_is_open(&self, id: SessionId, idle: Duration) -> Result<bool> {
        let now = self.clock.now();
        let good: Option<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT s.id FROM console_session s JOIN user_ u ON u.id = s.user_id
             WHERE s.id = $1 AND s.stage = 'open' AND s.ends_at > $2 AND s.seen_at > $3 AND u.disabled_at IS NULL")
            .bind(id.to_string()).bind(now.micros()).bind(now.minus(idle).micros()).fetch_optional(pool).await)
        .doing("look whether a session is still good")?;
        Ok(good.is_some())
    }

    /// Notes that something was done in a session.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn touch_session(&self, session: &Session) -> Result<()> {
        let now = self.clock.now();
        if now.since(session.seen_at) < NOTED {
            return Ok(());
        }
        on!(&self.writing, pool => sqlx::query("UPDATE console_session SET seen_at = $1 WHERE id = $2")
            .bind(now.micros()).bind(session.id.to_string()).execute(pool).await.map(drop))
        .doing("note that a session is used")
    }

    /// What somebody is signed in to, the newest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn sessions_of(&self, person: PersonId, idle: Duration) -> Result<Vec<SessionView>> {
        let now = self.clock.now();
        let rows: Vec<(String, String, String, i64, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, address, agent, created_at, seen_at FROM console_session
             WHERE user_id = $1 AND stage = 'open' AND ends_at > $2 AND seen_at > $3 ORDER BY created_at DESC, id DESC")
            .bind(person.to_string()).bind(now.micros()).bind(now.minus(idle).micros()).fetch_all(pool).await)
        .doing("list sessions")?;
        let view = |(id, address, agent, created_at, seen_at): (String, String, String, i64, i64)| {
            let (created_at, seen_at) = (Timestamp(created_at), Timestamp(seen_at));
            Ok(SessionView { id: read("session id", &id)?, address, agent, created_at, seen_at })
        };
        rows.into_iter().map(view).collect()
    }

    /// Ends one session of somebody; gives how many that were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn end_session(&self, person: PersonId, session: SessionId, witness: Witness<'_>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let ended = within!(&mut tx, c => sqlx::query("DELETE FROM console_session WHERE id = $1 AND user_id = $2")
            .bind(session.to_string()).bind(person.to_string()).execute(c).await.map(|done| done.rows_affected()))
        .doing("end a session")?;
        if ended > 0 {
            audit::commit(tx, witness, now).await?;
        }
        Ok(ended)
    }

    /// Ends everything somebody is signed in to, except the session `keep`; gives how many that were.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn end_sessions(&self, person: PersonId, keep: Option<SessionId>, witness: Witness<'_>) -> Result<u64> {
        let mut tx = self.begin().await?;
        let now = self.now_within(&mut tx).await?;
        let ended = end_sessions(&mut tx, person, keep).await?;
        audit::commit(tx, witness, now).await?;
        Ok(ended)
    }
}

fn hash(token: &str) -> String {
    Hex(&crypto::sha256(token.as_bytes())).to_string()
}
