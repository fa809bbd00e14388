//! Certificates that are replaced: theirs, which we found, and ours, to which they seal.

use std::time::Duration;

use postern::{
    config::discovery::NameServer,
    crypto::Hex,
    domain::{DirectAddress, OrgId, Timestamp, identity::KeyUse, organization::SendMode},
    pipeline::Settings,
    seal::{Inner, KeySigner, Own, OwnKey, Profile, Seal, Sealer},
    store::identity_key::KeyPlace,
    trust::{
        Certificate, RecipientCertificate,
        authority::{Authority, Binding, Order},
        identity::generation,
    },
};

use super::world::{DOMAIN, Tracking, US, rules};
use crate::{
    store::world::World,
    support::bind::{Bind, cert},
};

const STA: SendMode = SendMode::StaRelay;
/// Nothing is imported for it: its certificate is in DNS.
const FOUND: &str = "direct.found.example";
const DAY: Duration = Duration::from_hours(24);

fn asking(bind: &Bind) -> Settings {
    let mut settings = rules();
    settings.discovery.dns = true;
    settings.discovery.resolvers = vec![NameServer(bind.address)];
    settings.discovery.allow = vec!["127.0.0.0/8".parse().unwrap()];
    settings
}

fn print(certificate: &Certificate) -> String {
    Hex(&certificate.fingerprint()).to_string()
}

/// The practice authority once more, to issue what it would not by itself.
fn authority(t: &Tracking<'_>) -> Authority {
    let read = |name: &str| std::fs::read(t.path("keys").join(name)).unwrap();
    Authority::from_pem(&read("ca.pem"), &read("ca.key")).unwrap()
}

on_both_engines! {
    async fn a_failure_at_the_receiving_side_makes_the_next_delivery_look_for_a_newer_certificate(world: &World) {
        let bind = Bind::start(&[(FOUND, String::new())]);
        let t = Tracking::open_by(world, STA, "[tracking]\nnotice_within = \"30s\"\n", asking(&bind)).await;
        let now = world.store.now().await.unwrap();
        let ca = authority(&t);
        let mut lasts = 100;
        let mut publish = |first: &Certificate| {
            lasts += 1;
            let order = Order::new(Binding::Domain(FOUND.to_owned()), now.minus(DAY), now.plus(DAY * lasts));
            let issued = ca.issue(&order).unwrap().certificate;
            bind.publish(FOUND, &cert("@", "PKIX", issued.der()));
            assert_ne!(first, &issued);
            print(&issued)
        };
        let first = t.practice.domain(FOUND).unwrap().certificate;
        bind.publish(FOUND, &cert("@", "PKIX", first.der()));

        let sealed_to = async |order: &str, local: &str| {
            let id = t.submit(order, &[&format!("{local}@{FOUND}")]).await.remove(0);
            (id, world.column(id, "certificate").await)
        };
        let (failed, to) = sealed_to("A1", "failed").await;
        assert_eq!(to, print(&first));
        let second = publish(&first);
        world.pass(Duration::from_secs(10)).await;
        assert_eq!(sealed_to("A2", "nomdn").await.1, print(&first), "it is kept for a minute, as DNS says");
        t.bring(1).await;
        assert_eq!(t.stands(failed).await, "accepted failed remote_failed charged");
        assert_eq!(sealed_to("A3", "nomdn").await.1, second, "the failure made it forgotten");

        // Silence is a failure too. The clock is moved by less than DNS lets an answer be kept.
        let third = publish(&first);
        world.pass(Duration::from_secs(25)).await;
        assert_eq!(sealed_to("A4", "nomdn").await.1, second);
        world.pass(Duration::from_secs(6)).await;
        assert!(t.gateway.expire_due().await.unwrap() >= 1);
        assert_eq!(sealed_to("A5", "nomdn").await.1, third, "so did the silence");
    }

    async fn mail_sealed_to_an_older_certificate_of_ours_opens_during_the_overlap_and_not_after_it(world: &World) {
        let mut settings = rules();
        settings.track.open_after_end.0 = DAY * 2;
        let t = Tracking::open_by(world, STA, "", settings).await;
        let now = world.store.now().await.unwrap();
        let us: DirectAddress = US.parse().unwrap();
        let ca = authority(&t);
        let issue = |from: Timestamp, until: Timestamp| ca.issue(&Order::new(Binding::Address(us.clone()), from, until)).unwrap();
        let (old, new) = (issue(now.minus(DAY * 300), now.plus(DAY)), issue(now.minus(DAY), now.plus(DAY * 300)));
        for issued in [&old, &new] {
            keep(world, t.org, &us, issued).await;
        }
        let own = async || -> Vec<Certificate> {
            world.pass(Duration::from_secs(10)).await;
            t.gateway.own(t.org, &us).await.unwrap().iter().map(|own| own.certificate.clone()).collect()
        };
        let arrives = async |id: &str| {
            let letter = t.sealed_to_us(&old.certificate, id);
            t.take(t.mail(letter)).await;
            world.texts("SELECT verdict FROM inbound ORDER BY received_at DESC, id DESC LIMIT 1").await.remove(0)
        };
        assert!(own().await.contains(&old.certificate));
        assert_eq!(arrives("1").await, "letter", "it is still good");
        world.pass(DAY * 2).await;
        assert!(own().await.contains(&old.certificate), "it has ended, and mail may be under way");
        assert_eq!(arrives("2").await, "letter");
        world.pass(DAY).await;
        let kept = own().await;
        assert!(!kept.contains(&old.certificate) && kept.contains(&new.certificate));
        assert_eq!(arrives("3").await, "rejected", "the overlap is over");
        let detail = world.texts("SELECT detail FROM inbound WHERE verdict = 'rejected'").await.remove(0);
        assert!(detail.starts_with("undecryptable"), "{detail}");
    }
}

async fn keep(world: &World, org: OrgId, us: &DirectAddress, issued: &postern::trust::authority::Issued) {
    let key = KeyPlace::Stored(issued.key_pem().unwrap().into_bytes().into());
    let new = generation(us, KeyUse::Both, &issued.certificate, &[], key).unwrap();
    world.store.keep_identity_key(org, &new).await.unwrap();
}

impl Tracking<'_> {
    /// A letter from a peer, sealed to this certificate of ours.
    fn sealed_to_us(&self, certificate: &Certificate, id: &str) -> Vec<u8> {
        let Own { certificate: own, key: OwnKey::Memory(key) } = self.practice.domain(DOMAIN).unwrap() else {
            panic!("a key on a token")
        };
        let signer = KeySigner::new(own, vec![], key).unwrap();
        let at = certificate.valid_until().minus(Duration::from_hours(1));
        let recipient = RecipientCertificate::checked(certificate.clone(), &US.parse().unwrap(), at).unwrap();
        let inner = format!(
            "From: doctor@{DOMAIN}\r\nTo: {US}\r\nDate: Thu, 15 Jan 2026 10:15:30 -0500\r\nMessage-ID: <{id}@{DOMAIN}>\r\n\
             Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nx\r\n"
        );
        let mut sealed = Vec::new();
        let with = Seal { signer: &signer, recipient: &recipient, profile: Profile::default(), at };
        Sealer::new().seal_inner(&Inner::parse(inner.as_bytes()).unwrap(), with, &mut sealed).unwrap();
        sealed
    }
}
