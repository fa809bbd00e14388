//! What peers show, what is learnt from it, and what is set by hand.

use postern::{
    domain::{
        OrgScope,
        profile::{Cipher, Digest, KeyTransport, Profile, Shown},
    },
    seal::{Inner, KeySigner, Opening, Own, Seal, Sealer, Verified, open, shown},
    trust::{
        Anchors, Policy, RecipientCertificate,
        authority::{Authority, Issued, KeyKind, Order, Usage},
    },
};

use super::bench::{ADDRESS, authority, now, openssl, order};
use crate::support::installation::Installation;

const PEER: &str = "pcp@direct.clinic.example";
/// The organization of an installation.
const SLUG: &str = "north";

struct Mail {
    dir: tempfile::TempDir,
    ca: Authority,
    sender: Issued,
    us: Issued,
}

impl Mail {
    fn new(ours: KeyKind) -> Self {
        let ca = authority("CA");
        let sender = ca.issue(&Order { key: KeyKind::Rsa(2048), ..order(PEER, Usage::Dual, 1, 300) }).unwrap();
        let us = ca.issue(&Order { key: ours, ..order(ADDRESS, Usage::Dual, 1, 300) }).unwrap();
        let mail = Self { dir: tempfile::tempdir().unwrap(), ca, sender, us };
        let write = |name: &str, text: String| std::fs::write(mail.dir.path().join(name), text).unwrap();
        write("sender.pem", mail.sender.certificate.pem().unwrap());
        write("sender.key", mail.sender.key_pem().unwrap());
        write("us.pem", mail.us.certificate.pem().unwrap());
        let inner = format!(
            "Content-Type: message/rfc822\r\n\r\nFrom: {PEER}\r\nTo: {ADDRESS}\r\nDate: Thu, 15 Jan 2026 10:15:30 -0500\r\n\
             Message-ID: <a@direct.clinic.example>\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx\r\n"
        );
        write("wrapped.eml", inner);
        mail
    }

    /// What a message made by `openssl` shows.
    fn shows(&self, sign: &str, encrypt: &str) -> Shown {
        let dir = self.dir.path();
        let line = format!("cms -sign -in wrapped.eml -crlfeol -signer sender.pem -inkey sender.key {sign} -out signed.eml");
        openssl(dir, &line).unwrap();
        // -keyopt belongs to the recipient before it.
        let (before, after) = encrypt.split_once('|').unwrap_or((encrypt, ""));
        openssl(dir, &format!("cms -encrypt -binary -in signed.eml {before} -out body.eml -recip us.pem {after}")).unwrap();
        let headers = format!("From: {PEER}\r\nTo: {ADDRESS}\r\nMessage-ID: <a@direct.clinic.example>\r\n");
        let message = [headers.as_bytes(), &std::fs::read(dir.join("body.eml")).unwrap()].concat();
        shown(&self.open(&message))
    }

    fn open(&self, message: &[u8]) -> Verified {
        let anchors = Anchors::new(vec![self.ca.certificate().clone()]);
        let policy = Policy::new(&anchors, &[]);
        let own = [Own { certificate: self.us.certificate.clone(), key: self.us.key.clone().into() }];
        open(message, Opening { own: &own, policy, at: now(), rcpt: Some(&ADDRESS.parse().unwrap()) }).unwrap()
    }
}

fn told(key_transport: Option<KeyTransport>, cipher: Option<Cipher>, digest: Digest) -> Shown {
    Shown { key_transport, cipher, digest: Some(digest) }
}

#[test]
fn mail_by_openssl_shows_what_it_used_and_what_it_says_it_can() {
    let mail = Mail::new(KeyKind::Rsa(2048));
    let oaep256 = "-aes-128-cbc|-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256";
    let pkcs1 = Some(KeyTransport::Pkcs1);
    // OpenSSL's capabilities begin with AES-256-CBC; with -nosmimecap it says nothing.
    for (sign, encrypt, expected) in [
        ("-md sha256 -nosmimecap", "-aes-128-cbc", told(pkcs1, Some(Cipher::Aes128Cbc), Digest::Sha256)),
        ("-md sha256", "-aes-128-cbc", told(pkcs1, Some(Cipher::Aes256Cbc), Digest::Sha256)),
        ("-md sha384 -nosmimecap", "-aes-256-gcm", told(pkcs1, Some(Cipher::Aes256Gcm), Digest::Sha384)),
        ("-md sha256 -nosmimecap", "-aes-192-cbc", told(pkcs1, None, Digest::Sha256)),
        ("-md sha256 -nosmimecap", oaep256, told(Some(KeyTransport::OaepSha256), Some(Cipher::Aes128Cbc), Digest::Sha256)),
        (
            "-md sha512 -nosmimecap",
            "-aes-256-cbc|-keyopt rsa_padding_mode:oaep",
            told(Some(KeyTransport::OaepSha1), Some(Cipher::Aes256Cbc), Digest::Sha512),
        ),
        ("-md sha256 -noattr", "-aes-256-cbc", told(pkcs1, Some(Cipher::Aes256Cbc), Digest::Sha256)),
    ] {
        assert_eq!(mail.shows(sign, encrypt), expected, "{sign} {encrypt}");
    }
    let curve = Mail::new(KeyKind::P256);
    assert_eq!(curve.shows("-md sha256 -nosmimecap", "-aes-256-cbc"), told(None, Some(Cipher::Aes256Cbc), Digest::Sha256));
}

#[test]
fn our_own_mail_shows_that_we_open_gcm_and_oaep() {
    let mail = Mail::new(KeyKind::Rsa(2048));
    let signer = KeySigner::new(mail.sender.certificate.clone(), vec![], mail.sender.key.clone()).unwrap();
    let recipient = RecipientCertificate::checked(mail.us.certificate.clone(), &ADDRESS.parse().unwrap(), now()).unwrap();
    let text = std::fs::read_to_string(mail.dir.path().join("wrapped.eml")).unwrap();
    let inner = Inner::parse(text.split_once("\r\n\r\n").unwrap().1.as_bytes()).unwrap();
    let mut sealed = Vec::new();
    let with = Seal { signer: &signer, recipient: &recipient, profile: Profile::default(), at: now() };
    let evidence = Sealer::new().seal_inner(&inner, with, &mut sealed).unwrap().with;
    assert_eq!(evidence.to_string(), "aes-256-cbc pkcs1 sha-256");
    let shows = shown(&mail.open(&sealed));
    assert_eq!((shows.cipher, shows.key_transport), (Some(Cipher::Aes256Gcm), Some(KeyTransport::OaepSha1)));
}

/// What `openssl` says about the envelope of a message.
fn envelope(installation: &Installation, local_part: &str) -> String {
    let dir = installation.dir.path();
    std::fs::write(dir.join("sealed.eml"), installation.sealed_to(local_part)).unwrap();
    openssl(dir, "cms -cmsout -print -noout -in sealed.eml").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_is_met_as_it_is_set_or_as_it_has_shown_and_openssl_opens_it() {
    let installation = Installation::open("", None).await;
    let serving = installation.serve(None, None);
    let config = postern::config::load(Some(&installation.dir.path().join("postern.toml")), &[]).unwrap().config;
    let master = postern::crypto::MasterKey::from_file(&installation.dir.path().join("keys/master.key")).unwrap();
    let options = postern::store::StoreOptions { url: config.store.url.expose().to_owned(), connections: 2, master };
    let store = postern::store::Store::open(options, std::sync::Arc::new(postern::observe::SystemClock)).await.unwrap();
    let org = async |slug: &str| store.organization_by_slug(OrgScope::All, slug).await.unwrap().unwrap().id;
    let learnt = Shown { key_transport: Some(KeyTransport::OaepSha256), cipher: None, digest: None };
    // Whatever another organization has made of it: it believes whom it likes.
    std::fs::write(installation.dir.path().join("south.toml"), "slug = \"south\"\nname = \"South\"\n").unwrap();
    installation.postern(&["org", "apply", "south.toml"]);
    assert!(store.learn(org("south").await, "direct.lakeside.example", learnt).await.unwrap());
    let with = |delivery: &serde_json::Value| {
        installation.json(&["delivery", "show", delivery["id"].as_str().unwrap()])["sealed_with"].clone()
    };
    installation.submit(&serving, 1, "pcp1").await.unwrap();
    installation.settled(1);
    let words = envelope(&installation, "pcp1");
    assert!(words.contains("aes-256-cbc") && !words.contains("rsaesOaep"), "a stranger gets what everybody opens:\n{words}");
    assert_eq!(with(&installation.deliveries()[0]), "aes-256-cbc pkcs1 sha-256");

    // It has shown more.
    assert!(store.learn(org(SLUG).await, "direct.lakeside.example", learnt).await.unwrap());
    let listed = installation.json(&["trust", "peers", "list", "--organization", SLUG]);
    assert_eq!((&listed[0]["organization"], &listed[0]["key_transport"]), (&SLUG.into(), &"oaep-sha256".into()), "{listed}");
    assert_eq!(installation.json(&["trust", "peers", "list"]).as_array().unwrap().len(), 2);
    tokio::time::sleep(std::time::Duration::from_millis(5500)).await;
    installation.submit(&serving, 2, "pcp2").await.unwrap();
    installation.settled(2);
    let words = envelope(&installation, "pcp2");
    assert!(words.contains("aes-256-cbc") && words.contains("rsaesOaep") && words.contains("sha256"), "{words}");

    // Forgotten, it is a stranger again.
    installation.postern(&["trust", "peers", "forget", "--organization", SLUG, "direct.lakeside.example"]);
    assert_eq!(installation.json(&["trust", "peers", "list", "--organization", SLUG]), serde_json::json!([]));

    // What is set wins.
    let file = installation.dir.path().join("north.toml");
    let set = "[[peer]]\ndomain = \"Direct.Lakeside.example\"\ncipher = \"aes-256-gcm\"\nkey_transport = \"oaep-sha1\"\n";
    let toml = std::fs::read_to_string(&file).unwrap().replace("[price]", &format!("{set}[price]"));
    std::fs::write(&file, toml).unwrap();
    installation.postern(&["org", "apply", "north.toml"]);
    tokio::time::sleep(std::time::Duration::from_millis(5500)).await;
    installation.submit(&serving, 3, "pcp3").await.unwrap();
    installation.settled(3);
    let words = envelope(&installation, "pcp3");
    assert!(words.contains("aes-256-gcm") && words.contains("rsaesOaep") && !words.contains("sha256 ("), "{words}");
    assert!(with(&installation.deliveries()[0]).as_str().unwrap().starts_with("aes-256-gcm oaep-sha1"));
    super::identities::signer(installation.dir.path(), &installation.sealed_to("pcp3"));
}
