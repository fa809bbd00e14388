//! One mailbox, watched.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mail_parser::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    ImapError, Server,
    session::{Open, There},
};
use crate::{
    config::imap::AfterFetch,
    crypto::draw,
    domain::{
        DirectAddress,
        alert::AlertKind,
        inbound::{Channel, Way},
    },
    net::backoff::Backoff,
    observe::{
        chain,
        events::{MailTooLarge, MailboxAvailable, MailboxUnavailable},
        facts::Configured,
        failpoint,
        health::Health,
    },
    store::lease::Lease,
    track::{
        arrivals::{Arrival, Arrivals, Mailbox},
        parsed,
    },
};

/// A connection that says nothing is looked through at least this often: it may be dead.
const TRUSTED_SILENCE: Duration = Duration::from_mins(5);
/// Longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// What looks after one mailbox.
pub(super) struct Watch {
    server: Arc<Server>,
    arrivals: Arrivals,
    mailbox: Mailbox,
    lease: Lease,
    /// Its name among the periodic tasks, and that of its cursor.
    task: String,
    failing: AtomicBool,
    health: Health,
    /// Somebody waits for a look.
    wanted: Arc<Notify>,
    /// Messages that were reported as too large.
    reported: Mutex<BTreeSet<u32>>,
}

impl Watch {
    pub(super) fn new(server: Arc<Server>, arrivals: Arrivals, mailbox: Mailbox, lease: Lease, wanted: Arc<Notify>) -> Self {
        let task = task(&server.relay, &mailbox);
        let (failing, health, reported) = (AtomicBool::new(false), Health::default(), Mutex::default());
        Self { server, arrivals, mailbox, lease, task, failing, health, wanted, reported }
    }

    /// The same, which says in `health` when the mailbox is out of reach.
    pub(super) fn telling(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// Watches until `stop`. One process at a time does; the others ask now and then whether it still does.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(Duration::from_secs(5), LONGEST_WAIT);
        while !stop.is_cancelled() {
            let wait = match self.arrivals.store().take_task(&self.task, &self.lease).await {
                Ok(false) => {
                    // Another process tells how it is.
                    self.health.well(AlertKind::MailboxUnreachable, &self.server.relay, &self.mailbox.key());
                    self.lease.length
                }
                Ok(true) => {
                    let watched = tokio::select! {
                        watched = self.watch(&mut backoff) => watched,
                        () = keep(&self.arrivals, &self.task, &self.lease) => Ok(()),
                        () = stop.cancelled() => break,
                    };
                    watched.err().map_or(Duration::ZERO, |error| self.failed(&error, &mut backoff))
                }
                Err(error) => self.failed(&error.into(), &mut backoff),
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = sleep(wait) => {}
            }
        }
        self.health.well(AlertKind::MailboxUnreachable, &self.server.relay, &self.mailbox.key());
        if let Err(error) = self.arrivals.store().give_back_task(&self.task, &self.lease).await {
            tracing::debug!(%error, "the mailbox's lease runs out by itself");
        }
    }

    fn failed(&self, error: &ImapError, backoff: &mut Backoff) -> Duration {
        let wait = backoff.next(draw());
        // Told once, not with every attempt.
        if !self.failing.swap(true, Ordering::Relaxed) {
            MailboxUnavailable { relay: Configured(&self.server.relay), wait }.emit();
        }
        self.health.trouble(AlertKind::MailboxUnreachable, &self.server.relay, &self.mailbox.key(), &error.to_string());
        tracing::warn!(relay = self.server.relay, error = chain(error), "a mailbox is tried again later");
        wait
    }

    async fn watch(&self, backoff: &mut Backoff) -> Result<(), ImapError> {
        let (user, password) = self.login().await?;
        let mut open = Open::new(&self.server, &user, password.expose_secret()).await?;
        self.health.well(AlertKind::MailboxUnreachable, &self.server.relay, &self.mailbox.key());
        if self.failing.swap(false, Ordering::Relaxed) {
            MailboxAvailable { relay: Configured(&self.server.relay) }.emit();
        }
        backoff.reset();
        loop {
            let began = self.arrivals.store().now().await?;
            self.catch_up(&mut open).await?;
            self.arrivals.store().looked_into(&self.task, began).await?;
            if open.idle {
                open = open.wait(TRUSTED_SILENCE, self.wanted.notified()).await?;
            } else {
                let _ = timeout(self.server.settings.poll.0, self.wanted.notified()).await;
                open.check().await?;
            }
        }
    }

    /// As whom we log in: the shared mailbox's user, or the identity itself.
    async fn login(&self) -> Result<(String, SecretString), ImapError> {
        match (&self.mailbox, &self.server.shared) {
            (Mailbox::Own(owners), _) => {
                for owner in owners {
                    let password = match owner.org {
                        Some(org) => {
                            let secret = self.arrivals.store().identity_secret(org, owner.identity).await?;
                            secret.map(|secret| String::from_utf8_lossy(&secret).trim_end().to_owned().into())
                        }
                        None => self.arrivals.own_password(owner.identity),
                    };
                    if let Some(password) = password {
                        return Ok((owner.address.to_string(), password));
                    }
                }
                Err(ImapError::NoPassword)
            }
            (Mailbox::Shared(_), Some((_, user, password))) => Ok((user.clone(), password.clone())),
            (Mailbox::Shared(_), None) => Err(ImapError::NoPassword),
        }
    }

    /// Takes everything that is new.
    async fn catch_up(&self, open: &mut Open) -> Result<(), ImapError> {
        let after = self.server.settings.after;
        let seen = if after == AfterFetch::Keep { self.seen(open.validity).await? } else { 0 };
        let query = match after {
            AfterFetch::Delete => "UNDELETED".to_owned(),
            AfterFetch::Keep => format!("UNDELETED UID {}:*", seen.saturating_add(1)),
        };
        // `N:*` names the last message even when its UID is below N (RFC 3501 6.4.8).
        for message in open.find(&query).await?.into_iter().filter(|message| message.uid > seen) {
            self.take(open, message).await?;
            if after == AfterFetch::Keep {
                let cursor = format!("{}:{}", open.validity, message.uid);
                self.arrivals.store().move_feed_cursor(&self.task, &cursor, &self.task, &self.lease).await?;
            }
        }
        Ok(())
    }

    /// The last UID known to be ours already; none when the server counts anew.
    async fn seen(&self, validity: u32) -> Result<u32, ImapError> {
        let cursor = self.arrivals.store().feed_cursor(&self.task).await?;
        let parsed = cursor.as_deref().and_then(|cursor| cursor.split_once(':'));
        let seen = parsed.and_then(|(of, uid)| Some((of.parse::<u32>().ok()?, uid.parse::<u32>().ok()?)));
        Ok(seen.filter(|(of, _)| *of == validity).map_or(0, |(_, uid)| uid))
    }

    async fn take(&self, open: &mut Open, message: There) -> Result<(), ImapError> {
        if message.size > self.server.settings.message_bytes {
            // It is met again in every round.
            if self.reported.lock().unwrap_or_else(PoisonError::into_inner).insert(message.uid) {
                MailTooLarge { relay: Configured(&self.server.relay), bytes: message.size }.emit();
            }
            return Ok(());
        }
        // It has gone: somebody else has taken it.
        let Some(raw) = open.fetch(message.uid).await? else { return Ok(()) };
        let head = Head::of(&raw);
        // Whoever owns the mailbox keeps it as come through that; one for all our addresses is the relay's.
        let channel = Channel::Relay(self.server.relay.clone());
        let to = match &self.mailbox {
            Mailbox::Own(owners) => owners.iter().take(1).map(|owner| owner.address.clone()).collect(),
            Mailbox::Shared(_) => head.to,
        };
        let arrival = Arrival { way: Way::Imap, channel: &channel, from: head.from.as_ref(), to: &to, raw: &raw };
        self.arrivals.keep_fetched(&self.mailbox, arrival).await?;
        failpoint::reach("mail_fetched");
        match self.server.settings.after {
            AfterFetch::Delete => open.delete(message.uid).await,
            AfterFetch::Keep => open.mark(message.uid, "\\Seen").await,
        }
    }
}

/// The name of a mailbox's watch among the periodic tasks.
pub(super) fn task(relay: &str, mailbox: &Mailbox) -> String {
    format!("imap:{relay}:{}", mailbox.key())
}

/// Holds the task's lease; returns when somebody else has it.
async fn keep(arrivals: &Arrivals, task: &str, lease: &Lease) {
    loop {
        sleep(lease.length / 3).await;
        match arrivals.store().take_task(task, lease).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(error = chain(&error), "a mailbox's lease could not be renewed"),
        }
    }
}

/// What the outer headers say about the envelope. A hint for finding whose mail it is; nothing is believed for it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Head {
    from: Option<DirectAddress>,
    to: Vec<DirectAddress>,
}

impl Head {
    fn of(raw: &[u8]) -> Self {
        let Some(message) = parsed::headers(raw) else { return Self::default() };
        let mut head = Self::default();
        for header in message.headers() {
            let addresses: Vec<DirectAddress> = match header.value() {
                HeaderValue::Address(list) => {
                    list.iter().filter_map(|address| address.address().and_then(|text| text.parse().ok())).collect()
                }
                HeaderValue::Text(text) => text.trim().trim_matches(['<', '>']).parse().into_iter().collect(),
                _ => Vec::new(),
            };
            match header.name().to_ascii_lowercase().as_str() {
                "return-path" => head.from = addresses.into_iter().next(),
                "to" | "cc" | "delivered-to" | "x-original-to" => {
                    for address in addresses {
                        if !head.to.contains(&address) {
                            head.to.push(address);
                        }
                    }
                }
                _ => {}
            }
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_headers_tell_for_whom_a_message_in_a_shared_mailbox_is() {
        let head = Head::of(
            b"Return-Path: <bounce@hisp.example>\r\nDelivered-To: all@lab.example\r\nTo: Results <results@lab.example>,\r\n \
              other@lab.example\r\nCC: results@lab.example\r\nSubject: x\r\n\r\nTo: nobody@lab.example\r\n",
        );
        assert_eq!(head.from.unwrap().as_str(), "bounce@hisp.example");
        let to: Vec<&str> = head.to.iter().map(DirectAddress::as_str).collect();
        assert_eq!(to, ["all@lab.example", "results@lab.example", "other@lab.example"]);
        assert_eq!(Head::of(b"Return-Path: <>\r\n\r\n").from, None);
        assert_eq!(Head::of(b"\xff\x00"), Head::default());
    }
}
