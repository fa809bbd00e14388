//! A server's complete answer, kept as it was said.

use std::fmt;

use lettre::transport::smtp::response::Response;

/// Longest text kept of one answer, in bytes.
const KEPT: usize = 2_000;

/// A complete answer: code and text, its lines joined by `\n`. The text is evidence: it is verbatim, but for bytes that
/// are not UTF-8 and NUL, which become U+FFFD, and for what lies beyond 2,000 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    text: String,
}

impl Reply {
    /// The three digits.
    #[must_use]
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// What the server said, codes included. For the record; show and log the [`Display`](fmt::Display) form.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it says "later" (4xx).
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// Whether it says "never" (5xx).
    #[must_use]
    pub const fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status code (RFC 3463), e.g. `(5, 3, 4)`.
    #[must_use]
    pub fn enhanced(&self) -> Option<(u16, u16, u16)> {
        let word = self.text.get(4..)?.split_whitespace().next()?;
        let mut parts = word.splitn(3, '.').map(|part| part.parse::<u16>().ok());
        let status = (parts.next()??, parts.next()??, parts.next()??);
        (status.0 == self.code / 100).then_some(status)
    }

    /// Whether it refuses the message for its size: RFC 1870 6.1, RFC 3463 X.2.3 and X.3.4. A bare 552 means that only in
    /// answer to MAIL, where the size was declared; later on it may be a full mailbox.
    #[must_use]
    pub fn is_about_size(&self, to_mail: bool) -> bool {
        match self.enhanced() {
            Some(status) => matches!(status, (5, 2, 3) | (5, 3, 4)),
            None => self.code == 552 && to_mail,
        }
    }

    /// Reads complete lines, without their line ends, the last one being the one without a `-`.
    pub(super) fn parse(lines: &[Vec<u8>]) -> Option<(Self, Response)> {
        let lines: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(line).replace('\0', "\u{fffd}")).collect();
        // RFC 5321 4.2: the code alone, without space and text, is an answer too.
        let framed: String =
            lines.iter().flat_map(|line| [line.as_str(), if line.len() == 3 { " " } else { "" }, "\r\n"]).collect();
        let response: Response = framed.parse().ok()?;
        let mut text = lines.join("\n");
        if text.len() > KEPT {
            text.truncate(text.floor_char_boundary(KEPT));
        }
        Some((Self { code: response.code().into(), text }, response))
    }
}

impl fmt::Display for Reply {
    /// One line without control characters, for logs and screens.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            fmt::Write::write_char(f, if c.is_control() { ' ' } else { c })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reply({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(lines: &[&str]) -> Option<Reply> {
        let lines: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
        Reply::parse(&lines).map(|(reply, _)| reply)
    }

    #[test]
    fn an_answer_is_kept_as_it_was_said() {
        let said = reply(&["250-2.0.0 first", "250 2.0.0 queued as 42"]).unwrap();
        assert_eq!((said.code(), said.text()), (250, "250-2.0.0 first\n250 2.0.0 queued as 42"));
        assert_eq!(said.to_string(), "250-2.0.0 first 250 2.0.0 queued as 42");
        assert_eq!(reply(&["250"]).unwrap().code(), 250);
        assert_eq!(reply(&["250 \u{1b}[2Jx"]).unwrap().to_string(), "250  [2Jx");
        assert_eq!(reply(&[&format!("550 {}", "x".repeat(5_000))]).unwrap().text().len(), KEPT);
    }

    #[test]
    fn what_is_no_answer_is_not_taken_for_one() {
        for lines in [&["hello"] as &[_], &["250-a", "550 b"], &["25 x"], &["999 x"], &["150 x"], &["250x"], &[""]] {
            assert!(reply(lines).is_none(), "{lines:?}");
        }
    }

    #[test]
    fn a_full_mailbox_is_not_a_large_message() {
        assert!(reply(&["552 5.3.4 too big"]).unwrap().is_about_size(false));
        assert!(reply(&["552 too big"]).unwrap().is_about_size(true));
        assert!(!reply(&["552 5.2.2 mailbox full"]).unwrap().is_about_size(true));
        assert!(!reply(&["552 mailbox full"]).unwrap().is_about_size(false));
    }
}
