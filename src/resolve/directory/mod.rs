//! Loading a directory of Direct addresses: read, check, count, and swap in only what is not suspiciously small.

/// Reading a directory from CSV.
pub mod csv;
/// A whole load, from file to snapshot.
pub mod load;

pub use csv::{CsvDirectory, Reject};
pub use load::{Guard, Loaded, Progress, load};

use crate::{domain::Class, store::StoreError};

/// Why a directory was not loaded. The one loaded before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file cannot be read.
    #[error("cannot read the directory file near line {line}")]
    Read {
        /// Line of the file, from 1.
        line: u64,
        /// The cause.
        #[source]
        source: ::csv::Error,
    },
    /// The file is not CSV in UTF-8.
    #[error("the directory file is not CSV in UTF-8; save it as \"CSV UTF-8\"")]
    Encoding,
    /// The header names no column for what is needed, or two for one thing.
    #[error("the directory file has {problem}; its header names {found}")]
    Header {
        /// What is wrong.
        problem: String,
        /// The column names found.
        found: String,
    },
    /// Nothing usable in it.
    #[error("the directory file has no usable row ({rejected} rejected)")]
    Empty {
        /// Rows rejected.
        rejected: u64,
    },
    /// Much smaller than what is in force.
    #[error(
        "the new directory has {new} rows, more than {percent} % fewer than the {before} in force; load it with force if that is right"
    )]
    Shrunk {
        /// Rows in force.
        before: u64,
        /// Rows of the new one.
        new: u64,
        /// The greatest drop allowed.
        percent: u8,
    },
    /// The rejects cannot be written.
    #[error("cannot write the list of rejected rows")]
    Rejects(#[source] ::csv::Error),
    /// The rows cannot be stored.
    #[error("cannot store the directory")]
    Store(#[from] StoreError),
}

impl DirectoryError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Store(cause) => cause.class(),
            _ => Class::Permanent,
        }
    }
}
