//! A plain e-mail to a person: not a Direct message, not sealed, and so never about a patient.

use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::{BadMessage, GoAhead, Job, Login, Outcome, Relay};
use crate::domain::{DirectAddress, Timestamp};

/// A plain e-mail to one person.
#[derive(Debug, Clone, Copy)]
pub struct PlainMail<'a> {
    /// From whom.
    pub from: &'a DirectAddress,
    /// To whom.
    pub to: &'a DirectAddress,
    /// One line of ASCII.
    pub subject: &'a str,
    /// What is said, with LF or CRLF line ends.
    pub text: &'a str,
    /// The part of its Message-ID before the `@`: the same however often it is tried, so that a repeat can be told.
    pub id: &'a str,
    /// When it is sent.
    pub at: Timestamp,
}

impl PlainMail<'_> {
    /// The message as it goes over the wire.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let text = self.text.replace("\r\n", "\n").replace('\r', " ");
        // RFC 5322 2.1.1
        let short = text.lines().all(|line| line.len() <= 998);
        let (encoding, body) = if text.is_ascii() && short {
            ("7bit", text.replace('\n', "\r\n"))
        } else {
            ("base64", in_lines(&BASE64_STANDARD.encode(text.replace('\n', "\r\n"))))
        };
        // A control character would end the header, and what came after it would be believed.
        let subject: String = self.subject.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect();
        format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\nDate: {date}\r\nMessage-ID: <{id}@{domain}>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n{body}\r\n",
            from = self.from,
            to = self.to,
            // RFC 5322 3.6.1. Auto-Submitted: RFC 3834 5, so that nobody's holiday notice answers us.
            date = self.at.utc().rfc5322(),
            id = self.id,
            domain = self.from.domain(),
        )
        .into_bytes()
    }

    /// Hands it to `relay`, with the relay's own login.
    ///
    /// # Errors
    /// [`BadMessage`]: never, for what [`PlainMail::message`] writes.
    pub async fn send(&self, relay: &Relay) -> Result<Outcome, BadMessage> {
        let message = self.message();
        let job = Job::new(self.from, self.to, &message)?;
        Ok(relay.send(&job, Login::Relay, || std::future::ready(GoAhead::Go)).await)
    }
}

/// RFC 2045 6.8: lines of 76.
fn in_lines(base64: &str) -> String {
    let mut lines = String::with_capacity(base64.len() + base64.len() / 38);
    for (place, c) in base64.chars().enumerate() {
        if place > 0 && place % 76 == 0 {
            lines.push_str("\r\n");
        }
        lines.push(c);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(subject: &str, text: &str) -> String {
        let (from, to) = ("postern@lab.example".parse().unwrap(), "ops@lab.example".parse().unwrap());
        let at = Timestamp(1_772_463_600_000_000);
        let mail = PlainMail { from: &from, to: &to, subject, text, id: "abc", at };
        String::from_utf8(mail.message()).unwrap()
    }

    #[test]
    fn a_plain_mail_reads_like_one() {
        let text = message("[postern] 1 opened", "Hello\nworld\n");
        assert!(
            text.starts_with("From: <postern@lab.example>\r\nTo: <ops@lab.example>\r\nSubject: [postern] 1 opened\r\n"),
            "{text}"
        );
        assert!(
            text.contains(
                "Date: Mon, 2 Mar 2026 15:00:00 +0000\r\nMessage-ID: <abc@lab.example>\r\nAuto-Submitted: auto-generated\r\n"
            ),
            "{text}"
        );
        assert!(text.ends_with("7bit\r\n\r\nHello\r\nworld\r\n\r\n"), "{text}");
    }

    #[test]
    fn what_is_not_ascii_is_encoded_and_a_subject_cannot_become_a_header() {
        let text = message("x\r\nBcc: all@x.example", "Zürich\n");
        assert!(text.contains("Subject: x??Bcc: all@x.example\r\n"), "{text}");
        assert!(text.contains("base64\r\n\r\nWsO8cmljaA0K\r\n"), "{text}");
        let long = message("s", &"é".repeat(500));
        assert!(long.lines().all(|line| line.len() <= 78), "{long}");
    }
}
