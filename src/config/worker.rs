//! `[worker]`: the work of sending.

use super::section::section;
use crate::domain::time::Span;

section! {
    /// The work of sending. Memory is bounded by concurrency times three messages.
    ["worker"] WorkerSection {
        /// Most deliveries this process works on at a time; who waits for a recipient's name server or directory is not counted.
        concurrency: usize = 16,
        /// Most results or deliveries claimed at once.
        batch: usize = 64,
        /// How long a claim holds without being renewed. Work of a process that died is free after this.
        lease: Span = Span::seconds(60),
        /// How often the queue is looked at when nobody said that there is something new.
        poll: Span = Span::seconds(1),
        /// Wait before the first retry of a delivery; it doubles each time, with jitter.
        retry_min: Span = Span::seconds(30),
        /// Longest wait between two retries.
        retry_max: Span = Span::seconds(30 * 60),
        /// How long running work may take to finish at shutdown; what is not done is released.
        grace: Span = Span::seconds(30),
    }
}
