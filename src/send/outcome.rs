//! How a hand-over ended, and what that means for the delivery.

use std::time::Duration;

use crate::domain::{Class, Reason, delivery::Event};

use super::Reply;

/// How one attempt ended. `why` is a sentence for people, without patient data and without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// 250 after the final dot.
    Accepted {
        /// The answer, verbatim: evidence.
        reply: Reply,
        /// Host name of the server that gave it.
        server: String,
        /// TLS version of the connection; absent in the clear.
        tls: Option<&'static str>,
    },
    /// The server said "later", or the connection broke before DATA. Nothing was taken.
    Deferred {
        /// The answer, when there was one.
        reply: Option<Reply>,
        /// What happened.
        why: String,
    },
    /// The server said "never", or its declared limits do. Nothing was taken.
    Refused {
        /// `rejected_5xx` or `too_large`.
        reason: Reason,
        /// The answer, when there was one.
        reply: Option<Reply>,
        /// What happened.
        why: String,
    },
    /// DATA was begun and no complete answer came back: the server may have the message.
    Lost {
        /// What happened.
        why: String,
    },
    /// The go-ahead was withheld: nothing was sent.
    NotSent,
    /// The relay itself cannot be used now. Costs the delivery nothing.
    RelayDown {
        /// What happened.
        why: String,
        /// When to ask again at the earliest.
        retry_after: Duration,
    },
}

impl Outcome {
    /// What this is to the delivery's state machine.
    #[must_use]
    pub const fn event(&self) -> Event {
        match self {
            Self::Accepted { .. } => Event::Accepted,
            Self::Deferred { .. } => Event::Deferred,
            Self::Refused { reason, .. } => Event::Refused(*reason),
            Self::Lost { .. } => Event::Lost,
            Self::NotSent | Self::RelayDown { .. } => Event::Released,
        }
    }

    /// Whether trying again is safe; `None` for what went well.
    #[must_use]
    pub const fn class(&self) -> Option<Class> {
        match self {
            Self::Accepted { .. } => None,
            Self::Deferred { .. } | Self::NotSent | Self::RelayDown { .. } => Some(Class::Retry),
            Self::Refused { .. } => Some(Class::Permanent),
            Self::Lost { .. } => Some(Class::Unknown),
        }
    }

    /// The reason to show beside the delivery.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            Self::Lost { .. } => Some(Reason::UnconfirmedSend),
            Self::RelayDown { .. } => Some(Reason::RelayDown),
            Self::Accepted { .. } | Self::Deferred { .. } | Self::NotSent => None,
        }
    }

    /// The server's answer, when there was one.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match self {
            Self::Accepted { reply, .. } => Some(reply),
            Self::Deferred { reply, .. } | Self::Refused { reply, .. } => reply.as_ref(),
            Self::Lost { .. } | Self::NotSent | Self::RelayDown { .. } => None,
        }
    }

    /// What happened, in words; empty for what went well.
    #[must_use]
    pub fn why(&self) -> &str {
        match self {
            Self::Accepted { .. } => "",
            Self::NotSent => "withdrawn before it was sent",
            Self::Deferred { why, .. } | Self::Refused { why, .. } | Self::Lost { why } | Self::RelayDown { why, .. } => why,
        }
    }

    /// A complete answer that is not the one hoped for, before the message or after it.
    pub(super) fn from_answer(step: &str, reply: Reply, to_mail: bool) -> Self {
        let why = format!("the server answered {step} with: {reply}");
        if reply.is_permanent() {
            let reason = if reply.is_about_size(to_mail) { Reason::TooLarge } else { Reason::Rejected5xx };
            Self::Refused { reason, reply: Some(reply), why }
        } else {
            Self::Deferred { reply: Some(reply), why }
        }
    }
}
