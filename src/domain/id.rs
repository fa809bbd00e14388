//! Typed identifiers (UUIDv7) and whose rows a call may touch.

use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id whose text sorts by time of creation.
            #[must_use]
            pub fn new() -> Self { Self(Uuid::now_v7()) }
        }

        impl Default for $name { fn default() -> Self { Self::new() } }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> { Uuid::parse_str(text).map(Self) }
        }

        super::serde_as_text!($name);
    )+};
}

ids! {
    /// An organization: a customer.
    OrgId,
    /// A site of an organization.
    SiteId,
    /// An order, inside the gateway (the sender's own key is its `order_id`).
    OrderKey,
    /// One version of a result.
    ResultId,
    /// One result version to one target over one channel.
    DeliveryId,
    /// A Direct address we send from.
    IdentityId,
    /// An imported recipient certificate or trust anchor.
    CertificateId,
    /// A bundle of trust anchors.
    BundleId,
    /// One load of a directory.
    SnapshotId,
    /// One version of a payer's roster.
    RosterId,
    /// One line of the fee ledger.
    LedgerLineId,
    /// An item of a feed that could not be taken.
    ParkedId,
    /// One message that came for one of our addresses.
    InboundId,
    /// One statement of a notice about one recipient.
    NoticeId,
    /// One message for people, in the inbox of an organization.
    LetterId,
    /// A notice we send back.
    ReplyId,
    /// A program that is told of events.
    WebhookId,
    /// Something people have to be told.
    AlertId,
    /// Somebody who signs in.
    PersonId,
    /// One sign-in, until it ends.
    SessionId,
    /// A token of the API.
    TokenId,
    /// One line of the audit trail.
    AuditId,
    /// One comparison with a HISP's usage that somebody stands for.
    ReconciliationId,
    /// One start of one process: the owner of its leases.
    ProcessId,
}

/// Whose rows a store call may see. Every call takes one, so that no query forgets the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrgScope {
    /// One organization: everything a customer's token or user can reach.
    One(OrgId),
    /// The installation itself: the worker and the operator's shell.
    All,
}

impl OrgScope {
    /// The organization this scope is confined to.
    #[must_use]
    pub const fn org(self) -> Option<OrgId> {
        match self {
            Self::One(org) => Some(org),
            Self::All => None,
        }
    }
}

/// A mail Message-ID, `<left@right>` with its brackets (RFC 5322 3.6.4). One per delivery, kept across retries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageId(String);

/// Not a Message-ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a message id like <left@right>")]
pub struct BadMessageId;

impl MessageId {
    /// The Message-ID of a delivery sent from `domain`. Opaque: it says nothing about patient or order.
    #[must_use]
    pub fn of(delivery: DeliveryId, domain: &str) -> Self {
        Self(format!("<{}@{}>", delivery.0.as_simple(), domain.to_ascii_lowercase()))
    }

    /// With its brackets, as it stands in the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Without its brackets.
    #[must_use]
    pub fn bare(&self) -> &str {
        &self.0[1..self.0.len() - 1]
    }
}

impl FromStr for MessageId {
    type Err = BadMessageId;
    fn from_str(given: &str) -> Result<Self, BadMessageId> {
        let text = given.trim();
        let bare = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text);
        let plain = bare.is_ascii() && !bare.bytes().any(|b| b.is_ascii_control() || b" <>".contains(&b));
        let split =
            bare.split_once('@').is_some_and(|(left, right)| !left.is_empty() && !right.is_empty() && !right.contains('@'));
        if plain && split && bare.len() <= 250 { Ok(Self(format!("<{bare}>"))) } else { Err(BadMessageId) }
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

super::serde_as_text!(MessageId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_always_wears_its_brackets() {
        for text in ["<a@b>", "a@b", " <a@b> "] {
            assert_eq!(text.parse::<MessageId>().unwrap().as_str(), "<a@b>");
        }
        for text in ["", "<>", "<a>", "<a@>", "<a@b c>", "<a@b@c>", "<a@b>\r\nX: y"] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_sort_by_time_of_creation() {
        let (first, second) = (DeliveryId::new(), DeliveryId::new());
        assert!(first.to_string() < second.to_string());
    }
}
