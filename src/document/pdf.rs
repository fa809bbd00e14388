//! Whether a file is a PDF we can send: really one, whole, not encrypted, with pages.
//!
//! The file comes from outside and may be hostile. So nothing is rendered or executed, and only its skeleton is read: the
//! cross-reference data from the end of the file, the catalog and the page tree (ISO 32000-1 7.5, 7.7). Every step is paid
//! for from one [`Budget`], so that the worst file costs milliseconds and a few megabytes. General PDF libraries load every
//! object and repair what is broken; a repaired report is not the report that was signed, and a table with a million
//! entries for one object takes them minutes.

mod budget;
mod pages;
mod stream;
mod syntax;
mod xref;

use std::fmt;

use budget::Budget;

/// The size limit where nothing else is set.
pub const DEFAULT_LIMIT: usize = 7_000_000;

/// What a PDF says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PdfFacts {
    /// Pages, counted in the page tree.
    pub pages: u32,
    /// The version of its header.
    pub version: PdfVersion,
}

/// A PDF version such as 1.7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PdfVersion {
    /// 1 or 2.
    pub major: u8,
    /// 0 to 7.
    pub minor: u8,
}

impl fmt::Display for PdfVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Why a file is not a PDF we can send. The sentence is for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PdfProblem {
    /// Larger than the limit.
    #[error("the PDF has {given} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes given.
        given: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Something else altogether.
    #[error("the file is not a PDF: it does not begin with %PDF- and a version")]
    NotPdf,
    /// The end is missing.
    #[error("the PDF is cut short: its end (startxref, %%EOF) is missing")]
    Truncated,
    /// Opening it takes a password.
    #[error("the PDF is encrypted; send it without a password")]
    Encrypted,
    /// Its inside does not hold together; `0` says where.
    #[error("the PDF is damaged: {0}")]
    Damaged(&'static str),
    /// It has no pages.
    #[error("the PDF has no pages")]
    NoPages,
    /// Reading it would cost more than any report is worth.
    #[error("the PDF is built in a way that takes too long to check")]
    TooComplex,
}

impl PdfProblem {
    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "pdf_too_large",
            Self::NotPdf => "pdf_not_pdf",
            Self::Truncated => "pdf_truncated",
            Self::Encrypted => "pdf_encrypted",
            Self::Damaged(_) => "pdf_damaged",
            Self::NoPages => "pdf_no_pages",
            Self::TooComplex => "pdf_too_complex",
        }
    }
}

/// Checks a PDF of at most `limit` bytes.
///
/// # Errors
/// The first thing wrong with it.
pub fn check(pdf: &[u8], limit: usize) -> Result<PdfFacts, PdfProblem> {
    if pdf.len() > limit {
        return Err(PdfProblem::TooLarge { given: pdf.len(), limit });
    }
    let version = version(pdf).ok_or(PdfProblem::NotPdf)?;
    let budget = Budget::for_file(pdf.len());
    let start = start_of_xref(pdf).ok_or(PdfProblem::Truncated)?;
    let file = xref::File::open(pdf, start, &budget)?;
    let pages = pages::count(&file)?;
    if pages == 0 { Err(PdfProblem::NoPages) } else { Ok(PdfFacts { pages, version }) }
}

/// ISO 32000-1 7.5.2. Readers look for the header anywhere in the first kilobyte; mail gateways look at the first bytes.
fn version(pdf: &[u8]) -> Option<PdfVersion> {
    match pdf.strip_prefix(b"%PDF-")? {
        [major @ b'1'..=b'2', b'.', minor @ b'0'..=b'9', ..] => Some(PdfVersion { major: major - b'0', minor: minor - b'0' }),
        _ => None,
    }
}

/// ISO 32000-1 7.5.5: the last lines are `startxref`, an offset and `%%EOF`; some writers add up to a kilobyte.
fn start_of_xref(pdf: &[u8]) -> Option<usize> {
    let tail = &pdf[pdf.len().saturating_sub(1024)..];
    let end = find_last(tail, b"%%EOF")?;
    let tail = &pdf[..pdf.len() - tail.len() + end];
    let tail = &tail[tail.len().saturating_sub(1024)..];
    let digits = tail[find_last(tail, b"startxref")? + b"startxref".len()..].trim_ascii();
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn find_last(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests;
