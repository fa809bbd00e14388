//! Ledger lines told to a metering system: each under its id, in order, and resumed where it stopped.

use postern::{
    config::{Config, fees::FeesSection},
    domain::{OrgScope, audit::Actor, delivery::Event as E},
    observe::health::Health,
    pipeline::{Gateway, PostOffice, Settings, metering::Metering},
    store::{audit::AuditFilter, blobs::Blobs},
};

use super::receiver::{Mood, Receiver};
use crate::store::world::World;

fn metering(world: &World, url: &str) -> (Metering, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let blobs = Blobs::in_folder(dir.path()).unwrap();
    let settings = Settings::from(&Config::default());
    let gateway = Gateway::new(world.store.clone(), blobs, PostOffice::new(vec![], None), settings, Health::default());
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let text = format!("metering = \"{url}\"\nmetering_secret = \"{secret}\"\nmetering_internal = true\n");
    let settings: FeesSection = toml::from_str(&text).unwrap();
    (Metering::new(gateway, &settings).unwrap().unwrap(), dir)
}

on_both_engines! {
    async fn every_line_is_told_once_under_its_id_and_on_record(world: &World) {
        let receiver = Receiver::start(Mood::Says(204)).await;
        let org = world.organization("north").await;
        for id in world.many(org, 20).await {
            world.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        }
        let (metering, _dir) = metering(world, &receiver.url);
        assert_eq!(metering.turn().await.unwrap(), 20);
        assert_eq!(metering.turn().await.unwrap(), 0, "there is nothing more to tell");
        let got = receiver.got();
        let mut lines: Vec<i64> = got.iter().map(|request| request.json()["line"].as_i64().unwrap()).collect();
        lines.sort_unstable();
        assert_eq!(lines, (1..=20).collect::<Vec<_>>());
        for request in &got {
            assert_eq!(request.json()["id"], request.header("webhook-id"));
            assert!(request.header("webhook-signature").starts_with("v1,") && !request.body.contains("Testriver"));
            assert_eq!((&request.json()["amount"], &request.json()["organization"]), (&"0.25".into(), &"north".into()));
        }
        let audited = world.store.audit_events(OrgScope::One(org), &AuditFilter { limit: 10, ..AuditFilter::default() }).await.unwrap();
        assert_eq!((audited.len(), audited[0].action.as_str(), audited[0].actor_kind), (1, "data_exported", Actor::gateway().kind));
    }

    async fn what_is_not_taken_is_told_again_from_there_after_a_while(world: &World) {
        let receiver = Receiver::start(Mood::Says(500)).await;
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        world.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted]).await;
        let (metering, _dir) = metering(world, &receiver.url);
        assert_eq!(metering.turn().await.unwrap(), 0);
        assert_eq!((metering.turn().await.unwrap(), receiver.got().len()), (0, 1), "not before its time");
        let stands = world.store.ledger_tellings().await.unwrap().remove(0);
        assert_eq!((stands.told, stands.newest, stands.attempts), (0, 1, 1));
        assert!(stands.problem.unwrap().contains("answered 500"));
        let first = receiver.got()[0].header("webhook-id").to_owned();
        receiver.set(Mood::Says(200));
        world.pass(std::time::Duration::from_secs(30)).await;
        assert_eq!(metering.turn().await.unwrap(), 1);
        assert_eq!(receiver.got()[1].header("webhook-id"), first, "the same line under the same id");
        assert_eq!(world.store.ledger_tellings().await.unwrap()[0].told, 1);
    }
}
