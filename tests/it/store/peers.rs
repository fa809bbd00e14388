//! What recipient domains have shown.

use std::time::Duration;

use postern::domain::{
    OrgScope,
    profile::{Cipher, Digest, KeyTransport, Shown},
};

use super::world::World;

const WEAK: Shown = Shown { key_transport: Some(KeyTransport::Pkcs1), cipher: None, digest: Some(Digest::Sha256) };
const STRONG: Shown = Shown { key_transport: Some(KeyTransport::OaepSha256), cipher: Some(Cipher::Aes256Gcm), digest: None };

on_both_engines! {
    async fn what_is_learnt_stays_and_is_never_lowered_until_somebody_says_so(world: &World) {
        let org = world.organization("north").await;
        assert!(world.store.peer(org, "direct.clinic.example").await.unwrap().is_none());
        assert!(!world.store.learn(org, "direct.clinic.example", Shown::default()).await.unwrap(), "nothing was shown");
        assert!(world.store.peers(OrgScope::All).await.unwrap().is_empty());
        assert!(world.store.learn(org, "Direct.Clinic.example", WEAK).await.unwrap());
        world.pass(Duration::from_secs(9)).await;
        assert!(world.store.learn(org, "direct.clinic.example", STRONG).await.unwrap());
        assert!(!world.store.learn(org, "direct.clinic.example", WEAK).await.unwrap(), "that is no news");
        let peer = world.store.peer(org, "DIRECT.clinic.example").await.unwrap().unwrap();
        assert_eq!(peer.shown, WEAK.and(STRONG));
        assert_eq!(peer.last_at.since(peer.first_at), Duration::from_secs(9));
        assert_eq!(world.store.peers(OrgScope::All).await.unwrap(), [peer]);
        assert!(world.store.forget_peer(org, "Direct.clinic.Example").await.unwrap());
        assert!(!world.store.forget_peer(org, "direct.clinic.example").await.unwrap());
        assert!(world.store.learn(org, "direct.clinic.example", WEAK).await.unwrap());
        assert_eq!(world.store.peer(org, "direct.clinic.example").await.unwrap().unwrap().shown, WEAK);
    }

    async fn no_organization_learns_from_what_was_shown_to_another(world: &World) {
        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        assert!(world.store.learn(theirs, "direct.clinic.example", STRONG).await.unwrap());
        assert!(world.store.peer(mine, "direct.clinic.example").await.unwrap().is_none());
        assert!(world.store.peers(OrgScope::One(mine)).await.unwrap().is_empty());
        assert!(world.store.learn(mine, "direct.clinic.example", WEAK).await.unwrap());
        assert_eq!(world.store.peer(theirs, "direct.clinic.example").await.unwrap().unwrap().shown, STRONG);
        let all: Vec<_> = world.store.peers(OrgScope::All).await.unwrap().into_iter().map(|peer| peer.org).collect();
        assert_eq!(all.len(), 2, "each for itself: {all:?}");
        assert!(!world.store.forget_peer(mine, "direct.other.example").await.unwrap());
        assert!(world.store.forget_peer(mine, "direct.clinic.example").await.unwrap());
        assert!(world.store.peer(theirs, "direct.clinic.example").await.unwrap().is_some());
    }

    async fn of_many_who_learn_at_once_nothing_is_lost(world: &World) {
        let org = world.organization("north").await;
        let shown = [
            Shown { key_transport: Some(KeyTransport::OaepSha256), ..Shown::default() },
            Shown { cipher: Some(Cipher::Aes256Gcm), ..Shown::default() },
            Shown { digest: Some(Digest::Sha512), ..Shown::default() },
            WEAK,
        ];
        let learning = (0..16).map(|n| {
            let store = world.store.clone();
            tokio::spawn(async move { store.learn(org, "d.example", shown[n % 4]).await.unwrap() })
        });
        for learnt in learning.collect::<Vec<_>>() {
            learnt.await.unwrap();
        }
        let all = shown.into_iter().fold(Shown::default(), Shown::and);
        assert_eq!(world.store.peer(org, "d.example").await.unwrap().unwrap().shown, all);
    }

    async fn how_a_delivery_was_sealed_is_on_record_for_its_organization_alone(world: &World) {
        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        let id = world.queued(theirs, "A1").await;
        assert!(world.store.sealed_with(OrgScope::All, id).await.unwrap().is_none());
        world.run("UPDATE delivery SET profile = 'aes-256-gcm oaep-sha256 sha-256'").await;
        let with = world.store.sealed_with(OrgScope::One(theirs), id).await.unwrap().unwrap();
        assert_eq!(with.to_string(), "aes-256-gcm oaep-sha256 sha-256");
        assert!(world.store.sealed_with(OrgScope::One(mine), id).await.unwrap().is_none());
    }
}
