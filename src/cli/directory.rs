//! `postern directory`: load the directory of addresses, and ask it.

/// `postern directory import`.
mod import;
/// What an organization has decided about addresses.
pub(in crate::cli) mod pins;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    context::{self, Context, Global, Output, with_store},
    say,
    table::{Rows, print_json, time, word},
};
use crate::{
    domain::{Npi, OrgId, Reason, Timestamp, route::DirectoryAnswer},
    store::{Store, directory::Snapshot},
};

/// The directory of Direct addresses: load it, ask it, decide what it leaves open
#[derive(Debug, Args)]
pub(crate) struct Directory {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(import::Import),
    Lookup(Lookup),
    Pin(pins::PinArgs),
    Unpin(pins::Unpin),
    Suppress(pins::Suppress),
    Unsuppress(pins::Unsuppress),
    Pins(pins::Pins),
}

/// Ask what the directory has for an NPI, as routing would
///
/// Exit code 1 when it has no address.
#[derive(Debug, Args)]
struct Lookup {
    /// Ten digits
    npi: Npi,
    /// Show when this organization last delivered to each address
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(directory: &Directory, global: &Global) -> anyhow::Result<Exit> {
    match &directory.command {
        Command::Import(import) => import::run(import, global),
        Command::Pin(args) => pins::pin(args, global),
        Command::Unpin(args) => pins::unpin(args, global),
        Command::Suppress(args) => pins::suppress(args, global),
        Command::Unsuppress(args) => pins::unsuppress(args, global),
        Command::Pins(args) => pins::pins(args, global),
        Command::Lookup(lookup) => {
            let (answer, snapshot) = with_store(global, async |context, store| ask(lookup, context, store).await)?;
            show(lookup, &answer, snapshot.as_ref())
        }
    }
}

async fn ask(lookup: &Lookup, context: &Context, store: &Store) -> anyhow::Result<(DirectoryAnswer, Option<Snapshot>)> {
    // Without an organization nobody's experience is asked for.
    let org = match &lookup.organization {
        Some(slug) => context::organization(store, slug).await?.id,
        None => OrgId(uuid::Uuid::nil()),
    };
    let answer = store.look_up(org, &lookup.npi, context.config().directory.max_age).await?;
    Ok((answer, store.active_snapshot().await?))
}

fn show(lookup: &Lookup, answer: &DirectoryAnswer, snapshot: Option<&Snapshot>) -> anyhow::Result<Exit> {
    let (reason, says) = match answer {
        DirectoryAnswer::Found { .. } => (None, String::new()),
        DirectoryAnswer::NoAddress(_) => (Some(Reason::NoAddress), Reason::NoAddress.meaning().to_owned()),
        DirectoryAnswer::Inactive(_) => (Some(Reason::NpiInactive), Reason::NpiInactive.meaning().to_owned()),
        DirectoryAnswer::NotFound(_) => (Some(Reason::NpiUnknown), Reason::NpiUnknown.meaning().to_owned()),
        DirectoryAnswer::NotConfigured => {
            (Some(Reason::DirectoryUnavailable), "no directory is loaded; load one with: postern directory import".to_owned())
        }
        DirectoryAnswer::Unavailable { why } => (Some(Reason::DirectoryUnavailable), why.clone()),
    };
    let entries = if let DirectoryAnswer::Found { entries, .. } = answer { &entries[..] } else { &[] };
    let last = |entry: &crate::domain::route::DirectoryEntry| entry.last_success.map(|at| time(Timestamp(at)));
    if lookup.output.json {
        let rows: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({ "address": entry.address, "organization": entry.affiliation.name, "organization_npi": entry.affiliation.npi,
                        "last_success": entry.last_success.map(|at| Timestamp(at).to_string()) })
            })
            .collect();
        let snapshot = snapshot.map(|snapshot| {
            json!({ "id": snapshot.id, "source": snapshot.source, "entries": snapshot.entries, "loaded_at": snapshot.loaded_at.to_string() })
        });
        print_json(&json!({ "npi": lookup.npi, "reason": reason, "entries": rows, "snapshot": snapshot }))?;
    } else if !entries.is_empty() {
        let mut rows = Rows::new(&["address", "organization", "organization npi", "last delivered"]);
        for entry in entries {
            rows.push([
                entry.address.to_string(),
                word(entry.affiliation.name.as_ref()),
                word(entry.affiliation.npi.as_ref()),
                word(last(entry)),
            ]);
        }
        rows.print()?;
    }
    if let Some(snapshot) = snapshot {
        say(&format!("from {}, {} rows, loaded {}", snapshot.source, snapshot.entries, time(snapshot.loaded_at)));
    }
    if let Some(reason) = reason {
        say(&format!("{} ({reason}): {says}", lookup.npi));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Good)
}
