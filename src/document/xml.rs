//! XML output into a reused buffer. All text of senders goes through one door, [`xml_text`].

use std::{borrow::Cow, sync::LazyLock};

use base64::{
    Engine as _,
    engine::{GeneralPurposeConfig, Simd},
};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

/// The fastest base64 of this machine, chosen once.
static BASE64: LazyLock<Simd> = LazyLock::new(|| Simd::standard(GeneralPurposeConfig::new()));

/// Octets encoded at a time: a multiple of three, so that only the last block is padded.
const BLOCK: usize = 3 * 1024;

/// Attributes of an element.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// Writes elements and counts what it had to replace.
pub(super) struct Xml<'o> {
    writer: Writer<&'o mut Vec<u8>>,
    replaced: usize,
}

/// Whether XML 1.0 can carry the character at all, escaped or not (XML 1.0 2.2, production Char).
const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..)
}

/// The one door for text: characters XML cannot carry become U+FFFD, and how many did is said.
///
/// quick-xml writes them as they are, and no parser would accept the document.
pub(super) fn xml_text(text: &str) -> (Cow<'_, str>, usize) {
    let bad = text.chars().filter(|c| !is_xml_char(*c)).count();
    if bad == 0 {
        return (Cow::Borrowed(text), 0);
    }
    (text.chars().map(|c| if is_xml_char(c) { c } else { '\u{FFFD}' }).collect::<String>().into(), bad)
}

impl<'o> Xml<'o> {
    /// Begins a document at the end of `out`.
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        let mut xml = Self { writer: Writer::new(out), replaced: 0 };
        xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
        xml
    }

    /// How many characters had to be replaced.
    pub(super) const fn replaced(&self) -> usize {
        self.replaced
    }

    fn event(&mut self, event: Event<'_>) {
        // A Vec takes every write.
        let _ = self.writer.write_event(event);
    }

    fn start<'n>(&mut self, name: &'n str, attributes: Attributes<'_>) -> BytesStart<'n> {
        let mut start = BytesStart::new(name);
        for (key, value) in attributes {
            let (value, replaced) = xml_text(value);
            self.replaced += replaced;
            start.push_attribute((*key, value.as_ref()));
        }
        start
    }

    /// `<name a="b">`
    pub(super) fn open(&mut self, name: &str, attributes: Attributes<'_>) {
        let start = self.start(name, attributes);
        self.event(Event::Start(start));
    }

    /// `</name>`
    pub(super) fn close(&mut self, name: &str) {
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// `<name a="b"/>`
    pub(super) fn empty(&mut self, name: &str, attributes: Attributes<'_>) {
        let start = self.start(name, attributes);
        self.event(Event::Empty(start));
    }

    /// `<name nullFlavor="UNK"/>`
    pub(super) fn null(&mut self, name: &str, flavor: &str) {
        self.empty(name, &[("nullFlavor", flavor)]);
    }

    /// `<name>text</name>`; without text, which would say nothing, `<name nullFlavor="UNK"/>`.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        let (text, replaced) = xml_text(text.trim());
        if text.is_empty() {
            return self.null(name, "UNK");
        }
        self.replaced += replaced;
        self.open(name, &[]);
        self.event(Event::Text(BytesText::new(&text)));
        self.close(name);
    }

    /// `<!DOCTYPE declaration>`; fixed text of ours.
    pub(super) fn doctype(&mut self, declaration: &str) {
        self.event(Event::DocType(BytesText::from_escaped(declaration)));
    }

    /// Text as it is, between elements.
    pub(super) fn words(&mut self, text: &str) {
        let (text, replaced) = xml_text(text);
        self.replaced += replaced;
        self.event(Event::Text(BytesText::new(&text)));
    }

    /// `<name a="b">base64</name>`, without line breaks.
    pub(super) fn base64(&mut self, name: &str, attributes: Attributes<'_>, bytes: &[u8]) {
        self.open(name, attributes);
        let out = self.writer.get_mut();
        // In blocks that stay in the first-level cache: filling the room first would be one pass more over all of it.
        let mut characters = [0; BLOCK / 3 * 4];
        for block in bytes.chunks(BLOCK) {
            // The slice holds a whole block, so it always fits.
            if let Ok(length) = BASE64.encode_slice(block, &mut characters) {
                out.extend_from_slice(&characters[..length]);
            }
        }
        self.close(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_xml_cannot_carry_is_replaced_and_counted() {
        assert_eq!(xml_text("Mo\u{b}rgan\u{0}\u{FFFF}"), ("Mo\u{FFFD}rgan\u{FFFD}\u{FFFD}".into(), 3));
        assert!(matches!(xml_text("Zoë \u{1F441} <&>"), (Cow::Borrowed(_), 0)));
    }

    #[test]
    fn text_and_attributes_are_escaped() {
        let mut out = Vec::new();
        let mut xml = Xml::new(&mut out);
        xml.open("a", &[("b", "\"<&'\n")]);
        xml.text("c", " ]]> <x/> ");
        xml.text("d", " ");
        xml.close("a");
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?><a b=\"&quot;&lt;&amp;&apos;&#10;\">"), "{text}");
        assert!(text.ends_with("<c>]]&gt; &lt;x/&gt;</c><d nullFlavor=\"UNK\"/></a>"), "{text}");
    }

    proptest! {
        #[test]
        fn base64_is_that_of_rfc_4648(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
            let mut out = Vec::new();
            Xml::new(&mut out).base64("t", &[], &bytes);
            let text = String::from_utf8(out).unwrap();
            let expected = format!("<t>{}</t>", base64::prelude::BASE64_STANDARD.encode(&bytes));
            prop_assert!(text.ends_with(&expected));
        }

        #[test]
        fn no_text_leaves_the_door_that_xml_cannot_carry(text in any::<String>()) {
            prop_assert!(xml_text(&text).0.chars().all(is_xml_char));
        }
    }
}
