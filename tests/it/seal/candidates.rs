//! Choosing the certificate to seal to.

use postern::{
    domain::Reason,
    trust::{
        Anchors, Certificate, Crls, Policy, Revocation, TrustError, Trusted,
        authority::{Authority, Binding, Digest, KeyKind, Order, Usage},
        choose,
    },
};

use super::world::{DAY, RECIPIENT, address, now, order, root};

fn pick(candidates: &[Certificate], crls: &Crls, revocation: Revocation) -> Result<Trusted, TrustError> {
    let anchors = Anchors::new(vec![root().certificate().clone()]);
    let policy = Policy { crls, revocation, ..Policy::new(&anchors, &[]) };
    choose(candidates, policy, &address(RECIPIENT), now())
}

fn candidate(change: impl FnOnce(&mut Order)) -> Certificate {
    let mut wanted = order(Binding::Address(address(RECIPIENT)));
    change(&mut wanted);
    root().issue(&wanted).unwrap().certificate
}

#[test]
fn each_fault_of_a_candidate_has_its_reason() {
    let stranger = Authority::new("Test root", KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap();
    let cases: Vec<(&str, Option<Certificate>, Option<Reason>)> = vec![
        ("none at all", None, Some(Reason::NoCert)),
        ("sound", Some(candidate(|_| {})), None),
        ("bound to the domain", Some(candidate(|o| o.binding = Binding::Domain("direct.clinic.example".into()))), None),
        ("RSA 2048", Some(candidate(|o| o.key = KeyKind::Rsa(2048))), None),
        ("RSA 3072", Some(candidate(|o| o.key = KeyKind::Rsa(3072))), None),
        ("P-384 signed with SHA-384", Some(candidate(|o| (o.key, o.digest) = (KeyKind::P384, Digest::Sha384))), None),
        ("without key usage", Some(candidate(|o| o.usage = Usage::Unstated)), None),
        ("for encryption only", Some(candidate(|o| o.usage = Usage::Encrypt)), None),
        ("for signing only", Some(candidate(|o| o.usage = Usage::Sign)), Some(Reason::KeyUsage)),
        ("for web servers", Some(candidate(|o| o.usage = Usage::WebServer)), Some(Reason::KeyUsage)),
        ("EC for signing only", Some(candidate(|o| (o.key, o.usage) = (KeyKind::P256, Usage::Sign))), Some(Reason::KeyUsage)),
        ("expired", Some(candidate(|o| o.until = now().minus(DAY))), Some(Reason::ExpiredCert)),
        ("of tomorrow", Some(candidate(|o| o.from = now().plus(DAY))), Some(Reason::ExpiredCert)),
        ("RSA 1024", Some(candidate(|o| o.key = KeyKind::Rsa(1024))), Some(Reason::KeyAlgorithm)),
        ("P-521", Some(candidate(|o| o.key = KeyKind::P521)), Some(Reason::KeyAlgorithm)),
        ("signed with SHA-1", Some(candidate(|o| o.digest = Digest::Sha1)), Some(Reason::WeakAlgorithm)),
        (
            "of a colleague",
            Some(candidate(|o| o.binding = Binding::Address(address("x@direct.clinic.example")))),
            Some(Reason::NotBound),
        ),
        (
            "of the parent domain",
            Some(candidate(|o| o.binding = Binding::Domain("clinic.example".into()))),
            Some(Reason::NotBound),
        ),
        ("of a wildcard", Some(candidate(|o| o.binding = Binding::Domain("*.clinic.example".into()))), Some(Reason::NotBound)),
        (
            "with the address in the subject",
            Some(candidate(|o| o.binding = Binding::SubjectOnly(address(RECIPIENT)))),
            Some(Reason::NotBound),
        ),
        (
            "of a stranger",
            Some(stranger.issue(&order(Binding::Address(address(RECIPIENT)))).unwrap().certificate),
            Some(Reason::Untrusted),
        ),
    ];
    for (case, certificate, expected) in cases {
        let chosen = pick(certificate.as_slice(), &Crls::default(), Revocation::Soft);
        assert_eq!(chosen.err().map(|error| error.reason()), expected, "{case}");
    }
}

#[test]
fn the_valid_one_among_several_is_taken_and_lasts_as_long_as_its_path() {
    let good = candidate(|_| {});
    let longer = candidate(|o| o.until = now().plus(DAY * 400));
    let all = [candidate(|o| o.until = now().minus(DAY)), good.clone(), longer.clone(), candidate(|o| o.usage = Usage::Sign)];
    let chosen = pick(&all, &Crls::default(), Revocation::Soft).unwrap();
    assert_eq!(chosen.fingerprint(), longer.fingerprint());
    assert_eq!(chosen.valid_until(), longer.valid_until());
    assert!(chosen.is_valid_at(now()) && !chosen.is_valid_at(longer.valid_until()));
    assert_eq!(chosen.path().certificates().len(), 2);

    let mut crls = Crls::default();
    crls.add(&root().revocation_list(&[&longer], now().minus(DAY), now().plus(DAY)).unwrap()).unwrap();
    let chosen = pick(&all, &crls, Revocation::Soft).unwrap();
    assert_eq!(chosen.fingerprint(), good.fingerprint(), "the revoked one is passed over");
}

#[test]
fn of_several_faults_the_most_telling_is_reported() {
    let other = candidate(|o| o.binding = Binding::Domain("other.example".into()));
    let expired = candidate(|o| o.until = now().minus(DAY));
    for all in [[other.clone(), expired.clone()], [expired, other]] {
        assert_eq!(pick(&all, &Crls::default(), Revocation::Soft).unwrap_err().reason(), Reason::ExpiredCert);
    }
}
