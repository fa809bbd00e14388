//! What each session has looked at and may still decide about: one thing each, for half an hour, in memory alone.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::id::SessionId;

/// How long it stays.
const LASTS: Duration = Duration::from_mins(30);

/// One thing for each session.
#[derive(Debug)]
pub struct Desk<T> {
    /// So many at most; the oldest makes room.
    most: usize,
    things: Mutex<HashMap<SessionId, (Instant, T)>>,
}

impl<T: Clone> Desk<T> {
    /// Room for so many.
    pub(in crate::web) fn new(most: usize) -> Self {
        Self { most, things: Mutex::default() }
    }

    /// Lays something before this session, in the place of what lay there.
    pub(super) fn lay(&self, session: SessionId, thing: T) {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        things.retain(|known, (at, _)| *known != session && at.elapsed() < LASTS);
        while things.len() >= self.most {
            let Some(oldest) = things.iter().min_by_key(|(_, (at, _))| *at).map(|(session, _)| *session) else { break };
            things.remove(&oldest);
        }
        things.insert(session, (Instant::now(), thing));
    }

    /// What lies before this session, if it is still there.
    pub(super) fn of(&self, session: SessionId) -> Option<T> {
        let things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        things.get(&session).filter(|(at, _)| at.elapsed() < LASTS).map(|(_, thing)| thing.clone())
    }

    /// Takes it away.
    pub(super) fn clear(&self, session: SessionId) {
        self.things.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_thing_lies_before_each_session_for_half_an_hour_and_the_oldest_makes_room() {
        let (desk, [a, b, c]) = (Desk::new(2), [(); 3].map(|()| SessionId::new()));
        desk.lay(a, 1);
        tokio::time::advance(Duration::from_mins(1)).await;
        desk.lay(b, 2);
        assert_eq!((desk.of(a), desk.of(b), desk.of(c)), (Some(1), Some(2), None));
        desk.lay(b, 3);
        assert_eq!((desk.of(a), desk.of(b)), (Some(1), Some(3)), "its own makes room first");
        desk.lay(c, 4);
        assert_eq!((desk.of(a), desk.of(b), desk.of(c)), (None, Some(3), Some(4)));
        desk.clear(c);
        tokio::time::advance(LASTS).await;
        assert_eq!((desk.of(b), desk.of(c)), (None, None));
    }
}
