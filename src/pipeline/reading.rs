//! The document of a delivery, for a person who reads it: made anew as the delivery makes it, and read back.

use super::letter;
use crate::{
    document::{DocumentError, Sender, shown, shown::Part, unstructured},
    domain::Timestamp,
    store::{delivery::Work, organization::Organization},
};

/// What the document says, part by part. Its PDF is left out: it is shown by itself.
///
/// # Errors
/// When no document can be written.
pub fn document(organization: &Organization, work: &Work, at: Timestamp) -> Result<Vec<Part>, DocumentError> {
    let sender = Sender::of(&organization.file, &work.order.site);
    let mut xml = Vec::new();
    unstructured::write(&letter::facts(&organization.file, &sender, work, at), b"", &mut xml)?;
    Ok(shown::parts(&xml))
}
