//! Edge mode: the HISP has opened and judged what comes back; the mailbox it lies in is what vouches for it.

use std::time::Duration;

use postern::{
    bill::reconcile::{Comparison, reconcile},
    domain::{Money, OrgScope, id::IdentityId, inbound::Channel, organization::SendMode},
};

use super::world::{DOMAIN, Tracking, US};
use crate::store::world::World;

const EDGE: SendMode = SendMode::Edge;

on_both_engines! {
    async fn notices_in_the_clear_count_from_the_addresss_own_mailbox_alone(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        for (number, (channel, ends)) in [
            (Channel::None, "awaited"),
            (Channel::Mailbox(IdentityId::new()), "awaited"),
            (Channel::Relay("other".into()), "awaited"),
            (Channel::Relay("hisp".into()), "processed"),
            (Channel::Mailbox(t.identity), "processed"),
        ]
        .into_iter()
        .enumerate()
        {
            let id = t.send(&format!("A{number}"), "pcp").await;
            let mut mail = t.mail(t.written(1).await.remove(0));
            mail.channel = channel.clone();
            t.take(mail).await;
            assert_eq!(world.column(id, "disposition").await, ends, "{channel:?}");
        }
        t.ties().await;
    }

    async fn mt_1_5_9_23_a_failure_of_the_hisp_is_a_failure_and_mt_2_6_10_24_one_of_trust_is_credited(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        let (nobody, distrusted) = (t.send("A1", "bounced").await, t.send("A2", "distrusted").await);
        t.bring(2).await;
        assert_eq!(t.stands(nobody).await, "accepted failed remote_failed charged");
        assert_eq!(t.stands(distrusted).await, "accepted failed remote_failed credited");
        t.ties().await;
    }

    async fn the_hisp_has_its_own_time_out_first(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        let id = t.send("A1", "nomdn").await;
        world.pass(Duration::from_mins(75) - Duration::from_secs(1)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 0);
        world.pass(Duration::from_secs(1)).await;
        assert_eq!(t.gateway.expire_due().await.unwrap(), 1);
        assert_eq!(world.column(id, "disposition").await, "expired");
    }

    async fn a_message_whose_id_the_hisp_rewrote_is_known_by_its_copy(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        let id = t.send("A1", "pcp").await;
        let ours = world.column(id, "message_id").await;
        let theirs = "<rewritten-7@hisp.example>";
        let notice = String::from_utf8(t.written(1).await.remove(0)).unwrap().replace(&ours, theirs);
        // Without the copy it names nobody.
        t.take(t.mail(notice.clone().into_bytes())).await;
        assert_eq!(world.column(id, "disposition").await, "awaited");
        let sent = t.mailboxes.list(None).unwrap().remove(0);
        let copy = String::from_utf8(t.mailboxes.raw(&sent).unwrap()).unwrap().replacen(&ours, theirs, 1);
        // A stranger's copy teaches nothing.
        let mut forged = t.mail(format!("Received: x\r\n{copy}").into_bytes());
        forged.channel = Channel::None;
        t.take(forged).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM message_alias").await, 0);
        t.take(t.mail(copy.into_bytes())).await;
        assert_eq!(world.texts("SELECT verdict FROM inbound WHERE verdict = 'own_copy'").await.len(), 1);
        t.take(t.mail(format!("Received: again\r\n{notice}").into_bytes())).await;
        assert_eq!(world.column(id, "disposition").await, "processed");
    }

    async fn a_message_whose_id_the_hisp_rewrote_is_known_by_its_answer_to_the_final_dot(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        let id = t.send("A1", "renamed").await;
        let theirs = world.texts("SELECT message_id FROM message_alias").await;
        assert!(theirs.len() == 1 && theirs[0].contains("@hisp."), "{theirs:?}");
        let notice = t.written(1).await.remove(0);
        let ours = world.column(id, "message_id").await;
        assert!(!String::from_utf8_lossy(&notice).contains(&ours), "it knows no other id");
        t.take(t.mail(notice)).await;
        assert_eq!(t.stands(id).await, "accepted processed - charged");
        // The HISP counts it under its own id, too.
        let period = world.store.periods(OrgScope::One(t.org)).await.unwrap().remove(0);
        let comparison = Comparison {
            org: t.org,
            bounds: period.bounds,
            zone: &period.zone,
            mapping: &[],
            costs: None,
            tolerance: Money::ZERO,
            separator: None,
            relay: Some("hisp"),
        };
        let usage = format!("Message-ID\r\n{}\r\n", theirs[0]);
        let compared = reconcile(&world.store, comparison, usage.as_bytes(), |differs| panic!("{differs:?}")).await.unwrap();
        assert_eq!((compared.counts.matched, compared.counts.messages), (1, 1));
    }

    async fn dispatched_is_asked_for_once_the_domain_has_shown_that_it_answers(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        let asked = async |id| world.column(id, "CASE WHEN wants_dispatched THEN 'asked' ELSE 'not' END").await;
        let first = t.send("A1", "dispatchedonly").await;
        assert_eq!(asked(first).await, "not");
        t.bring(1).await;
        world.pass(Duration::from_secs(6)).await;
        assert_eq!(asked(t.send("A2", "pcp").await).await, "asked");
        let elsewhere = t.submit("A3", &["pcp@direct.elsewhere.example"]).await[0];
        assert_eq!(asked(elsewhere).await, "not", "another domain");
    }

    async fn a_letter_in_the_mailbox_is_kept_and_the_notices_for_it_are_the_hisps_to_send(world: &World) {
        let t = Tracking::open(world, EDGE, "").await;
        let id = t.send("A1", "pcp").await;
        let ours = world.column(id, "message_id").await;
        let letter = format!("From: Dr <pcp@{DOMAIN}>\r\nTo: {US}\r\nMessage-ID: <l1@{DOMAIN}>\r\nIn-Reply-To: {ours}\r\nSubject: Thanks\r\n\r\nThe patient was seen.\r\n");
        t.take(t.mail(letter.clone().into_bytes())).await;
        let kept = world.store.letters(postern::domain::OrgScope::All, 10).await.unwrap();
        assert_eq!((kept.len(), kept[0].answers), (1, Some(id)));
        assert_eq!(&world.store.open_letter(t.org, kept[0].id).await.unwrap()[..], letter.as_bytes());
        assert_eq!(world.number("SELECT COUNT(*) FROM reply").await, 0);
        let mut forged = t.mail(format!("X-Forged: yes\r\n{letter}").into_bytes());
        forged.channel = Channel::None;
        t.take(forged).await;
        assert_eq!(world.store.letters(postern::domain::OrgScope::All, 10).await.unwrap().len(), 1, "anybody could have brought it");
    }
}
