//! `openssl verify` as an independent judge of paths and revocation: over a table of chains it and we must agree, except
//! where we are stricter on purpose, and then the table says so.

use std::{path::Path, process::Command, time::Duration};

use postern::{
    crypto::der,
    domain::Reason,
    trust::{
        Anchors, Certificate, Crls, Policy, Revocation, Sourceless,
        authority::{Authority, AuthorityOrder, Binding, Digest, Extension, KeyKind, Order, published},
        choose,
    },
};

use super::world::{DAY, HOUR, START, recipient};

/// A chain, the list of each of its authorities, and what is to come of it.
struct Chain {
    case: &'static str,
    end: Certificate,
    others: Vec<Certificate>,
    anchor: Certificate,
    lists: Vec<Vec<u8>>,
    ours: Option<Reason>,
    /// Whether OpenSSL believes it.
    theirs: bool,
}

/// Root, authority, end entity: what a case changes.
struct Makings {
    root: Authority,
    middle: AuthorityOrder,
    end: Order,
    revoke_middle: bool,
    revoke_end: bool,
    /// Gives the authority's list; `None` when there is none.
    list: fn(&Authority, &[&Certificate]) -> Option<Vec<u8>>,
    anchor_is_middle: bool,
    without_middle: bool,
    tampered: bool,
}

fn root() -> Authority {
    Authority::new("Agreement root", KeyKind::P256, START.minus(DAY * 99), START.plus(DAY * 999)).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "one of several ways to make a list, or none")]
fn whole(by: &Authority, revoked: &[&Certificate]) -> Option<Vec<u8>> {
    Some(by.revocation_list(revoked, START.minus(HOUR), START.plus(DAY)).unwrap())
}

impl Makings {
    fn new() -> Self {
        let end = Order::new(Binding::Address(recipient()), START.minus(DAY * 9), START.plus(DAY * 99));
        Self {
            root: root(),
            middle: AuthorityOrder::new("Agreement middle", START.minus(DAY * 50), START.plus(DAY * 500)),
            end: Order { key: KeyKind::P256, ..end },
            revoke_middle: false,
            revoke_end: false,
            list: whole,
            anchor_is_middle: false,
            without_middle: false,
            tampered: false,
        }
    }

    fn make(self, case: &'static str, ours: Option<Reason>, theirs: bool) -> Chain {
        let middle = self.root.subordinate(&self.middle).unwrap();
        let mut end = middle.issue(&self.end).unwrap().certificate;
        let by_root: &[&Certificate] = if self.revoke_middle { &[middle.certificate()] } else { &[] };
        let by_middle: &[&Certificate] = if self.revoke_end { &[&end] } else { &[] };
        let lists = [whole(&self.root, by_root), (self.list)(&middle, by_middle)].into_iter().flatten().collect();
        if self.tampered {
            let mut der = end.der().to_vec();
            let last = der.len() - 1;
            der[last] ^= 1;
            end = Certificate::from_der(&der).unwrap();
        }
        let anchor = if self.anchor_is_middle { middle.certificate() } else { self.root.certificate() }.clone();
        let others = if self.without_middle { vec![] } else { vec![middle.certificate().clone()] };
        Chain { case, end, others, anchor, lists, ours, theirs }
    }
}

fn name_constraints(permitted: &[u8]) -> Extension {
    let subtree = der::sequence(&[&der::tlv(der::implicit(1), &[permitted]).unwrap()]).unwrap();
    let value = der::sequence(&[&der::tlv(der::explicit(0), &[&subtree]).unwrap()]).unwrap();
    Extension { id: "2.5.29.30", critical: true, value }
}

fn strange(critical: bool) -> Extension {
    Extension { id: "1.3.6.1.4.1.99999.1", critical, value: vec![5, 0] }
}

fn extended_usage(oid: &str) -> Extension {
    let value = der::sequence(&[&der::oid(der::ObjectIdentifier::new(oid).unwrap()).unwrap()]).unwrap();
    Extension { id: "2.5.29.37", critical: false, value }
}

/// The table.
fn chains() -> Vec<Chain> {
    let expired = Some(Reason::ExpiredCert);
    let untrusted = Some(Reason::Untrusted);
    let unknown = Some(Reason::TrustUnavailable);
    let make = |case, ours, theirs, change: &dyn Fn(&mut Makings)| {
        let mut makings = Makings::new();
        change(&mut makings);
        makings.make(case, ours, theirs)
    };
    vec![
        make("sound", None, true, &|_| {}),
        make("RSA 2048", None, true, &|m| m.end.key = KeyKind::Rsa(2048)),
        make("RSA authority", None, true, &|m| m.middle.key = KeyKind::Rsa(2048)),
        make("P-384 and SHA-384", None, true, &|m| (m.end.key, m.end.digest) = (KeyKind::P384, Digest::Sha384)),
        make("anchor is the authority", None, true, &|m| m.anchor_is_middle = true),
        make("end expired", expired, false, &|m| m.end.until = START.minus(DAY)),
        make("end of tomorrow", expired, false, &|m| m.end.from = START.plus(DAY)),
        make("authority expired", expired, false, &|m| m.middle.until = START.minus(DAY)),
        make("authority of tomorrow", expired, false, &|m| m.middle.from = START.plus(DAY)),
        make("expired anchor", expired, false, &|m| (m.middle.until, m.anchor_is_middle) = (START.minus(DAY), true)),
        make("no authority at hand", untrusted, false, &|m| m.without_middle = true),
        make("signature changed", untrusted, false, &|m| m.tampered = true),
        make("another root of that name", untrusted, false, &|_| {}).under(root().certificate()),
        make("authority without CA", untrusted, false, &|m| m.middle.ca = false),
        make("authority that may not sign", untrusted, false, &|m| m.middle.signs = false),
        make("path length 0 is enough", None, true, &|m| m.middle.path_length = Some(0)),
        make("permitted address", None, true, &|m| m.middle.extensions = vec![name_constraints(b"direct.clinic.example")]),
        make("forbidden address", untrusted, false, &|m| m.middle.extensions = vec![name_constraints(b"other.example")]),
        make("strange extension", None, true, &|m| m.end.extensions = vec![strange(false)]),
        make("strange critical extension", untrusted, false, &|m| m.end.extensions = vec![strange(true)]),
        make("strange critical extension above", untrusted, false, &|m| m.middle.extensions = vec![strange(true)]),
        make("end revoked", Some(Reason::Revoked), false, &|m| m.revoke_end = true),
        make("authority revoked", Some(Reason::Revoked), false, &|m| m.revoke_middle = true),
        make("no list", unknown, false, &|m| m.list = |_, _| None),
        make("list out of date", unknown, false, &|m| {
            m.list = |by, all| Some(by.revocation_list(all, START.minus(DAY * 2), START.minus(DAY)).unwrap());
        }),
        make("list of tomorrow", unknown, false, &|m| {
            m.list = |by, all| Some(by.revocation_list(all, START.plus(DAY), START.plus(DAY * 2)).unwrap());
        }),
        make("list of a namesake", unknown, false, &|m| {
            m.list = |_, all| {
                let other = Authority::new("Agreement middle", KeyKind::P256, START.minus(DAY), START.plus(DAY)).unwrap();
                whole(&other, all)
            };
        }),
        make("list with a critical extension", unknown, false, &|m| {
            m.list = |by, all| {
                let mut order = published::ListOrder::new(all, START.minus(HOUR), START.plus(DAY));
                order.extensions = vec![strange(true)];
                Some(published::list(by, &order).unwrap())
            };
        }),
        // Here we are stricter on purpose.
        make("SHA-1 signature on the end", Some(Reason::WeakAlgorithm), true, &|m| m.end.digest = Digest::Sha1),
        make("SHA-1 signature on the authority", Some(Reason::WeakAlgorithm), true, &|m| m.middle.digest = Digest::Sha1),
        make("list signed with SHA-1", unknown, true, &|m| {
            m.list = |by, all| {
                let order = published::ListOrder::new(all, START.minus(HOUR), START.plus(DAY));
                Some(published::list(by, &published::ListOrder { digest: Digest::Sha1, ..order }).unwrap())
            };
        }),
        make("list without nextUpdate", unknown, true, &|m| {
            m.list = |by, all| {
                let order = published::ListOrder::new(all, START.minus(HOUR), START.plus(DAY));
                Some(published::list(by, &published::ListOrder { until: None, ..order }).unwrap())
            };
        }),
        make("authority with RSA 1024", Some(Reason::KeyAlgorithm), true, &|m| m.middle.key = KeyKind::Rsa(1024)),
        make("authority with P-521", Some(Reason::KeyAlgorithm), true, &|m| m.middle.key = KeyKind::P521),
        make("end with RSA 1024", Some(Reason::KeyAlgorithm), true, &|m| m.end.key = KeyKind::Rsa(1024)),
        make("authority for web servers only", untrusted, true, &|m| {
            m.middle.extensions = vec![extended_usage("1.3.6.1.5.5.7.3.1")];
        }),
    ]
}

impl Chain {
    fn under(self, anchor: &Certificate) -> Self {
        Self { anchor: anchor.clone(), ..self }
    }

    fn our_verdict(&self) -> Option<Reason> {
        let anchors = Anchors::new(vec![self.anchor.clone()]);
        let mut crls = Crls::default();
        self.lists.iter().for_each(|list| crls.add(list).unwrap());
        let policy = Policy {
            crls: &crls,
            revocation: Revocation::Hard,
            sourceless: Sourceless::Unknown,
            ..Policy::new(&anchors, &self.others)
        };
        choose(std::slice::from_ref(&self.end), policy, &recipient(), START).err().map(|error| error.reason())
    }

    fn their_verdict(&self, dir: &Path) -> bool {
        let write = |name: &str, pem: String| std::fs::write(dir.join(name), pem).unwrap();
        write("end.pem", self.end.pem().unwrap());
        write("anchor.pem", self.anchor.pem().unwrap());
        write("others.pem", self.others.iter().map(|one| one.pem().unwrap()).collect());
        let pem = |der: &Vec<u8>| openssl::x509::X509Crl::from_der(der).unwrap().to_pem().unwrap();
        write("lists.pem", String::from_utf8(self.lists.iter().flat_map(pem).collect()).unwrap());
        let at = START.micros() / 1_000_000;
        // An anchor is believed for what it is; OpenSSL would ask about one that has an issuer, too.
        let check = if self.others.contains(&self.anchor) { "-crl_check" } else { "-crl_check_all" };
        let line = format!(
            "verify -partial_chain -trusted anchor.pem -attime {at} {check} -CRLfile lists.pem -auth_level 0 {} end.pem",
            if self.others.is_empty() { "" } else { "-untrusted others.pem" }
        );
        let done = Command::new("openssl").current_dir(dir).args(line.split_whitespace()).output().unwrap();
        done.status.success()
    }
}

#[test]
fn openssl_and_we_agree_on_a_table_of_chains() {
    let dir = tempfile::tempdir().unwrap();
    let chains = chains();
    assert!(chains.len() >= 30);
    for chain in &chains {
        let (ours, theirs) = (chain.our_verdict(), chain.their_verdict(dir.path()));
        assert_eq!((ours, theirs), (chain.ours, chain.theirs), "{}", chain.case);
        // We never believe what OpenSSL does not.
        assert!(theirs || ours.is_some(), "{}", chain.case);
    }
}

#[test]
fn a_path_longer_than_an_authority_allows_is_refused_by_both() {
    let root = root();
    let order = |name: &str| AuthorityOrder::new(name, START.minus(DAY), START.plus(DAY * 9));
    let first = root.subordinate(&AuthorityOrder { path_length: Some(0), ..order("First") }).unwrap();
    let second = first.subordinate(&order("Second")).unwrap();
    let end = Order { key: KeyKind::P256, ..Order::new(Binding::Address(recipient()), START.minus(DAY), START.plus(DAY)) };
    let end = second.issue(&end).unwrap().certificate;
    let lists = [&root, &first, &second].map(|by| whole(by, &[]).unwrap()).to_vec();
    let chain = Chain {
        case: "path length",
        end,
        others: vec![first.certificate().clone(), second.certificate().clone()],
        anchor: root.certificate().clone(),
        lists,
        ours: Some(Reason::Untrusted),
        theirs: false,
    };
    let dir = tempfile::tempdir().unwrap();
    assert_eq!((chain.our_verdict(), chain.their_verdict(dir.path())), (chain.ours, chain.theirs));
}

#[test]
fn a_thousand_look_alikes_cost_no_more_than_a_moment() {
    let makings = Makings::new();
    let middle = makings.root.subordinate(&makings.middle).unwrap();
    let end = middle.issue(&makings.end).unwrap().certificate;
    let impostor = || Authority::new("Agreement middle", KeyKind::P256, START.minus(DAY), START.plus(DAY)).unwrap();
    let mut others: Vec<Certificate> = (0..1_000).map(|_| impostor().certificate().clone()).collect();
    others.push(middle.certificate().clone());
    let anchors = Anchors::new(vec![makings.root.certificate().clone()]);
    let began = std::time::Instant::now();
    let verdict = choose(&[end], Policy::new(&anchors, &others), &recipient(), START);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    assert_eq!(verdict.err().map(|error| error.reason()), Some(Reason::Untrusted), "the search was given up");
}
