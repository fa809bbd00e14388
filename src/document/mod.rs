//! Step 3: PDF checks, the C-CDA Unstructured Document, and the XDM package.
//!
//! A result's PDF is checked once, at intake ([`pdf::check`]); nothing is ever rendered or executed. For each delivery it
//! is wrapped in a document of its own ([`unstructured::write`]) from the [`Facts`] about order, report and sender. For peers
//! that want it so, the document goes into a package with its metadata ([`xdm::write`]).

mod codes;
mod facts;
/// Whether a file is a PDF we can send.
pub mod pdf;
mod sender;
/// What a document says, in words.
pub mod shown;
/// The C-CDA R2.1 Unstructured Document.
pub mod unstructured;
/// The XDM package: documents and their metadata in a ZIP file.
pub mod xdm;
mod xml;

pub use facts::{Confidentiality, Earlier, Facts, Relation};
pub use sender::{Party, Sender};

use crate::domain::{Class, Reason};

/// Why a document could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// The base64 of the PDF would be longer than receivers read: libxml2 refuses a text of more than 10,000,000
    /// characters unless told otherwise.
    #[error("a PDF of {given} bytes makes a document that many receivers cannot open; {limit} bytes is the most")]
    PdfTooLarge {
        /// Bytes given.
        given: usize,
        /// Bytes that fit.
        limit: usize,
    },
    /// The package could not be put together: only a document of gigabytes can do that.
    #[error("the XDM package cannot be written: {0}")]
    Package(String),
}

impl DocumentError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        Class::Permanent
    }

    /// The reason a delivery shows.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        match self {
            Self::PdfTooLarge { .. } | Self::Package(_) => Reason::TooLarge,
        }
    }
}
