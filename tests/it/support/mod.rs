//! What journeys share.

/// A real BIND.
pub(crate) mod bind;
/// A clock that tests set.
pub(crate) mod clock;
/// Running the `postern` command.
pub(crate) mod command;
/// A counter to hand orders and results in at.
pub(crate) mod counter;
/// A real Dovecot.
pub(crate) mod dovecot;
/// A name server that answers as real ones should not.
pub(crate) mod fake_dns;
/// A whole installation with its practice HISP.
pub(crate) mod installation;
/// Servers that misbehave on purpose.
pub(crate) mod misbehaving;
/// A real Postfix.
pub(crate) mod postfix;
/// A real PostgreSQL, with a database for each test.
pub(crate) mod postgres;
/// A real slapd.
pub(crate) mod slapd;
