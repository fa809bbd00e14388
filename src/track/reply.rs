//! The notices that we send back for letters that were opened and trusted (Delivery Notification IG 1.3; RFC 8098).
//!
//! Never for anything that was not trusted: silence gives nothing away. Never in answer to a notice: two machines would
//! thank each other for ever.

use mail_parser::HeaderName;

use super::{fields::without_comments, parsed};
use crate::domain::{DirectAddress, MessageId, OffsetTime, delivery::NoticeKind, id::ReplyId};

/// What a letter asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Where notices go.
    pub to: DirectAddress,
    /// Whether it asks, in the one right way, to be told of the final place.
    pub dispatched: bool,
}

impl Asked {
    /// Reads the headers of a letter `from` somebody whose signature was verified. Notices go where they are wanted as long
    /// as that is in the sender's own domain: nobody can have us write to a stranger.
    #[must_use]
    pub fn read(letter: &[u8], from: &DirectAddress) -> Self {
        let Some(parsed) = parsed::headers(letter) else {
            return Self { to: from.clone(), dispatched: false };
        };
        let header = |name: &'static str| {
            let name = HeaderName::Other(name.into());
            let found = parsed.headers().iter().rev().find(|header| header.name.as_str().eq_ignore_ascii_case(name.as_str()))?;
            let raw = parsed.raw_message.get(found.offset_start as usize..found.offset_end as usize)?;
            Some(String::from_utf8_lossy(raw).replace(['\r', '\n'], " ").trim().to_owned())
        };
        let wanted = header("Disposition-Notification-To").and_then(|value| last_address(&value));
        let to = wanted.filter(|wanted| wanted.domain().eq_ignore_ascii_case(from.domain())).unwrap_or_else(|| from.clone());
        Self { to, dispatched: header("Disposition-Notification-Options").is_some_and(|options| asks_dispatched(&options)) }
    }
}

/// `Name <a@b>` or `a@b`.
fn last_address(value: &str) -> Option<DirectAddress> {
    let value = without_comments(value);
    let inner = value.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')).map_or(value.trim(), |(address, _)| address);
    inner.trim().parse().ok()
}

/// `X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true`, in any case and with spaces; nothing else is a request.
fn asks_dispatched(options: &str) -> bool {
    without_comments(options).split(';').any(|option| {
        let Some((name, values)) = option.split_once('=') else { return false };
        let mut values = values.split(',').map(str::trim);
        name.trim().eq_ignore_ascii_case("X-DIRECT-FINAL-DESTINATION-DELIVERY")
            && values.next().is_some_and(|importance| {
                importance.eq_ignore_ascii_case("optional") || importance.eq_ignore_ascii_case("required")
            })
            && values.next().is_some_and(|wanted| wanted.eq_ignore_ascii_case("true"))
            && values.next().is_none()
    })
}

/// A notice to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Which: names its parts.
    pub id: ReplyId,
    /// Our address the letter came for: who says it, and about whom.
    pub from: &'a DirectAddress,
    /// Where to.
    pub to: &'a DirectAddress,
    /// Its own id, kept across retries.
    pub message_id: &'a MessageId,
    /// The letter's id, exactly as it was.
    pub original: Option<&'a MessageId>,
    /// `processed` or `dispatched`.
    pub kind: NoticeKind,
    /// When it is sent.
    pub date: OffsetTime,
    /// The name of this system (Reporting-UA).
    pub host: &'a str,
}

impl Reply<'_> {
    /// The inner message: CRLF line ends, ASCII. It asks for no notice itself (DTS 452).
    #[must_use]
    pub fn compose(&self) -> String {
        let boundary = format!("=_{}_report", self.id.0.as_simple());
        let original = self.original.map(|id| format!("Original-Message-ID: {id}\r\n")).unwrap_or_default();
        let answers = self.original.map(|id| format!("In-Reply-To: {id}\r\nReferences: {id}\r\n")).unwrap_or_default();
        let (subject, words, extension) = match self.kind {
            NoticeKind::Dispatched => (
                "Dispatched",
                "Your message has reached its destination.",
                // An extension field of the report, not an option of the disposition.
                "X-DIRECT-FINAL-DESTINATION-DELIVERY: optional,true\r\n",
            ),
            NoticeKind::Processed => ("Processed", "Your message was opened and its signature is trusted.", ""),
            NoticeKind::Failed => ("Failed", "Your message could not be delivered.", ""),
        };
        format!(
            "Date: {date}\r\nFrom: {from}\r\nTo: {to}\r\nMessage-ID: {id}\r\n{answers}Subject: {subject}\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/report; report-type=disposition-notification;\r\n boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n{words}\r\n\r\n\
             --{boundary}\r\nContent-Type: message/disposition-notification\r\n\r\n\
             Reporting-UA: {host}; Postern\r\nOriginal-Recipient: rfc822;{from}\r\nFinal-Recipient: rfc822;{from}\r\n{original}\
             Disposition: automatic-action/MDN-sent-automatically;{kind}\r\n{extension}\r\n--{boundary}--\r\n",
            date = self.date.rfc5322(),
            from = self.from,
            to = self.to,
            id = self.message_id,
            host = self.host,
            kind = self.kind,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::Timestamp,
        track::{Form, Notice},
    };

    #[test]
    fn a_good_options_header_asks_for_dispatched_and_a_malformed_one_for_nothing() {
        for good in [
            "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true",
            "x-direct-final-destination-delivery = Optional , TRUE ; other=optional,x",
        ] {
            assert!(asks_dispatched(good), "{good}");
        }
        for bad in [
            "X-DIRECT-FINAL-DESTINATION-DELIVERY",
            "X-DIRECT-FINAL-DESTINATION-DELIVERY=true",
            "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,false",
            "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional;true",
            "Y=optional,true",
            "",
            "X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true,maybe",
        ] {
            assert!(!asks_dispatched(bad), "{bad}");
        }
    }

    #[test]
    fn notices_go_where_they_are_wanted_but_never_to_a_stranger() {
        let from: DirectAddress = "pcp@direct.example.org".parse().unwrap();
        let asked =
            |headers: &str| Asked::read(format!("From: pcp@direct.example.org\r\n{headers}\r\nhello\r\n").as_bytes(), &from);
        assert_eq!(asked("").to, from);
        assert_eq!(
            asked("Disposition-Notification-To: \"MDN\" <mdn@Direct.example.org>\r\n").to.as_str(),
            "mdn@Direct.example.org"
        );
        assert_eq!(asked("Disposition-Notification-To: victim@elsewhere.example\r\n").to, from);
        assert_eq!(asked("Disposition-Notification-To: nonsense\r\n").to, from);
        let options = asked("disposition-notification-options:\r\n X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n");
        assert!(options.dispatched);
    }

    #[test]
    fn what_we_write_we_can_read_and_it_asks_for_nothing() {
        let (from, to): (DirectAddress, DirectAddress) =
            ("us@direct.lab.example".parse().unwrap(), "pcp@direct.example.org".parse().unwrap());
        let (own, original): (MessageId, MessageId) =
            ("<2@direct.lab.example>".parse().unwrap(), "<Exact.Bytes@x.example>".parse().unwrap());
        for kind in [NoticeKind::Processed, NoticeKind::Dispatched] {
            let reply = Reply {
                id: ReplyId::new(),
                from: &from,
                to: &to,
                message_id: &own,
                original: Some(&original),
                kind,
                date: Timestamp(0).utc(),
                host: "gw.lab.example",
            };
            let text = reply.compose();
            let notice = Notice::read(text.as_bytes()).unwrap();
            assert_eq!((notice.form, notice.about.len()), (Form::Mdn, 1));
            let about = &notice.about[0];
            assert_eq!(
                (about.kind, about.message_ids.as_slice(), about.recipients[0].as_str()),
                (Some(kind), &[original.clone()][..], from.as_str())
            );
            assert_eq!(about.final_delivery, kind == NoticeKind::Dispatched);
            assert!(!text.to_ascii_lowercase().contains("disposition-notification-to") && text.is_ascii());
            assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
        }
    }
}
