//! What a verified message says about an earlier one: an MDN (RFC 8098) or a DSN (RFC 3464), read tolerantly because
//! peers fold, space and capitalize as they like.

use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders as _};

use super::open::Verified;
use crate::domain::delivery::NoticeKind;

/// What a notice says. Text is as stated: matching it to a delivery is the reader's work.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Notice {
    /// What became of the message.
    pub kind: NoticeKind,
    /// The Message-ID it is about.
    pub original_message_id: Option<String>,
    /// The recipient it is about.
    pub final_recipient: Option<String>,
}

impl Notice {
    /// The notice in `message`, when it is one.
    #[must_use]
    pub fn of(message: &Verified) -> Option<Self> {
        Self::read(message.inner())
    }

    fn read(inner: &[u8]) -> Option<Self> {
        let parsed = MessageParser::default().parse(inner)?;
        is(parsed.root_part(), "multipart", "report").then_some(())?;
        parsed.parts.iter().find_map(|part| {
            if is(part, "message", "disposition-notification") {
                disposition(&fields(part.contents()))
            } else if is(part, "message", "delivery-status") {
                status(&fields(part.contents()), &parsed)
            } else {
                None
            }
        })
    }
}

fn is(part: &MessagePart<'_>, kind: &str, sub: &str) -> bool {
    part.content_type().is_some_and(|found| {
        found.c_type.eq_ignore_ascii_case(kind) && found.c_subtype.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(sub))
    })
}

fn disposition(fields: &[(String, String)]) -> Option<Notice> {
    // `automatic-action/MDN-sent-automatically; processed/error` (RFC 8098 3.2.6)
    let stated = value(fields, "disposition")?.rsplit(';').next()?.trim().to_ascii_lowercase();
    let (kind, modifier) = stated.split_once('/').unwrap_or((&stated, ""));
    let kind = match (kind.trim(), modifier.trim()) {
        ("processed" | "dispatched", modifier) if modifier.contains("error") || modifier.contains("fail") => NoticeKind::Failed,
        ("processed", _) => NoticeKind::Processed,
        ("dispatched", _) => NoticeKind::Dispatched,
        ("failed" | "denied" | "error", _) => NoticeKind::Failed,
        _ => return None,
    };
    Some(Notice {
        kind,
        original_message_id: value(fields, "original-message-id").map(str::to_owned),
        final_recipient: value(fields, "final-recipient").map(address),
    })
}

fn status(fields: &[(String, String)], parsed: &Message<'_>) -> Option<Notice> {
    if !value(fields, "action")?.eq_ignore_ascii_case("failed") {
        return None;
    }
    let returned = || {
        parsed.parts.iter().find_map(|part| {
            let headers = is(part, "text", "rfc822-headers") || is(part, "message", "rfc822");
            let text = headers.then(|| part.message().map_or(part.contents(), |message| message.raw_message()))?;
            value(&self::fields(text), "message-id").map(str::to_owned)
        })
    };
    Some(Notice {
        kind: NoticeKind::Failed,
        original_message_id: value(fields, "x-original-message-id").map(str::to_owned).or_else(returned),
        final_recipient: value(fields, "final-recipient").map(address),
    })
}

/// Header-like fields, unfolded, names in lower case. Several groups (RFC 3464 2.1) are read as one.
fn fields(text: &[u8]) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in String::from_utf8_lossy(text).lines() {
        match (line.starts_with([' ', '\t']), fields.last_mut(), line.split_once(':')) {
            (true, Some((_, value)), _) => {
                value.push(' ');
                value.push_str(line.trim());
            }
            (false, _, Some((name, value))) => fields.push((name.trim().to_ascii_lowercase(), value.trim().to_owned())),
            _ => {}
        }
    }
    fields
}

fn value<'f>(fields: &'f [(String, String)], name: &str) -> Option<&'f str> {
    fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
}

/// `rfc822; a@b`, with or without the type and angle brackets.
fn address(stated: &str) -> String {
    let text = stated.rsplit_once(';').map_or(stated, |(_, address)| address).trim();
    text.trim_start_matches('<').trim_end_matches('>').trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(kind: &str, fields: &str) -> Option<Notice> {
        let report = format!(
            "From: a@b.example\r\nTo: c@d.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type={kind}; boundary=\"x\"\r\n\r\n\
             --x\r\n\r\nWords.\r\n--x\r\nContent-Type: message/{kind}\r\n\r\n{fields}\r\n--x--\r\n"
        );
        Notice::read(report.as_bytes())
    }

    fn mdn(disposition: &str) -> Option<NoticeKind> {
        report("disposition-notification", disposition).map(|notice| notice.kind)
    }

    #[test]
    fn a_plain_mdn_says_what_it_is_about() {
        let notice = report(
            "disposition-notification",
            "Reporting-UA: x\r\nFinal-Recipient: rfc822;c@d.example\r\nOriginal-Message-ID: <1@b>\r\nDisposition: automatic-action/MDN-sent-automatically;processed\r\n",
        );
        assert_eq!(
            notice,
            Some(Notice {
                kind: NoticeKind::Processed,
                original_message_id: Some("<1@b>".into()),
                final_recipient: Some("c@d.example".into())
            })
        );
    }

    #[test]
    fn odd_spacing_case_and_folding_are_understood() {
        let notice = report(
            "disposition-notification",
            "FINAL-recipient :  <c@d.example> \r\noriginal-message-id:\r\n  <1@b>\r\nDISPOSITION: automatic-action/MDN-sent-automatically ;\r\n Dispatched \r\n",
        )
        .unwrap();
        assert_eq!(notice.kind, NoticeKind::Dispatched);
        assert_eq!(notice.original_message_id.as_deref(), Some("<1@b>"));
        assert_eq!(notice.final_recipient.as_deref(), Some("c@d.example"));
    }

    #[test]
    fn every_way_to_say_no_is_a_failure() {
        for stated in ["failed", "denied", "error", "processed/error", "dispatched/failed", "FAILED"] {
            assert_eq!(
                mdn(&format!("Disposition: automatic-action/MDN-sent-automatically; {stated}\r\n")),
                Some(NoticeKind::Failed)
            );
        }
        assert_eq!(mdn("Disposition: manual-action/MDN-sent-manually; displayed\r\n"), None);
        assert_eq!(mdn("Final-Recipient: rfc822;c@d.example\r\n"), None);
    }

    #[test]
    fn a_dsn_counts_only_when_it_failed() {
        let failed = "Reporting-MTA: dns;x\r\n\r\nFinal-Recipient: rfc822;c@d.example\r\nAction: failed\r\nStatus: 5.1.1\r\nX-Original-Message-ID: <1@b>\r\n";
        let notice = report("delivery-status", failed).unwrap();
        assert_eq!((notice.kind, notice.original_message_id.as_deref()), (NoticeKind::Failed, Some("<1@b>")));
        assert!(report("delivery-status", &failed.replace("failed", "delayed")).is_none());
    }

    #[test]
    fn an_ordinary_message_is_no_notice() {
        assert_eq!(Notice::read(b"From: a@b.example\r\n\r\nDisposition: processed\r\n"), None);
    }
}
