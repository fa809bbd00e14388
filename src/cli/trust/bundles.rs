//! `postern trust bundles`: sets of anchors that somebody else keeps.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{self, Global, Output, Whose, scope, slugs, with_store},
        print, read, say,
        table::{Rows, clean, print_json, time},
    },
    domain::{OrgScope, Timestamp, time::Span},
    observe::chain,
    store::{
        bundle::{Bundle, BundleAnchor, NewBundle},
        trust::AnchorUse,
    },
    trust::{
        Certificate,
        bundle::{self, refresh},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Bundles {
    /// Import a bundle of anchors (PKCS#7 or PEM) from a file or a URL
    ///
    /// One with a URL is fetched again every --refresh by the running gateway. When it cannot be had, or has lost more of its
    /// anchors than --most-lost allows, what is in force stays, and the list shows why. A bundle of that name is replaced.
    Import(Import),
    /// List them: how many anchors, how old, and the last error
    List(List),
    /// Fetch one, or all, now
    Refresh(Refresh),
    /// Remove one with its anchors
    Remove(Remove),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("from").required(true).args(["url", "file"])))]
pub(super) struct Import {
    /// Who believes its anchors
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// What to call it
    #[arg(long)]
    name: String,
    /// For sealing to recipients (send), for mail that comes in (receive), or both
    #[arg(long = "use", value_name = "USE", default_value_t = AnchorUse::Both)]
    used_for: AnchorUse,
    /// Where it is published: https://...
    #[arg(long)]
    url: Option<String>,
    /// The certificate that must have signed it, PEM or DER; without it anybody who can change what the URL gives is believed
    #[arg(long, value_name = "FILE")]
    signer: Option<PathBuf>,
    /// How often it is fetched again
    #[arg(long, default_value = "24h")]
    refresh: Span,
    /// Percent of its anchors that may go at once without a person
    #[arg(long, value_name = "PERCENT", default_value_t = 20, value_parser = clap::value_parser!(u8).range(0..=100))]
    most_lost: u8,
    /// Allow plain http and private addresses: for a server on the same machine or network
    #[arg(long)]
    internal: bool,
    /// Take it though it has lost more anchors than that
    #[arg(long)]
    accept_shrink: bool,
    #[command(flatten)]
    output: Output,
    /// The bundle: PKCS#7 in DER or PEM, signed or not, or certificates in PEM
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Refresh {
    /// Whose
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Take it though it has lost more anchors than it may
    #[arg(long)]
    accept_shrink: bool,
    /// Which; without it all that have a URL
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct Remove {
    /// Whose
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Which
    name: String,
}

pub(super) fn run(command: &Bundles, global: &Global) -> anyhow::Result<Exit> {
    match command {
        Bundles::Import(args) => import(args, global),
        Bundles::List(args) => list(args, global),
        Bundles::Refresh(args) => refresh_now(args, global),
        Bundles::Remove(args) => remove(args, global),
    }
}

fn import(args: &Import, global: &Global) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.refresh.0.as_secs() >= 60, "--refresh must be at least 60s");
    anyhow::ensure!(!args.name.is_empty() && args.name.len() <= 100, "--name must have 1 to 100 octets");
    if let Some(url) = &args.url {
        anyhow::ensure!(args.internal || url.starts_with("https://"), "--url must begin with https:// (or say --internal)");
        anyhow::ensure!(!url.contains('@'), "--url must not carry a password");
    }
    let signer = args.signer.as_ref().map(|file| read(file)).transpose()?;
    let signer = signer.map(|bytes| Certificate::read_all(&bytes)).transpose().context("cannot use --signer")?;
    let signer = signer.and_then(|all| all.into_iter().next());
    with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let now = context.clock.now();
        let bytes = match (&args.file, &args.url) {
            (Some(file), _) => Ok(read(file)?),
            (None, Some(url)) => refresh::fetch(url, args.internal).await,
            (None, None) => anyhow::bail!("give a file or --url"),
        };
        let content = match bytes.and_then(|bytes| Ok(bundle::read(&bytes, signer.as_ref(), now)?)) {
            Ok(content) => content,
            Err(error) => {
                say(&format!("refused: {}", clean(&chain(&error))));
                return Ok(Exit::Bad);
            }
        };
        let offered: Vec<BundleAnchor> = content.anchors.iter().map(bundle::stored).collect();
        let known = store.bundles(OrgScope::One(organization.id)).await?.into_iter().find(|known| known.name == args.name);
        if let Some(known) = known.filter(|_| !args.accept_shrink) {
            let in_force = store.bundle_anchors(known.org, known.id).await?;
            if let Err(error) = refresh::guard(&in_force, &offered, args.most_lost, now) {
                say(&format!("refused: {error}"));
                return Ok(Exit::Bad);
            }
        }
        let new = NewBundle {
            name: args.name.clone(),
            used_for: args.used_for,
            url: args.url.clone(),
            internal: args.internal,
            signer: signer.as_ref().map(|signer| signer.der().to_vec()),
            refresh: args.refresh.0,
            most_lost: args.most_lost,
        };
        store.import_bundle(organization.id, &new, &offered, None).await?;
        for why in &content.left_out {
            say(&format!("left out: {}", clean(why)));
        }
        if args.output.json {
            print_json(
                &json!({ "name": new.name, "use": new.used_for, "anchors": offered.len(), "left_out": content.left_out }),
            )?;
        } else {
            print(&format!("{}: {} anchors for {}\n", clean(&new.name), offered.len(), new.used_for))?;
        }
        if new.url.is_some() && new.signer.is_none() {
            say("note: no --signer is set: whoever can change what the URL gives decides whom you believe");
        }
        Ok(Exit::Good)
    })
}

/// What a list says about one.
fn state(bundle: &Bundle, now: Timestamp) -> String {
    match (&bundle.error, bundle.shrunk_to, bundle.refreshed_at) {
        (_, Some(left), _) => format!("waits for you: it would shrink to {left}"),
        (Some(_), ..) => "failing".to_owned(),
        (None, _, Some(at)) if bundle.url.is_some() && now.since(at) > bundle.refresh * 2 => {
            "not refreshed: is a gateway running?".to_owned()
        }
        _ => String::new(),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs, now) = with_store(global, async |context, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.bundles(scope).await?, slugs(store).await?, context.clock.now()))
    })?;
    let slug = |bundle: &Bundle| slugs.get(&bundle.org).cloned().unwrap_or_default();
    if args.output.json {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let rows: Vec<_> = found
            .iter()
            .map(|bundle| {
                json!({ "organization": slug(bundle), "name": bundle.name, "use": bundle.used_for, "url": bundle.url,
                    "signed": bundle.signer.is_some(), "anchors": bundle.anchors, "refreshed_at": text(bundle.refreshed_at),
                    "age_seconds": bundle.refreshed_at.map(|at| now.since(at).as_secs()), "tried_at": text(bundle.tried_at),
                    "next_at": bundle.url.as_ref().map(|_| bundle.next_at.to_string()), "error": bundle.error,
                    "shrunk_to": bundle.shrunk_to })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if found.is_empty() {
        say("none is imported");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["organization", "bundle", "use", "anchors", "as of", "", "from"]);
    for bundle in &found {
        rows.push([
            slug(bundle),
            bundle.name.clone(),
            bundle.used_for.to_string(),
            bundle.anchors.to_string(),
            bundle.refreshed_at.map_or_else(String::new, time),
            state(bundle, now),
            bundle.url.clone().unwrap_or_else(|| "a file".to_owned()),
        ]);
    }
    rows.print()?;
    for bundle in &found {
        if let Some(error) = &bundle.error {
            say(&format!("{}: {}", clean(&bundle.name), clean(error)));
        }
    }
    Ok(Exit::Good)
}

fn refresh_now(args: &Refresh, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        let all = store.bundles(OrgScope::One(organization.id)).await?;
        let meant = |bundle: &&Bundle| match &args.name {
            Some(name) => bundle.name == *name,
            None => bundle.url.is_some(),
        };
        let meant: Vec<&Bundle> = all.iter().filter(meant).collect();
        if meant.is_empty() {
            say("there is no such bundle; postern trust bundles list shows those there are");
            return Ok(Exit::Bad);
        }
        let mut exit = Exit::Good;
        for bundle in meant {
            match refresh::refresh(store, bundle, args.accept_shrink).await {
                Ok(done) => print(&format!(
                    "{}: {} anchors, {} new, {} gone\n",
                    clean(&bundle.name),
                    done.anchors,
                    done.added,
                    done.removed
                ))?,
                Err(error) => {
                    say(&format!("{}: {}", clean(&bundle.name), clean(&chain(&error))));
                    exit = Exit::Bad;
                }
            }
        }
        Ok(exit)
    })
}

fn remove(args: &Remove, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        if store.remove_bundle(organization.id, &args.name, None).await? {
            say(&format!("removed {}", clean(&args.name)));
            Ok(Exit::Good)
        } else {
            say("there is no such bundle; postern trust bundles list shows those there are");
            Ok(Exit::Bad)
        }
    })
}
