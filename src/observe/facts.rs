//! What an event may say. Text does not implement [`Fact`], so that nothing about a patient can get into a log line by
//! mistake: ids, reasons, closed sets of words, counts and lengths of time do.

use std::time::Duration;

use tracing::{Value, field::DisplayValue};

use crate::domain::{
    Reason,
    alert::{AlertKind, Channel, Happened, Severity},
    choice::Decides,
    delivery::{Disposition, NoticeKind, State},
    id::{
        AlertId, BundleId, CertificateId, DeliveryId, IdentityId, InboundId, LedgerLineId, LetterId, NoticeId, OrderKey, OrgId,
        ParkedId, PersonId, ProcessId, ReplyId, ResultId, RosterId, SessionId, SiteId, SnapshotId, TokenId, WebhookId,
    },
    identity::Nearness,
    inbound::{NoticeVerdict, Verdict, Way},
    order::{Action, Priority},
    organization::{Mode, SendMode},
    person::{Right, Role},
    report::{ResultState, ResultStatus},
    statement::StatementKind,
    webhook::OffBecause,
    words,
};

/// Something a log line may carry.
pub trait Fact {
    /// The form it is logged in.
    type Shown<'a>: Value
    where
        Self: 'a;

    /// This fact, to be logged.
    fn shown(&self) -> Self::Shown<'_>;

    /// This fact, to be put on record; nothing when there is none.
    fn told(&self) -> String;
}

/// Whose chain of the audit trail an event belongs to.
pub trait OrgOf {
    /// The organization; none: the installation.
    fn org(&self) -> Option<OrgId>;
}

impl OrgOf for OrgId {
    fn org(&self) -> Option<OrgId> {
        Some(*self)
    }
}

impl OrgOf for Option<OrgId> {
    fn org(&self) -> Option<OrgId> {
        *self
    }
}

/// A word of a closed set: the only thing that may divide a metric, so that its series stay few.
pub trait Word: Fact {
    /// The stable text.
    fn word(&self) -> &'static str;
}

macro_rules! opaque {
    ($($id:ty),+ $(,)?) => {$(
        impl Fact for $id {
            type Shown<'a> = DisplayValue<&'a Self>;
            fn shown(&self) -> Self::Shown<'_> {
                tracing::field::display(self)
            }
            fn told(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

macro_rules! closed {
    ($($words:ty),+ $(,)?) => {$(
        impl Fact for $words {
            type Shown<'a> = &'static str;
            fn shown(&self) -> &'static str {
                self.as_str()
            }
            fn told(&self) -> String {
                self.as_str().to_owned()
            }
        }

        impl Word for $words {
            fn word(&self) -> &'static str {
                self.as_str()
            }
        }
    )+};
}

macro_rules! counted {
    ($($number:ty),+ $(,)?) => {$(
        impl Fact for $number {
            type Shown<'a> = Self;
            fn shown(&self) -> Self {
                *self
            }
            fn told(&self) -> String {
                self.to_string()
            }
        }
    )+};
}

opaque!(
    AlertId,
    OrgId,
    WebhookId,
    SiteId,
    OrderKey,
    ResultId,
    DeliveryId,
    IdentityId,
    CertificateId,
    BundleId,
    SnapshotId,
    LedgerLineId,
    RosterId,
    ParkedId,
    ProcessId,
    InboundId,
    NoticeId,
    LetterId,
    ReplyId,
    PersonId,
    SessionId,
    TokenId
);
closed!(
    AlertKind,
    Channel,
    Decides,
    Happened,
    Severity,
    Nearness,
    NoticeVerdict,
    Verdict,
    Way,
    Reason,
    State,
    Disposition,
    NoticeKind,
    Action,
    Priority,
    Mode,
    SendMode,
    ResultState,
    ResultStatus,
    StatementKind,
    OffBecause,
    Door,
    Lookup,
    Turned,
    Right,
    Role,
    Factor
);
counted!(u16, u32, u64, usize);

/// Milliseconds.
impl Fact for Duration {
    type Shown<'a> = u64;
    fn shown(&self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }
    fn told(&self) -> String {
        format!("{}ms", self.as_millis())
    }
}

impl<T: Fact> Fact for Option<T> {
    type Shown<'a>
        = Option<T::Shown<'a>>
    where
        T: 'a;
    fn shown(&self) -> Self::Shown<'_> {
        self.as_ref().map(Fact::shown)
    }
    fn told(&self) -> String {
        self.as_ref().map_or_else(String::new, Fact::told)
    }
}

words! {
    /// The way a result or an order came in.
    pub enum Door {
        /// The JSON API.
        Api = "api",
        /// A watched folder.
        Folder = "folder",
        /// A feed that is pulled.
        Feed = "feed",
    }
}

words! {
    /// Who was asked for certificates.
    pub enum Lookup {
        /// Name servers: for certificates, or for directories.
        Dns = "dns",
        /// A directory.
        Ldap = "ldap",
    }
}

/// The host of a URL that a certificate names: letters, digits, dots, dashes and a port, whatever somebody wrote there.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a>(&'a str);

impl<'a> Host<'a> {
    /// The host of `url`; nothing when it has none that looks like one.
    #[must_use]
    pub fn of(url: &'a str) -> Self {
        let after = url.split_once("://").map_or("", |(_, rest)| rest);
        let host = after.split(['/', '?', '#']).next().unwrap_or_default();
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        Self(if host.len() <= 255 && host.bytes().all(plain) { host } else { "" })
    }

    /// It as text.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl Fact for Host<'_> {
    type Shown<'a>
        = &'a str
    where
        Self: 'a;
    fn shown(&self) -> &str {
        self.0
    }
    fn told(&self) -> String {
        self.0.to_owned()
    }
}

words! {
    /// Why a message was not taken at our SMTP door.
    pub enum Turned {
        /// Too many connections.
        Crowded = "crowded",
        /// Too many messages a minute.
        Pace = "pace",
        /// No address of ours.
        Stranger = "stranger",
        /// Not under TLS, which is asked for.
        Clear = "clear",
        /// A wrong login.
        Login = "login",
        /// Larger than is allowed.
        TooLarge = "too_large",
        /// A CR or LF alone: two servers could disagree about where the message ends.
        BareLineEnd = "bare_line_end",
        /// It could not be stored: the sender keeps it.
        Store = "store",
    }
}

/// The name of something in the installation's configuration: a relay, a folder, a feed. Never anything that came in.
#[derive(Debug, Clone, Copy)]
pub struct Configured<'a>(pub &'a str);

impl Fact for Configured<'_> {
    type Shown<'a>
        = &'a str
    where
        Self: 'a;
    fn shown(&self) -> &str {
        self.0
    }
    fn told(&self) -> String {
        self.0.to_owned()
    }
}

words! {
    /// What somebody showed to be let in.
    pub enum Factor {
        /// A password.
        Password = "password",
        /// A password and a code.
        Code = "code",
        /// What an OpenID provider says.
        Provider = "provider",
    }
}

/// What an administrator called something: a person's login, a token, a command. Plain letters, digits and `@.-_: `; anything
/// else shows as a dot.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a>(pub &'a str);

impl Named<'_> {
    fn plain(&self) -> String {
        let plain = |c: char| if c.is_alphanumeric() || "@.-_: +".contains(c) { c } else { '.' };
        self.0.chars().map(plain).take(120).collect()
    }
}

impl Fact for Named<'_> {
    type Shown<'a>
        = String
    where
        Self: 'a;
    fn shown(&self) -> String {
        self.plain()
    }
    fn told(&self) -> String {
        self.plain()
    }
}

/// A digest in hexadecimal digits; anything else is nothing.
#[derive(Debug, Clone, Copy)]
pub struct Digest<'a>(&'a str);

impl<'a> Digest<'a> {
    /// The digits, when there is nothing else.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self(if text.bytes().all(|b| b.is_ascii_hexdigit()) { text } else { "" })
    }
}

impl Fact for Digest<'_> {
    type Shown<'a>
        = &'a str
    where
        Self: 'a;
    fn shown(&self) -> &str {
        self.0
    }
    fn told(&self) -> String {
        self.0.to_owned()
    }
}
