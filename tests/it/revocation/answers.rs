//! OCSP answers: from a server of ours that says anything, and from `openssl ocsp`.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use postern::{
    domain::{Clock as _, Reason},
    observe::SystemClock,
    trust::{
        Certificate,
        authority::{
            Authority, Binding, Digest, Issued, KeyKind, Order, Usage,
            published::{AnswerOrder, answer},
        },
        revocation::Standing,
    },
};

use super::{
    issuer::Page,
    world::{DAY, HOUR, START, World, recipient},
};

impl World {
    fn answered(&self, path: &str) -> Issued {
        self.root.issue(&Order { ocsp_url: Some(self.issuer.url(path)), ..self.order() }).unwrap()
    }

    fn says(&self, path: &str, about: &Certificate, order: &AnswerOrder<'_>) {
        self.issuer.put(path, Page::of(answer(&self.root, about, order).unwrap()));
    }
}

fn fresh(standing: Standing) -> AnswerOrder<'static> {
    AnswerOrder::new(standing, START.minus(HOUR), START.plus(HOUR))
}

#[tokio::test]
async fn what_the_responder_says_counts() {
    for (standing, expected) in
        [(Standing::Good, None), (Standing::Revoked, Some(Reason::Revoked)), (Standing::Unknown, Some(Reason::TrustUnavailable))]
    {
        let world = World::new().await;
        let certificate = world.answered("/ocsp").certificate;
        world.says("/ocsp", &certificate, &fresh(standing));
        assert_eq!(world.reason(&certificate).await, expected, "{standing:?}");
    }
}

#[tokio::test]
async fn only_answers_of_the_issuer_or_of_whom_it_appointed_count() {
    let world = World::new().await;
    let issue = |authority: &Authority, usage, days: u32| {
        let order = Order { usage, from: START.minus(DAY * 9), until: START.minus(DAY * 5).plus(DAY * days), ..world.order() };
        authority.issue(&order).unwrap()
    };
    let stranger = Authority::new("Root", KeyKind::P256, START.minus(DAY * 30), START.plus(DAY * 30)).unwrap();
    let appointed = issue(&world.root, Usage::OcspSigning, 9);
    let lapsed = issue(&world.root, Usage::OcspSigning, 1);
    let mailer = issue(&world.root, Usage::Dual, 9);
    let foreign = issue(&stranger, Usage::OcspSigning, 9);
    let weak = world.root.issue(&Order { usage: Usage::OcspSigning, digest: Digest::Sha1, ..world.order() }).unwrap();
    let short = world.root.issue(&Order { usage: Usage::OcspSigning, key: KeyKind::Rsa(1024), ..world.order() }).unwrap();
    let good = fresh(Standing::Good);
    let by = |responder| AnswerOrder { responder: Some(responder), ..good.clone() };
    let cases = [
        ("the issuer itself", good.clone(), true),
        ("the issuer, without its certificate", AnswerOrder { with_certificate: false, ..good.clone() }, true),
        ("an appointed responder", by(&appointed), true),
        ("an appointed responder nobody can name", AnswerOrder { with_certificate: false, ..by(&appointed) }, false),
        ("a responder whose certificate has expired", by(&lapsed), false),
        ("somebody with a certificate for mail", by(&mailer), false),
        ("a responder of a namesake", by(&foreign), false),
        ("a responder whose certificate is signed with SHA-1", by(&weak), false),
        ("a responder with a short key", by(&short), false),
        ("signed with SHA-1", AnswerOrder { digest: Digest::Sha1, ..good.clone() }, false),
        ("of yesterday", AnswerOrder { from: START.minus(DAY), until: Some(START.minus(HOUR)), ..good.clone() }, false),
        ("of tomorrow", AnswerOrder { from: START.plus(DAY), until: Some(START.plus(DAY * 2)), ..good.clone() }, false),
        ("just given, with no next one promised", AnswerOrder { until: None, ..good.clone() }, false),
        ("given now, with no next one promised", AnswerOrder { from: START, until: None, ..good.clone() }, true),
    ];
    for (case, order, counts) in cases {
        let world = World { root: Authority::from_pem(&pem(&world.root).0, &pem(&world.root).1).unwrap(), ..World::new().await };
        let certificate = world.answered("/ocsp").certificate;
        world.says("/ocsp", &certificate, &order);
        let expected = if counts { None } else { Some(Reason::TrustUnavailable) };
        assert_eq!(world.reason(&certificate).await, expected, "{case}");
    }
}

fn pem(authority: &Authority) -> (Vec<u8>, Vec<u8>) {
    (authority.certificate().pem().unwrap().into_bytes(), authority.key_pem().unwrap().into_bytes())
}

#[tokio::test]
async fn an_answer_about_somebody_else_says_nothing() {
    let world = World::new().await;
    let (asked, other) = (world.answered("/ocsp").certificate, world.answered("/ocsp").certificate);
    world.says("/ocsp", &other, &fresh(Standing::Good));
    assert_eq!(world.reason(&asked).await, Some(Reason::TrustUnavailable));
    let namesake = Authority::new("Root", KeyKind::P256, START.minus(DAY), START.plus(DAY)).unwrap();
    world.issuer.put("/ocsp2", Page::of(answer(&namesake, &asked, &fresh(Standing::Good)).unwrap()));
    let asked = world.answered("/ocsp2").certificate;
    assert_eq!(world.reason(&asked).await, Some(Reason::TrustUnavailable));
}

#[tokio::test]
async fn a_list_is_preferred_and_a_responder_asked_when_no_list_can_be_had() {
    let world = World::new().await;
    let both = |list: &str, ocsp: &str| {
        let (crl_url, ocsp_url) = (Some(world.issuer.url(list)), Some(world.issuer.url(ocsp)));
        world.root.issue(&Order { crl_url, ocsp_url, ..world.order() }).unwrap().certificate
    };
    let first = both("/root.crl", "/ocsp");
    world.publish("/root.crl", &[]);
    assert_eq!(world.reason(&first).await, None);
    assert_eq!((world.issuer.asked("/root.crl"), world.issuer.asked("/ocsp")), (1, 0));

    let second = both("/gone.crl", "/ocsp2");
    world.says("/ocsp2", &second, &fresh(Standing::Revoked));
    assert_eq!(world.reason(&second).await, Some(Reason::Revoked));

    let third = both("/slow.crl", "/ocsp3");
    world.issuer.put("/slow.crl", Page::slow("", Duration::from_secs(6)));
    world.says("/ocsp3", &third, &fresh(Standing::Good));
    assert_eq!(world.reason(&third).await, None, "a slow list leaves time for the responder");
}

#[tokio::test]
async fn an_answer_is_kept_until_it_runs_out() {
    let world = World::new().await;
    let certificate = world.answered("/ocsp").certificate;
    world.says("/ocsp", &certificate, &fresh(Standing::Good));
    for _ in 0..3 {
        assert_eq!(world.reason(&certificate).await, None);
    }
    assert_eq!(world.issuer.asked("/ocsp"), 1);
    world.clock.pass(HOUR * 2);
    let revoked = AnswerOrder::new(Standing::Revoked, world.now(), world.now().plus(HOUR));
    world.says("/ocsp", &certificate, &revoked);
    assert_eq!(world.reason(&certificate).await, Some(Reason::Revoked));
    assert_eq!(world.issuer.asked("/ocsp"), 2);
}

/// `openssl ocsp`, which knows these certificates.
struct Responder {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Responder {
    fn start(port: u16, root: &Authority, signer: &Issued, known: &[(&Certificate, bool)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut index = String::new();
        for (certificate, revoked) in known {
            let serial: String = certificate.serial().iter().fold(String::new(), |mut text, octet| {
                write!(text, "{octet:02X}").unwrap();
                text
            });
            let (mark, date) = if *revoked { ('R', "260101000000Z") } else { ('V', "") };
            writeln!(index, "{mark}\t360101000000Z\t{date}\t{serial}\tunknown\t/CN=x").unwrap();
        }
        let file = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
        file("index.txt", &index);
        file("ca.pem", &root.certificate().pem().unwrap());
        file("signer.pem", &signer.certificate.pem().unwrap());
        file("signer.key", &signer.key_pem().unwrap());
        let line = format!(
            "ocsp -port {port} -index index.txt -CA ca.pem -rsigner signer.pem -rkey signer.key -rmd sha256 -nmin 60 -ignore_err"
        );
        let mut command = Command::new("openssl");
        command.current_dir(dir.path()).args(line.split(' ')).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        // It serves one connection after the other: only what it says itself tells that it is ready.
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("ACCEPT"), "openssl ocsp does not listen: {said}");
        Self { child, _dir: dir }
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn the_responder_of_openssl_is_understood_and_understands_us() {
    let world = World::new().await;
    // It goes by the clock of the machine.
    let now = SystemClock.now();
    world.clock.set(now);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let order = Order {
        ocsp_url: Some(format!("http://127.0.0.1:{port}/")),
        key: KeyKind::P256,
        ..Order::new(Binding::Address(recipient()), now.minus(DAY), now.plus(DAY * 30))
    };
    let issue = || world.root.issue(&order).unwrap().certificate;
    let (good, revoked, unknown) = (issue(), issue(), issue());
    let signer = world.root.issue(&Order { usage: Usage::OcspSigning, ocsp_url: None, ..order.clone() }).unwrap();
    let _responder = Responder::start(port, &world.root, &signer, &[(&good, false), (&revoked, true)]);
    assert_eq!(world.choose(&[&good]).await.map(|_| ()).map_err(|error| error.to_string()), Ok(()));
    assert_eq!(world.reason(&revoked).await, Some(Reason::Revoked));
    assert_eq!(world.reason(&unknown).await, Some(Reason::TrustUnavailable));
}
