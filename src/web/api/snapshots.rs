//! `/v1/directory/snapshots`: the loads of the directory, and how old they are; another one.

/// Another one.
mod load;

use axum::{Json, extract::State};
use serde_json::{Value, json};

pub use load::run as load;

use crate::{
    store::directory::SnapshotState,
    web::{Problem, Web, auth::Caller},
};

/// The loads of each source, the latest first: everybody's, and the organization's own.
///
/// # Errors
/// 401, 403, 503.
pub async fn list(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let store = web.intake.store();
    let now = store.clock().now();
    let all = store.snapshots(caller.scope.org()).await?;
    let told: Vec<Value> = all
        .iter()
        .map(|snapshot| {
            let overdue = snapshot.state == SnapshotState::Active && snapshot.is_overdue(now);
            json!({ "source": snapshot.source, "own": snapshot.org.is_some(), "snapshot": snapshot.id, "file": snapshot.file,
                "state": snapshot.state, "loaded_at": snapshot.loaded_at.to_string(), "age_days": snapshot.age_days(now),
                "overdue": overdue, "rows": snapshot.entries })
        })
        .collect();
    Ok(Json(json!({ "snapshots": told })))
}
