//! The signers of the federal test tool's "Send Direct" page, by the names it gives them. A good one is accepted and would be
//! answered `processed`; a bad one gets no answer of any kind. Each message takes the way a receiving server takes: who
//! says to have signed it, what issuers publish about that, then the verdict.

use postern::{
    crypto::der::{self, Node},
    domain::{Reason, Timestamp},
    seal::{Opening, Own, open, presented},
    trust::{
        Anchors, Certificate, Policy,
        authority::{Authority, Binding, Digest, Issued, KeyKind, Order},
    },
};

use super::world::{DAY, Forge, INNER, RECIPIENT, SENDER, address, now};
use crate::revocation::{
    issuer::Page,
    world::{HOUR, World},
};

/// What the receiving side makes of a message, under the default rules for receiving or under hard ones.
async fn verdict(world: &World, forge: &Forge, message: &[u8]) -> Option<Reason> {
    let own = [Own { certificate: forge.recipient.certificate.clone(), key: forge.recipient.key.clone().into() }];
    // The recipient's own certificate is of another authority; only signers are judged here.
    let anchors = Anchors::new(vec![world.root.certificate().clone()]);
    let policy = Policy::under(&world.strictness, &anchors, &world.intermediates);
    let shown = match presented(message, &own, policy.intermediates) {
        Ok(shown) => shown,
        Err(error) => return Some(error.reason()),
    };
    let known: Vec<Certificate> = policy.intermediates.iter().chain(&shown.carried).cloned().collect();
    let policy = Policy { intermediates: &known, ..policy };
    let gathered = world.inquirer.gather(&shown.signers, policy, now()).await;
    let rcpt = address(RECIPIENT);
    let opening = Opening { own: &own, policy: gathered.policy(policy), at: now(), rcpt: Some(&rcpt) };
    open(message, opening).err().map(|error| error.reason())
}

fn order(world: &World) -> Order {
    let binding = Binding::Address(address(SENDER));
    Order { key: KeyKind::Rsa(2048), ..Order { binding, ..world.order() } }
}

#[tokio::test]
async fn each_signer_of_the_federal_test_tool_is_judged_as_it_asks() {
    let mut world = World::new().await;
    let signed = |change: &dyn Fn(&mut Order)| {
        let mut wanted = order(&world);
        change(&mut wanted);
        world.root.issue(&wanted).unwrap()
    };
    let stranger = Authority::new("Another anchor", KeyKind::P256, now().minus(DAY), now().plus(DAY * 99)).unwrap();
    let middle = world.root.subordinate(&world.authority("Middle")).unwrap();
    world.publish("/root.crl", &[]);
    let at = |path: &str| Some(world.issuer.url(path));
    let revoked = signed(&|o| o.crl_url = at("/revoked.crl"));
    world.publish("/revoked.crl", &[&revoked.certificate]);
    world.issuer.put("/middle.cer", Page::of(middle.certificate().der()));
    let below = |path: &str| middle.issue(&Order { issuer_url: at(path), ..order(&world) }).unwrap();
    let cases: Vec<(&str, Issued, &str, Option<Reason>)> = vec![
        ("GOOD_CERT", signed(&|o| o.crl_url = at("/root.crl")), "", None),
        ("GOOD_CERT bound to the domain", signed(&|o| o.binding = Binding::Domain("direct.lab.example".into())), "", None),
        ("GOOD_ECDSA P-256", signed(&|o| o.key = KeyKind::P256), "", None),
        ("GOOD_ECDSA P-384", signed(&|o| o.key = KeyKind::P384), "-md sha384", None),
        ("3072", signed(&|o| o.key = KeyKind::Rsa(3072)), "", None),
        ("4096", signed(&|o| o.key = KeyKind::Rsa(4096)), "", None),
        ("NO_CRL", signed(&|_| {}), "", None),
        ("SHA-384", signed(&|_| {}), "-md sha384", None),
        ("SHA-512", signed(&|_| {}), "-md sha512", None),
        ("an issuer by AIA alone", below("/middle.cer"), "", None),
        (
            "INVALID",
            signed(&|o| o.binding = Binding::Address(address("somebody@direct.lab.example"))),
            "",
            Some(Reason::NotBound),
        ),
        ("INVALID, revoked", revoked, "", Some(Reason::Revoked)),
        ("EXPIRED", signed(&|o| o.until = now().minus(DAY)), "", Some(Reason::ExpiredCert)),
        ("DIFFERENT_TRUST_ANCHOR", stranger.issue(&order(&world)).unwrap(), "", Some(Reason::Untrusted)),
        ("BAD_AIA", below("/nowhere.cer"), "", Some(Reason::Untrusted)),
        ("WILD_CARD_DOMAIN", signed(&|o| o.binding = Binding::Domain("*.lab.example".into())), "", Some(Reason::NotBound)),
        ("the parent domain", signed(&|o| o.binding = Binding::Domain("lab.example".into())), "", Some(Reason::NotBound)),
        ("CERT_WITH_EMAIL_ADDRESS", signed(&|o| o.binding = Binding::SubjectOnly(address(SENDER))), "", Some(Reason::NotBound)),
        ("LESS_2048", signed(&|o| o.key = KeyKind::Rsa(1024)), "", Some(Reason::KeyAlgorithm)),
        ("INVALID_DIGEST", signed(&|_| {}), "-md sha1", Some(Reason::WeakAlgorithm)),
        ("a certificate signed with SHA-1", signed(&|o| o.digest = Digest::Sha1), "", Some(Reason::WeakAlgorithm)),
    ];
    for hard in [false, true] {
        if hard {
            world.strictness = postern::domain::strictness::TrustRules::default().sending();
        } else {
            world.strictness = postern::domain::strictness::TrustRules::default().receiving();
        }
        for (name, signer, options, expected) in &cases {
            let forge = Forge::new(signer.clone());
            let message = forge.message(INNER, options, "");
            assert_eq!(verdict(&world, &forge, &message).await, *expected, "{name}");
        }
    }
}

#[tokio::test]
async fn certificate_policies_are_asked_for_all_along_the_path_when_they_are_wanted() {
    const LEVEL_3: &str = "1.3.6.1.4.1.41179.1.3";
    const COVERED_ENTITY: &str = "1.3.6.1.4.1.41179.2.1";
    let mut world = World::new().await;
    world.strictness.certificate_policies = vec![LEVEL_3.to_owned(), "1.2.3".to_owned()];
    let middle = |policies: &[&str]| {
        let policies = policies.iter().map(|policy| (*policy).to_owned()).collect();
        let order = postern::trust::authority::AuthorityOrder { policies, ..world.authority("Middle") };
        world.root.subordinate(&order).unwrap()
    };
    let any = middle(&["2.5.29.32.0"]);
    let same = middle(&[LEVEL_3]);
    let none = middle(&[]);
    let other = middle(&["1.3.6.1.4.1.41179.1.1"]);
    for (case, by, policies, expected) in [
        ("asserted", &same, vec![LEVEL_3], None),
        ("among others", &same, vec!["1.9.9", LEVEL_3], None),
        ("under an authority that may say any", &any, vec![LEVEL_3], None),
        ("under an authority that was not given it", &none, vec![LEVEL_3], Some(Reason::Untrusted)),
        ("under an authority of another level", &other, vec![LEVEL_3], Some(Reason::Untrusted)),
        ("another", &same, vec!["1.3.6.1.4.1.41179.1.1"], Some(Reason::Untrusted)),
        ("none", &same, vec![], Some(Reason::Untrusted)),
        ("any, by the certificate itself", &same, vec!["2.5.29.32.0"], Some(Reason::Untrusted)),
    ] {
        let policies = policies.into_iter().map(str::to_owned).collect();
        let forge = Forge::new(by.issue(&Order { policies, ..order(&world) }).unwrap());
        forge.bench.file("middle.pem", by.certificate().pem().unwrap());
        let message = forge.message(INNER, "-certfile middle.pem", "");
        assert_eq!(verdict(&world, &forge, &message).await, expected, "{case}");
    }
    // As communities ask for it: a level of assurance and a category together.
    world.strictness.certificate_policies = vec![format!("{LEVEL_3}+{COVERED_ENTITY}")];
    for (case, policies, expected) in [
        ("both", vec![COVERED_ENTITY, LEVEL_3], None),
        ("the level alone", vec![LEVEL_3], Some(Reason::Untrusted)),
        ("the category alone", vec![COVERED_ENTITY], Some(Reason::Untrusted)),
    ] {
        let policies = policies.into_iter().map(str::to_owned).collect();
        let forge = Forge::new(any.issue(&Order { policies, ..order(&world) }).unwrap());
        forge.bench.file("middle.pem", any.certificate().pem().unwrap());
        let message = forge.message(INNER, "-certfile middle.pem", "");
        assert_eq!(verdict(&world, &forge, &message).await, expected, "{case}");
    }
}

/// A sound certificate with its validity replaced, signed again by its authority.
fn with_validity(world: &World, validity: &[&[u8]]) -> Vec<u8> {
    let sound = world.root.issue(&order(world)).unwrap().certificate;
    let whole = Node::only(sound.der()).unwrap().members().all().unwrap();
    let mut parts: Vec<Vec<u8>> = whole[0].members().all().unwrap().iter().map(|part| part.whole.to_vec()).collect();
    // version, serial, algorithm, issuer, validity
    parts[4] = der::sequence(validity).unwrap();
    let body = der::sequence(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let key = openssl::pkey::PKey::private_key_from_pem(world.root.key_pem().unwrap().as_bytes()).unwrap();
    let signature =
        openssl::sign::Signer::new(openssl::hash::MessageDigest::sha256(), &key).unwrap().sign_oneshot_to_vec(&body).unwrap();
    der::sequence(&[&body, whole[1].whole, &der::tlv(der::Tag::BitString, &[&[0], &signature]).unwrap()]).unwrap()
}

#[tokio::test]
async fn no_notbefore_and_no_notafter_make_no_certificate() {
    let world = World::new().await;
    let time = |at: Timestamp| {
        let text: String = at.utc().hl7().chars().take(14).collect();
        der::tlv(der::Tag::GeneralizedTime, &[text.as_bytes(), b"Z"]).unwrap()
    };
    let (from, until) = (time(now().minus(HOUR)), time(now().plus(HOUR)));
    assert!(Certificate::from_der(&with_validity(&world, &[&from, &until])).is_ok(), "with both it is one");
    for (case, validity) in
        [("NO_NOTAFTER", vec![from.as_slice()]), ("NO_NOTBEFORE", vec![until.as_slice()]), ("neither", vec![])]
    {
        assert!(Certificate::from_der(&with_validity(&world, &validity)).is_err(), "{case}");
    }
}

#[test]
fn an_extension_that_is_there_twice_makes_no_certificate() {
    let root = super::world::root();
    let name = |domain: &str| {
        let value = der::sequence(&[&der::tlv(der::implicit(2), &[domain.as_bytes()]).unwrap()]).unwrap();
        postern::trust::authority::Extension { id: "2.5.29.17", critical: false, value }
    };
    let twice = vec![name("direct.lab.example")];
    let order = Order { extensions: twice, ..super::world::order(Binding::Address(address(SENDER))) };
    let error = root.issue(&order).err().map(|error| error.to_string());
    assert!(error.as_deref().is_some_and(|error| error.contains("twice")), "{error:?}");
}

#[test]
fn an_rsa_key_that_hides_nothing_is_refused() {
    let modulus = openssl::rsa::Rsa::generate(2048).unwrap().n().to_owned().unwrap();
    let small = |number: u32| openssl::bn::BigNum::from_u32(number).unwrap();
    let mut huge = openssl::bn::BigNum::new().unwrap();
    huge.rand(1_024, openssl::bn::MsbOption::ONE, true).unwrap();
    for (case, exponent, sound) in [
        ("65537", small(65_537), true),
        ("3", small(3), true),
        ("1", small(1), false),
        ("even", small(65_536), false),
        ("of a thousand bits", huge, false),
    ] {
        let key = openssl::rsa::Rsa::from_public_components(modulus.to_owned().unwrap(), exponent).unwrap();
        let key = openssl::pkey::PKey::from_rsa(key).unwrap();
        let authority = super::world::root();
        let signer = openssl::pkey::PKey::private_key_from_pem(authority.key_pem().unwrap().as_bytes()).unwrap();
        let mut builder = openssl::x509::X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&openssl::asn1::Asn1Time::from_unix(1_700_000_000).unwrap()).unwrap();
        builder.set_not_after(&openssl::asn1::Asn1Time::from_unix(1_900_000_000).unwrap()).unwrap();
        builder.sign(&signer, openssl::hash::MessageDigest::sha256()).unwrap();
        let certificate = Certificate::from_der(&builder.build().to_der().unwrap()).unwrap();
        assert_eq!(postern::trust::checks::key(&certificate).is_ok(), sound, "{case}");
    }
}
