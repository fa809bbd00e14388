//! Deliveries and what happened to them.

use serde_json::json;

use super::{
    operation::{Operation, get, post},
    shape::{Named, and, body, shape, words},
};
use crate::{
    domain::{
        delivery::{Disposition, Fee, State},
        event::EventKind,
        inbound::NoticeVerdict,
        route::Rule,
    },
    track::receipt::TransmissionStatus,
};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/v1/deliveries", "Deliveries, the newest first")
            .says("All that is said must hold.")
            .query("state", "#DeliveryState")
            .query("disposition", "#Disposition")
            .query("reason", "#Reason")
            .query("site", "text")
            .query("order_id", "text")
            .query("since", "time: made then or later")
            .query("until", "time: made before")
            .query("after", "id: where to go on: what `next` of the page before said")
            .limit(50, 200)
            .answers(200, "#DeliveryPage", "A page."),
        post("/v1/deliveries/search", "Deliveries by what people remember")
            .says("In the body, since an address or a key may be a patient's. To look for a `patient` (the site's identifier or the plan's member number) takes patients:reveal, and is on record. A token of the installation searches all organizations.")
            .takes("#DeliverySearch")
            .answers(200, "#DeliveryPage", "A page."),
        post("/v1/deliveries/retry", "Put several back into the queue")
            .says("Each by itself, whatever becomes of the others. They keep their Message-ID, and are charged for once at most.")
            .takes("#Retry")
            .answers(200, "#Retried", "What became of each."),
        get("/v1/deliveries/{id}", "One delivery with everything that is kept about it")
            .says("Its history, evidence, clocks and notices, and the route that led there with every candidate.")
            .answers(200, "#DeliveryShown", "It."),
        post("/v1/deliveries/{id}/document", "The document as it is made for this recipient")
            .says("Made anew from the order as it stands, since the sealed message is not kept; its PDF is left out. That somebody looks is on record before anything is opened.")
            .answers(200, "#DeliveryDocument", "The C-CDA, and what it says."),
        post("/v1/deliveries/{id}/path", "The path of the recipient's certificate")
            .says("Of the one that would be sealed to now, and whether it is the one that was. Others may be asked for it.")
            .answers(200, "#DeliveryPath", "It, with every check."),
        get("/v1/deliveries/{id}/receipt", "The receipt of an existing results interface").answers(200, "#Receipt", "It."),
        post("/v1/deliveries/{id}/retry", "Put a refused or held delivery back into the queue")
            .says("Again while it is on its way is 409, so nothing is doubled. A reason stands in its history.")
            .may_take("#Why")
            .answers(200, "#Delivery", "It, queued.")
            .may_fail(&[409]),
        post("/v1/deliveries/{id}/cancel", "Stop a delivery that has not left")
            .says("409 when it is too late; no further attempt is made then either. A reason stands in its history.")
            .may_take("#Why")
            .answers(200, "#Delivery", "It, stopped.")
            .may_fail(&[409]),
        post("/v1/deliveries/{id}/resend", "Send its result once more")
            .says("The latest version, to everyone it goes to now or went to before, as new deliveries.")
            .repeatable()
            .answers(201, "#Accepted", "Taken, and durable.")
            .answers(200, "#Accepted", "The same key came before: nothing was done twice.")
            .answers(202, "#Accepted", "Taken, and waits for its order.")
            .may_fail(&[409, 422]),
        get("/v1/events", "What happened, in order")
            .says("Begin with `after=0` and go on with `next`, also when there are no events. With `wait`, an empty answer is held back until something happens.")
            .query("after", "text: a cursor, or 0 for all that is kept")
            .limit(100, 1000)
            .query("wait", "number: seconds, at most 30")
            .query("type", "text: one kind, `delivery.*` or `result.*`")
            .answers(200, "#EventPage", "A page.")
            .may_fail(&[409, 410]),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let evidence = shape(json!({
        "sealed_sha256": "text|null: where we seal, of the CMS object (smime.p7m), which the recipient can compare; where the HISP seals, of what it was given", "sealed_bytes": "number|null",
        "profile": "text|null: with which algorithms", "certificate": "text|null: SHA-256 of the recipient's", "sent_from": "text|null",
        "sent_mode": "text|null", "relay": "text|null: by which way", "pdf_sha256": "text", "pdf_bytes": "number" }));
    let clocks = shape(
        json!({ "next_attempt_at": "time", "tried_until": "time", "answer_until": "time|null: when silence becomes an answer",
        "asked_dispatched": "flag: whether it asked to be told of the final place" }),
    );
    let delivery = shape(json!({
        "id": "id", "organization?": "slug: in a search", "result": "id", "order_id": "text", "site": "text", "version": "number",
        "address": "text", "rule": "#Rule", "message_id": "text", "state": "#DeliveryState", "reason": "#Reason|null",
        "disposition": "#Disposition|null", "fee": "#Fee", "test": "flag", "attempts": "number: that failed", "created_at": "time",
        "updated_at": "time", "accepted_at": "time|null" }));
    let shown = and(
        "#Delivery",
        json!({
        "reply": "text|null: the server's, word for word", "history": "[#HistoryLine]", "priority": "#Priority", "meaning": "text|null: of the reason",
        "remedy": "text|null: what to do about it", "recipient": json!({ "type": ["object", "null"] }), "resend_of": "id|null: the delivery it sends again",
        "fallback_of": "id|null: the failed delivery it takes the place of", "fallback": "text|null: what followed from its failure",
        "clocks": clocks, "evidence": evidence, "notices": "[#Notice]", "route": "#Route|null" }),
    );
    let document = shape(json!({ "delivery": "id", "xml": "text: the C-CDA, without its PDF",
        "parts": json!({ "type": "array", "items": shape(json!({ "heading": "text",
            "facts": json!({ "type": "array", "items": shape(json!({ "name": "text", "value": "text" })) }) })) }) }));
    let path = shape(json!({ "delivery": "id", "sealed_to": "text|null: SHA-256 of the certificate it was sealed to",
        "same": "flag|null: whether that is the one of now", "now": "#Probed" }));
    let notice = shape(
        json!({ "received_at": "time", "form": "text: mdn or dsn", "stated": "text: the word it used", "final_recipient": "text|null",
        "from": "text: who vouches for it", "verdict": words(NoticeVerdict::ALL), "why": "text|null: why it does not count", "status": "text|null",
        "cause": "text|null: as it says" }),
    );
    let line = shape(json!({ "at": "time", "event": "text", "state": "#DeliveryState", "detail": "text|null" }));
    let search = body(json!({
        "address?": "text|null", "npi?": "text|null", "message_id?": "text|null", "order_id?": "text|null",
        "patient?": "text|null: the site's identifier or the plan's member number", "state?": "#DeliveryState|null",
        "disposition?": "#Disposition|null", "reason?": "#Reason|null", "site?": "text|null", "since?": "time|null", "until?": "time|null",
        "after?": "id|null", "limit?": json!({ "type": ["integer", "null"], "minimum": 1, "maximum": 200 }) }));
    let ids = json!({ "type": "array", "items": { "type": "string", "format": "uuid" }, "minItems": 1, "maxItems": 200 });
    let retried = shape(json!({ "retried": "number", "deliveries": "[#RetriedOne]" }));
    let one = shape(json!({ "id": "id", "retried": "flag", "state?": "#DeliveryState", "why?": "text: it was not" }));
    let statuses =
        [TransmissionStatus::Unknown, TransmissionStatus::Complete, TransmissionStatus::Pending, TransmissionStatus::Failed];
    let receipt = shape(json!({
        "TransactionId": "id", "Timestamp": "time", "IrisOrderId": "number", "OrderLocalId": "text|null", "TimeDelivered": "time|null",
        "DeliveryType": "text", "Endpoint": "text|null", "TransmissionStatus": json!({ "enum": statuses }), "Success": "flag",
        "ErrorMessage": "text|null", "ResultObjectType": "text", "Version": "text" }));
    let event = shape(json!({ "id": "id", "type": "#EventKind", "timestamp": "time", "cursor": "text", "data": "#EventData" }));
    let data = shape(json!({
        "organization": "slug", "order_id?": "text", "site?": "text", "result?": "id", "version?": "number", "delivery?": "id",
        "webhook?": "text", "state?": "text", "disposition?": "#Disposition", "reason?": "#Reason", "fee?": "#Fee", "test?": "flag" }));
    vec![
        ("DeliveryState", words(State::ALL)),
        ("Disposition", words(Disposition::ALL)),
        ("Fee", words(Fee::ALL)),
        ("Rule", words(Rule::ALL)),
        ("EventKind", words(EventKind::ALL)),
        ("Delivery", delivery),
        ("DeliveryShown", shown),
        ("HistoryLine", line),
        ("DeliveryPage", shape(json!({ "deliveries": "[#Delivery]", "next?": "id|null" }))),
        ("DeliverySearch", search),
        ("DeliveryDocument", document),
        ("DeliveryPath", path),
        ("Notice", notice),
        ("Why", body(json!({ "reason?": "text|null: one line; never about a patient" }))),
        ("Retry", body(json!({ "ids": ids, "reason?": "text|null: one line; never about a patient" }))),
        ("Retried", retried),
        ("RetriedOne", one),
        ("Receipt", receipt),
        ("Event", event),
        ("EventData", data),
        ("EventPage", shape(json!({ "events": "[#Event]", "next": "text", "more": "flag: whether more is there now" }))),
    ]
}
