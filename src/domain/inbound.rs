//! Mail that came for one of our addresses, as it came: kept before it is acknowledged, looked at afterwards.

use super::{
    DirectAddress, OrgId, Timestamp,
    id::{IdentityId, InboundId},
    words,
};

/// One message that came for one of our addresses. Nothing in it is believed yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Inbound {
    /// Which.
    pub id: InboundId,
    /// Whose address it came for; `None` when it matched no organization.
    pub org: Option<OrgId>,
    /// The address of ours it came for: the RCPT TO, or the owner of the mailbox.
    pub identity: DirectAddress,
    /// The door it came through.
    pub way: Way,
    /// What that door knows about who brought it.
    pub channel: Channel,
    /// MAIL FROM (by IMAP: Return-Path); `None` is the null reverse path, or that nobody said.
    pub envelope_from: Option<DirectAddress>,
    /// Every RCPT TO of the transaction.
    pub envelope_to: Vec<DirectAddress>,
    /// When the door had all of it.
    pub received_at: Timestamp,
    /// The message, octet by octet.
    pub raw: Vec<u8>,
}

/// Its content stays out of logs.
impl std::fmt::Debug for Inbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inbound").field("id", &self.id).field("way", &self.way).finish_non_exhaustive()
    }
}

words! {
    /// The door a message came through.
    pub enum Way {
        /// Handed to our own SMTP listener.
        Smtp = "smtp",
        /// Fetched from a mailbox at the HISP.
        Imap = "imap",
    }
}

/// What authenticated the door: proof of who brought the message, never of who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// The link of this `[[relay]]`: it logged in, or showed its certificate, or it came from its agreed addresses.
    Relay(String),
    /// The mailbox of this identity, into which we logged in.
    Mailbox(IdentityId),
    /// Nothing: anybody could have brought it.
    None,
}

words! {
    /// Where a kept message stands.
    pub enum InboundState {
        /// Durable, not looked at yet.
        Received = "received",
        /// Looked at; the verdict says what came of it.
        Settled = "settled",
        /// It could not be looked at, however often it was tried: a person has to.
        Failed = "failed",
    }
}

words! {
    /// What came of a message.
    pub enum Verdict {
        /// A notice about something we sent.
        Notice = "notice",
        /// A message for people: it is in the inbox.
        Letter = "letter",
        /// A copy of what we sent ourselves.
        OwnCopy = "own_copy",
        /// The same message had come before.
        Duplicate = "duplicate",
        /// Not opened, not trusted, or not from where it must come: nothing was done, and nobody was told.
        Rejected = "rejected",
        /// No organization has the address.
        Nobody = "nobody",
        /// It could not be looked at.
        Failed = "failed",
    }
}

words! {
    /// What became of one statement of a notice.
    pub enum NoticeVerdict {
        /// It moved the delivery.
        Applied = "applied",
        /// It came before the answer to DATA, and is kept for that moment.
        Early = "early",
        /// The delivery had ended already.
        Late = "late",
        /// The same had been said before.
        Duplicate = "duplicate",
        /// It names no message of ours.
        Unknown = "unknown",
        /// It names a message of ours and does not come from where it must.
        NotBelieved = "not_believed",
        /// Neither good nor bad news.
        Information = "information",
        /// It is about a message that, as far as we know, never left.
        Unexpected = "unexpected",
    }
}
