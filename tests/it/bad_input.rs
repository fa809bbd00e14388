//! Bad input gets a clear answer and loses nothing, whichever way it comes in: the same problems, named by field, from
//! the API, from a watched folder and from a feed.

use std::{fs, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use postern::{
    config::{
        source::{Feed as FeedSettings, Folder as FolderSettings},
        web::WebSection,
    },
    domain::{OrgScope, id::ProcessId, time::Span},
    observe::health::Health,
    source::{feed::Feed, folder::Folder},
    store::lease::Lease,
    web::{Web, serve},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::counter::{Counter, base64, order, pdf, result, with};

/// A result that is refused, and every problem that is named for it.
struct Case {
    what: &'static str,
    json: Vec<u8>,
    problems: Vec<(&'static str, &'static str)>,
}

fn case(what: &'static str, json: Vec<u8>, problems: &[(&'static str, &'static str)]) -> Case {
    Case { what, json, problems: problems.to_vec() }
}

/// A good result with its order and PDF inside.
fn good() -> Value {
    with(with(result("A1", "final"), "order", order("A1")), "pdf", base64(&pdf("one")).into())
}

fn set(at: &str, value: Value) -> Vec<u8> {
    let mut json = good();
    let (parent, name) = at.rsplit_once('/').unwrap();
    json.pointer_mut(parent).unwrap()[name] = value;
    json.to_string().into_bytes()
}

fn without(at: &str) -> Vec<u8> {
    let mut json = good();
    let (parent, name) = at.rsplit_once('/').unwrap();
    json.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
    json.to_string().into_bytes()
}

/// The text of a good result with one piece of it replaced, where a tree cannot hold what is wrong.
fn replaced(from: &str, to: &[u8]) -> Vec<u8> {
    let text = good().to_string();
    let (before, after) = text.split_once(from).unwrap_or_else(|| panic!("{from} in {text}"));
    [before.as_bytes(), to, after.as_bytes()].concat()
}

/// Everything here also stands in a feed's page, so its quotes and brackets match.
fn cases() -> Vec<Case> {
    let deep = format!("\"gender\":{}{}", "[".repeat(40), "]".repeat(40));
    let abyss = format!("\"gender\":{}{}", "[".repeat(9_000), "]".repeat(9_000));
    let family = "/order/patient/name/family";
    vec![
        case("malformed JSON", replaced("\"gender\":\"F\"", b"\"gender\":F"), &[("", "malformed_json")]),
        case("unknown field", set("/order/colour", json!("red")), &[("/order/colour", "unknown_field")]),
        case("missing birth date", without("/order/patient/birth_date"), &[("/order/patient/birth_date", "missing")]),
        case(
            "impossible date",
            set("/order/patient/birth_date", json!("1964-02-30")),
            &[("/order/patient/birth_date", "impossible_date")],
        ),
        case(
            "future date",
            set("/order/patient/birth_date", json!("2964-02-03")),
            &[("/order/patient/birth_date", "future_date")],
        ),
        case("impossible time", set("/completed_at", json!("2026-02-30T10:00:00Z")), &[("/completed_at", "impossible_date")]),
        case("CR/LF in a name", set(family, json!("X\r\nBcc: a@b.example")), &[(family, "control_character")]),
        case("HL7 segment in a name", set(family, json!("X\rFT1|1")), &[(family, "control_character")]),
        case("NUL in a name", set(family, json!("X\u{0}Y")), &[(family, "control_character")]),
        case("bidi override in a name", set(family, json!("X\u{202E}Y")), &[(family, "control_character")]),
        case("bidi isolate in a name", set(family, json!("X\u{2066}Y")), &[(family, "control_character")]),
        case("XML-breaking character", set(family, json!("X\u{FFFE}Y")), &[(family, "control_character")]),
        case("field of a megabyte", set(family, json!("x".repeat(1_000_000))), &[(family, "too_long")]),
        case("wrong type", set("/order/patient/name/given", json!("Morgan")), &[("/order/patient/name/given", "wrong_type")]),
        case("invalid UTF-8", replaced("Testriver", b"Test\xffriver"), &[("", "malformed_json")]),
        case("half a surrogate", replaced("Testriver", b"Test\\ud800river"), &[("", "malformed_json")]),
        case("overlong UTF-8", replaced("Testriver", b"\xc0\xaf"), &[("", "malformed_json")]),
        case(
            "a key twice",
            replaced("\"gender\":\"F\"", b"\"gender\":\"F\",\"gender\":\"M\""),
            &[("/order/patient/gender", "duplicate_field")],
        ),
        case(
            "a key twice, one escaped",
            replaced("\"gender\":\"F\"", b"\"gender\":\"F\",\"g\\u0065nder\":\"M\""),
            &[("/order/patient/gender", "duplicate_field")],
        ),
        case("two orders", replaced("\"order\":", b"\"order\":null,\"order\":"), &[("/order", "duplicate_field")]),
        case("deep nesting", replaced("\"gender\":\"F\"", deep.as_bytes()), &[("", "too_deep")]),
        case("abysmal nesting", replaced("\"gender\":\"F\"", abyss.as_bytes()), &[("", "too_deep")]),
        case("number out of range", replaced("\"gender\":\"F\"", b"\"gender\":1e999"), &[("", "malformed_json")]),
        case("base64 error", set("/pdf", json!("JVBERi0x*")), &[("/pdf", "bad_base64")]),
        case("base64 with stray bits", set("/pdf", json!("JVBERi1=")), &[("/pdf", "bad_base64")]),
        case("data: URL", set("/pdf", json!("data:application/pdf;base64,JVBERi0x")), &[("/pdf", "bad_base64")]),
        case("no PDF", set("/pdf", json!("bm90IGEgUERG")), &[("/pdf", "not_pdf")]),
        case("PDF that crashes the check", set("/pdf", json!("JVBERi1QQU5JQw==")), &[("/pdf", "unreadable")]),
        case("unknown status", set("/status", json!("finished")), &[("/status", "unknown_code")]),
        case("another order inside", set("/order/order_id", json!("B1")), &[("/order/order_id", "mismatch")]),
        case("a cancelled order inside", set("/order/action", json!("cancel")), &[("/order/action", "unknown_code")]),
        case(
            "several at once",
            replaced("\"birth_date\":\"1964-02-17\",\"gender\":\"F\"", b"\"birth_date\":\"17.2.1964\",\"gender\":\"?\""),
            &[("/order/patient/birth_date", "bad_date"), ("/order/patient/gender", "unknown_code")],
        ),
    ]
}

/// What is named: field and code. Nothing of the values may be in it.
fn named(refusal: &Value) -> Vec<(String, String)> {
    assert!(!refusal.to_string().contains("Bcc") && !refusal.to_string().contains("iver"), "{refusal}");
    let text = |error: &Value, member: &str| error[member].as_str().unwrap().to_owned();
    refusal["errors"].as_array().unwrap().iter().map(|error| (text(error, "field"), text(error, "code"))).collect()
}

fn expected(case: &Case) -> Vec<(String, String)> {
    let mut expected: Vec<_> = case.problems.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
    expected.sort();
    expected
}

async fn api(counter: &Counter) -> String {
    let settings = WebSection { upload_silence: Span::seconds(5), ..WebSection::default() };
    let web = Web::new(&settings, counter.intake.clone(), Health::default(), None);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/results", listener.local_addr().unwrap());
    tokio::spawn(serve(web, listener, CancellationToken::new()));
    url
}

#[tokio::test]
async fn the_api_names_every_problem_by_its_field() {
    let counter = Counter::open().await;
    let token = counter.store.create_token(counter.org, "test", false).await.unwrap();
    let (url, client) = (api(&counter).await, reqwest::Client::new());
    for case in cases() {
        let request = client.post(&url).bearer_auth(&token).header("content-type", "application/json").body(case.json.clone());
        let response = request.send().await.unwrap();
        assert_eq!((case.what, response.status().as_u16()), (case.what, 422));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let mut problems = named(&response.json().await.unwrap());
        problems.sort();
        assert_eq!((case.what, problems), (case.what, expected(&case)));
    }
    assert!(counter.results("A1").await.is_empty());
    assert!(counter.store.order_called(counter.org, "A1").await.unwrap().is_none());
}

#[tokio::test]
async fn a_folder_puts_the_same_problems_beside_the_file() {
    let counter = Counter::open().await;
    let path = counter.dir.path().join("inbox");
    fs::create_dir(&path).unwrap();
    let settings = FolderSettings {
        organization: "north-clinics".into(),
        path: path.clone(),
        pdf_wait: Span::seconds(60),
        settle: Span::seconds(0),
        poll: Span::seconds(1),
        keep: false,
        ignore_unknown: false,
    };
    let cases = cases();
    for (n, case) in cases.iter().enumerate() {
        fs::write(path.join(format!("{n}.json")), &case.json).unwrap();
    }
    let mut folder = Folder::new(settings, counter.org, counter.intake.clone());
    let sweep = folder.sweep(Duration::from_mins(1)).await.unwrap();
    assert_eq!((sweep.failed, sweep.taken, sweep.waiting), (cases.len(), 0, 0));
    for (n, case) in cases.iter().enumerate() {
        let reason = fs::read(path.join(format!("failed/{n}.reason.json"))).unwrap();
        let mut problems = named(&serde_json::from_slice(&reason).unwrap());
        problems.sort();
        assert_eq!((case.what, problems), (case.what, expected(case)));
        assert_eq!(fs::read(path.join(format!("failed/{n}.json"))).unwrap(), case.json, "{}: nothing is lost", case.what);
    }
    assert!(counter.results("A1").await.is_empty());
}

/// A feed that gives these octets as its page, and takes every acknowledgement.
async fn feed(counter: &Counter, page: Vec<u8>) -> Feed {
    let gives = move || {
        let page = page.clone();
        async move { page }
    };
    let routes = Router::new().route("/", get(gives)).route("/ack", axum::routing::post(|| async { StatusCode::OK }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let settings = FeedSettings {
        name: "lab".into(),
        organization: "north-clinics".into(),
        url,
        token_file: None,
        batch: 100,
        page_bytes: 64_000_000,
        poll: Span::seconds(1),
        expect_within: None,
        back_off: Span::seconds(1),
        internal: true,
        ignore_unknown: false,
    };
    Feed::new(settings, counter.org, counter.intake.clone(), None).unwrap()
}

#[tokio::test]
async fn a_feed_parks_each_bad_item_with_the_same_problems_and_goes_on_past_it() {
    let counter = Counter::open().await;
    let cases = cases();
    let mut page = b"{\"items\":[".to_vec();
    for (n, case) in cases.iter().enumerate() {
        page.extend_from_slice(format!("{{\"cursor\":\"{n:03}\",\"result\":").as_bytes());
        page.extend_from_slice(&case.json);
        page.extend_from_slice(b"},");
    }
    let last = with(with(result("Z9", "final"), "order", order("Z9")), "pdf", base64(&pdf("last")).into());
    page.extend_from_slice(format!("{}]}}", json!({ "cursor": "999", "result": last })).as_bytes());

    let lease = Lease { owner: ProcessId::new(), length: Duration::from_mins(1) };
    let pulled = feed(&counter, page).await.pull(&lease).await.unwrap();
    assert_eq!((pulled.taken, pulled.parked), (1, cases.len()));
    assert_eq!(counter.store.feed_cursor("lab").await.unwrap().as_deref(), Some("999"));
    let parked = counter.store.parked(OrgScope::One(counter.org)).await.unwrap();
    for (case, item) in cases.iter().zip(&parked) {
        let mut problems = named(&item.problems);
        problems.sort();
        assert_eq!((case.what, problems), (case.what, expected(case)));
        assert_eq!(&counter.store.open_parked(item).await.unwrap()[..], case.json, "{}: nothing is lost", case.what);
    }
    assert!(counter.results("A1").await.is_empty());
    assert_eq!(counter.results("Z9").await.len(), 1);
}

#[tokio::test]
async fn a_bad_npi_or_address_and_a_social_security_number_refuse_nothing_whichever_way_they_come() {
    let odd = |id: &str| {
        let mut odd = with(with(result(id, "final"), "order", order(id)), "pdf", base64(&pdf(id)).into());
        odd["order"]["patient"]["ssn"] = json!("078-05-1120");
        odd["order"]["deliver_to"] = json!([{ "npi": "1234567890", "direct": "nobody" }]);
        odd
    };
    let counter = Counter::open().await;
    let token = counter.store.create_token(counter.org, "test", false).await.unwrap();
    let request = reqwest::Client::new().post(api(&counter).await).bearer_auth(&token).json(&odd("A1"));
    assert_eq!(request.send().await.unwrap().status().as_u16(), 201);

    let path = counter.dir.path().join("inbox");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("o.json"), odd("A2").to_string()).unwrap();
    let settings = toml::from_str(&format!("organization = \"x\"\npath = {path:?}\nsettle = \"0s\"\n")).unwrap();
    let swept = Folder::new(settings, counter.org, counter.intake.clone()).sweep(Duration::from_mins(1)).await.unwrap();
    assert_eq!(swept.taken, 1);

    let page = json!({ "items": [{ "cursor": "1", "result": odd("A3") }] }).to_string().into_bytes();
    let lease = Lease { owner: ProcessId::new(), length: Duration::from_mins(1) };
    assert_eq!(feed(&counter, page).await.pull(&lease).await.unwrap().taken, 1);

    for id in ["A1", "A2", "A3"] {
        let view = counter.results(id).await.remove(0);
        // Nobody may be listening where a folder or a feed is: what there was to say stands with the result.
        let told = counter.intake.look(OrgScope::One(counter.org), view.id).await.unwrap().warnings;
        let told: Vec<_> = told.iter().map(|warning| (warning.field.as_str(), warning.code.as_ref())).collect();
        let expected = [
            ("/order/patient/ssn", "ssn_discarded"),
            ("/order/deliver_to/0/direct", "address_invalid"),
            ("/order/deliver_to/0/npi", "npi_invalid"),
        ];
        assert_eq!(told, expected, "{id}");
    }
    for entry in fs::read_dir(counter.dir.path()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
        let content = fs::read(&entry).unwrap();
        assert!(!content.windows(11).any(|w| w == b"078-05-1120"), "{}", entry.display());
    }
}

#[tokio::test]
async fn what_a_feed_parks_holds_no_social_security_number() {
    let counter = Counter::open().await;
    let mut bad = with(with(result("A1", "final"), "order", order("A1")), "pdf", base64(&pdf("one")).into());
    bad["order"]["patient"]["ssn"] = json!("078-05-1120");
    bad["status"] = json!("finished");
    let page = json!({ "items": [{ "cursor": "1", "result": bad }] }).to_string().into_bytes();
    let lease = Lease { owner: ProcessId::new(), length: Duration::from_mins(1) };
    assert_eq!(feed(&counter, page).await.pull(&lease).await.unwrap().parked, 1);
    let item = counter.store.parked(OrgScope::All).await.unwrap().remove(0);
    let kept = String::from_utf8(counter.store.open_parked(&item).await.unwrap().to_vec()).unwrap();
    assert!(kept.contains("Testriver") && !kept.contains("1120"), "{kept}");
}

#[tokio::test]
async fn forms_and_bodies_that_are_not_what_they_should_be_are_refused_in_words() {
    let counter = Counter::open().await;
    let token = counter.store.create_token(counter.org, "test", false).await.unwrap();
    let (url, client) = (api(&counter).await, reqwest::Client::new());
    let part = |name: &str, content: &str| format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n");
    let json = result("A1", "final").to_string();
    let paper = String::from_utf8(pdf("one")).unwrap();
    let whole = |parts: &[String]| parts.concat() + "--b--\r\n";
    let (form, plain) = ("multipart/form-data; boundary=b", "application/json");
    for (what, kind, body, status, problem) in [
        ("no result part", form, whole(&[part("pdf", &paper)]), 422, Some(("/result", "missing"))),
        ("two result parts", form, whole(&[part("result", &json), part("result", &json)]), 422, Some(("/result", "given_twice"))),
        (
            "two pdf parts",
            form,
            whole(&[part("result", &json), part("pdf", &paper), part("pdf", &paper)]),
            422,
            Some(("/pdf", "given_twice")),
        ),
        ("an unknown part", form, whole(&[part("result", &json), part("notes", "x")]), 422, Some(("", "unknown_part"))),
        ("no pdf part", form, whole(&[part("result", &json)]), 422, Some(("/pdf", "missing"))),
        ("an empty pdf part", form, whole(&[part("result", &json), part("pdf", "")]), 422, Some(("/pdf", "not_pdf"))),
        ("an empty result part", form, whole(&[part("result", ""), part("pdf", &paper)]), 422, Some(("", "malformed_json"))),
        ("a form cut short", form, part("result", &json), 400, None),
        ("a form without a boundary", "multipart/form-data", whole(&[part("result", &json)]), 400, None),
        ("an empty body", plain, String::new(), 422, Some(("", "malformed_json"))),
        ("plain text", "text/plain", json.clone(), 415, None),
        ("XML", "application/xml", "<result/>".to_owned(), 415, None),
        ("a form as an order is posted", "application/x-www-form-urlencoded", "a=b".to_owned(), 415, None),
    ] {
        let request = client.post(&url).bearer_auth(&token).header("content-type", kind).body(body);
        let response = request.send().await.unwrap();
        assert_eq!((what, response.status().as_u16()), (what, status));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body: Value = response.json().await.unwrap();
        if let Some((field, code)) = problem {
            assert_eq!((what, named(&body)), (what, vec![(field.to_owned(), code.to_owned())]));
        }
    }
    let large = set("/order/patient/name/family", json!("x".repeat(10 << 20)));
    let response = client.post(&url).bearer_auth(&token).header("content-type", plain).body(large).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 422);
    assert_eq!(named(&response.json().await.unwrap()), [("/order/patient/name/family".to_owned(), "too_long".to_owned())]);
    let packed = client.post(&url).bearer_auth(&token).header("content-type", plain).header("content-encoding", "gzip");
    assert_eq!(packed.body(vec![0x1f, 0x8b]).send().await.unwrap().status().as_u16(), 415);
    for token in ["pt_wrong", &"x".repeat(5_000), "a b"] {
        let refused =
            client.post(&url).header("authorization", format!("Bearer {token}")).body(json.clone()).send().await.unwrap();
        assert_eq!(refused.status().as_u16(), 401);
    }
    assert!(counter.results("A1").await.is_empty());
}
