//! Where octets of strangers come in, as functions that must not panic whatever they are given. The fuzz targets call them,
//! and so does the ordinary test `hostile::every_seed_and_thousands_of_mutations_panic_nowhere`.

use std::{sync::OnceLock, time::Duration};

use openssl::{
    cms::{CMSOptions, CmsContentInfo},
    stack::Stack,
    symm::Cipher,
};
use postern::{
    domain::{DirectAddress, Timestamp},
    net,
    seal::{Inner, Opening, Own, open},
    track::{Notice, reply::Asked},
    trust::{
        Anchors, Certificate, Crls, Policy, Revocation,
        authority::{
            Authority, Binding, Issued, KeyKind, Order,
            published::{AnswerOrder, answer},
        },
        bundle, checklist, checks, choose,
        describe::describe,
        pointers::Pointers,
        revocation::{Answer, List, Standing},
    },
};

const US: &str = "results@direct.lab.example";
const PEER: &str = "pcp@direct.clinic.example";
/// A Thursday in January 2026.
const NOW: Timestamp = Timestamp(1_768_490_130_000_000);
const DAY: Duration = Duration::from_hours(24);

/// An authority, us and a peer, with keys that last as long as the process.
struct Scene {
    root: Authority,
    anchors: Anchors,
    us: Issued,
    peer: Issued,
    to: DirectAddress,
}

fn scene() -> &'static Scene {
    static SCENE: OnceLock<Scene> = OnceLock::new();
    SCENE.get_or_init(|| {
        let root = Authority::new("Root", KeyKind::P256, NOW.minus(DAY * 300), NOW.plus(DAY * 3000)).unwrap();
        let issue = |who: &str, key| {
            let order = Order::new(Binding::Address(who.parse().unwrap()), NOW.minus(DAY * 30), NOW.plus(DAY * 300));
            root.issue(&Order { key, crl_url: Some("http://crl.example/r.crl".into()), ..order }).unwrap()
        };
        let (us, peer) = (issue(US, KeyKind::Rsa(2048)), issue(PEER, KeyKind::P256));
        let anchors = Anchors::new(vec![root.certificate().clone()]);
        Scene { root, anchors, us, peer, to: US.parse().unwrap() }
    })
}

/// Makes what every entry needs, so that the first input does not pay for it.
pub fn prepare() {
    let _ = scene();
}

/// No input takes longer than this to be looked at.
const MOST: Duration = Duration::from_secs(2);

/// Looks at `data`, and panics when that took too much work: of this thread alone, however busy the machine is.
///
/// # Panics
/// When it did.
pub fn within_limits(look: fn(&[u8]), data: &[u8]) {
    let before = worked();
    look(data);
    let took = worked().saturating_sub(before);
    assert!(took < MOST, "{took:?} for {} octets", data.len());
}

/// How long this thread has worked, as Linux tells it; nothing elsewhere.
fn worked() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(told.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or_default())
}

/// A certificate, from DNS, LDAP, the web, a message or a file: read, described, and judged in every way.
pub fn certificate(data: &[u8]) {
    let scene = scene();
    let Ok(all) = Certificate::read_all(data) else { return };
    for one in all.iter().take(4) {
        let _ = (describe(one), Pointers::of(one), one.policies(), one.key_words(), one.names().to_string(), format!("{one:?}"));
        let _ = (checks::key(one), checks::digest(one), checks::dates(one, NOW), checks::usage(one, checks::Purpose::Encrypt));
        let judged = choose(std::slice::from_ref(one), Policy::new(&scene.anchors, &all), &scene.to, NOW);
        let _ = checklist(one, &scene.to, NOW, &judged);
        // What is signed by it, and what it signs.
        let _ = (one.is_signed_by(one), scene.us.certificate.is_signed_by(one), one.is_signed_by(scene.root.certificate()));
        // As an anchor and as an intermediate.
        let anchors = Anchors::new(vec![one.clone()]);
        let _ = choose(std::slice::from_ref(&scene.us.certificate), Policy::new(&anchors, &all), &scene.to, NOW);
    }
}

/// A bundle of anchors.
pub fn bundle(data: &[u8]) {
    let _ = bundle::read(data, None, NOW);
    let _ = bundle::read(data, Some(scene().root.certificate()), NOW);
}

/// A whole message, as it comes in at the door.
pub fn message(data: &[u8]) {
    judge(data);
}

/// What is inside the encryption: a signed entity, CMS and MIME, of somebody who can seal to us.
pub fn signed(data: &[u8]) {
    let scene = scene();
    let mut to = Stack::new().unwrap();
    to.push(scene.us.certificate.x509().clone()).unwrap();
    let Ok(sealed) = CmsContentInfo::encrypt(&to, data, Cipher::aes_128_cbc(), CMSOptions::BINARY) else { return };
    let Ok(der) = sealed.to_der() else { return };
    let body = openssl::base64::encode_block(&der);
    let message = format!(
        "From: {PEER}\r\nTo: {US}\r\nMessage-ID: <a@direct.clinic.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n{body}\r\n"
    );
    judge(message.as_bytes());
}

fn judge(message: &[u8]) {
    let scene = scene();
    let own = [Own { certificate: scene.us.certificate.clone(), key: scene.us.key.clone().into() }];
    let policy = Policy::new(&scene.anchors, &[]);
    let _ = postern::seal::presented(message, &own, &[]);
    let _ = open(message, Opening { own: &own, policy, at: NOW, rcpt: Some(&scene.to) });
    let _ = open(message, Opening { own: &own, policy, at: NOW, rcpt: None });
}

/// The inner message, which was opened and verified, or comes in the clear.
pub fn inner(data: &[u8]) {
    let _ = Inner::parse(data);
    let _ = Asked::read(data, &scene().to);
}

/// A notice: MDN or DSN.
pub fn notice(data: &[u8]) {
    if let Some(notice) = Notice::read(data) {
        for about in &notice.about {
            let _ = about.trust_failure();
        }
    }
}

/// A revocation list or an OCSP answer.
pub fn statement(data: &[u8]) {
    let scene = scene();
    let (end, root) = (&scene.us.certificate, scene.root.certificate());
    if let Ok(list) = List::from_file(data.to_vec()) {
        let _ = (list.is_by(root), list.len());
    }
    let mut crls = Crls::default();
    if crls.add(data).is_ok() {
        let policy = Policy { crls: &crls, revocation: Revocation::Hard, ..Policy::new(&scene.anchors, &[]) };
        let _ = choose(std::slice::from_ref(end), policy, &scene.to, NOW);
    }
    if let Ok(read) = Answer::read(data) {
        let _ = (read.times(), read.says(end, root, NOW, Duration::ZERO));
    }
}

/// A message of an LDAP server; what it offers as certificates is looked at too.
pub fn ldap(data: &[u8]) {
    for der in net::ldap::certificates_in(data).unwrap_or_default() {
        certificate(&der);
    }
}

/// An answer of a name server with CERT records.
pub fn dns(data: &[u8]) {
    for record in net::dns::lookup::cert_records(data) {
        if let net::dns::lookup::CertRecord::Certificate(der) = record {
            certificate(&der);
        }
    }
}

/// An entry point: its name, the function, and its seeds.
pub type Entry = (&'static str, fn(&[u8]), Vec<Vec<u8>>);

/// Every entry point with seeds made here, of which most are sound.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let scene = scene();
    let der = |one: &Certificate| one.der().to_vec();
    let ends = [scene.root.certificate(), &scene.us.certificate, &scene.peer.certificate];
    let mut certificates: Vec<Vec<u8>> = ends.iter().map(|one| der(one)).collect();
    certificates.push(ends.iter().map(|one| one.pem().unwrap()).collect::<String>().into_bytes());
    let list = scene.root.revocation_list(&[&scene.peer.certificate], NOW.minus(DAY), NOW.plus(DAY)).unwrap();
    let answers = [Standing::Good, Standing::Revoked, Standing::Unknown].map(|standing| {
        let order = AnswerOrder::new(standing, NOW.minus(DAY), NOW.plus(DAY));
        answer(&scene.root, &scene.us.certificate, &order).unwrap()
    });
    let entities = entities(scene);
    let messages = entities.iter().map(|entity| sealed(scene, entity)).collect();
    let notices: Vec<Vec<u8>> = NOTICES.iter().map(|text| text.replace('\n', "\r\n").into_bytes()).collect();
    let inners = [&notices[..], &[INNER.replace('\n', "\r\n").into_bytes()]].concat();
    vec![
        ("certificate", certificate as fn(&[u8]), certificates.clone()),
        ("bundle", bundle, [&certificates[..], &[pkcs7(scene)]].concat()),
        ("message", message, messages),
        ("signed", signed, entities),
        ("inner", inner, inners),
        ("notice", notice, notices),
        ("statement", statement, [vec![list], answers.to_vec()].concat()),
        ("ldap", ldap, ldap_seeds(scene)),
        ("dns", dns, dns_seeds(scene)),
    ]
}

const INNER: &str = "From: pcp@direct.clinic.example\nTo: results@direct.lab.example\nDate: Thu, 15 Jan 2026 10:15:30 -0500\n\
    Message-ID: <a@direct.clinic.example>\nSubject: x\nMIME-Version: 1.0\nDisposition-Notification-To: pcp@direct.clinic.example\n\
    Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\nContent-Type: multipart/mixed; boundary=\"b\"\n\n\
    --b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nThe report =E2=82=AC.\n--b\n\
    Content-Type: application/xml\nContent-Transfer-Encoding: base64\n\nPGEvPg==\n--b--\n";

const NOTICES: [&str; 2] = [
    "From: pcp@direct.clinic.example\nTo: results@direct.lab.example\nMessage-ID: <n@direct.clinic.example>\nSubject: processed\n\
     MIME-Version: 1.0\nContent-Type: multipart/report; report-type=disposition-notification; boundary=\"r\"\n\n--r\n\
     Content-Type: text/plain\n\nIt was processed.\n--r\nContent-Type: message/disposition-notification\n\n\
     Reporting-UA: clinic.example; Agent\nOriginal-Recipient: rfc822;pcp@direct.clinic.example\n\
     Final-Recipient: rfc822; pcp@direct.clinic.example\nOriginal-Message-ID: <m1@direct.lab.example>\n\
     Disposition: automatic-action/MDN-sent-automatically; processed\nX-DIRECT-FINAL-DESTINATION-DELIVERY: \n--r--\n",
    "From: MAILER-DAEMON@relay.example\nTo: results@direct.lab.example\nMessage-ID: <d@relay.example>\nSubject: Undelivered\n\
     MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary=\"r\"\n\n--r\nContent-Type: text/plain\n\n\
     No.\n--r\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; relay.example\nX-Original-Message-ID: <m1@direct.lab.example>\n\n\
     Final-Recipient: rfc822; pcp@direct.clinic.example\nAction: failed\nStatus: 5.1.1\nDiagnostic-Code: smtp; 550 no such user\n--r\n\
     Content-Type: message/rfc822\n\nFrom: results@direct.lab.example\nMessage-ID: <m1@direct.lab.example>\n\nx\n--r--\n",
];

/// Signed entities: detached and opaque.
fn entities(scene: &Scene) -> Vec<Vec<u8>> {
    let wrapped = format!("Content-Type: message/rfc822\n\n{INNER}").replace('\n', "\r\n");
    let sign = |options| {
        let chain = Stack::new().unwrap();
        let (certificate, key) = (scene.peer.certificate.x509(), &scene.peer.key);
        let signed = CmsContentInfo::sign(Some(certificate), Some(key), Some(&chain), Some(wrapped.as_bytes()), options);
        openssl::base64::encode_block(&signed.unwrap().to_der().unwrap())
    };
    let detached = sign(CMSOptions::BINARY | CMSOptions::DETACHED);
    let opaque = sign(CMSOptions::BINARY);
    let kind = "application/pkcs7-signature";
    vec![
        format!(
            "Content-Type: multipart/signed; protocol=\"{kind}\"; micalg=sha-256; boundary=\"s\"\r\n\r\n--s\r\n{wrapped}\r\n--s\r\n\
             Content-Type: {kind}; name=\"smime.p7s\"\r\nContent-Transfer-Encoding: base64\r\n\r\n{detached}\r\n--s--\r\n"
        )
        .into_bytes(),
        format!(
            "Content-Type: application/pkcs7-mime; smime-type=signed-data\r\nContent-Transfer-Encoding: base64\r\n\r\n{opaque}\r\n"
        )
        .into_bytes(),
        wrapped.into_bytes(),
    ]
}

fn sealed(scene: &Scene, entity: &[u8]) -> Vec<u8> {
    let mut to = Stack::new().unwrap();
    to.push(scene.us.certificate.x509().clone()).unwrap();
    let sealed = CmsContentInfo::encrypt(&to, entity, Cipher::aes_256_cbc(), CMSOptions::BINARY).unwrap().to_der().unwrap();
    format!(
        "From: {PEER}\r\nTo: {US}\r\nMessage-ID: <a@direct.clinic.example>\r\nMIME-Version: 1.0\r\n\
         Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
        openssl::base64::encode_block(&sealed)
    )
    .into_bytes()
}

/// A signed PKCS#7 with certificates and no content of its own.
fn pkcs7(scene: &Scene) -> Vec<u8> {
    let mut chain = Stack::new().unwrap();
    chain.push(scene.root.certificate().x509().clone()).unwrap();
    let (certificate, key) = (scene.peer.certificate.x509(), &scene.peer.key);
    let signed = CmsContentInfo::sign(Some(certificate), Some(key), Some(&chain), Some(b"x"), CMSOptions::BINARY);
    signed.unwrap().to_der().unwrap()
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let value = parts.concat();
    let length = value.len();
    let mut out = vec![tag, 0x82, u8::try_from(length >> 8).unwrap(), u8::try_from(length & 0xff).unwrap()];
    out.extend(value);
    out
}

fn ldap_seeds(scene: &Scene) -> Vec<Vec<u8>> {
    let der = scene.us.certificate.der();
    let attribute = tlv(0x30, &[&tlv(4, &[b"userCertificate;binary"]), &tlv(0x31, &[&tlv(4, &[der])])]);
    let entry = tlv(0x64, &[&tlv(4, &[b"cn=x,dc=example"]), &tlv(0x30, &[&attribute])]);
    vec![
        tlv(0x30, &[&[2, 1, 2], &entry]),
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec(),
        b"\x30\x0c\x02\x01\x02\x65\x07\x0a\x01\x00\x04\x00\x04\x00".to_vec(),
    ]
}

fn dns_seeds(scene: &Scene) -> Vec<Vec<u8>> {
    let record = |kind: u16, data: &[u8]| {
        // A response with one question and one answer about jo.clinic.example IN CERT.
        let mut packet =
            b"\x12\x34\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\x02jo\x06clinic\x07example\x00\x00\x25\x00\x01".to_vec();
        packet.extend(b"\xc0\x0c\x00\x25\x00\x01\x00\x00\x00\x3c");
        packet.extend(u16::try_from(data.len() + 5).unwrap().to_be_bytes());
        packet.extend(kind.to_be_bytes());
        packet.extend([0, 0, 0]);
        packet.extend(data);
        packet
    };
    vec![record(1, scene.us.certificate.der()), record(4, b"http://www.clinic.example/jo.cer"), record(3, b"pgp")]
}
