//! One TCP connection, clear or under TLS, so that a protocol above need not care.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_openssl::SslStream;

use super::gather::Gather;

/// A connection.
#[derive(Debug)]
pub enum Stream {
    /// In the clear.
    Clear(TcpStream),
    /// Under TLS.
    Tls(Box<SslStream<Gather>>),
}

impl Stream {
    /// Whether TLS protects it.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// Under TLS up to `room` octets are written together from now on; the caller must flush before it waits for an answer.
    pub fn gather(&mut self, room: usize) {
        if let Self::Tls(tls) = self {
            tls.get_mut().gather(room);
        }
    }

    /// The protocol version, e.g. `TLSv1.3`; absent in the clear.
    #[must_use]
    pub fn tls_version(&self) -> Option<&'static str> {
        match self {
            Self::Clear(_) => None,
            Self::Tls(tls) => Some(tls.ssl().version_str()),
        }
    }

    /// The common name of the certificate the other side showed, when there is one.
    #[must_use]
    pub fn peer_name(&self) -> Option<String> {
        let Self::Tls(tls) = self else { return None };
        let certificate = tls.ssl().peer_certificate()?;
        let name = certificate.subject_name().entries_by_nid(openssl::nid::Nid::COMMONNAME).next()?;
        name.data().to_string().ok()
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Clear(tcp) => tcp.peer_addr(),
            Self::Tls(tls) => tls.get_ref().tcp().peer_addr(),
        }
    }

    /// The TCP connection beneath, for raising to TLS; `None` when it is under TLS already.
    #[must_use]
    pub fn into_clear(self) -> Option<TcpStream> {
        match self {
            Self::Clear(tcp) => Some(tcp),
            Self::Tls(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_write(cx, data),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Clear(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}
