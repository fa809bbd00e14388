//! Delivery to the recipient domain's mail exchanger, as one STA to another (`sta_mx`).

use std::{
    collections::HashMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use lettre::transport::smtp::extension::ClientId;

use crate::{
    config::relay::MxSettings,
    domain::Reason,
    net::{
        address::is_public,
        dns::{MailHosts, Resolve},
        tls::ClientTls,
    },
};

use super::{
    GoAhead, Job, Outcome, SendError,
    line::Line,
    open::{NoSession, Peer, Protection, Session},
    relay::client_id,
};

/// Mail exchangers of one domain that are tried.
const MOST_HOSTS: usize = 8;
/// Servers remembered before idle ones are forgotten.
const MOST_LINES: usize = 512;

/// Delivers straight to mail exchangers. Shared by all workers of the process.
pub struct Mx {
    settings: MxSettings,
    resolver: Arc<dyn Resolve>,
    tls: ClientTls,
    helo: ClientId,
    lines: Mutex<HashMap<String, Arc<Line>>>,
}

impl std::fmt::Debug for Mx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mx").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Mx {
    /// Sets up; connects to nothing.
    pub fn new(settings: MxSettings, resolver: Arc<dyn Resolve>) -> Result<Self, SendError> {
        let tls = ClientTls::opportunistic().map_err(|source| SendError::Tls { name: "mx".to_owned(), source })?;
        Ok(Self { helo: client_id(settings.helo.as_deref()), tls, resolver, lines: Mutex::default(), settings })
    }

    /// Delivers one message; `on_wire` as in [`Relay::send`](super::Relay::send). A domain that cannot be reached defers
    /// the delivery: there is no relay whose breaker could open.
    pub async fn send<Asking>(&self, job: &Job<'_>, on_wire: impl FnOnce() -> Asking) -> Outcome
    where
        Asking: Future<Output = GoAhead>,
    {
        let domain = job.rcpt.domain();
        let hosts = match self.resolver.mail_hosts(domain).await {
            Ok(MailHosts::Hosts(hosts)) => hosts,
            Ok(MailHosts::NoMail) => {
                // RFC 7505 3: a null MX is a refusal.
                let why = format!("{domain} says in DNS that it takes no mail (null MX)");
                return Outcome::Refused { reason: Reason::Rejected5xx, reply: None, why };
            }
            Ok(MailHosts::NoSuchDomain) => return deferred(format!("{domain} has no mail exchanger and no address in DNS")),
            Err(error) => return deferred(error.to_string()),
        };
        let mut on_wire = Some(on_wire);
        let mut last = deferred(format!("{domain} names no mail exchanger"));
        for host in hosts.iter().take(MOST_HOSTS) {
            // The hook is used up only by a server that took the recipient, and then there is no next host.
            let ask = async || match on_wire.take() {
                Some(ask) => ask().await,
                None => GoAhead::Stop,
            };
            let line = self.line(host);
            let outcome = line.carry("", job, || self.open(host), ask).await;
            match outcome {
                Outcome::RelayDown { why, .. } => last = deferred(why),
                // RFC 5321 5.1: "later" from one server is no answer of the next, as long as none has been given the message.
                later @ Outcome::Deferred { .. } if on_wire.is_some() => last = later,
                outcome => return outcome,
            }
        }
        last
    }

    async fn open(&self, host: &str) -> Result<Session, Outcome> {
        let addresses = self.resolver.addresses(host, self.settings.port).await;
        let mut addresses = addresses.map_err(|error| next_host(error.to_string()))?;
        if !self.settings.private_addresses {
            addresses.retain(|address| is_public(address.ip()));
        }
        let peer =
            Peer { host, protection: Protection::Opportunistic(&self.tls), helo: &self.helo, timeouts: &self.settings.timeouts };
        Session::open(peer, &addresses, None).await.map_err(|error| match error {
            NoSession::Unreachable(why) | NoSession::NoTls(why) | NoSession::Login(why) => next_host(why),
        })
    }

    fn line(&self, host: &str) -> Arc<Line> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MOST_LINES {
            lines.retain(|_, line| Arc::strong_count(line) > 1 || !line.is_empty());
        }
        let new = || Arc::new(Line::new(self.settings.max_connections, self.settings.per_minute, self.settings.idle.0));
        lines.entry(host.to_ascii_lowercase()).or_insert_with(new).clone()
    }
}

const fn deferred(why: String) -> Outcome {
    Outcome::Deferred { reply: None, why }
}

/// This host cannot be used; the next one may.
const fn next_host(why: String) -> Outcome {
    Outcome::RelayDown { why, retry_after: std::time::Duration::ZERO }
}
