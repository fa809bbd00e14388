//! Orders and results.

use serde_json::{Value, json};

use super::{
    operation::{Operation, get, post},
    shape::{Named, body, or_null, shape, short, words},
};
use crate::domain::{
    order::{Action, CodeSystem, Priority, Role},
    report::{ResultState, ResultStatus},
};

pub(super) fn operations() -> Vec<Operation> {
    let form = json!({ "type": "object", "required": ["result"], "additionalProperties": false, "properties": {
        "result": short("#Result"), "pdf": { "type": "string", "contentMediaType": "application/pdf" } } });
    let encoding = json!({ "result": { "contentType": "application/json" }, "pdf": { "contentType": "application/pdf" } });
    let result = json!({ "application/json": { "schema": short("#Result") }, "multipart/form-data": { "schema": form, "encoding": encoding } });
    vec![
        post("/v1/orders", "Hand an order in, change it or cancel it")
            .says("The same order again is answered 200 and done once. 201 and 200 say that it is durable.")
            .takes("#Order")
            .answers(201, "#Accepted", "New, and durable.")
            .answers(200, "#Accepted", "Known already, changed or cancelled.")
            .may_fail(&[409]),
        post("/v1/results", "Hand a result in")
            .says("JSON with the PDF inside, or a form. The same result again (order, status, PDF and all it says) is answered 200 and done once; a `resend`, which has no content to be recognised by, by its key.")
            .repeatable()
            .takes("#Result")
            .takes_as(result)
            .answers(201, "#Accepted", "New, and durable.")
            .answers(200, "#Accepted", "Known already.")
            .answers(202, "#Accepted", "New, and waits for its order.")
            .may_fail(&[409]),
        get("/v1/results/{id}", "Where a result stands")
            .answers(200, "#Accepted", "It.")
            .answers(202, "#Accepted", "It, waiting for its order."),
        post("/v1/results/{id}/patient", "See who the patient is")
            .says("That somebody looks is on record before anything is opened.")
            .answers(200, "#Revealed", "The order with its patient.")
            .may_fail(&[409]),
        get("/v1/results/{id}/document", "The PDF of a result")
            .says("That somebody looks is on record before anything is opened.")
            .answers_as(200, "The PDF.", json!({ "application/pdf": {} })),
    ]
}

fn blank(kind: &str) -> Value {
    or_null(short(kind))
}

pub(super) fn schemas() -> Vec<Named> {
    let name = body(
        json!({ "family": "text", "given?": or_null(json!({ "type": "array", "items": { "type": "string" }, "maxItems": 10 })),
        "prefix?": blank("text"), "suffix?": blank("text") }),
    );
    let address = body(json!({ "lines?": or_null(json!({ "type": "array", "items": { "type": "string" }, "maxItems": 4 })),
        "city?": blank("text"), "state?": blank("text"), "postal_code?": blank("text"), "country?": blank("text") }));
    let provider = body(json!({ "npi?": blank("text"), "taxonomy?": blank("text"), "name?": blank("#Name") }));
    let patient = body(json!({
        "local_id?": "text|null: your identifier; never changes", "name": "#Name", "birth_date": "text: 1964-02-17, 1964-02 or 1964",
        "gender": "text: F, M, O, A, UN, X, TM, TF, ND, EQ, NL, other, U, N or unknown", "address?": blank("#Address"), "phone?": blank("text"),
        "marital_status?": blank("text"), "race?": blank("[text]"), "ethnicity?": blank("text"), "language?": blank("text"),
        "code_system?": blank("#CodeSystem"), "ssn?": "any: taken and thrown away" }));
    let recipient = body(json!({ "role?": blank("#Recipient"), "direct?": "text|null: a Direct address", "npi?": blank("text"),
        "name?": blank("#Name"), "organization?": blank("text") }));
    let order_fields = json!({
        "order_id": "text: your key, at most 100 characters", "site?": "text|null: its `local_id`; needed but to cancel", "action?": blank("#Action"),
        "patient?": blank("#Patient"), "ordering_provider?": blank("#Provider"),
        "procedure?": or_null(body(json!({ "code": "text", "system?": blank("text"), "display?": blank("text") }))),
        "encounter?": blank("text"), "exam_state?": blank("text"), "scheduled_at?": blank("time"),
        "health_plan?": or_null(body(json!({ "id?": blank("text"), "name?": blank("text"), "member_id?": blank("text") }))),
        "priority?": blank("#Priority"), "do_not_deliver?": blank("flag"),
        "deliver_to?": or_null(json!({ "type": "array", "items": short("#DeliverTo"), "maxItems": 50 })) });
    let result = body(json!({
        "order_id": "text", "status": "#ResultStatus", "site?": blank("text"), "completed_at?": blank("time"), "title?": blank("text"),
        "document_code?": "text|null: LOINC", "author?": blank("#Provider"), "pdf?": "text|null: base64", "order?": blank("#Order"),
        "version?": blank("number"), "replaces?": or_null(body(json!({ "id?": blank("id"), "set_id?": blank("id"), "version?": blank("number") }))) }));
    let delivery = shape(json!({ "id": "id", "address": "text", "state": "#DeliveryState", "reason": "#Reason|null" }));
    let states: Vec<String> =
        ["open", "cancelled"].map(str::to_owned).into_iter().chain(ResultState::ALL.iter().map(ToString::to_string)).collect();
    let accepted = shape(json!({
        "id": "id", "order_id": "text", "version?": "number: of a result", "state": words(&states), "reason?": "#Reason",
        "warnings": "[#FieldProblem]: what was taken, but not as sent", "deliveries": "[#Handed]: so far; of a cancelled order those too late to stop" }));
    let revealed = shape(
        json!({ "order_id": "text", "site": "text", "patient": "object", "health_plan": or_null(json!({ "type": "object" })),
        "procedure": or_null(json!({ "type": "object" })), "encounter": "text|null" }),
    );
    vec![
        ("Action", words(Action::ALL)),
        ("Priority", words(Priority::ALL)),
        ("Recipient", words(Role::ALL)),
        ("CodeSystem", words(CodeSystem::ALL)),
        ("ResultStatus", words(ResultStatus::ALL)),
        ("Name", name),
        ("Address", address),
        ("Provider", provider),
        ("Patient", patient),
        ("DeliverTo", recipient),
        ("Order", body(order_fields)),
        ("Result", result),
        ("Handed", delivery),
        ("Accepted", accepted),
        ("Revealed", revealed),
    ]
}
