//! `/v1/directory`: what is known about an NPI, and what an organization has decided about addresses.

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_query, on_record};
use crate::{
    domain::{DirectAddress, Npi, OrgId, OrgScope, choice::Suppressed, time::Span},
    resolve::{
        deciding::{self, Ask, Came},
        decisions::{self, DecisionError},
        directory::{findings, told},
    },
    source::Refusal,
    store::StoreError,
    web::{Problem, Web, auth::Caller, upload},
};

/// Decisions shown, when somebody asks for the history.
const HISTORY: u32 = 200;

/// What every load, and where these have nothing every live directory, says about an NPI: as routing asks it for the caller's
/// organization. That there is no address is an answer: 200 with a `reason`.
///
/// # Errors
/// 401, 403, 404 (no NPI), 429, 503.
pub async fn look_up(State(web): State<Web>, caller: Caller, Path(npi): Path<String>) -> Result<Json<Value>, Problem> {
    // Without an organization nobody's own list, and nobody's experience, is asked for.
    let org = if let OrgScope::One(org) = caller.scope { org } else { OrgId(uuid::Uuid::nil()) };
    let detail = "the path must end with an NPI: ten digits, the last of which is a check digit";
    let npi: Npi = npi.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "npi_invalid", detail))?;
    let routing = &web.routing;
    // Strangers may be asked: so many at a time.
    let _turn = if routing.live.is_empty() { None } else { Some(web.turns.take(org).await?) };
    let found = findings(web.intake.store(), &routing.live, org, &npi, routing.max_age).await?;
    Ok(Json(told::json(&npi, &found)))
}

/// Which part is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The latest decisions too, those no longer in force among them.
    #[serde(default)]
    history: bool,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The pins and suppressions of an organization, and who decided them.
///
/// # Errors
/// 400, 401, 403.
pub async fn decided(
    State(web): State<Web>,
    caller: Caller,
    part: Result<Query<Part>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(part) = part.map_err(bad_query)?;
    let (org, store) = (caller.sender()?.org, web.intake.store());
    let organization = store.organization(org).await?.ok_or(StoreError::NoOrganization)?;
    let mut shown = deciding::in_force(store, &organization).await?;
    if part.history {
        shown["history"] = json!(store.decisions(org, None, HISTORY).await?);
    }
    Ok(Json(shown))
}

/// What is to be decided.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    action: Action,
    /// With `pin` and `unpin`.
    npi: Option<Npi>,
    /// With `pin`.
    address: Option<DirectAddress>,
    /// With `suppress` and `unsuppress`: an address, an NPI or a domain.
    what: Option<Suppressed>,
    /// With `suppress`: for so long, as in `30d`.
    #[serde(rename = "for")]
    lasting: Option<Span>,
    /// Why.
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Pin,
    Unpin,
    Suppress,
    Unsuppress,
}

impl Wish {
    fn ask(&self) -> Result<Ask, Refusal> {
        let needed = |field: &'static str| move || Refusal::field(field, "missing", "is needed for this action");
        let npi = || self.npi.clone().ok_or_else(needed("/npi"));
        let what = || self.what.clone().ok_or_else(needed("/what"));
        let (is_pin, is_suppress) =
            (matches!(self.action, Action::Pin | Action::Unpin), matches!(self.action, Action::Suppress | Action::Unsuppress));
        // What has no meaning with an action was meant for another one.
        for (given, field) in [
            (self.npi.is_some() && !is_pin, "/npi"),
            (self.address.is_some() && !matches!(self.action, Action::Pin), "/address"),
            (self.what.is_some() && !is_suppress, "/what"),
            (self.lasting.is_some() && !matches!(self.action, Action::Suppress), "/for"),
        ] {
            if given {
                return Err(Refusal::field(field, "invalid", "has no meaning with this action"));
            }
        }
        Ok(match self.action {
            Action::Pin => Ask::Pin(npi()?, self.address.clone().ok_or_else(needed("/address"))?),
            Action::Unpin => Ask::Unpin(npi()?),
            Action::Suppress => Ask::Suppress(what()?, self.lasting),
            Action::Unsuppress => Ask::Unsuppress(what()?),
        })
    }
}

/// Decides about an address for the caller's organization, as `postern directory pin`, `unpin`, `suppress` and `unsuppress` do.
/// With `dry_run` it only says what would come of it.
///
/// # Errors
/// 401, 403, 404 (nothing to take back), 409 (it stands in the organization's file), 413, 415, 422, 503.
pub async fn decide(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let steward = caller.steward()?;
    let upload = upload::read(&web, steward.org, request, false).await?;
    let unreadable = |error| Refusal::field("", "invalid", format!("does not say what is decided: {error}"));
    let wish: Wish = serde_json::from_slice(&upload.json).map_err(unreadable)?;
    let bad_reason = |error: DecisionError| Refusal::field("/reason", "invalid", error.to_string());
    let whom = decisions::whom(&steward.name, &wish.reason).map_err(bad_reason)?;
    let (ask, store) = (wish.ask()?, web.intake.store());
    let organization = store.organization(steward.org).await?.ok_or(StoreError::NoOrganization)?;
    if !wish.dry_run {
        on_record(&web, &caller, Some(steward.org), "address", &ask.about()).await?;
    }
    let came = deciding::carry_out(store, &organization, &ask, wish.dry_run, whom).await.map_err(|error| match error {
        DecisionError::Store(cause) => cause.into(),
        text @ DecisionError::Text { .. } => Problem::from(bad_reason(text)),
    })?;
    let nothing = |detail| Err(Problem::new(StatusCode::NOT_FOUND, "not_found", detail));
    match &came {
        Came::Unpinned { before: None, .. } => return nothing("nothing is pinned for this NPI"),
        Came::Lifted { lifted: false, in_file: true, .. } => {
            let detail = "it is suppressed by the organization's rules: change them with PUT /v1/organization";
            return Err(Problem::new(StatusCode::CONFLICT, "in_rules", detail));
        }
        Came::Lifted { lifted: false, in_file: false, .. } => return nothing("it is not suppressed"),
        _ => {}
    }
    let mut shown = json!(came);
    shown["dry_run"] = json!(wish.dry_run);
    Ok(Json(shown))
}
