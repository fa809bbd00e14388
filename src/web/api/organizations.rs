//! `/v1/organizations`: who there is, and a new one.

use axum::{
    Json,
    extract::{Query, Request, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{bad_query, on_record, organization::fields, wish};
use crate::{
    domain::{OrgScope, organization::OrganizationFile, person::Reach},
    source::Refusal,
    store::{changes, organization::Organization, price::ListedTerms, price::Price},
    web::{Problem, Web, auth::Caller},
};

fn as_json(organization: &Organization) -> Value {
    let file = &organization.file;
    let identities: Vec<_> = organization.identities.iter().map(|identity| &identity.address).collect();
    json!({ "id": organization.id, "slug": file.slug, "name": file.name, "mode": file.mode, "sites": file.sites.len(),
        "identities": identities })
}

/// Those the token may see.
///
/// # Errors
/// 401, 403, 503.
pub async fn list(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let all = web.intake.store().organizations(caller.scope).await?;
    Ok(Json(json!({ "organizations": all.iter().map(as_json).collect::<Vec<_>>() })))
}

/// How it is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct How {
    /// Say what would be, and make nothing.
    #[serde(default)]
    dry_run: bool,
}

/// Makes an organization of its document. Identities come with keys, so they are added on the machine itself.
///
/// # Errors
/// 400, 401, 403 (a token of an organization), 409 (it is there already: change it), 413, 415, 422, 503.
pub async fn create(
    State(web): State<Web>,
    caller: Caller,
    how: Result<Query<How>, QueryRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let Query(how) = how.map_err(bad_query)?;
    let file: OrganizationFile = wish(&web, caller.scope, request).await?;
    if caller.reach != Reach::Installation {
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "only a token of the installation makes organizations"));
    }
    file.check().map_err(fields)?;
    if !file.identities.is_empty() {
        let message = "come with certificates and keys: add them with postern org apply on the machine itself";
        return Err(Refusal::field("/identity", "invalid", message).into());
    }
    let own = file.sites.iter().position(|site| site.identity.is_some());
    if let Some(i) = own {
        return Err(Refusal::field(&format!("/site/{i}/identity"), "unknown", "names an address with no identity").into());
    }
    let store = web.intake.store();
    if store.organization_by_slug(OrgScope::All, &file.slug).await?.is_some() {
        let detail = "there is an organization of that name already: change it with PUT /v1/organization";
        return Err(Problem::new(StatusCode::CONFLICT, "exists", detail));
    }
    let mut changes = changes::of_files(None, &file);
    changes.extend(changes::of_prices(&[], &[], file.price.as_ref()).0);
    let mut told = json!({ "slug": file.slug, "applied": !how.dry_run, "dry_run": how.dry_run, "changes": changes, "id": null });
    if how.dry_run {
        return Ok(Json(told).into_response());
    }
    on_record(&web, &caller, None, "new_organization", &file.slug).await?;
    told["id"] = json!(store.apply_organization(&file, &[]).await?);
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

/// Its prices on record, those to come among them: none is ever removed.
///
/// # Errors
/// 400, 401, 403, 503.
pub async fn prices(State(web): State<Web>, caller: Caller) -> Result<Json<Value>, Problem> {
    let (org, store) = (caller.sender()?.org, web.intake.store());
    let with = |mut shown: Value, currency: Value| {
        shown["currency"] = currency;
        shown
    };
    let (prices, terms) = (store.prices(org).await?, store.terms(org).await?);
    let prices: Vec<Value> = prices.iter().map(|Price { currency, rate, .. }| with(json!(rate), json!(currency))).collect();
    let terms: Vec<Value> = terms.iter().map(|ListedTerms { currency, terms }| with(json!(terms), json!(currency))).collect();
    Ok(Json(json!({ "prices": prices, "terms": terms })))
}
