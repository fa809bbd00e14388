//! What the machine-readable part of a DSN says (RFC 3464 2): one group about the message, then one about each recipient.

use super::{
    fields::{Fields, address},
    notice::{About, message_ids},
};
use crate::domain::{Reason, delivery::NoticeKind};

/// Most recipients one DSN may speak of. We send to one at a time.
const MOST_RECIPIENTS: usize = 100;

/// What it says about each recipient; `returned` are the headers of the message that come back with it.
pub(super) fn read(part: &[u8], returned: &Fields) -> Vec<About> {
    let fields = Fields::read(part);
    let mut ids = Vec::new();
    for id in [fields.value("x-original-message-id"), fields.value("original-message-id"), returned.value("message-id")] {
        ids.extend(id.map(message_ids).unwrap_or_default());
    }
    // Our own mark in a header that HISPs leave alone, also where they rewrote the Message-ID.
    ids.extend(
        returned
            .value("x-direct-context")
            .and_then(|mark| mark.trim_matches(['<', '>']).strip_prefix("context."))
            .and_then(|id| id.parse().ok()),
    );
    let mut all: Vec<About> = Vec::new();
    let mut current = Group::default();
    for (name, value) in fields.iter() {
        // Blank lines between groups may be missing or stand within one: a field that is there already begins the next.
        let begins = match name {
            "final-recipient" => current.last.is_some(),
            "original-recipient" => current.original.is_some() || (current.last.is_some() && current.action.is_some()),
            "action" => current.action.is_some() && current.last.is_some(),
            _ => false,
        };
        if begins {
            all.extend(std::mem::take(&mut current).about(&ids));
        }
        match name {
            "final-recipient" => current.last = Some(address(value)),
            "original-recipient" => current.original = Some(address(value)),
            "action" => current.action = Some(value.to_ascii_lowercase()),
            "status" => current.status = Some(value.to_owned()),
            "diagnostic-code" => current.cause = Some(value.to_owned()),
            _ => {}
        }
        if all.len() >= MOST_RECIPIENTS {
            return all;
        }
    }
    all.extend(current.about(&ids));
    all
}

/// The fields about one recipient.
#[derive(Default)]
struct Group {
    last: Option<String>,
    original: Option<String>,
    action: Option<String>,
    status: Option<String>,
    cause: Option<String>,
}

impl Group {
    fn about(self, ids: &[crate::domain::MessageId]) -> Option<About> {
        let stated = self.action.unwrap_or_default();
        let recipients: Vec<String> = self.last.into_iter().chain(self.original).collect();
        if recipients.is_empty() && stated.is_empty() {
            return None;
        }
        // Only "failed" is final. "delivered" and "relayed" are the word of a relay about its neighbour, which says nothing of
        // opening; "delayed" and "expanded" say that it goes on.
        let kind = (without_more(&stated) == "failed").then_some(NoticeKind::Failed);
        Some(About {
            kind,
            stated,
            message_ids: ids.to_vec(),
            recipients,
            status: self.status,
            cause: self.cause,
            final_delivery: false,
        })
    }
}

/// `failed (too old)` says the same as `failed`.
fn without_more(action: &str) -> &str {
    action.split([' ', '(', ';', ',']).next().unwrap_or_default()
}

/// Whether the cause given for a failure is one of trust or certificates, and which. Only words prove it: status codes of
/// security (RFC 3463 X.7.X) are used for spam and policy as well.
pub(super) fn trust_failure(cause: &str) -> Option<Reason> {
    let cause = cause.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if !says(&["certificate", "trust"]) {
        return None;
    }
    Some(if says(&["revoked", "revocation"]) {
        Reason::Revoked
    } else if says(&["certificate"]) && says(&["expired", "not yet valid", "out of date"]) {
        Reason::ExpiredCert
    } else if says(&[
        "untrusted",
        "not trusted",
        "no trust",
        "trust anchor",
        "trust bundle",
        "trust relationship",
        "does not trust",
        "trust validation",
    ]) {
        Reason::Untrusted
    } else if says(&[
        "no certificate",
        "certificate not found",
        "certificates not found",
        "find a certificate",
        "find certificate",
        "missing certificate",
        "without a certificate",
        "certificate could not",
        "certificate is not",
        "invalid certificate",
        "certificate for",
    ]) {
        Reason::NoCert
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_recipient_has_a_say_of_its_own_with_and_without_blank_lines() {
        let groups = [
            "Reporting-MTA: dns; x\r\n",
            "Original-Recipient: rfc822;old@d.example\r\nFinal-Recipient: rfc822;a@d.example\r\nAction: failed\r\nStatus: 5.1.1\r\n",
            "Final-Recipient: rfc822;b@d.example\r\nAction: Delayed\r\n",
            "Final-Recipient: c@d.example\r\nAction: FAILED (expired)\r\nDiagnostic-Code: smtp; 550 no\r\n",
        ];
        for between in ["", "\r\n", "\r\n\r\n"] {
            let all = read(groups.join(between).as_bytes(), &Fields::default());
            let told: Vec<_> = all.iter().map(|about| (about.recipients.join(","), about.kind)).collect();
            assert_eq!(
                told,
                [
                    ("a@d.example,old@d.example".into(), Some(NoticeKind::Failed)),
                    ("b@d.example".into(), None),
                    ("c@d.example".into(), Some(NoticeKind::Failed)),
                ]
            );
            assert_eq!((all[0].status.as_deref(), all[2].cause.as_deref()), (Some("5.1.1"), Some("smtp; 550 no")));
        }
    }

    #[test]
    fn the_message_is_known_by_its_returned_headers_and_by_our_own_mark_in_them() {
        let returned = Fields::read(b"Message-ID: <new@hisp.example>\r\nX-Direct-Context: <context.1@lab.example>\r\n");
        let all = read(b"Final-Recipient: rfc822;a@d.example\r\nAction: failed\r\n", &returned);
        let ids: Vec<&str> = all[0].message_ids.iter().map(crate::domain::MessageId::as_str).collect();
        assert_eq!(ids, ["<new@hisp.example>", "<1@lab.example>"]);
    }

    #[test]
    fn a_failure_of_trust_is_told_by_its_words_and_a_spam_filter_is_none() {
        for (cause, expected) in [
            ("smtp; 550 5.7.1 The recipient is not trusted by this HISP", Some(Reason::Untrusted)),
            ("The certificate of the recipient has been revoked", Some(Reason::Revoked)),
            ("certificate expired", Some(Reason::ExpiredCert)),
            ("No certificate could be found for a@d.example", Some(Reason::NoCert)),
            ("could not find a certificate for the recipient", Some(Reason::NoCert)),
            ("550 5.7.1 rejected by policy", None),
            ("550 5.1.1 no such user", None),
            ("TLS certificate problem while relaying", None),
            ("", None),
        ] {
            assert_eq!(trust_failure(cause), expected, "{cause}");
        }
    }
}
