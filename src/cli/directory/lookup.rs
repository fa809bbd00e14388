//! `postern directory lookup`: what each source says about an NPI, and what follows.

use clap::Args;

use crate::{
    cli::{
        Exit,
        context::{self, Context, Global, Output, with_store},
        say,
        table::{Rows, clean, print_json, time, word},
    },
    domain::{
        Npi, OrgId, Timestamp,
        directory::{Finding, Says, answer},
        route::{DirectoryAnswer, DirectoryEntry},
    },
    resolve::directory::{Live, findings, told},
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
    let entries = if let DirectoryAnswer::Found { entries, .. } = &answer { &entries[..] } else { &[] };
    if lookup.output.json {
        print_json(&told::json(&lookup.npi, findings))?;
    } else {
        show_entries(entries)?;
    }
    for finding in findings {
        let why = if let Says::Unavailable(why) = &finding.says { format!(" ({why})") } else { String::new() };
        let (source, name) = (finding.source, clean(&finding.name));
        say(&format!("{source} ({name}, {}): {}{}", time(finding.as_of), finding.says.word(), clean(&why)));
    }
    if let Some((reason, says)) = told::shortfall(&answer) {
        say(&format!("{} ({reason}): {}", lookup.npi, clean(&says)));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Good)
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
