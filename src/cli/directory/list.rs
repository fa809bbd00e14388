//! `postern directory list` and `postern directory rollback`: the loads in force, and the way back to the one before.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{self, Global, Output, Whose, slugs, with_store},
        print, say,
        table::{Rows, print_json, time},
    },
    domain::{route::DirectorySource, text::counted},
    store::directory::{Snapshot, SnapshotState},
};

/// List the loads of each source: which answers, how old it is, how many rows of which type
///
/// Exit code 1 when one that answers is overdue: older than 45 days (NPPES, NPD) or 14 (feeds).
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

/// Put the load before the one in force into force again
///
/// The one that was in force is kept: the same command once more goes back to it. Older loads are gone.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Which source: tenant_list, directtrust, npd, nppes, fhir, registry
    source: DirectorySource,
    /// The organization whose own list it is (for tenant_list)
    #[arg(long, value_name = "SLUG", required_if_eq("source", "tenant_list"))]
    organization: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(list: &List, global: &Global) -> anyhow::Result<Exit> {
    let (snapshots, slugs, now) = with_store(global, async |context, store| {
        let org = match &list.whose.organization {
            Some(slug) => Some(context::organization(store, slug).await?.id),
            None => None,
        };
        Ok((store.snapshots(org).await?, slugs(store).await?, context.clock.now()))
    })?;
    let slug = |snapshot: &Snapshot| snapshot.org.and_then(|org| slugs.get(&org).cloned());
    let overdue = |snapshot: &Snapshot| snapshot.state == SnapshotState::Active && snapshot.is_overdue(now);
    if list.output.json {
        let rows: Vec<_> = snapshots
            .iter()
            .map(|snapshot| {
                json!({ "source": snapshot.source, "organization": slug(snapshot), "snapshot": snapshot.id, "file": snapshot.file,
                        "state": snapshot.state, "loaded_at": snapshot.loaded_at.to_string(), "age_days": snapshot.age_days(now),
                        "overdue": overdue(snapshot), "rows": snapshot.entries, "types": snapshot.counts })
            })
            .collect();
        print_json(&rows)?;
    } else if snapshots.is_empty() {
        say("no directory is loaded; load one with: postern directory import");
    } else {
        let mut rows = Rows::new(&["source", "organization", "state", "loaded", "days", "rows", "file", "snapshot"]);
        for snapshot in &snapshots {
            rows.push([
                snapshot.source.to_string(),
                slug(snapshot).unwrap_or_default(),
                snapshot.state.to_string(),
                time(snapshot.loaded_at),
                format!("{}{}", snapshot.age_days(now), if overdue(snapshot) { " (overdue)" } else { "" }),
                snapshot.entries.to_string(),
                crate::cli::table::clean(&snapshot.file),
                snapshot.id.to_string(),
            ]);
        }
        rows.print()?;
    }
    Ok(if snapshots.iter().any(overdue) { Exit::Bad } else { Exit::Good })
}

pub(crate) fn roll_back(rollback: &Rollback, global: &Global) -> anyhow::Result<Exit> {
    let source = rollback.source;
    let active = with_store(global, async |_, store| {
        let org = match &rollback.organization {
            Some(slug) => Some(context::organization(store, slug).await?.id),
            None => None,
        };
        Ok(store.roll_back_snapshot(source, org).await?)
    })?;
    let Some(active) = active else {
        say(&format!("there is no load of {source} to go back to; postern directory list shows those there are"));
        return Ok(Exit::Bad);
    };
    if rollback.output.json {
        print_json(&json!({ "source": source, "snapshot": active.id, "file": active.file, "rows": active.entries }))?;
    } else {
        print(&format!(
            "{source}: {} of {}, loaded {}, in force again\n",
            counted(active.entries, "row", "rows"),
            active.file,
            time(active.loaded_at)
        ))?;
    }
    Ok(Exit::Good)
}
