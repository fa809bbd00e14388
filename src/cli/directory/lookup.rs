//! `postern directory lookup`: what each source says about an NPI, and what follows.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{self, Context, Global, Output, with_store},
        say,
        table::{Rows, clean, print_json, time, word},
    },
    domain::{
        Npi, OrgId, Reason, Timestamp,
        directory::{Finding, Says, answer},
        route::{DirectoryAnswer, DirectoryEntry},
    },
    resolve::directory::{Live, findings},
    store::Store,
};

/// Ask what the directory has for an NPI, as routing would
///
/// Shows what every source says: each load in force and, where these have nothing, each live directory. Exit code 1 when there
/// is no address.
#[derive(Debug, Args)]
pub(crate) struct Lookup {
    /// Ten digits
    npi: Npi,
    /// As this organization: with its own list, and when it last delivered to each address
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(lookup: &Lookup, global: &Global) -> anyhow::Result<Exit> {
    let findings = with_store(global, async |context, store| ask(lookup, context, store).await)?;
    show(lookup, &findings)
}

async fn ask(lookup: &Lookup, context: &Context, store: &Store) -> anyhow::Result<Vec<Finding>> {
    // Without an organization nobody's experience is asked for.
    let org = match &lookup.organization {
        Some(slug) => context::organization(store, slug).await?.id,
        None => OrgId(uuid::Uuid::nil()),
    };
    let live = Live::new(&context.config().live_directory, store.clone());
    Ok(findings(store, &live, org, &lookup.npi, context.config().directory.max_age).await?)
}

fn show(lookup: &Lookup, findings: &[Finding]) -> anyhow::Result<Exit> {
    let answer = answer(findings.to_vec());
    let (reason, says) = match &answer {
        DirectoryAnswer::Found { .. } => (None, String::new()),
        DirectoryAnswer::NoAddress(_) => (Some(Reason::NoAddress), Reason::NoAddress.meaning().to_owned()),
        DirectoryAnswer::Inactive(_) => (Some(Reason::NpiInactive), Reason::NpiInactive.meaning().to_owned()),
        DirectoryAnswer::NotFound(_) => (Some(Reason::NpiUnknown), Reason::NpiUnknown.meaning().to_owned()),
        DirectoryAnswer::NotConfigured => {
            (Some(Reason::DirectoryUnavailable), "no directory is loaded; load one with: postern directory import".to_owned())
        }
        DirectoryAnswer::Unavailable { why } => (Some(Reason::DirectoryUnavailable), why.clone()),
    };
    let entries = if let DirectoryAnswer::Found { entries, .. } = &answer { &entries[..] } else { &[] };
    if lookup.output.json {
        let sources: Vec<_> = findings
            .iter()
            .map(|finding| {
                let why = if let Says::Unavailable(why) = &finding.says { Some(why) } else { None };
                json!({ "source": finding.source, "name": finding.name, "snapshot": finding.snapshot,
                        "as_of": finding.as_of.to_string(), "says": finding.says.word(), "why": why })
            })
            .collect();
        let entries: Vec<_> = entries.iter().map(as_json).collect();
        print_json(&json!({ "npi": lookup.npi, "reason": reason, "entries": entries, "sources": sources }))?;
    } else {
        show_entries(entries)?;
    }
    for finding in findings {
        let why = if let Says::Unavailable(why) = &finding.says { format!(" ({why})") } else { String::new() };
        let (source, name) = (finding.source, clean(&finding.name));
        say(&format!("{source} ({name}, {}): {}{}", time(finding.as_of), finding.says.word(), clean(&why)));
    }
    if let Some(reason) = reason {
        say(&format!("{} ({reason}): {}", lookup.npi, clean(&says)));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Good)
}

fn as_json(entry: &DirectoryEntry) -> serde_json::Value {
    let at = &entry.affiliation;
    json!({ "address": entry.address, "source": entry.source, "snapshot": entry.snapshot, "kind": entry.kind, "rank": entry.rank,
            "organization": at.name, "organization_npi": at.npi, "state": at.state, "postal_code": at.postal_code,
            "first_seen": Timestamp(entry.first_seen).to_string(), "last_seen": Timestamp(entry.last_seen).to_string(),
            "last_success": entry.last_success.map(|at| Timestamp(at).to_string()) })
}

fn show_entries(entries: &[DirectoryEntry]) -> anyhow::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let mut rows =
        Rows::new(&["address", "source", "kind", "organization", "organization npi", "place", "known since", "last delivered"]);
    for entry in entries {
        let at = &entry.affiliation;
        let place = [at.state.as_deref(), at.postal_code.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        rows.push([
            entry.address.to_string(),
            entry.source.to_string(),
            word(entry.kind),
            word(at.name.as_ref()),
            word(at.npi.as_ref()),
            place,
            time(Timestamp(entry.first_seen)),
            word(entry.last_success.map(|at| time(Timestamp(at)))),
        ]);
    }
    rows.print()
}
