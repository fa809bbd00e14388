//! A defect met in the work on one thing ends the work on that thing, not the loop that serves everybody.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

/// What went wrong, as far as it is told: the place is in the log, and what a panic says may quote a patient's data.
pub const DEFECT: &str = "the work on it stopped because of a defect";

/// Does `work`; `None` when it panicked. What it held is dropped as it would be after an error, and whatever several pieces
/// of work share is behind locks that outlive a panic or in the database, so nothing half-done is seen by the others.
pub async fn contained<T>(work: impl Future<Output = T>) -> Option<T> {
    AssertUnwindSafe(work).catch_unwind().await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_is_told_from_what_ends_well_and_the_next_is_done() {
        assert_eq!(contained(async { 1 }).await, Some(1));
        assert_eq!(contained(async { assert!(std::env::args().count() == 0, "a defect") }).await, None);
        assert_eq!(contained(async { 2 }).await, Some(2));
    }
}
