//! A feed, pulled from a real HTTP server that keeps what it was asked and told.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use futures_util::future::BoxFuture;
use postern::{
    config::source::Feed as Settings,
    domain::{OrgScope, id::ProcessId, time::Span},
    source::{
        SourceError,
        feed::{Feed, Pulled},
    },
    store::{Store, lease::Lease},
};
use serde_json::{Value, json};

use crate::support::{
    counter::{Counter, base64, order, pdf, result, with},
    postgres::TestDatabase,
};

#[derive(Default)]
struct Told {
    items: Vec<Value>,
    asked: Vec<HashMap<String, String>>,
    acknowledged: Vec<String>,
    /// What was durable in the moment of each acknowledgement.
    on_record: Vec<Option<String>>,
    tokens: Vec<String>,
    broken: bool,
    deaf: bool,
    /// How long a page takes.
    slow: Duration,
    /// What another process does while a page is fetched.
    meanwhile: Option<Meanwhile>,
}

type Meanwhile = Box<dyn FnOnce(Store) -> BoxFuture<'static, ()> + Send>;

#[derive(Clone)]
struct Lab {
    told: Arc<Mutex<Told>>,
    store: Store,
}

async fn page(
    State(lab): State<Lab>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let (slow, meanwhile) = {
        let mut told = lab.told.lock().unwrap();
        (told.slow, told.meanwhile.take())
    };
    tokio::time::sleep(slow).await;
    if let Some(meanwhile) = meanwhile {
        meanwhile(lab.store.clone()).await;
    }
    let mut told = lab.told.lock().unwrap();
    told.asked.push(query.clone());
    told.tokens.extend(headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()));
    if told.broken {
        return (StatusCode::INTERNAL_SERVER_ERROR, Json(json!("out of order")));
    }
    let limit: usize = query["limit"].parse().unwrap();
    let after = query.get("after");
    let first = after.map_or(0, |after| told.items.iter().position(|item| item["cursor"] == **after).map_or(0, |at| at + 1));
    let items: Vec<Value> = told.items.iter().skip(first).take(limit).cloned().collect();
    let next = if first + items.len() < told.items.len() { items.last().map(|item| item["cursor"].clone()) } else { None };
    (StatusCode::OK, Json(json!({ "items": items, "next": next })))
}

async fn acknowledge(State(lab): State<Lab>, Json(body): Json<Value>) -> StatusCode {
    let on_record = lab.store.feed_cursor("lab").await.unwrap();
    let mut told = lab.told.lock().unwrap();
    if told.deaf {
        return StatusCode::BAD_GATEWAY;
    }
    told.acknowledged.push(body["cursor"].as_str().unwrap().to_owned());
    told.on_record.push(on_record);
    StatusCode::NO_CONTENT
}

struct World {
    counter: Counter,
    told: Arc<Mutex<Told>>,
    url: String,
    /// Of the one process there is, in most tests.
    lease: Lease,
}

fn lease(length: Duration) -> Lease {
    Lease { owner: ProcessId::new(), length }
}

impl World {
    async fn open(items: Vec<Value>) -> Self {
        Self::on(Counter::open().await, items).await
    }

    async fn on(counter: Counter, items: Vec<Value>) -> Self {
        let told = Arc::new(Mutex::new(Told { items, ..Told::default() }));
        let lab = Lab { told: Arc::clone(&told), store: counter.store.clone() };
        let routes = Router::new().route("/results", get(page)).route("/results/ack", post(acknowledge)).with_state(lab);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/results", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { counter, told, url, lease: lease(Duration::from_mins(1)) }
    }

    fn feed(&self, batch: u32, page_bytes: usize) -> Feed {
        let settings = Settings {
            name: "lab".into(),
            organization: "north-clinics".into(),
            url: self.url.clone(),
            token_file: None,
            batch,
            page_bytes,
            poll: Span::seconds(1),
            expect_within: None,
            back_off: Span::seconds(1),
            internal: true,
            ignore_unknown: false,
        };
        Feed::new(settings, self.counter.org, self.counter.intake.clone(), Some("secret\n")).unwrap()
    }

    fn told<T>(&self, ask: impl FnOnce(&mut Told) -> T) -> T {
        ask(&mut self.told.lock().unwrap())
    }
}

fn item(n: usize) -> Value {
    let id = format!("A{n}");
    let result = with(result(&id, "final"), "order", order(&id));
    json!({ "cursor": format!("c {n}&"), "result": with(result, "pdf", base64(&pdf(&id)).into()) })
}

#[tokio::test]
async fn results_are_pulled_page_by_page_and_acknowledged_once_they_are_durable() {
    let world = World::open((0..3).map(item).collect()).await;
    let mut feed = world.feed(2, 1 << 20);
    assert_eq!(feed.pull(&world.lease).await.unwrap(), Pulled { taken: 2, more: true, ..Pulled::default() });
    assert_eq!(feed.pull(&world.lease).await.unwrap(), Pulled { taken: 1, ..Pulled::default() });
    assert_eq!(feed.pull(&world.lease).await.unwrap(), Pulled::default());
    for n in 0..3 {
        assert_eq!(world.counter.results(&format!("A{n}")).await.len(), 1);
    }
    world.told(|told| {
        assert_eq!(told.acknowledged, ["c 1&", "c 2&"]);
        assert_eq!(told.on_record, [Some("c 1&".to_owned()), Some("c 2&".to_owned())]);
        assert_eq!(told.asked[1]["after"], "c 1&");
        assert!(told.tokens.iter().all(|token| token == "Bearer secret"));
    });
}

#[tokio::test]
async fn after_a_restart_the_feed_goes_on_where_it_stood_and_repeats_the_last_acknowledgement() {
    let world = World::open((0..2).map(item).collect()).await;
    world.feed(1, 1 << 20).pull(&world.lease).await.unwrap();
    let mut restarted = world.feed(1, 1 << 20);
    assert_eq!(restarted.pull(&world.lease).await.unwrap().taken, 1);
    world.told(|told| {
        assert_eq!(told.acknowledged, ["c 0&", "c 0&", "c 1&"]);
        assert_eq!(told.asked.last().unwrap()["after"], "c 0&");
    });
}

#[tokio::test]
async fn an_item_that_cannot_be_taken_is_kept_for_a_person_and_stops_nothing() {
    let mut bad = item(1);
    bad["result"]["order"]["patient"].as_object_mut().unwrap().remove("birth_date");
    let shapeless = json!({ "cursor": "c x", "result": "Xsecretx" });
    let world = World::open(vec![item(0), bad, shapeless, item(2)]).await;
    let mut feed = world.feed(10, 1 << 20);
    assert_eq!(feed.pull(&world.lease).await.unwrap(), Pulled { taken: 2, parked: 2, ..Pulled::default() });
    let parked = world.counter.store.parked(OrgScope::One(world.counter.org)).await.unwrap();
    assert_eq!(parked.iter().map(|item| item.cursor.as_str()).collect::<Vec<_>>(), ["c 1&", "c x"]);
    assert_eq!(parked[0].problems["errors"][0]["field"], "/order/patient/birth_date");
    assert!(!parked[1].problems.to_string().contains("Xsecretx"));
    world.told(|told| assert_eq!(told.acknowledged, ["c 2&"]));
}

#[tokio::test]
async fn a_feed_that_is_down_loses_nothing_and_a_lost_acknowledgement_is_repeated() {
    let world = World::open(vec![item(0)]).await;
    let mut feed = world.feed(10, 1 << 20);
    world.told(|told| told.broken = true);
    assert!(feed.pull(&world.lease).await.is_err());
    world.told(|told| (told.broken, told.deaf) = (false, true));
    assert_eq!(feed.pull(&world.lease).await.unwrap(), Pulled { taken: 1, unacknowledged: true, ..Pulled::default() });
    world.told(|told| told.deaf = false);
    assert_eq!(feed.pull(&world.lease).await.unwrap(), Pulled::default());
    world.told(|told| assert_eq!(told.acknowledged, ["c 0&"]));
}

#[tokio::test]
async fn while_nothing_can_be_stored_nothing_is_acknowledged() {
    let world = World::open(vec![item(0)]).await;
    let mut feed = world.feed(10, 1 << 20);
    world.counter.store.close().await;
    assert!(feed.pull(&world.lease).await.is_err());
    world.told(|told| assert!(told.acknowledged.is_empty()));
}

#[tokio::test]
async fn a_page_that_is_too_large_is_asked_for_in_smaller_parts() {
    let world = World::open((0..4).map(item).collect()).await;
    let one = serde_json::to_vec(&item(0)).unwrap().len();
    let mut feed = world.feed(4, one * 2);
    let mut taken = 0;
    while taken < 4 {
        let pulled = feed.pull(&world.lease).await.unwrap();
        assert!(pulled.taken > 0);
        taken += pulled.taken;
    }
    let mut tiny = world.feed(4, one / 2);
    world.told(|told| told.items.push(item(4)));
    let error = tiny.pull(&world.lease).await.unwrap_err().to_string();
    assert!(error.contains("page_bytes"), "{error}");
}

#[tokio::test]
async fn without_permission_a_private_address_is_not_fetched_from() {
    let world = World::open(vec![item(0)]).await;
    let settings = Settings {
        name: "lab".into(),
        organization: "north-clinics".into(),
        url: world.url.clone(),
        token_file: None,
        batch: 1,
        page_bytes: 1 << 20,
        poll: Span::seconds(1),
        expect_within: None,
        back_off: Span::seconds(1),
        internal: false,
        ignore_unknown: false,
    };
    let mut feed = Feed::new(settings, world.counter.org, world.counter.intake.clone(), None).unwrap();
    assert!(feed.pull(&world.lease).await.is_err());
    world.told(|told| assert!(told.asked.is_empty()));
}

/// Runs a journey on both engines: who may move a cursor is decided in the database.
macro_rules! on_both_engines {
    ($($(#[$meta:meta])* async fn $name:ident($counter:ident: Counter) $journey:block)+) => {$(
        mod $name {
            use super::*;

            $(#[$meta])*
            async fn journey($counter: Counter) $journey

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                journey(Counter::open().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                let database = TestDatabase::fresh();
                journey(Counter::on(&database.url).await).await;
            }
        }
    )+};
}

on_both_engines! {
    async fn a_page_slower_than_the_lease_is_not_begun_by_a_second_process(counter: Counter) {
        let world = World::on(counter, vec![item(0)]).await;
        world.told(|told| told.slow = Duration::from_millis(2500));
        let (mut one, mut other) = (world.feed(1, 1 << 20), world.feed(1, 1 << 20));
        let (ours, theirs) = (lease(Duration::from_secs(1)), lease(Duration::from_secs(1)));
        let second = async {
            let mut pulled = Vec::new();
            for _ in 0..8 {
                tokio::time::sleep(Duration::from_millis(280)).await;
                pulled.push(other.pull(&theirs).await.unwrap());
            }
            pulled
        };
        let (first, second) = tokio::join!(one.pull(&ours), second);
        assert_eq!(first.unwrap().taken, 1);
        assert!(second.iter().all(|pulled| *pulled == Pulled::default()), "{second:?}");
        world.told(|told| assert_eq!(told.asked.len(), 1, "one process asked"));
    }

    async fn a_process_that_was_too_slow_cannot_set_the_feed_back(counter: Counter) {
        let world = World::on(counter, (0..3).map(item).collect()).await;
        let (ours, theirs) = (lease(Duration::from_mins(1)), lease(Duration::from_mins(1)));
        world.told(|told| {
            told.meanwhile = Some(Box::new(move |store| {
                Box::pin(async move {
                    // Our lease has run out unnoticed; somebody else has come as far as the end.
                    store.give_back_task("feed:lab", &ours).await.unwrap();
                    assert!(store.take_task("feed:lab", &theirs).await.unwrap());
                    store.move_feed_cursor("lab", "c 2&", "feed:lab", &theirs).await.unwrap();
                })
            }));
        });
        let mut feed = world.feed(2, 1 << 20);
        let pulled = feed.pull(&ours).await;
        assert!(matches!(pulled, Err(SourceError::TakenOver)), "{pulled:?}");
        let store = &world.counter.store;
        assert_eq!(store.feed_cursor("lab").await.unwrap().as_deref(), Some("c 2&"));
        assert_eq!(feed.pull(&ours).await.unwrap(), Pulled::default(), "the other one has it");
        world.told(|told| assert!(told.acknowledged.is_empty(), "nor is anything old acknowledged"));
        store.give_back_task("feed:lab", &theirs).await.unwrap();
        feed.pull(&ours).await.unwrap();
        world.told(|told| assert_eq!(told.acknowledged, ["c 2&"], "what is on record is"));
    }
}

#[tokio::test]
async fn two_processes_on_one_feed_take_each_item_once_and_the_next_goes_on_when_one_stops() {
    let world = World::open((0..40).map(item).collect()).await;
    world.told(|told| told.slow = Duration::from_millis(20));
    let stop = [(); 2].map(|()| tokio_util::sync::CancellationToken::new());
    let running = stop.clone().map(|stop| {
        let (feed, health) = (world.feed(3, 1 << 20), postern::observe::health::Health::default());
        tokio::spawn(feed.run(lease(Duration::from_secs(1)), health, stop))
    });
    while world.told(|told| told.acknowledged.len()) < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop[0].cancel();
    while world.counter.store.feed_cursor("lab").await.unwrap().as_deref() != Some("c 39&") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop[1].cancel();
    for run in running {
        run.await.unwrap();
    }
    for n in 0..40 {
        assert_eq!(world.counter.results(&format!("A{n}")).await.len(), 1);
    }
    // At most the page that was under way when the first one stopped is asked for twice.
    world.told(|told| assert!(told.asked.len() <= 17, "{}", told.asked.len()));
}
