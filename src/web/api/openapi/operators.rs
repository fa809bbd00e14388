//! How the gateway is, what is wrong, what came in for people, and who did what.

use serde_json::json;

use super::{
    operation::{Operation, get, post},
    shape::{Named, and, body, shape, words},
};
use crate::{
    domain::{
        alert::{AlertKind, Severity},
        audit::{ActorKind, Outcome},
    },
    observe::health::{Condition, Part},
    resolve::report::csv::Part as ReportName,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/v1/health", "How the process and its parts are")
            .says("For a token of the installation. /readyz says the same in short, and needs no token.")
            .answers(200, "#Health", "It."),
        get("/v1/overview", "What is stuck, how much went through, and what ends soon")
            .says("Counts and whether they tie; and, counted anew after some seconds at the earliest, what waits for a person, what is on its way, the last day by hour, and our certificates that end within 60 days.")
            .answers(200, "#Overview", "It."),
        get("/v1/alerts", "What is wrong, the newest first")
            .query("all", "flag: those that are over, too")
            .pages_by_id(200, 1000)
            .answers(200, "#Alerts", "Alerts."),
        post("/v1/alerts/{id}/care", "Say that somebody cares")
            .says("Nobody else is told of it until it is over. Again is 409.")
            .answers(200, "#Alert", "It.")
            .may_fail(&[409]),
        get("/v1/inbox", "Messages for people, the newest first").pages_by_id(100, 1000).answers(
            200,
            "#Letters",
            "Who wrote, never what.",
        ),
        get("/v1/inbox/unmatched", "Mail that matches no organization, the newest first")
            .says("For a token of the installation.")
            .pages_by_id(100, 1000)
            .answers(200, "#UnmatchedPage", "Who handed it over and what came of it, never what it says."),
        post("/v1/inbox/unmatched/{id}/read", "Read a message that matches no organization")
            .says("That somebody reads it is on record before it is opened. One that is no longer kept is 404.")
            .answers(200, "#UnmatchedRead", "It, as it came."),
        get("/v1/parked", "Items of feeds that could not be taken, the oldest first")
            .says("Their feed went on without them; nothing is lost. What is wrong with each is said by field, never by value.")
            .pages_by_id(100, 1000)
            .answers(200, "#ParkedPage", "A page."),
        get("/v1/parked/{id}", "What is wrong with one").answers(200, "#Parked", "It, without what it says."),
        post("/v1/parked/{id}/read", "Read an item that could not be taken")
            .says("It is about a patient: that somebody reads it is on record before it is opened.")
            .answers(200, "#ParkedRead", "It, as it came."),
        post("/v1/parked/{id}/replay", "Have an item taken after all")
            .says("It goes the way in once more, as its feed is set now. What is taken is parked no longer, so again is 404; what is refused again stays.")
            .answers(201, "#Accepted", "Taken, and durable.")
            .answers(200, "#Accepted", "It was known already.")
            .answers(202, "#Accepted", "Taken, and waits for its order.")
            .may_fail(&[409, 413, 422]),
        post("/v1/parked/{id}/discard", "Throw an item away, for good")
            .says("The feed will not give it again.")
            .takes("#Meant")
            .answers_as(204, "It is gone.", json!({})),
        get("/v1/reports/{report}", "What payers ask back: what reached which provider, and what did not")
            .says("Of the results that came in within a month of the organization's own time zone, as they stand now. As CSV all rows. That data are taken out is on record first.")
            .at("report", "#ReportName")
            .needs("month", "month")
            .query("format", "#ReportFormat")
            .pages(1000, 10_000)
            .answers_as(200, "The report.", json!({ "application/json": { "schema": { "$ref": "#/components/schemas/PayerReport" } },
                "text/csv": { "schema": { "type": "string" } } })),
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
            .pages_by_id(100, 1000)
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
    let waiting = shape(json!({ "count": "number", "at_least": "flag: there may be more", "oldest": "time|null" }));
    let moving = json!({ "type": "array", "items": shape(json!({ "state": "#DeliveryState", "count": "number", "oldest": "time|null" })) });
    let made = shape(
        json!({ "hour": "time: when it began", "state": "#DeliveryState", "disposition": "#Disposition|null", "reason": "#Reason|null",
        "count": "number" }),
    );
    let day = shape(json!({ "from": "time", "made": json!({ "type": "array", "items": made }) }));
    let expiry = shape(json!({ "address": "text", "valid_until": "time", "days_left": "number" }));
    let unmatched = shape(
        json!({ "id": "id", "received_at": "time", "from": "text|null: as the envelope says", "to": "text", "way": "text",
        "bytes": "number", "verdict": "text|null: what came of it", "detail": "text|null", "kept": "flag: it can be read still" }),
    );
    let parked = shape(
        json!({ "id": "id", "organization": "slug|null", "feed": "text", "cursor": "text: its place there", "since": "time",
        "problems": "object", "says": "[text]: each problem in a line" }),
    );
    let report = shape(
        json!({ "report": "#ReportName", "organization": "slug", "month": "month", "from": "date", "to": "date: the first day no longer in it",
        "rows": "[object]", "next": "text|null", "totals": "object" }),
    );
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
            shape(json!({
                "results": counts(), "held": counts(), "deliveries": counts(), "dispositions": counts(), "charged": "number", "ties": "flag",
                "counted_at": "time: the figures that follow", "waiting": waiting, "moving": moving, "last_day": day,
                "expiries": json!({ "anyOf": [{ "type": "array", "items": expiry }, { "type": "null", "description": "without trust:read" }] }) })),
        ),
        ("AlertKind", words(AlertKind::ALL)),
        ("Alert", alert),
        ("Alerts", shape(json!({ "alerts": "[#Alert]", "next": "id|null" }))),
        ("Letter", letter),
        ("Letters", shape(json!({ "letters": "[#Letter]", "next": "id|null" }))),
        ("Unmatched", unmatched),
        ("UnmatchedPage", shape(json!({ "messages": "[#Unmatched]", "next": "id|null" }))),
        ("UnmatchedRead", and("#Unmatched", json!({ "content": "text" }))),
        ("Parked", parked),
        ("ParkedPage", shape(json!({ "items": "[#Parked]", "next": "id|null" }))),
        ("ParkedRead", and("#Parked", json!({ "content": "text" }))),
        ("Meant", body(json!({ "sure": "flag: true" }))),
        ("ReportName", words(ReportName::ALL)),
        ("PayerReport", report),
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
