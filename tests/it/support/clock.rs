//! A clock that shows what the test says.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use postern::domain::{Clock, Timestamp};

/// Stands still until it is moved.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    /// Shows `at`.
    pub(crate) const fn at(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.micros()))
    }

    /// Shows `at` from now on.
    pub(crate) fn set(&self, at: Timestamp) {
        self.0.store(at.micros(), Ordering::SeqCst);
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
