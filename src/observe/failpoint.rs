//! Named points at which a test can kill the process, as hard as `kill -9`.
//!
//! Only builds with debug assertions have them; in a release build [`reach`] is nothing.

/// Every named point, in the order a result meets them.
pub const NAMES: &[&str] = &[
    "order_before_commit",
    "order_after_commit",
    "intake_before_commit",
    "intake_after_commit",
    "routing_before_commit",
    "routing_after_commit",
    "delivery_claimed",
    "delivery_sealed",
    "delivery_before_on_wire",
    "delivery_on_wire",
    "delivery_answered",
    "delivery_settled",
    "mail_kept",
    "mail_fetched",
    "inbound_claimed",
    "notice_before_commit",
    "notice_after_commit",
];

/// The point at which a webhook has an event and its turn is not committed.
pub const WEBHOOK_POSTED: &str = "webhook_posted";
/// The point at which it is asked what follows from a failure.
pub const FALLBACK_DUE: &str = "fallback_due";
/// The point at which a bundle that is due is taken in hand.
pub const BUNDLE_DUE: &str = "bundle_due";

/// Dies here if the environment names this point. `POSTERN_FAILPOINT=name` dies at once, `name:3` at the third time;
/// `name:3:panic` panics instead, as a defect would.
#[cfg(debug_assertions)]
pub fn reach(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};

    static TIMES: AtomicU32 = AtomicU32::new(0);
    let Ok(wanted) = std::env::var("POSTERN_FAILPOINT") else { return };
    let mut words = wanted.split(':');
    let (point, times, how) = (words.next(), words.next().unwrap_or("1"), words.next());
    if point == Some(name) && TIMES.fetch_add(1, Ordering::SeqCst) + 1 == times.parse().unwrap_or(1) {
        tracing::error!(name, "failpoint reached");
        if how == Some("panic") {
            #[expect(clippy::panic, reason = "that is what it is for, and no release build has it")]
            std::panic::panic_any("a failpoint");
        }
        std::process::abort();
    }
}

/// Nothing: this build has no failpoints.
#[cfg(not(debug_assertions))]
pub const fn reach(_name: &str) {}
