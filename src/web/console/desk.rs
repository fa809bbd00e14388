//! What each session has looked at and may still decide about: one thing each, for half an hour, in memory alone.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

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
        self.lay_at(session, thing, Instant::now());
    }

    fn lay_at(&self, session: SessionId, thing: T, now: Instant) {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        things.retain(|known, (at, _)| *known != session && now.duration_since(*at) < LASTS);
        while things.len() >= self.most {
            let Some(oldest) = things.iter().min_by_key(|(_, (at, _))| *at).map(|(session, _)| *session) else { break };
            things.remove(&oldest);
        }
        things.insert(session, (now, thing));
    }

    /// What lies before this session, if it is still there.
    pub(super) fn of(&self, session: SessionId) -> Option<T> {
        self.of_at(session, Instant::now())
    }

    fn of_at(&self, session: SessionId, now: Instant) -> Option<T> {
        let things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        things.get(&session).filter(|(at, _)| now.duration_since(*at) < LASTS).map(|(_, thing)| thing.clone())
    }

    /// Takes it away.
    pub(super) fn clear(&self, session: SessionId) {
        self.things.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_lies_before_each_session_for_half_an_hour_and_the_oldest_makes_room() {
        let (desk, [a, b, c], began) = (Desk::new(2), [(); 3].map(|()| SessionId::new()), Instant::now());
        let at = |minutes| began + Duration::from_mins(minutes);
        desk.lay_at(a, 1, at(0));
        desk.lay_at(b, 2, at(1));
        assert_eq!([a, b, c].map(|session| desk.of_at(session, at(1))), [Some(1), Some(2), None]);
        desk.lay_at(b, 3, at(2));
        assert_eq!([a, b].map(|session| desk.of_at(session, at(2))), [Some(1), Some(3)], "its own makes room first");
        desk.lay_at(c, 4, at(3));
        assert_eq!([a, b, c].map(|session| desk.of_at(session, at(3))), [None, Some(3), Some(4)]);
        desk.clear(c);
        assert_eq!([b, c].map(|session| desk.of_at(session, at(31))), [Some(3), None]);
        assert_eq!(desk.of_at(b, at(32)), None);
    }
}
