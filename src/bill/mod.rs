//! Step 7: what the ledger adds up to, for a biller who needs no patient data to do the job.

/// A month is closed, with all that belongs to it.
pub mod closing;
/// A report as CSV.
pub mod csv;
/// Pages of a PDF: text, lines and boxes.
pub(crate) mod drawing;
/// The ledger for other programs.
pub mod export;
/// What others pay is not a customer's to change.
pub mod payers;
/// What a HISP has counted, held against what we have.
pub mod reconcile;
/// Ledger lines, grouped and added up.
pub mod report;
/// What a month costs, for whoever pays it.
pub mod statement;
/// Fees by whatever they are looked at by.
pub mod summary;

pub use report::{Report, report};
pub use statement::Statement;

use crate::{
    domain::{Class, Month},
    store::StoreError,
};

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
    /// It cannot be written as a page.
    #[error("cannot write the statement as a page")]
    Page(#[source] askama::Error),
    /// It cannot be written as JSON.
    #[error("cannot write the statement as JSON")]
    Json(#[source] serde_json::Error),
    /// It cannot be written as a PDF.
    #[error("cannot write the statement as a PDF")]
    Pdf(#[source] std::io::Error),
    /// Only what is final becomes an invoice.
    #[error("{organization} has not closed {month}: what it costs in the end is not known; postern fees close")]
    Open {
        /// Whose.
        organization: String,
        /// Which.
        month: Month,
    },
    /// The usage file cannot be read.
    #[error("cannot read the usage file")]
    Usage(#[source] ::csv::Error),
    /// Its header is not as it was said to be.
    #[error("the usage file {0}")]
    Header(String),
    /// The month is not known.
    #[error("{organization} has no month {month}")]
    NoPeriod {
        /// Whose.
        organization: String,
        /// Which.
        month: Month,
    },
    /// The ledger of a closed month does not come in whole coins: something is missing in it.
    #[error("the lines of {number} do not add up to what was closed; run postern verify")]
    Untied {
        /// Which statement.
        number: String,
    },
    /// The store failed.
    #[error("cannot read the ledger")]
    Store(#[from] StoreError),
}

impl BillError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Store(error) => error.class(),
            _ => Class::Permanent,
        }
    }
}
