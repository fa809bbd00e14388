//! What sealing costs beside the primitives it cannot do without.
//!
//! `floor`: one RSA-2048 signature, SHA-256 and AES-256-CBC over the message, one RSA encryption, one base64 pass, all
//! with OpenSSL. Compare its median with `seal` of the same size: seal / floor is the ratio. `cargo bench --bench seal`

#![expect(clippy::unwrap_used, reason = "a bench that cannot run must say so")]

use divan::{Bencher, counter::BytesCount};
use postern::{
    crypto::base64_lines,
    domain::{DirectAddress, OffsetTime, Timestamp},
    seal::{Inner, KeySigner, Opening, Own, Profile, Seal, Sealer, floor::Floor, open},
    trust::{
        Anchors, Policy, RecipientCertificate,
        authority::{Authority, Binding, KeyKind, Order},
    },
};
use std::time::Duration;

/// Sizes of the PDF inside, in KiB.
const PDF_KIB: [usize; 3] = [50, 300, 2048];

fn main() {
    divan::main();
}

/// The inner message around a PDF of `kib`: the PDF in base64 inside a C-CDA, the C-CDA in base64 lines.
fn inner(kib: usize) -> Vec<u8> {
    let cda = vec![b'A'; kib * 1024 / 3 * 4];
    let mut message = b"From: results@direct.lab.example\r\nTo: pcp.demo@direct.clinic.example\r\n\
        Date: Thu, 15 Jan 2026 10:15:30 -0500\r\nMessage-ID: <m1@direct.lab.example>\r\nMIME-Version: 1.0\r\n\
        Content-Type: application/xml\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        .to_vec();
    base64_lines(&cda, &mut message);
    message
}

struct Parties {
    at: Timestamp,
    signer: KeySigner,
    recipient: RecipientCertificate,
    own: Own,
    root: Authority,
}

fn parties() -> Parties {
    let at = "2026-01-15T15:15:30Z".parse::<OffsetTime>().unwrap().at;
    let day = Duration::from_hours(24);
    let root = Authority::new("Bench root", KeyKind::Rsa(2048), at.minus(day), at.plus(day)).unwrap();
    let (from, to): (DirectAddress, DirectAddress) =
        ("results@direct.lab.example".parse().unwrap(), "pcp.demo@direct.clinic.example".parse().unwrap());
    let issue =
        |who: &DirectAddress| root.issue(&Order::new(Binding::Address(who.clone()), at.minus(day), at.plus(day))).unwrap();
    let (sender, receiver) = (issue(&from), issue(&to));
    let signer = KeySigner::new(sender.certificate, vec![], sender.key).unwrap();
    let recipient = RecipientCertificate::checked(receiver.certificate.clone(), &to, at).unwrap();
    let own = Own { certificate: receiver.certificate, key: receiver.key.into() };
    Parties { at, signer, recipient, own, root }
}

#[divan::bench(args = PDF_KIB)]
fn floor(bencher: Bencher<'_, '_>, kib: usize) {
    let message = inner(kib);
    let mut floor = Floor::new().unwrap();
    bencher.counter(BytesCount::of_slice(&message)).bench_local(|| floor.pass(&message).unwrap());
}

#[divan::bench(args = PDF_KIB)]
fn seal(bencher: Bencher<'_, '_>, kib: usize) {
    let inner = Inner::parse(&inner(kib)).unwrap();
    let parties = parties();
    let (mut sealer, mut out) = (Sealer::new(), Vec::new());
    bencher.counter(BytesCount::of_slice(inner.bytes())).bench_local(|| {
        let profile = Profile::default();
        let with = Seal { signer: &parties.signer, recipient: &parties.recipient, profile, at: parties.at };
        sealer.seal_inner(&inner, with, &mut out).unwrap().size
    });
}

#[divan::bench(args = PDF_KIB)]
fn open_sealed(bencher: Bencher<'_, '_>, kib: usize) {
    let parties = parties();
    let mut out = Vec::new();
    let with = Seal { signer: &parties.signer, recipient: &parties.recipient, profile: Profile::default(), at: parties.at };
    Sealer::new().seal_inner(&Inner::parse(&inner(kib)).unwrap(), with, &mut out).unwrap();
    let anchors = Anchors::new(vec![parties.root.certificate().clone()]);
    let policy = Policy::new(&anchors, &[]);
    let own = [parties.own];
    bencher
        .counter(BytesCount::of_slice(&out))
        .bench_local(|| open(&out, Opening { own: &own, policy, at: parties.at, rcpt: None }).unwrap().inner().len());
}

#[divan::bench(args = PDF_KIB)]
fn base64_in_lines(bencher: Bencher<'_, '_>, kib: usize) {
    let data = vec![7_u8; kib * 1024];
    let mut out = Vec::new();
    bencher.counter(BytesCount::of_slice(&data)).bench_local(|| {
        out.clear();
        base64_lines(&data, &mut out);
        out.len()
    });
}

#[divan::bench(args = PDF_KIB)]
fn base64_plain(bencher: Bencher<'_, '_>, kib: usize) {
    use base64::{
        Engine as _,
        engine::{Simd, general_purpose::PAD},
    };
    let engine = Simd::standard(PAD);
    let data = vec![7_u8; kib * 1024];
    let mut out = vec![0; kib * 1024 / 3 * 4 + 4];
    bencher.counter(BytesCount::of_slice(&data)).bench_local(|| engine.encode_slice(&data, &mut out).unwrap());
}
