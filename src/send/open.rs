//! From nothing to a session that is ready for MAIL: connect, greeting, EHLO, STARTTLS, login.

use std::net::SocketAddr;

use lettre::transport::smtp::{
    authentication::{Credentials, Mechanism},
    commands::{Auth, Ehlo, Quit, Starttls},
    extension::{ClientId, Extension, ServerInfo},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    config::relay::TimeoutSettings,
    net::{stream::Stream, tls::ClientTls},
};

use super::{
    Reply,
    phase::Phase,
    wire::{Broken, Wire},
};

/// Addresses of one host that are tried.
const MOST_ADDRESSES: usize = 4;

/// How the connection is protected.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protection<'a> {
    /// STARTTLS or nothing.
    Starttls(&'a ClientTls),
    /// TLS from the first byte.
    Implicit(&'a ClientTls),
    /// STARTTLS when it is offered and works, else in the clear (RFC 7435).
    Opportunistic(&'a ClientTls),
    /// In the clear.
    None,
}

/// Whom to talk to, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer<'a> {
    pub(super) host: &'a str,
    pub(super) protection: Protection<'a>,
    pub(super) helo: &'a ClientId,
    pub(super) timeouts: &'a TimeoutSettings,
}

/// Who we say we are.
pub(super) struct Credential<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a SecretString,
}

/// A connection that is ready for MAIL.
pub(super) struct Session {
    pub(super) wire: Wire,
    /// The server's name.
    pub(super) host: String,
    /// Largest message it takes (RFC 1870), when it says one.
    pub(super) size: Option<u64>,
    /// It knows the SIZE parameter.
    pub(super) knows_size: bool,
    /// It takes 8-bit content (RFC 6152).
    pub(super) eight_bit: bool,
    offers_tls: bool,
    mechanism: Option<Mechanism>,
}

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSession {
    /// The server cannot be used by anybody.
    #[error("{0}")]
    Unreachable(String),
    /// The server cannot be used under TLS. Only what tries TLS on the off chance goes on from here.
    #[error("{0}")]
    NoTls(String),
    /// The server does not know this login.
    #[error("{0}")]
    Login(String),
}

impl From<Broken> for NoSession {
    fn from(broken: Broken) -> Self {
        Self::Unreachable(broken.to_string())
    }
}

fn unexpected(phase: Phase, reply: &Reply) -> NoSession {
    NoSession::Unreachable(format!("{phase}: the server answered: {reply}"))
}

impl Session {
    /// Tries the addresses in order until one of them gives a session.
    pub(super) async fn open(
        peer: Peer<'_>,
        addresses: &[SocketAddr],
        credential: Option<&Credential<'_>>,
    ) -> Result<Self, NoSession> {
        let mut last = NoSession::Unreachable(format!("{} has no address", peer.host));
        for address in addresses.iter().take(MOST_ADDRESSES) {
            match Self::open_at(peer, *address, credential).await {
                Err(NoSession::Unreachable(why) | NoSession::NoTls(why)) => {
                    last = NoSession::Unreachable(format!("{} ({address}): {why}", peer.host));
                }
                other => return other,
            }
        }
        Err(last)
    }

    async fn open_at(peer: Peer<'_>, address: SocketAddr, credential: Option<&Credential<'_>>) -> Result<Self, NoSession> {
        match Self::greet(peer, address).await {
            // The handshake ruined the connection; the message protects itself, so the next one goes without.
            Err(NoSession::NoTls(_)) if matches!(peer.protection, Protection::Opportunistic(_)) => {
                Self::greet(Peer { protection: Protection::None, ..peer }, address).await
            }
            Ok(mut session) => {
                if let Some(credential) = credential {
                    session.login(credential).await?;
                }
                Ok(session)
            }
            Err(error) => Err(error),
        }
    }

    async fn greet(peer: Peer<'_>, address: SocketAddr) -> Result<Self, NoSession> {
        let tcp = connect(address, peer.timeouts).await?;
        let stream = match peer.protection {
            Protection::Implicit(tls) => handshake(tls, peer, tcp).await?,
            _ => Stream::Clear(tcp),
        };
        let mut wire = Wire::new(stream, *peer.timeouts);
        let greeting = wire.reply(Phase::Greeting).await?;
        if greeting.code() != 220 {
            return Err(unexpected(Phase::Greeting, &greeting));
        }
        let session = Self::hello(wire, peer).await?;
        match peer.protection {
            Protection::Starttls(tls) | Protection::Opportunistic(tls) if session.offers_tls => {
                Self::upgrade(session.wire, tls, peer).await
            }
            Protection::Starttls(_) => Err(NoSession::Unreachable("EHLO: the server does not offer STARTTLS".to_owned())),
            Protection::Opportunistic(_) | Protection::Implicit(_) | Protection::None => Ok(session),
        }
    }

    async fn hello(mut wire: Wire, peer: Peer<'_>) -> Result<Self, NoSession> {
        let (reply, response) = wire.exchange(Phase::Ehlo, &Ehlo::new(peer.helo.clone()).to_string()).await?;
        if reply.code() != 250 {
            return Err(unexpected(Phase::Ehlo, &reply));
        }
        // RFC 5321 4.1.1.1: keywords in any case; lettre knows upper case only. The first line is the greeting.
        let upper: Vec<String> = response.message().map(str::to_ascii_uppercase).collect();
        let size = upper.iter().skip(1).find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("SIZE")).then(|| words.next().and_then(|n| n.parse::<u64>().ok()).filter(|n| *n > 0))
        });
        let response = lettre::transport::smtp::response::Response::new(response.code(), upper);
        let info =
            ServerInfo::from_response(&response).map_err(|_| Broken::Garbage { phase: Phase::Ehlo, what: "no server name" })?;
        let session = Self {
            wire,
            host: peer.host.to_owned(),
            size: size.flatten(),
            knows_size: size.is_some(),
            eight_bit: info.supports_feature(Extension::EightBitMime),
            offers_tls: info.supports_feature(Extension::StartTls),
            mechanism: info.get_auth_mechanism(&[Mechanism::Plain, Mechanism::Login]),
        };
        Ok(session)
    }

    async fn upgrade(mut wire: Wire, tls: &ClientTls, peer: Peer<'_>) -> Result<Self, NoSession> {
        let reply = wire.command(Phase::Tls, &Starttls.to_string()).await?;
        if reply.code() != 220 {
            return Err(NoSession::NoTls(format!("{}: the server answered: {reply}", Phase::Tls)));
        }
        let clear = wire.into_stream()?.into_clear();
        let tcp = clear.ok_or_else(|| NoSession::Unreachable("TLS: the connection is under TLS already".to_owned()))?;
        let stream = handshake(tls, peer, tcp).await?;
        // RFC 3207 4.2: what was learnt before TLS is forgotten.
        Self::hello(Wire::new(stream, *peer.timeouts), peer).await
    }

    /// AUTH PLAIN, or LOGIN where only that is offered. Never in the clear.
    async fn login(&mut self, credential: &Credential<'_>) -> Result<(), NoSession> {
        if !self.wire.stream().is_tls() {
            return Err(NoSession::Login("AUTH: a password is never sent without TLS".to_owned()));
        }
        let Some(mechanism) = self.mechanism else {
            return Err(NoSession::Unreachable("EHLO: the server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned()));
        };
        let odd = |_| NoSession::Unreachable("AUTH: the server's challenge cannot be understood".to_owned());
        let credentials = Credentials::new(credential.user.to_owned(), credential.password.expose_secret().to_owned());
        let mut auth = Auth::new(mechanism, credentials.clone(), None).map_err(odd)?;
        // LOGIN asks twice: for the name and for the password.
        for _ in 0..3 {
            let (reply, response) = self.wire.exchange(Phase::Auth, &auth.to_string()).await?;
            match reply.code() {
                235 => return Ok(()),
                334 => auth = Auth::new_from_response(mechanism, credentials.clone(), &response).map_err(odd)?,
                _ if reply.is_permanent() => return Err(NoSession::Login(format!("AUTH: the server answered: {reply}"))),
                _ => return Err(unexpected(Phase::Auth, &reply)),
            }
        }
        Err(NoSession::Unreachable("AUTH: the server keeps asking".to_owned()))
    }

    /// Takes leave; the answer is not waited for.
    pub(super) async fn quit(mut self) {
        // The connection is closed either way; QUIT is courtesy.
        let _ = self.wire.farewell(&Quit.to_string()).await;
    }
}

async fn connect(address: SocketAddr, timeouts: &TimeoutSettings) -> Result<TcpStream, NoSession> {
    let limit = Phase::Connect.limit(timeouts);
    let tcp = match timeout(limit, TcpStream::connect(address)).await {
        Err(_) => return Err(Broken::TimedOut { phase: Phase::Connect, limit }.into()),
        Ok(Err(source)) => return Err(Broken::Failed { phase: Phase::Connect, source }.into()),
        Ok(Ok(tcp)) => tcp,
    };
    // Commands are small and each waits for its answer; without this the final dot may wait for an ACK.
    tcp.set_nodelay(true).map_err(|source| Broken::Failed { phase: Phase::Connect, source })?;
    Ok(tcp)
}

async fn handshake(tls: &ClientTls, peer: Peer<'_>, tcp: TcpStream) -> Result<Stream, NoSession> {
    let limit = Phase::Tls.limit(peer.timeouts);
    match timeout(limit, tls.connect(peer.host, tcp)).await {
        Err(_) => Err(NoSession::NoTls(Broken::TimedOut { phase: Phase::Tls, limit }.to_string())),
        Ok(Err(error)) => Err(NoSession::NoTls(error.to_string())),
        Ok(Ok(stream)) => Ok(stream),
    }
}
