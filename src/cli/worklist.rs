//! `postern worklist`: everything that needs a person, and what a person does about it.

/// `postern worklist resolve` and `postern worklist reroute`.
mod resolve;

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    context::{Global, Output, Whose, scope, slugs, with_store},
    print, say,
    table::{Rows, clean, print_json, time, word},
};
use crate::{
    domain::{Reason, ResultId},
    resolve::worklist::{Open, open},
    store::{
        Store,
        worklist::{WorkCursor, WorkFilter, WorkItem, WorkKind},
    },
};

/// Show everything that needs a person, oldest first, and what to do about it
///
/// Results that are held or wait, recipients of a routed result that could not be decided, deliveries that are held, were
/// refused, or wait in the queue for a certificate to believe, and items of a feed that could not be taken.
///
/// `worklist resolve ID` says what is to be done about one of them, and the results that wait for it flow again.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Worklist {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only what waits for this reason: its own, or that of one of its recipients
    #[arg(long)]
    reason: Option<Reason>,
    /// Only of this kind: result, recipient, delivery or parked
    #[arg(long)]
    kind: Option<WorkKind>,
    /// At most so many
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Go on after this item: the `cursor` of the last one, as --json gives it
    #[arg(long, value_name = "CURSOR")]
    after: Option<WorkCursor>,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    Resolve(resolve::Resolve),
    Reroute(resolve::Reroute),
}

pub(crate) fn run(worklist: &Worklist, global: &Global) -> anyhow::Result<Exit> {
    match &worklist.command {
        Some(Command::Resolve(args)) => resolve::resolve(args, global),
        Some(Command::Reroute(args)) => resolve::reroute(args, global),
        None => list(worklist, global),
    }
}

/// The recipients of a result that wait.
async fn recipients(store: &Store, item: &WorkItem) -> anyhow::Result<Vec<Open>> {
    let (WorkKind::Result | WorkKind::Recipient, Ok(id)) = (item.kind, item.id.parse::<ResultId>()) else {
        return Ok(Vec::new());
    };
    let state = match item.kind {
        WorkKind::Recipient => crate::domain::report::ResultState::Routed,
        _ => crate::domain::report::ResultState::Held,
    };
    Ok(open(state, &store.trace(item.org, id).await?))
}

fn list(worklist: &Worklist, global: &Global) -> anyhow::Result<Exit> {
    let (items, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, worklist.whose.organization.as_deref()).await?;
        let filter = WorkFilter {
            kind: worklist.kind,
            reason: worklist.reason,
            after: worklist.after.clone(),
            limit: Some(worklist.limit),
        };
        let mut items = Vec::new();
        for item in store.work_items(scope, &filter).await? {
            let recipients = recipients(store, &item).await?;
            items.push((item, recipients));
        }
        Ok((items, slugs(store).await?))
    })?;
    let slug = |item: &WorkItem| slugs.get(&item.org).cloned().unwrap_or_default();
    if worklist.output.json {
        let rows: Vec<_> = items
            .iter()
            .map(|(item, recipients)| {
                json!({ "organization": slug(item), "kind": item.kind, "id": item.id, "order_id": item.order_id, "reason": item.reason,
                        "meaning": item.reason.map(Reason::meaning), "remedy": item.reason.map(Reason::remedy),
                        "since": item.since.to_string(), "recipients": recipients, "cursor": item.cursor().to_string() })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if items.is_empty() {
        say("nothing needs a person");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["since", "organization", "what", "id", "order", "reason"]);
    for (item, _) in &items {
        let reason = word(item.reason);
        rows.push([time(item.since), slug(item), item.kind.to_string(), item.id.clone(), item.order_id.clone(), reason]);
    }
    rows.print()?;
    for (item, recipients) in items.iter().filter(|(_, recipients)| !recipients.is_empty()) {
        print(&format!("\n{}\n", item.id))?;
        for open in recipients {
            let npi = open.npi.as_ref().map_or_else(String::new, |npi| format!(" NPI {npi}"));
            let reason = open.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
            let among = if open.addresses.is_empty() { String::new() } else { format!(": {}", open.addresses.join(", ")) };
            print(&format!("  {}{}{reason}{}\n", clean(&open.recipient), clean(&npi), clean(&among)))?;
        }
    }
    for reason in items.iter().filter_map(|(item, _)| item.reason).collect::<BTreeSet<_>>() {
        print(&format!("\n{reason}: {}\n  to do: {}\n", reason.meaning(), reason.remedy()))?;
    }
    if items.iter().any(|(item, _)| item.kind == WorkKind::Parked) {
        print("\nparked: an item of a feed could not be taken\n  to do: postern parked show ID says what is wrong with it\n")?;
    }
    if items.len() == usize::try_from(worklist.limit).unwrap_or(usize::MAX) {
        say("there may be more: --limit shows more of them, --reason fewer");
    }
    Ok(Exit::Good)
}
