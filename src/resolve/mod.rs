//! Step 2: who must get it, and why.
//!
//! [`rules::route`] is one pure function: the order, the configured addresses and what the directory answered go in, the
//! targets and the trace of everything considered come out. Who calls it asks the directory first, for [`rules::npis`].

/// Whether an address may be used at all.
mod barred;
/// Which of several directory addresses is meant.
mod choice;
/// What somebody asks to be decided, carried out.
pub mod deciding;
/// What people decide about addresses.
pub mod decisions;
/// Loading a directory.
pub mod directory;
/// The trace in words.
pub mod explain;
/// One recipient of an order.
mod recipients;
/// What a payer asks back.
pub mod report;
/// Loading a payer's roster.
pub mod roster;
/// The routing rules.
pub mod rules;
/// The walk through the candidates.
mod walk;
/// What a person does about an item of the worklist.
pub mod worklist;

pub use barred::barred;
pub use rules::{Affiliation, Case, Earlier, in_domains, npis, route};
