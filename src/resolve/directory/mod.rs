//! The directory: files of every source are read, checked, counted and put into force as a whole; and live directories are
//! asked where no load has an answer.

/// Files inside ZIP and zstd, with a limit on what they may expand to.
pub mod archive;
/// Asking the loads, then the live directories.
pub mod ask;
/// Fields as national files have them.
mod clean;
/// Flat files, told apart by their header.
pub mod csv;
/// FHIR resources, from files and from servers.
pub mod fhir;
/// Live directories.
pub mod live;
/// A whole load, from file to force.
pub mod load;
/// The National Provider Directory of CMS.
pub mod npd;
/// NPPES's file of endpoints.
pub mod nppes;
/// NPPES's main file: which NPIs there are.
pub mod registry;
/// What a file is read into.
pub mod rows;
/// Sorting more rows than fit into memory.
mod sorted;
/// What the directory says, for programs.
pub mod told;

pub use ask::{ask, findings};
pub use csv::{CsvDirectory, Mapping};
pub use live::Live;
pub use load::{Guard, Loaded, Progress, Terms, load};
pub use rows::{Item, Reject, Rows, drain};

use std::io;

use crate::{domain::Class, store::StoreError};

/// Why a directory was not loaded. The one loaded before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// The file cannot be opened or read.
    #[error("cannot read {0}")]
    Open(String, #[source] io::Error),
    /// The file cannot be read on.
    #[error("cannot read the directory file near line {line}")]
    Read {
        /// Line of the file, from 1.
        line: u64,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
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
    /// The archive is not what it should be.
    #[error("{file} {problem}")]
    Archive {
        /// The name of the file.
        file: String,
        /// What is wrong with it, as the end of a sentence.
        problem: String,
    },
    /// Nothing usable in it.
    #[error("the directory file has no usable row ({rejected} rejected)")]
    Empty {
        /// Rows rejected.
        rejected: u64,
    },
    /// Much smaller than what is in force.
    #[error(
        "the new directory has {new} rows of type {of}, more than {percent} % fewer than the {before} in force; load it with --force if that is right"
    )]
    Shrunk {
        /// The type of row, as the source calls it.
        of: String,
        /// Rows in force.
        before: u64,
        /// Rows of the new one.
        new: u64,
        /// The greatest drop allowed.
        percent: u8,
    },
    /// The rejects cannot be written.
    #[error("cannot write the list of rejected rows")]
    Rejects(#[source] io::Error),
    /// Rows cannot be put aside for sorting.
    #[error("cannot put rows aside in the temporary folder (see TMPDIR)")]
    Sort(#[source] io::Error),
    /// Somebody stopped it.
    #[error("the import was stopped")]
    Stopped,
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
            Self::Open(..) | Self::Sort(_) | Self::Rejects(_) | Self::Stopped => Class::Retry,
            _ => Class::Permanent,
        }
    }
}
