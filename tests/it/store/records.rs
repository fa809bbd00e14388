//! Organizations, identities, tokens, certificates, feeds.

use std::time::Duration;

use postern::{
    domain::{
        DirectAddress, OrgScope, Timestamp,
        organization::{Mode, SendMode},
        time::Clock,
    },
    store::{organization::NewIdentity, trust::AnchorKind},
};

use super::{make, world::World};

fn identity(address: &str, secret: Option<&str>) -> NewIdentity {
    NewIdentity {
        address: address.parse().unwrap(),
        mode: SendMode::Edge,
        relay: Some("hisp-a".into()),
        certificate: None,
        secret: secret.map(|secret| zeroize::Zeroizing::new(secret.as_bytes().to_vec())),
    }
}

on_both_engines! {
    async fn an_organization_applied_twice_is_one_and_says_what_was_said_last(world: &World) {
        let org = world.organization("north").await;
        let mut file = make::organization("north");
        file.mode = Mode::Test;
        file.name = "North, renamed".into();
        assert_eq!(world.store.apply_organization(&file, &[]).await.unwrap(), org);
        let known = world.store.organization(org).await.unwrap().unwrap();
        assert_eq!(known.file, file);
        assert_eq!((known.mode(make::SITE), known.mode("elsewhere")), (Mode::Test, Mode::Test));
        assert_eq!(world.texts("SELECT mode FROM organization").await, ["test"]);
        assert_eq!(world.store.organizations(OrgScope::All).await.unwrap().len(), 1);
    }

    async fn an_organization_is_applied_as_a_whole_or_not_at_all(world: &World) {
        // Two identities at one address cannot both be stored; the second would silently win.
        world.run(world.either(
            "CREATE TRIGGER poison BEFORE INSERT ON identity BEGIN SELECT RAISE(ABORT, 'poison'); END",
            "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'poison'; END $$;
             CREATE TRIGGER poison BEFORE INSERT ON identity FOR EACH ROW EXECUTE FUNCTION poison()",
        )).await;
        let identities = [identity("a@direct.lab.example", Some("s"))];
        assert!(world.store.apply_organization(&make::organization("north"), &identities).await.is_err());
        for table in ["organization", "site", "price", "identity", "ledger_head"] {
            assert_eq!(world.number(&format!("SELECT COUNT(*) FROM {table}")).await, 0, "{table}");
        }
    }

    async fn identities_keep_their_id_and_secret_take_the_order_given_and_go_when_they_are_no_longer_named(world: &World) {
        let file = make::organization("north");
        let apply = async |identities: &[NewIdentity]| world.store.apply_organization(&file, identities).await.unwrap();
        let org = apply(&[identity("a@direct.lab.example", Some("first")), identity("b@direct.lab.example", Some("second"))]).await;
        let before = world.store.organization(org).await.unwrap().unwrap().identities;
        apply(&[identity("B@direct.lab.example", None), identity("a@direct.lab.example", Some("changed"))]).await;
        let after = world.store.organization(org).await.unwrap().unwrap();
        let found: Vec<&str> = after.identities.iter().map(|identity| identity.address.as_str()).collect();
        assert_eq!(found, ["B@direct.lab.example", "a@direct.lab.example"]);
        assert_eq!((after.identities[0].id, after.identities[1].id), (before[1].id, before[0].id));
        assert_eq!(after.identity(make::SITE).unwrap().id, before[1].id, "the first is the default");
        for (id, secret) in [(before[0].id, "changed"), (before[1].id, "second")] {
            assert_eq!(&world.store.identity_secret(org, id).await.unwrap().unwrap()[..], secret.as_bytes());
        }
        apply(&[identity("c@direct.lab.example", None)]).await;
        assert_eq!(world.store.organization(org).await.unwrap().unwrap().identities.len(), 1);
        assert!(world.store.identity_secret(org, before[0].id).await.unwrap().is_none());
    }

    async fn the_secret_of_one_mode_does_not_outlive_it(world: &World) {
        // The key of one mode must not be sent as the password of another.
        let file = make::organization("north");
        let mut sealed = identity("a@direct.lab.example", Some("the private key"));
        sealed.mode = SendMode::StaRelay;
        let org = world.store.apply_organization(&file, &[sealed]).await.unwrap();
        world.store.apply_organization(&file, &[identity("a@direct.lab.example", None)]).await.unwrap();
        let now = world.store.organization(org).await.unwrap().unwrap().identities.remove(0);
        assert_eq!((now.mode, now.has_secret), (SendMode::Edge, false));
        assert!(world.store.identity_secret(org, now.id).await.unwrap().is_none());
    }

    async fn a_token_speaks_for_its_organization_until_it_is_revoked(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let (one, other) = (
            world.store.create_token(north, "feeder", true).await.unwrap(),
            world.store.create_token(south, "feeder", false).await.unwrap(),
        );
        assert!(one != other && one.starts_with("pt_") && one.len() == 67);
        let holder = world.store.token_holder(&one).await.unwrap().unwrap();
        assert_eq!((holder.org, holder.ignore_unknown), (Some(north), true));
        for wrong in ["", "pt_", &one[..66], &one.to_uppercase()] {
            assert!(world.store.token_holder(wrong).await.unwrap().is_none(), "{wrong}");
        }
        assert_eq!(world.store.revoke_token(north, "feeder", world.clock.now()).await.unwrap(), 1);
        assert_eq!(world.store.revoke_token(north, "feeder", world.clock.now()).await.unwrap(), 0);
        assert!(world.store.token_holder(&one).await.unwrap().is_none());
        assert!(world.store.token_holder(&other).await.unwrap().is_some());
    }

    async fn certificates_bound_to_the_address_come_before_those_of_its_domain(world: &World) {
        let org = world.organization("north").await;
        let address: DirectAddress = "Pcp@Direct.Example.Org".parse().unwrap();
        for (name, fingerprint, not_after) in [
            ("direct.example.org", "domain", 9),
            ("PCP@direct.example.org", "older", 1),
            ("pcp@direct.example.org", "newer", 2),
            ("example.org", "parent", 9),
            ("other@direct.example.org", "other", 9),
        ] {
            for _ in 0..2 {
                world.store.import_certificate(org, name, fingerprint.as_bytes(), fingerprint, Timestamp(not_after)).await.unwrap();
            }
        }
        let found = world.store.certificates_for(org, &address).await.unwrap();
        let found: Vec<&str> = found.iter().map(|certificate| certificate.fingerprint.as_str()).collect();
        assert_eq!(found, ["newer", "older", "domain"]);
        assert_eq!(world.store.certificates(OrgScope::One(org)).await.unwrap().len(), 5);
        assert_eq!(world.store.remove_certificate(org, "newer").await.unwrap(), 1);
        assert_eq!(world.store.certificates_for(org, &address).await.unwrap().len(), 2);
    }

    async fn an_anchor_imported_twice_is_one_with_the_kind_said_last(world: &World) {
        let org = world.organization("north").await;
        for kind in [AnchorKind::Anchor, AnchorKind::Intermediate] {
            world.store.import_anchor(org, kind, b"der", "fp", Timestamp(1)).await.unwrap();
        }
        let anchors = world.store.anchors(OrgScope::All).await.unwrap();
        assert_eq!(anchors.iter().map(|anchor| anchor.name.as_str()).collect::<Vec<_>>(), ["intermediate"]);
        assert_eq!(world.store.remove_certificate(org, "fp").await.unwrap(), 1);
        assert!(world.store.anchors(OrgScope::All).await.unwrap().is_empty());
    }

    async fn a_feed_goes_on_where_it_stood(world: &World) {
        let lease = super::make::lease();
        assert!(world.store.take_task("feeds", &lease).await.unwrap());
        assert_eq!(world.store.feed_cursor("lab").await.unwrap(), None);
        for cursor in ["c1", "c2"] {
            world.store.move_feed_cursor("lab", cursor, "feeds", &lease).await.unwrap();
        }
        world.store.move_feed_cursor("imaging", "x", "feeds", &lease).await.unwrap();
        let again = world.neighbour(std::sync::Arc::clone(&world.clock)).await;
        assert_eq!(again.feed_cursor("lab").await.unwrap().as_deref(), Some("c2"));
    }

    async fn a_parked_item_is_opened_and_removed_by_its_own_organization(world: &World) {
        let (org, theirs) = (world.organization("north").await, world.organization("south").await);
        let problems = serde_json::json!({"code": "invalid"});
        world.store.park(org, "lab", "c1", &problems, b"the item").await.unwrap();
        let item = world.store.parked(OrgScope::All).await.unwrap().remove(0);
        assert!(world.store.parked_item(OrgScope::One(theirs), item.id).await.unwrap().is_none());
        let seen = world.store.parked_item(OrgScope::One(org), item.id).await.unwrap().unwrap();
        assert_eq!(&world.store.open_parked(&seen).await.unwrap()[..], b"the item");
        world.store.note_parked(&seen, &serde_json::json!({"code": "other"})).await.unwrap();
        assert_eq!(world.store.parked(OrgScope::One(org)).await.unwrap()[0].problems["code"], "other");
        assert!(world.store.remove_parked(&seen).await.unwrap());
        assert!(!world.store.remove_parked(&seen).await.unwrap(), "somebody else was first");
        assert!(world.store.open_parked(&seen).await.is_err());
    }

    async fn an_item_that_cannot_be_taken_is_parked_once(world: &World) {
        let org = world.organization("north").await;
        let problems = serde_json::json!([{"field": "/patient/birth_date", "code": "missing"}]);
        for cursor in ["c1", "c1", "c2"] {
            world.pass(Duration::from_secs(1)).await;
            world.store.park(org, "lab", cursor, &problems, b"the item").await.unwrap();
        }
        let parked = world.store.parked(OrgScope::One(org)).await.unwrap();
        let found: Vec<_> = parked.iter().map(|item| (item.source.as_str(), item.cursor.as_str(), &item.problems)).collect();
        assert_eq!(found, [("lab", "c1", &problems), ("lab", "c2", &problems)]);
    }
}
