//! Mail of strangers, parsed.
//!
//! The parser asserts things about itself and counts in octets that somebody else chose. A message on which it stumbles is
//! one that cannot be read; it must not end a loop that fetches or follows everybody's mail, or a command. Nothing outlives
//! a panic here: the parser borrows the octets and all it has made is dropped.

use std::panic::catch_unwind;

use mail_parser::{Message, MessageParser};

/// The whole of `message`, with its parts.
#[must_use]
pub fn whole(message: &[u8]) -> Option<Message<'_>> {
    catch_unwind(|| MessageParser::default().parse(message)).ok().flatten()
}

/// The headers of `message` alone.
#[must_use]
pub fn headers(message: &[u8]) -> Option<Message<'_>> {
    catch_unwind(|| MessageParser::default().parse_headers(message)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message in a message, both multipart, that ends before either does: an assertion of the parser about itself (where
    /// it has them, which is not in a release build) is none of ours.
    #[test]
    fn a_message_on_which_the_parser_stumbles_cannot_be_read_and_does_no_harm() {
        for cut in 0..NESTED.len() {
            let _ = whole(&NESTED.as_bytes()[..cut]).map(|message| message.parts.len());
            let _ = headers(&NESTED.as_bytes()[..cut]);
        }
        assert_eq!(headers(NESTED.as_bytes()).and_then(|mail| mail.subject().map(str::to_owned)).as_deref(), Some("x"));
    }

    const NESTED: &str = "Subject: x\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\nContent-Type: message/rfc822\r\n\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b--\r\n--a--\r\n";
}
