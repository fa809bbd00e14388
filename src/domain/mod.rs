//! What things are: the types and pure rules every other room speaks in.
//!
//! No I/O, no async, no clock. *Parse, don't validate*: a [`DirectAddress`], [`Npi`], [`BirthDate`] or [`Money`] that
//! exists is valid, so nobody checks it again.

/// Direct addresses: `local@Health-Domain`.
pub mod address;
/// What people have to be told, and its life.
pub mod alert;
/// What goes on record about who did what.
pub mod audit;
/// What an organization has decided and seen about addresses.
pub mod choice;
/// The shapes of codes that others assign.
pub mod codes;
/// The three axes of a delivery and the one function that moves them.
pub mod delivery;
/// What the sources of the directory say, each and together.
pub mod directory;
/// How long a certificate that cannot be believed is looked at again.
pub mod doubt;
/// What happened, as it is told to programs.
pub mod event;
/// Every reason code: its class, what it means and what to do next.
pub mod failure;
/// Typed identifiers and whose rows a call may touch.
pub mod id;
/// Our own certificates and keys: what they are for, which signs, when to warn.
pub mod identity;
/// Mail that came for one of our addresses.
pub mod inbound;
/// How a result is enclosed in its message.
pub mod message;
/// Money in micro-units, and prices.
pub mod money;
/// Blocks of IP addresses.
pub mod network;
/// National Provider Identifiers.
pub mod npi;
/// Orders and patients, as the sender stated them.
pub mod order;
/// Organizations, sites, identities and their rules.
pub mod organization;
/// Which passwords are refused, and how long one waits after wrong ones.
pub mod password;
/// Months that are billed.
pub mod period;
/// People and programs: roles, rights and whose rows they see.
pub mod person;
/// Price lists: what a delivery and a period cost, and who pays.
pub mod prices;
/// With which algorithms a message is sealed.
pub mod profile;
/// Completed results.
pub mod report;
/// Payer rosters: who a member's primary care provider is.
pub mod roster;
/// Targets and the trace that explains them.
pub mod route;
/// What authorities publish about the certificates they issued.
pub mod statement;
/// How strictly certificates are judged.
pub mod strictness;
/// Text a field may carry.
pub mod text;
/// Instants, calendar dates and the clock that is handed in.
pub mod time;
/// How what comes back is waited for and asked for.
pub mod tracking;
/// Whom events are told to.
pub mod webhook;

pub use address::DirectAddress;
pub use delivery::Delivery;
pub use doubt::Doubt;
pub use failure::{Class, Reason};
pub use id::{DeliveryId, IdentityId, MessageId, OrderKey, OrgId, OrgScope, ResultId, SiteId};
pub use inbound::Inbound;
pub use money::{Currency, Money};
pub use network::Network;
pub use npi::Npi;
pub use order::{Order, Patient};
pub use period::Month;
pub use report::Report;
pub use time::{BirthDate, Clock, OffsetTime, Timestamp};

/// Implements the serde pair for a type that parses from and prints to a string.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use serde_as_text;

/// A closed set of words: an enum, its stable text, and both directions between them.
///
/// The text is what the database, the wire and the screens show; it never changes once released.
macro_rules! words {
    ($(#[$meta:meta])* $vis:vis enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        $vis enum $name { $($(#[$vmeta])* $variant),+ }

        impl $name {
            /// Every value, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable text of this value.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(self.as_str()) }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::domain::text::NotAWord;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::domain::text::NotAWord { given: text.to_owned(), expected: &[$($text),+] }),
                }
            }
        }

        $crate::domain::serde_as_text!($name);
    };
}
pub(crate) use words;
