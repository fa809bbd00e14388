//! The hand-over: against a server that misbehaves, against the practice HISP, and against a real Postfix.

mod hisp;
mod hisp_command;
mod misbehaving;
mod postfix;

use std::{path::Path, time::Duration};

use postern::{
    config::relay::{RelaySettings, TlsMode},
    domain::{DirectAddress, time::Span},
    send::{GoAhead, Job, Login, Outcome, Relay},
};

/// Small settings for a relay at `port` of this machine.
fn settings(port: u16, tls: TlsMode) -> RelaySettings {
    let text = format!("name = \"r\"\nhost = \"localhost\"\nport = {port}\ntls = \"{tls}\"\nhelo = \"gateway.example\"");
    toml::from_str(&text).unwrap()
}

/// The same with every deadline at `millis`.
fn hasty(port: u16, tls: TlsMode, millis: u64) -> RelaySettings {
    let mut settings = settings(port, tls);
    let short = Span(Duration::from_millis(millis));
    let t = &mut settings.timeouts;
    for limit in [
        &mut t.connect,
        &mut t.greeting,
        &mut t.ehlo,
        &mut t.tls,
        &mut t.auth,
        &mut t.mail,
        &mut t.rcpt,
        &mut t.data,
        &mut t.block,
        &mut t.body,
        &mut t.reply,
    ] {
        *limit = short;
    }
    settings.breaker_after = 1_000;
    settings
}

fn with_ca(mut settings: RelaySettings, ca: &Path) -> RelaySettings {
    settings.ca_file = Some(ca.to_owned());
    settings
}

fn address(text: &str) -> DirectAddress {
    text.parse().unwrap()
}

const MESSAGE: &[u8] = b"From: results@lab.example\r\nSubject: x\r\n\r\nhello\r\n.dot\r\n";

/// Sends `MESSAGE` as the relay's own client.
async fn send(relay: &Relay) -> Outcome {
    send_message(relay, MESSAGE).await
}

async fn send_message(relay: &Relay, message: &[u8]) -> Outcome {
    let (from, to) = (address("results@lab.example"), address("pcp@clinic.example"));
    let job = Job::new(&from, &to, message).unwrap();
    relay.send(&job, Login::Relay, || async { GoAhead::Go }).await
}

/// One word for each kind of outcome.
fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Deferred { .. } => "deferred",
        Outcome::Refused { .. } => "refused",
        Outcome::Lost { .. } => "lost",
        Outcome::NotSent => "not sent",
        Outcome::RelayDown { .. } => "relay down",
    }
}
