//! `postern audit`: who did what.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    context::{Global, Output, Whose, organization, scope, slugs, with_store},
    print, say, shell,
    table::{Rows, print_json, time},
};
use crate::{
    domain::{
        OrgId, OrgScope,
        time::{Date, TimeZone},
    },
    observe::{events::DataExported, facts::Configured},
    store::audit::{AuditEvent, AuditFilter, INSTALLATION},
};

/// The audit trail: every sign-in, look at a patient, change and export, and who it was
///
/// Each organization has a chain of its own, and the installation has one: a line that is changed or taken away breaks it.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(List),
    Export(Export),
    Verify(Verify),
}

/// List what was done, newest first
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    /// From this day on (UTC)
    #[arg(long, value_name = "DAY")]
    from: Option<Date>,
    /// Before this day (UTC)
    #[arg(long, value_name = "DAY")]
    to: Option<Date>,
    /// By whom: as they sign in, or an id
    #[arg(long)]
    actor: Option<String>,
    /// What was done, e.g. `signed_in`
    #[arg(long)]
    action: Option<String>,
    /// To what: an id
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

/// Write a chain from its beginning, one JSON object on each line; that it was exported is its last line
#[derive(Debug, Args)]
struct Export {
    /// The organization's; without it the installation's
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
}

/// Verify the chains; exit code 1 when one is broken
#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(audit: &Audit, global: &Global) -> anyhow::Result<Exit> {
    match &audit.command {
        Command::List(args) => list(args, global),
        Command::Export(args) => export(args, global),
        Command::Verify(args) => verify(args, global),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let start = |day: Option<Date>| day.map(|day| TimeZone::utc().start_of(day));
    let filter = AuditFilter {
        from: start(args.from),
        to: start(args.to),
        actor: args.actor.clone(),
        action: args.action.clone(),
        object: args.object.clone(),
        before: None,
        limit: args.limit,
    };
    let (events, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.audit_events(scope, &filter).await?, slugs(store).await?))
    })?;
    if args.output.json {
        print_json(&events)?;
        return Ok(Exit::Good);
    }
    if events.is_empty() {
        say("nothing is on record that fits");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["when", "who", "from", "did", "to", "of", "how", "what else"]);
    for event in &events {
        let org = event.chain.parse().ok().and_then(|org: OrgId| slugs.get(&org).cloned()).unwrap_or_default();
        let who = if event.actor_name.is_empty() { event.actor_kind.to_string() } else { event.actor_name.clone() };
        let (at, object) = (time(event.at), format!("{} {}", event.object_kind, event.object).trim().to_owned());
        let (address, action, outcome) = (event.address.clone(), event.action.clone(), event.outcome.to_string());
        rows.push([at, who, address, action, object, org, outcome, facts(event)]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

/// What is not said in another column.
fn facts(event: &AuditEvent) -> String {
    let Some(all) = event.facts.as_object() else { return String::new() };
    let said = |value: &serde_json::Value| {
        value.as_str().is_none_or(|text| [&event.object, &event.chain].iter().any(|shown| *shown == text))
    };
    let left = all.iter().filter(|(_, value)| !said(value));
    left.map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or_default())).collect::<Vec<_>>().join(" ")
}

fn export(args: &Export, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |_, store| {
        let org = match &args.organization {
            Some(slug) => Some(organization(store, slug).await?.id),
            None => None,
        };
        // Before the first line is shown.
        store.witness(&shell::actor(), &DataExported { org, what: Configured("audit") }).await?;
        let mut after = 0;
        loop {
            let lines = store.audit_chain(org, after).await?;
            let Some(last) = lines.last() else { return Ok(()) };
            after = last.seq;
            for line in &lines {
                print(&(serde_json::to_string(line)? + "\n"))?;
            }
        }
    })?;
    Ok(Exit::Good)
}

fn verify(args: &Verify, global: &Global) -> anyhow::Result<Exit> {
    let found = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        let mut found = Vec::new();
        if scope == OrgScope::All {
            found.push((INSTALLATION.to_owned(), store.verify_audit(None).await?));
        }
        for organization in store.organizations(scope).await? {
            found.push((organization.file.slug, store.verify_audit(Some(organization.id)).await?));
        }
        Ok(found)
    })?;
    let good = found.iter().all(|(_, chain)| chain.is_ok());
    if args.output.json {
        let chains: Vec<_> =
            found.iter().map(|(name, chain)| json!({ "chain": name, "lines": chain.ok(), "broken_at": chain.err() })).collect();
        print_json(&json!({ "verified": good, "chains": chains }))?;
    } else {
        let mut rows = Rows::new(&["chain", "lines", "verdict"]);
        rows.right(&[1]);
        for (name, chain) in found {
            let (lines, verdict) = match chain {
                Ok(lines) => (lines.to_string(), "good".to_owned()),
                Err(line) => (String::new(), broken(line)),
            };
            rows.push([name, lines, verdict]);
        }
        rows.print()?;
    }
    Ok(if good { Exit::Good } else { Exit::Bad })
}

/// What a broken chain means.
pub(super) fn broken(line: i64) -> String {
    format!("the audit trail was changed: its chain breaks at line {line}")
}
