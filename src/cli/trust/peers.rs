//! `postern trust peers`: what recipient domains have shown they can open.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::cli::{
    Exit,
    context::{Global, Output, with_store},
    say,
    table::{Rows, print_json, time, word},
};

#[derive(Debug, Subcommand)]
pub(super) enum Peers {
    /// List what each has shown; a [[peer]] of an organization file wins over it
    List(List),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(command: &Peers, global: &Global) -> anyhow::Result<Exit> {
    let Peers::List(args) = command;
    let found = with_store(global, async |_, store| Ok(store.peers().await?))?;
    if args.output.json {
        let rows: Vec<_> = found
            .iter()
            .map(|peer| {
                json!({ "domain": peer.domain, "key_transport": peer.shown.key_transport, "cipher": peer.shown.cipher,
                    "digest": peer.shown.digest, "first_at": peer.first_at.to_string(), "last_at": peer.last_at.to_string() })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if found.is_empty() {
        say(
            "no domain has shown anything yet: they get RSA PKCS#1 v1.5 and AES-256-CBC, or what their organization's profile says",
        );
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["domain", "key transport", "cipher", "its digest", "since"]);
    for peer in &found {
        let shown = peer.shown;
        rows.push([peer.domain.clone(), word(shown.key_transport), word(shown.cipher), word(shown.digest), time(peer.first_at)]);
    }
    rows.print()?;
    Ok(Exit::Good)
}
