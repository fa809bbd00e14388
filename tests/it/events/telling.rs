//! Webhooks: told in order, each at its own pace, at least once, and by one process at a time.

use std::{sync::Arc, time::Duration};

use postern::{
    config::Config,
    crypto::Hex,
    domain::{
        OrgId, OrgScope,
        delivery::{Event, NoticeKind},
        organization::OrganizationFile,
        webhook::OffBecause,
    },
    observe::health::Health,
    pipeline::{Gateway, PostOffice, Settings, telling::Teller},
    store::{Store, blobs::Blobs, webhook::WebhookView},
};

use super::receiver::{Mood, Receiver, Request};
use crate::store::{make, world::World};

const ACCEPTED: [Event; 3] = [Event::Claimed, Event::WireStarted, Event::Accepted];

/// A teller on a store, as one process has it.
fn teller(store: Store, change: impl FnOnce(&mut Config)) -> (Teller, tempfile::TempDir) {
    let mut config = Config::default();
    config.events.allow_http = true;
    config.events.allow_networks = vec!["127.0.0.0/8".parse().unwrap()];
    config.events.timeout.0 = Duration::from_secs(2);
    change(&mut config);
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::in_folder(dir.path()).unwrap();
    let gateway = Gateway::new(store, blobs, PostOffice::new(vec![], None), Settings::from(&config), Health::default());
    (Teller::new(gateway).unwrap(), dir)
}

/// An organization with these webhooks: name, address, further lines.
async fn organization(world: &World, slug: &str, webhooks: &[(&str, &str, &str)]) -> OrgId {
    let mut file = make::organization(slug);
    let tables = webhooks.iter().map(|(name, url, more)| format!("[[webhook]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n"));
    let text = tables.collect::<Vec<_>>().concat();
    let with: OrganizationFile = toml::from_str(&format!("slug = \"x\"\nname = \"X\"\n{text}")).unwrap();
    file.webhooks = with.webhooks;
    file.check().unwrap();
    world.store.apply_organization(&file, &[]).await.unwrap()
}

async fn webhook(world: &World, org: OrgId, name: &str) -> WebhookView {
    let all = world.store.webhooks(OrgScope::One(org)).await.unwrap();
    all.into_iter().find(|view| view.rules.name == name).unwrap()
}

on_both_engines! {
    async fn what_happens_is_told_in_order_and_once(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = organization(world, "north", &[("bridge", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        let delivery = world.queued(org, "A1").await;
        world.lead(org, delivery, &ACCEPTED).await;
        assert_eq!(teller.turn().await.unwrap(), 1);
        assert_eq!(receiver.kinds(), ["delivery.queued", "result.routed", "delivery.accepted"]);
        let last = receiver.got().pop().unwrap();
        assert_eq!(last.header("webhook-id"), last.json()["id"]);
        assert_eq!(last.json()["data"]["order_id"], "A1");
        assert_eq!(teller.turn().await.unwrap(), 0, "there is nothing more to tell");
        let view = webhook(world, org, "bridge").await;
        assert_eq!((view.told, view.attempts, view.taken_at.is_some()), (3, 0, true));
    }

    async fn a_new_webhook_is_told_what_happens_from_then_on_and_only_what_it_wants(world: &World) {
        let receiver = Receiver::start(Mood::Says(200)).await;
        let org = organization(world, "north", &[]).await;
        let delivery = world.queued(org, "A1").await;
        let only = "events = [\"delivery.processed\", \"result.*\"]\norder_id = false";
        assert_eq!(organization(world, "north", &[("bridge", &receiver.url, only)]).await, org);
        world.lead(org, delivery, &ACCEPTED).await;
        world.lead(org, delivery, &[Event::Notice(NoticeKind::Processed)]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        teller.turn().await.unwrap();
        assert_eq!(receiver.kinds(), ["delivery.processed"]);
        assert!(receiver.got()[0].json()["data"].get("order_id").is_none());
        assert_eq!(webhook(world, org, "bridge").await.told, 4, "what it does not want is behind it too");
    }

    async fn one_that_fails_is_told_later_under_the_same_id_and_delays_nobody(world: &World) {
        let (bad, good) = (Receiver::start(Mood::Says(500)).await, Receiver::start(Mood::Says(204)).await);
        let org = organization(world, "north", &[("bad", &bad.url, ""), ("good", &good.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        world.queued(org, "A1").await;
        teller.turn().await.unwrap();
        assert_eq!((bad.got().len(), good.got().len()), (1, 2));
        let view = webhook(world, org, "bad").await;
        assert_eq!((view.attempts, view.told, view.problem.as_deref()), (1, 0, Some("answered 500")));
        assert_eq!(teller.turn().await.unwrap(), 0, "not before its wait is over");

        bad.set(Mood::Says(204));
        world.pass(Duration::from_secs(10)).await;
        teller.turn().await.unwrap();
        let got = bad.got();
        assert_eq!(got.len(), 3);
        assert_eq!(got[0].header("webhook-id"), got[1].header("webhook-id"));
        assert_ne!(got[0].header("webhook-timestamp"), got[1].header("webhook-timestamp"), "the time is that of the try");
        assert_eq!(webhook(world, org, "bad").await.attempts, 0);
    }

    async fn whatever_a_server_does_it_is_only_tried_again(world: &World) {
        let receiver = Receiver::start(Mood::Redirects).await;
        let org = organization(world, "north", &[("odd", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |config| config.events.timeout.0 = Duration::from_millis(1_500));
        world.queued(org, "A1").await;
        for (mood, says) in [
            (Mood::Redirects, "answered 307"),
            (Mood::Closes, "could not be fetched from"),
            (Mood::Slow(Duration::from_secs(5)), "could not be fetched from"),
            (Mood::Says(404), "answered 404"),
        ] {
            receiver.set(mood);
            teller.turn().await.unwrap();
            let view = webhook(world, org, "odd").await;
            assert!(view.problem.as_deref().is_some_and(|problem| problem.contains(says)), "{mood:?}: {:?}", view.problem);
            assert!(view.off.is_none() && view.told == 0, "{mood:?}");
            world.pass(Duration::from_hours(7)).await;
        }
        receiver.set(Mood::Busy(3_000));
        teller.turn().await.unwrap();
        let view = webhook(world, org, "odd").await;
        let now = world.store.now().await.unwrap();
        assert!(view.next_attempt_at.since(now) >= Duration::from_mins(50), "it asked to be left alone");
        // A success stays one, whatever comes behind it.
        receiver.set(Mood::Huge);
        world.pass(Duration::from_hours(7)).await;
        teller.turn().await.unwrap();
        assert_eq!(webhook(world, org, "odd").await.told, 2);
    }

    async fn an_address_inside_our_own_network_is_not_posted_to(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = organization(world, "north", &[("inside", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |config| config.events.allow_networks.clear());
        world.queued(org, "A1").await;
        teller.turn().await.unwrap();
        assert_eq!(receiver.got().len(), 0);
        assert!(webhook(world, org, "inside").await.problem.unwrap().contains("private network"));
    }

    async fn one_that_answers_410_is_switched_off_and_the_others_learn_of_it(world: &World) {
        let (gone, other) = (Receiver::start(Mood::Says(410)).await, Receiver::start(Mood::Says(204)).await);
        let org = organization(world, "north", &[("gone", &gone.url, ""), ("other", &other.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        world.queued(org, "A1").await;
        while teller.turn().await.unwrap() > 0 {}
        assert_eq!(webhook(world, org, "gone").await.off, Some(OffBecause::Gone));
        assert_eq!(other.kinds().last().map(String::as_str), Some("webhook.disabled"));
        assert_eq!(other.got().pop().unwrap().json()["data"]["webhook"], "gone");

        gone.set(Mood::Says(204));
        assert!(world.store.switch_webhook(org, "gone", true, None).await.unwrap());
        while teller.turn().await.unwrap() > 0 {}
        assert_eq!(gone.kinds()[1..], ["delivery.queued", "result.routed", "webhook.disabled"], "it goes on from its place");
    }

    async fn one_that_fails_for_days_is_switched_off(world: &World) {
        let receiver = Receiver::start(Mood::Says(500)).await;
        let org = organization(world, "north", &[("dead", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        world.queued(org, "A1").await;
        let mut tries = 0;
        while webhook(world, org, "dead").await.off.is_none() {
            teller.turn().await.unwrap();
            world.pass(Duration::from_hours(8)).await;
            tries += 1;
            assert!(tries < 20);
        }
        assert_eq!(webhook(world, org, "dead").await.off, Some(OffBecause::Failing));
        assert!(tries >= 9, "three days, not {tries} times eight hours");
    }

    async fn what_one_cannot_digest_stops_at_it_and_it_can_be_sent_past(world: &World) {
        let receiver = Receiver::start(Mood::Cannot("result.routed")).await;
        let org = organization(world, "north", &[("picky", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        let delivery = world.queued(org, "A1").await;
        world.lead(org, delivery, &ACCEPTED).await;
        teller.turn().await.unwrap();
        assert_eq!(webhook(world, org, "picky").await.told, 1);
        assert!(world.store.place_webhook(org, "picky", 2, None).await.unwrap());
        teller.turn().await.unwrap();
        assert_eq!(receiver.kinds(), ["delivery.queued", "result.routed", "delivery.accepted"]);
    }

    async fn who_is_sent_back_is_told_the_same_again_even_in_the_middle_of_a_turn(world: &World) {
        let receiver = Receiver::start(Mood::Slow(Duration::from_secs(2))).await;
        let org = organization(world, "north", &[("bridge", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |config| config.events.timeout.0 = Duration::from_mins(1));
        world.queued(org, "A1").await;
        let turn = tokio::spawn({
            let teller = teller.clone();
            async move { teller.turn().await.unwrap() }
        });
        while receiver.got().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(world.store.place_webhook(org, "bridge", 0, None).await.unwrap());
        turn.await.unwrap();
        assert_eq!(webhook(world, org, "bridge").await.told, 0, "the turn that was overtaken changes nothing");
        receiver.set(Mood::Says(204));
        teller.turn().await.unwrap();
        let ids: Vec<String> = receiver.got().iter().map(|request| request.header("webhook-id").to_owned()).collect();
        assert_eq!((ids.len(), &ids[..2]), (4, &ids[2..]));
    }

    async fn two_processes_do_not_tell_the_same_one_at_the_same_time(world: &World) {
        let receiver = Receiver::start(Mood::Slow(Duration::from_millis(50))).await;
        let org = organization(world, "north", &[("bridge", &receiver.url, "")]).await;
        for number in 0..5 {
            world.queued(org, &format!("A{number}")).await;
        }
        let (one, _d1) = teller(world.store.clone(), |_| {});
        let (other, _d2) = teller(world.neighbour(Arc::clone(&world.clock)).await, |_| {});
        for _ in 0..5 {
            let (a, b) = tokio::join!(one.turn(), other.turn());
            assert!(a.unwrap() + b.unwrap() <= 1);
        }
        assert_eq!((receiver.got().len(), receiver.most_at_once()), (10, 1));
    }

    async fn several_at_once_are_told_when_asked_for(world: &World) {
        let receiver = Receiver::start(Mood::Slow(Duration::from_millis(100))).await;
        let org = organization(world, "north", &[("fast", &receiver.url, "at_once = 4")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        for number in 0..4 {
            world.queued(org, &format!("A{number}")).await;
        }
        teller.turn().await.unwrap();
        assert_eq!((receiver.got().len(), receiver.most_at_once()), (8, 4));
    }

    async fn a_backlog_of_a_hundred_thousand_is_a_number_and_costs_nobody_else(world: &World) {
        let good = Receiver::start(Mood::Says(204)).await;
        let dead = Receiver::start(Mood::Closes).await;
        let (north, south) = (
            organization(world, "north", &[("dead", &dead.url, "")]).await,
            organization(world, "south", &[("good", &good.url, "")]).await,
        );
        world.run(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
             INSERT INTO event (org_id, seq, id, at, kind) SELECT '{north}', i, '018f0000-0000-7000-8000-000000000000', 1772463600000000, 'result.held' FROM n"
        )).await;
        world.run(&format!("INSERT INTO event_head (org_id, seq, forgotten) VALUES ('{north}', 100000, 0)")).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        world.queued(south, "A1").await;
        let began = std::time::Instant::now();
        assert_eq!(teller.turn().await.unwrap(), 2);
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
        assert_eq!((good.got().len(), dead.got().len()), (2, 1));
        assert_eq!(webhook(world, north, "dead").await.newest, 100_000);
    }

    async fn who_was_away_for_too_long_goes_on_with_what_there_is(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = organization(world, "north", &[("bridge", &receiver.url, "")]).await;
        let delivery = world.queued(org, "A1").await;
        world.pass(Duration::from_hours(48)).await;
        world.lead(org, delivery, &ACCEPTED).await;
        let before = world.store.now().await.unwrap().minus(Duration::from_hours(1));
        world.store.forget_events(org, before).await.unwrap();
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        teller.turn().await.unwrap();
        assert_eq!(receiver.kinds(), ["delivery.accepted"]);
    }

    async fn a_receipt_tells_what_existing_consumers_read(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = organization(world, "north", &[("queue", &receiver.url, "format = \"receipt\"")]).await;
        let delivery = world.queued(org, "A1").await;
        world.lead(org, delivery, &ACCEPTED).await;
        world.lead(org, delivery, &[Event::Notice(NoticeKind::Processed)]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        teller.turn().await.unwrap();
        let told: Vec<serde_json::Value> = receiver.got().iter().map(Request::json).collect();
        let statuses: Vec<&str> = told.iter().map(|receipt| receipt["TransmissionStatus"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["Pending", "Complete"]);
        assert_eq!((&told[1]["OrderLocalId"], &told[1]["Endpoint"]), (&"A1".into(), &make::ADDRESS.into()));
        assert_eq!(told[1]["TransactionId"], delivery.to_string());
    }

    async fn while_a_secret_is_replaced_the_old_one_signs_too(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = organization(world, "north", &[("bridge", &receiver.url, "")]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        let old = world.store.webhook_secrets(org, "bridge").await.unwrap().unwrap();
        let new = world.store.rotate_webhook_secret(org, "bridge", Duration::from_hours(24), None).await.unwrap().unwrap();
        assert_eq!(world.store.webhook_secrets(org, "bridge").await.unwrap().unwrap(), [new.clone(), old[0].clone()]);
        world.queued(org, "A1").await;
        teller.turn().await.unwrap();
        assert_eq!(receiver.got()[0].header("webhook-signature").split(' ').count(), 2);
        world.pass(Duration::from_hours(25)).await;
        assert_eq!(world.store.webhook_secrets(org, "bridge").await.unwrap().unwrap(), [new]);
        // What lies in the database is sealed.
        let hex = Hex(&old[0]).to_string();
        let lies = world.either("SELECT hex(secrets) FROM webhook", "SELECT encode(secrets, 'hex') FROM webhook");
        let needle = Hex(hex.as_bytes()).to_string();
        assert!(!world.texts(lies).await[0].to_lowercase().contains(&needle));
    }

    async fn one_that_the_file_no_longer_names_is_told_no_more(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = organization(world, "north", &[("bridge", &receiver.url, "")]).await;
        world.queued(org, "A1").await;
        organization(world, "north", &[]).await;
        let (teller, _dir) = teller(world.store.clone(), |_| {});
        assert_eq!(teller.turn().await.unwrap(), 0);
        assert_eq!(world.number("SELECT COUNT(*) FROM webhook").await, 0);
    }
}
