//! What an opened message encloses: its attachments, and the documents of an XDM package among them.

use mail_parser::{MessagePart, MimeHeaders as _};
use serde::Serialize;

use crate::{
    crypto::{sha256, sha256::hex},
    document::xdm::unpack::{Unpacked, is_zip, unpack},
    track::parsed,
};

/// Messages inside messages that are looked into.
pub(super) const DEEPEST: u8 = 3;

/// One thing that came with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its file name, or its name in the package.
    pub name: String,
    /// Its media type, as declared.
    pub media_type: String,
    /// Octets.
    pub octets: usize,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
    /// The attachment that is a package with this in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// What the package's metadata call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Everything `inner`, an opened message, encloses beside its text, in order. A package is followed by its documents.
#[must_use]
pub fn list(inner: &[u8]) -> Vec<Item> {
    let mut items = Vec::new();
    look_into(inner, DEEPEST, &mut items);
    items
}

fn look_into(mail: &[u8], depth: u8, items: &mut Vec<Item>) {
    let Some(message) = parsed::whole(mail) else { return };
    for part in message.parts.iter().filter(|part| !part.is_multipart()) {
        let (content, media_type) = (part.contents(), media_type(part));
        if depth > 0 && content.len() < mail.len() && media_type == "message/rfc822" {
            look_into(content, depth - 1, items);
            continue;
        }
        // A part without a name is the text; what is sealed is not there to be listed.
        let Some(name) = part.attachment_name().filter(|_| !media_type.contains("pkcs7")) else { continue };
        let mut item = Item::new(name, media_type, content);
        let documents = is_zip(content).then(|| unpack(content));
        if let Some(Err(problem)) = &documents {
            item.problem = Some(problem.to_string());
        }
        items.push(item);
        items.extend(documents.into_iter().flatten().flatten().map(|document| Item::of(&document, name)));
    }
}

/// The media type of a part, in lower case.
pub(super) fn media_type(part: &MessagePart<'_>) -> String {
    let Some(found) = part.content_type() else { return "text/plain".to_owned() };
    let kind = found.subtype().map_or_else(|| found.ctype().to_owned(), |subtype| format!("{}/{subtype}", found.ctype()));
    kind.to_ascii_lowercase()
}

impl Item {
    fn new(name: &str, media_type: String, content: &[u8]) -> Self {
        let (name, octets, sha256) = (name.to_owned(), content.len(), hex(&sha256(content)));
        Self { name, media_type, octets, sha256, package: None, title: None, problem: None }
    }

    /// A document of the package `package`.
    #[must_use]
    pub fn of(document: &Unpacked, package: &str) -> Self {
        let media_type = document.media_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
        let problem = (document.hash_agrees == Some(false)).then(|| "its SHA-1 is not the one the metadata state".to_owned());
        let title = document.title.clone();
        Self { package: Some(package.to_owned()), title, problem, ..Self::new(&document.name, media_type, &document.bytes) }
    }

    /// In one line.
    #[must_use]
    pub fn words(&self) -> String {
        let Self { name, media_type, octets, .. } = self;
        let mut words = format!("{media_type}, {octets} bytes, {name}");
        if let Some(title) = &self.title {
            words.extend([", '", title, "'"]);
        }
        if let Some(problem) = &self.problem {
            words.extend([" - ", problem]);
        }
        words
    }
}
