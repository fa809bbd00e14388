//! The directory: a snapshot is visible as a whole or not at all, and unavailable is never not found.

use std::time::Duration;

use postern::{
    domain::route::{AffiliatedWith, DirectoryRow},
    domain::{
        Npi, OrgId,
        delivery::{Event, NoticeKind},
        id::SnapshotId,
        route::DirectoryAnswer,
        time::{Clock, Span},
    },
};

use super::{make, world::World};

use Event as E;

const YOUNG: Span = Span::seconds(30 * 86_400);

fn npi(text: &str) -> Npi {
    text.parse().unwrap()
}

fn row(npi: &str, address: Option<&str>, active: bool) -> DirectoryRow {
    DirectoryRow {
        npi: npi.parse().unwrap(),
        address: address.map(|address| address.parse().unwrap()),
        kind: None,
        rank: None,
        affiliation: AffiliatedWith {
            npi: Some("2000000044".parse().unwrap()),
            name: Some("North Clinic".into()),
            ..AffiliatedWith::default()
        },
        active,
    }
}

/// A snapshot that answers.
async fn load(world: &World, rows: &[DirectoryRow]) -> SnapshotId {
    let snapshot = world.store.begin_snapshot("test.csv").await.unwrap();
    world.store.add_to_snapshot(snapshot, 0, rows).await.unwrap();
    world.store.activate_snapshot(snapshot, u64::try_from(rows.len()).unwrap()).await.unwrap();
    snapshot
}

async fn ask(world: &World, org: OrgId, text: &str) -> DirectoryAnswer {
    world.store.look_up(org, &npi(text), YOUNG).await.unwrap()
}

/// The addresses of an answer, in its order.
fn addresses(answer: DirectoryAnswer) -> Vec<String> {
    match answer {
        DirectoryAnswer::Found { entries, .. } => entries.into_iter().map(|entry| entry.address.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

on_both_engines! {
    async fn a_directory_never_loaded_is_not_configured(world: &World) {
        let org = world.organization("north").await;
        assert_eq!(ask(world, org, "1234567893").await, DirectoryAnswer::NotConfigured);
        let snapshot = world.store.begin_snapshot("half.csv").await.unwrap();
        world.store.add_to_snapshot(snapshot, 0, &[row("1234567893", Some(make::ADDRESS), true)]).await.unwrap();
        assert_eq!(ask(world, org, "1234567893").await, DirectoryAnswer::NotConfigured, "half a load answers nothing");
        assert!(world.store.active_snapshot().await.unwrap().is_none());
    }

    async fn every_kind_of_answer_is_told_apart(world: &World) {
        let org = world.organization("north").await;
        let snapshot = load(world, &[
            row("1234567893", Some(make::ADDRESS), true),
            row("1234567893", Some("PCP.DEMO@direct.example.org"), true),
            row("1234567893", Some(make::ELSEWHERE), true),
            row("1234567893", Some("gone@direct.example.org"), false),
            row("1245319599", None, true),
            row("2000000010", Some(make::ADDRESS), false),
        ]).await;
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS, make::ELSEWHERE]);
        assert_eq!(ask(world, org, "1245319599").await, DirectoryAnswer::NoAddress(snapshot));
        assert_eq!(ask(world, org, "2000000010").await, DirectoryAnswer::Inactive(snapshot));
        assert_eq!(ask(world, org, "2000000044").await, DirectoryAnswer::NotFound(snapshot));
        let active = world.store.active_snapshot().await.unwrap().unwrap();
        assert_eq!((active.id, active.source.as_str(), active.entries, active.loaded_at), (snapshot, "test.csv", 6, world.clock.now()));
    }

    async fn a_new_snapshot_takes_over_in_one_step(world: &World) {
        let org = world.organization("north").await;
        load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        let next = world.store.begin_snapshot("next.csv").await.unwrap();
        world.store.add_to_snapshot(next, 0, &[row("1234567893", Some(make::ELSEWHERE), true)]).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
        world.store.activate_snapshot(next, 1).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ELSEWHERE]);
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 2, "the one before is kept");
        load(world, &[]).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 1, "and no older one");
    }

    async fn a_load_in_several_batches_keeps_its_order(world: &World) {
        let org = world.organization("north").await;
        let snapshot = world.store.begin_snapshot("large.csv").await.unwrap();
        for batch in 0..3 {
            let address = format!("n{batch}@direct.example.org");
            world.store.add_to_snapshot(snapshot, batch, &[row("1234567893", Some(&address), true)]).await.unwrap();
        }
        world.store.activate_snapshot(snapshot, 3).await.unwrap();
        let expected = ["n0@direct.example.org", "n1@direct.example.org", "n2@direct.example.org"];
        assert_eq!(addresses(ask(world, org, "1234567893").await), expected);
    }

    async fn a_snapshot_thrown_away_leaves_nothing_and_an_active_one_cannot_be(world: &World) {
        let org = world.organization("north").await;
        let active = load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        let bad = world.store.begin_snapshot("bad.csv").await.unwrap();
        world.store.add_to_snapshot(bad, 0, &[row("1245319599", None, true)]).await.unwrap();
        world.store.drop_snapshot(bad).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_snapshot").await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 1);
        world.store.drop_snapshot(active).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
    }

    async fn what_cannot_be_activated_leaves_the_old_one_answering(world: &World) {
        let org = world.organization("north").await;
        let old = load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        assert!(world.store.activate_snapshot(SnapshotId::new(), 0).await.is_err());
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
        load(world, &[row("1234567893", Some(make::ELSEWHERE), true)]).await;
        assert!(world.store.activate_snapshot(old, 1).await.is_err(), "a retired one is not taken up again by mistake");
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ELSEWHERE]);
    }

    async fn a_snapshot_that_is_too_old_is_unavailable_not_empty(world: &World) {
        let org = world.organization("north").await;
        let snapshot = load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        world.pass(YOUNG.0).await;
        assert_eq!(ask(world, org, "2000000044").await, DirectoryAnswer::NotFound(snapshot));
        world.pass(Duration::from_micros(1)).await;
        for asked in ["1234567893", "2000000044"] {
            assert!(matches!(ask(world, org, asked).await, DirectoryAnswer::Unavailable { why } if why.contains("30 days")), "{asked}");
        }
    }

    async fn each_address_comes_with_when_it_last_worked_for_this_organization(world: &World) {
        let (org, other) = (world.organization("north").await, world.organization("south").await);
        load(world, &[row("1234567893", Some(make::ADDRESS), true), row("1234567893", Some(make::ELSEWHERE), true)]).await;
        for (order_id, seconds) in [("A1", 10), ("A2", 20)] {
            let id = world.queued(org, order_id).await;
            world.pass(Duration::from_secs(seconds)).await;
            world.lead(org, id, &[E::Claimed, E::WireStarted, E::Accepted, E::Notice(NoticeKind::Processed)]).await;
        }
        let worked = world.clock.now();
        let failed = world.queued(org, "A3").await;
        world.pass(Duration::from_secs(5)).await;
        let failure = E::Notice(NoticeKind::Failed);
        world.lead(org, failed, &[E::Claimed, E::WireStarted, E::Accepted, failure]).await;
        let last = |answer| match answer {
            DirectoryAnswer::Found { entries, .. } => entries.iter().map(|entry| entry.last_success).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(last(ask(world, org, "1234567893").await), [Some(worked.micros()), None]);
        assert_eq!(last(ask(world, other, "1234567893").await), [None, None]);
    }
}
