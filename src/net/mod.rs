//! TLS set-up, DNS and guarded fetching: what any step may use to reach the network.

/// Which network addresses a fetch may touch.
pub mod address;
/// Waiting longer after each failure.
pub mod backoff;
/// Leaving servers alone that cannot be reached.
pub mod breaker;
/// Mail hosts and their addresses.
pub mod dns;
/// Guarded HTTP: schemes, sizes, times and addresses are limited.
pub mod fetch;
mod gather;
/// Certificates in LDAP directories.
pub mod ldap;
/// What an SMTP server reads.
pub mod smtp;
/// One TCP connection, clear or under TLS.
pub mod stream;
/// TLS, as client and as server.
pub mod tls;
