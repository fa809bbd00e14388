//! What an SMTP server reads: command lines with limits, the end of DATA, logins.
//!
//! The end of a message is CRLF, dot, CRLF and nothing else. A message with a bare CR or LF in it is read to that end and
//! refused, so no two servers can disagree about where it ended (SMTP smuggling).

mod talk;

use std::io;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use memchr::{memchr, memchr2_iter, memmem};
use tokio::io::{AsyncRead, AsyncReadExt};

pub use self::talk::{Heard, Login, Talk};

/// RFC 4954 4.3 needs 12,288 for AUTH.
const LONGEST_LINE: usize = 12_288;
/// How much of a message beyond the limit is read, to answer it properly, before the connection ends.
const PATIENCE: usize = 4;

/// A command line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// With its line end.
    Text(Vec<u8>),
    /// Too long; it was skipped.
    TooLong,
    /// The other side has closed.
    End,
}

/// A message, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// Un-stuffed, with CRLF line ends.
    Complete(Vec<u8>),
    /// It has a bare CR or LF.
    BareLineEnd,
    /// Larger than the limit.
    TooLarge,
    /// The other side closed, or sent without end.
    Broken,
}

/// What has been read and not yet used.
#[derive(Debug, Default)]
pub struct Input {
    buffer: Vec<u8>,
}

impl Input {
    /// Whether something was sent ahead of its turn.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next command line.
    pub async fn line(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Line> {
        let (mut scanned, mut skipping) = (0, false);
        loop {
            if let Some(at) = memchr(b'\n', &self.buffer[scanned..]) {
                let line: Vec<u8> = self.buffer.drain(..=scanned + at).collect();
                return Ok(if skipping || line.len() > LONGEST_LINE { Line::TooLong } else { Line::Text(line) });
            }
            scanned = self.buffer.len();
            if scanned > LONGEST_LINE {
                if skipping {
                    // Still no end in sight: this is not a mistake.
                    return Ok(Line::End);
                }
                skipping = true;
                self.buffer.clear();
                scanned = 0;
            }
            if self.fill(stream, 4_096).await? == 0 {
                return Ok(Line::End);
            }
        }
    }

    /// The message after 354, of at most `limit` bytes.
    pub async fn message(&mut self, stream: &mut (impl AsyncRead + Unpin), limit: usize) -> io::Result<Message> {
        let mut dropped = 0;
        let mut scanned: usize = 0;
        loop {
            if dropped == 0 && self.buffer.starts_with(b".\r\n") {
                self.buffer.drain(..3);
                return Ok(Message::Complete(Vec::new()));
            }
            let from = scanned.saturating_sub(4);
            if let Some(at) = memmem::find(&self.buffer[from..], b"\r\n.\r\n").map(|at| from + at) {
                let rest = self.buffer.split_off(at + 5);
                let mut raw = std::mem::replace(&mut self.buffer, rest);
                raw.truncate(at + 2);
                if dropped > 0 {
                    return Ok(Message::TooLarge);
                }
                return Ok(match unstuffed(raw) {
                    None => Message::BareLineEnd,
                    Some(message) if message.len() > limit => Message::TooLarge,
                    Some(message) => Message::Complete(message),
                });
            }
            scanned = self.buffer.len();
            // Twice, because stuffing may nearly double a message of dots.
            if scanned > limit.saturating_mul(2) + 64 {
                dropped += scanned - 4;
                self.buffer.drain(..scanned - 4);
                scanned = 4;
                if dropped > limit.saturating_mul(PATIENCE) {
                    return Ok(Message::Broken);
                }
            }
            if self.fill(stream, 64 * 1024).await? == 0 {
                return Ok(Message::Broken);
            }
        }
    }

    async fn fill(&mut self, stream: &mut (impl AsyncRead + Unpin), room: usize) -> io::Result<usize> {
        self.buffer.reserve(room);
        stream.read_buf(&mut self.buffer).await
    }
}

/// RFC 5321 4.5.2: the leading dot of each line goes. `None` when a CR or LF stands alone.
fn unstuffed(raw: Vec<u8>) -> Option<Vec<u8>> {
    let mut dots = Vec::new();
    if raw.first() == Some(&b'.') {
        dots.push(0);
    }
    let mut after_cr = None;
    for at in memchr2_iter(b'\r', b'\n', &raw) {
        match (raw[at], after_cr.take()) {
            (b'\r', None) if raw.get(at + 1) == Some(&b'\n') => after_cr = Some(at + 1),
            (b'\n', Some(expected)) if expected == at => {
                if raw.get(at + 1) == Some(&b'.') {
                    dots.push(at + 1);
                }
            }
            _ => return None,
        }
    }
    if dots.is_empty() {
        return Some(raw);
    }
    let mut message = Vec::with_capacity(raw.len());
    let mut from = 0;
    for dot in dots {
        message.extend_from_slice(&raw[from..dot]);
        from = dot + 1;
    }
    message.extend_from_slice(&raw[from..]);
    Some(message)
}

/// User and password of an AUTH PLAIN answer (RFC 4616: authorization identity, user, password).
#[must_use]
pub fn plain(answer: &str) -> Option<(String, String)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(answer).ok()?).ok()?;
    let mut parts = text.splitn(3, '\0').skip(1).map(str::to_owned);
    parts.next().zip(parts.next())
}

/// User and password of the two answers of AUTH LOGIN.
#[must_use]
pub fn login(user: &str, password: &str) -> Option<(String, String)> {
    let text = |packed: &str| String::from_utf8(BASE64_STANDARD.decode(packed).ok()?).ok();
    text(user).zip(text(password))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        pin::Pin,
        task::{Context, Poll},
    };

    use proptest::prelude::*;
    use tokio::io::ReadBuf;

    use super::*;

    /// Gives its pieces one at a time, as a network does.
    struct Pieces(VecDeque<Vec<u8>>);

    impl AsyncRead for Pieces {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            if let Some(piece) = self.0.pop_front() {
                buf.put_slice(&piece);
            }
            Poll::Ready(Ok(()))
        }
    }

    fn read(bytes: &[u8], piece: usize, limit: usize) -> (Message, Vec<u8>) {
        let mut pieces = Pieces(bytes.chunks(piece).map(<[u8]>::to_vec).collect());
        let mut input = Input::default();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let message = runtime.block_on(input.message(&mut pieces, limit)).unwrap();
        (message, input.buffer)
    }

    #[test]
    fn only_crlf_dot_crlf_ends_a_message_however_it_is_cut() {
        for piece in 1..12 {
            for (bytes, expected) in [
                ("a\r\n.\r\n", Message::Complete(b"a\r\n".to_vec())),
                (".\r\n", Message::Complete(Vec::new())),
                ("..x\r\n...\r\n.\r\n", Message::Complete(b".x\r\n..\r\n".to_vec())),
                ("a\n.\n\r\n.\r\n", Message::BareLineEnd),
                ("a\n.\r\n\r\n.\r\n", Message::BareLineEnd),
                ("a\r\n.\nMAIL\r\n.\r\n", Message::BareLineEnd),
                ("a\r.\r\n.\r\n", Message::BareLineEnd),
                ("a\r\n.", Message::Broken),
            ] {
                assert_eq!(read(bytes.as_bytes(), piece, 1_000).0, expected, "{bytes:?} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn what_follows_the_message_is_kept_for_the_next_command() {
        assert_eq!(read(b"a\r\n.\r\nQUIT\r\n", 64, 10), (Message::Complete(b"a\r\n".to_vec()), b"QUIT\r\n".to_vec()));
    }

    #[test]
    fn a_large_message_is_answered_and_an_endless_one_is_cut_off() {
        let large = |n: usize| [vec![b'x'; n], b"\r\n.\r\nQUIT\r\n".to_vec()].concat();
        assert_eq!(read(&large(15), 4, 10).0, Message::TooLarge);
        assert_eq!(read(&large(250), 7, 64).0, Message::TooLarge);
        assert_eq!(read(&large(1_000), 7, 10).0, Message::Broken);
    }

    #[tokio::test]
    async fn a_long_command_line_is_skipped_and_an_endless_one_ends_the_talk() {
        let mut input = Input::default();
        let long = [vec![b'x'; LONGEST_LINE + 10], b"\r\nNOOP\r\n".to_vec()].concat();
        let mut pieces = Pieces(long.chunks(1_000).map(<[u8]>::to_vec).collect());
        assert_eq!(input.line(&mut pieces).await.unwrap(), Line::TooLong);
        assert_eq!(input.line(&mut pieces).await.unwrap(), Line::Text(b"NOOP\r\n".to_vec()));
        let mut endless = Pieces(vec![vec![b'x'; 1_000]; 40].into());
        assert_eq!(input.line(&mut endless).await.unwrap(), Line::End);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_is_complete_has_whole_line_ends(
            bytes in proptest::collection::vec(proptest::sample::select(b"\r\n.a".to_vec()), 0..60),
            piece in 1_usize..9,
        ) {
            if let (Message::Complete(message), _) = read(&bytes, piece, 1_000) {
                let text = String::from_utf8(message).unwrap();
                prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
            }
        }
    }
}
