//! Scenarios of target resolution that end beyond routing (TR-14 to TR-18), and what deliveries teach routing. Where the
//! product decides otherwise than a scenario, the test says so.

use std::time::Duration;

use postern::{
    domain::{
        DeliveryId, Order, OrgId, ResultId, choice::Suppressed, order::Action, organization::SendMode, report::ResultStatus,
        route::DirectorySource, text::Stated,
    },
    resolve::{
        directory::{self, CsvDirectory, Mapping, Terms, drain, rows::Sink},
        report::Report,
    },
    store::{directory::NewSnapshot, intake::ResultTaken},
};

use super::world::{DOMAIN, Tracking};
use crate::store::{make, world::World};

const STA: SendMode = SendMode::StaRelay;
const NPI: &str = "2000000010";

/// Loads addresses of [`NPI`], each with its organization.
async fn directory(world: &World, addresses: &[(&str, &str)]) {
    let mut csv = "npi,address,organization\n".to_owned();
    for (address, organization) in addresses {
        csv.push_str(&format!("{NPI},{address},{organization}\n"));
    }
    let read = move |sink: Sink<'_>| drain(CsvDirectory::new(csv.as_bytes(), &Mapping::default())?, sink);
    let new = NewSnapshot { source: DirectorySource::DirectTrust, org: None, file: "test" };
    directory::load(&world.store, new, read, Terms::default()).await.unwrap();
}

/// An order for whoever has this NPI.
fn for_npi(order_id: &str, npi: &str) -> Order {
    let mut order = make::order(order_id);
    order.deliver_to.truncate(1);
    (order.deliver_to[0].direct, order.deliver_to[0].npi) = (None, Some(Stated::parse(npi)));
    order
}

async fn addresses(t: &Tracking<'_>, ids: &[DeliveryId]) -> Vec<String> {
    let mut all = Vec::new();
    for id in ids {
        all.push(t.world.column(*id, "address").await);
    }
    all.sort();
    all
}

async fn reasons(world: &World, org: OrgId, order_id: &str) -> Vec<String> {
    let id = world.texts(&format!("SELECT id FROM result WHERE order_id = '{order_id}' ORDER BY version DESC")).await.remove(0);
    let trace = world.store.trace(org, id.parse::<ResultId>().unwrap()).await.unwrap();
    trace.iter().filter_map(|line| line.reason).map(|reason| reason.to_string()).collect()
}

on_both_engines! {
    async fn tr14_to_a_recipient_nobody_vouches_for_nothing_leaves_and_the_others_are_served(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let untrusted: postern::domain::DirectAddress = "pcp@direct.stranger.example".parse().unwrap();
        let certificate = postern::sandbox::practice::Practice::stranger(&untrusted, &*world.clock).unwrap().certificate;
        let domain = untrusted.domain_key();
        world.store.import_certificate(t.org, &domain, certificate.der(), &domain, certificate.valid_until()).await.unwrap();
        let ids = t.submit("A1", &[untrusted.as_str(), &format!("pcp@{DOMAIN}")]).await;
        for _ in 0..25 {
            world.pass(Duration::from_hours(1)).await;
            t.gateway.drain().await.unwrap();
        }
        let mut stands = Vec::new();
        for id in &ids {
            stands.push(format!("{} {}", world.column(*id, "address").await, world.column(*id, "state || ' ' || fee").await));
        }
        stands.sort();
        assert_eq!(stands, [format!("pcp@{DOMAIN} accepted charged"), "pcp@direct.stranger.example refused none".into()]);
        assert_eq!(t.mailboxes.list(None).unwrap().len(), 1, "only the one that is trusted got anything");
        t.ties().await;
    }

    async fn tr15_of_three_recipients_each_has_an_end_of_its_own_and_product_md_charges_what_was_accepted(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let all = ["pcp", "failed", "nomdn"].map(|local| format!("{local}@{DOMAIN}"));
        let ids = t.submit("A1", &all.each_ref().map(String::as_str)).await;
        t.bring(3).await;
        world.pass(Duration::from_mins(70)).await;
        t.gateway.track_once(&mut None, Duration::ZERO).await.unwrap();
        let mut ends = Vec::new();
        for id in &ids {
            ends.push(format!("{} {}", world.column(*id, "address").await, world.column(*id, "disposition || ' ' || fee || ' ' || COALESCE(fallback, '')").await));
        }
        ends.sort();
        // TR-15 charges the delivered one alone; product.md 17: a fee attaches to each message that was accepted.
        assert_eq!(
            ends,
            [
                format!("failed@{DOMAIN} failed charged held"),
                format!("nomdn@{DOMAIN} expired charged held"),
                format!("pcp@{DOMAIN} dispatched charged "),
            ]
        );
        t.ties().await;
    }

    async fn tr16_a_bounce_counts_for_the_message_it_names_once_since_each_delivery_is_a_message_of_its_own(world: &World) {
        // TR-16 has one DSN for two recipients of one message; product.md sends one message for each delivery, so two bounces come.
        let t = Tracking::open(world, STA, "").await;
        let all = ["bounced+a", "bounced+b", "pcp"].map(|local| format!("{local}@{DOMAIN}"));
        let ids = t.submit("A1", &all.each_ref().map(String::as_str)).await;
        let notices = t.written(4).await;
        for raw in notices.iter().chain(&notices) {
            t.take(t.mail(raw.clone())).await;
        }
        let mut ends = Vec::new();
        for id in &ids {
            ends.push(format!("{} {}", world.column(*id, "address").await, world.column(*id, "disposition").await));
        }
        ends.sort();
        assert_eq!(ends, [format!("bounced+a@{DOMAIN} failed"), format!("bounced+b@{DOMAIN} failed"), format!("pcp@{DOMAIN} dispatched")]);
        t.ties().await;
    }

    async fn tr17_an_answer_after_the_fallback_is_recorded_as_late_and_nothing_is_sent_or_charged_again(world: &World) {
        let more = "[routing]\nfallback = [\"organization\", \"hold\"]\n[[target]]\ndirect = \"all@direct.example.org\"\nwhen = \"only_if_none\"\n";
        let t = Tracking::open(world, STA, more).await;
        let first = t.send("A1", "pcp").await;
        let late = t.written(2).await;
        world.pass(Duration::from_hours(1)).await;
        let mut watch = None;
        t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        t.gateway.drain().await.unwrap();
        assert_eq!(addresses(&t, &t.deliveries("A1").await).await, [format!("all@{DOMAIN}"), format!("pcp@{DOMAIN}")]);
        world.pass(Duration::from_hours(3)).await;
        for raw in late {
            t.take(t.mail(raw)).await;
        }
        t.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        t.gateway.drain().await.unwrap();
        // TR-17 calls it late_delivered; product.md 14: one terminal disposition, what comes later stands beside it.
        assert_eq!(t.stands(first).await, "accepted expired no_processed charged");
        assert_eq!(t.recorded(first).await, ["processed:late", "dispatched:late"]);
        assert_eq!(t.deliveries("A1").await.len(), 2, "nobody gets it a third time");
        t.ties().await;
    }

    async fn tr18_the_same_result_again_is_the_same_result_also_after_a_restart(world: &World) {
        // TR-18 speaks of MSH-10; every way in ends in this one call, which goes by content.
        let t = Tracking::open(world, STA, "").await;
        t.send("A1", "pcp").await;
        let again = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        let pdf: String = world.texts("SELECT CAST(version AS TEXT) FROM result").await.remove(0);
        assert_eq!(pdf, "1");
        let stored = t.stored_pdf().await;
        for store in [&world.store, &again] {
            let taken = store.take_result(t.org, &make::report("A1", ResultStatus::Final), Some(&stored), None, make::WAIT).await.unwrap();
            assert!(matches!(taken, ResultTaken::Same(_, 1)), "{taken:?}");
        }
        t.gateway.drain().await.unwrap();
        assert_eq!((t.deliveries("A1").await.len(), world.number("SELECT COUNT(*) FROM result").await), (1, 1));
    }

    async fn a_delivery_that_arrived_decides_between_two_organizations_from_then_on(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let (a, b) = (format!("a@{DOMAIN}"), format!("b@{DOMAIN}"));
        directory(world, &[(&a, "Alpha"), (&b, "Beta")]).await;
        assert!(t.submit_order(&for_npi("A1", NPI)).await.is_empty(), "nothing says which is meant");
        assert_eq!(reasons(world, t.org, "A1").await, ["ambiguous", "ambiguous"]);
        t.send("A2", "b").await;
        assert!(t.submit_order(&for_npi("A3", NPI)).await.is_empty(), "handed over is not yet arrived");
        t.bring(2).await;
        let sent = t.submit_order(&for_npi("A4", NPI)).await;
        assert_eq!(addresses(&t, &sent).await, [b], "it arrived there");
    }

    async fn an_address_that_fails_twice_makes_way_for_another_of_the_same_organization(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let (bad, good) = (format!("failed+a@{DOMAIN}"), format!("good@{DOMAIN}"));
        directory(world, &[(&bad, "Alpha"), (&good, "Alpha")]).await;
        let mut went = Vec::new();
        for number in 0..3 {
            let sent = t.submit_order(&for_npi(&format!("A{number}"), NPI)).await;
            went.extend(addresses(&t, &sent).await);
            t.bring(if number < 2 { 1 } else { 2 }).await;
        }
        assert_eq!(went, [bad.clone(), bad, good]);
    }

    async fn tr10_an_address_without_a_certificate_gets_nothing_and_is_left_out_for_thirty_days(world: &World) {
        let t = Tracking::open(world, STA, "[[target]]\ndirect = \"all@direct.example.org\"\nwhen = \"only_if_none\"\n").await;
        directory(world, &[("doc@webmail.example", "Alpha")]).await;
        let first = t.submit_order(&for_npi("A1", NPI)).await;
        for _ in 0..25 {
            world.pass(Duration::from_hours(1)).await;
            t.gateway.drain().await.unwrap();
        }
        assert_eq!(t.stands(first[0]).await, "refused - no_cert none");
        assert!(t.mailboxes.list(None).unwrap().is_empty(), "nothing has left");
        let second = t.submit_order(&for_npi("A2", NPI)).await;
        assert_eq!(addresses(&t, &second).await, [format!("all@{DOMAIN}")], "the next rule applies at once");
        assert_eq!(reasons(world, t.org, "A2").await, ["no_cert"]);
        world.pass(Duration::from_hours(31 * 24)).await;
        let third = t.submit_order(&for_npi("A3", NPI)).await;
        assert_eq!(addresses(&t, &third).await, ["doc@webmail.example"], "after that it is tried again");
    }

    async fn tr19_with_corrections_on_hold_a_person_decides_about_who_is_no_longer_on_the_route(world: &World) {
        let t = Tracking::open(world, STA, "[choice]\ncorrections = \"hold\"\n").await;
        t.send("A1", "old").await;
        let mut order = make::order("A1");
        order.deliver_to.truncate(1);
        order.deliver_to[0].direct = Some(Stated::parse(&format!("new@{DOMAIN}")));
        world.store.take_order(t.org, &order, Action::Change).await.unwrap();
        t.gateway.drain().await.unwrap();
        let before = t.deliveries("A1").await.len();
        let mut stored = t.stored_pdf().await;
        stored.sha256[0] ^= 1;
        let report = make::report("A1", ResultStatus::Corrected);
        world.store.take_result(t.org, &report, Some(&stored), None, make::WAIT).await.unwrap();
        t.gateway.route_all().await.unwrap();
        let corrected = t.deliveries("A1").await.split_off(before);
        assert_eq!(addresses(&t, &corrected).await, [format!("new@{DOMAIN}")], "the one who is on the route now");
        assert!(reasons(world, t.org, "A1").await.contains(&"former_recipient".to_owned()));
        let waiting = world.store.worklist(postern::domain::OrgScope::One(t.org)).await.unwrap();
        assert!(waiting.iter().any(|item| item.reason.is_some_and(|reason| reason.as_str() == "former_recipient")), "{waiting:?}");
    }

    async fn a_resend_goes_to_everyone_who_got_it_but_not_to_what_is_suppressed_since(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let all = ["old", "other", "pcp"].map(|local| format!("{local}@{DOMAIN}"));
        t.submit("A1", &all.each_ref().map(String::as_str)).await;
        t.submit("A2", &[&format!("pcp@{DOMAIN}"), "pcp@direct.elsewhere.example"]).await;
        let whom = postern::store::decision::Whom { by: "ana", why: "they left" };
        for left in [format!("old@{DOMAIN}"), "direct.elsewhere.example".to_owned()] {
            world.store.suppress(t.org, &left.parse().unwrap(), None, whom).await.unwrap();
        }
        // The order names one of them alone by now.
        let mut order = make::order("A1");
        order.deliver_to.truncate(1);
        order.deliver_to[0].direct = Some(Stated::parse(&all[2]));
        world.store.take_order(t.org, &order, Action::Change).await.unwrap();
        t.gateway.drain().await.unwrap();
        let again = async |order_id: &str| {
            let before = t.deliveries(order_id).await.len();
            let taken = world.store.take_result(t.org, &make::report(order_id, ResultStatus::Resend), None, None, make::WAIT).await;
            assert!(matches!(taken.unwrap(), ResultTaken::New(..)));
            t.gateway.drain().await.unwrap();
            addresses(&t, &t.deliveries(order_id).await.split_off(before)).await
        };
        assert_eq!(again("A1").await, all[1..]);
        assert_eq!(again("A2").await, [format!("pcp@{DOMAIN}")]);
    }

    async fn a_payers_report_ties_after_a_run_with_delivered_failed_and_nobody_to_send_to(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        directory(world, &[(&format!("pcp@{DOMAIN}"), "Alpha")]).await;
        for number in 0..3 {
            t.submit_order(&for_npi(&format!("D{number}"), NPI)).await;
        }
        t.bring(6).await;
        t.send("F1", "failed").await;
        t.bring(1).await;
        t.send("P1", "nomdn").await;
        t.submit_order(&for_npi("N1", "1245319599")).await;
        t.submit_order(&for_npi("N2", "1234567890")).await;
        let mut report = Report::default();
        let (from, to) = (postern::domain::Timestamp(0), postern::domain::Timestamp(i64::MAX));
        for outcome in world.store.outcomes(t.org, from, to, None).await.unwrap() {
            report.add(&outcome);
        }
        let report = report.finished();
        let totals = &report.totals;
        let sums = (totals.delivered, totals.failed, totals.pending, totals.no_address, totals.not_sent);
        assert_eq!(sums, (3, 1, 1, 2, 0), "{report:?}");
        assert_eq!(i64::try_from(totals.results).unwrap(), world.number("SELECT COUNT(*) FROM result").await);
        assert_eq!(i64::try_from(totals.deliveries).unwrap(), world.number("SELECT COUNT(*) FROM delivery").await);
        assert_eq!(totals.pcp_results, report.by_pcp.iter().map(|row| row.results).sum::<u64>());
        let nobody: Vec<&str> = report.no_address.iter().map(|row| row.reason.as_str()).collect();
        assert!(nobody.contains(&"npi_unknown") && nobody.contains(&"npi_invalid"), "{nobody:?}");
        t.ties().await;
    }

    async fn what_is_suppressed_is_not_sent_to_whoever_names_it(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        directory(world, &[(&format!("pcp@{DOMAIN}"), "Alpha")]).await;
        let whom = postern::store::decision::Whom { by: "ana", why: "they asked" };
        let domain: Suppressed = DOMAIN.parse().unwrap();
        world.store.suppress(t.org, &domain, None, whom).await.unwrap();
        assert!(t.submit_order(&for_npi("A1", NPI)).await.is_empty());
        assert!(t.submit("A2", &[&format!("other@{DOMAIN}")]).await.is_empty(), "on the order or in the directory");
        assert_eq!(reasons(world, t.org, "A2").await, ["suppressed"]);
    }
}
