//! `postern trust peers`: what recipient domains have shown they can open.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{self, Global, Output, Whose, scope, slugs, with_store},
        say,
        table::{Rows, clean, print_json, time, word},
    },
    store::peer::Peer,
};

#[derive(Debug, Subcommand)]
pub(super) enum Peers {
    /// List what each has shown an organization; a [[peer]] of its file wins over it
    List(List),
    /// Forget what a domain has shown an organization: its system was replaced by one that can do less
    ///
    /// It gets RSA PKCS#1 v1.5 and AES-256-CBC again, or what the organization's profile says, until it shows more.
    Forget(Forget),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Forget {
    /// Whose
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Which domain
    domain: String,
}

pub(super) fn run(command: &Peers, global: &Global) -> anyhow::Result<Exit> {
    match command {
        Peers::List(args) => list(args, global),
        Peers::Forget(args) => forget(args, global),
    }
}

fn forget(args: &Forget, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        if store.forget_peer(organization.id, &args.domain).await? {
            say(&format!("forgotten what {} has shown; a running gateway follows within seconds", clean(&args.domain)));
            Ok(Exit::Good)
        } else {
            say("it has shown nothing; postern trust peers list shows those that have");
            Ok(Exit::Bad)
        }
    })
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.peers(scope).await?, slugs(store).await?))
    })?;
    let slug = |peer: &Peer| slugs.get(&peer.org).cloned().unwrap_or_default();
    if args.output.json {
        let rows: Vec<_> = found
            .iter()
            .map(|peer| {
                json!({ "organization": slug(peer), "domain": peer.domain, "key_transport": peer.shown.key_transport, "cipher": peer.shown.cipher,
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
    let mut rows = Rows::new(&["organization", "domain", "key transport", "cipher", "its digest", "since"]);
    for peer in &found {
        let shown = peer.shown;
        let (transport, cipher, digest) = (word(shown.key_transport), word(shown.cipher), word(shown.digest));
        rows.push([slug(peer), peer.domain.clone(), transport, cipher, digest, time(peer.first_at)]);
    }
    rows.print()?;
    Ok(Exit::Good)
}
