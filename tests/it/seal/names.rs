//! Names that look like the one that counts. A certificate is bound by an rfc822Name that is the address or a dNSName that is
//! its domain, octet for octet but for case; whatever else stands in it binds nobody, whoever the signer or recipient is.

use postern::{
    crypto::der,
    domain::Reason,
    trust::{
        Anchors, Certificate, Policy,
        authority::{Binding, Extension, Issued},
        choose,
    },
};

use super::world::{Forge, INNER, SENDER, address, now, order, root};

/// Tags of a GeneralName (RFC 5280 4.2.1.6).
const EMAIL: u8 = 1;
const DNS: u8 = 2;
const URI: u8 = 6;
const IP: u8 = 7;

/// Names of a certificate, each with its kind.
type Names<'a> = &'a [(u8, &'a [u8])];

/// A certificate whose subjectAltName holds these, and whose subject holds the address.
fn named(names: &[(u8, &[u8])]) -> Issued {
    let names: Vec<Vec<u8>> = names.iter().map(|(tag, name)| der::tlv(der::implicit(*tag), &[*name]).unwrap()).collect();
    let parts: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
    let mut wanted = order(Binding::SubjectOnly(address(SENDER)));
    wanted.extensions = vec![Extension { id: "2.5.29.17", critical: false, value: der::sequence(&parts).unwrap() }];
    root().issue(&wanted).unwrap()
}

/// As a recipient to seal to.
fn as_recipient(certificate: &Certificate) -> Option<Reason> {
    let anchors = Anchors::new(vec![root().certificate().clone()]);
    let chosen = choose(std::slice::from_ref(certificate), Policy::new(&anchors, &[]), &address(SENDER), now());
    chosen.err().map(|error| error.reason())
}

/// As the signer of a message.
fn as_signer(issued: Issued) -> Option<Reason> {
    let forge = Forge::new(issued);
    forge.desk().open(&forge.message(INNER, "", "")).err().map(|error| error.reason())
}

#[test]
fn only_the_address_itself_and_exactly_its_domain_bind_a_certificate() {
    let us = SENDER.as_bytes();
    let not_bound = Some(Reason::NotBound);
    let cases: [(&str, Names<'_>, Option<Reason>); 21] = [
        ("the address", &[(EMAIL, us)], None),
        ("the address in capitals", &[(EMAIL, b"RESULTS@DIRECT.LAB.EXAMPLE")], None),
        ("the domain", &[(DNS, b"direct.lab.example")], None),
        ("the address after another", &[(EMAIL, b"other@direct.lab.example"), (EMAIL, us)], None),
        ("the domain beside a stranger's", &[(DNS, b"other.example"), (DNS, b"direct.lab.example")], None),
        ("another address of the domain", &[(EMAIL, b"other@direct.lab.example")], not_bound),
        ("the domain as an address", &[(EMAIL, b"direct.lab.example")], not_bound),
        ("the address as a domain", &[(DNS, us)], not_bound),
        ("the domain with the root's dot", &[(DNS, b"direct.lab.example.")], not_bound),
        ("the domain with a dot before it", &[(DNS, b".direct.lab.example")], not_bound),
        ("every host of the domain", &[(DNS, b"*.direct.lab.example")], not_bound),
        ("a wild card that takes the domain in", &[(DNS, b"*.lab.example")], not_bound),
        ("every domain", &[(DNS, b"*")], not_bound),
        ("a domain that ends like it", &[(DNS, b"indirect.lab.example")], not_bound),
        ("a domain that begins like it", &[(DNS, b"direct.lab.example.evil.example")], not_bound),
        ("the address with a tag", &[(EMAIL, b"results+x@direct.lab.example")], not_bound),
        ("the address with a name", &[(EMAIL, b"Lab <results@direct.lab.example>")], not_bound),
        ("the address with a space", &[(EMAIL, b"results@direct.lab.example ")], not_bound),
        // Whoever compares as C does stops at the zero.
        ("a zero after the address", &[(EMAIL, b"results@direct.lab.example\0.evil.example")], not_bound),
        ("the address as a URI", &[(URI, b"mailto:results@direct.lab.example")], not_bound),
        ("an IP address", &[(IP, &[192, 0, 2, 1])], not_bound),
    ];
    for (case, names, expected) in cases {
        let issued = named(names);
        assert_eq!(as_recipient(&issued.certificate), expected, "to seal to: {case}");
        assert_eq!(as_signer(issued), expected, "to have signed: {case}");
    }
}
