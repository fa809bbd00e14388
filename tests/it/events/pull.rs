//! What programs ask for: events, deliveries, receipts, over a real socket.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postern::{
    config::web::WebSection,
    domain::{
        OrgId,
        delivery::{Event, NoticeKind},
    },
    observe::health::Health,
    source::Intake,
    store::blobs::Blobs,
    web::{Web, serve},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::store::{make, world::World};

const ACCEPTED: [Event; 3] = [Event::Claimed, Event::WireStarted, Event::Accepted];

struct Api {
    url: String,
    client: reqwest::Client,
    _dir: tempfile::TempDir,
}

impl Api {
    async fn open(world: &World) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::in_folder(dir.path()).unwrap();
        let intake = Intake::new(world.store.clone(), blobs, Arc::new(|_: &[u8]| Ok(())), 1_000);
        let settings = WebSection { body_bytes: 10_000, ..WebSection::default() };
        let web = Web::new(&settings, intake, Health::default(), None);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(serve(web, listener, CancellationToken::new()));
        Self { url, client: reqwest::Client::new(), _dir: dir }
    }

    async fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let answer = self.client.get(format!("{}{path}", self.url)).bearer_auth(token).send().await.unwrap();
        let status = answer.status().as_u16();
        if status >= 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
        (status, answer.json().await.unwrap())
    }
}

async fn token(world: &World, org: OrgId) -> String {
    world.store.create_token(org, "test", false).await.unwrap()
}

fn kinds(page: &Value) -> Vec<&str> {
    page["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect()
}

on_both_engines! {
    async fn events_are_read_page_by_page(world: &World) {
        let (api, org) = (Api::open(world).await, world.organization("north").await);
        let token = token(world, org).await;
        let delivery = world.queued(org, "A1").await;
        world.lead(org, delivery, &ACCEPTED).await;
        let (status, first) = api.get(&token, "/v1/events?after=0&limit=2").await;
        assert_eq!((status, kinds(&first), &first["more"]), (200, vec!["delivery.queued", "result.routed"], &Value::from(true)));
        let next = first["next"].as_str().unwrap();
        assert_eq!(first["events"][1]["cursor"], next);
        let (_, second) = api.get(&token, &format!("/v1/events?after={next}&limit=2")).await;
        assert_eq!((kinds(&second), &second["more"]), (vec!["delivery.accepted"], &Value::from(false)));
        assert_eq!(second["events"][0]["data"]["organization"], "north");
        let (_, only) = api.get(&token, "/v1/events?type=result.*&limit=1").await;
        assert_eq!(kinds(&only), ["result.routed"]);
    }

    async fn who_waits_is_answered_when_something_happens(world: &World) {
        let (api, org) = (Api::open(world).await, world.organization("north").await);
        let token = token(world, org).await;
        let delivery = world.queued(org, "A1").await;
        let next = api.get(&token, "/v1/events").await.1["next"].as_str().unwrap().to_owned();
        let began = Instant::now();
        let (_, empty) = api.get(&token, &format!("/v1/events?after={next}&wait=1")).await;
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert_eq!((kinds(&empty).len(), empty["next"].as_str()), (0, Some(next.as_str())));
        let path = format!("/v1/events?after={next}&wait=20");
        let (answer, ()) = tokio::join!(api.get(&token, &path), async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            world.lead(org, delivery, &ACCEPTED).await;
        });
        assert_eq!(kinds(&answer.1), ["delivery.accepted"]);
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    async fn a_place_that_is_gone_or_was_never_there_is_answered_clearly(world: &World) {
        let (api, org) = (Api::open(world).await, world.organization("north").await);
        let token = token(world, org).await;
        world.queued(org, "A1").await;
        let (status, problem) = api.get(&token, "/v1/events?after=7").await;
        assert_eq!((status, problem["code"].as_str()), (409, Some("cursor_unknown")));
        world.pass(Duration::from_hours(24)).await;
        world.queued(org, "A2").await;
        let before = world.store.now().await.unwrap().minus(Duration::from_hours(1));
        world.store.forget_events(org, before).await.unwrap();
        let (status, problem) = api.get(&token, "/v1/events?after=1").await;
        assert_eq!((status, problem["code"].as_str()), (410, Some("cursor_too_old")));
        assert_eq!(kinds(&api.get(&token, "/v1/events?after=2").await.1).len(), 2);
        for path in ["/v1/events?after=x", "/v1/events?limit=-1", "/v1/events?type=x", "/v1/events?after=0&unknown=1", "/v1/deliveries?state=gone"] {
            let (status, problem) = api.get(&token, path).await;
            assert_eq!((status, problem["code"].as_str()), (400, Some("bad_query")), "{path}");
        }
    }

    async fn nobody_sees_what_belongs_to_another_organization(world: &World) {
        let api = Api::open(world).await;
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let delivery = world.queued(north, "A1").await;
        let (ours, theirs) = (token(world, north).await, token(world, south).await);
        for path in [format!("/v1/deliveries/{delivery}"), format!("/v1/deliveries/{delivery}/receipt")] {
            assert_eq!(api.get(&ours, &path).await.0, 200);
            assert_eq!(api.get(&theirs, &path).await.0, 404);
            assert_eq!(api.get("nobody", &path).await.0, 401);
        }
        for path in ["/v1/deliveries?order_id=A1", "/v1/deliveries"] {
            assert_eq!(api.get(&theirs, path).await.1["deliveries"], Value::Array(vec![]));
            assert_eq!(api.get(&ours, path).await.1["deliveries"].as_array().unwrap().len(), 1);
        }
        assert_eq!(kinds(&api.get(&theirs, "/v1/events").await.1), [] as [&str; 0]);
        let place = api.get(&ours, "/v1/events").await.1["next"].as_str().unwrap().to_owned();
        assert_eq!(api.get(&theirs, &format!("/v1/events?after={place}")).await.0, 409);
    }

    async fn deliveries_are_listed_newest_first_and_narrowed_down(world: &World) {
        let (api, org) = (Api::open(world).await, world.organization("north").await);
        let token = token(world, org).await;
        let mut all = Vec::new();
        for number in 0..5 {
            all.push(world.queued(org, &format!("A{number}")).await.to_string());
        }
        world.lead(org, all[1].parse().unwrap(), &ACCEPTED).await;
        let ids = |page: &Value| -> Vec<String> {
            page["deliveries"].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
        };
        let (_, first) = api.get(&token, "/v1/deliveries?limit=3").await;
        let (_, rest) = api.get(&token, &format!("/v1/deliveries?limit=3&after={}", first["next"].as_str().unwrap())).await;
        assert!(rest.get("next").is_none());
        let mut seen = [ids(&first), ids(&rest)].concat();
        seen.reverse();
        assert_eq!(seen, all);
        for (query, expected) in [
            ("state=accepted", 1),
            ("disposition=awaited", 1),
            ("state=queued&site=RIVERSIDE01", 4),
            ("site=ELSEWHERE", 0),
            ("order_id=A3", 1),
            ("reason=no_cert", 0),
        ] {
            assert_eq!(ids(&api.get(&token, &format!("/v1/deliveries?{query}")).await.1).len(), expected, "{query}");
        }
        let one = api.get(&token, &format!("/v1/deliveries/{}", all[1])).await.1;
        assert_eq!((&one["order_id"], &one["state"], &one["address"]), (&"A1".into(), &"accepted".into(), &make::ADDRESS.into()));
        assert!(one["history"].as_array().unwrap().len() >= 4, "{one}");
    }

    async fn a_receipt_can_be_asked_for(world: &World) {
        let (api, org) = (Api::open(world).await, world.organization("north").await);
        let token = token(world, org).await;
        let delivery = world.queued(org, "A1").await;
        let path = format!("/v1/deliveries/{delivery}/receipt");
        assert_eq!(api.get(&token, &path).await.1["TransmissionStatus"], "Pending");
        world.lead(org, delivery, &ACCEPTED).await;
        world.lead(org, delivery, &[Event::Notice(NoticeKind::Processed)]).await;
        let receipt = api.get(&token, &path).await.1;
        assert_eq!((&receipt["TransmissionStatus"], &receipt["OrderLocalId"]), (&"Complete".into(), &"A1".into()));
    }
}
