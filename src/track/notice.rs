//! MDNs (RFC 8098) and DSNs (RFC 3464): told from other mail, and read.

use mail_parser::{Message, MessagePart, MimeHeaders as _};

use super::{dsn, fields::Fields, mdn, parsed};
use crate::domain::{MessageId, Reason, delivery::NoticeKind, words};

words! {
    /// What kind of report it is.
    pub enum Form {
        /// A disposition notification, by the recipient's side.
        Mdn = "mdn",
        /// A delivery status notification, by a server on the way.
        Dsn = "dsn",
    }
}

/// A notice: an MDN or DSN. One that says nothing that can be read is still a notice, and never answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// MDN or DSN.
    pub form: Form,
    /// What it says about each recipient.
    pub about: Vec<About>,
}

/// What a notice says about one recipient. Text is as stated: whom and what it means is decided by
/// [`matching`](super::matching).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// Good or bad news; `None` for what is neither (`displayed`, `delayed` ...).
    pub kind: Option<NoticeKind>,
    /// The word it used, in lower case.
    pub stated: String,
    /// The ids it gives for the message it is about, the most certain first.
    pub message_ids: Vec<MessageId>,
    /// The recipients it names: the final one, then the original one.
    pub recipients: Vec<String>,
    /// Status code (RFC 3463).
    pub status: Option<String>,
    /// The cause it gives.
    pub cause: Option<String>,
    /// Whether it says that the final place was meant (Delivery Notification IG 1.3).
    pub final_delivery: bool,
}

impl About {
    /// The reason of trust or certificates that it proves, if any.
    #[must_use]
    pub fn trust_failure(&self) -> Option<Reason> {
        self.cause.as_deref().filter(|_| self.kind == Some(NoticeKind::Failed)).and_then(dsn::trust_failure)
    }
}

impl Notice {
    /// The notice in `message` (an inner message, or one that came in the clear), when it is one.
    #[must_use]
    pub fn read(message: &[u8]) -> Option<Self> {
        let parsed = parsed::whole(message)?;
        if !is(parsed.root_part(), "multipart", "report") {
            return None;
        }
        let part = |sub: &str| parsed.parts.iter().find(|part| is(part, "message", sub));
        let stated = parsed.root_part().content_type().and_then(|kind| kind.attribute("report-type")).unwrap_or_default();
        if let Some(part) = part("disposition-notification") {
            let mut about = mdn::read(part.contents());
            if about.message_ids.is_empty() {
                about.message_ids = returned(&parsed).value("message-id").map(message_ids).unwrap_or_default();
            }
            return Some(Self { form: Form::Mdn, about: vec![about] });
        }
        if let Some(part) = part("delivery-status") {
            return Some(Self { form: Form::Dsn, about: dsn::read(part.contents(), &returned(&parsed)) });
        }
        // Called a notice without being one: nothing to read, and nothing to answer.
        let form = match stated.to_ascii_lowercase().as_str() {
            "disposition-notification" => Form::Mdn,
            "delivery-status" => Form::Dsn,
            _ => return None,
        };
        Some(Self { form, about: Vec::new() })
    }
}

fn is(part: &MessagePart<'_>, kind: &str, sub: &str) -> bool {
    part.content_type().is_some_and(|found| {
        found.c_type.eq_ignore_ascii_case(kind) && found.c_subtype.as_deref().is_some_and(|s| s.eq_ignore_ascii_case(sub))
    })
}

/// The headers of the message that come back with a notice; of its body nothing is looked at.
fn returned(parsed: &Message<'_>) -> Fields {
    let part = parsed.parts.iter().skip(1).find(|part| is(part, "text", "rfc822-headers") || is(part, "message", "rfc822"));
    let text = part.map_or(&[][..], |part| part.message().map_or(part.contents(), |message| message.raw_message()));
    let end = memchr::memmem::find(text, b"\r\n\r\n").or_else(|| memchr::memmem::find(text, b"\n\n")).unwrap_or(text.len());
    Fields::read(&text[..end])
}

/// The ids in `stated`, with or without brackets; more than a few are no statement about one message.
pub(super) fn message_ids(stated: &str) -> Vec<MessageId> {
    let packed: String = stated.split_whitespace().collect();
    // An id that was folded in the middle, or several with spaces between them.
    let whole = packed.parse().ok();
    let several = || stated.split_whitespace().filter_map(|id| id.parse().ok()).take(5).collect();
    whole.map_or_else(several, |id| vec![id])
}

#[cfg(test)]
mod tests;
