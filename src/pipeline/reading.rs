//! The document of a delivery, for a person who reads it: made anew as the delivery makes it, and read back.

use super::letter;
use crate::{
    document::{DocumentError, Sender, shown, shown::Part, unstructured},
    domain::Timestamp,
    store::{delivery::Work, organization::Organization},
};

/// A document that was made anew. Its PDF is left out: it is shown by itself.
#[derive(Debug, Clone)]
pub struct Written {
    /// The C-CDA.
    pub xml: String,
    /// What it says, part by part.
    pub parts: Vec<Part>,
}

/// The document as it is made for the recipient of this delivery.
///
/// # Errors
/// When no document can be written.
pub fn document(organization: &Organization, work: &Work, at: Timestamp) -> Result<Written, DocumentError> {
    let sender = Sender::of(&organization.file, &work.order.site);
    let mut xml = Vec::new();
    unstructured::write(&letter::facts(&organization.file, &sender, work, at), b"", &mut xml)?;
    let parts = shown::parts(&xml);
    Ok(Written { xml: String::from_utf8_lossy(&xml).into_owned(), parts })
}
