//! One relay goes down and comes back: what people hear of it.

use std::time::Duration;

use super::office::{HOUR, MINUTE, Office};
use crate::store::world::World;

const OPS: &str = "ops@lab.example";

on_both_engines! {
    async fn a_relay_goes_down_and_people_hear_of_it_once_then_daily_then_that_it_is_over(world: &World) {
        let office = Office::open(world, "").await;
        let process = office.process().await;
        assert_eq!(process.round().await, (0, 0), "all is well");
        assert!(!process.try_hisp().await);
        assert_eq!(process.round().await, (0, 0), "it has not lasted");
        world.pass(2 * MINUTE).await;
        assert_eq!(process.round().await, (1, 1));
        let mails = office.mails(OPS);
        assert_eq!(office.subjects(OPS), ["[lab] CRITICAL: 1 new"]);
        for part in ["a relay cannot be used", "what:   hisp", "since:  2026-03-02 15:00", "it cannot be reached", "What to do", "postern alerts ack"] {
            assert!(mails[0].contains(part), "{part} in {}", mails[0]);
        }
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            assert!(!process.try_hisp().await);
            world.pass(10 * MINUTE).await;
            assert_eq!(process.round().await, (0, 0), "never per retry");
        }
        world.pass(16 * HOUR).await;
        assert_eq!(process.round().await, (0, 1));
        for _ in 0..3 {
            world.pass(6 * HOUR).await;
            assert_eq!(process.round().await, (0, 0), "one digest a day");
        }
        assert_eq!(office.subjects(OPS)[1..], ["[lab] CRITICAL: 1 still open"]);

        office.hisp_up().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(process.try_hisp().await);
        assert_eq!(process.round().await, (0, 0), "it may not last");
        world.pass(5 * MINUTE).await;
        assert_eq!(process.round().await, (1, 1));
        assert_eq!(office.subjects(OPS)[2..], ["[lab] 1 over"]);
        world.pass(25 * HOUR).await;
        assert_eq!(process.round().await, (0, 0), "nothing is open, so nothing is said");
    }

    async fn two_processes_look_and_tell_and_one_mail_comes(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"").await;
        let (one, other) = (office.process().await, office.process().await);
        assert!(!one.try_hisp().await);
        one.alerting.look_once().await.unwrap();
        for _ in 0..5 {
            // The lease of the first runs out in between: whoever is slow must still say nothing twice.
            world.pass(2 * MINUTE).await;
            // What the first says of itself has lapsed too; it says it again.
            one.alerting.look_once().await.unwrap();
            world.pass(MINUTE / 2).await;
            let looked = tokio::join!(other.alerting.look_once(), one.alerting.look_once());
            let _overtaken = (looked.0.is_err(), looked.1.is_err());
            let told = tokio::join!(one.alerting.tell_once(), other.alerting.tell_once());
            assert!(told.0.unwrap() + told.1.unwrap() <= 1);
        }
        assert_eq!(office.subjects(OPS), ["[lab] CRITICAL: 1 new"]);
        assert_eq!(world.number("SELECT COUNT(*) FROM alert WHERE opened_at IS NOT NULL").await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM alert_telling").await, 0);
    }

    async fn what_one_process_says_of_itself_another_judges_and_what_a_dead_one_said_lapses(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"").await;
        let (judge, sender) = (office.process().await, office.process().await);
        assert_eq!(judge.round().await, (0, 0));
        assert!(!sender.try_hisp().await);
        assert_eq!(sender.round().await, (0, 0), "it is not its turn");
        assert_eq!(judge.round().await, (1, 1), "the judge's own relay is well");
        drop(sender);
        world.pass(2 * MINUTE).await;
        assert_eq!(judge.round().await, (0, 0));
        world.pass(5 * MINUTE).await;
        assert_eq!(judge.round().await, (1, 1), "nobody says any more that it is down");
    }

    async fn a_process_dies_between_noticing_and_telling_and_the_next_tells_once(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"").await;
        let first = office.process().await;
        assert!(!first.try_hisp().await);
        assert_eq!(first.alerting.look_once().await.unwrap(), 1);
        drop(first);
        world.pass(2 * MINUTE).await;
        let second = office.process().await;
        assert!(!second.try_hisp().await);
        assert_eq!(second.round().await, (0, 1));
        drop(second);
        world.pass(2 * MINUTE).await;
        let third = office.process().await;
        assert!(!third.try_hisp().await);
        assert_eq!(third.round().await, (0, 0), "it was said");
        assert_eq!(office.subjects(OPS), ["[lab] CRITICAL: 1 new"]);
    }

    async fn who_cares_is_noted_once_and_an_evaluator_that_was_overtaken_changes_nothing(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"").await;
        let process = office.process().await;
        assert!(!process.try_hisp().await);
        process.round().await;
        let alert = world.store.unresolved_alerts().await.unwrap().remove(0);
        assert!(world.store.ack_alert(alert.id, "Kim", None).await.unwrap());
        assert!(!world.store.ack_alert(alert.id, "Lee", None).await.unwrap());
        let stale = postern::store::alert::AlertChange { alert, said: None };
        assert!(matches!(world.store.keep_alerts(vec![stale], &[]).await, Err(postern::store::StoreError::Lost)));
        let kept = world.store.unresolved_alerts().await.unwrap().remove(0);
        assert_eq!(kept.acked_by.as_deref(), Some("Kim"));
    }
}
