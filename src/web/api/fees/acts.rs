//! `POST /v1/fees/periods/{month}/close` and `POST /v1/fees/adjust`: what a biller does. On record before it is done.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{on_record, wish},
    nothing,
};
use crate::{
    bill::closing,
    domain::{DeliveryId, Money, Month, OrgScope, id::LedgerLineId, prices::closing::Row},
    source::Refusal,
    store::{
        StoreError,
        ledger::{
            LedgerLine,
            adjust::{AdjustError, Corrected, Correction},
            close::Close,
        },
    },
    web::{Problem, Web, auth::Caller},
};

/// How a month is closed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Wish {
    dry_run: bool,
    /// Within its grace, or with deliveries still on their way.
    force: bool,
}

fn row(row: &Row) -> Value {
    let group = &row.group;
    json!({ "bill_to": group.bill_to, "site": group.site, "cost_center": group.cost_center, "channel": group.channel,
        "status": group.status, "entry_type": group.entry_type, "fee_code": group.fee_code, "note": group.note,
        "relates_to": group.relates_to, "quantity": row.quantity, "unit_price": group.unit_price, "amount": row.amount,
        "currency": group.currency })
}

/// Closes a month: nothing is written into it any more. What stands in the way is told, and nothing is closed then. Whoever is
/// confined to the organization is told the rows that it pays.
///
/// # Errors
/// 400, 401, 403, 404, 409 (something stands in the way), 413, 415, 422, 503.
pub async fn close(
    State(web): State<Web>,
    caller: Caller,
    Path(month): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let steward = caller.steward()?;
    let month: Month = month.parse().map_err(|_| nothing())?;
    let wanted: Wish = wish(&web, caller.scope, request).await?;
    let store = web.intake.store();
    let organization = store.organization(steward.org).await?.ok_or(StoreError::NoOrganization)?;
    if !wanted.dry_run {
        on_record(&web, &caller, Some(steward.org), "month_closed", &month.to_string()).await?;
    }
    let close = Close { dry_run: wanted.dry_run, force: wanted.force, by: steward.name };
    let closing = closing::close(store, &organization, month, &close).await?;
    let refused = |why: String| Problem::new(StatusCode::CONFLICT, "not_closed", why);
    let closing = closing.map_err(|refusal| refused(refusal.to_string()))?;
    let stands: Vec<String> = closing.refusals.iter().map(ToString::to_string).collect();
    if !closing.closed && !wanted.dry_run {
        return Err(refused(stands.join("; ")));
    }
    // What others pay in this ledger is theirs.
    let payer = caller.reach.payer_in(steward.org);
    let seen = |row: &&Row| payer.is_none_or(|payer| row.group.bill_to == payer);
    let rows = |rows: &[Row]| rows.iter().filter(seen).map(row).collect::<Vec<_>>();
    Ok(Json(json!({ "month": month, "closed": closing.closed, "dry_run": wanted.dry_run, "rows": rows(&closing.rows),
        "added": rows(&closing.added), "controls": closing.controls, "ties": closing.controls.tie(), "refusals": stands })))
}

/// What is corrected.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Adjust {
    /// What stands of this delivery's fee.
    delivery: Option<DeliveryId>,
    /// Or this line.
    line: Option<LedgerLineId>,
    /// What it should have cost.
    amount: Money,
    /// Why, in one line; never about a patient.
    reason: String,
    #[serde(default)]
    dry_run: bool,
}

fn line(line: &LedgerLine) -> Value {
    json!({ "id": line.id, "line": line.seq, "entry_type": line.entry_type, "fee_code": line.fee_code, "delivery": line.delivery,
        "amount": line.amount, "currency": line.currency, "month": line.period, "relates_to": line.relates_to,
        "reverses": line.reverses, "reason": line.reason, "entered_by": line.entered_by })
}

/// Takes a fee back and enters it again at another amount. Sent twice it is refused the second time: it stands so already. Whoever
/// is confined to the organization corrects what it pays itself.
///
/// # Errors
/// 400, 401, 403 (another organization pays it), 404, 409 (it stands at this amount, was never charged, was taken back), 413, 415, 422, 503.
pub async fn adjust(State(web): State<Web>, caller: Caller, request: Request) -> Result<Json<Value>, Problem> {
    let steward = caller.steward()?;
    let adjust: Adjust = wish(&web, caller.scope, request).await?;
    let (of, about) = match (adjust.delivery, adjust.line) {
        (Some(delivery), None) => (Corrected::Delivery(delivery), delivery.to_string()),
        (None, Some(line)) => (Corrected::Line(line), line.to_string()),
        _ => return Err(Refusal::field("/delivery", "missing", "or line: say one of them").into()),
    };
    let (scope, store) = (OrgScope::One(steward.org), web.intake.store());
    let paid_by = caller.reach.payer_in(steward.org);
    let correction = Correction { of, amount: adjust.amount, reason: adjust.reason, by: steward.name, paid_by, dry_run: true };
    // Whether it can be done at all, before it is put on record that it is.
    let told = store.adjust(scope, &correction).await.map_err(problem)?;
    let lines = if adjust.dry_run {
        told
    } else {
        on_record(&web, &caller, Some(steward.org), "fee_adjusted", &about).await?;
        store.adjust(scope, &Correction { dry_run: false, ..correction }).await.map_err(problem)?
    };
    Ok(Json(json!({ "dry_run": adjust.dry_run, "lines": lines.iter().map(line).collect::<Vec<_>>() })))
}

fn problem(error: AdjustError) -> Problem {
    let (status, code) = match &error {
        AdjustError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, ""),
        AdjustError::NotFound(_) => (StatusCode::NOT_FOUND, "not_found"),
        AdjustError::PaidByAnother => (StatusCode::FORBIDDEN, "forbidden"),
        AdjustError::Words(_) => return Refusal::field("/reason", "invalid", error.to_string()).into(),
        AdjustError::NotCharged | AdjustError::TakenBack | AdjustError::NotByHand(_) | AdjustError::Same => {
            (StatusCode::CONFLICT, "not_adjusted")
        }
    };
    match error {
        AdjustError::Store(cause) => cause.into(),
        refused => Problem::new(status, code, refused.to_string()),
    }
}
