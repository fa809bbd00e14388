//! Leaves a server alone that cannot be reached: after so many failures in a row nobody tries for a while, then one does.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The longest pause, as a multiple of the first.
const LONGEST: u32 = 16;

/// Counts failures in a row. Cheap; one for each server.
#[derive(Debug)]
pub struct Breaker {
    after: u32,
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// Failures in a row.
    failures: u32,
    /// Nobody tries before this instant.
    open_until: Option<Instant>,
    /// Somebody is trying.
    probing: bool,
    /// The next pause.
    pause: Duration,
}

/// Permission for one attempt. Dropped without a verdict (a cancelled task) it leaves things as they were.
#[derive(Debug)]
#[must_use]
pub struct Attempt<'a> {
    breaker: &'a Breaker,
    probe: bool,
    judged: bool,
}

impl Breaker {
    /// One that opens after so many failures in a row, for `pause` the first time.
    #[must_use]
    pub const fn new(after: u32, pause: Duration) -> Self {
        Self { after, pause, state: Mutex::new(State { failures: 0, open_until: None, probing: false, pause }) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long to stay away; zero when an attempt may be made.
    pub fn closed_for(&self) -> Duration {
        let state = self.state();
        match state.open_until {
            None => Duration::ZERO,
            Some(_) if state.probing => state.pause,
            Some(until) => until.saturating_duration_since(Instant::now()),
        }
    }

    /// Whether it was tried in vain so often that it is left alone, and nobody has got through since.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().open_until.is_some()
    }

    /// Permission to try, or how long to stay away.
    ///
    /// # Errors
    /// How long to stay away.
    pub fn attempt(&self) -> Result<Attempt<'_>, Duration> {
        let wait = self.closed_for();
        let mut state = self.state();
        if !wait.is_zero() || (state.open_until.is_some() && state.probing) {
            return Err(wait.max(Duration::from_secs(1)));
        }
        let probe = state.open_until.is_some();
        state.probing |= probe;
        Ok(Attempt { breaker: self, probe, judged: false })
    }
}

impl Attempt<'_> {
    /// The server answered as it should.
    pub fn succeeded(mut self) {
        self.judged = true;
        let mut state = self.breaker.state();
        *state = State { failures: 0, open_until: None, probing: false, pause: self.breaker.pause };
    }

    /// It did not. Returns how long to stay away now.
    pub fn failed(mut self) -> Duration {
        self.judged = true;
        let breaker = self.breaker;
        let mut state = breaker.state();
        state.failures = state.failures.saturating_add(1);
        if self.probe || (state.failures >= breaker.after && state.open_until.is_none()) {
            state.open_until = Some(Instant::now() + state.pause);
            state.probing = false;
            let pause = state.pause;
            state.pause = (pause * 2).min(breaker.pause * LONGEST);
            return pause;
        }
        state.open_until.map_or(Duration::from_secs(1), |until| until.saturating_duration_since(Instant::now()))
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.probe && !self.judged {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Longer than a busy machine takes between two lines.
    const PAUSE: Duration = Duration::from_millis(600);

    #[tokio::test]
    async fn after_three_failures_in_a_row_nobody_tries_until_the_pause_is_over_and_then_one_does() {
        let breaker = Breaker::new(3, PAUSE);
        for _ in 0..2 {
            breaker.attempt().unwrap_or_else(|_| panic!()).failed();
        }
        breaker.attempt().unwrap_or_else(|_| panic!()).succeeded();
        for _ in 0..3 {
            breaker.attempt().unwrap_or_else(|_| panic!("a success starts the count again")).failed();
        }
        assert!(breaker.attempt().is_err());
        tokio::time::sleep(PAUSE).await;
        let probe = breaker.attempt().unwrap_or_else(|_| panic!());
        assert!(breaker.attempt().is_err(), "one probe at a time");
        assert_eq!(probe.failed(), PAUSE * 2);
        tokio::time::sleep(PAUSE * 2).await;
        breaker.attempt().unwrap_or_else(|_| panic!()).succeeded();
        assert_eq!(breaker.closed_for(), Duration::ZERO);
    }

    #[tokio::test]
    async fn a_cancelled_probe_lets_the_next_one_try() {
        let breaker = Breaker::new(1, PAUSE);
        breaker.attempt().unwrap_or_else(|_| panic!()).failed();
        tokio::time::sleep(PAUSE).await;
        drop(breaker.attempt());
        assert!(breaker.attempt().is_ok());
    }
}
