//! Two organizations, their authority, and the `openssl` command as the independent judge.

use std::{path::PathBuf, process::Command, sync::OnceLock, time::Duration};

use postern::{
    domain::{DirectAddress, Timestamp},
    seal::{Inner, KeySigner, OpenError, Opening, Own, Profile, Seal, Sealer, Verified, open},
    trust::{
        Anchors, Certificate, Crls, Policy, RecipientCertificate, Revocation,
        authority::{Authority, Binding, Issued, KeyKind, Order, Usage},
    },
};
use tempfile::TempDir;

pub(super) const SENDER: &str = "results@direct.lab.example";
pub(super) const RECIPIENT: &str = "pcp.demo@direct.clinic.example";
pub(super) const DAY: Duration = Duration::from_hours(24);

/// A Thursday in January 2026.
pub(super) fn now() -> Timestamp {
    "2026-01-15T15:15:30Z".parse::<postern::domain::OffsetTime>().unwrap().at
}

pub(super) fn address(text: &str) -> DirectAddress {
    text.parse().unwrap()
}

pub(super) fn root() -> &'static Authority {
    static ROOT: OnceLock<Authority> = OnceLock::new();
    ROOT.get_or_init(|| Authority::new("Test root", KeyKind::P256, now().minus(DAY * 300), now().plus(DAY * 3000)).unwrap())
}

pub(super) fn order(binding: Binding) -> Order {
    // Elliptic curves are quick to make; tests that are about RSA say so.
    Order { key: KeyKind::P256, ..Order::new(binding, now().minus(DAY * 30), now().plus(DAY * 300)) }
}

pub(super) fn issue(who: &str, key: KeyKind) -> Issued {
    root().issue(&Order { key, ..order(Binding::Address(address(who))) }).unwrap()
}

pub(super) fn issue_for(who: &str, usage: Usage) -> Issued {
    root().issue(&Order { usage, ..order(Binding::Address(address(who))) }).unwrap()
}

pub(super) fn signer(issued: &Issued) -> KeySigner {
    KeySigner::new(issued.certificate.clone(), vec![], issued.key.clone()).unwrap()
}

pub(super) const INNER: &str = "From: results@direct.lab.example\r\nTo: pcp.demo@direct.clinic.example\r\n\
    Date: Thu, 15 Jan 2026 10:15:30 -0500\r\nMessage-ID: <m1@direct.lab.example>\r\nSubject: Clinical result\r\n\
    MIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nThe report.\r\n.\r\nEnd.\r\n";

pub(super) fn seal_with(inner: &str, from: &Issued, to: &Certificate, profile: Profile) -> Vec<u8> {
    let recipient = RecipientCertificate::checked(to.clone(), &address(RECIPIENT), now()).unwrap();
    let mut out = Vec::new();
    let with = Seal { signer: &signer(from), recipient: &recipient, profile, at: now() };
    Sealer::new().seal_inner(&Inner::parse(inner.as_bytes()).unwrap(), with, &mut out).unwrap();
    out
}

/// A folder of files for the `openssl` command.
pub(super) struct Bench {
    dir: TempDir,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(super) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(super) fn identity(&self, name: &str, issued: &Issued) -> (PathBuf, PathBuf) {
        (
            self.file(&format!("{name}.pem"), issued.certificate.pem().unwrap()),
            self.file(&format!("{name}.key"), issued.key_pem().unwrap()),
        )
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Runs `openssl` in the folder; its words when it fails.
    pub(super) fn openssl(&self, line: &str) -> Result<(), String> {
        let done = Command::new("openssl").current_dir(self.dir.path()).args(line.split_whitespace()).output().unwrap();
        if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
    }
}

/// The outer headers of a message to the recipient.
pub(super) const HEADERS: &str = "From: results@direct.lab.example\r\nTo: pcp.demo@direct.clinic.example\r\n\
    Message-ID: <m1@direct.lab.example>\r\nDate: Thu, 15 Jan 2026 10:15:30 -0500\r\n";

/// Seals with `openssl`, which does whatever it is told: `sign` and `encrypt` are further options of its commands.
pub(super) struct Forge {
    pub(super) bench: Bench,
    pub(super) sender: Issued,
    pub(super) recipient: Issued,
}

impl Forge {
    pub(super) fn new(sender: Issued) -> Self {
        static RECIPIENT_ISSUED: OnceLock<Issued> = OnceLock::new();
        let recipient = RECIPIENT_ISSUED.get_or_init(|| issue(RECIPIENT, KeyKind::Rsa(2048))).clone();
        let forge = Self { bench: Bench::new(), sender, recipient };
        forge.bench.identity("sender", &forge.sender);
        forge.bench.identity("recipient", &forge.recipient);
        forge
    }

    pub(super) fn good() -> Self {
        Self::new(issue(SENDER, KeyKind::Rsa(2048)))
    }

    /// A signed entity.
    pub(super) fn sign(&self, entity: &str, options: &str) -> Vec<u8> {
        self.bench.file("entity.eml", entity);
        let line =
            format!("cms -sign -binary -crlfeol -in entity.eml -signer sender.pem -inkey sender.key -out signed.eml {options}");
        self.bench.openssl(&line).unwrap();
        self.bench.read("signed.eml")
    }

    /// An encrypted entity.
    pub(super) fn encrypt(&self, entity: &[u8], options: &str) -> Vec<u8> {
        self.bench.file("plain.eml", entity);
        let line = format!("cms -encrypt -binary -in plain.eml -out body.eml {options} -recip recipient.pem");
        self.bench.openssl(&line).unwrap();
        self.bench.read("body.eml")
    }

    /// A whole message around `inner`.
    pub(super) fn message(&self, inner: &str, sign: &str, encrypt: &str) -> Vec<u8> {
        let signed = self.sign(&wrapped(inner), &format!("-md sha256 {sign}"));
        under(HEADERS, &self.encrypt(&signed, &format!("-aes-256-cbc {encrypt}")))
    }

    pub(super) fn desk(&self) -> Desk {
        Desk::of(&self.recipient)
    }
}

pub(super) fn wrapped(inner: &str) -> String {
    format!("Content-Type: message/rfc822\r\n\r\n{inner}")
}

pub(super) fn under(headers: &str, entity: &[u8]) -> Vec<u8> {
    [headers.as_bytes(), entity].concat()
}

/// How a message is opened: the good defaults, to be changed by a test.
pub(super) struct Desk {
    pub(super) own: Own,
    pub(super) anchors: Anchors,
    pub(super) intermediates: Vec<Certificate>,
    pub(super) crls: Crls,
    pub(super) revocation: Revocation,
    pub(super) at: Timestamp,
    pub(super) rcpt: Option<DirectAddress>,
}

impl Desk {
    pub(super) fn of(recipient: &Issued) -> Self {
        Self {
            own: Own { certificate: recipient.certificate.clone(), key: recipient.key.clone().into() },
            anchors: Anchors::new(vec![root().certificate().clone()]),
            intermediates: Vec::new(),
            crls: Crls::default(),
            revocation: Revocation::Soft,
            at: now(),
            rcpt: Some(address(RECIPIENT)),
        }
    }

    pub(super) fn open(&self, message: &[u8]) -> Result<Verified, OpenError> {
        let policy = Policy { crls: &self.crls, revocation: self.revocation, ..Policy::new(&self.anchors, &self.intermediates) };
        open(message, Opening { own: std::slice::from_ref(&self.own), policy, at: self.at, rcpt: self.rcpt.as_ref() })
    }
}
