//! Silence: exact to the second, across restarts, and never by a clock that jumped.

use std::time::Duration;

use postern::{
    domain::{
        Clock as _, OrgScope,
        delivery::{Event, NoticeKind},
        organization::SendMode,
    },
    store::{delivery::Move, way_in::WayIn},
};

use super::world::{DOMAIN, Tracking, US};
use crate::store::world::World;

const STA: SendMode = SendMode::StaRelay;

on_both_engines! {
    async fn mt_4_8_12_26_no_processed_in_time_has_expired_to_the_second_and_after_a_restart_too(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "nomdn").await;
        world.pass(Duration::from_hours(1) - Duration::from_micros(1)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0, "not a moment too early");
        let after = t.restarted().await;
        world.pass(Duration::from_micros(1)).await;
        assert_eq!(after.expire_due().await.unwrap(), 1);
        assert_eq!(t.stands(id).await, "accepted expired no_processed charged");
        assert_eq!(after.expire_due().await.unwrap(), 0, "once");
        let (_, history) = world.store.delivery_view(OrgScope::All, id).await.unwrap().unwrap();
        let note = history.last().unwrap().detail.clone().unwrap();
        assert!(note.contains("has never answered") && note.contains("AES-256-CBC") && note.contains("PKCS#1 v1.5"), "{note}");
    }

    async fn mt_27_processed_without_dispatched_is_unconfirmed_and_never_falls_back(world: &World) {
        let t = Tracking::open(world, STA, "[routing]\nfallback = [\"organization\", \"hold\"]\n[[target]]\ndirect = \"all@direct.example.org\"\nwhen = \"only_if_none\"\n").await;
        let id = t.send("A1", "processedonly").await;
        world.pass(Duration::from_mins(59)).await;
        t.bring(1).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0);
        world.pass(Duration::from_mins(1)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 1, "both clocks started at acceptance");
        assert_eq!(t.stands(id).await, "accepted unconfirmed no_dispatched charged");
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!((t.deliveries("A1").await.len(), world.column(id, "fallback").await.as_str()), (1, ""));
    }

    async fn mt_28_a_dispatched_that_comes_late_is_recorded_and_changes_nothing(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "pcp").await;
        let both = t.written(2).await;
        t.take(t.mail(both[0].clone())).await;
        world.pass(Duration::from_hours(1)).await;
        t.gateway.expire_due().await.unwrap();
        world.pass(Duration::from_mins(5)).await;
        t.take(t.mail(both[1].clone())).await;
        assert_eq!(t.stands(id).await, "accepted unconfirmed no_dispatched charged");
        assert_eq!(t.recorded(id).await, ["processed:applied", "dispatched:late"]);
    }

    async fn each_mode_organization_and_domain_has_its_own_time(world: &World) {
        let more = "[tracking]\nnotice_within = \"10m\"\n[[peer]]\ndomain = \"direct.elsewhere.example\"\nnotice_within = \"4h\"\n";
        let t = Tracking::open(world, STA, more).await;
        let ids = t.submit("A1", &[&format!("nomdn@{DOMAIN}"), "nomdn@direct.elsewhere.example"]).await;
        let mut waits = Vec::new();
        for id in ids {
            waits.push(world.column(id, "address || ' ' || CAST((notice_at - accepted_at) / 60000000 AS TEXT)").await);
        }
        waits.sort();
        assert_eq!(waits, ["nomdn@direct.elsewhere.example 240".to_owned(), format!("nomdn@{DOMAIN} 10")]);
    }

    async fn what_an_early_notice_settles_after_a_crash_has_the_clock_of_its_domain(world: &World) {
        let more = "[tracking]\nnotice_within = \"10m\"\n[[peer]]\ndomain = \"direct.example.org\"\nnotice_within = \"4h\"\n";
        let t = Tracking::open(world, STA, more).await;
        let id = t.send("A1", "pcp").await;
        // As it is left by a process that died on the wire, after the notice and before the relay's answer.
        let past = world.clock.now().micros() - 1;
        world.run(&format!(
            "UPDATE delivery SET state = 'on_wire', disposition = NULL, fee = 'none', early_notice = 'processed', accepted_at = NULL, notice_at = NULL,
             lease_owner = '{id}', lease_until = {past} WHERE id = '{id}'")).await;
        world.run("DELETE FROM ledger_line").await;
        assert_eq!(t.restarted().await.recover().await.unwrap(), 1);
        let stands = "state || ' ' || disposition || ' ' || CAST((notice_at - accepted_at) / 60000000 AS TEXT)";
        assert_eq!(world.column(id, stands).await, "accepted processed 240");
    }

    async fn a_clock_that_has_run_out_waits_until_the_mailbox_was_looked_through(world: &World) {
        let t = Tracking::open(world, SendMode::Edge, "").await;
        let (way, other) = (|name: &str, address: Option<&str>| WayIn { name: name.into(), address: address.map(str::to_owned) }, "else@direct.lab.example");
        let store = &world.store;
        store.set_ways_in("hisp", &[way("ours", Some(US)), way("other", Some(other))]).await.unwrap();
        let (first, second) = (t.send("A1", "nomdn").await, t.send("A2", "nomdn+2").await);
        let started = world.clock.now();
        store.looked_into("ours", started).await.unwrap();
        world.pass(Duration::from_mins(76)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0, "the answer may lie there since before its time was up");
        assert_eq!(store.clocks_held(Duration::MAX).await.unwrap().keys().collect::<Vec<_>>(), ["ours"], "and nowhere else");
        assert_eq!(store.clocks_held(Duration::MAX).await.unwrap()["ours"].deliveries, 2);
        // A look that began before that moment does not count; one after it does.
        store.looked_into("ours", started.plus(Duration::from_mins(75) - Duration::from_micros(1))).await.unwrap();
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0);
        store.looked_into("ours", started.plus(Duration::from_mins(75))).await.unwrap();
        assert_eq!(t.gateway.expire_due().await.unwrap(), 2);
        assert!(store.clocks_held(Duration::MAX).await.unwrap().is_empty());
        for id in [first, second] {
            assert_eq!(t.stands(id).await, "accepted expired no_processed charged");
        }
    }

    async fn a_mailbox_that_cannot_be_looked_into_is_waited_for_but_not_for_ever(world: &World) {
        let t = Tracking::open(world, SendMode::Edge, "").await;
        let shared = WayIn { name: "all".into(), address: None };
        world.store.set_ways_in("another relay, for everybody", &[shared]).await.unwrap();
        let id = t.send("A1", "nomdn").await;
        world.pass((Duration::from_mins(75) + Duration::from_hours(4)).checked_sub(Duration::from_secs(1)).unwrap()).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0);
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 1);
        let (_, history) = world.store.delivery_view(OrgScope::All, id).await.unwrap().unwrap();
        assert!(history.last().unwrap().detail.clone().unwrap().contains("could not be looked into"), "{history:?}");
        // A mailbox that nobody watches any more holds nothing.
        let id = t.send("A2", "nomdn+2").await;
        world.pass(Duration::from_mins(76)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0);
        world.store.keep_ways_in_of(&["hisp"]).await.unwrap();
        assert_eq!(t.gateway.expire_due().await.unwrap(), 1);
        assert_eq!(world.column(id, "disposition").await, "expired");
    }

    async fn mail_that_came_in_time_and_was_not_looked_at_yet_is_looked_at_first(world: &World) {
        let t = Tracking::open(world, STA, "[tracking]\ndispatched = \"never\"\n").await;
        let id = t.send("A1", "pcp").await;
        let notice = t.written(1).await.remove(0);
        world.pass(Duration::from_mins(59)).await;
        world.store.keep_inbound(&t.mail(notice)).await.unwrap();
        world.pass(Duration::from_mins(5)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0, "the answer may lie there");
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!(t.stands(id).await, "accepted processed - charged");
    }

    async fn answers_that_lay_in_the_mailbox_while_we_were_down_are_all_read_before_anything_expires(world: &World) {
        let t = Tracking::open(world, SendMode::Edge, "").await;
        let ours = WayIn { name: "ours".into(), address: Some(US.to_owned()) };
        world.store.set_ways_in("hisp", &[ours]).await.unwrap();
        world.store.looked_into("ours", world.clock.now()).await.unwrap();
        // More than are looked at in one turn.
        for number in 0..40 {
            t.send(&format!("A{number}"), &format!("pcp+{number}")).await;
        }
        let silent = t.send("S1", "nomdn").await;
        let notices = t.written(40).await;
        world.pass(Duration::from_mins(90)).await;
        for raw in notices {
            world.store.keep_inbound(&t.mail(raw)).await.unwrap();
        }
        world.store.looked_into("ours", world.clock.now()).await.unwrap();
        let mut watch = None;
        t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM inbound WHERE state = 'received'").await, 8, "that is for the next turn");
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE disposition = 'expired'").await, 0);
        t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE disposition = 'processed'").await, 40);
        assert_eq!(world.column(silent, "disposition").await, "expired", "and then silence is an answer");
    }

    async fn what_came_into_a_mailbox_after_a_clock_ran_out_holds_nothing_up(world: &World) {
        let t = Tracking::open(world, SendMode::Edge, "").await;
        let ours = WayIn { name: "ours".into(), address: Some(US.to_owned()) };
        world.store.set_ways_in("hisp", &[ours]).await.unwrap();
        t.send("A1", "nomdn").await;
        world.pass(Duration::from_mins(75)).await;
        // Looked through at that very moment; what is fetched in a later look was not there yet.
        world.store.looked_into("ours", world.clock.now()).await.unwrap();
        world.pass(Duration::from_secs(1)).await;
        world.store.looked_into("ours", world.clock.now()).await.unwrap();
        world.store.keep_inbound(&t.mail(b"Subject: one after the other\r\n\r\n".to_vec())).await.unwrap();
        assert_eq!(t.gateway.expire_due().await.unwrap(), 1);
        t.gateway.take_due_mail().await.unwrap();
        // What nobody looks at, in a mailbox that was never looked through, is waited for; but not for ever.
        world.store.set_ways_in("hisp", &[]).await.unwrap();
        t.send("A2", "nomdn+2").await;
        world.pass(Duration::from_mins(76)).await;
        world.store.keep_inbound(&t.mail(b"Subject: unread\r\n\r\n".to_vec())).await.unwrap();
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0);
        world.pass(Duration::from_hours(4)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 1);
    }

    async fn mail_for_an_address_of_the_installation_that_came_in_time_is_looked_at_first(world: &World) {
        let t = Tracking::borrowing(world, STA).await;
        let id = t.send("A1", "pcp").await;
        let notice = t.written(2).await.remove(0);
        world.pass(Duration::from_mins(59)).await;
        let mail = t.mail(notice);
        assert_eq!(mail.org, None, "nobody knows yet whose it is");
        world.store.keep_inbound(&mail).await.unwrap();
        world.pass(Duration::from_mins(5)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0, "the answer may lie there");
        t.gateway.take_due_mail().await.unwrap();
        assert_eq!(world.column(id, "disposition").await, "processed");
    }

    async fn what_an_early_notice_settles_after_a_defect_has_the_clock_of_its_domain_and_the_price_of_its_day(world: &World) {
        let more = "time_zone = \"Pacific/Auckland\"\n[tracking]\nnotice_within = \"10m\"\n[[peer]]\ndomain = \"direct.example.org\"\nnotice_within = \"4h\"\n\
            [price]\nrate = [{ from = \"2026-01-01\", fee_code = \"direct\", amount = \"0.25\" }, { from = \"2026-03-03\", fee_code = \"direct\", amount = \"0.40\" }]\n";
        let t = Tracking::open(world, STA, more).await;
        let id = t.send("A1", "pcp").await;
        // As it is while its worker is between the first octet and the answer.
        let again = "state = 'queued', disposition = NULL, fee = 'none', accepted_at = NULL, notice_at = NULL, attempts = 0";
        world.run(&format!("UPDATE delivery SET {again} WHERE id = '{id}'")).await;
        world.run("DELETE FROM ledger_line").await;
        let lease = crate::store::make::lease();
        let claimed = world.store.claim_deliveries(&lease, 1, 0).await.unwrap().remove(0);
        for event in [Event::WireStarted, Event::Notice(NoticeKind::Processed)] {
            let owner = matches!(event, Event::WireStarted).then_some(lease.owner);
            world.committer.apply(Move { owner, ..Move::new(t.org, id, event) }).await.unwrap();
        }
        t.gateway.let_go(&claimed).await;
        let stands = "state || ' ' || disposition || ' ' || CAST((notice_at - accepted_at) / 60000000 AS TEXT)";
        assert_eq!(world.column(id, stands).await, "accepted processed 240");
        assert_eq!(t.lines(id).await, ["charge 400000"], "it is tomorrow there");
    }

    async fn nothing_expires_by_a_clock_that_jumped(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "nomdn").await;
        let (mut watch, mut monotonic) = (None, Duration::ZERO);
        let mut look = async |wall: Duration, passes: Duration| {
            world.pass(wall).await;
            monotonic += passes;
            t.gateway.track_once(&mut watch, monotonic).await.unwrap();
            world.column(id, "disposition").await
        };
        assert_eq!(look(Duration::ZERO, Duration::ZERO).await, "awaited");
        let second = Duration::from_secs(1);
        assert_eq!(look(Duration::from_hours(2), second).await, "awaited", "two hours in a second");
        assert_eq!(look(second, second).await, "awaited", "and time does not heal it");
        // Somebody has looked, and started the gateway again.
        let again = t.restarted().await;
        again.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!(world.column(id, "disposition").await, "expired");
    }

    async fn a_thousand_clocks_run_out_together(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "nomdn").await;
        let hex = world.either("printf('%012x', n.i)", "lpad(to_hex(n.i), 12, '0')");
        world.run(&format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
             INSERT INTO delivery (org_id, id, result_id, order_key, version, site, address, address_key, target, message_id, document_id,
                fee_code, test, priority, state, disposition, fee, unknown_attempts, stopped, billable, when_unknown, wants_dispatched, attempts,
                next_attempt_at, retry_until, rechecks, created_at, updated_at, accepted_at, notice_at)
             SELECT d.org_id, substr(d.id, 1, 24) || {hex}, d.result_id, d.order_key, d.version, d.site, {hex} || '@d.example',
                {hex} || '@d.example', d.target, '<' || {hex} || substr(d.message_id, 2), d.document_id, d.fee_code, d.test, d.priority, d.state,
                d.disposition, 'none', d.unknown_attempts, d.stopped, 'processed', d.when_unknown, d.wants_dispatched, d.attempts,
                d.next_attempt_at, d.retry_until, d.rechecks, d.created_at, d.updated_at, d.accepted_at, d.notice_at
             FROM delivery d, n WHERE d.id = '{id}'"
        )).await;
        world.pass(Duration::from_hours(1)).await;
        let mut expired = 0;
        loop {
            match t.gateway.expire_due().await.unwrap() {
                0 => break,
                more => expired += more,
            }
        }
        assert_eq!(expired, 1000);
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE disposition = 'expired' AND notice_at IS NULL").await, 1000);
    }
}
