//! `postern doctor`: tests what the gateway stands on, and says what to fix. It changes nothing.

/// The loads of the directory.
mod directory;
/// Our own certificates, the token, the bundles.
mod keys;
/// The OpenID provider.
mod provider;
/// What issuers publish, and how old what we go by is.
mod revocation;
/// Whether others find our certificates.
mod stranger;
/// Whether what comes back can arrive.
mod ways;

use std::{
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use clap::Args;
use serde::Serialize;

use super::{
    Exit, block_on,
    context::{Context, Global, Output},
    org::credentials::read_identities,
    print,
};
use crate::{
    domain::Timestamp,
    store::reach::{self, Reached},
};

/// Test what the gateway stands on, and say what to fix
///
/// Each line is good, a note (it works, and there is something to do all the same) or bad (it will not work like this), with what
/// to do beneath it. Nothing is changed. Exit code 1 when something is bad; a note alone is no failure.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    output: Output,
}

/// What a test said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Nothing to do.
    Good,
    /// It works like this; somebody should do something all the same.
    Note,
    /// It will not work like this.
    Bad,
}

/// One thing that was tested.
#[derive(Debug, Serialize)]
struct Finding {
    what: String,
    verdict: Verdict,
    says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'static str>,
}

impl Finding {
    fn good(what: impl Into<String>, says: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Good, says: says.into(), fix: None }
    }

    fn note(what: impl Into<String>, says: impl Into<String>, advice: &'static str) -> Self {
        Self { what: what.into(), verdict: Verdict::Note, says: says.into(), fix: Some(advice) }
    }

    fn bad(what: impl Into<String>, says: impl Into<anyhow::Error>, fix: &'static str) -> Self {
        Self { what: what.into(), verdict: Verdict::Bad, says: format!("{:#}", says.into()), fix: Some(fix) }
    }
}

/// Less free space than this is too little to begin with.
const LEAST_SPACE: u64 = 1_000_000_000;
/// Clocks further apart than this make notices and leases unreliable.
const MOST_SKEW: Duration = Duration::from_secs(30);

pub(crate) fn run(doctor: &Doctor, global: &Global) -> anyhow::Result<Exit> {
    let context = Context::load(global)?;
    let findings = block_on(examine(&context))?;
    if doctor.output.json {
        print(&(serde_json::to_string_pretty(&findings)? + "\n"))?;
    } else {
        for Finding { what, verdict, says, fix } in &findings {
            let (verdict, lead) = match verdict {
                Verdict::Good => ("good", ""),
                Verdict::Note => ("note", "advice"),
                Verdict::Bad => ("bad ", "to fix it"),
            };
            print(&format!("{verdict}  {what}: {says}\n"))?;
            if let Some(fix) = fix {
                print(&format!("      {lead}: {fix}\n"))?;
            }
        }
    }
    let bad = findings.iter().any(|finding| finding.verdict == Verdict::Bad);
    Ok(if bad { Exit::Bad } else { Exit::Good })
}

async fn examine(context: &Context) -> Vec<Finding> {
    let config = context.config();
    let mut findings = vec![log(context), key(context)];
    findings.extend(store(context).await);
    findings.extend(keys::examine(context).await);
    // Opening a store of another version would change it.
    let url = &config.store.url;
    let current = reach::is_current(url.sqlite_file().as_deref(), url.expose()).await;
    if current {
        findings.extend(stranger::findings(context).await);
        findings.extend(revocation::findings(context).await);
        findings.extend(directory::findings(context).await);
    }
    findings.extend(ways::findings(context, current).await);

    let data = [Some(config.blobs.folder.clone()), config.store.url.sqlite_file().and_then(|f| f.parent().map(Path::to_owned))];
    for folder in data.into_iter().flatten() {
        findings.push(space(&folder));
        findings.push(writable("data folder", &folder, context.clock.now()));
    }
    findings.extend(identities(context));
    findings.extend(provider::finding(context).await);
    findings.push(told(context));
    for folder in &config.folder {
        findings.push(watched(&folder.path, context.clock.now()));
    }
    findings
}

fn log(context: &Context) -> Finding {
    match context.start_log() {
        Ok(()) => Finding::good("log", "the levels can be read"),
        Err(error) => Finding::bad("log", error, "correct filter in [log], or POSTERN_LOG"),
    }
}

fn key(context: &Context) -> Finding {
    match context.master_key() {
        Ok(key) => Finding::good("master key", format!("can be read, and nobody else can ({})", key.id())),
        Err(error) => Finding::bad("master key", error, "put the key where [keys] says, readable by its owner alone"),
    }
}

/// Whether anybody would hear that something is wrong.
fn told(context: &Context) -> Finding {
    let config = context.config();
    let alerts = &config.alerts;
    if !alerts.reaches_somebody() {
        let fix = "set to, from and relay, or webhook, in [alerts]; then postern alerts test";
        return Finding::note("alerts", "nobody is told when something is wrong", fix);
    }
    let mails = alerts.to.len();
    let webhook = if alerts.webhook.is_some() { ", and a webhook" } else { "" };
    let says = format!("{mails} addresses are told when something is wrong{webhook}");
    let shared = config.identity.iter().any(|identity| identity.relay.is_some() && identity.relay == alerts.relay);
    if shared && alerts.webhook.is_none() {
        let fix = "let alerts leave by another relay than messages do, or set webhook: nobody would hear that this one is down";
        return Finding::note("alerts", says, fix);
    }
    Finding::good("alerts", says)
}

/// The installation's own identities: whether their certificates, keys and passwords can be used.
fn identities(context: &Context) -> Option<Finding> {
    let own = &context.config().identity;
    let addresses = own.iter().map(|identity| identity.address.as_str()).collect::<Vec<_>>().join(", ");
    let read = read_identities(own, Path::new(""), &context.config().token, context.clock.now());
    let wrong: Vec<String> = [read.problems, read.warnings].concat();
    let fix = "correct [[identity]] in the configuration, or the files it names";
    (!own.is_empty()).then(|| {
        if wrong.is_empty() {
            Finding::good("own identities", format!("{addresses}: can be used"))
        } else {
            Finding::bad("own identities", anyhow::anyhow!("{}", wrong.join("; ")), fix)
        }
    })
}

async fn store(context: &Context) -> Vec<Finding> {
    let url = &context.config().store.url;
    let reached = match url.sqlite_file() {
        Some(path) => reach::file(&path).await,
        None => reach::server(url.expose()).await,
    };
    let good = |says: &str| Finding::good("store", format!("{url} {says}"));
    match reached {
        Ok(Reached::File) => vec![good("is a database")],
        Ok(Reached::NoFileYet) => vec![good("is not there yet; the first start makes it")],
        Ok(Reached::Server(theirs)) => vec![good("answers"), clock("the database", theirs, context.clock.now())],
        Err(error) => vec![Finding::bad("store", error, "correct url in [store], and see that the database runs and lets us in")],
    }
}

/// Compares our clock with somebody else's.
fn clock(whose: &str, theirs: Timestamp, ours: Timestamp) -> Finding {
    let apart = theirs.since(ours).max(ours.since(theirs));
    if apart <= MOST_SKEW {
        return Finding::good("clock", format!("agrees with that of {whose}"));
    }
    let says = anyhow::anyhow!("{} seconds apart from that of {whose}", apart.as_secs());
    Finding::bad("clock", says, "let both machines follow the same time server")
}

/// How much room there is where `folder` is, or will be made.
fn space(folder: &Path) -> Finding {
    let what = format!("space for {}", folder.display());
    match rustix::fs::statvfs(existing(folder)) {
        Err(error) => Finding::bad(what, std::io::Error::from(error), "see that the folder's disk is there"),
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let says = format!("{} MB free", free / 1_000_000);
            if free < LEAST_SPACE {
                Finding::bad(what, anyhow::anyhow!(says), "make room, or move the data to a larger disk")
            } else {
                Finding::good(what, says)
            }
        }
    }
}

/// A folder that results arrive in: it has to be there, and what was taken is moved or deleted.
fn watched(folder: &Path, now: Timestamp) -> Finding {
    if folder.is_dir() {
        return writable("watched folder", folder, now);
    }
    let says = anyhow::anyhow!("{} is not there", folder.display());
    Finding::bad("watched folder", says, "make it, or correct path in [[folder]]")
}

/// Writes a file in `folder` (or where it will be made), makes it durable and takes it away again; the time it is given
/// shows the clock of a file server.
fn writable(what: &str, folder: &Path, now: Timestamp) -> Finding {
    let place = existing(folder);
    let probe = place.join(format!(".postern-doctor-{}", std::process::id()));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&probe)?;
        file.write_all(b"x")?;
        file.sync_all()?;
        file.metadata()?.modified()
    };
    let written = write();
    let _ = std::fs::remove_file(&probe);
    let what = format!("{what} {}", folder.display());
    match written {
        Err(error) => Finding::bad(what, error, "let the user the gateway runs as write there"),
        Ok(time) => {
            let micros = time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros());
            let theirs = Timestamp(i64::try_from(micros).unwrap_or(i64::MAX));
            match clock("the disk", theirs, now) {
                Finding { verdict: Verdict::Good, .. } => Finding::good(what, "can be written"),
                bad => bad,
            }
        }
    }
}

/// `folder`, or the nearest folder above it that exists.
fn existing(folder: &Path) -> PathBuf {
    folder.ancestors().find(|place| place.is_dir()).unwrap_or(Path::new("/")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_half_a_minute_off_is_bad_in_either_direction() {
        let now = Timestamp(1_800_000_000_000_000);
        for (by, verdict) in [(0, Verdict::Good), (30, Verdict::Good), (31, Verdict::Bad)] {
            let by = Duration::from_secs(by);
            assert_eq!(clock("x", now.plus(by), now).verdict, verdict);
            assert_eq!(clock("x", now.minus(by), now).verdict, verdict);
        }
    }

    #[test]
    fn a_folder_that_does_not_exist_is_tried_where_it_will_be_made_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let now = Timestamp(
            i64::try_from(
                dir.path().metadata().unwrap().modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros(),
            )
            .unwrap(),
        );
        let found = writable("data folder", &dir.path().join("a/b"), now);
        assert_eq!(found.verdict, Verdict::Good, "{found:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(watched(&dir.path().join("a"), now).verdict, Verdict::Bad);
    }
}
