//! Step 7: what the ledger adds up to, for a biller who needs no patient data to do the job.

/// A report as CSV.
pub mod csv;
/// Ledger lines, grouped and added up.
pub mod report;

pub use report::{Report, report};

use crate::domain::Class;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BillError {
    /// The sum does not fit: the ledger holds amounts nobody can owe.
    #[error("the lines of {organization} add up to more than can be written down")]
    TooMuch {
        /// Whose lines.
        organization: String,
    },
    /// It cannot be written.
    #[error("cannot write the report")]
    Write(#[source] ::csv::Error),
}

impl BillError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        Class::Permanent
    }
}
