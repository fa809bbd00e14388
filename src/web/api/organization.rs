//! `GET` and `PUT /v1/organization`: the organization's rules as one document.

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::json;

use super::{bad_query, on_record};
use crate::{
    bill::payers::Standing,
    domain::{
        OrgId, OrgScope,
        organization::{BadOrganization, OrganizationFile, PriceList},
        person::Reach,
    },
    observe::events::DecisionMade,
    resolve::decisions,
    source::{Refusal, wire::FieldProblem},
    store::{StoreError, changes, rules::Rules},
    web::{Problem, Web, auth::Caller, upload},
};

/// How a change is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Say what would change, and change nothing.
    #[serde(default)]
    dry_run: bool,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

/// The rules in force: what `PUT` takes. Its `ETag` is the `If-Match` of a change.
///
/// # Errors
/// 401, 403.
pub async fn show(State(web): State<Web>, caller: Caller) -> Result<Response, Problem> {
    let steward = caller.steward()?;
    let Rules { file, mark } = web.intake.store().rules(steward.org).await?;
    Ok(tagged(StatusCode::OK, &mark, Json(file).into_response()))
}

/// Makes the organization what the document says: says what that changes, and with `dry_run` changes nothing. Identities come
/// with certificates and keys, so they are not changed here.
///
/// # Errors
/// 401, 403, 412 (somebody else has changed it), 413, 415, 422, 428 (no `If-Match`), 503.
pub async fn change(
    State(web): State<Web>,
    caller: Caller,
    how: Result<Query<How>, QueryRejection>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let steward = caller.steward()?;
    let Query(how) = how.map_err(bad_query)?;
    let upload = upload::read(&web, steward.org, request, false).await?;
    let store = web.intake.store();
    let Rules { file: before, mark } = store.rules(steward.org).await?;
    let after = read(&upload.json, &before)?;
    payers(&web, &caller.reach, steward.org, &before, &after).await?;
    let given = if_match(&headers)?;
    if given.is_none() && !how.dry_run {
        let detail = "send If-Match with the ETag of the rules you have read, so that nobody's change is undone unseen";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match_required", detail));
    }
    if given.as_ref().is_some_and(|given| *given != mark) {
        return Err(overtaken());
    }
    let mut changes = changes::of_files(Some(&before), &after);
    let (prices, terms) = (store.prices(steward.org).await?, store.terms(steward.org).await?);
    let (priced, kept) = changes::of_prices(&prices, &terms, after.price.as_ref());
    changes.extend(priced);
    let applied = !how.dry_run && !changes.is_empty();
    let mark = if applied {
        on_record(&web, &caller, Some(steward.org), "organization", &after.slug).await?;
        let whom = decisions::whom(&steward.name, "changed over the API")
            .map_err(|error| Refusal::new(422, "invalid", error.to_string()))?;
        let changed = store.change_rules(steward.org, &mark, &after, whom).await;
        let mark = changed.map_err(|error| if matches!(error, StoreError::Lost) { overtaken() } else { error.into() })?;
        DecisionMade { org: steward.org, result: None, rerouted: 0, what: crate::domain::choice::Decides::Rules }.emit();
        mark
    } else {
        mark
    };
    let told = json!({ "slug": after.slug, "applied": applied, "dry_run": how.dry_run, "changes": changes, "kept": kept });
    Ok(tagged(StatusCode::OK, &mark, Json(told).into_response()))
}

/// A sponsor pays for others, so it must be there; whoever is confined to organizations leaves who pays, and what, as it is.
///
/// # Errors
/// 422 by field, 503.
pub(in crate::web) async fn payers(
    web: &Web,
    reach: &Reach,
    org: OrgId,
    before: &OrganizationFile,
    after: &OrganizationFile,
) -> Result<(), Problem> {
    let store = web.intake.store();
    let terms = store.terms(org).await?;
    let problem =
        |field, code: &'static str, message: &str| FieldProblem { field, code: code.into(), message: message.to_owned() };
    let problems: Vec<FieldProblem> = if *reach == Reach::Installation {
        let named =
            |slug: &str| terms.iter().flat_map(|listed| &listed.terms.sponsor).any(|sponsor| sponsor.organization == slug);
        let known = store.slugs(OrgScope::All).await?;
        let unknown = |slug: &str| !named(slug) && !known.values().any(|known| known == slug);
        let all = after.price.iter().flat_map(PriceList::sponsors).filter(|(_, _, slug)| unknown(slug));
        let field = |i: usize, j: usize| format!("/price/terms/{i}/sponsor/{j}/organization");
        all.map(|(i, j, _)| problem(field(i, j), "unknown", "is no organization that is known here")).collect()
    } else {
        let (prices, today) = (store.prices(org).await?, before.time_zone.date_at(store.now().await?));
        let standing = Standing { list: before.price.as_ref(), prices: &prices, terms: &terms, today };
        let all = standing.not_yours(after.price.as_ref()).into_iter();
        all.map(|one| problem(one.field, "not_yours", one.message)).collect()
    };
    if problems.is_empty() { Ok(()) } else { Err(Refusal::fields(problems).into()) }
}

fn read(json: &[u8], before: &OrganizationFile) -> Result<OrganizationFile, Problem> {
    let field = |field: &str, code: &'static str, message: String| Refusal::field(field, code, message);
    let after: OrganizationFile = serde_json::from_slice(json)
        .map_err(|error| field("", "invalid", format!("does not read as an organization: {error}")))?;
    checked(&after, before)?;
    Ok(after)
}

/// Whether `after` may take the place of `before` by a change that brings no keys.
///
/// # Errors
/// 422 with what is wrong.
pub(in crate::web) fn checked(after: &OrganizationFile, before: &OrganizationFile) -> Result<(), Problem> {
    let field = |field: &str, code: &'static str, message: String| Refusal::field(field, code, message);
    if after.slug != before.slug {
        return Err(field("/slug", "immutable", "cannot be changed".to_owned()).into());
    }
    if after.identities != before.identities {
        let message = "come with certificates and keys: change them with postern org apply on the machine itself";
        return Err(field("/identity", "immutable", message.to_owned()).into());
    }
    after.check().map_err(fields)?;
    for (i, site) in after.sites.iter().enumerate() {
        let known = |address| before.sites.iter().filter_map(|site| site.identity.as_ref()).any(|known| known == address);
        if let Some(address) = &site.identity
            && !known(address)
            && !after.identities.iter().any(|identity| identity.address == *address)
        {
            let path = format!("/site/{i}/identity");
            return Err(field(&path, "unknown", "names an address with no identity".to_owned()).into());
        }
    }
    Ok(())
}

/// What is wrong with a document, by JSON pointer.
pub(super) fn fields(problems: Vec<BadOrganization>) -> Problem {
    let problem = |bad: BadOrganization| FieldProblem {
        field: format!("/{}", bad.field.replace(['.', '['], "/").replace(']', "")),
        code: "invalid".into(),
        message: bad.problem,
    };
    Refusal::fields(problems.into_iter().map(problem).collect()).into()
}

/// The one strong tag of `If-Match` (RFC 9110 13.1.1).
fn if_match(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = all.next() else { return Ok(None) };
    let tag = value.to_str().ok().map(str::trim).and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
    let bad =
        || Problem::new(StatusCode::BAD_REQUEST, "bad_if_match", "If-Match must be the ETag of the rules, once, with its quotes");
    tag.filter(|tag| all.next().is_none() && !tag.contains('"')).map(|tag| Some(tag.to_owned())).ok_or_else(bad)
}

fn overtaken() -> Problem {
    let detail = "the rules are others by now: read them again, and make the change on those";
    Problem::new(StatusCode::PRECONDITION_FAILED, "overtaken", detail)
}

fn tagged(status: StatusCode, mark: &str, mut response: Response) -> Response {
    *response.status_mut() = status;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{mark}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}
