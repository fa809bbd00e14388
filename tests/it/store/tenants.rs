//! No row of another organization is ever given, whatever id is asked for.

use postern::{
    domain::{
        DirectAddress, OrgId, OrgScope, Timestamp,
        delivery::{Event, State},
        time::Span,
    },
    store::{
        StoreError, delivery::Move, ledger::LineFilter, organization::NewIdentity, survey::DeliveryFilter, trust::AnchorKind,
    },
};

use super::{make, world::World};

use Event as E;

const SENT: &[Event] = &[E::Claimed, E::WireStarted, E::Accepted];

fn identity() -> NewIdentity {
    NewIdentity {
        address: "results@direct.lab.example".parse().unwrap(),
        mode: postern::domain::organization::SendMode::StaRelay,
        relay: Some("hisp-a".into()),
        certificate: Some("-----BEGIN CERTIFICATE-----".into()),
        secret: Some(zeroize::Zeroizing::new(b"the private key".to_vec())),
    }
}

/// Two organizations that use the same keys for everything.
async fn two(world: &World) -> (OrgId, OrgId) {
    let mut orgs = Vec::new();
    for slug in ["north", "south"] {
        orgs.push(world.store.apply_organization(&make::organization(slug), &[identity()]).await.unwrap());
    }
    (orgs[0], orgs[1])
}

on_both_engines! {
    async fn the_lists_of_one_organization_hold_nothing_of_another(world: &World) {
        let (mine, theirs) = two(world).await;
        let sent = world.queued(theirs, "A1").await;
        world.lead(theirs, sent, SENT).await;
        world.queued(theirs, "A2").await;
        world.result(theirs, "A3").await;
        world.route(&[]).await;
        world.store.park(theirs, "folder", "c1", &serde_json::json!([]), b"item").await.unwrap();
        world.store.import_certificate(theirs, "d.example", b"der", "fp", Timestamp(1)).await.unwrap();
        world.store.import_anchor(theirs, AnchorKind::Anchor, b"der", "fp2", Timestamp(1)).await.unwrap();

        let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
        for (scope, some) in [(OrgScope::One(mine), false), (OrgScope::One(theirs), true), (OrgScope::All, true)] {
            let store = &world.store;
            assert_eq!(!store.deliveries(scope, filter).await.unwrap().is_empty(), some, "{scope:?}");
            assert_eq!(!store.results_of_order(scope, "A1").await.unwrap().is_empty(), some, "{scope:?}");
            assert_eq!(!store.worklist(scope).await.unwrap().is_empty(), some, "{scope:?}");
            assert_eq!(!store.parked(scope).await.unwrap().is_empty(), some, "{scope:?}");
            assert_eq!(!store.certificates(scope).await.unwrap().is_empty(), some, "{scope:?}");
            assert_eq!(!store.anchors(scope).await.unwrap().is_empty(), some, "{scope:?}");
            let counts = store.counts(scope).await.unwrap();
            let counted = counts.results.len() + counts.held.len() + counts.deliveries.len() + counts.dispositions.len();
            assert_eq!((counted > 0, counts.charged + counts.charge_lines > 0), (some, some), "{scope:?}");
            let lines = LineFilter { org: theirs, site: None, from: Timestamp(0), to: Timestamp(i64::MAX) };
            assert_eq!(!store.ledger_lines(scope, lines).await.unwrap().is_empty(), some, "{scope:?}");
            assert_eq!(store.organization_by_slug(scope, "south").await.unwrap().is_some(), some, "{scope:?}");
            assert_eq!(store.organizations(scope).await.unwrap().iter().any(|org| org.id == theirs), some, "{scope:?}");
        }
    }

    async fn another_organizations_id_gives_nothing(world: &World) {
        let (mine, theirs) = two(world).await;
        world.queued(mine, "A1").await;
        let delivery = world.queued(theirs, "A1").await;
        let view = world.store.results_of_order(OrgScope::One(theirs), "A1").await.unwrap().remove(0);
        let order: postern::domain::OrderKey =
            world.texts(&format!("SELECT id FROM order_ WHERE org_id = '{theirs}'")).await[0].parse().unwrap();
        let identity = world.store.organization(theirs).await.unwrap().unwrap().identities.remove(0).id;
        let (store, scope) = (&world.store, OrgScope::One(mine));

        assert!(store.result_view(scope, view.id).await.unwrap().is_none());
        assert!(store.result_view(OrgScope::One(theirs), view.id).await.unwrap().is_some());
        assert!(store.result_view(OrgScope::All, view.id).await.unwrap().is_some());
        assert!(store.delivery_view(scope, delivery).await.unwrap().is_none());
        assert!(store.delivery_view(OrgScope::One(theirs), delivery).await.unwrap().is_some());
        assert!(store.delivery_view(OrgScope::All, delivery).await.unwrap().is_some());
        assert!(store.trace(mine, view.id).await.unwrap().is_empty());
        assert!(matches!(store.order(mine, order).await, Err(StoreError::Lost)));
        assert!(matches!(store.work(mine, delivery).await, Err(StoreError::Lost)));
        assert!(store.earlier_targets(mine, order, 9).await.unwrap().is_empty());
        assert!(store.identity_secret(mine, identity).await.unwrap().is_none());
        assert_eq!(&store.identity_secret(theirs, identity).await.unwrap().unwrap()[..], b"the private key");
        assert!(matches!(store.ask_delivery(scope, delivery, E::Cancel, "not mine").await, Err(StoreError::Lost)));
        assert!(matches!(world.committer.apply(Move::new(mine, delivery, E::Cancel)).await, Err(StoreError::Lost)));
        assert_eq!(world.state(delivery).await, State::Queued);
    }

    async fn one_organizations_experience_certificates_and_keys_serve_no_other(world: &World) {
        let (mine, theirs) = two(world).await;
        let address: DirectAddress = make::ADDRESS.parse().unwrap();
        let sent = world.queued(theirs, "A1").await;
        world.lead(theirs, sent, SENT).await;
        world.run("UPDATE delivery SET disposition = 'processed'").await;
        world.store.import_certificate(theirs, address.as_str(), b"der", "fp", Timestamp(1)).await.unwrap();
        assert!(world.store.last_success(theirs, &address).await.unwrap().is_some());
        assert!(world.store.last_success(mine, &address).await.unwrap().is_none());
        assert_eq!(world.store.certificates_for(theirs, &address).await.unwrap().len(), 1);
        assert!(world.store.certificates_for(mine, &address).await.unwrap().is_empty());
        assert_eq!(world.store.remove_certificate(mine, "fp").await.unwrap(), 0);
        assert_eq!(world.store.certificates_for(theirs, &address).await.unwrap().len(), 1);
        let (one, other) = (world.store.key(mine).await.unwrap(), world.store.key(theirs).await.unwrap());
        assert_ne!(one.id(), other.id());
        let hashes = world.texts("SELECT DISTINCT patient FROM order_").await;
        world.order(mine, "A1").await;
        assert!(!hashes.contains(&world.texts(&format!("SELECT patient FROM order_ WHERE org_id = '{mine}'")).await[0]));
    }

    async fn a_row_moved_to_another_organization_does_not_open(world: &World) {
        let (mine, theirs) = two(world).await;
        world.order(theirs, "A1").await;
        world.run(&format!("UPDATE order_ SET org_id = '{mine}'")).await;
        let order: postern::domain::OrderKey = world.texts("SELECT id FROM order_").await[0].parse().unwrap();
        assert!(matches!(world.store.order(mine, order).await, Err(StoreError::Sealed(_))));
    }

    async fn nothing_is_taken_for_an_organization_that_is_not_there(world: &World) {
        let (_, nobody) = (two(world).await, OrgId::new());
        let taken = world.store.take_order(nobody, &make::order("A1"), postern::domain::order::Action::New).await;
        assert!(matches!(taken, Err(StoreError::NoOrganization)), "{taken:?}");
        assert!(world.store.create_token(nobody, "t", false).await.is_err());
        let npi = "1234567893".parse().unwrap();
        assert_eq!(world.store.look_up(nobody, &npi, Span::seconds(1)).await.unwrap(), postern::domain::route::DirectoryAnswer::NotConfigured);
    }
}
