//! `POST /v1/directory/snapshots`: a directory that is small enough for an upload takes the place of the one before: a flat file
//! of a HISP's, or with `organization` that one's own list. National files are loaded by command.

use std::io::Cursor;

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::super::{bad_query, on_record};
use crate::{
    crypto::{Hex, sha256},
    domain::{OrgId, route::DirectorySource},
    observe::chain,
    resolve::directory::{CsvDirectory, DirectoryError, Guard, Mapping, Terms, csv::Field, drain, load, rows::Sink},
    store::directory::NewSnapshot,
    web::{Problem, Web, auth::Caller, upload},
};

/// How it is read, and whether it is loaded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// What columns are called here: `npi=PROV_NPI,address=Direct`.
    columns: Option<String>,
    /// Even if it is empty, or much smaller than the one in force.
    #[serde(default)]
    force: bool,
    /// Read and judge it as a load would, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Whose own list it is; without one it answers for everybody: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

impl How {
    fn mapping(&self) -> Option<Mapping> {
        let mut mapping = Mapping::default();
        for pair in self.columns.as_deref().into_iter().flat_map(|all| all.split(',')) {
            let (field, column) = pair.split_once('=')?;
            mapping.set(field.trim().parse::<Field>().ok()?, column.trim());
        }
        Some(mapping)
    }
}

/// Loads a directory in the place of the one before of the same source. The body is the file, `text/csv`.
///
/// # Errors
/// 400, 401, 403, 404, 408, 409 (it is too much smaller: nothing has changed), 413, 415, 422 (it cannot be read), 429, 503.
pub async fn run(
    State(web): State<Web>,
    caller: Caller,
    how: Result<Query<How>, QueryRejection>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let Query(how) = how.map_err(bad_query)?;
    let known = "columns must be WHAT=NAME, with WHAT one of npi, address, organization, organization_npi, state, postal_code, rank, status, and commas between";
    let mapping = how.mapping().ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "bad_query", known))?;
    let org = caller.scope.org();
    // What is about no organization has the places of nobody.
    let upload = upload::csv(&web, org.unwrap_or(OrgId(Uuid::nil())), request).await?;
    let digest = Hex(&sha256(&upload.json)).to_string();
    if !how.dry_run {
        on_record(&web, &caller, org, "directory_load_asked", &digest).await?;
    }
    let source = if org.is_some() { DirectorySource::TenantList } else { DirectorySource::DirectTrust };
    let name = format!("API {}", digest.get(..16).unwrap_or_default());
    let new = NewSnapshot { source, org, file: &name };
    let content = upload.json.clone();
    let read = move |sink: Sink<'_>| drain(CsvDirectory::new(Cursor::new(content), &mapping)?, sink);
    let terms = Terms { guard: Guard { force: how.force, ..Guard::default() }, dry_run: how.dry_run, ..Terms::default() };
    let loaded = load(web.intake.store(), new, read, terms).await;
    if !how.dry_run {
        let came = if loaded.is_ok() { "directory_loaded" } else { "directory_not_loaded" };
        on_record(&web, &caller, org, came, &digest).await?;
    }
    let loaded = loaded.map_err(problem)?;
    let count = |(of, count): (&String, &crate::store::directory::TypeCount)| {
        (of.clone(), json!({ "rows": count.rows, "taken": count.taken }))
    };
    let counts: Map<String, Value> = loaded.counts.iter().map(count).collect();
    Ok(Json(json!({ "snapshot": loaded.snapshot, "dry_run": how.dry_run, "entries": loaded.entries, "rejected": loaded.rejected,
        "duplicates": loaded.duplicates, "webmail": loaded.webmail, "counts": counts })))
}

fn problem(error: DirectoryError) -> Problem {
    let (status, code) = match error {
        DirectoryError::Store(error) => return error.into(),
        DirectoryError::Shrunk { .. } | DirectoryError::Empty { .. } => (StatusCode::CONFLICT, "too_different"),
        DirectoryError::Sort(_) | DirectoryError::Rejects(_) | DirectoryError::Stopped => {
            tracing::error!(error = chain(&error), "a directory could not be loaded");
            return Problem::unavailable_now("it could not be loaded; what was in force still is");
        }
        _ => (StatusCode::UNPROCESSABLE_ENTITY, "bad_file"),
    };
    // The options of the command are parameters here.
    let detail = chain(&error).replace("load it with --force if that is right", "load it with force=true if that is right");
    Problem::new(status, code, detail.replace("which --map names", "which columns names"))
}
