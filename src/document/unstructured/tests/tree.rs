//! A document read back with nothing but a tokenizer: our own writer has no say in what it finds.

use quick_xml::{Reader, events::Event};

/// An element with everything in it.
#[derive(Debug, Default, Clone)]
pub(in crate::document) struct Element {
    pub(in crate::document) name: String,
    pub(in crate::document) attributes: Vec<(String, String)>,
    pub(in crate::document) children: Vec<Element>,
    pub(in crate::document) text: String,
}

impl Element {
    /// Reads a document; panics when it is not well-formed.
    pub(in crate::document) fn parse(xml: &[u8]) -> Self {
        let xml = std::str::from_utf8(xml).unwrap();
        let xml_char = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
        assert!(xml.chars().all(xml_char), "a character outside XML 1.0");
        let mut reader = Reader::from_str(xml);
        reader.config_mut().check_end_names = true;
        let mut open = vec![Self::default()];
        loop {
            match reader.read_event().unwrap() {
                Event::Start(start) => open.push(Self::begun(&start)),
                Event::Empty(start) => open.last_mut().unwrap().children.push(Self::begun(&start)),
                Event::End(_) => {
                    let closed = open.pop().unwrap();
                    open.last_mut().unwrap().children.push(closed);
                }
                Event::Text(text) => open.last_mut().unwrap().text.push_str(&text),
                Event::GeneralRef(entity) => {
                    let entity = format!("&{};", &*entity);
                    open.last_mut().unwrap().text.push_str(&quick_xml::escape::unescape(&entity).unwrap());
                }
                Event::Decl(_) => assert_eq!(open.len(), 1),
                Event::Eof => break,
                other => panic!("unexpected {other:?}"),
            }
        }
        assert_eq!(open.len(), 1, "an element is not closed");
        let mut root = open.pop().unwrap();
        assert_eq!((root.children.len(), root.text.as_str()), (1, ""), "one root and nothing beside it");
        root.children.pop().unwrap()
    }

    fn begun(start: &quick_xml::events::BytesStart<'_>) -> Self {
        let name = start.name().0.to_owned();
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let value = quick_xml::escape::unescape(&attribute.value).unwrap().into_owned();
            (attribute.key.0.to_owned(), value)
        });
        Self { name, attributes: attributes.collect(), ..Self::default() }
    }

    /// The value of an attribute.
    pub(in crate::document) fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    /// All children of that name.
    pub(in crate::document) fn all(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The first element at `path` (`a/b/c`); panics when there is none.
    pub(in crate::document) fn find(&self, path: &str) -> &Self {
        path.split('/').fold(self, |element, name| {
            element.all(name).next().unwrap_or_else(|| panic!("no {name} of {path} in {}", element.name))
        })
    }

    /// This element and all below it, each with its path.
    pub(in crate::document) fn walk<'a>(&'a self, path: &str, visit: &mut impl FnMut(&str, &'a Self)) {
        let path = format!("{path}/{}", self.name);
        visit(&path, self);
        for child in &self.children {
            child.walk(&path, visit);
        }
    }
}
