//! The clock of the machine: the one place that asks for the time.

use std::time::SystemTime;

use crate::domain::{Clock, Timestamp};

/// Tells what the machine takes for the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "everybody else is handed this clock, or one of a test")]
        let now = SystemTime::now();
        let micros = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
        Timestamp(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_tells_a_time_of_this_century() {
        let now = SystemClock.now().to_string();
        assert!(now.as_str() > "2026-" && now.as_str() < "2100-", "{now}");
    }
}
