//! `[web]`: the HTTP door.

use std::net::SocketAddr;

use super::section::section;
use crate::domain::time::Span;

section! {
    /// The HTTP door: the API, health and metrics. It speaks plain HTTP: put a reverse proxy with TLS before it,
    /// and let nobody but the proxy reach it.
    ["web"] WebSection {
        /// Address and port to listen on.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 8080)),
        /// Most octets of a request's body. A PDF inside JSON takes a third more than its size.
        body_bytes: usize = 12_000_000,
        /// How long a request may take, upload included.
        request_timeout: Span = Span::seconds(60),
    }
}
