//! LDAP messages (RFC 4511 4): the three that are asked and the five that may come back.

use super::ber::{BOOLEAN, ENUMERATED, Elements, INTEGER, Malformed, OCTETS, SEQUENCE, SET, element, number};

/// How far a search goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Base,
    Subtree,
}

/// What must hold of an entry.
#[derive(Debug, Clone, Copy)]
pub(super) enum Filter<'a> {
    /// It has the attribute.
    Present(&'a str),
    /// The attribute has this value. The value travels as octets of its own, not as text inside a filter expression: `*`
    /// or `)` in it are nothing but themselves.
    Equal(&'a str, &'a str),
}

/// A search.
#[derive(Debug, Clone, Copy)]
pub(super) struct Search<'a> {
    pub(super) base: &'a str,
    pub(super) scope: Scope,
    pub(super) filter: Filter<'a>,
    pub(super) attributes: &'a [&'a str],
    pub(super) entries: u16,
    pub(super) seconds: u16,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    Bound(Outcome),
    Entry(Vec<Attribute<'a>>),
    /// "Some of it is elsewhere": never followed.
    Elsewhere,
    Done(Outcome),
    /// The server is about to hang up.
    Goodbye,
}

/// How an operation ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) code: u32,
    /// The server's words.
    pub(super) says: String,
}

/// An attribute and its values.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a [u8],
    pub(super) values: Vec<&'a [u8]>,
}

/// An anonymous simple bind.
pub(super) fn bind(id: u16) -> Vec<u8> {
    let version = number(INTEGER, 3);
    message(id, &element(0x60, &[&version, &element(OCTETS, &[]), &element(0x80, &[])]))
}

pub(super) fn search(id: u16, search: &Search<'_>) -> Vec<u8> {
    let text = |text: &str| element(OCTETS, &[text.as_bytes()]);
    let filter = match search.filter {
        Filter::Present(attribute) => element(0x87, &[attribute.as_bytes()]),
        Filter::Equal(attribute, value) => element(0xa3, &[&text(attribute), &text(value)]),
    };
    let attributes: Vec<u8> = search.attributes.iter().flat_map(|attribute| text(attribute)).collect();
    let scope = if search.scope == Scope::Base { 0 } else { 2 };
    let request = element(
        0x63,
        &[
            &text(search.base),
            &number(ENUMERATED, scope),
            // Aliases are not followed.
            &number(ENUMERATED, 0),
            &number(INTEGER, search.entries),
            &number(INTEGER, search.seconds),
            &element(BOOLEAN, &[&[0]]),
            &filter,
            &element(SEQUENCE, &[&attributes]),
        ],
    );
    message(id, &request)
}

pub(super) fn unbind(id: u16) -> Vec<u8> {
    message(id, &[0x42, 0])
}

fn message(id: u16, operation: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[&number(INTEGER, id), operation])
}

/// Reads one whole message; gives the number of the request it answers.
pub(super) fn read(bytes: &[u8]) -> Result<(u32, Reply<'_>), Malformed> {
    let mut inside = Elements(Elements(bytes).one(SEQUENCE)?);
    let id = inside.number(INTEGER)?;
    let operation = inside.any()?;
    let mut parts = Elements(operation.value);
    let reply = match operation.tag {
        0x61 => Reply::Bound(outcome(parts)?),
        0x64 => {
            parts.one(OCTETS)?;
            Reply::Entry(attributes(Elements(parts.one(SEQUENCE)?))?)
        }
        0x65 => Reply::Done(outcome(parts)?),
        0x73 => Reply::Elsewhere,
        0x78 => Reply::Goodbye,
        _ => return Err(Malformed),
    };
    Ok((id, reply))
}

fn outcome(mut parts: Elements<'_>) -> Result<Outcome, Malformed> {
    let code = parts.number(ENUMERATED)?;
    parts.one(OCTETS)?;
    let says = String::from_utf8_lossy(parts.one(OCTETS)?).chars().take(200).collect();
    Ok(Outcome { code, says })
}

fn attributes(mut list: Elements<'_>) -> Result<Vec<Attribute<'_>>, Malformed> {
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut attribute = Elements(list.one(SEQUENCE)?);
        let name = attribute.one(OCTETS)?;
        let mut set = Elements(attribute.one(SET)?);
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.one(OCTETS)?);
        }
        found.push(Attribute { name, values });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_and_its_end_are_read() {
        let values = element(SET, &[&element(OCTETS, &[b"one"]), &element(OCTETS, &[b"two"])]);
        let attribute = element(SEQUENCE, &[&element(OCTETS, &[b"cn"]), &values]);
        let entry = element(0x64, &[&element(OCTETS, &[b"cn=x"]), &element(SEQUENCE, &[&attribute])]);
        let (id, reply) = read(&message(7, &entry)).map(|(id, reply)| (id, format!("{reply:?}"))).unwrap();
        assert_eq!(id, 7);
        assert!(reply.starts_with("Entry") && reply.matches("Attribute").count() == 1, "{reply}");

        let done = element(0x65, &[&number(ENUMERATED, 32), &element(OCTETS, &[]), &element(OCTETS, &[b"no such object"])]);
        let outcome = Outcome { code: 32, says: "no such object".into() };
        assert_eq!(read(&message(8, &done)), Ok((8, Reply::Done(outcome))));
    }

    #[test]
    fn a_value_cannot_become_part_of_the_filter() {
        let asked = |value| {
            let filter = Filter::Equal("mail", value);
            search(1, &Search { base: "", scope: Scope::Subtree, filter, attributes: &[], entries: 1, seconds: 1 })
        };
        let wild = asked("*)(uid=*");
        let at = wild.windows(8).position(|octets| octets == b"*)(uid=*").unwrap();
        assert_eq!(wild[at - 2..at], [OCTETS, 8], "one octet string, whatever is in it");
        assert_eq!(wild.len(), asked("12345678").len());
    }

    proptest! {
        #[test]
        fn nothing_a_server_sends_makes_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
            let _ = read(&message(1, &bytes));
            let _ = read(&message(1, &element(0x64, &[&element(OCTETS, &[]), &element(SEQUENCE, &[&bytes])])));
        }
    }
}
