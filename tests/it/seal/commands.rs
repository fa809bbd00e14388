//! `postern seal`, `postern open` and `postern inspect` as a person or a script meets them.

use std::{
    os::unix::fs::PermissionsExt as _,
    process::{Command, Output},
};

use postern::{
    domain::Timestamp,
    trust::authority::{Authority, Binding, Issued, KeyKind, Order, Usage},
};

use super::world::{Bench, DAY, INNER, RECIPIENT, SENDER, address};

/// The commands judge by the machine's clock, so these certificates are valid today.
fn today() -> Timestamp {
    let seconds = Command::new("date").arg("+%s").output().unwrap().stdout;
    Timestamp(String::from_utf8(seconds).unwrap().trim().parse::<i64>().unwrap() * 1_000_000)
}

struct Shop {
    bench: Bench,
    root: Authority,
    recipient: Issued,
}

impl Shop {
    fn new() -> Self {
        let root = Authority::new("Shop root", KeyKind::P256, today().minus(DAY), today().plus(DAY * 30)).unwrap();
        let shop = Self { bench: Bench::new(), recipient: issued(&root, RECIPIENT, |_| {}), root };
        let sender = issued(&shop.root, SENDER, |_| {});
        shop.bench.identity("sender", &sender);
        shop.bench.identity("recipient", &shop.recipient);
        shop.bench.file("recipient.der", shop.recipient.certificate.der());
        shop.bench.file("root.pem", shop.root.certificate().pem().unwrap());
        shop.bench.file("inner.eml", INNER);
        shop
    }

    fn run(&self, line: &str) -> Output {
        let folder = self.bench.path("");
        Command::new(env!("CARGO_BIN_EXE_postern")).current_dir(folder).args(line.split_whitespace()).output().unwrap()
    }

    fn seal(&self, options: &str, recipient: &str) -> Output {
        let basic = format!("seal --cert sender.pem --key sender.key --recipient-cert {recipient}");
        let done = self.run(&format!("{basic} {options} inner.eml"));
        self.bench.file("sealed.eml", &done.stdout);
        done
    }

    fn open(&self, options: &str) -> Output {
        self.run(&format!("open --cert recipient.pem --key recipient.key --anchor root.pem {options} sealed.eml"))
    }
}

fn issued(root: &Authority, who: &str, change: impl FnOnce(&mut Order)) -> Issued {
    let mut wanted = Order::new(Binding::Address(address(who)), today().minus(DAY), today().plus(DAY * 20));
    change(&mut wanted);
    root.issue(&wanted).unwrap()
}

fn words(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

const BOTH: &str = "--from results@direct.lab.example --to pcp.demo@direct.clinic.example";

#[test]
fn what_seal_writes_open_accepts() {
    let shop = Shop::new();
    for (options, recipient) in [
        ("", "recipient.pem"),
        ("--cipher aes-128-cbc --key-transport oaep-sha1", "recipient.der"),
        ("--cipher aes-256-gcm --key-transport oaep-sha256", "recipient.pem"),
    ] {
        let (code, _, talk) = words(&shop.seal(&format!("{BOTH} {options}"), recipient));
        assert_eq!((code, talk.as_str()), (Some(0), ""), "{options}");
        let (code, verdict, talk) = words(&shop.open("--json --rcpt pcp.demo@direct.clinic.example --save saved.eml"));
        assert_eq!(code, Some(0), "{talk}");
        assert_eq!(
            verdict,
            "{\"verdict\":\"accepted\",\"reason\":null,\"from\":\"results@direct.lab.example\",\
             \"message_id\":\"<m1@direct.lab.example>\",\"notice\":null}\n"
        );
        assert_eq!(shop.bench.read("saved.eml"), INNER.as_bytes());
        let mode = std::fs::metadata(shop.bench.path("saved.eml")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "the inner message names a patient");
    }
}

#[test]
fn seal_refuses_what_may_not_be_sealed_and_writes_nothing() {
    let shop = Shop::new();
    let files = [
        ("expired", issued(&shop.root, RECIPIENT, |o| o.until = today().minus(DAY / 2))),
        ("unbound", issued(&shop.root, "nurse@direct.clinic.example", |_| {})),
        ("signing", issued(&shop.root, RECIPIENT, |o| o.usage = Usage::Sign)),
        ("weak", issued(&shop.root, RECIPIENT, |o| o.key = KeyKind::Rsa(1024))),
    ];
    for (name, certificate) in &files {
        shop.bench.identity(name, certificate);
    }
    let other_from = "--from other@direct.lab.example --to pcp.demo@direct.clinic.example";
    let other_to = "--from results@direct.lab.example --to nurse@direct.clinic.example";
    for (options, recipient, reason) in [
        (BOTH, "expired.pem", "expired_cert"),
        (BOTH, "unbound.pem", "not_bound"),
        (BOTH, "signing.pem", "key_usage"),
        (BOTH, "weak.pem", "key_algorithm"),
        (other_from, "recipient.pem", "header_mismatch"),
        (other_to, "unbound.pem", "header_mismatch"),
    ] {
        let (code, data, talk) = words(&shop.seal(options, recipient));
        assert_eq!((code, data.as_str()), (Some(1), ""), "{recipient}");
        assert!(talk.contains(&format!("not sealed ({reason}): ")), "{talk}");
    }
    let (code, data, _) = words(&shop.seal(BOTH, "missing.pem"));
    assert_eq!((code, data.as_str()), (Some(2), ""));
    let (code, data, _) = words(&shop.seal("--from nonsense --to x", "recipient.pem"));
    assert_eq!((code, data.as_str()), (Some(2), ""));
}

#[test]
fn open_rejects_with_a_reason_and_saves_nothing() {
    let shop = Shop::new();
    shop.seal(BOTH, "recipient.pem");
    let stranger = Authority::new("Shop root", KeyKind::P256, today().minus(DAY), today().plus(DAY)).unwrap();
    shop.bench.file("stranger.pem", stranger.certificate().pem().unwrap());
    let basic = "open --cert recipient.pem --key recipient.key";
    for (line, reason) in [
        (format!("{basic} --anchor stranger.pem --json --save saved.eml sealed.eml"), "untrusted"),
        (format!("{basic} --anchor root.pem --at 2031-01-15T10:15:30Z --json --save saved.eml sealed.eml"), "expired_cert"),
        (
            format!("{basic} --anchor root.pem --rcpt nurse@direct.clinic.example --json --save saved.eml sealed.eml"),
            "not_addressed",
        ),
        (format!("{basic} --anchor root.pem --revocation hard --json --save saved.eml sealed.eml"), "trust_unavailable"),
        (format!("{basic} --anchor root.pem --json --save saved.eml inner.eml"), "not_signed"),
    ] {
        let (code, verdict, talk) = words(&shop.run(&line));
        let expected =
            format!("{{\"verdict\":\"rejected\",\"reason\":\"{reason}\",\"from\":null,\"message_id\":null,\"notice\":null}}\n");
        assert_eq!((code, verdict), (Some(1), expected), "{line}: {talk}");
        assert!(!shop.bench.path("saved.eml").exists(), "{line}");
    }
    let (code, verdict, talk) = words(&shop.run(&format!("{basic} --anchor missing.pem --json sealed.eml")));
    assert_eq!((code, verdict.as_str()), (Some(2), ""));
    assert!(talk.contains("missing.pem"), "{talk}");
}

#[test]
fn a_notice_is_read_from_what_was_accepted() {
    let shop = Shop::new();
    let notice = "Content-Type: multipart/report; report-type=disposition-notification; boundary=\"r\"\r\n\r\n\
        --r\r\nContent-Type: text/plain\r\n\r\nDone.\r\n--r\r\nContent-Type: message/disposition-notification\r\n\r\n\
        Final-Recipient: rfc822; pcp.demo@direct.clinic.example\r\nOriginal-Message-ID: <m0@direct.clinic.example>\r\n\
        Disposition: automatic-action/MDN-sent-automatically;dispatched\r\n\r\n--r--\r\n";
    let inner = INNER.split("Content-Type:").next().unwrap().to_owned() + notice;
    shop.bench.file("inner.eml", inner);
    shop.seal(BOTH, "recipient.pem");
    let (code, verdict, _) = words(&shop.open("--json"));
    assert_eq!(code, Some(0));
    assert!(
        verdict.ends_with(
            "\"notice\":{\"kind\":\"dispatched\",\"original_message_id\":\"<m0@direct.clinic.example>\",\
             \"final_recipient\":\"pcp.demo@direct.clinic.example\"}}\n"
        ),
        "{verdict}"
    );
}

#[test]
fn inspect_says_what_a_file_is() {
    let shop = Shop::new();
    shop.seal(&format!("{BOTH} --key-transport oaep-sha256"), "recipient.pem");
    shop.bench.file("report.pdf", "%PDF-1.7\n%%EOF\n");
    shop.bench.file("nothing.txt", "nothing");
    for (file, expected) in [
        ("sealed.eml", &["message", "encrypted (EnvelopedData)", "rsaesOaep", "aes-256-cbc", SENDER][..]),
        ("recipient.pem", &["certificate", RECIPIENT, "RSA 2048", "Digital Signature", "email protection", "Shop root"]),
        ("recipient.der", &["certificate", RECIPIENT]),
        ("sender.key", &["private key", "keep it to yourself"]),
        ("report.pdf", &["pdf", "1.7", "complete"]),
    ] {
        let (code, text, talk) = words(&shop.run(&format!("inspect {file}")));
        assert_eq!(code, Some(0), "{file}: {talk}");
        for word in expected {
            assert!(text.contains(word), "{file}: {word} in\n{text}");
        }
        let (code, json, _) = words(&shop.run(&format!("inspect --json {file}")));
        assert_eq!(code, Some(0));
        assert!(serde_json::from_str::<serde_json::Value>(&json).unwrap()[0]["kind"].is_string(), "{json}");
    }
    assert_eq!(shop.run("inspect nothing.txt").status.code(), Some(1));
    assert_eq!(shop.run("inspect missing").status.code(), Some(2));
}
