//! Where messages are handed over: `[[relay]]` and `[mx]`.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::imap::ImapSettings;
use crate::domain::{Network, time::Span, words};

/// What the sample file says about relays.
pub(super) const SAMPLE: &str = "\
# Relays: HISPs that take our messages. Identities name one of them.
#   [[relay]]
#   name = \"hisp-a\"
#   host = \"smtp.hisp.example\"
#   port = 587
# starttls (required, never skipped), implicit, or none, which only a relay on this machine may have.
#   tls = \"starttls\"
# Authorities the server's certificate is checked against; the system's own without it.
#   ca_file = \"certs/hisp-a-ca.pem\"
# The login we use as a relaying STA. Identities in edge mode have their own.
#   auth = { user = \"gateway\", password_file = \"keys/hisp-a.password\" }
#   max_connections = 4
# Messages a minute at most; 0 sets no limit.
#   per_minute = 0
# Its mailboxes, to be looked into for notices and replies; each identity in edge mode with its own password.
#   imap = { host = \"imap.hisp.example\" }
# Where it delivers mail to us from, and the login it uses then: its bounces count for what it holds.
#   inbound_from = [\"192.0.2.0/28\"]
#   inbound_auth = { user = \"hisp-a\", password_file = \"keys/hisp-a.inbound\" }

# Direct delivery to mail exchangers (send mode sta_mx). Everybody's port is 25; only a laboratory has another.
#   [mx]
#   port = 25
#   max_connections = 4
";

words! {
    /// How a connection to a relay is protected.
    pub enum TlsMode {
        /// Plain greeting, then STARTTLS; without it nothing is sent.
        Starttls = "starttls",
        /// TLS from the first byte.
        Implicit = "implicit",
        /// No TLS: only for a relay on this machine.
        None = "none",
    }
}

/// One HISP that takes our messages, as `[[relay]]`. Identities name it by `relay = "NAME"`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySettings {
    /// Name by which identities refer to it.
    pub name: String,
    /// Host name. The server's certificate must be for this name.
    pub host: String,
    /// Port; 587 is usual with `starttls`, 465 with `implicit`.
    #[serde(default = "submission")]
    pub port: u16,
    /// `starttls` (required, never skipped), `implicit`, or `none`, which only a relay on this machine may have.
    #[serde(default = "starttls")]
    pub tls: TlsMode,
    /// PEM file of the authorities the server's certificate is checked against; the system's own when absent.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The login we use as a relaying STA. Identities in edge mode have their own.
    #[serde(default)]
    pub auth: Option<AuthSettings>,
    /// PEM certificate (with its chain) we show to the server, for relays that know us by certificate.
    #[serde(default)]
    pub client_certificate_file: Option<PathBuf>,
    /// PEM private key that belongs to it.
    #[serde(default)]
    pub client_key_file: Option<PathBuf>,
    /// The name we give in EHLO; this machine's host name when absent.
    #[serde(default)]
    pub helo: Option<String>,
    /// Connections open at the same time, idle ones included.
    #[serde(default = "four")]
    pub max_connections: usize,
    /// Messages a minute at most, spread evenly; 0 sets no limit.
    #[serde(default)]
    pub per_minute: u32,
    /// How long a finished connection is kept for the next message.
    #[serde(default = "half_a_minute")]
    pub idle: Span,
    /// After how many failures in a row to reach the relay it is left alone for a while.
    #[serde(default = "five")]
    pub breaker_after: u32,
    /// How long it is left alone the first time; doubled up to sixteen times that while it stays away.
    #[serde(default = "half_a_minute")]
    pub breaker_pause: Span,
    /// How long each step of the conversation may take.
    #[serde(default)]
    pub timeouts: TimeoutSettings,
    /// Where it delivers mail to us from, as addresses or networks like `192.0.2.0/28`. A bounce in clear text that comes
    /// from there counts for the deliveries that this relay holds.
    #[serde(default)]
    pub inbound_from: Vec<Network>,
    /// The login it uses when it delivers mail to us: proof of the same, from wherever it comes.
    #[serde(default)]
    pub inbound_auth: Option<AuthSettings>,
    /// Its mailboxes, to be looked into for notices and replies.
    #[serde(default)]
    pub imap: Option<ImapSettings>,
}

/// A login at a relay, as `auth` of a `[[relay]]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AuthSettings {
    /// User name.
    pub user: String,
    /// Password. Better kept in a file: see `password_file`.
    #[serde(default, skip_serializing)]
    pub password: Option<SecretString>,
    /// File whose first line is the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

impl AuthSettings {
    /// The password, from where it is kept.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn password(&self) -> std::io::Result<SecretString> {
        match (&self.password, &self.password_file) {
            (Some(password), _) => Ok(password.clone()),
            (None, Some(path)) => {
                let text = zeroize::Zeroizing::new(std::fs::read_to_string(path)?);
                Ok(SecretString::from(text.lines().next().unwrap_or_default()))
            }
            // The settings were checked.
            (None, None) => Err(std::io::ErrorKind::NotFound.into()),
        }
    }
}

/// Delivery straight to the recipient domain's mail exchanger (send mode `sta_mx`), as `[mx]`.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MxSettings {
    /// Port of the mail exchangers. Everybody's is 25; only a laboratory has another.
    pub port: u16,
    /// The name we give in EHLO; this machine's host name when absent.
    pub helo: Option<String>,
    /// Connections to one mail exchanger open at the same time.
    pub max_connections: usize,
    /// Messages a minute to one mail exchanger; 0 sets no limit.
    pub per_minute: u32,
    /// How long a finished connection is kept for the next message.
    pub idle: Span,
    /// Whether mail exchangers on private addresses are used. A stranger's DNS must not lead us into our own network, so
    /// only a laboratory says yes.
    pub private_addresses: bool,
    /// How long each step of the conversation may take.
    pub timeouts: TimeoutSettings,
}

impl Default for MxSettings {
    fn default() -> Self {
        Self {
            port: 25,
            helo: None,
            max_connections: four(),
            per_minute: 0,
            idle: half_a_minute(),
            private_addresses: false,
            timeouts: TimeoutSettings::default(),
        }
    }
}

/// How long each step of an SMTP conversation may take. The defaults are those of RFC 5321 4.5.3.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TimeoutSettings {
    /// Opening the TCP connection, each address.
    pub connect: Span,
    /// The server's first line.
    pub greeting: Span,
    /// The answer to EHLO.
    pub ehlo: Span,
    /// STARTTLS and the TLS handshake.
    pub tls: Span,
    /// Each answer while logging in.
    pub auth: Span,
    /// The answer to MAIL.
    pub mail: Span,
    /// The answer to RCPT.
    pub rcpt: Span,
    /// The answer to DATA.
    pub data: Span,
    /// Each 64 KiB of the message.
    pub block: Span,
    /// The whole message.
    pub body: Span,
    /// The answer after the final dot. Short ones make duplicates: the server may be storing the message.
    pub reply: Span,
}

impl Default for TimeoutSettings {
    fn default() -> Self {
        let minutes = |n: u64| Span::seconds(60 * n);
        Self {
            connect: Span::seconds(30),
            greeting: minutes(5),
            ehlo: minutes(5),
            tls: minutes(1),
            auth: minutes(2),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            body: minutes(30),
            reply: minutes(10),
        }
    }
}

/// What is wrong with a relay's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRelay {
    /// Mail and passwords would cross a network in the clear.
    #[error("relay {0}: tls = \"none\" is only for a relay on this machine (localhost, 127.0.0.1, ::1)")]
    ClearText(String),
    /// A password would cross in the clear.
    #[error("relay {0}: a login needs TLS; set tls to \"starttls\" or \"implicit\"")]
    ClearAuth(String),
    /// Half a client certificate.
    #[error("relay {0}: client_certificate_file and client_key_file go together")]
    HalfCertificate(String),
    /// None or two passwords.
    #[error("relay {0}: auth needs either password or password_file")]
    Password(String),
    /// The mailbox's password and mail would cross a network in the clear.
    #[error("relay {0}: imap.tls = \"none\" is only for a server on this machine (localhost, 127.0.0.1, ::1)")]
    ClearMailbox(String),
    /// A mailbox that cannot be looked into.
    #[error("relay {0}: imap.poll must be longer than nothing, imap.folder not empty, imap.message_bytes at least 100000")]
    Mailbox(String),
    /// A limit that allows nothing.
    #[error("relay {0}: max_connections and breaker_after must be at least 1")]
    Limits(String),
}

impl RelaySettings {
    /// Makes paths that are not absolute count from `folder`, where the configuration file is.
    pub(super) fn paths_from(&mut self, folder: &Path) {
        let imap = self.imap.as_mut().and_then(|imap| imap.auth.as_mut());
        let logins = [self.auth.as_mut(), self.inbound_auth.as_mut(), imap];
        let auth = logins.into_iter().flatten().map(|auth| &mut auth.password_file);
        for file in [&mut self.ca_file, &mut self.client_certificate_file, &mut self.client_key_file].into_iter().chain(auth) {
            *file = file.take().map(|path| folder.join(path));
        }
    }

    /// Checks what the types cannot say.
    pub fn check(&self) -> Result<(), BadRelay> {
        let name = || self.name.clone();
        if self.tls == TlsMode::None && !is_this_machine(&self.host) {
            return Err(BadRelay::ClearText(name()));
        }
        if self.tls == TlsMode::None && self.auth.is_some() {
            return Err(BadRelay::ClearAuth(name()));
        }
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            return Err(BadRelay::HalfCertificate(name()));
        }
        let imap = self.imap.as_ref();
        let logins = [self.auth.as_ref(), self.inbound_auth.as_ref(), imap.and_then(|imap| imap.auth.as_ref())];
        if logins.into_iter().flatten().any(|auth| auth.password.is_some() == auth.password_file.is_some()) {
            return Err(BadRelay::Password(name()));
        }
        if imap.is_some_and(|imap| imap.tls == TlsMode::None && !is_this_machine(&imap.host)) {
            return Err(BadRelay::ClearMailbox(name()));
        }
        if imap.is_some_and(|imap| imap.poll.0.is_zero() || imap.folder.is_empty() || imap.message_bytes < 100_000) {
            return Err(BadRelay::Mailbox(name()));
        }
        if self.max_connections == 0 || self.breaker_after == 0 {
            return Err(BadRelay::Limits(name()));
        }
        Ok(())
    }
}

fn is_this_machine(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

const fn submission() -> u16 {
    587
}

const fn starttls() -> TlsMode {
    TlsMode::Starttls
}

const fn four() -> usize {
    4
}

const fn five() -> u32 {
    5
}

const fn half_a_minute() -> Span {
    Span::seconds(30)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(text: &str) -> RelaySettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn three_lines_are_enough_and_protect_the_connection() {
        let relay = relay("name = \"hisp-a\"\nhost = \"smtp.hisp.example\"\nauth = { user = \"u\", password_file = \"p\" }");
        assert_eq!((relay.port, relay.tls, relay.check()), (587, TlsMode::Starttls, Ok(())));
        assert_eq!(relay.timeouts.reply, Span::seconds(600));
    }

    #[test]
    fn clear_text_is_only_for_this_machine_and_never_for_passwords() {
        let away = relay("name = \"a\"\nhost = \"hisp.example\"\ntls = \"none\"");
        assert_eq!(away.check(), Err(BadRelay::ClearText("a".into())));
        let here = relay("name = \"a\"\nhost = \"127.0.0.1\"\ntls = \"none\"");
        assert_eq!(here.check(), Ok(()));
        let login = relay("name = \"a\"\nhost = \"localhost\"\ntls = \"none\"\nauth = { user = \"u\", password = \"p\" }");
        assert_eq!(login.check(), Err(BadRelay::ClearAuth("a".into())));
    }

    #[test]
    fn a_typo_is_an_error_and_a_password_is_never_printed() {
        assert!(toml::from_str::<RelaySettings>("name = \"a\"\nhost = \"h.example\"\nprot = 25").is_err());
        let relay = relay("name = \"a\"\nhost = \"h.example\"\nauth = { user = \"u\", password = \"hunter2\" }");
        assert!(!format!("{relay:?}").contains("hunter2"));
        let both = "name = \"a\"\nhost = \"h.example\"\nauth = { user = \"u\", password = \"p\", password_file = \"f\" }";
        assert_eq!(toml::from_str::<RelaySettings>(both).unwrap().check(), Err(BadRelay::Password("a".into())));
    }
}
