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
/// Pages as markup.
pub(crate) mod markup;
/// Servers that misbehave on purpose.
pub(crate) mod misbehaving;
/// A real Postfix.
pub(crate) mod postfix;
/// A real PostgreSQL, with a database for each test.
pub(crate) mod postgres;
/// A real slapd.
pub(crate) mod slapd;

/// Sends a signal (`TERM`, `HUP`) to a process. The shell's own `kill`: a bare Debian has no other.
pub(crate) fn signal(name: &str, process: &std::process::Child) {
    let line = format!("kill -{name} {}", process.id());
    let sent = std::process::Command::new("sh").args(["-c", &line]).status();
    assert!(sent.is_ok_and(|status| status.success()), "cannot run: {line}");
}

/// Asks a server to leave, and waits until it has; nothing when it already has.
pub(crate) fn end(server: &mut std::process::Child) {
    if server.try_wait().is_ok_and(|status| status.is_none()) {
        signal("TERM", server);
        drop(server.wait());
    }
}
