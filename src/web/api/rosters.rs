//! `/v1/rosters`: who the primary care provider of a payer's members is.

use std::collections::HashMap;

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_query, on_record};
use crate::{
    observe::chain,
    resolve::roster::{self, Column, CsvRoster, Guard, RosterError},
    web::{Problem, Web, auth::Caller, upload},
};

/// Most octets of the list of rows that were left out which an answer carries.
const LISTED: usize = 200_000;

/// The versions, the latest first.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn list(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let all = web.intake.store().rosters(caller.sender()?.org).await?;
    let line = |roster: crate::store::roster::Roster| {
        json!({ "roster": roster.id, "source": roster.source, "state": roster.state, "lines": roster.lines,
            "members": roster.members, "loaded_at": roster.loaded_at.to_string() })
    };
    Ok(Json(json!({ "rosters": all.into_iter().map(line).collect::<Vec<_>>() })))
}

/// How a roster is read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// What columns are called here: `npi=pcp,from=start`.
    columns: Option<String>,
    /// Even if it is empty, or much different from the one in force.
    #[serde(default)]
    force: bool,
    /// Only say what it would change.
    #[serde(default)]
    dry_run: bool,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// Loads a roster in the place of the one before. The body is the file, `text/csv`.
///
/// # Errors
/// 400, 401, 403, 408, 409 (it is too different: nothing has changed), 413, 415, 422 (it cannot be read), 429, 503.
pub async fn load(
    State(web): State<Web>,
    caller: Caller,
    how: Result<Query<How>, QueryRejection>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let org = caller.sender()?.org;
    let Query(how) = how.map_err(bad_query)?;
    let bad = || {
        let known =
            "columns must be WHAT=NAME, with WHAT one of member_id, npi, from, to, plan_id, birth_date, and commas between";
        Problem::new(StatusCode::BAD_REQUEST, "bad_query", known)
    };
    let mut columns: HashMap<Column, String> = HashMap::new();
    for pair in how.columns.as_deref().into_iter().flat_map(|all| all.split(',')) {
        let (what, name) = pair.split_once('=').ok_or_else(bad)?;
        columns.insert(Column::named(what.trim()).ok_or_else(bad)?, name.to_owned());
    }
    // The place is kept until the roster is loaded: its rows are in memory as long.
    let upload = upload::csv(&web, org, request).await?;
    let file = &upload.json;
    let what = if how.dry_run { "roster_looked_at" } else { "roster" };
    on_record(&web, &caller, Some(org), what, &format!("{} octets", file.len())).await?;
    let mut rejects = Vec::new();
    let rows = CsvRoster::new(&**file, &columns).map_err(problem)?;
    let guard = Guard { force: how.force, ..Guard::default() };
    let (store, mut silent) = (web.intake.store(), |_| {});
    let (mut told, rejected) = if how.dry_run {
        let seen = roster::look(store, org, rows, &mut rejects, guard, &mut silent).await.map_err(problem)?;
        let told = json!({ "roster": null, "lines": seen.progress.taken, "members": seen.members, "before": seen.before,
            "changes": seen.changes, "refused": seen.refused.as_ref().map(|why| chain(why)), "dry_run": true });
        (told, seen.progress.rejected)
    } else {
        let loaded = roster::load(store, org, "API", rows, &mut rejects, guard, &mut silent).await.map_err(problem)?;
        let told = json!({ "roster": loaded.roster, "lines": loaded.progress.taken, "members": loaded.members,
            "before": loaded.before, "changes": null, "refused": null, "dry_run": false });
        (told, loaded.progress.rejected)
    };
    rejects.truncate(if rejected > 0 { LISTED } else { 0 });
    told["rejected"] = rejected.into();
    told["rejects"] = String::from_utf8_lossy(&rejects).into();
    Ok(Json(told))
}

fn problem(error: RosterError) -> Problem {
    let (status, code) = match error {
        RosterError::Store(error) => return error.into(),
        RosterError::Moved { .. } | RosterError::Rejected { .. } | RosterError::Empty { .. } => {
            (StatusCode::CONFLICT, "too_different")
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "bad_file"),
    };
    Problem::new(status, code, chain(&error))
}
