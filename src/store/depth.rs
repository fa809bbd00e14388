//! How deep the queue is: what has not come to an end, by state, and how long the oldest of each has been there. Read along
//! partial indexes, which hold nothing that is over, so that it costs little however much was sent before.

use std::time::Duration;

use uuid::Uuid;

use super::{Doing as _, Result, Store, read};
use crate::domain::{delivery::State, report::ResultState};

/// How many are in one state, and for how long the oldest of them has existed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level<S> {
    /// Which state.
    pub state: S,
    /// How many.
    pub count: u64,
    /// Age of the oldest; zero when there is none.
    pub oldest: Duration,
}

/// Everything that has not come to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    /// Queued, claimed, on the wire, unknown, held: each, also those that nothing is in.
    pub deliveries: Vec<Level<State>>,
    /// Handed over, and the receiving side has not said what became of them: how many, and how long ago the oldest was made.
    pub awaited: (u64, Duration),
    /// Received, waiting, held.
    pub results: Vec<Level<ResultState>>,
}

impl Depth {
    /// Age of the oldest delivery of which it is not known what became of it.
    #[must_use]
    pub fn oldest_undelivered(&self) -> Duration {
        self.deliveries.iter().map(|level| level.oldest).chain([self.awaited.1]).max().unwrap_or_default()
    }
}

/// An id begins with the time it was made at, so the least one is the oldest; and unlike a column with the time it is in the
/// index. The states are named as the indexes name them: SQLite uses a partial index for nothing else.
const DELIVERIES: &str = "SELECT 'queued', COUNT(*), MIN(id) FROM delivery WHERE state = 'queued'
    UNION ALL SELECT state, COUNT(*), MIN(id) FROM delivery WHERE state IN ('claimed', 'on_wire') GROUP BY state
    UNION ALL SELECT 'unknown', COUNT(*), MIN(id) FROM delivery WHERE state = 'unknown'
    UNION ALL SELECT 'held', COUNT(*), MIN(id) FROM delivery WHERE state IN ('held', 'refused') AND state = 'held'";
const AWAITED: &str = "SELECT 'awaited', COUNT(*), MIN(id) FROM delivery
    WHERE disposition IN ('awaited', 'failed', 'expired', 'unconfirmed') AND disposition = 'awaited'";
const RESULTS: &str = "SELECT state, COUNT(*), MIN(id) FROM result WHERE state IN ('received', 'waiting') GROUP BY state
    UNION ALL SELECT 'held', COUNT(*), MIN(id) FROM result WHERE state IN ('held', 'waiting') AND state = 'held'";

type Row = (String, i64, Option<String>);

impl Store {
    /// How deep the queue is now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn depth(&self) -> Result<Depth> {
        let now = self.now().await?.micros();
        let rows = async |sql: &'static str| -> Result<Vec<Row>> {
            on!(&self.db, pool => sqlx::query_as(sql).fetch_all(pool).await).doing("measure the queue")
        };
        let awaited = rows(AWAITED).await?.into_iter().next().map_or((0, Duration::ZERO), |(_, count, oldest)| {
            (u64::try_from(count).unwrap_or(0), oldest.map_or(Duration::ZERO, |id| age(&id, now)))
        });
        Ok(Depth {
            awaited,
            deliveries: levels(
                &[State::Queued, State::Claimed, State::OnWire, State::Unknown, State::Held],
                rows(DELIVERIES).await?,
                now,
            )?,
            results: levels(&[ResultState::Received, ResultState::Waiting, ResultState::Held], rows(RESULTS).await?, now)?,
        })
    }
}

fn levels<S>(states: &[S], rows: Vec<Row>, now: i64) -> Result<Vec<Level<S>>>
where
    S: std::str::FromStr<Err = crate::domain::text::NotAWord> + PartialEq + Copy,
{
    let mut levels: Vec<Level<S>> =
        states.iter().map(|state| Level { state: *state, count: 0, oldest: Duration::ZERO }).collect();
    for (state, count, oldest) in rows {
        let state: S = read("state", &state)?;
        if let Some(level) = levels.iter_mut().find(|level| level.state == state) {
            level.count = u64::try_from(count).unwrap_or(0);
            level.oldest = oldest.map_or(Duration::ZERO, |id| age(&id, now));
        }
    }
    Ok(levels)
}

fn age(id: &str, now: i64) -> Duration {
    let made = Uuid::parse_str(id).ok().and_then(|id| id.get_timestamp()).map(|made| made.to_unix());
    made.map_or(Duration::ZERO, |(seconds, nanos)| {
        let now = Duration::from_micros(u64::try_from(now).unwrap_or(0));
        now.saturating_sub(Duration::new(seconds, nanos))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_its_age() {
        let id = "019cb000-0000-7000-8000-000000000000";
        let (seconds, nanos) = Uuid::parse_str(id).unwrap().get_timestamp().unwrap().to_unix();
        let made = i64::try_from(seconds * 1_000_000 + u64::from(nanos) / 1_000).unwrap();
        assert_eq!(age(id, made + 90_000_000), Duration::from_secs(90));
        assert_eq!(age(id, made - 1), Duration::ZERO, "another machine's clock may be ahead");
        assert_eq!(age("no id", made), Duration::ZERO);
    }
}
