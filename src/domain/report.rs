//! Completed results: what a report says about itself, beside its PDF.

use serde::{Deserialize, Serialize};

use super::{OffsetTime, order::Provider, words};

words! {
    /// What kind of statement a result is.
    pub enum ResultStatus {
        /// The finished report.
        Final = "final",
        /// Replaces an earlier version that was wrong.
        Corrected = "corrected",
        /// Adds to an earlier version.
        Addendum = "addendum",
        /// Not finished; not sent unless the organization asks.
        Preliminary = "preliminary",
        /// Send the latest version again.
        Resend = "resend",
    }
}

words! {
    /// Where a result stands. Results in = routed + waiting + held + not_sent.
    pub enum ResultState {
        /// Durable, not looked at yet.
        Received = "received",
        /// Waits for its order or for a directory to answer.
        Waiting = "waiting",
        /// Has its deliveries.
        Routed = "routed",
        /// Needs a person.
        Held = "held",
        /// Deliberately not sent.
        NotSent = "not_sent",
    }
}

/// A completed result for an order. The PDF travels beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The order's key.
    pub order_id: String,
    /// The site's `local_id`; empty when the sender leaves that to the order.
    pub site: String,
    /// What kind of statement this is.
    pub status: ResultStatus,
    /// When the report was finished.
    pub completed_at: Option<OffsetTime>,
    /// The report's title; the document code's name otherwise.
    pub title: Option<String>,
    /// LOINC document code; the organization's otherwise.
    pub document_code: Option<String>,
    /// Who read the exam; the gateway as device otherwise.
    pub author: Option<Provider>,
}
