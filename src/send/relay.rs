//! One relay: the HISP that takes our messages (`sta_relay`) or our users' messages (`edge`).

use std::{
    collections::HashMap,
    future::Future,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lettre::transport::smtp::extension::ClientId;
use secrecy::SecretString;
use tokio::{net::lookup_host, time::timeout};

use crate::{
    config::relay::{AuthSettings, BadRelay, RelaySettings, TlsMode},
    net::{
        breaker::Breaker,
        dns::DnsUnavailable,
        tls::{ClientFiles, ClientTls, TlsError},
    },
};

use super::{
    GoAhead, Job, Outcome,
    line::Line,
    open::{Credential, NoSession, Peer, Protection, Session},
};

/// Why a relay cannot be set up. A delivery never meets this.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The settings contradict themselves.
    #[error(transparent)]
    Settings(#[from] BadRelay),
    /// Certificates or keys cannot be used.
    #[error("relay {name}: TLS cannot be set up")]
    Tls {
        /// Which relay.
        name: String,
        /// Why.
        source: TlsError,
    },
    /// The password file cannot be read.
    #[error("relay {name}: could not read the password file {}", path.display())]
    Password {
        /// Which relay.
        name: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system's name servers cannot be used.
    #[error(transparent)]
    Dns(#[from] DnsUnavailable),
}

/// Who logs in.
#[derive(Debug, Clone, Copy)]
pub enum Login<'a> {
    /// We as a STA, with the relay's own `auth`, if it has one (`sta_relay`).
    Relay,
    /// The sender, by its mailbox password: the user is MAIL FROM (`edge`).
    Sender(&'a SecretString),
    /// The sender, known to the relay by our client certificate alone (`edge`).
    Certificate,
}

/// One relay with its connections, its pace and its breakers. Shared by all workers of the process.
pub struct Relay {
    settings: RelaySettings,
    tls: ClientTls,
    helo: ClientId,
    own: Option<(String, SecretString)>,
    line: Line,
    breaker: Breaker,
    /// A wrong password is its owner's trouble, not the relay's: each login has its own breaker.
    logins: Mutex<HashMap<String, Arc<Breaker>>>,
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

/// A login, by its user and a fingerprint of its password.
fn login_key(credential: &Credential<'_>) -> String {
    use secrecy::ExposeSecret as _;
    let print = crate::crypto::sha256(credential.password.expose_secret().as_bytes());
    format!("{} {}", credential.user.to_ascii_lowercase(), crate::crypto::Hex(&print[..8]))
}

impl Relay {
    /// Reads the files the settings name. Connects to nothing.
    pub fn new(settings: RelaySettings) -> Result<Self, SendError> {
        settings.check()?;
        let identity = settings.client_certificate_file.as_deref().zip(settings.client_key_file.as_deref());
        let tls = ClientTls::verified(ClientFiles { ca: settings.ca_file.as_deref(), identity })
            .map_err(|source| SendError::Tls { name: settings.name.clone(), source })?;
        let own = settings.auth.as_ref().map(|auth| credential_of(&settings.name, auth)).transpose()?;
        Ok(Self {
            tls,
            helo: client_id(settings.helo.as_deref()),
            own,
            line: Line::new(settings.max_connections, settings.per_minute, settings.idle.0),
            breaker: Breaker::new(settings.breaker_after, settings.breaker_pause.0),
            logins: Mutex::default(),
            settings,
        })
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// How many messages it carries at a time.
    #[must_use]
    pub const fn max_connections(&self) -> usize {
        self.settings.max_connections
    }

    /// How long the relay is left alone because it could not be reached; zero when it may be tried.
    #[must_use]
    pub fn closed_for(&self) -> Duration {
        self.breaker.closed_for()
    }

    /// Hands over one message. `on_wire` is asked once, after the recipient was accepted and before DATA; it makes the
    /// start durable. Dropping the future closes the connection; the outcome is unknown if `on_wire` had said go.
    pub async fn send<Asking>(&self, job: &Job<'_>, login: Login<'_>, on_wire: impl FnOnce() -> Asking) -> Outcome
    where
        Asking: Future<Output = GoAhead>,
    {
        let credential = match login {
            Login::Relay => self.own.as_ref().map(|(user, password)| Credential { user, password }),
            Login::Sender(password) => Some(Credential { user: job.mail_from.as_str(), password }),
            Login::Certificate => None,
        };
        // Two organizations may claim the same address: who shows another password gets another connection and breaker.
        let login_key = credential.as_ref().map(|credential| login_key(credential));
        let login_breaker = login_key.as_deref().map(|key| self.login_breaker(key));
        // Fail before queueing for a slot; the opening asks again.
        for breaker in login_breaker.as_deref().into_iter().chain([&self.breaker]) {
            let wait = breaker.closed_for();
            if !wait.is_zero() {
                return self.down("is left alone after failures", wait);
            }
        }
        let mode = if matches!(login, Login::Relay) { "relay" } else { "sender" };
        let key = format!("{mode} {} {}", job.mail_from.key(), login_key.as_deref().unwrap_or_default());
        let open = || self.open(credential.as_ref(), login_breaker.as_deref());
        self.line.carry(&key, job, open, on_wire).await
    }

    async fn open(&self, credential: Option<&Credential<'_>>, login: Option<&Breaker>) -> Result<Session, Outcome> {
        let waiting = |wait| self.down("is left alone after failures", wait);
        let login = login.map(Breaker::attempt).transpose().map_err(waiting)?;
        let attempt = self.breaker.attempt().map_err(waiting)?;
        let opened = async {
            let peer = Peer {
                host: &self.settings.host,
                protection: self.protection(),
                helo: &self.helo,
                timeouts: &self.settings.timeouts,
            };
            Session::open(peer, &self.addresses().await?, credential).await
        };
        match opened.await {
            Ok(session) => {
                attempt.succeeded();
                if let Some(login) = login {
                    login.succeeded();
                }
                Ok(session)
            }
            Err(NoSession::Unreachable(why) | NoSession::NoTls(why)) => Err(self.down(&why, attempt.failed())),
            Err(NoSession::Login(why)) => {
                attempt.succeeded();
                let wait = login.map_or(self.settings.breaker_pause.0, crate::net::breaker::Attempt::failed);
                Err(self.down(&why, wait))
            }
        }
    }

    fn protection(&self) -> Protection<'_> {
        match self.settings.tls {
            TlsMode::Starttls => Protection::Starttls(&self.tls),
            TlsMode::Implicit => Protection::Implicit(&self.tls),
            TlsMode::None => Protection::None,
        }
    }

    async fn addresses(&self) -> Result<Vec<SocketAddr>, NoSession> {
        let host = &self.settings.host;
        let unreachable = |why: &dyn std::fmt::Display| NoSession::Unreachable(format!("{host} cannot be looked up: {why}"));
        let found = match timeout(self.settings.timeouts.connect.0, lookup_host((host.as_str(), self.settings.port))).await {
            Err(_) => return Err(unreachable(&"no answer in time")),
            Ok(Err(error)) => return Err(unreachable(&error)),
            Ok(Ok(found)) => found,
        };
        // Whatever `localhost` means here, clear text stays on this machine.
        Ok(found.filter(|address| self.settings.tls != TlsMode::None || address.ip().is_loopback()).collect())
    }

    fn login_breaker(&self, key: &str) -> Arc<Breaker> {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Breaker::new(1, self.settings.breaker_pause.0));
        logins.entry(key.to_owned()).or_insert_with(new).clone()
    }

    fn down(&self, why: &str, retry_after: Duration) -> Outcome {
        Outcome::RelayDown { why: format!("relay {}: {why}", self.settings.name), retry_after }
    }
}

fn credential_of(name: &str, auth: &AuthSettings) -> Result<(String, SecretString), SendError> {
    let password = auth.password().map_err(|source| SendError::Password {
        name: name.to_owned(),
        path: auth.password_file.clone().unwrap_or_default(),
        source,
    })?;
    Ok((auth.user.clone(), password))
}

/// The name for EHLO: the configured one, else this machine's (RFC 5321 4.1.4).
pub(super) fn client_id(configured: Option<&str>) -> ClientId {
    configured.map_or_else(ClientId::default, |name| ClientId::Domain(name.to_owned()))
}
