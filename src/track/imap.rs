//! The mailboxes of a HISP, looked into for notices and replies.
//!
//! One task for each mailbox, on one process at a time. A message is on our disk before it is deleted (or marked as seen)
//! there. Where the server offers IDLE it tells us at once; every few minutes we look all the same, because a connection
//! can die without a word.

mod mailbox;
mod session;

use std::{collections::HashMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::sync::CancellationToken;

use self::mailbox::Watch;
use super::{
    Arrivals,
    arrivals::{Mailbox, Shared},
};
use crate::{
    config::{
        imap::ImapSettings,
        relay::{RelaySettings, TlsMode},
    },
    domain::address::BadAddress,
    net::tls::{ClientFiles, ClientTls, TlsError},
    observe::{chain, health::Health},
    store::{StoreError, lease::Lease, way_in::WayIn},
};

/// How often identities are looked at: a new one's mailbox is watched after this at the latest.
const ROUND: Duration = Duration::from_secs(30);

/// How often it is looked whether clocks wait for a mailbox.
const CLOCKS: Duration = Duration::from_millis(500);

/// Why a mailbox cannot be looked into.
#[derive(Debug, thiserror::Error)]
pub enum ImapError {
    /// The server cannot be reached.
    #[error("connecting to {host}:{port}")]
    Connect {
        /// Host.
        host: String,
        /// Port.
        port: u16,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The server does not want us.
    #[error("logging in to the mailbox of {user}")]
    Login {
        /// As whom.
        user: String,
        /// Why.
        #[source]
        cause: async_imap::error::Error,
    },
    /// A command failed.
    #[error("{doing}")]
    Command {
        /// What was tried.
        doing: &'static str,
        /// Why.
        #[source]
        cause: async_imap::error::Error,
    },
    /// It takes too long.
    #[error("{doing} took longer than {} seconds", .after.as_secs())]
    Late {
        /// What was tried.
        doing: &'static str,
        /// How long we waited.
        after: Duration,
    },
    /// There is no password to log in with.
    #[error("the identity has no mailbox password")]
    NoPassword,
    /// The file of the password cannot be read.
    #[error("reading the mailbox's password file")]
    Password(#[source] std::io::Error),
    /// There is no address to stand for the mailbox.
    #[error("naming the relay's shared mailbox")]
    Unnamed(#[from] BadAddress),
    /// What came could not be stored; it stays in the mailbox.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The mailboxes of one relay.
#[derive(Debug)]
pub struct Mailboxes {
    server: Arc<Server>,
    arrivals: Arrivals,
    health: Health,
}

/// Where they are and how one gets there.
#[derive(Debug)]
struct Server {
    relay: String,
    settings: ImapSettings,
    tls: Option<ClientTls>,
    /// The one mailbox for all our addresses, with its user and password.
    shared: Option<(Shared, String, SecretString)>,
}

impl Mailboxes {
    /// The mailboxes of `relay`; `None` when its configuration names none.
    ///
    /// # Errors
    /// When TLS cannot be set up or the password file not be read.
    pub fn of(relay: &RelaySettings, arrivals: Arrivals) -> Result<Option<Self>, ImapError> {
        let Some(settings) = relay.imap.clone() else { return Ok(None) };
        let files = ClientFiles { ca: relay.ca_file.as_deref(), identity: None };
        let tls = if settings.tls == TlsMode::None { None } else { Some(ClientTls::verified(files)?) };
        let shared = match &settings.auth {
            Some(auth) => {
                let mailbox = Shared::of(&relay.name, &auth.user)?;
                Some((mailbox, auth.user.clone(), auth.password().map_err(ImapError::Password)?))
            }
            None => None,
        };
        Ok(Some(Self {
            server: Arc::new(Server { relay: relay.name.clone(), settings, tls, shared }),
            arrivals,
            health: Health::default(),
        }))
    }

    /// With somebody to tell when one cannot be looked into.
    #[must_use]
    pub fn telling(self, health: Health) -> Self {
        Self { health, ..self }
    }

    /// Watches every mailbox until `stop`. Which those are is asked again and again.
    pub async fn run(self, lease: Lease, stop: CancellationToken) {
        let mut watches = JoinSet::new();
        let mut watched: HashMap<Mailbox, (CancellationToken, Arc<Notify>)> = HashMap::new();
        while !stop.is_cancelled() {
            match self.known_mailboxes().await {
                Ok(mailboxes) => {
                    // One whose owners have changed is watched anew.
                    watched.retain(|mailbox, watch| {
                        let stays = mailboxes.contains(mailbox);
                        if !stays {
                            watch.0.cancel();
                        }
                        stays
                    });
                    for mailbox in mailboxes {
                        watched.entry(mailbox.clone()).or_insert_with(|| {
                            let (ends, wanted) = (stop.child_token(), Arc::new(Notify::new()));
                            let (server, arrivals) = (Arc::clone(&self.server), self.arrivals.clone());
                            let watch = Watch::new(server, arrivals, mailbox, lease, Arc::clone(&wanted));
                            watches.spawn(watch.telling(self.health.clone()).run(ends.clone()));
                            (ends, wanted)
                        });
                    }
                }
                Err(error) => tracing::error!(error = chain(&error), "which mailboxes to look into cannot be found out"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(ROUND) => {}
                () = self.look_where_clocks_wait(&watched) => {}
            }
        }
        watches.join_all().await;
    }

    /// Has those mailboxes looked into at once that deliveries wait for whose time is up. Never ends.
    async fn look_where_clocks_wait(&self, watched: &HashMap<Mailbox, (CancellationToken, Arc<Notify>)>) {
        loop {
            tokio::time::sleep(CLOCKS).await;
            // However long ago they ran out: who waits no longer is not among them, and a look does no harm.
            let Ok(held) = self.arrivals.store().clocks_held(Duration::MAX).await else { continue };
            let wanted = watched.iter().filter(|(mailbox, _)| held.contains_key(&mailbox::task(&self.server.relay, mailbox)));
            wanted.for_each(|(_, (_, wanted))| wanted.notify_one());
        }
    }

    /// The mailboxes, also known to the store: clocks wait for them.
    async fn known_mailboxes(&self) -> Result<Vec<Mailbox>, StoreError> {
        let mailboxes = self.mailboxes().await?;
        let way = |mailbox: &Mailbox| WayIn {
            name: mailbox::task(&self.server.relay, mailbox),
            address: matches!(mailbox, Mailbox::Own(_)).then(|| mailbox.key()),
        };
        let ways: Vec<WayIn> = mailboxes.iter().map(way).collect();
        self.arrivals.store().set_ways_in(&self.server.relay, &ways).await?;
        Ok(mailboxes)
    }

    async fn mailboxes(&self) -> Result<Vec<Mailbox>, StoreError> {
        match &self.server.shared {
            Some((mailbox, ..)) => Ok(vec![Mailbox::Shared(mailbox.clone())]),
            None => Ok(Mailbox::of(self.arrivals.mailboxes_at(&self.server.relay).await?)),
        }
    }
}
