//! The C-CDA R2.1 Unstructured Document: US Realm Header and a PDF as its body.
//!
//! The elements stand in the order of the CDA schema, which is the order of [`write`]. In *roles* the address comes before
//! the telecom, in *organizations* after it. Where C-CDA demands an element we have no data for, it stands with a
//! nullFlavor; where it does not, it is left out. Nothing is invented.

mod acts;
mod header;
mod parts;
mod people;
mod subject;
#[cfg(test)]
pub(super) mod tests;

use super::{DocumentError, Facts, xml::Xml};

/// Longest text that receivers built on libxml2 read without being told to.
const LONGEST_TEXT: usize = 10_000_000;
/// The largest PDF whose base64 fits.
pub const LARGEST_PDF: usize = LONGEST_TEXT / 4 * 3;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Characters of the order or report that XML cannot carry and that became U+FFFD.
    pub replaced_characters: usize,
}

/// Writes the document into `out`, which is emptied first and may be used again: at 300 KiB the buffer is most of the cost.
///
/// The PDF is wrapped as it is; check it with [`super::pdf::check`] when it arrives.
///
/// # Errors
/// When the PDF is larger than receivers can open.
pub fn write(facts: &Facts<'_>, pdf: &[u8], out: &mut Vec<u8>) -> Result<Written, DocumentError> {
    if pdf.len() > LARGEST_PDF {
        return Err(DocumentError::PdfTooLarge { given: pdf.len(), limit: LARGEST_PDF });
    }
    out.clear();
    out.reserve((pdf.len() / 3 + 1) * 4 + 12 * 1024);
    let mut xml = Xml::new(out);
    let root = [("xmlns", "urn:hl7-org:v3"), ("xmlns:sdtc", "urn:hl7-org:sdtc")];
    xml.open("ClinicalDocument", &root);
    header::document(&mut xml, facts);
    subject::record_target(&mut xml, facts);
    people::authors(&mut xml, facts);
    people::custodian(&mut xml, facts);
    people::information_recipient(&mut xml, facts);
    people::legal_authenticator(&mut xml, facts);
    people::ordering_provider(&mut xml, facts);
    acts::in_fulfillment_of(&mut xml, facts);
    acts::documentation_of(&mut xml, facts);
    acts::related_document(&mut xml, facts);
    acts::component_of(&mut xml, facts);
    // CONF:1198-31085, 31086, 31087, 7623, 7624: representation would default to TXT.
    xml.open("component", &[]);
    xml.open("nonXMLBody", &[]);
    xml.base64("text", &[("mediaType", "application/pdf"), ("representation", "B64")], pdf);
    xml.close("nonXMLBody");
    xml.close("component");
    xml.close("ClinicalDocument");
    Ok(Written { replaced_characters: xml.replaced() })
}
