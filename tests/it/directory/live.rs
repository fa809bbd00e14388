//! Live directories, asked over real HTTP: three outcomes, and the one that is none is never remembered.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{OriginalUri, State},
    http::StatusCode,
    response::IntoResponse,
    routing::get,
};
use postern::{
    config::{
        directory::DirectorySection,
        live_directory::{LiveDirectory, LiveKind},
        test::TestSection,
        web::WebSection,
    },
    domain::{
        Npi,
        directory::{Finding, Says},
        time::Span,
    },
    observe::health::Health,
    resolve::directory::{Live, findings},
    web::{Web, serve},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::counter::{Counter, order, with};

/// Answers each request as the test says.
#[derive(Clone)]
struct Server {
    script: Arc<Mutex<Vec<(u16, Value)>>>,
    asked: Arc<Mutex<Vec<String>>>,
    slow: Arc<AtomicUsize>,
    url: String,
}

async fn answer(State(server): State<Server>, OriginalUri(uri): OriginalUri) -> impl IntoResponse {
    server.asked.lock().unwrap().push(uri.to_string());
    tokio::time::sleep(Duration::from_millis(server.slow.load(Ordering::Relaxed) as u64)).await;
    let mut script = server.script.lock().unwrap();
    let (status, body) = if script.len() > 1 { script.remove(0) } else { script[0].clone() };
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

impl Server {
    async fn start(script: Vec<(u16, Value)>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/", listener.local_addr().unwrap());
        let server = Self { script: Arc::new(Mutex::new(script)), asked: Arc::default(), slow: Arc::default(), url };
        let routes = Router::new().fallback(get(answer)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        server
    }

    fn now(&self, status: u16, body: Value) {
        *self.script.lock().unwrap() = vec![(status, body)];
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn settings(&self, kind: LiveKind) -> LiveDirectory {
        LiveDirectory {
            name: kind.to_string(),
            kind,
            url: self.url.clone(),
            rank: 0,
            ttl: Span::seconds(60),
            negative_ttl: Span::seconds(60),
            timeout: Span::seconds(1),
            max_concurrent: 4,
            breaker_after: 3,
            breaker_pause: Span::seconds(60),
            token_file: None,
            ca_file: None,
            internal: true,
        }
    }
}

fn npi() -> Npi {
    "2000000010".parse().unwrap()
}

async fn ask(live: &Live, counter: &Counter) -> Vec<Finding> {
    findings(&counter.store, live, counter.org, &npi(), Span::seconds(60)).await.unwrap()
}

async fn word(live: &Live, counter: &Counter) -> &'static str {
    ask(live, counter).await.last().unwrap().says.word()
}

fn registered(endpoints: &Value) -> Value {
    json!({ "result_count": 1, "results": [{ "number": "2000000010", "enumeration_type": "NPI-1", "endpoints": endpoints }] })
}

#[tokio::test]
async fn found_and_not_found_are_kept_and_unavailable_never_is() {
    let counter = Counter::open().await;
    let errors = json!({ "Errors": [{ "description": "x", "field": "number", "number": "06" }] });
    let server = Server::start(vec![(200, errors)]).await;
    let live = Live::new(&[server.settings(LiveKind::Nppes)], counter.store.clone());
    assert_eq!(word(&live, &counter).await, "unavailable");
    server.now(200, json!({ "result_count": 0, "results": [] }));
    assert_eq!(word(&live, &counter).await, "not_found");
    server.now(200, registered(&json!([{ "endpointType": "DIRECT", "endpoint": "a@d.example" }])));
    assert_eq!((word(&live, &counter).await, server.asked()), ("not_found", 2), "kept for a while");

    let other = Counter::open().await;
    let live = Live::new(&[server.settings(LiveKind::Nppes)], other.store.clone());
    let first = ask(&live, &other).await;
    let Says::Addresses(entries) = &first[0].says else { panic!("{first:?}") };
    assert_eq!((entries[0].address.as_str(), entries[0].snapshot), ("a@d.example", first[0].snapshot));
    server.now(500, json!({}));
    assert_eq!(ask(&live, &other).await, first, "the same answer, by the same id");
    assert!(server.asked.lock().unwrap()[0].ends_with("/api/?version=2.1&number=2000000010"));
}

#[tokio::test]
async fn a_server_that_is_not_well_is_unavailable_and_soon_left_alone() {
    let counter = Counter::open().await;
    let server = Server::start(vec![(503, json!({}))]).await;
    let live = Live::new(&[server.settings(LiveKind::Nppes)], counter.store.clone());
    for _ in 0..2 {
        assert_eq!(word(&live, &counter).await, "unavailable");
    }
    server.slow.store(1_500, Ordering::Relaxed);
    let silent = ask(&live, &counter).await;
    assert!(matches!(&silent[0].says, Says::Unavailable(why) if why.contains("1s") || why.contains("could not")), "{silent:?}");
    let asked = server.asked();
    let alone = ask(&live, &counter).await;
    assert!(matches!(&alone[0].says, Says::Unavailable(why) if why.contains("left alone")), "{alone:?}");
    assert_eq!(server.asked(), asked);
}

#[tokio::test]
async fn many_that_ask_about_the_same_npi_at_once_ask_once() {
    let counter = Counter::open().await;
    let server = Server::start(vec![(200, registered(&json!([])))]).await;
    server.slow.store(200, Ordering::Relaxed);
    let live = Live::new(&[server.settings(LiveKind::Nppes)], counter.store.clone());
    let all = futures_util::future::join_all((0..10).map(|_| word(&live, &counter))).await;
    assert_eq!((all, server.asked()), (vec!["no_address"; 10], 1));
}

#[tokio::test]
async fn our_own_network_is_not_asked_unless_allowed_and_the_next_directory_is() {
    let counter = Counter::open().await;
    let server = Server::start(vec![(200, registered(&json!([{ "endpointType": "DIRECT", "endpoint": "a@d.example" }])))]).await;
    let guarded = LiveDirectory { internal: false, name: "guarded".into(), ..server.settings(LiveKind::Nppes) };
    let open = LiveDirectory { rank: 1, ..server.settings(LiveKind::Nppes) };
    let live = Live::new(&[open, guarded], counter.store.clone());
    let words: Vec<_> = ask(&live, &counter).await.iter().map(|finding| finding.says.word()).collect();
    assert_eq!((words, server.asked()), (vec!["unavailable", "found"], 1));
}

#[tokio::test]
async fn explaining_an_order_over_the_api_takes_a_turn_where_it_may_ask_strangers() {
    let counter = Counter::open().await;
    let server = Server::start(vec![(200, registered(&json!([])))]).await;
    let live = Live::new(&[server.settings(LiveKind::Nppes)], counter.store.clone());
    let settings = WebSection { probes_per_minute: 1, ..WebSection::default() };
    let web = Web::new(&settings, counter.intake.clone(), Health::default(), None).explaining(
        &DirectorySection::default(),
        &TestSection::default(),
        Arc::new(live),
    );
    let token = counter.store.create_token(counter.org, "t", false).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/explain", listener.local_addr().unwrap());
    tokio::spawn(serve(web, listener, CancellationToken::new()));
    let explain = async |npi: &str| {
        let order = with(order("X1"), "deliver_to", json!([{ "role": "pcp", "npi": npi }]));
        let asked = reqwest::Client::new().post(&url).bearer_auth(&token).json(&json!({ "order": order }));
        let answer = asked.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    let (status, body) = explain("2000000010").await;
    assert_eq!((status, server.asked()), (200, 1), "{body}");
    let (status, body) = explain("1245319599").await;
    assert_eq!((status, &body["code"], server.asked()), (429, &json!("too_many_probes"), 1), "nobody is asked without a turn");
}

fn bundle(resources: &[Value], next: Option<&str>) -> Value {
    let entry: Vec<_> = resources.iter().map(|resource| json!({ "resource": resource })).collect();
    let link: Vec<_> = next.iter().map(|url| json!({ "relation": "next", "url": url })).collect();
    json!({ "resourceType": "Bundle", "type": "searchset", "entry": entry, "link": link })
}

fn practitioner(id: &str, npi: &str) -> Value {
    json!({ "resourceType": "Practitioner", "id": id, "identifier": [{ "system": "http://hl7.org/fhir/sid/us-npi", "value": npi }] })
}

fn role(practitioner: &str, endpoint: &str) -> Value {
    json!({ "resourceType": "PractitionerRole", "practitioner": { "reference": format!("Practitioner/{practitioner}") },
            "endpoint": [{ "reference": format!("Endpoint/{endpoint}") }] })
}

fn endpoint(id: &str, address: &str) -> Value {
    json!({ "resourceType": "Endpoint", "id": id, "status": "active", "connectionType": { "code": "direct-project" }, "address": address })
}

#[tokio::test]
async fn a_fhir_server_that_answers_with_everybody_gives_only_what_was_asked_for() {
    let counter = Counter::open().await;
    let everybody = [practitioner("p", "2000000010"), practitioner("q", "2000000028")];
    let roles = [role("p", "e"), role("q", "f"), endpoint("e", "p@d.example"), endpoint("f", "q@d.example")];
    let server = Server::start(vec![
        (200, bundle(&everybody, None)),
        (200, bundle(&roles[..2], Some("?page=2"))),
        (200, bundle(&roles[2..], None)),
    ])
    .await;
    let live = Live::new(&[server.settings(LiveKind::Fhir)], counter.store.clone());
    let found = ask(&live, &counter).await;
    let Says::Addresses(entries) = &found[0].says else { panic!("{found:?}") };
    assert_eq!(entries.iter().map(|entry| entry.address.as_str()).collect::<Vec<_>>(), ["p@d.example"]);
    assert_eq!(server.asked(), 3);
}

#[tokio::test]
async fn a_fhir_server_that_goes_in_a_circle_or_away_or_has_an_outcome_is_unavailable() {
    let counter = Counter::open().await;
    let server = Server::start(vec![(200, bundle(&[], Some("?page=1")))]).await;
    let live = Live::new(&[server.settings(LiveKind::Fhir)], counter.store.clone());
    assert_eq!((word(&live, &counter).await, server.asked()), ("unavailable", 5));
    for body in [bundle(&[], Some("https://elsewhere.example/fhir")), json!({ "resourceType": "OperationOutcome" }), json!("x")] {
        server.now(200, body);
        assert_eq!(word(&live, &counter).await, "unavailable");
    }
    server.now(200, bundle(&[], None));
    assert_eq!(word(&live, &counter).await, "not_found");
}
