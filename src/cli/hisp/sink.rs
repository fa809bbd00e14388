//! `postern hisp sink`: the other end of a benchmark, in a process of its own.

use std::{io::Read as _, path::PathBuf, sync::atomic::Ordering};

use anyhow::Context as _;
use clap::Args;

use crate::{
    cli::{Exit, block_on, print},
    net::tls::self_signed,
    sandbox,
};

/// Take every message over TLS from the first byte, keep none, count them
///
/// Prints `{"address":"127.0.0.1:PORT"}` once it listens. When its standard input ends it prints
/// `{"messages":N,"bytes":N}` and leaves.
#[derive(Debug, Args)]
pub(crate) struct Sink {
    /// Port; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    port: u16,
    /// Where its certificate (for localhost) is written, to be used as `ca_file`
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
}

pub(super) fn run(sink: &Sink) -> anyhow::Result<Exit> {
    let tls = self_signed(&["localhost", "127.0.0.1"], 7)?;
    std::fs::write(&sink.certificate, &tls.certificate).with_context(|| format!("writing {}", sink.certificate.display()))?;
    block_on(async {
        let running = sandbox::sink::Sink::start(sink.port, &tls).await?;
        print(&format!("{}\n", serde_json::json!({ "address": running.address.to_string() })))?;
        let waited = tokio::task::spawn_blocking(|| std::io::stdin().lock().read_to_end(&mut Vec::new())).await;
        waited.context("waiting for the end")?.context("reading standard input")?;
        let (messages, bytes) = (&running.taken.messages, &running.taken.bytes);
        let counts = serde_json::json!({ "messages": messages.load(Ordering::Relaxed), "bytes": bytes.load(Ordering::Relaxed) });
        print(&format!("{counts}\n"))?;
        Ok(Exit::Good)
    })?
}
