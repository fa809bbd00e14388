//! Whether the loads of the directory are young enough.

use super::Finding;
use crate::{cli::context::Context, domain::text::counted, store::directory::SnapshotState};

const RELOAD: &str = "download the source's newest file and load it with: postern directory import";

/// One finding for each load that answers everybody.
pub(super) async fn findings(context: &Context) -> Vec<Finding> {
    // A store that cannot be opened has its own finding.
    let Ok(store) = context.open_store().await else { return Vec::new() };
    let now = context.clock.now();
    let mut findings = Vec::new();
    for load in store.snapshots(None).await.unwrap_or_default() {
        if load.state != SnapshotState::Active || load.org.is_some() {
            continue;
        }
        let (what, days) = (format!("directory {}", load.source), load.age_days(now));
        findings.push(if load.is_overdue(now) {
            Finding::bad(what, anyhow::anyhow!("loaded {} ago", counted(days, "day", "days")), RELOAD)
        } else {
            Finding::good(what, format!("{}, loaded {} ago", counted(load.entries, "row", "rows"), counted(days, "day", "days")))
        });
    }
    store.close().await;
    findings
}
