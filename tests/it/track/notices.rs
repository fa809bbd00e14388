//! Notices in the sta modes: sealed by the recipient's side, and what of them counts.

use postern::domain::{inbound::Channel, organization::SendMode};

use super::world::{DOMAIN, Tracking};
use crate::store::world::World;

const STA: SendMode = SendMode::StaRelay;
/// Never asks for `dispatched`.
const QUIET: &str = "[tracking]\ndispatched = \"never\"\n";

on_both_engines! {
    async fn mt_29_processed_and_dispatched_in_time_end_it_well(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "pcp").await;
        assert_eq!(t.stands(id).await, "accepted awaited - charged");
        t.bring(2).await;
        assert_eq!(t.stands(id).await, "accepted dispatched - charged");
        assert_eq!(t.recorded(id).await, ["processed:applied", "dispatched:applied"]);
        assert_eq!(t.world.column(id, "notice_at").await, "", "its clock has stopped");
        t.ties().await;
    }

    async fn processed_is_final_when_dispatched_was_not_asked_for(world: &World) {
        let t = Tracking::open(world, STA, QUIET).await;
        let id = t.send("A1", "processedfailure").await;
        t.bring(2).await;
        assert_eq!(t.stands(id).await, "accepted processed - charged", "a failure after the end re-opens nothing");
        assert_eq!(t.recorded(id).await, ["processed:applied", "failed:late"]);
    }

    async fn mt_41_what_cannot_be_delivered_after_processed_has_failed(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "processedfailure").await;
        t.bring(2).await;
        assert_eq!(t.stands(id).await, "accepted failed remote_failed charged");
    }

    async fn dispatched_and_failed_come_without_processed_too_and_in_any_order(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        for (order, local, notices, ends) in [
            ("A1", "dispatchedonly", 1, "dispatched -"),
            ("A2", "reversed", 2, "dispatched -"),
            ("A3", "failed", 1, "failed remote_failed"),
            ("A4", "bounced", 1, "failed remote_failed"),
        ] {
            let id = t.send(order, local).await;
            t.bring(notices).await;
            assert_eq!(t.stands(id).await, format!("accepted {ends} charged"), "{local}");
        }
    }

    async fn mt_17_45_each_message_has_an_id_of_its_own_and_mt_46_asks_in_the_one_right_way(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let mut ids = std::collections::BTreeSet::new();
        for order in ["A1", "A2", "A3"] {
            t.send(order, "pcp").await;
        }
        for entry in t.mailboxes.list(None).unwrap() {
            let inner = String::from_utf8(t.mailboxes.inner(&entry).unwrap()).unwrap();
            assert!(inner.contains("\r\nDisposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n"));
            assert!(inner.contains("\r\nDisposition-Notification-To: results@direct.lab.example\r\n"));
            assert!(!String::from_utf8(t.mailboxes.raw(&entry).unwrap()).unwrap().contains("Disposition-Notification"), "inside only");
            ids.insert(entry.message_id.unwrap());
        }
        assert_eq!(ids.len(), 3);
    }

    async fn mt_47_of_several_recipients_only_the_one_that_fails_has_failed(world: &World) {
        let t = Tracking::open(world, STA, QUIET).await;
        let addresses = ["pcp", "failed", "other"].map(|local| format!("{local}@{DOMAIN}"));
        let ids = t.submit("A1", &addresses.each_ref().map(String::as_str)).await;
        t.bring(3).await;
        let mut ends = Vec::new();
        for id in ids {
            ends.push(format!("{} {}", t.world.column(id, "address").await, t.world.column(id, "disposition").await));
        }
        ends.sort();
        assert_eq!(ends, [format!("failed@{DOMAIN} failed"), format!("other@{DOMAIN} processed"), format!("pcp@{DOMAIN} processed")]);
    }

    async fn malformed_notices_that_can_be_understood_count(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        for (number, local) in ["whitespace", "linebreak", "extraspace", "notype", "nobrackets", "oddcase", "folded"].iter().enumerate() {
            let id = t.send(&format!("A{number}"), local).await;
            t.bring(2).await;
            assert_eq!(t.stands(id).await, "accepted dispatched - charged", "{local}");
        }
    }

    async fn notices_that_must_not_count_are_recorded_and_move_nothing(world: &World) {
        let t = Tracking::open(world, STA, QUIET).await;
        for (number, (local, recorded)) in [
            ("nodisposition", Some(":information")),
            ("othersender", Some("processed:not_believed")),
            ("otherrecipient", Some("processed:not_believed")),
            ("clear", Some("processed:not_believed")),
            ("otherid", None),
            ("stranger", None),
        ]
        .into_iter()
        .enumerate()
        {
            let id = t.send(&format!("A{number}"), local).await;
            t.bring(1).await;
            assert_eq!(t.stands(id).await, "accepted awaited - charged", "{local}");
            assert_eq!(t.recorded(id).await, recorded.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{local}");
        }
        assert_eq!(world.texts("SELECT verdict FROM notice WHERE delivery_id IS NULL").await, ["unknown"]);
        let rejected = world.texts("SELECT detail FROM inbound WHERE verdict = 'rejected'").await;
        assert!(rejected.len() == 1 && rejected[0].starts_with("untrusted"), "{rejected:?}");
        assert_eq!(world.number("SELECT COUNT(*) FROM reply").await, 0, "a notice is never answered");
        t.ties().await;
    }

    async fn mt_1_an_address_that_does_not_exist_has_failed_at_once_or_by_the_other_sides_word(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let (at_once, later) = (t.send("A1", "550").await, t.send("A2", "bounced").await);
        t.bring(1).await;
        assert_eq!(t.stands(at_once).await, "refused - rejected_5xx none", "what was not taken costs nothing");
        assert_eq!(t.stands(later).await, "accepted failed remote_failed charged");
        t.ties().await;
    }

    async fn mt_2_an_untrusted_recipient_and_mt_3_one_without_a_certificate_get_nothing_and_fail_with_their_reason(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let untrusted: postern::domain::DirectAddress = "pcp@direct.stranger.example".parse().unwrap();
        let certificate = postern::sandbox::practice::Practice::stranger(&untrusted, &*world.clock).unwrap().certificate;
        let domain = untrusted.domain_key();
        world.store.import_certificate(t.org, &domain, certificate.der(), &domain, certificate.valid_until()).await.unwrap();
        let all = t.submit("A1", &[untrusted.as_str(), "pcp@direct.nowhere.example"]).await;
        let stands = async || {
            let mut stands = Vec::new();
            for id in &all {
                stands.push(format!("{} {}", world.column(*id, "address").await, t.stands(*id).await));
            }
            stands.sort();
            stands
        };
        assert!(stands().await.iter().all(|stands| stands.contains(" queued ")), "it is looked at again: {:?}", stands().await);
        // After 1, 6 and 24 hours.
        for _ in 0..25 {
            world.pass(std::time::Duration::from_hours(1)).await;
            t.gateway.drain().await.unwrap();
        }
        assert_eq!(
            stands().await,
            ["pcp@direct.nowhere.example refused - no_cert none", "pcp@direct.stranger.example refused - untrusted none"]
        );
        assert!(t.mailboxes.list(None).unwrap().is_empty(), "nothing has left");
        t.ties().await;
    }

    async fn the_same_notice_twice_counts_once(world: &World) {
        let t = Tracking::open(world, STA, "[[price.rate]]\nfrom = \"2026-01-01\"\nfee_code = \"direct\"\namount = \"0.25\"\nbillable = \"processed\"\n").await;
        let id = t.send("A1", "twice").await;
        t.bring(4).await;
        assert_eq!(t.stands(id).await, "accepted dispatched - charged");
        assert_eq!(t.lines(id).await, ["charge 250000"]);
        let mut recorded = t.recorded(id).await;
        recorded.sort();
        assert_eq!(recorded, ["dispatched:applied", "dispatched:duplicate", "processed:applied", "processed:duplicate"]);
        t.ties().await;
    }

    async fn two_processes_with_the_same_news_charge_once(world: &World) {
        let t = Tracking::open(world, STA, "[tracking]\ndispatched = \"never\"\n[[price.rate]]\nfrom = \"2026-01-01\"\nfee_code = \"direct\"\namount = \"0.25\"\nbillable = \"processed\"\n").await;
        let id = t.send("A1", "pcp").await;
        assert_eq!(t.stands(id).await, "accepted awaited - none", "nothing is owed yet");
        let raw = t.written(1).await.remove(0);
        for copy in 0..6_usize {
            let received = format!("Received: by copy{copy}\r\n").into_bytes();
            world.store.keep_inbound(&t.mail([received, raw.clone()].concat())).await.unwrap();
        }
        let other = t.restarted().await;
        let (one, two) = tokio::join!(t.gateway.take_due_mail(), other.take_due_mail());
        assert_eq!(one.unwrap() + two.unwrap(), 6);
        assert_eq!(t.stands(id).await, "accepted processed - charged");
        assert_eq!(t.lines(id).await, ["charge 250000"]);
        let recorded = t.recorded(id).await;
        assert_eq!(recorded.iter().filter(|said| *said == "processed:applied").count(), 1, "{recorded:?}");
        t.ties().await;
    }

    async fn what_is_billed_by_dispatched_is_asked_for_it_and_charged_then(world: &World) {
        let more = "[[price.rate]]\nfrom = \"2026-01-01\"\nfee_code = \"direct\"\namount = \"0.25\"\nbillable = \"dispatched\"\n";
        let t = Tracking::open(world, STA, more).await;
        let id = t.send("A1", "pcp").await;
        let both = t.written(2).await;
        t.take(t.mail(both[0].clone())).await;
        assert_eq!(t.stands(id).await, "accepted processed - none");
        t.take(t.mail(both[1].clone())).await;
        assert_eq!(t.stands(id).await, "accepted dispatched - charged");
        assert_eq!(t.lines(id).await, ["charge 250000"]);
        t.ties().await;
    }

    async fn a_failure_for_reasons_of_trust_gives_the_charge_back_once(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "distrusted").await;
        let bounce = t.written(1).await.remove(0);
        for copy in 0..2 {
            t.take(t.mail([format!("Received: copy {copy}\r\n").into_bytes(), bounce.clone()].concat())).await;
        }
        assert_eq!(t.stands(id).await, "accepted failed remote_failed credited");
        assert_eq!(t.lines(id).await, ["charge 250000", "credit -250000"]);
        let other = t.send("A2", "bounced").await;
        t.bring(1).await;
        assert_eq!(t.lines(other).await, ["charge 250000"], "no such mailbox is no matter of trust");
        t.ties().await;
    }

    async fn proof_after_the_clock_gives_the_charge_back_and_changes_nothing_else(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "distrusted").await;
        let bounce = t.written(1).await.remove(0);
        world.pass(std::time::Duration::from_hours(2)).await;
        t.gateway.expire_due().await.unwrap();
        t.take(t.mail(bounce)).await;
        assert_eq!(t.stands(id).await, "accepted expired no_processed credited");
        assert_eq!((t.recorded(id).await, t.lines(id).await.len()), (vec!["failed:late".to_owned()], 2));
        t.ties().await;
    }

    async fn a_bounce_in_the_clear_counts_only_from_the_relay_that_holds_the_message(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        for (number, (channel, ends)) in [
            (Channel::None, "awaited -"),
            (Channel::Relay("other".into()), "awaited -"),
            (Channel::Relay("hisp".into()), "failed remote_failed"),
        ]
        .into_iter()
        .enumerate()
        {
            let id = t.send(&format!("A{number}"), "nomdn").await;
            let (message, to) = (world.column(id, "message_id").await, format!("nomdn@{DOMAIN}"));
            let bounce = format!(
                "From: mailer-daemon@hisp.example\r\nTo: results@direct.lab.example\r\nMIME-Version: 1.0\r\n\
                 Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n\r\nSorry.\r\n\
                 --x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; hisp.example\r\n\r\n\
                 Final-Recipient: rfc822; stranger@elsewhere.example\r\nAction: failed\r\n\r\nFinal-Recipient: rfc822; {to}\r\nAction: failed\r\nStatus: 5.4.4\r\n\r\n\
                 --x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: {message}\r\n\r\n--x--\r\n"
            );
            let mut mail = t.mail(bounce.into_bytes());
            mail.channel = channel.clone();
            t.take(mail).await;
            assert_eq!(t.stands(id).await, format!("accepted {ends} charged"), "{channel:?}");
            let vouched_for = world.number("SELECT COUNT(*) FROM inbound WHERE verdict = 'notice' AND detail IS NULL").await;
            assert_eq!(vouched_for, i64::try_from(number).unwrap(), "the first is a stranger's, and kept for no longer than theirs is");
            // Two recipients, two statements: the stranger is none of ours.
            let said = t.recorded(id).await;
            assert_eq!(said.len(), 2, "{said:?}");
            assert_eq!(said[0], "failed:not_believed");
        }
    }

    async fn a_notice_for_another_organization_is_unknown_there(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let id = t.send("A1", "pcp").await;
        let raw = t.written(2).await.remove(0);
        let mut mail = t.mail(raw);
        mail.org = Some(world.organization("south").await);
        t.take(mail).await;
        assert_eq!((t.stands(id).await.as_str(), t.recorded(id).await.len()), ("accepted awaited - charged", 0));
        assert_eq!(world.texts("SELECT verdict FROM inbound").await, ["nobody"]);
    }

    async fn a_domain_is_asked_for_dispatched_until_it_left_three_in_a_row_unanswered(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let mut asked = Vec::new();
        for number in 0..4 {
            let id = t.send(&format!("A{number}"), "processedonly").await;
            asked.push(world.column(id, "CASE WHEN wants_dispatched THEN 'asked' ELSE 'not' END").await);
            t.bring(1).await;
            world.pass(std::time::Duration::from_mins(61)).await;
            t.gateway.expire_due().await.unwrap();
        }
        assert_eq!(asked, ["asked", "asked", "asked", "not"]);
        let habit = world.store.habit(t.org, &format!("x@{DOMAIN}").parse().unwrap()).await.unwrap();
        assert_eq!((habit.unconfirmed, habit.processed), (3, 4));
        // What it says unasked is learnt all the same.
        t.send("B1", "dispatchedonly").await;
        t.bring(1).await;
        let again = t.send("B2", "pcp").await;
        world.pass(std::time::Duration::from_secs(6)).await;
        let again = if world.column(again, "CASE WHEN wants_dispatched THEN 'asked' ELSE 'not' END").await == "asked" { again } else { t.send("B3", "pcp").await };
        assert_eq!(world.column(again, "CASE WHEN wants_dispatched THEN 'asked' ELSE 'not' END").await, "asked");
    }
}
