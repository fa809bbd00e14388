//! `postern hisp`: a practice HISP, and its mailboxes.

mod certificate;
mod look;
mod serve;
mod sink;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Exit;

/// Everything about the practice HISP.
#[derive(Debug, Subcommand)]
pub(crate) enum Hisp {
    /// Run it until Ctrl-C
    Serve(serve::Serve),
    /// Issue a certificate and key for an address or a domain
    Certificate(certificate::Certificate),
    /// List what has arrived
    List(look::List),
    /// Show one message in words
    Show(look::Show),
    /// Take the PDF out of a message
    Extract(look::Extract),
    /// Take every message over TLS and keep none: what a benchmark sends to
    #[command(hide = true)]
    Sink(sink::Sink),
}

/// Where it keeps everything.
#[derive(Debug, Args)]
pub(crate) struct Folder {
    /// Folder of the practice HISP: its mailboxes, authority and password
    #[arg(long, value_name = "DIR", env = "POSTERN_HISP_DIR", default_value = "hisp")]
    dir: PathBuf,
}

impl Folder {
    fn mail(&self) -> PathBuf {
        self.dir.join("mail")
    }
}

pub(crate) fn run(hisp: &Hisp) -> anyhow::Result<Exit> {
    match hisp {
        Hisp::Serve(serve) => serve::run(serve),
        Hisp::Certificate(certificate) => certificate::run(certificate),
        Hisp::List(list) => look::list(list),
        Hisp::Show(show) => look::show(show),
        Hisp::Extract(extract) => look::extract(extract),
        Hisp::Sink(sink) => sink::run(sink),
    }
}
