//! Generations of our own certificates and keys.

use std::time::Duration;

use postern::{
    domain::{
        OrgScope,
        identity::{KeyUse, Nearness, Term},
    },
    store::identity_key::{KeyPlace, NewKey},
    trust::identity::expiry,
};

use super::{
    make,
    world::{START, World},
};

const DAY: Duration = Duration::from_hours(24);
const ADDRESS: &str = "Results@direct.lab.example";

fn generation(fingerprint: &str, since: u32, left: u32) -> NewKey {
    NewKey {
        address: ADDRESS.parse().unwrap(),
        term: Term { used_for: KeyUse::Both, from: START.minus(DAY * since), until: START.plus(DAY * left) },
        certificate: format!("PEM of {fingerprint}"),
        fingerprint: fingerprint.to_owned(),
        key: KeyPlace::Stored(format!("secret of {fingerprint}").into_bytes().into()),
    }
}

on_both_engines! {
    async fn generations_stand_beside_each_other_and_their_keys_are_sealed(world: &World) {
        let org = world.organization("north").await;
        for (name, since) in [("old", 300), ("new", 1)] {
            world.store.keep_identity_key(org, &generation(name, since, 365 - since)).await.unwrap();
        }
        world.store.keep_identity_key(org, &generation("new", 1, 364)).await.unwrap();
        let address = ADDRESS.to_ascii_lowercase().parse().unwrap();
        let kept = world.store.identity_keys_of(org, &address).await.unwrap();
        assert_eq!(kept.iter().map(|key| key.fingerprint.as_str()).collect::<Vec<_>>(), ["new", "old"], "the newest first");
        for key in &kept {
            let secret = world.store.identity_key_secret(org, key.id).await.unwrap().unwrap();
            assert_eq!(&secret[..], format!("secret of {}", key.fingerprint).as_bytes());
        }
        let plain = world.either("instr(CAST(secret AS TEXT), 'secret of')", "position('secret of' IN encode(secret, 'escape'))");
        assert_eq!(world.number(&format!("SELECT COUNT(*) FROM identity_key WHERE {plain} > 0")).await, 0);
        assert_eq!(world.store.remove_identity_key(org, None, "old").await.unwrap(), 1);
        assert_eq!(world.store.identity_keys(OrgScope::One(org)).await.unwrap().len(), 1);
    }

    async fn a_key_moved_to_another_row_cannot_be_opened(world: &World) {
        let org = world.organization("north").await;
        world.store.keep_identity_key(org, &generation("one", 1, 300)).await.unwrap();
        world.store.keep_identity_key(org, &generation("two", 2, 300)).await.unwrap();
        world.run("UPDATE identity_key SET secret = (SELECT k.secret FROM identity_key k WHERE k.fingerprint = 'one')
            WHERE fingerprint = 'two'").await;
        for key in world.store.identity_keys(OrgScope::All).await.unwrap() {
            let opened = world.store.identity_key_secret(org, key.id).await;
            assert_eq!(opened.is_ok(), key.fingerprint == "one", "{}", key.fingerprint);
        }
    }

    async fn a_key_goes_to_a_token_and_comes_back(world: &World) {
        let org = world.organization("north").await;
        let uri = "pkcs11:token=T;object=k";
        world.store.keep_identity_key(org, &generation("one", 1, 300)).await.unwrap();
        let moved = NewKey { key: KeyPlace::Token(uri.into()), ..generation("one", 1, 300) };
        world.store.keep_identity_key(org, &moved).await.unwrap();
        let kept = world.store.identity_keys(OrgScope::All).await.unwrap();
        assert_eq!((kept.len(), kept[0].token.as_deref()), (1, Some(uri)));
        assert!(world.store.identity_key_secret(org, kept[0].id).await.unwrap().is_none(), "the key left behind");
    }

    async fn no_organization_sees_the_keys_of_another(world: &World) {
        let (mine, theirs) = (world.organization("north").await, world.organization("south").await);
        world.store.keep_identity_key(theirs, &generation("one", 1, 300)).await.unwrap();
        let id = world.store.identity_keys(OrgScope::One(theirs)).await.unwrap()[0].id;
        assert!(world.store.identity_keys(OrgScope::One(mine)).await.unwrap().is_empty());
        assert!(world.store.identity_keys_of(mine, &ADDRESS.parse().unwrap()).await.unwrap().is_empty());
        assert!(world.store.identity_key_secret(mine, id).await.unwrap().is_none());
        assert_eq!(world.store.remove_identity_key(mine, None, "one").await.unwrap(), 0);
    }

    async fn each_warning_is_given_once_by_whichever_process(world: &World) {
        let org = world.organization("north").await;
        world.store.keep_identity_key(org, &generation("one", 300, 65)).await.unwrap();
        let mut given = Vec::new();
        let neighbour = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        for day in 0..=66 {
            let now = START.plus(DAY * day);
            let (one, other) = tokio::join!(expiry::look(&world.store, now), expiry::look(&neighbour, now));
            let total = one.unwrap() + other.unwrap();
            if total > 0 {
                given.push((day, total));
            }
        }
        assert_eq!(given, [(5, 1), (35, 1), (58, 1), (65, 1)], "60, 30 and 7 days ahead, and at its end");
        let key = world.store.identity_keys(OrgScope::All).await.unwrap().remove(0);
        assert_eq!(key.warned, Some(Nearness::Expired));
    }

    async fn what_is_replaced_in_time_needs_no_warning(world: &World) {
        let org = world.organization("north").await;
        world.store.keep_identity_key(org, &generation("old", 360, 5)).await.unwrap();
        world.store.keep_identity_key(org, &generation("new", 1, 364)).await.unwrap();
        assert_eq!(expiry::look(&world.store, START).await.unwrap(), 0);
        world.store.remove_identity_key(org, None, "new").await.unwrap();
        assert_eq!(expiry::look(&world.store, START).await.unwrap(), 1);
    }

    async fn keys_are_applied_with_their_organization(world: &World) {
        let file = make::organization("north");
        let org = world.store.apply_organization_with_keys(&file, &[], &[generation("one", 1, 300)]).await.unwrap();
        assert_eq!(world.store.identity_keys(OrgScope::One(org)).await.unwrap().len(), 1);
        world.store.apply_organization_with_keys(&file, &[], &[]).await.unwrap();
        assert_eq!(world.store.identity_keys(OrgScope::One(org)).await.unwrap().len(), 1, "those on record stay");
    }
}
