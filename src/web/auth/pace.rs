//! How many requests with one token: spread evenly over the minute, with a tenth of it at once (GCRA, ITU-T I.371).

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::time::Instant;
use uuid::Uuid;

use crate::web::Problem;

/// When each token's next request would come if it came evenly.
#[derive(Debug, Default)]
pub(in crate::web) struct Paces(Mutex<HashMap<Uuid, Instant>>);

impl Paces {
    /// Takes one request of `who`.
    ///
    /// # Errors
    /// 429 when it comes too soon.
    pub(in crate::web) fn take(&self, who: Uuid, per_minute: u32) -> Result<(), Problem> {
        self.take_at(who, per_minute, Instant::now())
    }

    fn take_at(&self, who: Uuid, per_minute: u32, now: Instant) -> Result<(), Problem> {
        if per_minute == 0 {
            return Ok(());
        }
        let (apart, burst) = (Duration::from_mins(1) / per_minute, Duration::from_secs(6));
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has been quiet is forgotten.
        if all.len() > 10_000 {
            all.retain(|_, next| *next > now);
        }
        let next = all.entry(who).or_insert(now);
        let due = (*next).max(now);
        if due > now + burst {
            let detail = "more requests than this token may make in a minute; send it again later";
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail));
        }
        *next = due + apart;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_a_minute_at_once_and_then_evenly_each_for_itself() {
        let (paces, one, other, begun) = (Paces::default(), Uuid::now_v7(), Uuid::now_v7(), Instant::now());
        let taken = |who, at| (0..100).filter(|_| paces.take_at(who, 60, at).is_ok()).count();
        assert_eq!(taken(one, begun), 7, "a tenth, and the one that is due");
        assert_eq!(taken(other, begun), 7);
        assert_eq!(taken(one, begun + Duration::from_secs(3)), 3);
        assert!((0..1000).all(|_| paces.take(one, 0).is_ok()));
    }
}
