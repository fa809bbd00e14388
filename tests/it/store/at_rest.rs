//! What lies on the disk gives nothing away.

use postern::{
    domain::report::ResultStatus,
    store::{StoreError, organization::NewIdentity},
};

use super::{make, world::World};

/// Every octet the database keeps on disk.
async fn on_disk(world: &World) -> Vec<u8> {
    if let Some(file) = world.file() {
        let log = std::fs::read(file.with_extension("db-wal")).unwrap_or_default();
        return [std::fs::read(&file).unwrap(), log].concat();
    }
    world.run("CHECKPOINT").await;
    let hex = world
        .texts(
            "SELECT encode(pg_read_binary_file(pg_relation_filepath(oid::regclass)), 'hex') FROM pg_class
             WHERE relkind IN ('r', 'i', 't') AND relnamespace IN ('public'::regnamespace, 'pg_toast'::regnamespace)
             AND pg_relation_filepath(oid::regclass) IS NOT NULL",
        )
        .await
        .concat();
    let nibble = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap();
    hex.as_bytes().chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

fn holds(octets: &[u8], text: &str) -> bool {
    octets.windows(text.len()).any(|window| window == text.as_bytes())
}

on_both_engines! {
    async fn the_disk_holds_no_patient_and_no_private_key(world: &World) {
        let identity = NewIdentity {
            address: "results@direct.lab.example".parse().unwrap(),
            mode: postern::domain::organization::SendMode::StaRelay,
            relay: None,
            certificate: None,
            secret: Some(zeroize::Zeroizing::new(b"the-private-key".to_vec())),
        };
        let org = world.store.apply_organization(&make::organization("north"), &[identity]).await.unwrap();
        let sent = world.queued(org, "ORDER-IN-CLEAR").await;
        world.report(org, "ORDER-IN-CLEAR", ResultStatus::Corrected, 2).await;
        world.take(org, "NOT-YET-THERE", ResultStatus::Final, 1).await;
        let mut other = make::order("ORDER-IN-CLEAR");
        other.patient.phone = Some("+1-850-555-0143".into());
        world.store.take_order(org, &other, postern::domain::order::Action::Change).await.unwrap();
        world.store.park(org, "feed", "c1", &serde_json::json!(["/patient/name"]), make::FAMILY.as_bytes()).await.unwrap();
        let token = world.store.create_token(org, "t", false).await.unwrap();
        world.lead(org, sent, &[postern::domain::delivery::Event::Cancel]).await;

        let disk = on_disk(world).await;
        for public in ["ORDER-IN-CLEAR", make::SITE, make::ADDRESS] {
            assert!(holds(&disk, public), "the search would not find anything: {public}");
        }
        for secret in [make::FAMILY, "Morgan", make::LOCAL_ID, make::MEMBER_ID, "1964-02-17", "555-014", "the-private-key", &token] {
            assert!(!holds(&disk, secret), "{secret} can be read on the disk");
        }
    }

    async fn with_another_master_key_nothing_opens_and_the_error_says_why(world: &World) {
        let org = world.organization("north").await;
        let id = world.queued(org, "A1").await;
        let result = world.result(org, "A2").await;
        let other = world.with_another_master_key().await;
        let sealed = |error: StoreError| {
            assert!(matches!(error, StoreError::Sealed(_)), "{error:?}");
            assert!(error.to_string().contains("wrong master key"), "{error}");
        };
        sealed(other.key(org).await.unwrap_err());
        sealed(other.work(org, id).await.unwrap_err());
        sealed(other.take_order(org, &make::order("A3"), postern::domain::order::Action::New).await.unwrap_err());
        // It takes nothing it could not work on, so that a gateway with the right key can.
        assert!(other.claim_results(&make::lease(), 10, 0).await.unwrap().is_empty());
        assert_eq!(world.result_state(result).await, "received");
    }

    async fn a_row_that_was_tampered_with_does_not_keep_the_others_from_being_routed(world: &World) {
        let (north, south) = (world.organization("north").await, world.organization("south").await);
        let bad = world.result(north, "A1").await;
        world.pass(std::time::Duration::from_secs(1)).await;
        let good = [world.result(north, "A2").await, world.result(south, "A1").await];
        world.run(&format!("UPDATE result SET sealed = {} WHERE id = '{bad}'", world.either("X'01020304'", r"'\x01020304'"))).await;
        let work = world.store.claim_results(&make::lease(), 10, 0).await.unwrap();
        let mut ids: Vec<_> = work.iter().map(|work| work.id).collect();
        ids.sort_unstable();
        assert_eq!(ids, good);
    }

    async fn a_sealed_value_moved_to_another_row_does_not_open(world: &World) {
        let org = world.organization("north").await;
        let (one, other) = (world.queued(org, "A1").await, world.queued(org, "A2").await);
        assert!(world.store.work(org, one).await.is_ok());
        world.run("UPDATE order_ SET sealed = (SELECT sealed FROM order_ o WHERE o.order_id = 'A2') WHERE order_id = 'A1'").await;
        assert!(matches!(world.store.work(org, one).await, Err(StoreError::Sealed(_))));
        assert!(world.store.work(org, other).await.is_ok());
    }

    async fn only_its_owner_can_read_the_file(world: &World) {
        use std::os::unix::fs::PermissionsExt as _;
        world.organization("north").await;
        let Some(file) = world.file() else { return };
        for file in [file.clone(), file.with_extension("db-wal"), file.with_extension("db-shm")] {
            let mode = std::fs::metadata(&file).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
    }
}
