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
        get("/v1/deliveries/{id}", "One delivery with its history").answers(200, "#DeliveryShown", "It."),
        get("/v1/deliveries/{id}/receipt", "The receipt of an existing results interface").answers(200, "#Receipt", "It."),
        post("/v1/deliveries/{id}/retry", "Put a refused or held delivery back into the queue")
            .says("Again while it is on its way is 409, so nothing is doubled.")
            .answers(200, "#Delivery", "It, queued.")
            .may_fail(&[409]),
        post("/v1/deliveries/{id}/cancel", "Stop a delivery that has not left")
            .says("409 when it is too late; no further attempt is made then either.")
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
    let delivery = shape(json!({
        "id": "id", "organization?": "slug: in a search", "result": "id", "order_id": "text", "site": "text", "version": "number",
        "address": "text", "rule": "#Rule", "message_id": "text", "state": "#DeliveryState", "reason": "#Reason|null",
        "disposition": "#Disposition|null", "fee": "#Fee", "test": "flag", "attempts": "number: that failed", "created_at": "time",
        "updated_at": "time", "accepted_at": "time|null" }));
    let shown = and("#Delivery", json!({ "reply": "text|null: the server's, word for word", "history": "[#HistoryLine]" }));
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
        ("Retry", body(json!({ "ids": ids }))),
        ("Retried", retried),
        ("RetriedOne", one),
        ("Receipt", receipt),
        ("Event", event),
        ("EventData", data),
        ("EventPage", shape(json!({ "events": "[#Event]", "next": "text", "more": "flag: whether more is there now" }))),
    ]
}
