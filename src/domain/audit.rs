//! What goes on record about who did what: never anything about a patient.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    OrgId,
    id::{PersonId, TokenId},
    words,
};

words! {
    /// Who did something.
    pub enum ActorKind {
        /// Somebody signed in.
        Person = "person",
        /// A program with an API token.
        Token = "token",
        /// Somebody with a shell on the machine.
        Shell = "shell",
        /// The gateway by itself.
        Gateway = "gateway",
        /// Somebody nobody knows.
        Stranger = "stranger",
    }
}

words! {
    /// How it ended.
    pub enum Outcome {
        /// It was done.
        Done = "done",
        /// It was not allowed.
        Refused = "refused",
    }
}

/// Who does something, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// What kind of somebody.
    pub kind: ActorKind,
    /// The id of the person or token; the number of the user of the machine.
    pub id: String,
    /// What they are called, at that time.
    pub name: String,
    /// Where from.
    pub address: Option<IpAddr>,
    /// The request, as the log names it.
    pub request: Option<String>,
}

impl Actor {
    const fn new(kind: ActorKind, id: String, name: String) -> Self {
        Self { kind, id, name, address: None, request: None }
    }

    /// Somebody signed in.
    #[must_use]
    pub fn person(id: PersonId, login: &str) -> Self {
        Self::new(ActorKind::Person, id.to_string(), login.to_owned())
    }

    /// A program.
    #[must_use]
    pub fn token(id: TokenId, name: &str) -> Self {
        Self::new(ActorKind::Token, id.to_string(), name.to_owned())
    }

    /// A user of this machine.
    #[must_use]
    pub fn shell(uid: u32, name: &str) -> Self {
        Self::new(ActorKind::Shell, uid.to_string(), name.to_owned())
    }

    /// The gateway by itself.
    #[must_use]
    pub const fn gateway() -> Self {
        Self::new(ActorKind::Gateway, String::new(), String::new())
    }

    /// Nobody we know.
    #[must_use]
    pub const fn stranger() -> Self {
        Self::new(ActorKind::Stranger, String::new(), String::new())
    }

    /// The same, from there, in this request.
    #[must_use]
    pub fn from(self, address: Option<IpAddr>, request: Option<String>) -> Self {
        Self { address, request, ..self }
    }
}

/// What is written about one thing that somebody did. Made by an event, so that log, metric and record agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// In whose chain: an organization's, or the installation's.
    pub org: Option<OrgId>,
    /// What was done: the event's name.
    pub action: &'static str,
    /// To what: its kind and its id.
    pub object: Option<(&'static str, String)>,
    /// How it ended.
    pub outcome: Outcome,
    /// Everything the event says.
    pub facts: BTreeMap<&'static str, String>,
}

/// Something that happened and goes on record.
pub trait Audited: Send + Sync {
    /// What is written.
    fn entry(&self) -> Entry;

    /// Logs it and counts it: once it is on record.
    fn announce(&self);
}

/// Who does something and what it is: handed to whatever changes something, which puts it on record with the change.
#[derive(Clone, Copy)]
pub struct Witness<'a> {
    /// Who.
    pub actor: &'a Actor,
    /// What.
    pub event: &'a dyn Audited,
}

impl<'a> Witness<'a> {
    /// `actor` does what `event` says.
    #[must_use]
    pub const fn new(actor: &'a Actor, event: &'a dyn Audited) -> Self {
        Self { actor, event }
    }
}
