//! How the gateway is, what is wrong, what came in for people, and who did what.

use serde_json::json;

use super::{
    operation::{Operation, get, post},
    shape::{Named, and, shape, words},
};
use crate::{
    domain::{
        alert::{AlertKind, Severity},
        audit::{ActorKind, Outcome},
    },
    observe::health::{Condition, Part},
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/v1/health", "How the process and its parts are")
            .says("For a token of the installation. /readyz says the same in short, and needs no token.")
            .answers(200, "#Health", "It."),
        get("/v1/overview", "How many results and deliveries stand where").answers(
            200,
            "#Overview",
            "Counts, and whether they tie.",
        ),
        get("/v1/alerts", "What is wrong, the newest first")
            .query("all", "flag: those that are over, too")
            .limit(200, 1000)
            .answers(200, "#Alerts", "Alerts."),
        post("/v1/alerts/{id}/care", "Say that somebody cares")
            .says("Nobody else is told of it until it is over. Again is 409.")
            .answers(200, "#Alert", "It.")
            .may_fail(&[409]),
        get("/v1/inbox", "Messages for people, the newest first").limit(100, 1000).answers(
            200,
            "#Letters",
            "Who wrote, never what.",
        ),
        get("/v1/inbox/{id}", "One message, without what it says").answers(200, "#Letter", "It."),
        post("/v1/inbox/{id}/read", "Read a message")
            .says("It is about a patient: that somebody reads it is on record before it is opened.")
            .answers(200, "#LetterRead", "It, as it was written."),
        get("/v1/audit", "Who did what, the newest first")
            .says("Of the organization, or for a token of the installation of everything. That it is read is a line of it.")
            .query("since", "time")
            .query("until", "time")
            .query("actor", "text: an id, or what they are called")
            .query("action", "text")
            .query("object", "text: an id")
            .query("after", "id: where to go on: what `next` of the page before said")
            .limit(100, 1000)
            .answers(200, "#AuditPage", "A page."),
        get("/v1/audit/verification", "Whether the trail is as it was written")
            .says("The chain of the organization; of the installation when none is named.")
            .answers(200, "#Verified", "Whether it is."),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let counts = || json!({ "type": "object", "additionalProperties": { "type": "integer" } });
    let conditions = words(Condition::ALL);
    let parts: Vec<String> = Part::ALL.iter().map(ToString::to_string).collect();
    let health = shape(json!({
        "ready": "flag", "stopping": "flag", "parts": json!({ "type": "object", "propertyNames": { "enum": parts }, "additionalProperties": conditions }),
        "queue": json!({ "type": "array", "items": shape(json!({ "state": "#DeliveryState", "count": "number", "oldest_seconds": "number" })) }),
        "troubles": json!({ "type": "array", "items": shape(json!({ "kind": "#AlertKind", "subject": "text", "detail": "text" })) }) }));
    let alert = shape(json!({
        "id": "id", "kind": "#AlertKind", "severity": words(Severity::ALL), "organization_id": "id|null", "subject": "text", "measured": "text",
        "detail": "text", "meaning": "text", "remedy": "text", "first_seen": "time", "opened_at": "time|null", "escalated_at": "time|null",
        "acked_at": "time|null", "acked_by": "text|null", "resolved_at": "time|null" }));
    let letter = shape(json!({ "id": "id", "received_at": "time", "from": "text", "to": "text", "message_id": "text|null",
        "answers": "id|null: the delivery it answers", "vouched_for_by": "text", "bytes": "number" }));
    let line = shape(json!({
        "chain": "text: an organization's id, or installation", "seq": "number", "id": "id", "at": "time", "actor_kind": words(ActorKind::ALL),
        "actor": "text", "actor_name": "text", "address": "text", "request": "text", "action": "text", "object_kind": "text", "object": "text",
        "outcome": words(Outcome::ALL), "facts": json!({ "type": "object", "additionalProperties": { "type": "string" } }), "previous": "text", "hash": "text" }));
    vec![
        ("Health", health),
        (
            "Overview",
            shape(
                json!({ "results": counts(), "held": counts(), "deliveries": counts(), "dispositions": counts(), "charged": "number", "ties": "flag" }),
            ),
        ),
        ("AlertKind", words(AlertKind::ALL)),
        ("Alert", alert),
        ("Alerts", shape(json!({ "alerts": "[#Alert]" }))),
        ("Letter", letter),
        ("Letters", shape(json!({ "letters": "[#Letter]" }))),
        ("LetterRead", and("#Letter", json!({ "content": "text" }))),
        ("AuditLine", line),
        ("AuditPage", shape(json!({ "events": "[#AuditLine]", "next": "id|null" }))),
        (
            "Verified",
            shape(
                json!({ "verified": "flag", "lines": "number|null", "broken_at": "number|null: the first line that is not as it was" }),
            ),
        ),
    ]
}
