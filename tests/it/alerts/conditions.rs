//! What is noticed, and who is told of it.

use postern::domain::{OffsetTime, Timestamp};

use super::office::{MINUTE, Office};
use crate::store::world::World;

const OPS: &str = "ops@lab.example";
const NORTH: &str = "it@north.example";
const BOSS: &str = "boss@north.example";
const RULES: &str = "[alerts]\nto = [\"it@north.example\"]\nescalate_to = [\"boss@north.example\"]\n";

fn at(text: &str) -> Timestamp {
    text.parse::<OffsetTime>().unwrap().at
}

on_both_engines! {
    async fn an_urgent_delivery_that_does_not_leave_is_told_escalated_and_over_the_moment_it_leaves(world: &World) {
        let office = Office::open(world, "held = 100").await;
        let (north, other) = (office.organization("north", RULES).await, office.organization("south", "[alerts]\nto = [\"it@south.example\"]\n").await);
        let process = office.process().await;
        let urgent = world.queued(north, "A1").await;
        let routine = world.queued(other, "A1").await;
        world.run(&format!("UPDATE delivery SET priority = 'urgent' WHERE id = '{urgent}'")).await;
        assert_eq!(process.round().await, (0, 0));
        world.pass(10 * MINUTE).await;
        assert_eq!(process.round().await, (1, 2));
        assert_eq!((office.subjects(OPS), office.subjects(NORTH)), (vec!["[lab] CRITICAL: 1 new".to_owned()], vec!["[lab] CRITICAL: 1 new".to_owned()]));
        assert!(office.mails(NORTH)[0].contains(&format!("delivery {urgent}")) && office.mails("it@south.example").is_empty());
        assert!(!office.mails(NORTH)[0].contains(&routine.to_string()));
        world.pass(20 * MINUTE).await;
        assert_eq!(process.round().await, (0, 0));
        world.pass(10 * MINUTE).await;
        assert_eq!(process.round().await, (1, 3), "nobody has cared");
        assert_eq!(office.subjects(BOSS), ["[lab] CRITICAL: 1 not cared for"]);
        world.run(&format!("UPDATE delivery SET state = 'accepted', disposition = 'awaited', accepted_at = created_at + 2400000000, notice_at = 99 WHERE id = '{urgent}'")).await;
        world.pass(MINUTE).await;
        assert_eq!(process.round().await, (1, 3));
        assert_eq!(office.subjects(BOSS)[1], "[lab] 1 over");
        world.pass(30 * MINUTE).await;
        assert_eq!(process.round().await, (1, 2), "it was sent, and not answered");
        assert!(office.mails(NORTH).last().unwrap().contains("urgent_unanswered"));
        world.run(&format!("UPDATE delivery SET disposition = 'processed', notice_at = NULL WHERE id = '{urgent}'")).await;
        world.pass(MINUTE).await;
        assert_eq!(process.round().await, (1, 2));
    }

    async fn who_says_that_they_care_is_not_escalated_past(world: &World) {
        let office = Office::open(world, "").await;
        let north = office.organization("north", RULES).await;
        let process = office.process().await;
        let urgent = world.queued(north, "A1").await;
        world.run(&format!("UPDATE delivery SET priority = 'urgent' WHERE id = '{urgent}'")).await;
        world.pass(10 * MINUTE).await;
        process.round().await;
        let alert = world.store.unresolved_alerts().await.unwrap().remove(0);
        assert!(world.store.ack_alert(alert.id, "Kim", None).await.unwrap());
        world.pass(60 * MINUTE).await;
        assert_eq!(process.round().await, (0, 0));
        assert!(office.mails(BOSS).is_empty());
    }

    async fn what_waits_for_a_person_is_told_at_one_ten_and_a_hundred(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"\nwaiting = \"30d\"").await;
        let north = office.organization("north", RULES).await;
        let process = office.process().await;
        let all = world.many(north, 120).await;
        let hold = async |count: usize| {
            let ids: Vec<String> = all[..count].iter().map(|id| format!("'{id}'")).collect();
            world.run(&format!("UPDATE delivery SET state = 'held', reason = 'no_cert' WHERE id IN ({})", ids.join(","))).await;
            world.pass(6 * MINUTE).await;
            process.round().await
        };
        assert_eq!(hold(3).await, (1, 2));
        assert_eq!(hold(9).await, (0, 0));
        assert_eq!(hold(12).await, (1, 2));
        assert_eq!(hold(99).await, (0, 0));
        assert_eq!(hold(120).await, (1, 2));
        assert_eq!(office.subjects(NORTH), ["[lab] 1 new", "[lab] 1 worse", "[lab] 1 worse"]);
        world.run("UPDATE delivery SET state = 'cancelled' WHERE state = 'held'").await;
        process.round().await;
        world.pass(6 * MINUTE).await;
        assert_eq!(process.round().await, (1, 2));
    }

    async fn a_quiet_weekend_is_no_silence_where_nobody_works_then(world: &World) {
        let office = Office::open(world, "").await;
        let expects = "time_zone = \"America/New_York\"\n[alerts]\nto = [\"it@north.example\"]\nexpect_within = \"24h\"\n\
            expect_days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]\n";
        let north = office.organization("north", expects).await;
        let process = office.process().await;
        world.set_time(at("2026-03-06T17:00:00-05:00")).await;
        world.result(north, "A1").await;
        world.route(&[]).await;
        world.run("UPDATE result SET state = 'not_sent'").await;
        for (time, told) in [
            ("2026-03-08T17:00:00-04:00", 0),
            ("2026-03-09T16:00:00-04:00", 0),
            ("2026-03-09T17:30:00-04:00", 0),
            ("2026-03-09T17:33:00-04:00", 1),
        ] {
            world.set_time(at(time)).await;
            assert_eq!(process.alerting.look_once().await.unwrap(), told, "{time}");
        }
        process.alerting.tell_once().await.unwrap();
        assert!(office.mails(NORTH)[0].contains("the last came at 2026-03-06"), "{}", office.mails(NORTH)[0]);
    }

    async fn a_hisp_from_which_nothing_comes_back_is_noticed_before_every_clock_has_run_out(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"").await;
        let north = office.organization("north", "").await;
        let process = office.process().await;
        world.many(north, 60).await;
        world.run("UPDATE delivery SET state = 'accepted', disposition = 'processed', relay = 'hisp', accepted_at = created_at").await;
        world.pass(31 * MINUTE).await;
        assert_eq!(process.round().await, (0, 0));
        world.run("UPDATE delivery SET disposition = 'awaited', notice_at = 99999999999999999, accepted_at = created_at + 1 WHERE address < '00000000001a'").await;
        assert_eq!(process.round().await, (1, 1));
        assert!(office.mails(OPS)[0].contains("hisp_silent"), "{}", office.mails(OPS)[0]);
        world.run("UPDATE delivery SET disposition = 'processed', accepted_at = created_at + 2 WHERE address < '000000000002'").await;
        world.run("UPDATE delivery SET disposition = 'expired' WHERE address > '000000000020'").await;
        world.pass(6 * MINUTE).await;
        process.round().await;
        let kinds = world.texts("SELECT kind FROM alert WHERE resolved_at IS NULL ORDER BY kind").await;
        assert_eq!(kinds, ["hisp_silent", "notice_rate"], "the first has been quiet for a moment only");
    }

    async fn our_certificates_bundles_and_directory_are_watched(world: &World) {
        let office = Office::open(world, "").await;
        let north = office.organization("north", RULES).await;
        let process = office.process().await;
        let now = "(SELECT created_at FROM organization WHERE slug = 'north')";
        world.run(&format!(
            "INSERT INTO identity_key (org_id, id, address, address_key, used_for, certificate, fingerprint, not_before, not_after, token, imported_at)
             VALUES ('{north}', '019cb000-0000-7000-8000-000000000001', 'r@d.example', 'r@d.example', 'both', '', 'f', 0, {now} + 40 * 86400000000, 'pkcs11:x', 0)"
        )).await;
        world.run(&format!(
            "INSERT INTO trust_bundle (org_id, id, name, used_for, url, internal, refresh, most_lost, refreshed_at, next_at, shrunk_to)
             VALUES ('{north}', '019cb000-0000-7000-8000-000000000002', 'peers', 'both', 'https://x.example/', FALSE, 3600000000, 20, {now} - 8 * 86400000000, {now} + 1, 3)"
        )).await;
        world.run(&format!(
            "INSERT INTO directory_snapshot (id, number, source, file, state, entries, counts, loaded_at)
             VALUES ('019cb000-0000-7000-8000-000000000003', 1, 'fhir', 'x', 'active', 1, '{{}}', {now} - 46 * 86400000000)"
        )).await;
        assert_eq!(process.round().await, (4, 2));
        let kinds = world.texts("SELECT kind FROM alert ORDER BY kind").await;
        assert_eq!(kinds, ["bundle_shrunk", "bundle_stale", "certificate_expiry", "directory_old"]);
        assert_eq!(office.subjects(NORTH), ["[lab] 1 new"], "its certificate alone is its affair");
        world.pass(days(11)).await;
        assert_eq!(process.round().await.0, 1, "30 days are worse than 60");
        world.pass(days(5)).await;
        assert_eq!(process.round().await.0, 1, "the directory is not believed any more");
        world.run("DELETE FROM identity_key").await;
        world.pass(2 * MINUTE).await;
        assert_eq!(process.round().await.0, 1, "another took its place");
    }
}

fn days(count: u32) -> std::time::Duration {
    std::time::Duration::from_hours(24) * count
}
