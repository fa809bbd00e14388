//! What stands in a package, each document with the ids it goes by.

use uuid::Uuid;

use super::Package;
use crate::{
    crypto::{Hex, sha1},
    document::{Earlier, Relation},
    domain::OffsetTime,
};

/// What a document is made as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// C-CDA R2.1 with a body that is not XML.
    Cda,
    /// What its media type says is all there is to know.
    Pdf,
}

impl Format {
    /// The media type. A CDA is `text/xml` here, whatever the attachment says (IHE ITI TF-3 4.2.3.2.17).
    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::Cda => "text/xml",
            Self::Pdf => "application/pdf",
        }
    }

    /// The format code with its name; both are in IHE's list.
    pub(super) const fn code(self) -> (&'static str, &'static str) {
        match self {
            Self::Cda => ("urn:hl7-org:sdwg:ccda-nonXMLBody:2.1", "C-CDA 2.1 with a non-structured body"),
            Self::Pdf => ("urn:ihe:iti:xds:2017:mimeTypeSufficient", "mimeType Sufficient"),
        }
    }

    /// The id of the document made in this format for a delivery whose C-CDA is `cda`.
    ///
    /// The entry of the C-CDA has the id that stands in the C-CDA, so that metadata and document name each other; what
    /// stands beside it is derived from it, so that a correction can name what it replaces.
    fn id(self, cda: Uuid) -> Uuid {
        match self {
            Self::Cda => cda,
            Self::Pdf => Uuid::new_v5(&cda, b"pdf"),
        }
    }
}

/// One document.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// Its file name, 8.3.
    pub(super) name: &'static str,
    pub(super) format: Format,
    /// What it is for, to people.
    pub(super) caption: &'static str,
    pub(super) id: Uuid,
    /// What it does to the same document of an earlier delivery.
    pub(super) relation: Option<(&'static str, Uuid)>,
    /// When this document was made.
    pub(super) created: OffsetTime,
    pub(super) bytes: &'a [u8],
}

impl Entry<'_> {
    /// SHA-1 in hexadecimal digits (IHE ITI TF-3 4.2.3.2.10).
    pub(super) fn hash(&self) -> String {
        Hex(&sha1(self.bytes)).to_string()
    }
}

/// The documents of a package, the C-CDA first.
pub(super) fn entries<'a>(package: &Package<'a>) -> Vec<Entry<'a>> {
    let facts = package.facts;
    let relation = |format: Format| match facts.relation {
        Some(Relation::Replaces(Earlier { id: Some(id), .. })) => Some(("RPLC", format.id(id))),
        Some(Relation::Appends(Earlier { id: Some(id), .. })) => Some(("APND", format.id(id))),
        _ => None,
    };
    let entry = |name, format: Format, caption, created, bytes| Entry {
        name,
        format,
        caption,
        id: format.id(facts.document_id),
        relation: relation(format),
        created,
        bytes,
    };
    let cda = "the report for your record system (C-CDA; the PDF is inside it)";
    let mut entries = vec![entry("DOC00001.XML", Format::Cda, cda, facts.made_at, package.cda)];
    if let Some(pdf) = package.pdf {
        entries.push(entry("DOC00002.PDF", Format::Pdf, "the report to read (PDF)", facts.completed_at(), pdf));
    }
    entries
}
