//! Organizations, their rules and prices, and the programs that are told what happens.

use serde_json::json;

use super::{
    operation::{Operation, get, post, put},
    shape::{Named, and, body, shape, words},
};
use crate::domain::{
    organization::{Mode, SendMode},
    webhook::{Format, OffBecause},
};

pub(super) fn operations() -> Vec<Operation> {
    let etag = "text: of the rules, in quotes: the If-Match of a change";
    vec![
        get("/v1/organization", "The rules of an organization as one document")
            .says("Sites, addresses, document and routing rules, webhooks and prices: what `postern org apply` takes, as JSON.")
            .answers(200, "#Organization", "The rules in force.")
            .telling(200, "ETag", etag),
        put("/v1/organization", "Make an organization what a document says")
            .says("Says what that changes; with `dry_run` it changes nothing. Identities come with certificates and keys, so they are not changed here. Prices are never removed.")
            .query("dry_run", "flag")
            .header("If-Match", "text: the ETag of the rules as they were read; needed but for a dry run")
            .takes("#Organization")
            .answers(200, "#Applied", "What changes.")
            .telling(200, "ETag", etag)
            .may_fail(&[412, 428]),
        post("/v1/organization/test-message", "Send a made-up patient's report from a site to an address")
            .says("Taken in and sent as every result is; it says that it is none. In test mode only test domains get it, and it costs nothing; at a site in production it is a real message and is charged as one.")
            .repeatable()
            .takes("#TestMessage")
            .answers(201, "#Accepted", "Taken, and durable.")
            .answers(200, "#Accepted", "The same key came before: nothing was sent twice.")
            .may_fail(&[409]),
        get("/v1/organization/prices", "The prices on record, those to come among them").answers(200, "#Prices", "None is ever removed."),
        get("/v1/organizations", "The organizations a token may see").answers(200, "#Organizations", "By short name."),
        post("/v1/organizations", "Make an organization")
            .says("For a token of the installation. Sent twice it is 409 the second time.")
            .query("dry_run", "flag")
            .takes("#Organization")
            .answers(201, "#Made", "It is there.")
            .answers(200, "#Made", "A dry run: what would be.")
            .may_fail(&[409]),
        get("/v1/webhooks", "How far each webhook has been told")
            .says("They stand in the organization's document.")
            .answers(200, "#Webhooks", "By name."),
        post("/v1/webhooks/{name}", "Switch a webhook, have it told again, give it another secret, or try it out")
            .says("`replay` sends the same events under the same ids, since a time or from a cursor on; a new secret is shown this once, and the old one signs beside it for a while; `test` sends a signed test event now, and that it is not taken is an answer.")
            .at("name", "text")
            .takes("#WebhookAct")
            .answers(200, "#WebhookActed", "It, as it is now.")
            .may_fail(&[409]),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let target = body(json!({ "direct": "text", "when?": json!({ "enum": ["always", "only_if_none"] }) }));
    let site = body(json!({
        "local_id": "text", "name?": "text|null", "npi?": "npi|null", "phone?": "text|null", "address?": "#Address|null", "mode?": "#Mode|null",
        "target?": "[#ConfiguredTarget]", "identity?": "text|null" }));
    let identity = shape(json!({ "address": "text", "mode": words(SendMode::ALL) }));
    let webhook = body(json!({
        "name": "text", "url": "text", "events?": "[text]", "format?": words(Format::ALL), "order_id?": "flag",
        "at_once?": json!({ "type": "integer", "minimum": 1, "maximum": 16 }), "secret_file?": "text|null" }));
    let organization = body(json!({
        "slug": "slug", "name": "text", "npi?": "npi|null", "phone?": "text|null", "address?": "#Address|null",
        "time_zone?": "text: IANA", "mode?": "#Mode", "document?": "object", "message?": "object", "routing?": "object", "choice?": "object",
        "roster?": "object", "trust?": "object", "tracking?": "object", "alerts?": "object", "target?": "[#ConfiguredTarget]",
        "site?": "[#Site]", "identity?": "[#Identity]", "profile?": json!({ "enum": ["direct", "fips"] }), "peer?": "[object]",
        "webhook?": "[#WebhookRules]", "price?": "#PriceList|null" }));
    let list = body(json!({ "currency?": "text", "rate?": "[#Rate]", "terms?": "[object]", "credit_trust_failures?": "flag",
        "credit?": json!({ "enum": ["trust", "any", "never", null] }) }));
    let rate = shape(
        json!({ "from": "date", "fee_code": "text", "amount": "money", "billable?": json!({ "enum": ["accepted", "processed", "dispatched"] }) }),
    );
    let applied = shape(json!({ "slug": "slug", "applied": "flag", "dry_run": "flag", "changes": "[#Change]",
        "kept": "[text]: prices that stay in force although the document names them no more" }));
    let view = shape(json!({
        "id": "id", "name": "text", "url": "text", "events": "[text]", "format": words(Format::ALL), "on": "flag",
        "off_because": json!({ "anyOf": [words(OffBecause::ALL), { "type": "null" }] }), "told": "number: up to which event", "waiting": "number: of events",
        "failures": "number", "failing_since": "time|null", "problem": "text|null", "last_taken_at": "time|null", "next_attempt_at": "time" }));
    let act = json!({ "oneOf": [
        body(json!({ "action": json!({ "enum": ["enable", "disable", "test"] }) })),
        body(json!({ "action": json!({ "const": "replay" }), "since?": "time|null", "from?": "text|null: a cursor, or 0", "dry_run?": "flag" })),
        body(json!({ "action": json!({ "const": "rotate_secret" }), "keep?": "text|null: how long the old one signs, as in 24h" })),
    ] });
    let acted = and(
        "#Webhook",
        json!({ "dry_run?": "flag", "secret?": "text", "old_signs_for?": "text",
        "taken?": "flag: the test event was", "answer?": "text: what came of it" }),
    );
    let known =
        shape(json!({ "id": "id", "slug": "slug", "name": "text", "mode": "#Mode", "sites": "number", "identities": "[text]" }));
    vec![
        ("Mode", words(Mode::ALL)),
        ("ConfiguredTarget", target),
        ("Site", site),
        ("Identity", identity),
        ("WebhookRules", webhook),
        ("Organization", organization),
        ("PriceList", list),
        ("Rate", rate),
        ("Price", and("#Rate", json!({ "currency": "text" }))),
        ("Applied", applied),
        ("Made", shape(json!({ "slug": "slug", "id": "id|null", "applied": "flag", "dry_run": "flag", "changes": "[#Change]" }))),
        ("Prices", shape(json!({ "prices": "[#Price]", "terms": "[object]" }))),
        ("KnownOrganization", known),
        ("Organizations", shape(json!({ "organizations": "[#KnownOrganization]" }))),
        ("TestMessage", body(json!({ "site": "text: its `local_id`", "address": "text: a Direct address" }))),
        ("Webhook", view),
        ("Webhooks", shape(json!({ "webhooks": "[#Webhook]" }))),
        ("WebhookAct", act),
        ("WebhookActed", acted),
    ]
}
