//! Where results go and why: probes, explanations, directories, rosters and the worklist.

use serde_json::json;

use super::{
    operation::{Operation, get, post},
    shape::{Named, body, shape, words},
};
use crate::{
    domain::{
        choice::Decides,
        route::{AddressKind, DirectorySource, Rule, Verdict},
    },
    pipeline::probing::told::{Pass, Word},
    resolve::roster::Column,
    store::{directory::SnapshotState, worklist::WorkKind},
    trust::{
        checklist::Check,
        discovery::{End, Place},
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let sure = "Whether an address can be sent to";
    let csv = json!({ "text/csv": { "schema": { "type": "string" } } });
    vec![
        get("/v1/probe/{address}", sure)
            .says("Takes the steps a delivery would take, and tells all that came of them. That it cannot be sent to is an answer. A patient may have an address, too: then it may not stand in a URL; send it as a body.")
            .at("address", "text: a Direct address of a clinician")
            .query("fresh", "flag: ask everybody anew")
            .answers(200, "#Probed", "What came of it."),
        post("/v1/probe", "The same, for an address that may be a patient's").takes("#Probe").answers(200, "#Probed", "What came of it."),
        post("/v1/explain", "Where results of an order went, or would go, and why")
            .says("With `order` (and `result`): where results of an order that nobody has stored would go. With `order_id`: where those of a stored one went. Stores and sends nothing. A `health_plan.member_id` of an order nobody has stored asks the roster only for tokens with `orders:write` or `patients:reveal`, and is on record; for others it is left out, as `warnings` says.")
            .takes("#Explain")
            .answers(200, "#Explained", "The route with its trace."),
        get("/v1/directory/decisions", "The pins and suppressions of an organization")
            .query("history", "flag: the latest decisions too, those no longer in force among them")
            .answers(200, "#Decisions", "What is in force."),
        post("/v1/directory/decisions", "Pin or suppress an address, or take that back")
            .says("With `dry_run` it only says what would come of it. The same again changes nothing.")
            .takes("#Decide")
            .answers(200, "#Decided", "What came of it.")
            .may_fail(&[404, 409]),
        get("/v1/directory/snapshots", "The loads of the directory").answers(200, "#Snapshots", "The latest first."),
        post("/v1/directory/snapshots", "Load a directory in the place of the one before")
            .says("For a token of the installation: a flat file of a HISP's, which answers for everybody, or with `organization` that one's own list. Needed are an NPI and an address in each row. National files are too large for an upload, and are loaded by command.")
            .query("columns", "text: what columns are called, as in `npi=PROV_NPI,address=Direct`")
            .query("force", "flag: even if it is much smaller")
            .query("dry_run", "flag: read and judge it, and change nothing")
            .takes_as(csv.clone())
            .answers(200, "#DirectoryLoaded", "It is in force, or would be.")
            .may_fail(&[408, 409, 422]),
        get("/v1/directory/{npi}", "What is known about an NPI")
            .says("That there is no address is an answer: 200 with a `reason`.")
            .at("npi", "npi")
            .answers(200, "#Found", "What each source says."),
        get("/v1/rosters", "The versions of a payer's roster").answers(200, "#Rosters", "The latest first."),
        post("/v1/rosters", "Load a roster in the place of the one before")
            .says("A file with a header: the member number and the NPI of the primary care provider, and where known the first and last day, the plan and the date of birth. A roster whose number of members moved by more than a tenth is refused.")
            .query("columns", "text: what columns are called, as in `npi=pcp,from=start`")
            .query("force", "flag: even if it is much different")
            .query("dry_run", "flag: only say what it would change")
            .takes_as(csv)
            .answers(200, "#RosterLoaded", "It is in force; with `dry_run` it would be, unless `refused` says why not.")
            .may_fail(&[408, 409, 422]),
        get("/v1/worklist", "What needs a person, the oldest first")
            .query("reason", "#Reason")
            .query("kind", "#WorkKind")
            .pages(100, 1000)
            .answers(200, "#Worklist", "A page."),
        post("/v1/worklist/reroute", "Have everything routed again that waits for one reason")
            .takes("#Reroute")
            .answers(200, "#Rerouted", "Which results; with `dry_run` those it would be."),
        post("/v1/worklist/{id}", "Do what a person decided about an item")
            .says("What is settled already is 409, so nothing is done twice. With `dry_run` it only says what would come of it.")
            .takes("#Resolve")
            .answers(200, "#Settled", "What came of it.")
            .may_fail(&[409]),
    ]
}

pub(super) fn schemas() -> Vec<Named> {
    let certificate = json!({ "subject": "text", "bound_to": "text", "key": "text", "valid_from": "time", "valid_until": "time",
        "last_day": "date", "fingerprint": "text" });
    let probed = shape(json!({
        "address": "text", "organization": "slug", "edge": "flag", "sendable": "flag", "steps": "[#ProbeStep]", "place?": "#ProbePlace|null",
        "certificate?": shape(certificate), "path?": "[text]: subjects, from the certificate's to the anchor's", "valid_until?": "time",
        "reason?": "#Reason", "why?": "text", "remedy?": "text" }));
    let step = shape(json!({ "place": "#ProbePlace", "end": words(End::ALL), "asked": "[#Asked]" }));
    let asked =
        shape(json!({ "what": "text", "of": "text", "age_seconds": "number|null", "took_ms": "number", "said": words(Word::ALL),
        "why?": "text", "directories?": "[text]", "certificates?": "[#Judged]" }));
    let judged = shape(json!({
        "subject?": "text", "bound_to?": "text", "key?": "text", "valid_from?": "time", "valid_until?": "time", "last_day?": "date",
        "fingerprint?": "text", "url?": "text", "valid": "flag", "reason?": "#Reason", "why?": "text",
        "checks?": json!({ "type": "array", "items": shape(json!({ "check": words(Check::ALL), "result": words(Pass::ALL), "why?": "text" })) }) }));
    let decision = shape(json!({ "state": json!({ "enum": ["routed", "held", "waiting", "not_sent"] }), "reason?": "#Reason" }));
    let candidate = shape(json!({
        "origin": "text", "rule": words(Rule::ALL), "address": "text|null", "npi": "text|null", "verdict": words(Verdict::ALL),
        "reason": "#Reason|null", "note": "text", "snapshot": "id|null", "role?": "#Recipient", "roster?": "id", "score?": "object" }));
    let route = shape(
        json!({ "decision": decision, "summary": "text", "remedy": "text|null", "targets": "[#Target]", "trace": "[#Candidate]" }),
    );
    let target = shape(
        json!({ "address": "text", "rule": words(Rule::ALL), "recipient": json!({ "type": ["object", "null"] }), "own_site": "flag" }),
    );
    let explained = shape(
        json!({ "route?": "#Route", "warnings?": "[#FieldProblem]", "order_id?": "text", "results?": "[#ExplainedResult]" }),
    );
    let of_result =
        shape(json!({ "result": "id", "version": "number", "status": "#ResultStatus", "state": "text", "reason": "#Reason|null",
        "route": "#Route|null", "decisions": "[#Decision]" }));
    let decided_by = json!({ "by": "text", "why": "text", "at": "time" });
    let with = |mut fields: serde_json::Value| {
        if let (Some(fields), Some(by)) = (fields.as_object_mut(), decided_by.as_object()) {
            fields.extend(by.clone());
        }
        shape(fields)
    };
    let decisions = shape(json!({
        "pins": { "type": "array", "items": with(json!({ "npi": "npi", "address": "text" })) },
        "suppressions": { "type": "array", "items": with(json!({ "kind": "#SuppressedKind", "what": "text", "until": "time|null" })) },
        "suppressed_in_file": "any", "history?": "[#Decision]" }));
    let wish = body(json!({
        "action": json!({ "enum": ["pin", "unpin", "suppress", "unsuppress"] }), "npi?": "npi|null: with pin and unpin",
        "address?": "text|null: with pin", "what?": "text|null: an address, an NPI or a domain, with suppress and unsuppress",
        "for?": "text|null: as in 30d, with suppress", "reason": "text: why, one line", "dry_run?": "flag" }));
    let entry = shape(json!({
        "address": "text", "source": "#DirectorySource", "snapshot": "id", "kind": "#AddressKind|null", "rank": "number|null",
        "organization": "text|null", "organization_npi": "text|null", "state": "text|null", "postal_code": "text|null",
        "first_seen": "time", "last_seen": "time", "last_success": "time|null" }));
    let source = shape(json!({ "source": "#DirectorySource", "name": "text|null", "snapshot": "id|null", "as_of": "time",
        "says": json!({ "enum": ["found", "no_address", "inactive", "not_found", "unavailable"] }), "why": "text|null" }));
    let snapshot = shape(
        json!({ "source": "#DirectorySource", "own": "flag: the organization's own list", "snapshot": "id", "file": "text",
        "state": words(SnapshotState::ALL), "loaded_at": "time", "age_days": "number", "overdue": "flag", "rows": "number" }),
    );
    let roster =
        shape(json!({ "roster": "id", "source": "text", "state": json!({ "enum": ["active", "retired"] }), "lines": "number",
        "members": "number", "loaded_at": "time" }));
    let columns: Vec<&str> =
        [Column::Member, Column::Npi, Column::From, Column::To, Column::Plan, Column::Birth].map(Column::word).to_vec();
    let loaded = shape(
        json!({ "roster": "id|null", "lines": "number", "members": "number", "before": "number|null", "dry_run": "flag",
        "changes": "#RosterChanges|null", "refused": "text|null", "rejected": "number",
        "rejects": json!({ "type": "string", "description": format!("rows that were left out, as CSV: line, one of {}, and why", columns.join(", ")) }) }),
    );
    let item = shape(json!({
        "kind": "#WorkKind", "id": "text", "order_id": "text", "reason": "#Reason|null", "meaning": "text|null", "remedy": "text|null",
        "since": "time", "recipients": "[#Open]" }));
    let open = shape(
        json!({ "recipient": "text", "npi": "text|null", "reason": "#Reason|null", "addresses": "[text]", "note": "text" }),
    );
    let resolve = body(json!({
        "action": json!({ "enum": ["pin", "address", "suppress", "reroute", "dismiss"] }), "address?": "text|null: with pin and address",
        "what?": "text|null: with suppress", "recipient?": "text|null: which, when several wait", "reason": "text: why, one line", "dry_run?": "flag" }));
    let explain = body(json!({ "order?": "#Order|null", "result?": "#Result|null", "order_id?": "text|null" }));
    vec![
        ("Probe", body(json!({ "address": "text", "fresh?": "flag" }))),
        ("Probed", probed),
        ("ProbeStep", step),
        ("ProbePlace", words(Place::ALL)),
        ("Asked", asked),
        ("Judged", judged),
        ("Explain", explain),
        ("Explained", explained),
        ("ExplainedResult", of_result),
        ("Route", route),
        ("Target", target),
        ("Candidate", candidate),
        (
            "Decision",
            shape(
                json!({ "what": words(Decides::ALL), "about": "text", "result": "id|null", "detail": "text", "by": "text", "why": "text", "at": "time" }),
            ),
        ),
        ("Decisions", decisions),
        ("Decide", wish),
        (
            "Decided",
            shape(json!({ "dry_run": "flag", "npi?": "npi", "address?": "text", "before?": "text|null", "rerouted?": "number",
            "kind?": "#SuppressedKind", "what?": "text", "until?": "time|null", "lifted?": "flag", "in_file?": "flag" })),
        ),
        ("SuppressedKind", json!({ "enum": ["address", "npi", "domain"] })),
        ("DirectorySource", words(DirectorySource::ALL)),
        ("AddressKind", words(AddressKind::ALL)),
        (
            "Found",
            shape(json!({ "npi": "npi", "reason": "#Reason|null", "entries": "[#DirectoryEntry]", "sources": "[#Source]" })),
        ),
        ("DirectoryEntry", entry),
        ("Source", source),
        ("Snapshot", snapshot),
        (
            "DirectoryLoaded",
            shape(
                json!({ "snapshot": "id|null", "dry_run": "flag", "entries": "number: rows in force", "rejected": "number", "duplicates": "number",
                "webmail": "number: addresses at mailbox providers for everybody",
                "counts": json!({ "type": "object", "additionalProperties": shape(json!({ "rows": "number", "taken": "number" })) }) }),
            ),
        ),
        ("Snapshots", shape(json!({ "snapshots": "[#Snapshot]" }))),
        ("Roster", roster),
        ("Rosters", shape(json!({ "rosters": "[#Roster]" }))),
        ("RosterLoaded", loaded),
        ("RosterChanges", shape(json!({ "added": "number", "changed": "number", "gone": "number" }))),
        ("WorkKind", words(WorkKind::ALL)),
        ("WorkItem", item),
        ("Open", open),
        ("Worklist", shape(json!({ "items": "[#WorkItem]", "next": "text|null" }))),
        ("Resolve", resolve),
        ("Settled", shape(json!({ "rerouted": "[id]", "told": "text", "dry_run": "flag" }))),
        ("Reroute", body(json!({ "waiting_for": "#Reason", "reason": "text: why, one line", "dry_run?": "flag" }))),
        ("Rerouted", shape(json!({ "results": "[id]", "dry_run": "flag" }))),
    ]
}
