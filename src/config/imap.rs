//! `imap` of a `[[relay]]`: the HISP's mailboxes.

use serde::{Deserialize, Serialize};

use super::relay::{AuthSettings, TlsMode};
use crate::domain::{time::Span, words};

words! {
    /// What becomes of a message in the HISP's mailbox once we hold it.
    pub enum AfterFetch {
        /// It is deleted: no patient data stays there.
        Delete = "delete",
        /// It stays, marked as seen.
        Keep = "keep",
    }
}

/// How the mailboxes of a HISP are looked into, as `imap` of a `[[relay]]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImapSettings {
    /// Host name; the server's certificate must be for this name.
    pub host: String,
    /// Port: 993 with `implicit`, 143 with `starttls`.
    #[serde(default = "imaps")]
    pub port: u16,
    /// `implicit`, `starttls` (required, never skipped), or `none`, which only a server on this machine may have.
    #[serde(default = "implicit")]
    pub tls: TlsMode,
    /// The login of one mailbox that gets the mail of all our addresses. Without it each identity in edge mode that uses
    /// this relay logs in as itself, with its own password.
    #[serde(default)]
    pub auth: Option<AuthSettings>,
    /// The folder to look into.
    #[serde(default = "inbox")]
    pub folder: String,
    /// How often, when the server does not tell by itself (IDLE).
    #[serde(default = "one_minute")]
    pub poll: Span,
    /// What becomes of a message there once it is on our disk: `delete` or `keep` (marked as seen).
    #[serde(default = "delete")]
    pub after: AfterFetch,
    /// Most octets of a message that is fetched; a larger one is left there and reported.
    #[serde(default = "largest_fetched")]
    pub message_bytes: u32,
}

const fn imaps() -> u16 {
    993
}

const fn implicit() -> TlsMode {
    TlsMode::Implicit
}

fn inbox() -> String {
    "INBOX".to_owned()
}

const fn one_minute() -> Span {
    Span::seconds(60)
}

const fn delete() -> AfterFetch {
    AfterFetch::Delete
}

const fn largest_fetched() -> u32 {
    25_000_000
}
