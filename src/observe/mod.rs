//! What can be seen from outside: typed events, metrics, health; and the system clock.

mod chain;
/// The clock of the machine.
pub mod clock;
/// A defect ends the work on one thing alone.
pub mod defect;
/// One type for each thing that happens: its log line and its metric.
pub mod events;
/// What an event may say: never anything about a patient.
pub mod facts;
/// Named points at which tests kill the process.
pub mod failpoint;
/// Whether the parts of this process do their work.
pub mod health;
/// Metrics for Prometheus.
pub mod metrics;
/// Sets logging up.
pub mod setup;

pub use chain::chain;
pub use clock::SystemClock;
