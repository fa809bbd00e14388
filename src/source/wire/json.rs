//! JSON as a tree that keeps what [`serde_json::Value`] loses: the order of members and members given twice.
//!
//! Bounded before anything is kept: depth and number of values. Texts are borrowed from the input, so a result with its
//! PDF inside costs no second copy of it.

use std::{borrow::Cow, cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting taken; the wire shapes need five.
const DEPTH: usize = 32;
/// Most values (members and elements, everywhere together) taken.
const VALUES: usize = 10_000;

/// One JSON value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    Null,
    Bool(bool),
    /// A number; its value when it is a whole one that is not negative.
    Number(Option<u64>),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl Node<'_> {
    /// What it is, for people.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Why a text is not JSON we take. The sentence never quotes the text: it may name a patient.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotJson {
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// Reads one JSON value and nothing after it.
pub(super) fn parse(json: &[u8]) -> Result<Node<'_>, NotJson> {
    if json.starts_with(&[0xFF, 0xFE]) || json.starts_with(&[0xFE, 0xFF]) {
        return Err(NotJson { code: "malformed_json", message: "is UTF-16; JSON is UTF-8 (RFC 8259 8.1)".to_owned() });
    }
    // Windows tools put a byte order mark before the text; a reader may ignore it (RFC 8259 8.1).
    let json = json.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(json);
    let bounds = Bounds { values: Cell::new(0), exceeded: Cell::new(None) };
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let node = Seed { depth: 0, bounds: &bounds }.deserialize(&mut deserializer);
    node.and_then(|node| deserializer.end().map(|()| node)).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        if let Some(code) = bounds.exceeded.get() {
            let what = if code == "too_deep" { "is nested too deeply" } else { "has too many values" };
            return NotJson { code, message: format!("{what} ({place})") };
        }
        // serde_json's own syntax messages are fixed texts; they carry nothing of the input.
        let text = error.to_string();
        let why = text.split(" at line ").next().filter(|_| error.is_syntax() || error.is_eof());
        NotJson { code: "malformed_json", message: format!("is not JSON: {} ({place})", why.unwrap_or("unreadable")) }
    })
}

struct Bounds {
    values: Cell<usize>,
    exceeded: Cell<Option<&'static str>>,
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    depth: usize,
    bounds: &'b Bounds,
}

impl Seed<'_> {
    fn exceed<E: serde::de::Error>(self, code: &'static str) -> E {
        self.bounds.exceeded.set(Some(code));
        E::custom(code)
    }

    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH {
            return Err(self.exceed("too_deep"));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node<'de>, D::Error> {
        self.bounds.values.set(self.bounds.values.get() + 1);
        if self.bounds.values.get() > VALUES {
            return Err(self.exceed("too_many_values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Number(Some(value)))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Node<'de>, E> {
        Ok(Node::Number(None))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Node<'de>, E> {
        Ok(Node::Number(None))
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }
    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node<'de>, A::Error> {
        let inner = self.inner()?;
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(inner)? {
            nodes.push(node);
        }
        Ok(Node::List(nodes))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let inner = self.inner()?;
        let mut members = Vec::new();
        while let Some(name) = map.next_key_seed(Name)? {
            members.push((name, map.next_value_seed(inner)?));
        }
        Ok(Node::Object(members))
    }
}

struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_json_is_placed_but_never_quoted() {
        for text in
            [&b"{\"patient\": Morgan}"[..], b"{\"name\": \"Morgan", b"{} Morgan", b"[\"Morgan\xff\"]", b"\"\\uD800 Morgan\""]
        {
            let problem = parse(text).unwrap_err();
            assert_eq!(problem.code, "malformed_json");
            assert!(problem.message.contains("line 1, column ") && !problem.message.contains("Morgan"), "{}", problem.message);
        }
    }

    #[test]
    fn depth_and_number_of_values_are_bounded() {
        let deep = "[".repeat(100_000);
        assert_eq!(parse(deep.as_bytes()).unwrap_err().code, "too_deep");
        let wide = format!("[{}0]", "0,".repeat(VALUES));
        assert_eq!(parse(wide.as_bytes()).unwrap_err().code, "too_many_values");
        let nested = format!("{}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
        assert!(parse(nested.as_bytes()).is_ok());
    }

    #[test]
    fn a_byte_order_mark_is_ignored_and_utf16_is_named() {
        assert!(parse(b"\xEF\xBB\xBF{}").is_ok());
        assert!(parse(b"\xFF\xFE{\0}\0").unwrap_err().message.contains("UTF-16"));
    }

    #[test]
    fn long_texts_are_borrowed_not_copied() {
        let json = format!("\"{}\"", "A".repeat(1000));
        assert!(matches!(parse(json.as_bytes()), Ok(Node::Text(Cow::Borrowed(_)))));
    }
}
