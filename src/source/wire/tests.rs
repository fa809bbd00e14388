use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{
    Order,
    order::{CodeSystem, GenderCode, Priority, Role},
    report::ResultStatus,
    text::Stated,
};

fn today() -> Date {
    "2026-11-21".parse().unwrap()
}

/// The order of the published wire shapes.
fn full() -> Value {
    json!({ "order_id": "PLC700881", "site": "RIVERSIDE01", "action": "new",
      "patient": { "local_id": "ZZ000417", "name": { "family": "Testriver", "given": ["Morgan", "Q"], "prefix": null, "suffix": null },
        "birth_date": "1964-02-17", "gender": "F",
        "address": { "lines": ["12 Sample St", "Unit 3"], "city": "Faketown", "state": "FL", "postal_code": "32599", "country": "US" },
        "phone": "+1-850-555-0142", "marital_status": "M", "race": ["2106-3"], "ethnicity": "2148-5", "language": "en-US" },
      "ordering_provider": { "npi": "1234567893", "name": { "family": "Sample", "given": ["Jordan"] } },
      "procedure": { "code": "92250", "system": "CPT", "display": "Fundus photography" },
      "encounter": "ENC900431", "exam_state": "FL", "scheduled_at": "2026-01-15T08:45:00-05:00",
      "health_plan": { "id": "PLAN-DEMO", "name": "Demo Plan", "member_id": "MBR-000417" },
      "priority": "routine", "do_not_deliver": false,
      "deliver_to": [ { "role": "pcp", "direct": "pcp.demo@direct.example.org", "npi": "1234567893",
                        "name": { "family": "Sample", "given": ["Jordan"] }, "organization": "North Clinic" },
                      { "role": "ordering", "npi": "2000000010" } ] })
}

fn minimal() -> Value {
    json!({ "order_id": "A1", "site": "S1",
      "patient": { "name": { "family": "Doe", "given": ["Sam"] }, "birth_date": "1964", "gender": "unknown" } })
}

fn minimal_result() -> Value {
    json!({ "order_id": "A1", "site": "S1", "status": "final" })
}

fn with(mut base: Value, at: &str, value: Value) -> Value {
    let (parent, name) = at.rsplit_once('/').unwrap();
    let parent = if parent.is_empty() { &mut base } else { base.pointer_mut(parent).unwrap() };
    parent[name] = value;
    base
}

fn read_order(value: &Value) -> Result<Parsed<OrderMessage>, Vec<FieldProblem>> {
    order(value.to_string().as_bytes(), Unknown::Refuse, today())
}

fn read_result(value: &Value) -> Result<Parsed<ResultMessage>, Vec<FieldProblem>> {
    result(value.to_string().as_bytes(), Unknown::Refuse, today())
}

fn taken(value: &Value) -> Order {
    read_order(value).unwrap().value.order().unwrap()
}

fn codes(problems: &[FieldProblem]) -> Vec<(&str, &str)> {
    problems.iter().map(|problem| (problem.field.as_str(), problem.code.as_ref())).collect()
}

#[test]
fn the_published_order_is_read_whole() {
    let parsed = read_order(&full()).unwrap();
    assert_eq!(parsed.warnings, []);
    let order = parsed.value.order().unwrap();
    assert_eq!(order.patient.name.given, ["Morgan", "Q"]);
    assert_eq!(order.patient.birth_date.as_str(), "1964-02-17");
    assert_eq!(order.patient.race, ["2106-3"]);
    assert_eq!(order.patient.address.unwrap().lines, ["12 Sample St", "Unit 3"]);
    assert_eq!(order.scheduled_at.unwrap().hl7(), "20260115084500-0500");
    assert_eq!(order.health_plan.unwrap().member_id.as_deref(), Some("MBR-000417"));
    assert_eq!(order.deliver_to[0].direct.as_ref().unwrap().valid().unwrap().as_str(), "pcp.demo@direct.example.org");
    assert_eq!(order.deliver_to[1].role, Role::Ordering);
}

#[test]
fn the_least_order_has_its_defaults() {
    let order = taken(&with(minimal(), "/deliver_to", json!([{ "npi": "2000000010" }])));
    assert_eq!((order.priority, order.do_not_deliver), (Priority::Routine, false));
    assert_eq!(order.patient.code_system, CodeSystem::V3);
    assert_eq!(order.patient.gender.code, GenderCode::Unknown);
    assert_eq!(order.deliver_to[0].role, Role::Other);
}

#[test]
fn all_problems_are_reported_at_once_with_their_pointers() {
    let bad = json!({ "site": "S\r\nX", "color": "red", "do_not_deliver": "no",
      "patient": { "name": { "family": "", "given": [] }, "gender": "Q", "phone": 5, "nick~/name": 1 } });
    let problems = read_order(&bad).unwrap_err();
    assert_eq!(
        codes(&problems),
        [
            ("/order_id", "missing"),
            ("/site", "control_character"),
            ("/patient/name/family", "empty"),
            ("/patient/name/given", "missing"),
            ("/patient/birth_date", "missing"),
            ("/patient/gender", "unknown_code"),
            ("/patient/phone", "wrong_type"),
            ("/patient/nick~0~1name", "unknown_field"),
            ("/do_not_deliver", "wrong_type"),
            ("/color", "unknown_field"),
        ]
    );
}

#[test]
fn each_bad_field_gets_its_own_answer() {
    for (at, value, field, code) in [
        ("/patient/birth_date", json!("1964-02-30"), "/patient/birth_date", "impossible_date"),
        ("/patient/birth_date", json!("2026-11-22"), "/patient/birth_date", "future_date"),
        ("/patient/birth_date", json!("02/17/1964"), "/patient/birth_date", "bad_date"),
        ("/patient/birth_date", json!(19_640_217), "/patient/birth_date", "wrong_type"),
        ("/patient/birth_date", json!(null), "/patient/birth_date", "missing"),
        ("/patient", json!(null), "/patient", "missing"),
        ("/patient", json!("Morgan"), "/patient", "wrong_type"),
        ("/patient/name/family", json!("O\nBcc: x"), "/patient/name/family", "control_character"),
        ("/patient/name/family", json!("x".repeat(251)), "/patient/name/family", "too_long"),
        ("/patient/name/given", json!("Morgan"), "/patient/name/given", "wrong_type"),
        ("/patient/name/given", json!(["Morgan", "Q\u{b}"]), "/patient/name/given/1", "control_character"),
        ("/patient/race", json!(["2106-3", 7]), "/patient/race/1", "wrong_type"),
        ("/patient/code_system", json!("v4"), "/patient/code_system", "unknown_code"),
        ("/patient/address/lines", json!(["1", "2", "3", "4", "5"]), "/patient/address/lines", "too_many"),
        ("/order_id", json!("x".repeat(101)), "/order_id", "too_long"),
        ("/order_id", json!("x".repeat(10 << 20)), "/order_id", "too_long"),
        ("/order_id", json!(700_881), "/order_id", "wrong_type"),
        ("/action", json!("delete"), "/action", "unknown_code"),
        ("/priority", json!("stat"), "/priority", "unknown_code"),
        ("/scheduled_at", json!("2026-01-15T08:45:00"), "/scheduled_at", "no_offset"),
        ("/scheduled_at", json!("2026-02-30T08:45:00Z"), "/scheduled_at", "impossible_date"),
        ("/scheduled_at", json!("0026-01-15T08:45:00Z"), "/scheduled_at", "impossible_date"),
        ("/scheduled_at", json!("tomorrow"), "/scheduled_at", "bad_time"),
        ("/scheduled_at", json!("2026-01-15T08:45:00-05:00[America/Lima]"), "/scheduled_at", "bad_time"),
        ("/procedure", json!({ "display": "Fundus" }), "/procedure/code", "missing"),
        ("/deliver_to", json!([{ "npi": 1_234_567_893 }]), "/deliver_to/0/npi", "wrong_type"),
        ("/deliver_to", json!([{ "direct": "a@b.example\r\nX: y" }]), "/deliver_to/0/direct", "control_character"),
        ("/deliver_to", json!([{ "direct": "x".repeat(1000) }]), "/deliver_to/0/direct", "too_long"),
        ("/deliver_to", json!([{ "npi": "2000000010", "role": "boss" }]), "/deliver_to/0/role", "unknown_code"),
        ("/deliver_to", json!({ "npi": "2000000010" }), "/deliver_to", "wrong_type"),
    ] {
        let problems = read_order(&with(full(), at, value)).unwrap_err();
        assert_eq!(codes(&problems), [(field, code)], "{problems:?}");
    }
}

#[test]
fn a_message_never_repeats_what_was_given() {
    let secret = "SECRETNAME";
    for (at, value) in [
        ("/patient/gender", json!(secret)),
        ("/patient/birth_date", json!(secret)),
        ("/patient/code_system", json!(secret)),
        ("/patient/name/family", json!(format!("{secret}\u{0}"))),
        ("/patient/name/given", json!(secret)),
        ("/patient/race", json!(secret)),
        ("/priority", json!(secret)),
        ("/scheduled_at", json!(secret)),
        ("/deliver_to", json!([{ "direct": secret, "npi": secret, "role": secret }])),
    ] {
        let problems = read_order(&with(full(), at, value)).unwrap_err();
        assert!(!problems.is_empty() && !format!("{problems:?}").contains(secret), "{problems:?}");
    }
}

#[test]
fn a_bad_npi_or_address_is_kept_with_a_warning() {
    let order = json!([{ "direct": "nobody", "npi": "1234567890" }, { "npi": "2000000010" }, {}, { "direct": "" }]);
    let order = with(with(full(), "/deliver_to", order), "/ordering_provider/npi", json!("12"));
    let parsed = read_order(&order).unwrap();
    assert_eq!(
        codes(&parsed.warnings),
        [
            ("/ordering_provider/npi", "npi_invalid"),
            ("/deliver_to/0/direct", "address_invalid"),
            ("/deliver_to/0/npi", "npi_invalid"),
            ("/deliver_to/2", "no_address"),
            ("/deliver_to/3", "no_address"),
        ]
    );
    let order = parsed.value.order().unwrap();
    assert_eq!(order.deliver_to.len(), 4);
    assert!(matches!(&order.deliver_to[0].npi, Some(Stated::Invalid { text, .. }) if text == "1234567890"));
}

#[test]
fn a_social_security_number_is_thrown_away_and_noted() {
    for ssn in [json!("078-05-1120"), json!(78_051_120), json!({ "number": "078-05-1120" })] {
        for unknown in [Unknown::Refuse, Unknown::Ignore] {
            let json = with(full(), "/patient/ssn", ssn.clone()).to_string();
            let parsed = order(json.as_bytes(), unknown, today()).unwrap();
            assert_eq!(codes(&parsed.warnings), [("/patient/ssn", "ssn_discarded")]);
            let stored = serde_json::to_string(&parsed.value.order().unwrap()).unwrap() + &format!("{:?}", parsed.warnings);
            assert!(!stored.contains("1120"), "{stored}");
        }
    }
}

#[test]
fn unknown_fields_are_ignored_where_a_client_is_set_so() {
    let json = with(with(full(), "/color", json!("red")), "/patient/nickname", json!([1, 2])).to_string();
    assert!(order(json.as_bytes(), Unknown::Refuse, today()).is_err());
    assert_eq!(order(json.as_bytes(), Unknown::Ignore, today()).unwrap().warnings, []);
}

#[test]
fn a_field_given_twice_is_refused() {
    let json = full().to_string().replacen("\"gender\":\"F\"", "\"gender\":\"F\",\"gender\":\"M\"", 1);
    for unknown in [Unknown::Refuse, Unknown::Ignore] {
        let problems = order(json.as_bytes(), unknown, today()).unwrap_err();
        assert_eq!(codes(&problems), [("/patient/gender", "duplicate_field")]);
    }
}

#[test]
fn what_is_no_json_object_is_one_problem_of_the_whole() {
    for (json, code) in [("[1]", "wrong_type"), ("", "malformed_json"), ("{\"a\":", "malformed_json"), ("nil", "malformed_json")]
    {
        let problems = order(json.as_bytes(), Unknown::Refuse, today()).unwrap_err();
        assert_eq!(codes(&problems), [("", code)]);
    }
}

#[test]
fn a_cancellation_needs_only_the_order_id() {
    let cancel = read_order(&json!({ "order_id": "A1", "action": "cancel" })).unwrap().value;
    assert_eq!(cancel, OrderMessage::Cancel(CancelledOrder { order_id: "A1".into(), site: None }));
    let repeated = read_order(&with(full(), "/action", json!("cancel"))).unwrap().value;
    assert_eq!(repeated.order_id(), "PLC700881");
    assert_eq!(codes(&read_order(&json!({ "action": "cancel" })).unwrap_err()), [("/order_id", "missing")]);
}

#[test]
fn every_gender_code_of_the_table_is_taken_and_kept() {
    for (sent, code) in [
        ("F", GenderCode::Female),
        ("m", GenderCode::Male),
        ("O", GenderCode::Undifferentiated),
        ("UN", GenderCode::Undifferentiated),
        ("X", GenderCode::Undifferentiated),
        ("TM", GenderCode::Undifferentiated),
        ("TF", GenderCode::Undifferentiated),
        ("ND", GenderCode::Undifferentiated),
        ("EQ", GenderCode::Undifferentiated),
        ("NL", GenderCode::Undifferentiated),
        ("other", GenderCode::Undifferentiated),
        ("U", GenderCode::Unknown),
        ("N", GenderCode::Unknown),
        ("unknown", GenderCode::Unknown),
    ] {
        let gender = taken(&with(minimal(), "/patient/gender", json!(sent))).patient.gender;
        assert_eq!((gender.sent.as_str(), gender.code), (sent, code));
    }
}

#[test]
fn a_full_result_is_read_with_its_order_and_pdf() {
    let value = json!({ "order_id": "PLC700881", "site": "RIVERSIDE01", "status": "corrected", "completed_at": "2026-01-15T10:15:30-05:00",
      "title": "Retinal eye screening report", "document_code": "103592-2",
      "author": { "npi": "1234567893", "taxonomy": "207W00000X", "name": { "family": "Reader", "given": ["Casey"], "suffix": "MD" } },
      "version": 2, "replaces": "0190f7a0-0000-7000-8000-000000000001", "order": full(), "pdf": "JVBERi0x\r\nLjQ" });
    let message = read_result(&value).unwrap().value;
    assert_eq!(message.report.status, ResultStatus::Corrected);
    assert_eq!(message.report.author.unwrap().taxonomy.as_deref(), Some("207W00000X"));
    assert_eq!(message.pdf.as_deref(), Some(&b"%PDF-1.4"[..]));
    assert_eq!(message.order.unwrap().order_id, "PLC700881");
    assert_eq!(message.version, Some(2));
    assert!(message.replaces.unwrap().id.is_some());
}

#[test]
fn a_result_with_its_order_need_not_repeat_the_site() {
    let value = json!({ "order_id": "PLC700881", "status": "final", "order": full() });
    assert_eq!(read_result(&value).unwrap().value.report.site, "RIVERSIDE01");
}

#[test]
fn the_earlier_document_can_be_named_in_three_ways() {
    let named = |value| read_result(&with(minimal_result(), "/replaces", value)).map(|parsed| parsed.value.replaces.unwrap());
    assert_eq!(named(json!(1)), Ok(Replaces { version: Some(1), ..Replaces::default() }));
    let long =
        json!({ "id": "0190f7a0-0000-7000-8000-000000000001", "set_id": "0190f7a0-0000-7000-8000-000000000002", "version": 1 });
    assert!(matches!(named(long), Ok(Replaces { id: Some(_), set_id: Some(_), version: Some(1) })));
    assert_eq!(codes(&named(json!("RPT-1")).unwrap_err()), [("/replaces", "not_an_id")]);
    assert_eq!(codes(&named(json!(0)).unwrap_err()), [("/replaces", "wrong_type")]);
}

#[test]
fn each_bad_field_of_a_result_gets_its_own_answer() {
    for (at, value, field, code) in [
        ("/status", json!(null), "/status", "missing"),
        ("/status", json!("done"), "/status", "unknown_code"),
        ("/site", json!("S\t1"), "/site", "control_character"),
        ("/document_code", json!("28619-8"), "/document_code", "not_loinc"),
        ("/pdf", json!("data:application/pdf;base64,JVBERi0x"), "/pdf", "bad_base64"),
        ("/version", json!(0), "/version", "wrong_type"),
        ("/version", json!(1.5), "/version", "wrong_type"),
        ("/completed_at", json!("2026-01-15 10:15"), "/completed_at", "bad_time"),
        ("/title", json!("A\tB"), "/title", "control_character"),
        ("/author", json!({ "name": { "given": ["Casey"] } }), "/author/name/family", "missing"),
        ("/order", json!({ "order_id": "A1", "action": "cancel" }), "/order/action", "unknown_code"),
        ("/order", with(minimal(), "/order_id", json!("B2")), "/order/order_id", "mismatch"),
        ("/order", with(minimal(), "/site", json!("S2")), "/order/site", "mismatch"),
        ("/order", with(minimal(), "/patient/gender", json!("Q")), "/order/patient/gender", "unknown_code"),
    ] {
        let problems = read_result(&with(minimal_result(), at, value)).unwrap_err();
        assert_eq!(codes(&problems), [(field, code)], "{problems:?}");
    }
}

/// Any JSON, with the names of the wire among its names.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof!["1964-02-17", "F", "new", "final", "1234567893", "2026-01-15T10:15:30Z"].prop_map(Value::from),
    ];
    let name =
        prop_oneof!["[a-z_]{1,8}", "order_id", "site", "patient", "name", "family", "given", "birth_date", "gender", "status"];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_comes_there_is_a_value_or_a_reason(value in any_json(), cut in any::<prop::sample::Index>()) {
        let text = value.to_string();
        for json in [text.as_bytes(), &text.as_bytes()[..cut.index(text.len())]] {
            for unknown in [Unknown::Refuse, Unknown::Ignore] {
                if let Err(problems) = order(json, unknown, today()) {
                    prop_assert!(!problems.is_empty());
                }
                if let Err(problems) = result(json, unknown, today()) {
                    prop_assert!(!problems.is_empty());
                }
            }
        }
    }
}
