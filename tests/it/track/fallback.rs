//! A terminal failure goes the organization's next way, once, and leaves its line in the trace.

use std::time::Duration;

use postern::{
    domain::{OrgScope, ResultId, organization::SendMode, report::ResultStatus},
    store::{fallback::Place, intake::ResultTaken},
};

use super::world::{DOMAIN, Tracking};
use crate::store::{make, world::World};

const STA: SendMode = SendMode::StaRelay;
const TIERS: &str = "[routing]\nfallback = [\"site\", \"organization\", \"hold\"]\n[[target]]\ndirect = \"all@direct.example.org\"\nwhen = \"only_if_none\"\n\
    [[site]]\nlocal_id = \"RIVERSIDE01\"\ntarget = [{ direct = \"failed+site@direct.example.org\", when = \"only_if_none\" }]\n";

on_both_engines! {
    async fn each_tier_is_tried_in_turn_and_the_trace_tells_the_chain(world: &World) {
        let t = Tracking::open(world, STA, TIERS).await;
        let first = t.send("A1", "failed").await;
        t.bring(1).await;
        let mut watch = None;
        // The site's address, which fails too; then the organization's.
        for tier in 1..=2 {
            t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
            t.gateway.drain().await.unwrap();
            assert_eq!(t.deliveries("A1").await.len(), tier + 1);
            t.bring(if tier == 1 { 1 } else { 2 }).await;
        }
        t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        let all = t.deliveries("A1").await;
        let mut stands = Vec::new();
        for id in &all {
            stands.push(format!("{} {} {}", world.column(*id, "address").await, t.stands(*id).await, world.column(*id, "fallback").await));
        }
        assert_eq!(
            stands,
            [
                format!("failed@{DOMAIN} accepted failed remote_failed charged made"),
                format!("failed+site@{DOMAIN} accepted failed remote_failed charged made"),
                format!("all@{DOMAIN} accepted dispatched - charged "),
            ]
        );
        assert_eq!(world.column(all[1], "fallback_of").await, first.to_string());
        let result: ResultId = world.column(first, "result_id").await.parse().unwrap();
        let trace = world.store.trace(t.org, result).await.unwrap();
        let chain: Vec<String> = trace.iter().map(|line| format!("{} {}", line.origin, line.rule)).collect();
        assert_eq!(chain[chain.len() - 2..], ["fallback[0] site".to_owned(), "fallback[1] organization".into()]);
        assert!(trace.last().unwrap().note.contains("remote_failed"), "{trace:?}");
        assert!(world.store.worklist(OrgScope::All).await.unwrap().is_empty(), "it has arrived: nobody has to look");
        t.ties().await;
    }

    async fn what_has_no_way_left_is_before_a_person_until_they_have_seen_to_it(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "nomdn").await;
        world.pass(Duration::from_hours(1)).await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!(world.column(id, "fallback").await, "held");
        let items = world.store.worklist(OrgScope::All).await.unwrap();
        assert_eq!((items.len(), items[0].id.as_str(), items[0].reason.unwrap().as_str()), (1, id.to_string().as_str(), "no_processed"));
        assert!(world.store.seen_to(OrgScope::All, id, "rang them up").await.unwrap());
        assert!(world.store.worklist(OrgScope::All).await.unwrap().is_empty());
        assert!(!world.store.seen_to(OrgScope::All, id, "again").await.unwrap());
    }

    async fn a_refusal_falls_back_like_a_failure_and_two_processes_make_one_delivery(world: &World) {
        let t = Tracking::open(world, STA, TIERS).await;
        let id = t.send("A1", "550").await;
        assert_eq!(t.stands(id).await, "refused - rejected_5xx none");
        let due = world.store.due_fallbacks(10, &Place::default()).await.unwrap();
        assert_eq!(due.len(), 1);
        let other = t.restarted().await;
        let (mut one, mut two) = (None, None);
        let (a, b) = tokio::join!(t.gateway.track_once(&mut one, Duration::ZERO), other.track_once(&mut two, Duration::ZERO));
        a.unwrap();
        b.unwrap();
        assert_eq!(t.deliveries("A1").await.len(), 2);
        assert_eq!(world.column(id, "fallback").await, "made");
    }

    async fn bl_30_what_goes_in_the_place_of_a_correction_is_billable_when_a_correction_is(world: &World) {
        let prices = "[price]\nrate = [{ from = '2026-01-01', fee_code = 'direct', amount = '0.25' },\
            { from = '2026-01-01', fee_code = 'direct', status = 'corrected', amount = '0.05', billable = 'processed' }]\n";
        let site = "[routing]\nfallback = [\"site\"]\n[[site]]\nlocal_id = \"RIVERSIDE01\"\n\
            target = [{ direct = \"site@direct.example.org\", when = \"only_if_none\" }]\n";
        let t = Tracking::open(world, STA, &format!("{prices}{site}")).await;
        t.send("A1", "550").await;
        let report = make::report("A1", ResultStatus::Corrected);
        let pdf = t.stored_pdf().await;
        assert!(matches!(world.store.take_result(t.org, &report, Some(&pdf), None, make::WAIT).await.unwrap(), ResultTaken::New(..)));
        t.gateway.drain().await.unwrap();
        let mut watch = None;
        t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        t.gateway.drain().await.unwrap();
        let made = t.deliveries("A1").await.pop().unwrap();
        let stands = async || {
            let moment = world.column(made, "billable").await;
            (world.column(made, "address").await, moment, t.lines(made).await)
        };
        let (address, processed) = (format!("site@{DOMAIN}"), "processed".to_owned());
        assert_eq!(stands().await, (address.clone(), processed.clone(), vec![]), "accepted, and no fee yet");
        t.bring(1).await;
        let (_, _, lines) = stands().await;
        assert_eq!(lines, ["charge 50000"]);
        t.ties().await;
    }

    async fn one_that_cannot_be_read_stands_in_nobodys_way(world: &World) {
        let t = Tracking::open(world, STA, TIERS).await;
        let (broken, other) = (t.send("A1", "550").await, t.send("A2", "554").await);
        world.run(&format!("UPDATE delivery SET target = '{{}}' WHERE id = '{broken}'")).await;
        let first = world.store.due_fallbacks(1, &Place::default()).await.unwrap();
        assert!(first[0].failed.is_err(), "the older failure comes first");
        let second = world.store.due_fallbacks(1, &first[0].place).await.unwrap();
        assert_eq!(second[0].failed.as_ref().unwrap().id, other);
        assert!(world.store.due_fallbacks(1, &second[0].place).await.unwrap().is_empty());

        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!((world.column(broken, "fallback").await.as_str(), world.column(other, "fallback").await.as_str()), ("due", "made"));
    }

    async fn an_organization_that_cannot_be_read_keeps_no_other_from_falling_back(world: &World) {
        let t = Tracking::open(world, STA, TIERS).await;
        let other = t.send("A1", "550").await;
        // More than are looked after together, and all of them older.
        let broken = world.organization("south").await;
        world.many(broken, 300).await;
        let due = "fallback = 'due', state = 'refused', reason = 'rejected_5xx', updated_at = 1";
        assert_eq!(world.run(&format!("UPDATE delivery SET {due} WHERE org_id = '{broken}'")).await, 300);
        world.run("UPDATE organization SET file = 'no rules' WHERE slug = 'south'").await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!(world.column(other, "fallback").await, "made");
        assert_eq!(world.number("SELECT COUNT(*) FROM delivery WHERE fallback = 'due'").await, 300);
    }

    async fn an_address_that_may_not_be_used_is_passed_over_and_the_trace_says_why(world: &World) {
        let more = TIERS.replace("failed+site@direct.example.org", "site@direct.elsewhere.example");
        let t = Tracking::open(world, STA, &format!("{more}[choice]\nallowed_domains = [\"{DOMAIN}\"]\n")).await;
        let id = t.send("A1", "550").await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!(world.column(id, "fallback").await, "made");
        let all = t.deliveries("A1").await;
        assert_eq!((all.len(), world.column(all[1], "address").await), (2, format!("all@{DOMAIN}")));
        let whom = postern::store::decision::Whom { by: "ana", why: "they asked" };
        world.store.suppress(t.org, &format!("all@{DOMAIN}").parse().unwrap(), None, whom).await.unwrap();
        let last = t.send("A2", "550+2").await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!((world.column(last, "fallback").await.as_str(), t.deliveries("A2").await.len()), ("held", 1), "a person has it");
        let result: ResultId = world.column(last, "result_id").await.parse().unwrap();
        let trace = world.store.trace(t.org, result).await.unwrap();
        let told: Vec<String> = trace.iter().map(|line| format!("{} {} {}", line.origin, line.verdict, line.reason.map_or("-", postern::domain::Reason::as_str))).collect();
        assert_eq!(told[told.len() - 2..], ["fallback[0] dropped domain_not_allowed".to_owned(), "fallback[1] dropped suppressed".into()]);
        assert!(trace.last().unwrap().note.ends_with("failed (rejected_5xx), and its address is suppressed"), "{trace:?}");
        t.ties().await;
    }

    async fn what_followed_from_a_failure_stays_in_the_trace_when_the_result_is_routed_again(world: &World) {
        let t = Tracking::open(world, STA, TIERS).await;
        let id = t.send("A1", "550").await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        let result: ResultId = world.column(id, "result_id").await.parse().unwrap();
        let before = world.store.trace(t.org, result).await.unwrap();
        assert_eq!(before.last().unwrap().origin, "fallback[0]");
        let whom = postern::store::decision::Whom { by: "ana", why: "looked again" };
        for _ in 0..2 {
            world.store.act(t.org, result, &postern::store::worklist::Act::Reroute, whom).await.unwrap();
            t.gateway.drain().await.unwrap();
            assert_eq!(world.store.trace(t.org, result).await.unwrap(), before, "it says why the site has it");
        }
        assert_eq!(t.deliveries("A1").await.len(), 2);
    }

    async fn where_the_next_way_is_held_a_person_has_both(world: &World) {
        let t = Tracking::open(world, STA, &TIERS.replace("\"failed+site@direct.example.org\", when = \"only_if_none\"", "\"site@direct.example.org\"")).await;
        let both = t.submit("A1", &[&format!("550@{DOMAIN}")]).await;
        world.run(&format!("UPDATE delivery SET state = 'held', reason = 'no_cert', disposition = NULL, notice_at = NULL WHERE id = '{}'", both[1])).await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!(world.column(both[0], "fallback").await, "held");
        let waiting: Vec<String> = world.store.worklist(OrgScope::All).await.unwrap().into_iter().map(|item| item.id).collect();
        assert!(both.iter().all(|id| waiting.contains(&id.to_string())), "{waiting:?}");
    }

    async fn what_a_newer_version_replaces_falls_back_no_more(world: &World) {
        let t = Tracking::open(world, STA, TIERS).await;
        let id = t.send("A1", "nomdn").await;
        world.take(t.org, "A1", postern::domain::report::ResultStatus::Corrected, 9).await;
        world.pass(Duration::from_hours(1)).await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        assert_eq!((world.column(id, "disposition").await.as_str(), world.column(id, "fallback").await.as_str()), ("expired", "needless"));
    }
}
