//! Whether the clock by which silence is judged can be believed.
//!
//! An expired delivery may be sent another way: a second disclosure. So when the wall clock jumps, nothing expires until it
//! is back, or somebody has looked and started the gateway again.

use std::time::Duration;

use crate::domain::Timestamp;

/// The wall clock and the monotonic one may differ by this much.
const MOST_APART: Duration = Duration::from_secs(30);
/// While they agree the comparison begins anew after this long, so that two good clocks that drift are no jump.
const ANEW: Duration = Duration::from_mins(10);

/// What a comparison of the clocks showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// They agree.
    Agree,
    /// They have just parted, by so much.
    Parted(Duration),
    /// They are still apart.
    Apart,
    /// They have just come together again.
    Together,
}

impl Clocks {
    /// Whether time may be judged by the wall clock.
    #[must_use]
    pub const fn may_expire(self) -> bool {
        matches!(self, Self::Agree | Self::Together)
    }
}

/// Compares how much time has passed on two clocks since they last agreed.
#[derive(Debug, Clone, Copy)]
pub struct ClockWatch {
    wall: Timestamp,
    monotonic: Duration,
    apart: bool,
}

impl ClockWatch {
    /// Begins to watch. `monotonic` counts from any fixed moment.
    #[must_use]
    pub const fn begin(wall: Timestamp, monotonic: Duration) -> Self {
        Self { wall, monotonic, apart: false }
    }

    /// Looks at both clocks.
    pub fn look(&mut self, wall: Timestamp, monotonic: Duration) -> Clocks {
        let passed = monotonic.saturating_sub(self.monotonic);
        let should_show = self.wall.plus(passed);
        let apart_by = if wall > should_show { wall.since(should_show) } else { should_show.since(wall) };
        let apart = apart_by > MOST_APART;
        let before = std::mem::replace(&mut self.apart, apart);
        if !apart && passed >= ANEW {
            (self.wall, self.monotonic) = (wall, monotonic);
        }
        match (before, apart) {
            (false, false) => Clocks::Agree,
            (false, true) => Clocks::Parted(apart_by),
            (true, true) => Clocks::Apart,
            (true, false) => Clocks::Together,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_772_463_600_000_000);

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_jump_of_more_than_half_a_minute_either_way_stops_expiry_until_it_is_undone() {
        for jump in [|at: Timestamp| at.plus(seconds(31)), |at: Timestamp| at.minus(seconds(31))] {
            let mut watch = ClockWatch::begin(NOON, seconds(5));
            assert_eq!(watch.look(NOON.plus(seconds(60)), seconds(65)), Clocks::Agree);
            assert_eq!(watch.look(jump(NOON.plus(seconds(61))), seconds(66)), Clocks::Parted(seconds(31)));
            assert!(!watch.look(jump(NOON.plus(seconds(2_000))), seconds(2_005)).may_expire(), "time does not heal it");
            assert_eq!(watch.look(NOON.plus(seconds(2_001)), seconds(2_006)), Clocks::Together);
            assert_eq!(watch.look(NOON.plus(seconds(2_002)), seconds(2_007)), Clocks::Agree);
        }
    }

    #[test]
    fn half_a_minute_is_no_jump_and_neither_is_a_slow_drift() {
        let mut watch = ClockWatch::begin(NOON, seconds(0));
        assert_eq!(watch.look(NOON.plus(seconds(31)), seconds(1)), Clocks::Agree);
        let mut watch = ClockWatch::begin(NOON, seconds(0));
        for hour in 1..1000_u64 {
            // Five seconds an hour: a bad crystal, looked at every minute or so.
            let shows = NOON.plus(seconds(hour * 3_605));
            assert_eq!(watch.look(shows, seconds(hour * 3_600)), Clocks::Agree, "hour {hour}");
        }
    }

    #[test]
    fn small_steps_in_quick_succession_add_up() {
        let mut watch = ClockWatch::begin(NOON, seconds(0));
        assert_eq!(watch.look(NOON.plus(seconds(21)), seconds(1)), Clocks::Agree);
        assert_eq!(watch.look(NOON.plus(seconds(42)), seconds(2)), Clocks::Parted(seconds(40)));
    }
}
