//! Step 1: completed results and orders come in, exactly once.
//!
//! Every way in - the API, the folder, the feed - hands octets to one place, [`Intake`], and hears whether they are
//! durable, refused with the fields to mend, or to be tried again.

/// The one end of all ways in.
pub mod accept;
/// Waiting longer after each failure.
/// Results pulled over HTTP.
pub mod feed;
/// A watched folder.
pub mod folder;
/// Work under the lease of a periodic task.
mod held;
/// What could not be taken goes in once more.
pub mod parked;
/// What a sender is told when something is not taken.
pub mod refusal;
/// A made-up patient's report.
pub mod test_message;
/// The JSON wire shapes and their way into the domain.
pub mod wire;

pub use accept::{Accepted, Intake, Kind, PdfCheck, Sender};
pub use refusal::{Refusal, SourceError};
