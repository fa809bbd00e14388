//! `POST /v1/explain`: where results of an order go, or would go, and why. Stores and sends nothing.

use axum::{
    Json,
    extract::{Request, State},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    domain::{Order, OrgId, OrgScope, Report, person::Right, time::Date},
    observe::events::RosterAsked,
    pipeline::knowledge::{final_report, what_if},
    resolve::explain as words,
    source::{
        Refusal,
        wire::{self, FieldProblem},
    },
    store::{StoreError, organization::Organization},
    web::{Problem, Web, auth::Caller, upload},
};

/// What is asked. In the body, since an order's key may say something about a patient.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// What if this order had a finished result?
    order: Option<Value>,
    /// What if its result were this one? Its PDF is not needed.
    result: Option<Value>,
    /// Where did the results of this order go?
    order_id: Option<String>,
}

/// The route with its whole trace: of an order nobody has stored (`order`), or of every version of a stored one (`order_id`).
/// That a roster is asked about a member is on record.
///
/// # Errors
/// 401, 404, 408, 413, 415, 422, 429, 503.
pub async fn explain(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let sender = caller.sender()?;
    let upload = upload::read(&web, sender.org, request, false).await?;
    let unreadable = |_| Refusal::field("", "invalid", "must be an object with order (and result), or with order_id");
    let question: Question = serde_json::from_slice(&upload.json).map_err(unreadable)?;
    let organization = web.intake.store().organization(sender.org).await?.ok_or(StoreError::NoOrganization)?;
    match question {
        Question { order: Some(order), result, order_id: None } => {
            let today = organization.file.time_zone.date_at(web.intake.store().clock().now());
            let (mut order, report, mut warnings) = read(&order, result.as_ref(), sender.unknown, today)?;
            warnings.extend(roster(&web, &caller, organization.id, &mut order).await?);
            let route = route(&web, &organization, &order, &report).await?;
            Ok(Json(json!({ "route": words::json(&route), "warnings": warnings })))
        }
        Question { order: None, result: None, order_id: Some(order_id) } => {
            stored(&web, &organization, &order_id).await.map(Json)
        }
        _ => Err(Refusal::field("", "invalid", "must have either order (and result) or order_id").into()),
    }
}

fn read(
    order: &Value,
    result: Option<&Value>,
    unknown: wire::Unknown,
    today: Date,
) -> Result<(Order, Report, Vec<FieldProblem>), Problem> {
    let under = |parent: &str, problems: Vec<FieldProblem>| -> Vec<FieldProblem> {
        let deeper = |problem: FieldProblem| FieldProblem { field: format!("{parent}{}", problem.field), ..problem };
        problems.into_iter().map(deeper).collect()
    };
    let parsed =
        wire::order(order.to_string().as_bytes(), unknown, today).map_err(|all| Refusal::fields(under("/order", all)))?;
    let mut warnings = under("/order", parsed.warnings);
    let cancels = || Refusal::field("/order/action", "invalid", "cancels the order: nothing would be sent");
    let order = parsed.value.order().ok_or_else(cancels)?;
    let Some(result) = result else {
        let report = final_report(&order);
        return Ok((order, report, warnings));
    };
    let parsed =
        wire::result(result.to_string().as_bytes(), unknown, today).map_err(|all| Refusal::fields(under("/result", all)))?;
    warnings.extend(under("/result", parsed.warnings));
    let report = parsed.value.report;
    if (&report.order_id, &report.site) != (&order.order_id, &order.site) {
        return Err(Refusal::field("/result", "other_order", "is of another order or site than the order").into());
    }
    Ok((order, report, warnings))
}

/// A roster answers whoever names a member: whether it knows the number, whether the date of birth is right, who looks after the
/// member. So it is asked for those alone who see patients or hand orders in, and that is on record before it answers. For
/// others the member is taken off the order, and the answer says so.
async fn roster(web: &Web, caller: &Caller, org: OrgId, order: &mut Order) -> Result<Option<FieldProblem>, Problem> {
    let Some(plan) = order.health_plan.as_mut().filter(|plan| plan.member_id.is_some()) else { return Ok(None) };
    if caller.may(Right::PatientsReveal) || caller.may(Right::OrdersWrite) {
        web.intake.store().witness(&caller.actor, &RosterAsked { org }).await?;
        return Ok(None);
    }
    plan.member_id = None;
    let field = "/order/health_plan/member_id".to_owned();
    let message = "was left out: to ask the roster about a member takes the right patients:reveal or orders:write".to_owned();
    Ok(Some(FieldProblem { field, code: "not_asked".into(), message }))
}

async fn route(
    web: &Web,
    organization: &Organization,
    order: &Order,
    report: &Report,
) -> Result<crate::domain::route::Route, Problem> {
    let (store, routing) = (web.intake.store(), &web.routing);
    // Strangers may be asked about every NPI of the order: so many at a time, as for a look-up.
    let _turn = if routing.live.is_empty() { None } else { Some(web.turns.take(organization.id).await?) };
    Ok(what_if(store, &routing.live, organization, order, report, routing.max_age, &routing.test_domains).await?)
}

async fn stored(web: &Web, organization: &Organization, order_id: &str) -> Result<Value, Problem> {
    let store = web.intake.store();
    let mut results = Vec::new();
    for view in store.results_of_order(OrgScope::One(organization.id), order_id).await? {
        let route = words::stored(view.state, view.reason, store.trace(view.org, view.id).await?);
        let decisions = store.decisions(view.org, Some(view.id), 50).await?;
        results.push(json!({ "result": view.id, "version": view.version, "status": view.status, "state": view.state,
            "reason": view.reason, "route": route.as_ref().map(words::json), "decisions": decisions }));
    }
    if !results.is_empty() {
        return Ok(json!({ "order_id": order_id, "results": results }));
    }
    let known = store.find_order(organization.id, order_id).await?;
    let (_, order) = known.ok_or_else(|| Refusal::not_found("order"))?;
    let route = route(web, organization, &order, &final_report(&order)).await?;
    Ok(json!({ "order_id": order_id, "results": [], "route": words::json(&route) }))
}
