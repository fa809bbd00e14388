//! An authority, a folder, and the `openssl` command in it.

use std::{path::Path, process::Command, sync::OnceLock, time::Duration};

use postern::{
    domain::{Clock as _, Timestamp},
    observe::SystemClock,
    trust::authority::{Authority, Binding, Issued, KeyKind, Order, Usage},
};

pub(super) const DAY: Duration = Duration::from_hours(24);
pub(super) const ADDRESS: &str = "results@direct.lab.example";

pub(super) fn now() -> Timestamp {
    static NOW: OnceLock<Timestamp> = OnceLock::new();
    *NOW.get_or_init(|| SystemClock.now())
}

pub(super) fn authority(name: &str) -> Authority {
    Authority::new(name, KeyKind::P256, now().minus(DAY * 400), now().plus(DAY * 800)).unwrap()
}

pub(super) fn order(who: &str, usage: Usage, since: u32, left: u32) -> Order {
    Order {
        usage,
        key: KeyKind::P256,
        ..Order::new(Binding::Address(who.parse().unwrap()), now().minus(DAY * since), now().plus(DAY * left + DAY / 2))
    }
}

pub(super) fn issue(authority: &Authority, usage: Usage, since: u32, left: u32) -> Issued {
    authority.issue(&order(ADDRESS, usage, since, left)).unwrap()
}

/// Runs `openssl` in `dir`; its words when it fails.
pub(super) fn openssl(dir: &Path, line: &str) -> Result<String, String> {
    let done = Command::new("openssl").current_dir(dir).args(line.split_whitespace()).output().unwrap();
    let words = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if done.status.success() { Ok(words(&done.stdout)) } else { Err(words(&done.stderr)) }
}
