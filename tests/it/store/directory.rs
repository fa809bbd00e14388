//! The directory: a snapshot is visible as a whole or not at all, and unavailable is never not found.

use std::time::Duration;

use postern::{
    domain::route::{AffiliatedWith, DirectoryRow},
    domain::{
        Npi, OrgId, Timestamp,
        delivery::{Event, NoticeKind},
        id::SnapshotId,
        route::{DirectoryAnswer, DirectorySource},
        time::{Clock, Span},
    },
    store::{
        StoreError,
        directory::{Counts, KeptAnswer, Loading, NewSnapshot, Snapshot, bit_of},
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
    load_as(world, new("test.csv"), rows).await
}

async fn load_as(world: &World, new: NewSnapshot<'_>, rows: &[DirectoryRow]) -> SnapshotId {
    let loading = world.store.begin_snapshot(new).await.unwrap();
    world.store.add_to_snapshot(&loading, rows).await.unwrap();
    activate(world, &loading).await.unwrap();
    loading.id
}

async fn activate(world: &World, loading: &Loading) -> Result<(), StoreError> {
    world.store.activate_snapshot(loading, 6, &Counts::new()).await
}

fn new(file: &str) -> NewSnapshot<'_> {
    NewSnapshot { source: DirectorySource::DirectTrust, org: None, file }
}

async fn active(world: &World) -> Option<Snapshot> {
    world.store.active_snapshot(DirectorySource::DirectTrust, None).await.unwrap()
}

async fn ask(world: &World, org: OrgId, text: &str) -> DirectoryAnswer {
    world.store.look_up(org, &npi(text), YOUNG).await.unwrap()
}

fn sorted(addresses: &[&str]) -> Vec<String> {
    let mut sorted: Vec<String> = addresses.iter().map(|address| (*address).to_owned()).collect();
    sorted.sort();
    sorted
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
        let loading = world.store.begin_snapshot(new("half.csv")).await.unwrap();
        world.store.add_to_snapshot(&loading, &[row("1234567893", Some(make::ADDRESS), true)]).await.unwrap();
        assert_eq!(ask(world, org, "1234567893").await, DirectoryAnswer::NotConfigured, "half a load answers nothing");
        assert!(active(world).await.is_none());
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
        let mut found = addresses(ask(world, org, "1234567893").await);
        found.sort_by_key(|address| (address.to_lowercase(), address.clone()));
        assert_eq!(found, sorted(&[make::ADDRESS, make::ELSEWHERE]), "in whatever case it is written, once");
        assert_eq!(ask(world, org, "1245319599").await, DirectoryAnswer::NoAddress(snapshot));
        assert_eq!(ask(world, org, "2000000010").await, DirectoryAnswer::Inactive(snapshot));
        assert_eq!(ask(world, org, "2000000044").await, DirectoryAnswer::NotFound(snapshot));
        let active = active(world).await.unwrap();
        assert_eq!((active.id, active.file.as_str(), active.entries, active.loaded_at), (snapshot, "test.csv", 6, world.clock.now()));
    }

    async fn a_new_snapshot_takes_over_in_one_step(world: &World) {
        let org = world.organization("north").await;
        load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        let next = world.store.begin_snapshot(new("next.csv")).await.unwrap();
        world.store.add_to_snapshot(&next, &[row("1234567893", Some(make::ELSEWHERE), true)]).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
        activate(world, &next).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ELSEWHERE]);
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 2, "the one before is kept");
        load(world, &[]).await;
        world.store.remove_unloaded().await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 1, "and no older one");
        assert_eq!(world.texts("SELECT state FROM directory_snapshot ORDER BY number").await, ["gone", "retired", "active"]);
    }

    async fn a_load_in_many_batches_is_one_load_and_says_each_thing_once(world: &World) {
        let org = world.organization("north").await;
        let loading = world.store.begin_snapshot(new("large.csv")).await.unwrap();
        let rows: Vec<_> = (0..2_500).map(|n| row("1234567893", Some(&format!("n{n}@direct.example.org")), true)).collect();
        assert_eq!(world.store.add_to_snapshot(&loading, &rows).await.unwrap(), 2_500);
        assert_eq!(world.store.add_to_snapshot(&loading, &rows[..10]).await.unwrap(), 0);
        activate(world, &loading).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await).len(), 2_500);
    }

    async fn a_snapshot_thrown_away_leaves_nothing_and_an_active_one_cannot_be(world: &World) {
        let org = world.organization("north").await;
        let active = load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        let bad = world.store.begin_snapshot(new("bad.csv")).await.unwrap();
        world.store.add_to_snapshot(&bad, &[row("1245319599", None, true)]).await.unwrap();
        world.store.drop_snapshot(bad.id).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_snapshot").await, 1);
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_entry").await, 1);
        world.store.drop_snapshot(active).await.unwrap();
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
    }

    async fn what_cannot_be_activated_leaves_the_old_one_answering(world: &World) {
        let org = world.organization("north").await;
        let old = world.store.begin_snapshot(new("old.csv")).await.unwrap();
        world.store.add_to_snapshot(&old, &[row("1234567893", Some(make::ADDRESS), true)]).await.unwrap();
        activate(world, &old).await.unwrap();
        let dropped = world.store.begin_snapshot(new("dropped.csv")).await.unwrap();
        world.store.drop_snapshot(dropped.id).await.unwrap();
        assert!(activate(world, &dropped).await.is_err());
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
        load(world, &[row("1234567893", Some(make::ELSEWHERE), true)]).await;
        assert!(activate(world, &old).await.is_err(), "a retired one is not taken up again by mistake");
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ELSEWHERE]);
    }

    async fn the_one_before_can_be_gone_back_to_and_forth(world: &World) {
        let org = world.organization("north").await;
        assert_eq!(world.store.roll_back_snapshot(DirectorySource::DirectTrust, None).await.unwrap(), None);
        let old = load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        world.pass(Duration::from_secs(1)).await;
        let young = load(world, &[row("1234567893", Some(make::ELSEWHERE), true)]).await;
        for (id, address) in [(old, make::ADDRESS), (young, make::ELSEWHERE)] {
            let back = world.store.roll_back_snapshot(DirectorySource::DirectTrust, None).await.unwrap();
            assert_eq!(back.map(|load| load.id), Some(id));
            assert_eq!(addresses(ask(world, org, "1234567893").await), [address]);
        }
        assert_eq!(world.store.roll_back_snapshot(DirectorySource::Nppes, None).await.unwrap(), None, "each source for itself");
    }

    async fn sources_answer_side_by_side_and_each_entry_names_its_load(world: &World) {
        let org = world.organization("north").await;
        let mut loads = Vec::new();
        for source in [DirectorySource::Nppes, DirectorySource::Npd] {
            loads.push((source, load_as(world, NewSnapshot { source, ..new("x") }, &[row("1234567893", Some(make::ADDRESS), true)]).await));
        }
        let DirectoryAnswer::Found { entries, .. } = ask(world, org, "1234567893").await else { panic!("not found") };
        loads.sort();
        assert_eq!(entries.iter().map(|entry| (entry.source, entry.snapshot)).collect::<Vec<_>>(), loads, "most trusted first");
        load_as(world, NewSnapshot { source: DirectorySource::Nppes, ..new("y") }, &[]).await;
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS], "the other source has it still");
    }

    async fn an_organizations_own_list_answers_for_nobody_else_and_never_gets_too_old(world: &World) {
        let (org, other) = (world.organization("north").await, world.organization("south").await);
        let own = NewSnapshot { source: DirectorySource::TenantList, org: Some(org), file: "own.csv" };
        let load = load_as(world, own, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        assert_eq!(ask(world, other, "1234567893").await, DirectoryAnswer::NotConfigured);
        assert!(world.store.snapshots(Some(other)).await.unwrap().is_empty());
        assert!(world.store.active_snapshot(DirectorySource::TenantList, Some(other)).await.unwrap().is_none());
        assert!(world.store.roll_back_snapshot(DirectorySource::TenantList, Some(other)).await.unwrap().is_none());
        world.pass(YOUNG.0 * 10).await;
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
        let listed = world.store.snapshots(Some(org)).await.unwrap();
        assert_eq!((listed[0].id, listed[0].org, listed[0].is_overdue(world.clock.now())), (load, Some(org), false));
        let theirs = NewSnapshot { org: Some(other), ..own };
        load_as(world, theirs, &[row("1234567893", Some(make::ELSEWHERE), true)]).await;
        assert_eq!(addresses(ask(world, org, "1234567893").await), [make::ADDRESS]);
        assert_eq!(addresses(ask(world, other, "1234567893").await), [make::ELSEWHERE]);
    }

    async fn a_deactivated_npi_has_no_address_whatever_directories_still_have(world: &World) {
        let org = world.organization("north").await;
        load(world, &[row("1234567893", Some(make::ADDRESS), true), row("1245319599", Some(make::ADDRESS), true)]).await;
        let registry = world.store.begin_snapshot(NewSnapshot { source: DirectorySource::Registry, ..new("npidata") }).await.unwrap();
        let (mut issued, mut inactive) = (vec![0; 1024], vec![0; 1024]);
        let mut blocks = Vec::new();
        for (text, off) in [("1234567893", true), ("2000000010", false)] {
            let (block, bit) = bit_of(&npi(text));
            issued[bit / 8] |= 1 << (bit % 8);
            if off {
                inactive[bit / 8] |= 1 << (bit % 8);
            }
            blocks.push((block, std::mem::replace(&mut issued, vec![0; 1024]), std::mem::replace(&mut inactive, vec![0; 1024])));
        }
        world.store.add_npi_blocks(&registry, &blocks).await.unwrap();
        activate(world, &registry).await.unwrap();
        assert_eq!(ask(world, org, "1234567893").await, DirectoryAnswer::Inactive(registry.id));
        assert_eq!(addresses(ask(world, org, "1245319599").await), [make::ADDRESS], "not in the list yet, and no less an address");
        assert_eq!(ask(world, org, "2000000010").await, DirectoryAnswer::NoAddress(registry.id));
        assert!(matches!(ask(world, org, "2000000044").await, DirectoryAnswer::NotFound(_)));
        world.pass(YOUNG.0 * 2).await;
        assert_eq!(ask(world, org, "1234567893").await, DirectoryAnswer::Inactive(registry.id), "at any age");
        assert!(matches!(ask(world, org, "2000000010").await, DirectoryAnswer::Unavailable { .. }));
    }

    async fn an_entry_keeps_the_day_it_was_first_seen_as_long_as_it_is_in_every_load(world: &World) {
        let org = world.organization("north").await;
        let begun = world.clock.now().micros();
        load(world, &[row("1234567893", Some(make::ADDRESS), true)]).await;
        world.pass(Duration::from_mins(1)).await;
        load(world, &[row("1234567893", Some(make::ADDRESS), true), row("1234567893", Some(make::ELSEWHERE), true)]).await;
        let DirectoryAnswer::Found { mut entries, .. } = ask(world, org, "1234567893").await else { panic!("not found") };
        entries.sort_by_key(|entry| entry.first_seen);
        let now = world.clock.now().micros();
        let seen: Vec<_> = entries.iter().map(|entry| (entry.address.as_str(), entry.first_seen, entry.last_seen)).collect();
        assert_eq!(seen, [(make::ADDRESS, begun, now), (make::ELSEWHERE, now, now)]);
    }

    async fn loads_are_overdue_after_what_their_source_promises(world: &World) {
        for (source, days) in [(DirectorySource::Nppes, 45), (DirectorySource::DirectTrust, 14)] {
            let id = load_as(world, NewSnapshot { source, ..new("x") }, &[]).await;
            let load = world.store.active_snapshot(source, None).await.unwrap().unwrap();
            assert_eq!(load.id, id);
            let at = |days: u64| load.loaded_at.plus(Duration::from_hours(24 * days));
            assert!(!load.is_overdue(at(days).minus(Duration::from_secs(1))) && load.is_overdue(at(days)));
        }
    }

    async fn a_live_answer_is_kept_until_it_expires_and_a_later_one_replaces_it(world: &World) {
        let now = world.clock.now();
        let kept = |reply: &[u8], asked_at: Timestamp| KeptAnswer {
            id: SnapshotId::new(),
            reply: reply.to_vec(),
            asked_at,
            expires_at: asked_at.plus(Duration::from_mins(1)),
        };
        let (first, later) = (kept(b"one", now), kept(b"two", now.plus(Duration::from_secs(1))));
        let who = npi("1234567893");
        for answer in [&first, &later, &first] {
            world.store.keep_answer("nppes", &who, answer).await.unwrap();
        }
        assert_eq!(world.store.kept_answer("nppes", &who).await.unwrap(), Some(later));
        assert_eq!(world.store.kept_answer("other", &who).await.unwrap(), None);
        world.pass(Duration::from_secs(61)).await;
        assert_eq!(world.store.kept_answer("nppes", &who).await.unwrap(), None);
        world.store.keep_answer("nppes", &npi("2000000010"), &kept(b"x", world.clock.now())).await.unwrap();
        assert_eq!(world.number("SELECT COUNT(*) FROM directory_answer").await, 1, "what expired is thrown away");
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
        let mut found = last(ask(world, org, "1234567893").await);
        found.sort_unstable();
        assert_eq!(found, [None, Some(worked.micros())]);
        assert_eq!(last(ask(world, other, "1234567893").await), [None, None]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_takes_one_statement_for_a_thousand_rows_and_no_more_for_the_next_load() {
    let world = World::postgres().await;
    super::group_commit::count_statements(&world, &["directory_entry"]).await;
    let rows: Vec<DirectoryRow> =
        (0..5_000).map(|number| row("2000000010", Some(&format!("p{number}@d.example")), true)).collect();
    for most in [5, 10] {
        load(&world, &rows).await;
        let seen = world.number("SELECT COUNT(*) FROM statement_seen").await;
        assert!((1..=most).contains(&seen), "{seen} statements for {most} thousand rows");
    }
}
