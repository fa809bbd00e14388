//! Reading mail that came in the clear: as little as needed.

use mail_parser::HeaderName;

use crate::{
    domain::{DirectAddress, MessageId},
    track::parsed,
};

/// What is read of a message in the clear.
pub(super) struct Headers {
    /// The one sender.
    pub(super) from: DirectAddress,
    /// Its id.
    pub(super) message_id: Option<MessageId>,
    /// The ids it answers.
    pub(super) answers: Vec<MessageId>,
    /// Our own id, as our mark in a copy of our own message says it.
    pub(super) mark: Option<MessageId>,
}

impl Headers {
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let parsed = parsed::headers(message)?;
        let from = parsed.from()?.first()?.address()?.parse().ok()?;
        let raw = |name: &HeaderName<'_>| {
            let header = parsed.headers().iter().find(|header| header.name.as_str().eq_ignore_ascii_case(name.as_str()))?;
            let octets = parsed.raw_message.get(header.offset_start as usize..header.offset_end as usize)?;
            Some(String::from_utf8_lossy(octets).into_owned())
        };
        let ids = |name: HeaderName<'_>| raw(&name).map(|text| ids_in(&text).take(20).collect::<Vec<_>>()).unwrap_or_default();
        let mark = raw(&HeaderName::Other("X-Direct-Context".into()));
        Some(Self {
            from,
            message_id: ids(HeaderName::MessageId).into_iter().next(),
            answers: [ids(HeaderName::InReplyTo), ids(HeaderName::References)].concat(),
            mark: mark.and_then(|mark| mark.trim().trim_matches(['<', '>']).strip_prefix("context.")?.parse().ok()),
        })
    }
}

/// Every `<left@right>` in a text.
pub(super) fn ids_in(text: &str) -> impl Iterator<Item = MessageId> {
    text.split('<').skip(1).filter_map(|rest| rest.split_once('>')).filter_map(|(id, _)| id.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_a_server_gives_a_message_is_found_in_its_answer() {
        let ids = |text: &str| ids_in(text).map(|id| id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids("250 2.6.0 <a1@hisp.example> [InternalId=3] Queued mail for delivery"), ["<a1@hisp.example>"]);
        assert!(ids("250 2.0.0 Ok: queued as 4F2").is_empty());
        assert!(ids("250 <ok> <a b@c>").is_empty());
    }

    #[test]
    fn a_copy_of_our_own_message_says_by_its_mark_which_it_is() {
        let copy =
            b"From: us@lab.example\r\nMessage-ID: <new@hisp.example>\r\nX-Direct-Context: <context.1@lab.example>\r\n\r\nx";
        let headers = Headers::read(copy).unwrap();
        assert_eq!(headers.mark.unwrap().as_str(), "<1@lab.example>");
        assert_eq!(headers.message_id.unwrap().as_str(), "<new@hisp.example>");
        assert!(Headers::read(b"Subject: nobody\r\n\r\nx").is_none());
    }
}
