//! Issuers that a path lacks.

use std::time::{Duration, Instant};

use openssl::{pkcs7::Pkcs7, stack::Stack, x509::X509};
use postern::{
    domain::{Class, Reason, statement::StatementKind},
    store::statement::StatementKey,
    trust::{
        Anchors, Certificate, Policy,
        authority::{Authority, AuthorityOrder, Issued, KeyKind, Order},
    },
};

use super::{
    issuer::Page,
    world::{DAY, START, World, recipient},
};

impl World {
    /// A certificate of the authority `by`, whose own certificate is said to be at `path`.
    fn leads_to(&self, by: &Authority, path: &str) -> Issued {
        by.issue(&Order { issuer_url: Some(self.issuer.url(path)), ..self.order() }).unwrap()
    }

    fn middle(&self, name: &str) -> Authority {
        self.root.subordinate(&self.authority(name)).unwrap()
    }

    async fn kept(&self, path: &str) -> bool {
        let key = StatementKey { kind: StatementKind::Issuer, url: self.issuer.url(path), about: String::new() };
        self.store.statement(&key).await.unwrap().is_some()
    }
}

/// A PKCS#7 that holds nothing but certificates.
fn p7b(certificates: &[&Certificate]) -> Pkcs7 {
    let mut stack = Stack::new().unwrap();
    for certificate in certificates {
        stack.push(X509::from_der(certificate.der()).unwrap()).unwrap();
    }
    // The signer is of no interest here: only the certificates are.
    let signer = Authority::new("Nobody", KeyKind::P256, START, START.plus(DAY)).unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(signer.key_pem().unwrap().as_bytes()).unwrap();
    let x509 = X509::from_der(signer.certificate().der()).unwrap();
    Pkcs7::sign(&x509, &key, &stack, b"", openssl::pkcs7::Pkcs7Flags::BINARY).unwrap()
}

#[tokio::test]
async fn d18_an_issuer_only_reachable_by_aia_completes_the_path() {
    let world = World::new().await;
    let (middle, other) = (world.middle("Middle"), world.middle("Another"));
    let end = world.leads_to(&middle, "/middle.cer").certificate;
    let set = p7b(&[other.certificate(), middle.certificate()]);
    for (form, body) in [
        ("DER", middle.certificate().der().to_vec()),
        ("PEM", middle.certificate().pem().unwrap().into_bytes()),
        ("p7c", set.to_der().unwrap()),
        ("p7b in PEM", set.to_pem().unwrap()),
    ] {
        let world = World { root: again(&world.root), issuer: world.issuer.clone(), ..World::new().await };
        world.issuer.put("/middle.cer", Page::of(body));
        let chosen = world.choose(&[&end]).await.unwrap_or_else(|error| panic!("{form}: {error}"));
        assert_eq!(chosen.path().certificates().len(), 3, "{form}");
        assert!(world.kept("/middle.cer").await, "{form}: others need not fetch it");
        let asked = world.issuer.asked("/middle.cer");
        assert!(world.choose_by(&world.neighbour().await, &[&end]).await.is_ok());
        assert_eq!(world.issuer.asked("/middle.cer"), asked, "{form}: another process has it from the store");
    }
}

fn again(authority: &Authority) -> Authority {
    let pem = authority.certificate().pem().unwrap();
    Authority::from_pem(pem.as_bytes(), authority.key_pem().unwrap().as_bytes()).unwrap()
}

#[tokio::test]
async fn what_is_known_already_is_not_asked_for() {
    let mut world = World::new().await;
    let middle = world.middle("Middle");
    let end = world.leads_to(&middle, "/middle.cer").certificate;
    world.intermediates = vec![middle.certificate().clone()];
    assert_eq!(world.reason(&end).await, None);
    assert_eq!(world.issuer.asked_at_all(), 0);
}

#[tokio::test]
async fn two_steps_up_are_climbed_and_a_climb_without_end_is_given_up() {
    let world = World::new().await;
    let put = |path: &str, authority: &Authority| world.issuer.put(path, Page::of(authority.certificate().der()));
    let below = |above: &Authority, name: &str, path: &str| {
        above.subordinate(&AuthorityOrder { issuer_url: Some(world.issuer.url(path)), ..world.authority(name) }).unwrap()
    };
    let first = world.middle("First");
    let second = below(&first, "Second", "/first.cer");
    put("/first.cer", &first);
    put("/second.cer", &second);
    assert_eq!(world.reason(&world.leads_to(&second, "/second.cer").certificate).await, None);

    // Seven authorities above each other are more than anybody needs.
    let mut above = world.middle("Step 0");
    put("/step0", &above);
    for step in 1..8 {
        let next = below(&above, &format!("Step {step}"), &format!("/step{}", step - 1));
        put(&format!("/step{step}"), &next);
        above = next;
    }
    let end = world.leads_to(&above, "/step7").certificate;
    assert_eq!(world.reason(&end).await, Some(Reason::Untrusted));
    assert!(world.issuer.asked("/step0") == 0, "the climb was given up before its top");
}

#[tokio::test]
async fn authorities_that_vouch_for_each_other_lead_nowhere_and_end() {
    let world = World::new().await;
    let make = |name: &str| Authority::new(name, KeyKind::P256, START.minus(DAY * 9), START.plus(DAY * 99)).unwrap();
    let (one, other) = (make("One"), make("Other"));
    let at = |name: &str, path: &str| AuthorityOrder { issuer_url: Some(world.issuer.url(path)), ..world.authority(name) };
    let one_by_other = other.certify(&one, &at("One", "/other.cer")).unwrap();
    let other_by_one = one.certify(&other, &at("Other", "/one.cer")).unwrap();
    world.issuer.put("/one.cer", Page::of(one_by_other.certificate().der()));
    world.issuer.put("/other.cer", Page::of(other_by_one.certificate().der()));
    let end = world.leads_to(&one, "/one.cer").certificate;
    assert_eq!(world.reason(&end).await, Some(Reason::Untrusted));
    assert!(world.issuer.asked_at_all() <= 4, "{}", world.issuer.asked_at_all());
    assert!(!world.kept("/one.cer").await, "what leads to no anchor is not kept");
}

#[tokio::test]
async fn unavailable_is_not_untrusted() {
    let world = World::new().await;
    let middle = world.middle("Middle");
    for (case, page, reason, class) in [
        ("the server fails", Some(Page::status(500)), Reason::TrustUnavailable, Class::Retry),
        ("the server is busy", Some(Page::status(429)), Reason::TrustUnavailable, Class::Retry),
        ("the server is slow", Some(Page::slow("", Duration::from_secs(9))), Reason::TrustUnavailable, Class::Retry),
        ("it is not there (BAD_AIA)", None, Reason::Untrusted, Class::Permanent),
        ("it is something else", Some(Page::of("<html>")), Reason::Untrusted, Class::Permanent),
        ("it is somebody else", Some(Page::of(world.root.certificate().der())), Reason::Untrusted, Class::Permanent),
    ] {
        let world = World { root: again(&world.root), ..World::new().await };
        if let Some(page) = page {
            world.issuer.put("/middle.cer", page);
        }
        let end = world.leads_to(&middle, "/middle.cer").certificate;
        let error = world.choose(&[&end]).await.unwrap_err();
        assert_eq!((error.reason(), error.class()), (reason, class), "{case}: {error}");
    }
    // Nobody listens at all.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let end = middle.issue(&Order { issuer_url: Some(format!("http://{gone}/")), ..world.order() }).unwrap().certificate;
    assert_eq!(world.reason(&end).await, Some(Reason::TrustUnavailable));
}

#[tokio::test]
async fn what_is_fetched_is_not_believed_by_itself() {
    let world = World::new().await;
    let stranger = Authority::new("Stranger", KeyKind::P256, START.minus(DAY), START.plus(DAY)).unwrap();
    let end = world.leads_to(&stranger, "/stranger.cer").certificate;
    world.issuer.put("/stranger.cer", Page::of(stranger.certificate().der()));
    assert_eq!(world.reason(&end).await, Some(Reason::Untrusted));
    assert!(!world.kept("/stranger.cer").await, "strangers cannot fill the store");
}

#[tokio::test]
async fn a_renewed_issuer_takes_the_place_of_one_that_has_expired() {
    let mut world = World::new().await;
    let old = AuthorityOrder { until: START.minus(DAY), ..world.authority("Middle") };
    let old = world.root.subordinate(&old).unwrap();
    let renewed = world.root.certify(&old, &world.authority("Middle")).unwrap();
    let end = world.leads_to(&old, "/middle.cer").certificate;
    world.intermediates = vec![old.certificate().clone()];
    assert_eq!(world.reason(&end).await, Some(Reason::ExpiredCert));
    world.issuer.put("/middle.cer", Page::of(renewed.certificate().der()));
    world.clock.pass(Duration::from_mins(2));
    assert_eq!(world.reason(&end).await, None);
}

#[tokio::test]
async fn a_path_that_fails_one_way_is_found_another_way() {
    let world = World::new().await;
    let stranger = Authority::new("Stranger", KeyKind::P256, START.minus(DAY), START.plus(DAY * 9)).unwrap();
    let middle = stranger.subordinate(&world.authority("Middle")).unwrap();
    let expired = world.root.certify(&middle, &AuthorityOrder { until: START.minus(DAY), ..world.authority("Middle") }).unwrap();
    let crossed = world.root.certify(&middle, &world.authority("Middle")).unwrap();
    let end = middle.issue(&world.order()).unwrap().certificate;
    let others: Vec<Certificate> = [&middle, &expired, &crossed].map(|authority| authority.certificate().clone()).to_vec();
    let world = World { intermediates: others, ..world };
    assert_eq!(world.reason(&end).await, None);
}

#[tokio::test]
async fn a_hundred_strangers_at_a_silent_server_keep_nobody_waiting_twice() {
    let world = World::new().await;
    let stranger = Authority::new("Stranger", KeyKind::P256, START.minus(DAY), START.plus(DAY)).unwrap();
    let (silent, _gate) = Page::held("");
    let ends: Vec<Certificate> = (0..100)
        .map(|n| {
            world.issuer.put(&format!("/{n}"), silent.clone());
            world.leads_to(&stranger, &format!("/{n}")).certificate
        })
        .collect();
    let began = Instant::now();
    for end in &ends {
        assert_eq!(world.reason(end).await, Some(Reason::TrustUnavailable));
    }
    // Its patience is two seconds: a hundred times that, if each had waited.
    assert!(began.elapsed() < Duration::from_mins(1), "{:?}", began.elapsed());
    assert!(world.issuer.most_open() <= 4, "{}", world.issuer.most_open());
}

#[tokio::test]
async fn anchors_may_be_intermediates_and_then_nobody_looks_above_them() {
    let world = World::new().await;
    let middle =
        world.root.subordinate(&AuthorityOrder { crl_url: Some(world.issuer.url("/gone")), ..world.authority("Middle") });
    let middle = middle.unwrap();
    let end = middle.issue(&world.order()).unwrap().certificate;
    let anchors = Anchors::new(vec![middle.certificate().clone()]);
    let policy = Policy::under(&world.strictness, &anchors, &[]);
    let chosen = world.inquirer.choose(&[end], policy, &recipient(), world.now()).await.unwrap();
    assert_eq!(chosen.path().certificates().len(), 2);
    assert_eq!(world.issuer.asked_at_all(), 0);
}
