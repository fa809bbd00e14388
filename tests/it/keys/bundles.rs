//! Bundles as communities publish them, made by `openssl`; and as attackers would like them.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use postern::trust::{
    Certificate,
    authority::{Authority, Binding, Digest, KeyKind, Order, Usage},
    bundle::{self, Content},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::bench::{DAY, authority, issue, now, openssl, order};
use crate::{
    admin::world::World,
    support::{command::command, installation::wait_for},
};

/// A folder with `count` anchors, `anchor0.pem` and so on.
struct Community {
    dir: tempfile::TempDir,
    anchors: Vec<Authority>,
}

impl Community {
    fn of(count: usize) -> Self {
        let community = Self {
            dir: tempfile::tempdir().unwrap(),
            anchors: (0..count).map(|number| authority(&format!("Anchor {number}"))).collect(),
        };
        for (number, anchor) in community.anchors.iter().enumerate() {
            community.write(&format!("anchor{number}.pem"), anchor.certificate().pem().unwrap());
        }
        community
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path().join(name)).unwrap()
    }

    /// An unsigned bundle of the anchors `from..to`.
    fn bundle(&self, range: std::ops::Range<usize>, form: &str) -> Vec<u8> {
        let files = range.map(|number| format!("-certfile anchor{number}.pem")).collect::<Vec<_>>().join(" ");
        openssl(self.path(), &format!("crl2pkcs7 -nocrl -outform {form} -out bundle.p7b {files}")).unwrap();
        self.read("bundle.p7b")
    }

    /// The same signed by a certificate of its own, which is returned.
    fn signed(&self, range: std::ops::Range<usize>, options: &str) -> (Vec<u8>, Certificate) {
        self.bundle(range, "DER");
        let order = Order { key: KeyKind::Rsa(2048), ..order("signer@bundles.example", Usage::Sign, 1, 300) };
        let signer = authority("Bundles").issue(&order).unwrap();
        self.write("signer.pem", signer.certificate.pem().unwrap());
        self.write("signer.key", signer.key_pem().unwrap());
        let line = "cms -sign -binary -nodetach -outform DER -in bundle.p7b -signer signer.pem -inkey signer.key -out bundle.p7m";
        openssl(self.path(), &format!("{line} {options}")).unwrap();
        (self.read("bundle.p7m"), signer.certificate)
    }

    fn all(&self, content: &Content) -> bool {
        content.anchors.len() == self.anchors.len()
            && self.anchors.iter().all(|anchor| content.anchors.contains(anchor.certificate()))
    }
}

fn problem(bytes: &[u8], signer: Option<&Certificate>) -> String {
    bundle::read(bytes, signer, now()).unwrap_err().to_string()
}

#[test]
fn der_pem_certificates_and_signed_bundles_give_the_same_anchors() {
    let community = Community::of(3);
    let pem: String = community.anchors.iter().map(|anchor| anchor.certificate().pem().unwrap()).collect();
    let (signed, signer) = community.signed(0..3, "-md sha256");
    let (stream, other) = community.signed(0..3, "-md sha384 -stream -nocerts");
    for (what, bytes, signer) in [
        ("DER", community.bundle(0..3, "DER"), None),
        ("PEM", community.bundle(0..3, "PEM"), None),
        ("certificates", pem.into_bytes(), None),
        ("signed, no signer set", signed.clone(), None),
        ("signed", signed, Some(&signer)),
        ("streamed, without the signer's certificate", stream, Some(&other)),
    ] {
        let content = bundle::read(&bytes, signer, now()).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(community.all(&content) && content.left_out.is_empty(), "{what}: {content:?}");
    }
}

#[test]
fn only_the_pinned_signer_signs() {
    let community = Community::of(2);
    let (signed, signer) = community.signed(0..2, "-md sha256");
    let (_, other) = community.signed(0..2, "-md sha256");
    assert!(problem(&signed, Some(&other)).contains("not signed by the signer"));
    assert!(problem(&community.bundle(0..2, "DER"), Some(&signer)).contains("is not signed"));
    assert!(problem(community.anchors[0].certificate().der(), Some(&signer)).contains("is not signed"));
    // One octet of what is signed.
    let place = signed.windows(7).position(|window| window == b"Anchor ").unwrap();
    let mut changed = signed.clone();
    changed[place] = b'a';
    assert!(bundle::read(&changed, Some(&signer), now()).is_err());
    let (weak, weakly) = community.signed(0..2, "-md sha1");
    assert!(problem(&weak, Some(&weakly)).contains("no longer allowed"));
    // An anchor slipped in beside the signature is protected by nothing.
    let evil = authority("Evil");
    community.write("evil.pem", evil.certificate().pem().unwrap());
    let (stuffed, stuffer) = community.signed(0..2, "-md sha256 -certfile evil.pem");
    let content = bundle::read(&stuffed, Some(&stuffer), now()).unwrap();
    assert!(community.all(&content), "{content:?}");
    let late = bundle::read(&signed, Some(&signer), now().plus(DAY * 301));
    assert!(late.unwrap_err().to_string().contains("not valid at"), "a signer that is out of date");
}

#[test]
fn garbage_loops_and_floods_are_refused() {
    let community = Community::of(2);
    let (signed, _) = community.signed(0..2, "-md sha256");
    community.write("bundle.p7b", &signed);
    openssl(
        community.path(),
        "cms -sign -binary -nodetach -outform DER -in bundle.p7b -signer signer.pem -inkey signer.key -out twice.p7m",
    )
    .unwrap();
    assert!(problem(&community.read("twice.p7m"), None).contains("signed once more"));
    openssl(
        community.path(),
        "cms -sign -binary -outform DER -in bundle.p7b -signer signer.pem -inkey signer.key -out detached.p7s",
    )
    .unwrap();
    assert!(problem(&community.read("detached.p7s"), None).contains("covers no certificates"));
    community.write("text", "no bundle");
    openssl(
        community.path(),
        "cms -sign -binary -nodetach -outform DER -in text -signer signer.pem -inkey signer.key -out text.p7m",
    )
    .unwrap();
    assert!(problem(&community.read("text.p7m"), None).contains("is no PKCS#7"));
    openssl(community.path(), "cms -encrypt -binary -outform DER -in text -out secret.p7m anchor0.pem").ok();
    let good = community.bundle(0..2, "DER");
    for cut in [0, 1, 10, 100, good.len() / 2, good.len() - 1] {
        assert!(bundle::read(&good[..cut], None, now()).is_err(), "{cut}");
    }
    let deep: Vec<u8> = std::iter::repeat_n([0x30, 0x80], 100_000).flatten().collect();
    let pem = community.anchors[0].certificate().pem().unwrap();
    let key = issue(&community.anchors[0], Usage::Dual, 1, 9).key_pem().unwrap();
    for (bytes, says) in [
        (deep, "is no PKCS#7"),
        (vec![0x30; 9 << 20], "larger than 8 MiB"),
        (pem.repeat(5_001).into_bytes(), "more than 5000"),
        ((pem.clone() + &key).into_bytes(), "does not belong into it"),
        ((String::from_utf8(community.bundle(0..1, "PEM")).unwrap() + &pem).into_bytes(), "several things"),
        (b"-----BEGIN ".to_vec(), ""),
        (b"<html>captive portal</html>".to_vec(), "is no PKCS#7"),
        (Vec::new(), ""),
    ] {
        let problem = problem(&bytes, None);
        assert!(problem.contains(says), "{says}: {problem}");
    }
    assert_eq!(bundle::read(pem.repeat(4_000).as_bytes(), None, now()).unwrap().anchors.len(), 1, "the same many times is one");
}

#[test]
fn what_cannot_be_an_anchor_is_left_out_and_an_empty_bundle_is_none() {
    let community = Community::of(1);
    let ca = &community.anchors[0];
    let until = now().minus(DAY);
    let expired = Authority::new("Old", KeyKind::P256, now().minus(DAY * 400), until).unwrap();
    let weak = Authority::new("Weak", KeyKind::Rsa(1024), now().minus(DAY), now().plus(DAY)).unwrap();
    let person = issue(ca, Usage::Dual, 1, 300);
    let poor: Vec<String> = [person.certificate.clone(), expired.certificate().clone(), weak.certificate().clone()]
        .iter()
        .map(|certificate| certificate.pem().unwrap())
        .collect();
    let content = bundle::read((poor.concat() + &ca.certificate().pem().unwrap()).as_bytes(), None, now()).unwrap();
    assert!(community.all(&content));
    assert_eq!(content.left_out.len(), 3, "{:?}", content.left_out);
    assert!(problem(poor.concat().as_bytes(), None).contains("no anchor that can be used"));
    // Issuers that issued each other are two anchors, and no loop.
    let sha1 =
        Order { digest: Digest::Sha1, ..Order::new(Binding::Domain("d.example".into()), now().minus(DAY), now().plus(DAY)) };
    assert!(bundle::read(ca.issue(&sha1).unwrap().certificate.der(), None, now()).is_err());
}

/// A server that answers every request with what it holds.
async fn server(holds: Arc<Mutex<Vec<u8>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut request = [0; 4_000];
            let _ = tcp.read(&mut request).await;
            let body = holds.lock().unwrap().clone();
            let status = if body.is_empty() { "503 Service Unavailable" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = tcp.write_all(&[head.as_bytes(), &body].concat()).await;
        }
    });
    format!("http://127.0.0.1:{port}/bundle.p7m")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_published_bundle_is_refreshed_by_one_gateway_and_does_not_shrink_without_a_person() {
    let community = Community::of(5);
    let world = World::with("slug = \"north\"\nname = \"North\"\n");
    let (first, signer) = community.signed(0..5, "-md sha256");
    world.write("signer.pem", signer.pem().unwrap());
    let holds = Arc::new(Mutex::new(first));
    let url = server(Arc::clone(&holds)).await;
    let import = [
        "trust",
        "bundles",
        "import",
        "--organization",
        "north",
        "--name",
        "community",
        "--use",
        "send",
        "--url",
        &url,
        "--signer",
        "signer.pem",
    ];
    let outside = world.run(&import);
    assert!(outside.code == 2 && outside.err.contains("https://"), "{}", outside.err);
    world.good(&[&import[..], &["--internal"]].concat());
    let listed = || world.json(&["trust", "bundles", "list"])[0].clone();
    assert_eq!((&listed()["anchors"], &listed()["error"]), (&5.into(), &serde_json::Value::Null));
    let anchors = world.json(&["trust", "anchors", "list"]);
    assert!(anchors.as_array().unwrap().iter().all(|row| row["bundle"] == "community" && row["use"] == "send"));

    let sign_again = |files: &[usize]| {
        let files = files.iter().map(|number| format!("-certfile anchor{number}.pem")).collect::<Vec<_>>().join(" ");
        openssl(community.path(), &format!("crl2pkcs7 -nocrl -outform DER -out bundle.p7b {files}")).unwrap();
        let line = "cms -sign -binary -nodetach -outform DER -in bundle.p7b -signer signer.pem -inkey signer.key -out bundle.p7m";
        openssl(community.path(), line).unwrap();
        community.read("bundle.p7m")
    };
    let refresh = ["trust", "bundles", "refresh", "--organization", "north", "community"];
    // Down, broken, signed by nobody: what is in force stays.
    for broken in [Vec::new(), b"<html>".to_vec(), community.bundle(0..5, "DER")] {
        *holds.lock().unwrap() = broken;
        world.bad(&refresh);
        assert_eq!(listed()["anchors"], 5);
        assert!(listed()["error"].is_string() && listed()["age_seconds"].is_number(), "{}", listed());
    }
    *holds.lock().unwrap() = sign_again(&[0, 1, 2, 3]);
    assert!(world.good(&refresh).out.contains("4 anchors, 0 new, 1 gone"), "one in five may go");
    *holds.lock().unwrap() = sign_again(&[0, 1]);
    assert!(world.bad(&refresh).err.contains("--accept-shrink"));
    assert_eq!((&listed()["anchors"], &listed()["shrunk_to"]), (&4.into(), &2.into()));
    assert!(world.good(&["trust", "bundles", "list"]).out.contains("waits for you"));
    world.good(&[&refresh[..], &["--accept-shrink"]].concat());
    assert_eq!((&listed()["anchors"], &listed()["shrunk_to"]), (&2.into(), &serde_json::Value::Null));

    // The gateway does it by itself when it is time.
    *holds.lock().unwrap() = sign_again(&[0, 1, 4]);
    let store = world.store().await;
    let lease =
        postern::store::lease::Lease { owner: postern::domain::id::ProcessId::new(), length: std::time::Duration::from_secs(30) };
    let other = postern::store::lease::Lease { owner: postern::domain::id::ProcessId::new(), ..lease };
    let stop = tokio_util::sync::CancellationToken::new();
    assert_eq!(bundle::refresh::refresh_due(&store, &lease, &stop).await.unwrap(), 0, "it is not time");
    let late = world.store_at(Arc::new(crate::support::clock::TestClock::at(now().plus(DAY * 2)))).await;
    assert_eq!(bundle::refresh::refresh_due(&late, &lease, &stop).await.unwrap(), 1);
    assert_eq!(listed()["anchors"], 3);
    assert_eq!(bundle::refresh::refresh_due(&store, &other, &stop).await.unwrap(), 0, "another process has the lease");
    assert!(world.bad(&["trust", "bundles", "remove", "--organization", "north", "nobody"]).err.contains("no such bundle"));
    world.good(&["trust", "bundles", "remove", "--organization", "north", "community"]);
    assert_eq!(world.json(&["trust", "anchors", "list"]), serde_json::json!([]));
}

/// A server that takes the connection and says nothing.
async fn silent() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((tcp, _)) = listener.accept().await {
            held.push(tcp);
        }
    });
    format!("http://127.0.0.1:{port}/bundle.p7m")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_bundle_that_meets_a_defect_and_one_whose_server_is_silent_keep_no_other_from_being_refreshed() {
    let community = Community::of(2);
    let world = World::with("slug = \"north\"\nname = \"North\"\n");
    let holds = Arc::new(Mutex::new(community.bundle(0..1, "PEM")));
    let url = server(Arc::clone(&holds)).await;
    for name in ["defect", "mute", "sound"] {
        let import = ["trust", "bundles", "import", "--organization", "north", "--name", name, "--internal", "--url", &url];
        world.good(&import);
    }
    // All are due at once, in this order.
    let raw = sqlx::SqlitePool::connect(&format!("sqlite:{}", world.path("postern.db").display())).await.unwrap();
    for (place, name) in ["defect", "mute", "sound"].iter().enumerate() {
        let place = i64::try_from(place).unwrap();
        sqlx::query("UPDATE trust_bundle SET next_at = $1 WHERE name = $2").bind(place).bind(name).execute(&raw).await.unwrap();
    }
    sqlx::query("UPDATE trust_bundle SET url = $1 WHERE name = 'mute'").bind(silent().await).execute(&raw).await.unwrap();
    *holds.lock().unwrap() = community.bundle(0..2, "PEM");

    let mut serve = command(world.dir.path());
    serve.args(["serve", "--only", "worker"]).env("POSTERN_FAILPOINT", "bundle_due:1:panic");
    let mut serving = serve.stderr(std::process::Stdio::null()).stdout(std::process::Stdio::null()).spawn().unwrap();
    let listed = || world.json(&["trust", "bundles", "list"]).as_array().unwrap().clone();
    let refreshed = wait_for("a refreshed bundle", || {
        let all = listed();
        let noted = all[0]["error"].is_string() && all[2]["anchors"] == 2;
        noted.then_some(all)
    });
    serving.kill().unwrap();
    serving.wait().unwrap();
    let all = refreshed.unwrap_or_else(|| panic!("{:?}", listed()));
    assert!(all[0]["error"].as_str().unwrap().contains("because of a defect"), "{all:?}");
    assert_eq!((&all[0]["anchors"], &all[1]["anchors"], &all[1]["error"]), (&1.into(), &1.into(), &serde_json::Value::Null));
    // It is tried again, and not at once.
    let due: i64 = sqlx::query_scalar("SELECT next_at FROM trust_bundle WHERE name = 'defect'").fetch_one(&raw).await.unwrap();
    assert!(due > now().micros(), "{due}");
}

#[test]
fn a_bundle_from_a_file_is_guarded_too() {
    let community = Community::of(3);
    let world = World::with("slug = \"north\"\nname = \"North\"\n");
    world.write("all.p7b", community.bundle(0..3, "DER"));
    world.write("less.p7b", community.bundle(0..1, "PEM"));
    let import = ["trust", "bundles", "import", "--organization", "north", "--name", "community"];
    world.good(&[&import[..], &["all.p7b"]].concat());
    assert!(world.bad(&[&import[..], &["less.p7b"]].concat()).err.contains("would lose 2 of its 3 anchors"));
    world.good(&[&import[..], &["--accept-shrink", "less.p7b"]].concat());
    let refresh = world.bad(&["trust", "bundles", "refresh", "--organization", "north", "community"]);
    assert!(refresh.err.contains("import the newer file"), "{}", refresh.err);
}
