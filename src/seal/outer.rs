//! The outer headers: what stands outside the encryption, and therefore says nothing.

use mail_parser::{Address, HeaderName, Message, MessageParser};

use super::{
    Letter, SealError,
    mime::{LONGEST_LINE, text},
};
use crate::domain::{DirectAddress, MessageId};

/// The headers that are repeated outside: who, to whom, when, which. No Subject, no Disposition-Notification-*, no
/// display names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outer {
    /// The sender.
    pub from: DirectAddress,
    /// The recipients named in To.
    pub to: Vec<DirectAddress>,
    /// The recipients named in Cc.
    pub cc: Vec<DirectAddress>,
    /// The Date field's value.
    pub date: Option<String>,
    /// The message's id.
    pub message_id: Option<MessageId>,
    /// The ids this message answers.
    pub in_reply_to: Vec<MessageId>,
    /// The ids of its thread.
    pub references: Vec<MessageId>,
}

impl Outer {
    pub(super) fn of(letter: &Letter<'_>) -> Self {
        Self {
            from: letter.from.clone(),
            to: vec![letter.to.clone()],
            cc: Vec::new(),
            date: Some(letter.date.rfc5322()),
            message_id: Some(letter.message_id.clone()),
            in_reply_to: Vec::new(),
            references: Vec::new(),
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let list = |out: &mut Vec<u8>, name: &str, values: &[&str], between: &str| {
            if !values.is_empty() {
                text(out, &[name, ": ", &values.join(between), "\r\n"]);
            }
        };
        let addresses = |all: &'_ [DirectAddress]| all.iter().map(|a| a.as_str().to_owned()).collect::<Vec<_>>();
        let ids = |all: &'_ [MessageId]| all.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
        list(out, "Date", &self.date.iter().map(String::as_str).collect::<Vec<_>>(), "");
        list(out, "From", &[self.from.as_str()], "");
        list(out, "To", &refs(&addresses(&self.to)), ",\r\n ");
        list(out, "Cc", &refs(&addresses(&self.cc)), ",\r\n ");
        list(out, "Message-ID", &self.message_id.iter().map(MessageId::as_str).collect::<Vec<_>>(), "");
        list(out, "In-Reply-To", &refs(&ids(&self.in_reply_to)), "\r\n ");
        list(out, "References", &refs(&ids(&self.references)), "\r\n ");
        text(out, &["MIME-Version: 1.0\r\n"]);
    }

    /// Whether `address` is among To and Cc.
    #[must_use]
    pub fn names(&self, address: &DirectAddress) -> bool {
        self.to.iter().chain(&self.cc).any(|named| named == address)
    }

    /// Reads the headers of a parsed message. One From with one address; every address plain.
    pub(super) fn read(message: &Message<'_>) -> Result<Self, &'static str> {
        let [from] = &addresses(message, &HeaderName::From).ok_or("has a From that is no address")?[..] else {
            return Err("does not have exactly one From address");
        };
        let listed = |name, problem| addresses(message, &name).ok_or(problem);
        Ok(Self {
            from: from.clone(),
            to: listed(HeaderName::To, "has a To that is no address")?,
            cc: listed(HeaderName::Cc, "has a Cc that is no address")?,
            date: single(message, &HeaderName::Date, "has several Date fields")?
                .filter(|date| date.is_ascii() && date.len() <= 100 && !date.bytes().any(|b| b.is_ascii_control())),
            message_id: match single(message, &HeaderName::MessageId, "has several Message-ID fields")? {
                Some(id) => Some(id.parse().map_err(|_| "has a Message-ID that is not like <left@right>")?),
                None => None,
            },
            in_reply_to: message_ids(message, &HeaderName::InReplyTo),
            references: message_ids(message, &HeaderName::References),
        })
    }
}

fn refs(all: &[String]) -> Vec<&str> {
    all.iter().map(String::as_str).collect()
}

fn addresses(message: &Message<'_>, name: &HeaderName<'_>) -> Option<Vec<DirectAddress>> {
    let mut found = Vec::new();
    for header in message.headers().iter().filter(|header| header.name == *name) {
        match header.value.as_address() {
            Some(Address::List(list)) => {
                for entry in list {
                    found.push(entry.address.as_deref()?.parse().ok()?);
                }
            }
            Some(Address::Group(groups)) => {
                for entry in groups.iter().flat_map(|group| &group.addresses) {
                    found.push(entry.address.as_deref()?.parse().ok()?);
                }
            }
            None if header.value.is_empty() => {}
            None => return None,
        }
    }
    Some(found)
}

/// The raw value of a header that may occur once, unfolded.
fn single(message: &Message<'_>, name: &HeaderName<'_>, several: &'static str) -> Result<Option<String>, &'static str> {
    let mut values = message.headers().iter().filter(|header| header.name == *name).map(|header| {
        let raw = message.raw_message.get(header.offset_start as usize..header.offset_end as usize).unwrap_or_default();
        String::from_utf8_lossy(raw).replace(['\r', '\n'], "").trim().to_owned()
    });
    let value = values.next();
    if values.next().is_some() { Err(several) } else { Ok(value) }
}

fn message_ids(message: &Message<'_>, name: &HeaderName<'_>) -> Vec<MessageId> {
    match single(message, name, "") {
        Ok(Some(value)) => value.split_ascii_whitespace().filter_map(|id| id.parse().ok()).take(50).collect(),
        _ => Vec::new(),
    }
}

/// An inner message that already exists, made ready for sealing.
#[derive(Debug, Clone)]
pub struct Inner {
    bytes: Vec<u8>,
    outer: Outer,
    long_lines: bool,
}

impl Inner {
    /// Takes a message: line ends become CRLF (RFC 8551 3.1.1), and its headers must name one sender, recipients and,
    /// if any, one well-formed Message-ID.
    pub fn parse(message: &[u8]) -> Result<Self, SealError> {
        let bytes = canonical(message);
        let parsed = MessageParser::new()
            .with_minimal_headers()
            .with_address_headers()
            .parse_headers(bytes.as_slice())
            .ok_or(SealError::Inner("has no headers"))?;
        let outer = Outer::read(&parsed).map_err(SealError::Inner)?;
        if outer.to.is_empty() && outer.cc.is_empty() {
            return Err(SealError::Inner("names no recipient"));
        }
        let long_lines = bytes.split(|b| *b == b'\n').any(|line| line.len() > LONGEST_LINE + 1);
        Ok(Self { bytes, outer, long_lines })
    }

    /// Checks that the message is from `from` and names `to`.
    pub fn agrees_with(&self, from: &DirectAddress, to: &DirectAddress) -> Result<(), SealError> {
        if self.outer.from != *from {
            return Err(SealError::HeaderMismatch { header: "From", expected: from.to_string() });
        }
        if !self.outer.names(to) {
            return Err(SealError::HeaderMismatch { header: "To", expected: to.to_string() });
        }
        Ok(())
    }

    /// The message with CRLF line ends.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What will stand outside.
    #[must_use]
    pub const fn outer(&self) -> &Outer {
        &self.outer
    }

    /// Whether a line is longer than the 998 octets mail allows; peers may refuse it.
    #[must_use]
    pub const fn has_long_lines(&self) -> bool {
        self.long_lines
    }
}

/// `message` with every line end as CRLF.
pub(super) fn canonical(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + message.len() / 32);
    let mut rest = message;
    while let Some(at) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"\r\n");
        rest = &rest[at + if rest[at..].starts_with(b"\r\n") { 2 } else { 1 }..];
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_becomes_crlf() {
        assert_eq!(canonical(b"a\nb\r\nc\rd"), b"a\r\nb\r\nc\r\nd");
    }

    #[test]
    fn display_names_and_subjects_stay_inside() {
        let inner = Inner::parse(
            b"From: Patient Name <a@x.example>\nTo: \"N, M\" <b@y.example>,\n c@y.example\nSubject: S\nDate: Thu, 15 Jan 2026 10:15:30 -0500\nMessage-ID: <i@x.example>\n\nhi\n",
        )
        .unwrap();
        let mut out = Vec::new();
        inner.outer().write(&mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "Date: Thu, 15 Jan 2026 10:15:30 -0500\r\nFrom: a@x.example\r\nTo: b@y.example,\r\n c@y.example\r\nMessage-ID: <i@x.example>\r\nMIME-Version: 1.0\r\n"
        );
    }

    #[test]
    fn a_message_must_have_one_sender_and_a_recipient() {
        for (message, problem) in [
            (&b"To: b@y.example\n\nx"[..], "no From"),
            (b"From: a@x.example, c@x.example\nTo: b@y.example\n\nx", "two senders"),
            (b"From: a@x.example\nFrom: c@x.example\nTo: b@y.example\n\nx", "two From fields"),
            (b"From: a@x.example\n\nx", "no recipient"),
            (b"From: a@x.example\nTo: nobody\n\nx", "no address in To"),
            (b"From: a@x.example\nTo: b@y.example\nMessage-ID: broken\n\nx", "bad id"),
            (b"", "nothing"),
        ] {
            assert!(Inner::parse(message).is_err(), "{problem}");
        }
    }
}
