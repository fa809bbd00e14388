//! What a peer uses to us changes how the next message to its domain is sealed; nothing else does.

use std::{path::Path, process::Command, time::Duration};

use postern::{
    domain::{DeliveryId, OrgScope, organization::SendMode},
    sandbox::practice::Practice,
    seal::Own,
};

use super::world::{DOMAIN, Tracking, US};
use crate::store::world::World;

const STA: SendMode = SendMode::StaRelay;
/// With which openssl seals as a peer does that knows the newer ways.
const NEWER: &str = "-aes-256-gcm|-keyopt rsa_padding_mode:oaep -keyopt rsa_oaep_md:sha256";
const OLDER: &str = "-aes-128-cbc|";
/// What is believed lasts a few seconds.
const LATER: Duration = Duration::from_secs(10);

fn openssl(dir: &Path, line: &str) {
    let done = Command::new("openssl").current_dir(dir).args(line.split_whitespace()).output().unwrap();
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

/// How a peer's message is made.
struct Peer<'a> {
    from: &'a str,
    signer: &'a Own,
    encrypt: &'a str,
    signed: bool,
}

impl Tracking<'_> {
    /// A letter to us, made by openssl; it says nothing of what its sender can do, it only does it.
    async fn letter(&self, peer: &Peer<'_>) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| std::fs::write(dir.path().join(name), text).unwrap();
        let organization = self.world.store.organization(self.org).await.unwrap().unwrap();
        write("us.pem", organization.identities[0].certificate.as_ref().unwrap().as_bytes());
        write("sender.pem", peer.signer.certificate.pem().unwrap().as_bytes());
        let postern::seal::OwnKey::Memory(key) = &peer.signer.key else { panic!("a key on a token") };
        write("sender.key", &key.private_key_to_pem_pkcs8().unwrap());
        let id = uuid::Uuid::now_v7();
        let headers = format!("From: {}\r\nTo: {US}\r\nMessage-ID: <{id}@{DOMAIN}>\r\n", peer.from);
        let date = "Date: Thu, 15 Jan 2026 10:15:30 -0500";
        let inner = format!(
            "Content-Type: message/rfc822\r\n\r\n{headers}{date}\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx\r\n"
        );
        write("wrapped.eml", inner.as_bytes());
        if peer.signed {
            let sign =
                "cms -sign -in wrapped.eml -crlfeol -md sha256 -nosmimecap -signer sender.pem -inkey sender.key -out signed.eml";
            openssl(dir.path(), sign);
        } else {
            write("signed.eml", inner.as_bytes());
        }
        let (before, after) = peer.encrypt.split_once('|').unwrap();
        openssl(dir.path(), &format!("cms -encrypt -binary -in signed.eml {before} -out body.eml -recip us.pem {after}"));
        [headers.as_bytes(), &std::fs::read(dir.path().join("body.eml")).unwrap()].concat()
    }

    /// With which algorithms a delivery was sealed.
    async fn sealed_with(&self, id: DeliveryId) -> String {
        self.world.store.sealed_with(OrgScope::One(self.org), id).await.unwrap().unwrap().to_string()
    }

    /// Sends another result and says with which algorithms; the recipient's side could open it.
    async fn next(&self, order_id: &str, address: &str) -> String {
        self.world.pass(LATER).await;
        let before = self.mailboxes.list(None).unwrap().len();
        let id = self.submit(order_id, &[address]).await.remove(0);
        let entries = self.mailboxes.list(None).unwrap();
        assert_eq!(entries.len(), before + 1);
        let newest = entries.iter().max_by_key(|entry| entry.id).unwrap();
        self.mailboxes.inner(newest).expect("the practice HISP opens it");
        self.sealed_with(id).await
    }
}

on_both_engines! {
    async fn what_a_peer_used_to_us_is_used_to_its_domain_from_the_next_message_on_and_is_never_lowered(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let to = format!("nomdn@{DOMAIN}");
        assert_eq!(t.next("A1", &to).await, "aes-256-cbc pkcs1 sha-256", "until it has shown anything");
        let signer = t.practice.domain(DOMAIN).unwrap();
        let from = format!("doctor@{DOMAIN}");
        let newer = Peer { from: &from, signer: &signer, encrypt: NEWER, signed: true };
        t.take(t.mail(t.letter(&newer).await)).await;
        assert_eq!(world.texts("SELECT verdict FROM inbound").await, ["letter"]);
        let taught: Vec<_> = world.store.peers(OrgScope::All).await.unwrap().into_iter().map(|peer| (peer.org, peer.domain)).collect();
        assert_eq!(taught, [(t.org, DOMAIN.to_owned())], "the organization it came to, and no other");
        assert_eq!(t.next("A2", &to).await, "aes-256-gcm oaep-sha256 sha-256");
        assert_eq!(t.next("A3", "nomdn@direct.elsewhere.example").await, "aes-256-cbc pkcs1 sha-256", "another domain has shown nothing");

        t.take(t.mail(t.letter(&Peer { encrypt: OLDER, ..newer }).await)).await;
        assert_eq!(world.number("SELECT COUNT(*) FROM inbound WHERE verdict = 'letter'").await, 2);
        assert_eq!(t.next("A4", &to).await, "aes-256-gcm oaep-sha256 sha-256", "one old message takes nothing away");
    }

    async fn nothing_is_learnt_from_what_is_not_trusted_or_not_verified(world: &World) {
        let t = Tracking::open(world, STA, "").await;
        let from = format!("doctor@{DOMAIN}");
        let own = t.practice.domain(DOMAIN).unwrap();
        let stranger = Practice::stranger(&from.parse().unwrap(), &*world.clock).unwrap();
        let neighbour = t.practice.domain("direct.elsewhere.example").unwrap();
        let by = |signer, signed| Peer { from: &from, signer, encrypt: NEWER, signed };
        let mut changed = t.letter(&by(&own, true)).await;
        let place = changed.len() - 400;
        changed[place] = if changed[place] == b'A' { b'B' } else { b'A' };
        let mut outer = String::from_utf8(t.letter(&by(&own, true)).await).unwrap();
        outer = outer.replacen("doctor@", "another@", 1);
        for (case, raw) in [
            ("signed by a stranger", t.letter(&by(&stranger, true)).await),
            ("signed by another domain, which is trusted", t.letter(&by(&neighbour, true)).await),
            ("not signed", t.letter(&by(&own, false)).await),
            ("changed on the way", changed),
            ("under other headers", outer.into_bytes()),
        ] {
            t.take(t.mail(raw)).await;
            for domain in [DOMAIN, "direct.elsewhere.example"] {
                assert!(world.store.peer(t.org, domain).await.unwrap().is_none(), "{case}: {domain}");
            }
        }
        assert_eq!(world.number("SELECT COUNT(*) FROM inbound WHERE verdict = 'rejected'").await, 5);
        assert_eq!(t.next("A1", &format!("nomdn@{DOMAIN}")).await, "aes-256-cbc pkcs1 sha-256");
    }
}
