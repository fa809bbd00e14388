//! What is owed, and what a biller does. Nothing of it is about a patient.

use serde_json::json;

use super::{
    operation::{Operation, get, post},
    shape::{Named, and, body, shape, words},
};
use crate::{
    bill::{
        reconcile::{Bucket, mapping::Separator},
        summary::By,
    },
    domain::{period::PeriodState, prices::EntryType},
};

pub(super) fn operations() -> Vec<Operation> {
    let by: Vec<&str> = By::ALL.iter().map(|by| by.as_str()).collect();
    let by = format!("text: some of {}, with commas between", by.join(", "));
    let csv = json!({ "schema": { "type": "string" } });
    vec![
        get("/v1/fees/report", "What the ledger adds up to")
            .says("Say `month` (and `to_month`), or `from` and a later `to`. An organization sees what it pays itself: in its own ledger, and in those it sponsors.")
            .query("month", "month")
            .query("to_month", "month")
            .query("from", "date")
            .query("to", "date")
            .query("by", &by)
            .query("site", "text")
            .query("payer", "text")
            .query("bill_to", "text: who pays, by short name")
            .query("ledger", "text: whose ledger, by short name")
            .query("format", "#ReportFormat")
            .answers_as(200, "The report.", json!({ "application/json": { "schema": { "$ref": "#/components/schemas/FeeReport" } }, "text/csv": csv.clone() })),
        get("/v1/fees/periods", "The months of the ledger, and where they stand").answers(200, "#Periods", "In their order."),
        post("/v1/fees/periods/{month}/close", "Close a month: nothing is written into it any more")
            .says("With `dry_run` it tells what that would write. What stands in the way is told, and then nothing is closed; `force` overcomes the days of grace and deliveries still on their way. Again is 409.")
            .at("month", "month")
            .takes("#Close")
            .answers(200, "#Closed", "It is closed, or would be.")
            .may_fail(&[409]),
        post("/v1/fees/adjust", "Take a fee back, and enter it again at another amount")
            .says("No line is changed: two are added. Sent twice it is 409 the second time, since it stands so already.")
            .takes("#Adjust")
            .answers(200, "#Adjusted", "The lines that were added, or would be.")
            .may_fail(&[404, 409]),
        get("/v1/fees/statement/{month}", "What a month costs")
            .says("As it is so far, until it is closed; then the same for ever.")
            .at("month", "month")
            .query("ledger", "text: whose ledger, by short name")
            .query("format", "#StatementFormat")
            .answers_as(200, "The statement.", json!({ "application/json": { "schema": { "$ref": "#/components/schemas/Statement" } },
                "text/csv": csv.clone(), "text/html": csv.clone(), "application/pdf": {} })),
        get("/v1/fees/lines", "What a row of a statement is made of, line by line")
            .says("In the order in which they were written. All that is said must hold.")
            .query("month", "month")
            .query("site", "text")
            .query("entry_type", "#EntryType")
            .query("channel", "text")
            .query("status", "text")
            .query("delivery", "id")
            .query("bill_to", "text: who pays, by short name")
            .query("ledger", "text: whose ledger, by short name")
            .pages(100, 1000)
            .answers(200, "#LinePage", "A page."),
        get("/v1/fees/export", "The ledger line by line")
            .says("That data are taken out is on record first. `Postern-Last-Line` is the `after` of the lines behind; an empty answer says that there are none.")
            .query("month", "month")
            .query("after", "number: of a line")
            .query("ledger", "text: whose ledger, by short name")
            .query("format", "#ExportFormat")
            .answers_as(200, "Lines.", json!({ "application/jsonl": csv.clone(), "text/csv": csv.clone(), "text/tab-separated-values": csv.clone() }))
            .telling(200, "Postern-Last-Line", "number: where to go on")
            .telling(200, "Postern-Lines", "number: how many these are"),
        get("/v1/fees/reconcile", "Who has signed for a month").needs("month", "month").answers(200, "#Signed", "The comparisons somebody stands for."),
        post("/v1/fees/reconcile", "Hold a HISP's usage file against what was handed over")
            .needs("month", "month")
            .query("map", "text: which column says what, as in `message_id=Message-ID,price=Charge`")
            .query("tolerance", "money")
            .query("sign_off", "flag: stand for it; needs a note")
            .query("note", "text: one line")
            .takes_as(json!({ "text/csv": csv }))
            .answers(200, "#Reconciled", "What differs, and why that may be.")
            .may_fail(&[404, 422]),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let sums = json!({
        "currency": "text", "charges": "number: of deliveries charged", "unpriced": "number: of these, with no price in force",
        "test": "number: of these, test traffic", "charged": "money", "credited": "money", "adjusted": "money", "minimum": "money", "rounding": "money",
        "amount": "money: what is owed", "cost?": "money: what the HISP asks", "margin?": "money" });
    let keys = json!({ "organization?": "text", "site?": "text", "bill_to?": "text", "cost_center?": "text", "payer?": "text", "channel?": "text",
        "month?": "month", "status?": "text", "fee_code?": "text", "entry_type?": "text", "change?": "money: against the month before" });
    let name = shape(json!({ "slug": "slug", "name": "text" }));
    let row = json!({
        "site": "text", "cost_center": "text", "channel": "text", "status": "text", "entry_type": "#EntryType", "fee_code": "text", "note": "text",
        "relates_to": "month|null", "quantity": "number", "unit_price": "money", "amount": "money", "currency": "text" });
    let controls = json!({
        "deliveries": "number", "charged": "number", "charged_later": "number", "not_charged": json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
        "from_before": "number", "charges": "number", "unpriced": "number", "test": "number", "unsettled": "number" });
    let statement = shape(json!({
        "number": "text", "state": words(PeriodState::ALL), "organization": "#Party", "bill_to": "#Party", "month": "month", "time_zone": "text",
        "from": "time", "to": "time", "closed_at": "time|null", "forced": "flag", "rows": "[#StatementRow]", "totals": "[#StatementTotal]",
        "controls": json!({ "anyOf": [{ "$ref": "#/components/schemas/StatementControls" }, { "type": "null" }] }), "last_line": "number|null",
        "last_hash": "text|null" }));
    let total =
        shape(json!({ "currency": "text", "charges": "number", "charged": "money", "credited": "money", "adjusted": "money",
        "minimum": "money", "rounding": "money", "total": "money" }));
    let period = shape(
        json!({ "organization": "slug", "month": "month", "state": words(PeriodState::ALL), "time_zone": "text", "from": "time",
        "to": "time", "closed_at": "time|null", "closed_by": "text|null", "forced": "flag" }),
    );
    let closed = shape(json!({
        "month": "month", "closed": "flag", "dry_run": "flag", "rows": "[#ClosingRow]", "added": "[#ClosingRow]: by tiers, minimum, cap and rounding",
        "controls": "#Controls", "ties": "flag", "refusals": "[text]: what stands in the way, or gave way to force" }));
    let adjust = body(
        json!({ "delivery?": "id|null: what stands of its fee", "line?": "id|null: or this line", "amount": "money: what it should have cost",
        "reason": "text: one line; never about a patient", "dry_run?": "flag" }),
    );
    let line = shape(json!({
        "id": "id", "line": "number", "entry_type": "#EntryType", "fee_code": "text", "delivery": "id|null", "amount": "money", "currency": "text",
        "month": "month", "relates_to": "month|null", "reverses": "id|null", "reason": "text", "entered_by": "text" }));
    let exported = shape(json!({
        "id": "id: names the line for ever", "line": "number", "entry_type": "#EntryType", "occurred_at": "time", "recorded_at": "time", "month": "month",
        "relates_to": "month|null", "organization": "slug", "bill_to": "slug", "cost_center": "text", "site": "text", "payer": "text", "channel": "text",
        "status": "text", "fee_code": "text", "note": "text", "quantity": "number", "unit_price": "money", "amount": "money", "currency": "text",
        "price": "text|null", "delivery": "id|null", "reverses": "id|null", "reason": "text", "entered_by": "text" }));
    let counts = json!({ "rows": "number", "messages": "number", "matched": "number", "ours_only": "number", "theirs_only": "number",
        "price_differs": "number", "outcome_differs": "number",
        "tolerance": "money: so much prices may differ" });
    let difference = shape(json!({
        "bucket": words(Bucket::ALL), "row": "number|null", "message_id": "text|null", "delivery": "id|null", "ours": "text", "theirs": "text",
        "why": "text", "what_to_do": "text" }));
    let reconciled =
        shape(json!({ "month": "month", "file_sha256": "text", "signed_at": "time|null", "differences": "[#Difference]",
        "totals": "#UsageTotals" }));
    let signature = shape(
        json!({ "month": "month", "file_sha256": "text", "counts": "#UsageCounts", "signed_by": "text", "note": "text", "signed_at": "time" }),
    );
    vec![
        ("EntryType", words(EntryType::ALL)),
        ("ReportFormat", json!({ "enum": ["json", "csv"] })),
        ("StatementFormat", json!({ "enum": ["json", "csv", "html", "pdf"] })),
        ("ExportFormat", json!({ "enum": ["jsonl", "csv", "iif"] })),
        (
            "FeeReport",
            shape(
                json!({ "by": json!({ "type": "array", "items": words(By::ALL) }), "rows": "[#FeeRow]", "totals": "[#FeeSums]" }),
            ),
        ),
        ("FeeSums", shape(sums)),
        ("FeeRow", and("#FeeSums", keys)),
        ("Party", name),
        ("Statement", statement),
        ("StatementRow", and("#FeeLine", json!({ "price": "text|null", "exact": "money" }))),
        ("FeeLine", shape(row)),
        ("StatementTotal", total),
        ("Controls", shape(controls)),
        ("StatementControls", and("#Controls", json!({ "billed_to_others": "number", "ties": "flag" }))),
        ("Period", period),
        ("Periods", shape(json!({ "periods": "[#Period]" }))),
        ("Close", body(json!({ "dry_run?": "flag", "force?": "flag" }))),
        ("Closed", closed),
        ("ClosingRow", and("#FeeLine", json!({ "bill_to": "any" }))),
        ("Adjust", adjust),
        ("ExportedLine", exported),
        ("LinePage", shape(json!({ "lines": "[#ExportedLine]", "next": "text|null" }))),
        ("LedgerLine", line),
        ("Adjusted", shape(json!({ "dry_run": "flag", "lines": "[#LedgerLine]" }))),
        ("UsageCounts", shape(counts)),
        (
            "UsageTotals",
            and(
                "#UsageCounts",
                json!({ "prices_compared": "flag", "outcomes_compared": "flag", "asked": "money", "separator": words(Separator::ALL) }),
            ),
        ),
        ("Difference", difference),
        ("Reconciled", reconciled),
        ("Signature", signature),
        ("Signed", shape(json!({ "month": "month", "signed": "[#Signature]" }))),
    ]
}
