//! `postern worklist`: everything that needs a person, and what to do about it.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::{
    Exit,
    context::{Global, Output, Whose, scope, slugs, with_store},
    print, say,
    table::{Rows, print_json, time, word},
};
use crate::{domain::Reason, store::survey::WorkItem};

/// Show everything that needs a person, oldest first, and what to do about it
///
/// Results that are held or wait, recipients of a routed result that could not be decided, deliveries that are held, were
/// refused, or wait in the queue for a certificate to believe, and items of a feed that could not be taken.
#[derive(Debug, Args)]
pub(crate) struct Worklist {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(worklist: &Worklist, global: &Global) -> anyhow::Result<Exit> {
    let (items, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, worklist.whose.organization.as_deref()).await?;
        Ok((store.worklist(scope).await?, slugs(store).await?))
    })?;
    let slug = |item: &WorkItem| slugs.get(&item.org).cloned().unwrap_or_default();
    if worklist.output.json {
        let rows: Vec<_> = items
            .iter()
            .map(|item| {
                json!({ "organization": slug(item), "kind": item.kind, "id": item.id, "order_id": item.order_id, "reason": item.reason,
                        "meaning": item.reason.map(Reason::meaning), "remedy": item.reason.map(Reason::remedy),
                        "since": item.since.to_string() })
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
    for item in &items {
        let reason = word(item.reason);
        rows.push([time(item.since), slug(item), item.kind.to_owned(), item.id.clone(), item.order_id.clone(), reason]);
    }
    rows.print()?;
    for reason in items.iter().filter_map(|item| item.reason).collect::<BTreeSet<_>>() {
        print(&format!("\n{reason}: {}\n  to do: {}\n", reason.meaning(), reason.remedy()))?;
    }
    if items.iter().any(|item| item.kind == "parked") {
        print("\nparked: an item of a feed could not be taken\n  to do: postern parked show ID says what is wrong with it\n")?;
    }
    Ok(Exit::Good)
}
