//! What believing a recipient's certificate costs that is in the cache, beside one RSA-2048 verification.
//!
//! `rsa_verify`: the yardstick. `remembered`: what a message costs as a rule, because a verdict holds for a few seconds.
//! `validated`: the first message after that: the path verified, policies checked, the list on the shelf looked at.
//! `judged_anew`: the same when everything that was remembered has run out: certificate, anchors and rules are read from the
//! store again too.
//! Aim: 0.1 ms for each message. `cargo bench --bench trust`

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must say so")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use divan::Bencher;
use postern::{
    config::Config,
    crypto::MasterKey,
    domain::{Clock, DirectAddress, OffsetTime, OrgId, Timestamp, organization::OrganizationFile},
    observe::health::Health,
    pipeline::{Gateway, PostOffice, Settings},
    store::{Store, StoreOptions, blobs::Blobs, trust::AnchorKind},
    trust::{
        Anchors, Certificate, Policy,
        authority::{Authority, Binding, KeyKind, Order},
        discovery::{Believing, Judge},
    },
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    runtime::Runtime,
};

const RECIPIENT: &str = "pcp.demo@direct.clinic.example";
const DAY: Duration = Duration::from_hours(24);

fn main() {
    divan::main();
}

/// A clock that the bench moves.
struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

struct World {
    runtime: Runtime,
    gateway: Arc<Gateway>,
    org: OrgId,
    clock: Arc<Hand>,
    address: DirectAddress,
    certificate: Certificate,
    issuer: Certificate,
    _dir: tempfile::TempDir,
}

/// An authority below a root, whose list is served over HTTP and has 1,000 entries; and a recipient it certified.
fn world() -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let at = "2026-01-15T15:15:30Z".parse::<OffsetTime>().unwrap().at;
    let root = Authority::new("Bench root", KeyKind::Rsa(2048), at.minus(DAY), at.plus(DAY * 30)).unwrap();
    let address: DirectAddress = RECIPIENT.parse().unwrap();
    let (gateway, org, clock, dir, certificate) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/root.crl", listener.local_addr().unwrap());
        let order =
            Order { crl_url: Some(url), ..Order::new(Binding::Address(address.clone()), at.minus(DAY), at.plus(DAY * 20)) };
        let other = root.issue(&order).unwrap().certificate;
        let certificate = root.issue(&order).unwrap().certificate;
        let revoked: Vec<&Certificate> = std::iter::repeat_n(&other, 1_000).collect();
        let list = root.revocation_list(&revoked, at.minus(DAY), at.plus(DAY * 20)).unwrap();
        tokio::spawn(async move {
            while let Ok((mut tcp, _)) = listener.accept().await {
                let mut request = [0; 2_000];
                let _ = tcp.read(&mut request).await;
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", list.len());
                let _ = tcp.write_all(&[head.as_bytes(), &list].concat()).await;
            }
        });
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(at.micros())));
        let options = StoreOptions {
            url: format!("sqlite:{}", dir.path().join("bench.db").display()),
            connections: 4,
            master: MasterKey::generate().unwrap(),
        };
        let store = Store::open(options, Arc::clone(&clock) as _).await.unwrap();
        let file: OrganizationFile = toml::from_str("slug = \"north\"\nname = \"North\"\n").unwrap();
        let org = store.apply_organization(&file, &[]).await.unwrap();
        let anchor = root.certificate();
        store.import_anchor(org, AnchorKind::Anchor, anchor.der(), "anchor", anchor.valid_until()).await.unwrap();
        let names = certificate.valid_until();
        store.import_certificate(org, address.as_str(), certificate.der(), "recipient", names).await.unwrap();
        let mut config = Config::default();
        (config.discovery.dns, config.discovery.ldap) = (false, false);
        config.revocation.allow = vec!["127.0.0.0/8".parse().unwrap()];
        let blobs = Blobs::in_folder(&dir.path().join("blobs")).unwrap();
        let gateway = Gateway::new(store, blobs, PostOffice::new(vec![], None), Settings::from(&config), Health::default());
        gateway.recipient(org, &address).await.unwrap();
        (gateway, org, clock, dir, certificate)
    });
    World { runtime, gateway, org, clock, address, certificate, issuer: root.certificate().clone(), _dir: dir }
}

#[divan::bench]
fn rsa_verify(bencher: Bencher<'_, '_>) {
    let world = world();
    bencher.bench_local(|| assert!(world.certificate.is_signed_by(&world.issuer)));
}

#[divan::bench]
fn remembered(bencher: Bencher<'_, '_>) {
    let world = world();
    bencher.bench_local(|| {
        world.runtime.block_on(world.gateway.recipient(world.org, &world.address)).unwrap();
    });
}

#[divan::bench]
fn validated(bencher: Bencher<'_, '_>) {
    let world = world();
    let file: OrganizationFile = toml::from_str("slug = \"north\"\nname = \"North\"\n").unwrap();
    let strictness = file.trust.sending();
    let anchors = Anchors::new(vec![world.issuer.clone()]);
    let policy = Policy::under(&strictness, &anchors, &[]);
    let judge = Believing { inquirer: &world.gateway.inquirer, policy, address: &world.address, at: world.clock.now() };
    bencher.bench_local(|| {
        let trusted = world.runtime.block_on(judge.judge(&world.certificate)).unwrap();
        assert!(trusted.unchecked().is_empty());
    });
}

#[divan::bench(sample_count = 100, sample_size = 5)]
fn judged_anew(bencher: Bencher<'_, '_>) {
    let world = world();
    bencher.bench_local(|| {
        // Longer than any verdict is believed, and much shorter than the list holds.
        world.clock.0.fetch_add(6_000_000, Ordering::Relaxed);
        world.runtime.block_on(world.gateway.recipient(world.org, &world.address)).unwrap();
    });
}
