//! The doors of the practice HISP and who may come in.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use secrecy::{ExposeSecret as _, SecretString};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::net::{
    stream::Stream,
    tls::{PemPair, ServerTls, TlsError, self_signed},
};

use super::{
    Desk, Mailboxes, Opener,
    mailbox::Door,
    session::{Host, converse},
};

/// Where the doors are; 0 takes any free port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// For STAs that relay through us.
    pub relay: u16,
    /// For edge clients.
    pub edge: u16,
    /// For other STAs.
    pub mx: u16,
    /// The relay door behind a certificate for another name.
    pub bad_tls: u16,
}

/// What a practice HISP is made of.
pub struct HispSettings {
    /// Address to listen on.
    pub listen: IpAddr,
    /// Ports.
    pub ports: Ports,
    /// The name it greets with.
    pub host: String,
    /// Its certificate, for the relay and edge doors. The mx door makes its own, self-signed.
    pub tls: PemPair,
    /// Users of the relay and edge doors and their passwords. An edge user is a Direct address.
    pub logins: HashMap<String, SecretString>,
    /// A password that lets any Direct address in as itself, at the edge door.
    pub edge_password: Option<SecretString>,
    /// Where what arrives is kept.
    pub mailboxes: Mailboxes,
    /// Opens what arrives sealed.
    pub opener: Arc<dyn Opener>,
    /// Writes notices back; without it nothing comes back.
    pub desk: Option<Arc<Desk>>,
    /// Largest message taken, as advertised in SIZE.
    pub max_message: usize,
    /// Connections served at the same time, over all doors.
    pub max_connections: usize,
    /// How long a client may be silent.
    pub idle: Duration,
}

impl std::fmt::Debug for HispSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HispSettings").field("host", &self.host).field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl HispSettings {
    /// On this machine, on any free ports, without users.
    pub fn local(mailboxes: Mailboxes, tls: PemPair, opener: Arc<dyn Opener>) -> Self {
        Self {
            listen: Ipv4Addr::LOCALHOST.into(),
            ports: Ports::default(),
            host: "localhost".to_owned(),
            tls,
            logins: HashMap::new(),
            edge_password: None,
            mailboxes,
            opener,
            desk: None,
            max_message: 25_000_000,
            max_connections: 200,
            idle: Duration::from_mins(5),
        }
    }

    /// With a user.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.logins.insert(user.to_ascii_lowercase(), SecretString::from(password));
        self
    }

    /// Whether `password` is the one of `user` at `door`.
    pub(super) fn lets_in(&self, door: Door, user: &str, password: &str) -> bool {
        let same = |secret: &SecretString| {
            let (a, b) = (secret.expose_secret().as_bytes(), password.as_bytes());
            // Constant in time but for the length, although nothing real is behind this door.
            a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
        };
        let own = self.logins.get(&user.to_ascii_lowercase()).is_some_and(same);
        own || (door == Door::Edge && user.contains('@') && self.edge_password.as_ref().is_some_and(same))
    }
}

/// A running practice HISP. It ends when it is dropped.
#[derive(Debug)]
pub struct Hisp {
    addresses: HashMap<Door, SocketAddr>,
    stop: CancellationToken,
    sessions: TaskTracker,
}

/// It could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HispError {
    /// A port could not be had.
    #[error("could not listen on {address} for the {door} door")]
    Listen {
        /// Which door.
        door: Door,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Hisp {
    /// Opens the doors.
    pub async fn start(settings: HispSettings) -> Result<Self, HispError> {
        let own = ServerTls::new(&settings.tls.certificate, &settings.tls.key, None)?;
        let unsigned = self_signed(&[settings.host.as_str()], 30)?;
        let wrong = self_signed(&["somebody-else.invalid"], 30)?;
        let doors = [
            (Door::Relay, settings.ports.relay, own.clone()),
            (Door::Edge, settings.ports.edge, own),
            (Door::Mx, settings.ports.mx, ServerTls::new(&unsigned.certificate, &unsigned.key, None)?),
            (Door::BadTls, settings.ports.bad_tls, ServerTls::new(&wrong.certificate, &wrong.key, None)?),
        ];
        let slots = Arc::new(Semaphore::new(settings.max_connections));
        let settings = Arc::new(settings);
        let mut hisp = Self { addresses: HashMap::new(), stop: CancellationToken::new(), sessions: TaskTracker::new() };
        for (door, port, tls) in doors {
            let address = SocketAddr::new(settings.listen, port);
            let listen = |source| HispError::Listen { door, address, source };
            let listener = TcpListener::bind(address).await.map_err(listen)?;
            hisp.addresses.insert(door, listener.local_addr().map_err(listen)?);
            let host = Host { settings: settings.clone(), door, tls };
            hisp.sessions.spawn(answer(listener, host, slots.clone(), hisp.stop.clone(), hisp.sessions.clone()));
        }
        Ok(hisp)
    }

    /// Where `door` is.
    #[must_use]
    pub fn address(&self, door: Door) -> SocketAddr {
        // Every door is there once it has started.
        self.addresses.get(&door).copied().unwrap_or(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))
    }

    /// Closes the doors and ends every conversation.
    pub async fn stop(self) {
        self.stop.cancel();
        self.sessions.close();
        self.sessions.wait().await;
    }
}

impl Drop for Hisp {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn answer(listener: TcpListener, host: Host, slots: Arc<Semaphore>, stop: CancellationToken, sessions: TaskTracker) {
    loop {
        let tcp = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    // Out of file descriptors, mostly: it passes.
                    tracing::warn!(%error, "the practice HISP could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            refuse(&tcp);
            continue;
        };
        let (host, stop) = (host.clone(), stop.clone());
        sessions.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                ended = converse(host, Stream::Clear(tcp)) => if let Err(error) = ended {
                    tracing::debug!(%error, "a conversation with the practice HISP broke off");
                }
            }
            drop(slot);
        });
    }
}

/// Too many: says so if that costs nothing.
fn refuse(tcp: &TcpStream) {
    let _ = tcp.try_write(b"421 4.3.2 Too many connections, try again later\r\n");
}
