//! Mail that came in: durable before its bringer is told, once however often it comes, unreadable in the database, and
//! looked at by one at a time.

use std::time::Duration;

use postern::{
    domain::{
        Inbound, OrgId,
        id::{IdentityId, InboundId},
        inbound::{Channel, Verdict, Way},
    },
    store::{
        StoreError,
        inbound::{Kept, NOBODY_VOUCHES, Settlement},
    },
};

use super::{
    make,
    world::{START, World},
};

pub(crate) fn mail(org: Option<OrgId>, raw: &str) -> Inbound {
    Inbound {
        id: InboundId::new(),
        org,
        identity: "Results@direct.lab.example".parse().unwrap(),
        way: Way::Imap,
        channel: Channel::Mailbox(IdentityId::new()),
        envelope_from: None,
        envelope_to: vec!["results@direct.lab.example".parse().unwrap()],
        received_at: START,
        raw: raw.as_bytes().to_vec(),
    }
}

on_both_engines! {
    async fn the_same_message_is_kept_once_and_comes_back_as_it_was(world: &World) {
        let org = world.organization("north").await;
        let first = mail(Some(org), "Subject: one");
        assert_eq!(world.store.keep_inbound(&first).await.unwrap(), Kept::New(first.id));
        let mut again = mail(Some(org), "Subject: one");
        again.identity = "results@DIRECT.lab.example".parse().unwrap();
        assert_eq!(world.store.keep_inbound(&again).await.unwrap(), Kept::Known(first.id));
        let nobodys = mail(None, "Subject: two");
        assert_eq!(world.store.keep_inbound(&nobodys).await.unwrap(), Kept::New(nobodys.id));
        // A neighbour that never sealed anything opens both: the installation's key is in the database, wrapped.
        let neighbour = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        let claimed = neighbour.claim_inbound(&make::lease(), 10).await.unwrap();
        let mails: Vec<&Inbound> = claimed.iter().map(|claimed| &claimed.mail).collect();
        assert_eq!(mails, [&first, &nobodys]);
    }

    async fn nothing_of_it_can_be_read_in_the_database(world: &World) {
        let org = world.organization("north").await;
        for owner in [Some(org), None] {
            world.store.keep_inbound(&mail(owner, "Patient Morgan Testriver")).await.unwrap();
        }
        let hex = world.texts(world.either("SELECT lower(hex(sealed)) FROM inbound", "SELECT encode(sealed, 'hex') FROM inbound")).await;
        let plain = postern::crypto::Hex(b"Testriver").to_string();
        assert!(hex.iter().all(|sealed| !sealed.contains(&plain)));
    }

    async fn one_claims_it_until_its_lease_runs_out_and_only_a_held_claim_settles(world: &World) {
        let org = world.organization("north").await;
        let kept = mail(Some(org), "x");
        world.store.keep_inbound(&kept).await.unwrap();
        let (dead, living) = (make::lease(), make::lease());
        drop(world.store.claim_inbound(&dead, 10).await.unwrap());
        assert!(world.store.claim_inbound(&living, 10).await.unwrap().is_empty(), "somebody has it");
        world.pass(Duration::from_secs(61)).await;
        let claimed = world.store.claim_inbound(&living, 10).await.unwrap();
        assert_eq!(claimed.len(), 1);
        let settle = |owner| Settlement { id: kept.id, owner, verdict: Verdict::Rejected, detail: Some("not signed".into()) };
        assert!(matches!(world.store.settle_inbound(&settle(dead.owner)).await, Err(StoreError::Lost)));
        world.store.settle_inbound(&settle(living.owner)).await.unwrap();
        assert!(world.store.claim_inbound(&make::lease(), 10).await.unwrap().is_empty(), "it is settled");
        let known = world.store.keep_inbound(&mail(Some(org), "x")).await.unwrap();
        assert_eq!(known, Kept::Known(kept.id), "a settled one is known too");
    }

    async fn what_is_put_back_waits_and_what_was_settled_long_ago_is_forgotten_but_known(world: &World) {
        let org = world.organization("north").await;
        let kept = mail(Some(org), "x");
        world.store.keep_inbound(&kept).await.unwrap();
        let lease = make::lease();
        world.store.claim_inbound(&lease, 1).await.unwrap();
        world.store.put_inbound_back(kept.id, lease.owner, START.plus(Duration::from_mins(5))).await.unwrap();
        assert!(world.store.claim_inbound(&lease, 1).await.unwrap().is_empty());
        world.pass(Duration::from_mins(5)).await;
        let claimed = world.store.claim_inbound(&lease, 1).await.unwrap();
        assert_eq!(claimed[0].attempts, 1);
        let settlement = Settlement { id: kept.id, owner: lease.owner, verdict: Verdict::Notice, detail: None };
        world.store.settle_inbound(&settlement).await.unwrap();
        assert_eq!(world.store.forget_inbound(START).await.unwrap(), 0, "not yet");
        assert_eq!(world.store.forget_inbound(START.plus(Duration::from_hours(1))).await.unwrap(), 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM inbound WHERE sealed IS NULL").await, 1);
        assert_eq!(world.store.keep_inbound(&mail(Some(org), "x")).await.unwrap(), Kept::Known(kept.id));
    }

    async fn what_strangers_brought_in_vain_is_forgotten_sooner_than_what_somebody_vouches_for(world: &World) {
        let org = world.organization("north").await;
        let (lease, relay) = (make::lease(), Channel::Relay("hisp".to_owned()));
        for (text, channel, verdict, detail) in [
            ("a", &Channel::None, Verdict::Rejected, None),
            ("b", &Channel::None, Verdict::Notice, Some(NOBODY_VOUCHES)),
            ("c", &Channel::None, Verdict::Notice, None),
            ("d", &Channel::None, Verdict::Letter, None),
            ("e", &relay, Verdict::Rejected, None),
        ] {
            let kept = Inbound { channel: channel.clone(), ..mail(Some(org), text) };
            world.store.keep_inbound(&kept).await.unwrap();
            drop(world.store.claim_inbound(&lease, 10).await.unwrap());
            let settlement = Settlement { id: kept.id, owner: lease.owner, verdict, detail: detail.map(str::to_owned) };
            world.store.settle_inbound(&settlement).await.unwrap();
        }
        world.store.keep_inbound(&Inbound { channel: Channel::None, ..mail(Some(org), "not looked at") }).await.unwrap();
        assert_eq!(world.store.forget_strangers_mail(START).await.unwrap(), 0, "not yet");
        assert_eq!(world.store.forget_strangers_mail(START.plus(Duration::from_hours(1))).await.unwrap(), 2);
        let gone = world.texts("SELECT verdict FROM inbound WHERE sealed IS NULL ORDER BY verdict").await;
        assert_eq!(gone, ["notice", "rejected"], "of strangers, and for nothing");
        assert_eq!(world.number("SELECT COUNT(*) FROM inbound WHERE sealed IS NOT NULL").await, 4);
    }
}
