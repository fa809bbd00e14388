//! The PDF inside a delivered message: base64 in the `text` of a C-CDA Unstructured Document's `nonXMLBody`, attached, or
//! either of them in an XDM package. What a part is declared as is not believed: its content is looked at.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use mail_parser::MimeHeaders as _;
use memchr::memmem;

use super::enclosed::DEEPEST;
use crate::{
    document::xdm::unpack::{UnpackError, is_zip, unpack},
    track::parsed,
};

/// Why there is no PDF.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPdf {
    /// Not a mail message.
    #[error("the message cannot be read")]
    Unreadable,
    /// No part holds one.
    #[error("the message holds no PDF")]
    None,
    /// The document has one that is not base64.
    #[error("the document's PDF is not valid base64")]
    Damaged,
    /// It may be in a package that was not opened.
    #[error(transparent)]
    Package(UnpackError),
}

/// The first PDF of `inner`, an opened message.
pub fn extract(inner: &[u8]) -> Result<Vec<u8>, NoPdf> {
    look_into(inner, DEEPEST)
}

fn look_into(mail: &[u8], depth: u8) -> Result<Vec<u8>, NoPdf> {
    let message = parsed::whole(mail).ok_or(NoPdf::Unreadable)?;
    let mut none = NoPdf::None;
    for part in &message.parts {
        let content = part.contents();
        // A wrapped message holds the document one level down.
        let wrapped = part.content_type().is_some_and(|t| t.ctype() == "message") && content.len() < mail.len();
        if wrapped
            && depth > 0
            && let Ok(pdf) = look_into(content, depth - 1)
        {
            return Ok(pdf);
        }
        match if is_zip(content) { in_package(content) } else { in_content(content) } {
            Ok(pdf) => return Ok(pdf),
            Err(NoPdf::None) => {}
            Err(problem) => none = problem,
        }
    }
    Err(none)
}

/// The PDF of a package: the one to read, else the one inside a document.
fn in_package(zip: &[u8]) -> Result<Vec<u8>, NoPdf> {
    let documents = unpack(zip).map_err(NoPdf::Package)?;
    if let Some(pdf) = documents.iter().find(|document| is_pdf(&document.bytes)) {
        return Ok(pdf.bytes.clone());
    }
    let mut none = NoPdf::None;
    for document in &documents {
        match in_content(&document.bytes) {
            Ok(pdf) => return Ok(pdf),
            Err(NoPdf::None) => {}
            Err(problem) => none = problem,
        }
    }
    Err(none)
}

fn in_content(content: &[u8]) -> Result<Vec<u8>, NoPdf> {
    if is_pdf(content) { Ok(content.to_vec()) } else { in_document(content).unwrap_or(Err(NoPdf::None)) }
}

fn is_pdf(content: &[u8]) -> bool {
    content.starts_with(b"%PDF-")
}

/// The PDF of a C-CDA Unstructured Document: the `text` element with `representation="B64"` and the media type of a PDF.
fn in_document(xml: &[u8]) -> Option<Result<Vec<u8>, NoPdf>> {
    let body = memmem::find(xml, b"nonXMLBody")?;
    let mut rest = &xml[body..];
    while let Some(at) = memmem::find(rest, b"<text") {
        rest = &rest[at..];
        let end = memchr::memchr(b'>', rest)?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        let says = |what: &[u8]| memmem::find(tag, what).is_some();
        if says(b"application/pdf") && says(b"B64") {
            let close = memchr::memchr(b'<', rest)?;
            let packed: Vec<u8> = rest[..close].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
            return Some(BASE64_STANDARD.decode(packed).map_err(|_| NoPdf::Damaged));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(content_type: &str, body: &str) -> Vec<u8> {
        format!(
            "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n\r\n--x\r\n\
             Content-Type: text/plain\r\n\r\nhello\r\n--x\r\nContent-Type: {content_type}\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n{body}\r\n--x--\r\n"
        )
        .into_bytes()
    }

    #[test]
    fn the_pdf_is_found_in_the_document_and_beside_it() {
        let pdf = b"%PDF-1.7 hello";
        let text = BASE64_STANDARD.encode(pdf);
        let cda = format!(
            "<ClinicalDocument><text>no</text><component><nonXMLBody>\n<text mediaType=\"application/pdf\" \
             representation=\"B64\">\n{}\n{}</text></nonXMLBody></component></ClinicalDocument>",
            &text[..8],
            &text[8..]
        );
        assert_eq!(extract(&mail("text/xml", &BASE64_STANDARD.encode(cda))).unwrap(), pdf);
        assert_eq!(extract(&mail("application/pdf", &text)).unwrap(), pdf);
    }

    #[test]
    fn no_pdf_and_a_damaged_one_are_told_apart() {
        assert_eq!(extract(&mail("text/plain", "aGk=")), Err(NoPdf::None));
        let cda = "<nonXMLBody><text mediaType=\"application/pdf\" representation=\"B64\">!!</text></nonXMLBody>";
        assert_eq!(extract(&mail("text/xml", &BASE64_STANDARD.encode(cda))), Err(NoPdf::Damaged));
    }
}
