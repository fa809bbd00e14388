//! What is to be sent: one message to one recipient.

use std::borrow::Cow;

use memchr::{memchr2_iter, memmem};

use crate::domain::DirectAddress;

/// The message cannot go over SMTP as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadMessage {
    /// A CR or LF that is not part of CRLF: servers disagree about where such a message ends (RFC 5321 2.3.8).
    #[error("the message has a bare CR or LF at byte {0}")]
    BareLineEnd(usize),
    /// Nothing in it.
    #[error("the message is empty")]
    Empty,
}

/// May DATA begin? The answer of the caller's `on_wire`, which has made the start durable when it says yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoAhead {
    /// It is on record: send.
    Go,
    /// The lease is lost or the delivery was cancelled: send nothing.
    Stop,
}

/// One message to one recipient. One recipient for each transaction: one ciphertext, one answer, one fee.
#[derive(Debug, Clone)]
pub struct Job<'a> {
    pub(super) mail_from: &'a DirectAddress,
    /// MAIL FROM is the null reverse path: nobody is told when it cannot be delivered.
    pub(super) null_return_path: bool,
    pub(super) rcpt: &'a DirectAddress,
    /// Size as SIZE counts it (RFC 1870 5): with CRLF, without dot-stuffing.
    pub(super) size: u64,
    /// Only ASCII: needs no 8BITMIME.
    pub(super) ascii: bool,
    /// Dot-stuffed, ending in CRLF; the terminator is still to come.
    pub(super) content: Cow<'a, [u8]>,
}

impl<'a> Job<'a> {
    /// `message` is complete, with CRLF line ends. It is read once here and, unless a line begins with a dot, never copied.
    pub fn new(mail_from: &'a DirectAddress, rcpt: &'a DirectAddress, message: &'a [u8]) -> Result<Self, BadMessage> {
        let look = look_over(message)?;
        let dots = if look.dots { leading_dots(message) } else { Vec::new() };
        let content = if dots.is_empty() && message.ends_with(b"\r\n") {
            Cow::Borrowed(message)
        } else {
            Cow::Owned(stuffed(message, &dots))
        };
        Ok(Self { mail_from, null_return_path: false, rcpt, size: message.len() as u64, ascii: look.ascii, content })
    }

    /// With the null reverse path, as notices leave (RFC 8098 3): what cannot be delivered of them is not reported, so no two
    /// machines report to each other for ever.
    #[must_use]
    pub fn without_return_path(mut self) -> Self {
        self.null_return_path = true;
        self
    }
}

/// What a message needs on its way.
struct Look {
    ascii: bool,
    /// A line begins with a dot.
    dots: bool,
}

/// Checks the line ends and looks for what else matters, all in one pass. Nothing in it branches or counts, so that the
/// compiler makes it sixteen octets at a time: three separate passes cost as much as encrypting the message for TLS.
fn look_over(message: &[u8]) -> Result<Look, BadMessage> {
    let (Some(first), Some(last)) = (message.first(), message.last()) else { return Err(BadMessage::Empty) };
    let (mut unpaired, mut dots, mut high) = (0_u8, 0_u8, *last);
    for (one, next) in message.iter().zip(&message[1..]) {
        // A CR stands before every LF and an LF after every CR.
        unpaired |= u8::from(*one == b'\r') ^ u8::from(*next == b'\n');
        dots |= u8::from(*one == b'\n') & u8::from(*next == b'.');
        high |= *one;
    }
    if unpaired != 0 || *first == b'\n' || *last == b'\r' {
        return Err(BadMessage::BareLineEnd(bare_line_end(message)));
    }
    Ok(Look { ascii: high.is_ascii(), dots: dots != 0 || *first == b'.' })
}

/// Where a line begins with a dot.
fn leading_dots(message: &[u8]) -> Vec<usize> {
    let first_line = message.starts_with(b".").then_some(0);
    first_line.into_iter().chain(memmem::find_iter(message, b"\r\n.").map(|at| at + 2)).collect()
}

/// The first CR or LF that is not part of CRLF.
fn bare_line_end(message: &[u8]) -> usize {
    let bare = |at: usize| match message[at] {
        b'\r' => message.get(at + 1) != Some(&b'\n'),
        _ => at == 0 || message[at - 1] != b'\r',
    };
    memchr2_iter(b'\r', b'\n', message).find(|at| bare(*at)).unwrap_or(message.len())
}

/// RFC 5321 4.5.2: a dot before each leading dot; CRLF at the end.
fn stuffed(message: &[u8], dots: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + dots.len() + 2);
    let mut from = 0;
    for &dot in dots {
        out.extend_from_slice(&message[from..dot]);
        out.push(b'.');
        from = dot;
    }
    out.extend_from_slice(&message[from..]);
    if !out.ends_with(b"\r\n") {
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content(message: &[u8]) -> Result<Vec<u8>, BadMessage> {
        let (from, to) = ("a@b.example".parse().unwrap(), "c@d.example".parse().unwrap());
        Job::new(&from, &to, message).map(|job| job.content.into_owned())
    }

    #[test]
    fn leading_dots_are_doubled_and_nothing_else_is_touched() {
        for (message, wire) in [
            ("a\r\n", "a\r\n"),
            ("a", "a\r\n"),
            (".\r\n", "..\r\n"),
            (".a\r\n..b\r\nc.\r\n.", "..a\r\n...b\r\nc.\r\n..\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n..\r\n"),
        ] {
            assert_eq!(content(message.as_bytes()), Ok(wire.into()), "{message:?}");
        }
    }

    #[test]
    fn a_message_on_which_servers_would_disagree_is_not_sent() {
        for (message, at) in [("a\nb", 1), ("a\rb", 1), ("a\r", 1), ("\n.\n", 0), ("a\r\r\n", 1), ("a\r\n\n", 3)] {
            assert_eq!(content(message.as_bytes()), Err(BadMessage::BareLineEnd(at)), "{message:?}");
        }
        assert_eq!(content(b""), Err(BadMessage::Empty));
    }

    #[test]
    fn a_message_without_leading_dots_is_not_copied() {
        let (from, to) = ("a@b.example".parse().unwrap(), "c@d.example".parse().unwrap());
        let message = b"base64\r\n".repeat(1000);
        assert!(matches!(Job::new(&from, &to, &message).unwrap().content, Cow::Borrowed(_)));
    }

    #[test]
    fn one_octet_beyond_ascii_is_seen_wherever_it_stands() {
        let (from, to) = ("a@b.example".parse().unwrap(), "c@d.example".parse().unwrap());
        let mut message = b"plain text\r\n".repeat(20);
        assert!(Job::new(&from, &to, &message).unwrap().ascii);
        for at in (0..message.len()).filter(|at| at % 12 < 10) {
            let plain = std::mem::replace(&mut message[at], 0xE9);
            assert!(!Job::new(&from, &to, &message).unwrap().ascii, "octet {at}");
            message[at] = plain;
        }
    }

    proptest! {
        #[test]
        fn unstuffing_gives_the_message_back(lines in proptest::collection::vec("[.a]{0,4}", 1..20)) {
            let message = lines.join("\r\n") + "\r\n";
            let wire = String::from_utf8(content(message.as_bytes()).unwrap()).unwrap();
            prop_assert!(!wire.contains("\r\n.\r\n") && !wire.starts_with(".\r\n"));
            let back: String = wire.split_inclusive("\r\n").map(|line| line.strip_prefix('.').unwrap_or(line)).collect();
            prop_assert_eq!(back, message);
        }
    }
}
