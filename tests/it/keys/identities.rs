//! `postern trust identities`, and what a running gateway does with it.

use std::time::Duration;

use postern::{
    domain::DirectAddress,
    trust::{
        Certificate,
        authority::{Issued, KeyKind, Usage},
    },
};
use serde_json::Value;

use super::bench::{ADDRESS, DAY, authority, issue, now, openssl, order};
use crate::{
    admin::world::{World, org, words},
    support::installation::Installation,
};

const NORTH: &str =
    "slug = \"north\"\nname = \"North\"\n[[identity]]\naddress = \"results@direct.lab.example\"\nmode = \"sta_mx\"\n";

fn import(world: &World, issued: &Issued, more: &[&str]) -> crate::support::command::Ran {
    world.write("own.pem", issued.certificate.pem().unwrap());
    world.write("own.key", issued.key_pem().unwrap());
    let args = [
        "trust",
        "identities",
        "import",
        "--organization",
        "north",
        "--address",
        ADDRESS,
        "--cert",
        "own.pem",
        "--key",
        "own.key",
    ];
    world.run(&[&args[..], more].concat())
}

fn list(world: &World) -> Vec<Value> {
    serde_json::from_value(world.json(&["trust", "identities", "list"])).unwrap()
}

#[test]
fn the_newest_valid_generation_signs_and_the_list_says_what_each_does() {
    let (world, ca) = (World::with(NORTH), authority("CA"));
    for (since, left) in [(300, 20), (1, 300)] {
        let ran = import(&world, &issue(&ca, Usage::Dual, since, left), &[]);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }
    let future =
        ca.issue(&postern::trust::authority::Order { from: now().plus(DAY * 10), ..order(ADDRESS, Usage::Encrypt, 0, 500) });
    assert!(import(&world, &future.unwrap(), &[]).err.contains("does nothing before"));
    let rows = list(&world);
    let told: Vec<_> = rows.iter().map(|row| (row["use"].as_str().unwrap(), &row["signs_now"], &row["replaced"])).collect();
    assert_eq!(
        told,
        [
            ("encrypt", &Value::from(false), &Value::from(false)),
            ("both", &Value::from(true), &Value::from(false)),
            ("both", &Value::from(false), &Value::from(true)),
        ]
    );
    assert_eq!((&rows[2]["days_left"], &rows[2]["warning"]), (&20.into(), &"30_days".into()));
    let shown = world.good(&["trust", "identities", "list"]);
    assert!(!shown.err.contains("warning"), "the old one is replaced: {}", shown.err);
    assert!(shown.out.lines().any(|line| words(line).contains(&"signs")), "{}", shown.out);

    let alone = World::with(NORTH);
    import(&alone, &issue(&ca, Usage::Dual, 300, 20), &[]);
    let shown = alone.good(&["trust", "identities", "list"]);
    assert!(shown.err.contains("ends in 20 days: import the next one"), "{}", shown.err);
    let doctor = alone.run(&["doctor"]);
    let line = format!("note  certificate of {ADDRESS}, for signing and encryption: ends in 20 days");
    assert!(doctor.out.contains(&line) && doctor.out.contains("advice: import the next one"), "{}", doctor.out);
}

#[test]
fn pkcs12_is_imported_and_a_wrong_password_or_an_old_cipher_says_what_to_do() {
    let (world, ca) = (World::with(NORTH), authority("CA"));
    let own = issue(&ca, Usage::Dual, 1, 300);
    world.write("own.pem", own.certificate.pem().unwrap() + &ca.certificate().pem().unwrap());
    world.write("own.key", own.key_pem().unwrap());
    world.write("good", "correct horse\n");
    world.write("bad", "wrong");
    let dir = world.dir.path();
    openssl(dir, "pkcs12 -export -in own.pem -inkey own.key -out own.p12 -passout file:good").unwrap();
    let args = ["trust", "identities", "import", "--organization", "north", "--address", ADDRESS, "--pkcs12", "own.p12"];
    let refused = world.bad(&[&args[..], &["--password-file", "bad"]].concat());
    assert!(refused.err.contains("the password is wrong") && refused.err.contains("-legacy"), "{}", refused.err);
    assert!(!refused.err.contains("wrong\n") || !refused.err.contains("correct horse"), "{}", refused.err);
    world.bad(&args);
    let dry = world.good(&[&args[..], &["--password-file", "good", "--dry-run"]].concat());
    assert!(dry.err.contains("nothing was changed") && list(&world).is_empty());
    world.good(&[&args[..], &["--password-file", "good"]].concat());
    assert_eq!(list(&world).len(), 1);

    let wrong_door = [
        "trust",
        "identities",
        "import",
        "--organization",
        "north",
        "--address",
        ADDRESS,
        "--cert",
        "own.pem",
        "--key",
        "own.p12",
    ];
    let ran = world.run(&wrong_door);
    assert!(ran.code == 2 && ran.err.contains("--pkcs12"), "{}", ran.err);

    openssl(dir, "pkey -in own.key -aes256 -passout file:good -out locked.key").unwrap();
    let locked = [
        "trust",
        "identities",
        "import",
        "--organization",
        "north",
        "--address",
        ADDRESS,
        "--cert",
        "own.pem",
        "--key",
        "locked.key",
    ];
    assert!(world.bad(&locked).err.contains("--password-file"));
    world.good(&[&locked[..], &["--password-file", "good"]].concat());
    assert_eq!(list(&world).len(), 1, "the same certificate is the same generation");
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do() {
    let (world, ca) = (World::with(NORTH), authority("CA"));
    let good = issue(&ca, Usage::Dual, 1, 300);
    let other = issue(&ca, Usage::Dual, 1, 300);
    let mismatched = Issued { certificate: good.certificate.clone(), key: other.key.clone() };
    let foreign = ca.issue(&order("someone@direct.lab.example", Usage::Dual, 1, 300)).unwrap();
    let weak = ca.issue(&postern::trust::authority::Order { key: KeyKind::Rsa(1024), ..order(ADDRESS, Usage::Dual, 1, 300) });
    let expired = ca.issue(&postern::trust::authority::Order { until: now().minus(DAY), ..order(ADDRESS, Usage::Dual, 300, 0) });
    let cases: [(&Issued, &[&str], &str); 6] = [
        (&mismatched, &[], "give the pair that was issued together"),
        (&foreign, &[], "whose subjectAltName has the address or exactly its domain"),
        (&weak.unwrap(), &[], "a stronger key"),
        (&expired.unwrap(), &[], "ask its issuer for a new one"),
        (&issue(&ca, Usage::Encrypt, 1, 300), &["--use", "sign"], "import it with --use"),
        (&issue(&ca, Usage::WebServer, 1, 300), &[], "import it with --use"),
    ];
    for (issued, more, says) in cases {
        let ran = import(&world, issued, more);
        assert!(ran.code == 1 && ran.err.contains(says), "{says}: {}", ran.err);
        assert!(!ran.err.contains("PRIVATE KEY"), "{}", ran.err);
    }
    assert!(list(&world).is_empty());
}

#[test]
fn the_last_that_signs_or_decrypts_is_not_removed_by_mistake() {
    let (world, ca) = (World::with(NORTH), authority("CA"));
    import(&world, &issue(&ca, Usage::Sign, 1, 300), &[]);
    import(&world, &issue(&ca, Usage::Encrypt, 1, 300), &[]);
    for row in list(&world) {
        let fingerprint = row["fingerprint"].as_str().unwrap();
        let remove = ["trust", "identities", "remove", "--organization", "north", fingerprint];
        assert!(world.bad(&remove).err.contains("--force"));
    }
    import(&world, &issue(&ca, Usage::Dual, 1, 400), &[]);
    for row in list(&world).iter().filter(|row| row["use"] != "both") {
        world.good(&["trust", "identities", "remove", "--organization", "north", &row["fingerprint"].as_str().unwrap()[..12]]);
    }
    let left = list(&world);
    assert_eq!(left.len(), 1);
    world.good(&[
        "trust",
        "identities",
        "remove",
        "--organization",
        "north",
        "--force",
        left[0]["fingerprint"].as_str().unwrap(),
    ]);
    assert!(list(&world).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_rotate_while_the_gateway_runs_and_mail_sealed_to_the_old_one_still_opens() {
    let installation = Installation::open("", None).await;
    let serving = installation.serve(None, None);
    installation.submit(&serving, 1, "pcp1").await.unwrap();
    installation.settled(1);

    let practice = postern::sandbox::practice::Practice::open(
        &installation.dir.path().join("hisp/keys"),
        std::sync::Arc::new(postern::observe::SystemClock),
    );
    let address: DirectAddress = "results@direct.north.example".parse().unwrap();
    // A certificate's first instant is a whole second: the next generation begins in the second after the first's.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let (certificate, key) = practice.unwrap().identity(&address).unwrap();
    let path = |name: &str| installation.dir.path().join(name);
    std::fs::write(path("next.pem"), &certificate).unwrap();
    std::fs::write(path("next.key"), &key).unwrap();
    installation.postern(&[
        "trust",
        "identities",
        "import",
        "--organization",
        "north",
        "--address",
        address.as_str(),
        "--cert",
        "next.pem",
        "--key",
        "next.key",
    ]);
    // What is believed lasts a few seconds.
    tokio::time::sleep(Duration::from_millis(5500)).await;
    installation.submit(&serving, 2, "pcp2").await.unwrap();
    installation.settled(2);

    let next = Certificate::read_all(certificate.as_bytes()).unwrap().remove(0);
    let first = Certificate::read_all(&std::fs::read(path("north.pem")).unwrap()).unwrap().remove(0);
    let mut signers = Vec::new();
    for local_part in ["pcp1", "pcp2"] {
        let sealed = installation.sealed_to(local_part);
        signers.push(signer(installation.dir.path(), &sealed));
    }
    assert_eq!(signers, [first.clone(), next.clone()], "no restart, and the newest signs");

    let kept = installation.json(&["trust", "identities", "list"]);
    assert_eq!(kept.as_array().unwrap().len(), 2);
    let config = postern::config::load(Some(&path("postern.toml")), &[]).unwrap().config;
    let master = postern::crypto::MasterKey::from_file(&path("keys/master.key")).unwrap();
    let clock = std::sync::Arc::new(postern::observe::SystemClock);
    let options = postern::store::StoreOptions { url: config.store.url.expose().to_owned(), connections: 2, master };
    let store = postern::store::Store::open(options, clock).await.unwrap();
    let own = own(&store, &config, &address).await;
    assert_eq!(own, [next, first], "each generation that is kept opens mail, the newest first");
}

/// The certificates with which a gateway on `store` opens mail to `address`.
async fn own(store: &postern::store::Store, config: &postern::config::Config, address: &DirectAddress) -> Vec<Certificate> {
    use postern::{observe::health::Health, pipeline};
    let dir = tempfile::tempdir().unwrap();
    let blobs = postern::store::blobs::Blobs::in_folder(dir.path()).unwrap();
    let settings = pipeline::Settings::from(config);
    let gateway =
        pipeline::Gateway::new(store.clone(), blobs, pipeline::PostOffice::new(vec![], None), settings, Health::default());
    let own = gateway.own(org(store, "north").await, address).await.unwrap();
    own.iter().map(|own| own.certificate.clone()).collect()
}

/// Who signed a message that `openssl` opens.
pub(super) fn signer(dir: &std::path::Path, sealed: &[u8]) -> Certificate {
    std::fs::write(dir.join("sealed.eml"), sealed).unwrap();
    let domain = "hisp/keys/direct.lakeside.example";
    openssl(dir, &format!("cms -decrypt -in sealed.eml -recip {domain}.pem -inkey {domain}.key -out signed.eml")).unwrap();
    openssl(dir, "cms -verify -in signed.eml -CAfile hisp/keys/ca.pem -signer signer.pem -out wrapped.eml").unwrap();
    Certificate::read_all(&std::fs::read(dir.join("signer.pem")).unwrap()).unwrap().remove(0)
}
