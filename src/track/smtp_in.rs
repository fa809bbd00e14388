//! Our own SMTP door, for HISPs and peers that deliver to us.
//!
//! It takes mail for addresses of ours and no other; a message ends at CRLF, dot, CRLF and nowhere else; 250 means that it
//! is on disk. Who may bring mail is not asked, because STAs do not log in to each other: what a message is worth is found
//! out when it is opened. A relay of ours is recognized by where it comes from or by its login, and that is remembered with
//! the message; strangers have fewer places and less time, so that they cannot hold the door shut for relays.

mod limits;
mod links;
mod session;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{relay::RelaySettings, smtp_in::SmtpInSection},
    domain::inbound::Channel,
    net::{
        stream::Stream,
        tls::{ServerTls, TlsError},
    },
    observe::chain,
};

use super::Arrivals;
use limits::{Caller, Limits};
use links::Links;

/// Time for sessions to finish their message at shutdown.
const GRACE: Duration = Duration::from_secs(10);

/// Why the door cannot open.
#[derive(Debug, thiserror::Error)]
pub enum SmtpInError {
    /// A file of its certificate cannot be read.
    #[error("reading {}, for the SMTP door", path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The certificate or key cannot be used.
    #[error("setting up TLS for the SMTP door")]
    Tls(#[from] TlsError),
    /// The port cannot be had.
    #[error("listening for mail on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        cause: io::Error,
    },
}

/// The door, open.
pub struct SmtpIn {
    listener: TcpListener,
    host: Host,
}

/// What every session shares.
#[derive(Clone)]
struct Host {
    settings: Arc<SmtpInSection>,
    tls: Option<ServerTls>,
    links: Arc<Links>,
    limits: Arc<Limits>,
    arrivals: Arrivals,
}

impl std::fmt::Debug for SmtpIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmtpIn").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl SmtpIn {
    /// Opens the door at `listen`. `relays` are recognized when they come.
    ///
    /// # Errors
    /// [`SmtpInError`].
    pub async fn open(
        listen: SocketAddr,
        settings: SmtpInSection,
        relays: &[RelaySettings],
        arrivals: Arrivals,
    ) -> Result<Self, SmtpInError> {
        let read =
            |path: &std::path::Path| std::fs::read(path).map_err(|cause| SmtpInError::File { path: path.to_owned(), cause });
        let tls = match (&settings.certificate_file, &settings.key_file) {
            (Some(certificate), Some(key)) => Some(ServerTls::new(&read(certificate)?, &read(key)?, None)?),
            _ => None,
        };
        let links = Arc::new(Links::read(relays)?);
        let limits = Arc::new(Limits::new(&settings, links.know_places()));
        let listener = TcpListener::bind(listen).await.map_err(|cause| SmtpInError::Listen { address: listen, cause })?;
        Ok(Self { listener, host: Host { settings: Arc::new(settings), tls, links, limits, arrivals } })
    }

    /// Where it is.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes mail until `stop`; sessions may finish the message they are at.
    pub async fn run(self, stop: CancellationToken) {
        let sessions = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((tcp, client)) => {
                    let (host, stop) = (self.host.clone(), stop.clone());
                    sessions.spawn(async move {
                        // A client that breaks off will come again.
                        let _ = admit(host, tcp, client, stop).await;
                    });
                }
                Err(error) => {
                    // Out of descriptors, usually: others must end first.
                    tracing::warn!(error = chain(&error), "a connection for mail could not be accepted");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
        drop(self.listener);
        sessions.close();
        if tokio::time::timeout(GRACE, sessions.wait()).await.is_err() {
            tracing::info!("mail was still coming in; its senders will bring it again");
        }
    }
}

async fn admit(host: Host, tcp: TcpStream, client: SocketAddr, stop: CancellationToken) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    // IPv4 in IPv6 clothes is the same client.
    let client = client.ip().to_canonical();
    let caller = if host.links.from(client) == Channel::None { Caller::Stranger(client) } else { Caller::Relay };
    let Some(_place) = host.limits.enter(caller) else {
        return session::turn_away(Stream::Clear(tcp), &host.settings.host).await;
    };
    session::converse(host, Stream::Clear(tcp), client, stop).await
}
