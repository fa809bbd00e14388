//! What metadata say about the documents beside them. Read as far as it goes: a package with metadata we cannot read still
//! has its documents.

use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesStart, Event},
};

/// A document entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) media_type: Option<String>,
    /// Its file, seen from the folder of the metadata.
    pub(super) uri: Option<String>,
    /// SHA-1 in hexadecimal digits.
    pub(super) hash: Option<String>,
    pub(super) title: Option<String>,
    pub(super) unique_id: Option<String>,
}

/// Entries a listing may have.
const MOST_ENTRIES: usize = 500;
/// Longest text that is kept.
const LONGEST: usize = 1000;
/// What the unique id of a document is called (IHE ITI TF-3 4.2.3.2.26).
const UNIQUE_ID: &str = "urn:uuid:2e82c1f6-a085-4c72-9da3-8640a32e42ab";

/// The document entries, as far as the XML can be read. Entities of its own stay what they are: names.
pub(super) fn read(xml: &[u8]) -> Vec<Listed> {
    let text = String::from_utf8_lossy(xml);
    let mut reader = Reader::from_str(&text);
    let mut reading = Reading::default();
    loop {
        match reader.read_event() {
            Ok(Event::Start(start)) => reading.open(&start),
            Ok(Event::Empty(start)) => {
                reading.open(&start);
                reading.close();
            }
            Ok(Event::End(_)) => reading.close(),
            Ok(Event::Text(text)) => reading.text(&text),
            Ok(Event::CData(text)) => reading.text(&text),
            Ok(Event::GeneralRef(entity)) => reading.text(&unescape(&format!("&{};", &*entity)).unwrap_or_default()),
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
        if reading.found.len() >= MOST_ENTRIES {
            break;
        }
    }
    reading.found
}

#[derive(Default)]
struct Reading {
    found: Vec<Listed>,
    /// The entry that is open, and how deep in it we are: 1 for itself.
    entry: Option<(Listed, usize)>,
    /// The slot that is open directly in the entry.
    slot: Option<String>,
    value: Option<String>,
    in_name: bool,
}

impl Reading {
    fn open(&mut self, start: &BytesStart<'_>) {
        let name = start.name();
        let name = name.local_name();
        let name: &str = name.as_ref();
        let Some((entry, depth)) = &mut self.entry else {
            if name == "ExtrinsicObject" {
                let media_type = attribute(start, "mimeType");
                self.entry = Some((Listed { media_type, ..Listed::default() }, 1));
            }
            return;
        };
        *depth += 1;
        match (name, *depth) {
            ("Slot", 2) => self.slot = attribute(start, "name"),
            ("Value", 4) if self.slot.is_some() => self.value = Some(String::new()),
            ("Name", 2) => self.in_name = true,
            ("LocalizedString", 3) if self.in_name => entry.title = entry.title.take().or_else(|| attribute(start, "value")),
            ("ExternalIdentifier", 2) if attribute(start, "identificationScheme").as_deref() == Some(UNIQUE_ID) => {
                entry.unique_id = attribute(start, "value");
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(value) = &mut self.value {
            let room = LONGEST.saturating_sub(value.chars().count());
            value.extend(text.chars().take(room));
        }
    }

    fn close(&mut self) {
        let Some((entry, depth)) = &mut self.entry else { return };
        match *depth {
            4 => {
                let value = self.value.take().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
                match self.slot.as_deref() {
                    // A long URI comes in several values, each `number|text` (IHE ITI TF-3 4.2.3.2.28).
                    Some("URI") => match (&mut entry.uri, value) {
                        (Some(uri), Some(more)) => uri.push_str(piece(&more)),
                        (uri @ None, Some(first)) => *uri = Some(piece(&first).to_owned()),
                        (_, None) => {}
                    },
                    Some("hash") => entry.hash = entry.hash.take().or(value),
                    _ => {}
                }
            }
            2 => (self.slot, self.in_name) = (None, false),
            1 => {
                self.found.extend(self.entry.take().map(|(entry, _)| entry));
                return;
            }
            _ => {}
        }
        *depth -= 1;
    }
}

/// The text of one numbered value.
fn piece(value: &str) -> &str {
    match value.split_once('|') {
        Some((number, text)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => text,
        _ => value,
    }
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = start.attributes().flatten().find(|attribute| attribute.key.as_ref() == name)?;
    let value = unescape(&found.value).ok()?;
    let value: String = value.trim().chars().take(LONGEST).collect();
    (!value.is_empty()).then_some(value)
}
