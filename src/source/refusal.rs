//! What a sender is told when something is not taken.

use super::wire::FieldProblem;
use crate::{
    domain::Class,
    store::{StoreError, blobs::BlobError},
};

/// Why what came in is not taken: sending the same again changes nothing.
///
/// Never contains the value of a field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{detail}")]
pub struct Refusal {
    /// HTTP status that says the same.
    #[serde(skip)]
    pub status: u16,
    /// Stable code, e.g. `invalid`, `use_corrected`.
    pub code: &'static str,
    /// One sentence.
    pub detail: String,
    /// The fields, when it is about fields.
    pub errors: Vec<FieldProblem>,
}

impl Refusal {
    /// A refusal about the message as a whole.
    #[must_use]
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), errors: Vec::new() }
    }

    /// Fields are missing or wrong.
    #[must_use]
    pub fn fields(errors: Vec<FieldProblem>) -> Self {
        let detail = match errors.len() {
            1 => "1 field cannot be taken as it is".to_owned(),
            n => format!("{n} fields cannot be taken as they are"),
        };
        Self { status: 422, code: "invalid", detail, errors }
    }

    /// One field is missing or wrong.
    #[must_use]
    pub fn field(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldProblem { field: field.to_owned(), code: code.into(), message: message.into() }])
    }

    /// A PDF or message over the limit.
    #[must_use]
    pub fn too_large(field: &str, limit: usize) -> Self {
        let message = format!("is larger than the {limit} octets allowed");
        let problem = FieldProblem { field: field.to_owned(), code: "too_large".into(), message };
        Self { status: 413, code: "too_large", detail: problem.to_string(), errors: vec![problem] }
    }

    /// There is no such order or result in the organization.
    #[must_use]
    pub fn not_found(what: &'static str) -> Self {
        Self::new(404, "not_found", format!("there is no such {what}"))
    }
}

/// What can go wrong with something that comes in.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It is not taken; the sender has to change something.
    #[error("it was refused: {0}")]
    Refused(Refusal),
    /// It could not be made durable.
    #[error("it could not be stored")]
    Store(#[from] StoreError),
    /// The PDF could not be made durable.
    #[error("the document could not be stored")]
    Blobs(#[from] BlobError),
    /// The lease under which it was worked on is another process's by now.
    #[error("another process has taken it over")]
    TakenOver,
    /// Work of ours was cut short.
    #[error("{0} was interrupted")]
    Interrupted(&'static str),
    /// The watched folder cannot be used.
    #[error("{doing} in the watched folder")]
    Folder {
        /// `listing files`, `moving a file` ...
        doing: &'static str,
        /// The cause; names no file.
        #[source]
        cause: std::io::Error,
    },
    /// The feed did not answer as it should.
    #[error("the feed {0}")]
    Feed(String),
    /// The feed cannot be reached.
    #[error("the feed cannot be reached")]
    Fetch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl SourceError {
    /// Whether trying the same again can help.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Refused(_) => Class::Permanent,
            _ => Class::Retry,
        }
    }
}

impl From<Refusal> for SourceError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
