//! Bundles of anchors, and anchors by direction.

use std::{collections::BTreeSet, time::Duration};

use postern::{
    domain::{OrgId, OrgScope, Timestamp},
    store::{
        StoreError,
        bundle::{Bundle, BundleAnchor, NewBundle},
        trust::{AnchorKind, AnchorUse},
    },
};

use super::world::World;

fn new(name: &str, used_for: AnchorUse) -> NewBundle {
    NewBundle {
        name: name.into(),
        used_for,
        url: Some("https://bundles.example/all.p7b".into()),
        internal: false,
        signer: Some(b"signer".to_vec()),
        refresh: Duration::from_hours(24),
        most_lost: 20,
    }
}

fn anchors(names: &[&str]) -> Vec<BundleAnchor> {
    let mut all: Vec<BundleAnchor> = names
        .iter()
        .map(|name| BundleAnchor { der: name.as_bytes().to_vec(), fingerprint: (*name).to_owned(), not_after: Timestamp(9) })
        .collect();
    all.sort_by(|a, b| a.fingerprint.cmp(&b.fingerprint));
    all
}

async fn only(world: &World, org: OrgId) -> Bundle {
    world.store.bundles(OrgScope::One(org)).await.unwrap().remove(0)
}

async fn believed(world: &World, org: OrgId, direction: AnchorUse) -> BTreeSet<String> {
    let rows = world.store.anchors_for(OrgScope::One(org), direction).await.unwrap();
    rows.into_iter().map(|row| row.fingerprint).collect()
}

on_both_engines! {
    async fn anchors_are_believed_in_the_direction_they_are_for(world: &World) {
        let (org, other) = (world.organization("north").await, world.organization("south").await);
        for used_for in [AnchorUse::Send, AnchorUse::Receive, AnchorUse::Both] {
            let name = used_for.as_str();
            world.store.import_anchor_for(org, AnchorKind::Anchor, used_for, b"der", name, Timestamp(1)).await.unwrap();
            world.store.import_bundle(org, &new(name, used_for), &anchors(&[&format!("bundle-{name}")]), None).await.unwrap();
        }
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(believed(world, org, AnchorUse::Send).await, set(&["send", "both", "bundle-send", "bundle-both"]));
        assert_eq!(believed(world, org, AnchorUse::Receive).await, set(&["receive", "both", "bundle-receive", "bundle-both"]));
        assert_eq!(believed(world, org, AnchorUse::Both).await.len(), 6);
        assert!(believed(world, other, AnchorUse::Both).await.is_empty(), "another organization's");
        let rows = world.store.anchors(OrgScope::One(org)).await.unwrap();
        let came_with: BTreeSet<_> = rows.iter().filter_map(|row| row.bundle.clone()).collect();
        assert_eq!(came_with, set(&["send", "receive", "both"]));
        world.store.import_anchor(org, AnchorKind::Anchor, b"der", "send", Timestamp(1)).await.unwrap();
        assert!(believed(world, org, AnchorUse::Receive).await.contains("send"), "the last word counts");
    }

    async fn a_bundle_is_swapped_as_a_whole_and_only_from_what_was_looked_at(world: &World) {
        let org = world.organization("north").await;
        let before = anchors(&["a", "b"]);
        world.store.import_bundle(org, &new("community", AnchorUse::Both), &before, None).await.unwrap();
        let bundle = only(world, org).await;
        assert_eq!((bundle.anchors, bundle.error.as_deref(), bundle.shrunk_to), (2, None, None));
        assert_eq!(bundle.signer.as_deref(), Some(&b"signer"[..]));
        world.store.swap_bundle(&bundle, &before, &anchors(&["b", "c", "c"])).await.unwrap();
        assert_eq!(world.store.bundle_anchors(org, bundle.id).await.unwrap(), anchors(&["b", "c"]));
        let stale = world.store.swap_bundle(&bundle, &before, &anchors(&["x"])).await;
        assert!(matches!(stale, Err(StoreError::Lost)), "{stale:?}");
        assert!(world.store.remove_bundle(org, "community", None).await.unwrap());
        assert!(!world.store.remove_bundle(org, "community", None).await.unwrap());
        assert!(matches!(world.store.swap_bundle(&bundle, &[], &anchors(&["x"])).await, Err(StoreError::Lost)));
        assert!(believed(world, org, AnchorUse::Both).await.is_empty());
    }

    async fn readers_see_a_bundle_before_or_after_a_swap_and_never_between(world: &World) {
        let org = world.organization("north").await;
        let names = |letter: &str| (0..40).map(|n| format!("{letter}{n:02}")).collect::<Vec<_>>();
        let set = |letter: &str| anchors(&names(letter).iter().map(String::as_str).collect::<Vec<_>>());
        let (a, b) = (set("a"), set("b"));
        world.store.import_bundle(org, &new("community", AnchorUse::Both), &a, None).await.unwrap();
        let bundle = only(world, org).await;
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (store, stop) = (world.store.clone(), std::sync::Arc::clone(&stop));
                tokio::spawn(async move {
                    let mut reads = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let rows = store.anchors_for(OrgScope::One(org), AnchorUse::Send).await.unwrap();
                        let letters: BTreeSet<char> = rows.iter().filter_map(|row| row.fingerprint.chars().next()).collect();
                        assert_eq!((rows.len(), letters.len()), (40, 1), "half of a bundle");
                        reads += 1;
                    }
                    reads
                })
            })
            .collect();
        for _ in 0..15 {
            world.store.swap_bundle(&bundle, &a, &b).await.unwrap();
            world.store.swap_bundle(&bundle, &b, &a).await.unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        for reader in readers {
            assert!(reader.await.unwrap() > 0);
        }
    }

    async fn a_failure_keeps_what_is_in_force_and_is_shown_with_its_age(world: &World) {
        let org = world.organization("north").await;
        world.store.import_bundle(org, &new("community", AnchorUse::Both), &anchors(&["a"]), None).await.unwrap();
        assert!(world.store.bundles_due().await.unwrap().is_empty(), "not before its interval is over");
        world.pass(Duration::from_hours(24)).await;
        let due = world.store.bundles_due().await.unwrap().remove(0);
        world.store.bundle_failed(&due, "no\0answer", Some(1), Duration::from_mins(30)).await.unwrap();
        let failing = only(world, org).await;
        assert_eq!((failing.anchors, failing.shrunk_to), (1, Some(1)));
        assert_eq!(failing.error.as_deref(), Some("no\u{fffd}answer"));
        assert_eq!(failing.tried_at.unwrap().since(failing.refreshed_at.unwrap()), Duration::from_hours(24));
        assert!(world.store.bundles_due().await.unwrap().is_empty());
        world.pass(Duration::from_mins(30)).await;
        assert_eq!(world.store.bundles_due().await.unwrap().len(), 1);
        world.store.swap_bundle(&failing, &anchors(&["a"]), &anchors(&["a"])).await.unwrap();
        let well = only(world, org).await;
        assert_eq!((well.error, well.shrunk_to), (None, None));
    }

    async fn no_organization_has_bundles_without_end(world: &World) {
        let (org, other) = (world.organization("north").await, world.organization("south").await);
        let keep = async |org: OrgId, name: &str| {
            world.store.import_bundle(org, &new(name, AnchorUse::Both), &anchors(&["a"]), None).await
        };
        for n in 0..50 {
            keep(org, &format!("b{n}")).await.unwrap();
        }
        let full = keep(org, "one more").await.unwrap_err();
        assert!(matches!(full, StoreError::TooMany("bundles")), "{full}");
        keep(org, "b7").await.expect("one that is there is replaced");
        keep(other, "one more").await.expect("another organization's");
        assert_eq!(world.store.bundles(OrgScope::One(org)).await.unwrap().len(), 50);
    }
}
