//! The connections to one server: how many, how fast, and which are kept for the next message.

use std::{
    future::Future,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, MonotonicClock},
    state::{InMemoryState, NotKeyed},
};
use tokio::{sync::Semaphore, time::Instant};

use super::{
    GoAhead, Job, Outcome,
    content::content,
    open::Session,
    transaction::{Stopped, envelope},
};

type Pace = RateLimiter<NotKeyed, InMemoryState, MonotonicClock>;

/// The connections to one server.
pub(super) struct Line {
    slots: Semaphore,
    pace: Option<Pace>,
    kept: Arc<Kept>,
}

impl Line {
    pub(super) fn new(max_connections: usize, per_minute: u32, idle: Duration) -> Self {
        let pace = NonZeroU32::new(per_minute).map(|n| {
            // Spread evenly: a burst of at most one second's worth.
            let burst = NonZeroU32::new(per_minute / 60).unwrap_or(NonZeroU32::MIN);
            RateLimiter::direct_with_clock(Quota::per_minute(n).allow_burst(burst), MonotonicClock)
        });
        Self { slots: Semaphore::new(max_connections.max(1)), pace, kept: Arc::new(Kept::new(idle)) }
    }

    /// Whether nothing is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.sessions().is_empty()
    }

    /// Carries one message, over a connection kept for `key` or over a new one from `open`.
    pub(super) async fn carry<Opening, Asking>(
        &self,
        key: &str,
        job: &Job<'_>,
        open: impl FnOnce() -> Opening,
        on_wire: impl FnOnce() -> Asking,
    ) -> Outcome
    where
        Opening: Future<Output = Result<Session, Outcome>>,
        Asking: Future<Output = GoAhead>,
    {
        let Ok(_slot) = self.slots.acquire().await else { return Outcome::NotSent };
        self.wait_for_turn().await;
        let mut session = match self.with_envelope(key, job, open).await {
            Ok(session) => session,
            Err(outcome) => return outcome,
        };
        if on_wire().await == GoAhead::Stop {
            session.quit().await;
            return Outcome::NotSent;
        }
        let (outcome, clean) = content(&mut session, job).await;
        if clean {
            self.kept.put(key, session);
        }
        outcome
    }

    async fn wait_for_turn(&self) {
        let Some(pace) = &self.pace else { return };
        while let Err(not_until) = pace.check() {
            tokio::time::sleep(not_until.wait_time_from(MonotonicClock.now())).await;
        }
    }

    /// A session whose server waits for DATA.
    async fn with_envelope<Opening>(&self, key: &str, job: &Job<'_>, open: impl FnOnce() -> Opening) -> Result<Session, Outcome>
    where
        Opening: Future<Output = Result<Session, Outcome>>,
    {
        if let Some(mut session) = self.kept.take(key).await {
            match envelope(&mut session, job).await {
                Ok(()) => return Ok(session),
                Err(Stopped::Answered(outcome)) => {
                    session.quit().await;
                    return Err(outcome);
                }
                // The server had forgotten us. Nothing was said yet that counts, so a new connection may say it.
                Err(Stopped::Gone { .. }) => {}
            }
        }
        // Kept connections count too; the oldest makes room for the one about to be opened.
        while let Some(oldest) = self.kept.beyond(self.slots.available_permits()) {
            oldest.quit().await;
        }
        let mut session = open().await?;
        match envelope(&mut session, job).await {
            Ok(()) => Ok(session),
            Err(stopped) => {
                if matches!(stopped, Stopped::Answered(_)) {
                    session.quit().await;
                }
                Err(stopped.outcome())
            }
        }
    }
}

/// Clean connections that wait for the next message of the same sender.
struct Kept {
    idle: Duration,
    inner: Mutex<Shelf>,
}

#[derive(Default)]
struct Shelf {
    sessions: Vec<Waiting>,
    swept: bool,
}

struct Waiting {
    key: String,
    session: Session,
    since: Instant,
}

impl Kept {
    fn new(idle: Duration) -> Self {
        Self { idle, inner: Mutex::default() }
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        // A panic cannot leave half a session here.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> Vec<String> {
        self.shelf().sessions.iter().map(|w| w.key.clone()).collect()
    }

    /// The youngest connection of `key` that is still quiet and not too old.
    async fn take(&self, key: &str) -> Option<Session> {
        loop {
            let mut waiting = {
                let mut shelf = self.shelf();
                let at = shelf.sessions.iter().rposition(|w| w.key == key)?;
                shelf.sessions.remove(at)
            };
            if waiting.since.elapsed() < self.idle && waiting.session.wire.is_quiet().await {
                return Some(waiting.session);
            }
        }
    }

    /// The oldest one, when there are more than `room`.
    fn beyond(&self, room: usize) -> Option<Session> {
        let mut shelf = self.shelf();
        (shelf.sessions.len() > room).then(|| shelf.sessions.remove(0).session)
    }

    fn put(self: &Arc<Self>, key: &str, session: Session) {
        let mut shelf = self.shelf();
        shelf.sessions.push(Waiting { key: key.to_owned(), session, since: Instant::now() });
        if !shelf.swept {
            shelf.swept = true;
            tokio::spawn(sweep(Arc::downgrade(self), self.idle));
        }
    }

    fn too_old(&self) -> Vec<Session> {
        let mut shelf = self.shelf();
        let (old, young) = std::mem::take(&mut shelf.sessions).into_iter().partition(|w| w.since.elapsed() >= self.idle);
        shelf.sessions = young;
        shelf.swept = !shelf.sessions.is_empty();
        old.into_iter().map(|w: Waiting| w.session).collect()
    }
}

/// Closes what has waited too long, until nothing is left.
async fn sweep(kept: Weak<Kept>, idle: Duration) {
    loop {
        tokio::time::sleep(idle.max(Duration::from_millis(10))).await;
        let Some(kept) = kept.upgrade() else { return };
        for session in kept.too_old() {
            session.quit().await;
        }
        if !kept.shelf().swept {
            return;
        }
    }
}
