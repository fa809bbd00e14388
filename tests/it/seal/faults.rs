//! Faulty messages, each with the reason it is rejected for.

use postern::{
    domain::Reason,
    trust::{
        Anchors,
        authority::{Authority, Binding, Digest, Issued, KeyKind, Order, Usage},
    },
};

use super::world::{
    DAY, Desk, Forge, HEADERS, INNER, RECIPIENT, SENDER, address, issue, issue_for, now, order, root, under, wrapped,
};

#[track_caller]
fn expect(desk: &Desk, message: &[u8], reason: Reason, case: &str) {
    match desk.open(message) {
        Ok(_) => panic!("{case}: accepted, should be {reason}"),
        Err(error) => assert_eq!(error.reason(), reason, "{case}: {error}"),
    }
}

#[test]
fn a_sound_message_is_accepted_by_the_same_desk() {
    let forge = Forge::good();
    forge.desk().open(&forge.message(INNER, "", "")).unwrap();
}

#[test]
fn layers_missing_or_in_the_wrong_order_are_rejected() {
    let forge = Forge::good();
    let desk = forge.desk();
    let entity = wrapped(INNER);
    let signed = forge.sign(&entity, "-md sha256");
    let opaque = forge.sign(&entity, "-md sha256 -nodetach");
    let encrypted = forge.encrypt(&signed, "-aes-256-cbc");
    let text = String::from_utf8(encrypted.clone()).unwrap();

    expect(&desk, INNER.as_bytes(), Reason::NotSigned, "plain text");
    expect(&desk, &under(HEADERS, &signed), Reason::Undecryptable, "signed, not encrypted");
    expect(&desk, &under(HEADERS, &opaque), Reason::Undecryptable, "signed opaquely, not encrypted");
    let only_encrypted = forge.encrypt(entity.as_bytes(), "-aes-256-cbc");
    expect(&desk, &under(HEADERS, &only_encrypted), Reason::NotSigned, "encrypted, not signed");
    let only = String::from_utf8(only_encrypted).unwrap();
    let outside = forge.sign(&only, "-md sha256");
    expect(&desk, &under(HEADERS, &outside), Reason::WrongOrder, "encrypted, then signed");
    let outside = forge.sign(&only, "-md sha256 -nodetach");
    expect(&desk, &under(HEADERS, &outside), Reason::WrongOrder, "encrypted, then signed opaquely");
    let outside = forge.sign(&text, "-md sha256");
    expect(&desk, &under(HEADERS, &outside), Reason::WrongOrder, "signed, encrypted, signed again");
    let twice = forge.encrypt(&encrypted, "-aes-256-cbc");
    expect(&desk, &under(HEADERS, &twice), Reason::WrongOrder, "encrypted twice");
}

#[test]
fn algorithms_that_no_longer_protect_are_rejected() {
    let forge = Forge::good();
    let desk = forge.desk();
    for (sign, encrypt) in [
        ("-md sha1", ""),
        ("-md md5", ""),
        ("-md sha1 -nodetach", ""),
        ("-md sha224", ""),
        ("", "-des3"),
        ("", "-provider legacy -provider default -rc2-128"),
        ("", "-provider legacy -provider default -rc2-40"),
        ("", "-camellia256"),
    ] {
        expect(&desk, &forge.message(INNER, sign, encrypt), Reason::WeakAlgorithm, &format!("{sign} {encrypt}"));
    }
}

fn ordered(change: impl FnOnce(&mut Order)) -> Issued {
    let mut wanted = order(Binding::Address(address(SENDER)));
    change(&mut wanted);
    root().issue(&wanted).unwrap()
}

#[test]
fn signers_nobody_should_believe_are_rejected() {
    let stranger = Authority::new("Test root", KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap();
    let ordinary = order(Binding::Address(address(SENDER)));
    let leaf = issue(SENDER, KeyKind::Rsa(2048));
    let as_authority =
        Authority::from_pem(leaf.certificate.pem().unwrap().as_bytes(), leaf.key_pem().unwrap().as_bytes()).unwrap();
    let bound = |binding| ordered(|o| o.binding = binding);
    let cases: Vec<(&str, Issued, Reason)> = vec![
        ("expired", ordered(|o| o.until = now().minus(DAY)), Reason::ExpiredCert),
        ("not yet valid", ordered(|o| o.from = now().plus(DAY)), Reason::ExpiredCert),
        ("RSA 1024", ordered(|o| o.key = KeyKind::Rsa(1024)), Reason::KeyAlgorithm),
        ("RSA 2047", ordered(|o| o.key = KeyKind::Rsa(2047)), Reason::KeyAlgorithm),
        ("P-521", ordered(|o| o.key = KeyKind::P521), Reason::KeyAlgorithm),
        ("of a stranger with our root's name", stranger.issue(&ordinary).unwrap(), Reason::Untrusted),
        ("issued by an end entity", as_authority.issue(&ordinary).unwrap(), Reason::Untrusted),
        ("signed with SHA-1", ordered(|o| o.digest = Digest::Sha1), Reason::WeakAlgorithm),
        ("for encryption only", issue_for(SENDER, Usage::Encrypt), Reason::KeyUsage),
        ("for web servers", issue_for(SENDER, Usage::WebServer), Reason::KeyUsage),
        ("of somebody else", bound(Binding::Address(address("other@direct.lab.example"))), Reason::NotBound),
        ("of the parent domain", bound(Binding::Domain("lab.example".into())), Reason::NotBound),
        ("of a sub-domain", bound(Binding::Domain("x.direct.lab.example".into())), Reason::NotBound),
        ("of a wildcard", bound(Binding::Domain("*.lab.example".into())), Reason::NotBound),
        ("of another domain", bound(Binding::Domain("direct.other.example".into())), Reason::NotBound),
        ("with the address in the subject only", bound(Binding::SubjectOnly(address(SENDER))), Reason::NotBound),
    ];
    for (case, sender, reason) in cases {
        let forge = Forge::new(sender);
        expect(&forge.desk(), &forge.message(INNER, "", ""), reason, case);
    }
}

#[test]
fn signers_bound_in_any_allowed_way_are_accepted() {
    for binding in [
        Binding::Address(address(SENDER)),
        Binding::Address(address("RESULTS@Direct.Lab.Example")),
        Binding::Domain("direct.lab.example".into()),
        Binding::Domain("DIRECT.LAB.EXAMPLE".into()),
    ] {
        let forge = Forge::new(ordered(|o| o.binding = binding.clone()));
        forge.desk().open(&forge.message(INNER, "", "")).unwrap_or_else(|error| panic!("{binding:?}: {error}"));
    }
    for usage in [Usage::Dual, Usage::Sign, Usage::Unstated] {
        let forge = Forge::new(issue_for(SENDER, usage));
        forge.desk().open(&forge.message(INNER, "", "")).unwrap_or_else(|error| panic!("{usage:?}: {error}"));
    }
}

#[test]
fn a_path_needs_its_intermediate_and_may_end_at_one() {
    let middle = root().intermediate("Middle", KeyKind::P256, now().minus(DAY), now().plus(DAY * 90)).unwrap();
    let forge = Forge::new(middle.issue(&order(Binding::Address(address(SENDER)))).unwrap());
    let message = forge.message(INNER, "", "");
    let mut desk = forge.desk();
    expect(&desk, &message, Reason::Untrusted, "intermediate missing");

    desk.intermediates = vec![middle.certificate().clone()];
    desk.open(&message).unwrap();
    desk.anchors = Anchors::new(vec![]);
    expect(&desk, &message, Reason::Untrusted, "no anchors; an intermediate is not one");
    desk.intermediates.clear();
    desk.anchors = Anchors::new(vec![middle.certificate().clone()]);
    desk.open(&message).unwrap();

    forge.bench.file("middle.pem", middle.certificate().pem().unwrap());
    forge.desk().open(&forge.message(INNER, "-certfile middle.pem", "")).unwrap();
}

#[test]
fn a_broken_intermediate_breaks_the_path() {
    for (case, kind, until, reason) in [
        ("expired", KeyKind::P256, now().minus(DAY), Reason::ExpiredCert),
        ("weak", KeyKind::Rsa(1024), now().plus(DAY), Reason::KeyAlgorithm),
    ] {
        let middle = root().intermediate("Middle", kind, now().minus(DAY * 90), until).unwrap();
        let forge = Forge::new(middle.issue(&order(Binding::Address(address(SENDER)))).unwrap());
        let mut desk = forge.desk();
        desk.intermediates = vec![middle.certificate().clone()];
        expect(&desk, &forge.message(INNER, "", ""), reason, case);
    }
}

#[test]
fn a_path_longer_than_allowed_is_not_followed() {
    let mut chain = vec![root().intermediate("1", KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap()];
    for number in 2..=7 {
        let above = chain.last().unwrap();
        chain.push(above.intermediate(&number.to_string(), KeyKind::P256, now().minus(DAY), now().plus(DAY)).unwrap());
    }
    for (depth, good) in [(5, true), (7, false)] {
        let forge = Forge::new(chain[depth - 1].issue(&order(Binding::Address(address(SENDER)))).unwrap());
        let mut desk = forge.desk();
        desk.intermediates = chain.iter().map(|authority| authority.certificate().clone()).collect();
        assert_eq!(desk.open(&forge.message(INNER, "", "")).is_ok(), good, "{depth} intermediates");
    }
}

#[test]
fn a_signature_that_is_not_of_this_content_is_rejected() {
    let forge = Forge::good();
    let desk = forge.desk();
    let signed = String::from_utf8(forge.sign(&wrapped(INNER), "-md sha256")).unwrap();
    let other = String::from_utf8(forge.sign(&wrapped(&INNER.replace("The report", "A report")), "-md sha256")).unwrap();
    let seal = |entity: &str| under(HEADERS, &forge.encrypt(entity.as_bytes(), "-aes-256-cbc"));

    expect(&desk, &seal(&signed.replace("The report", "No report")), Reason::BadSignature, "content changed");
    expect(&desk, &seal(&signed.replace("End.\r\n", "End.\r\n\r\n")), Reason::BadSignature, "line added");
    let boundary = |text: &str| text.split("boundary=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let swapped = {
        let (ours, theirs) = (format!("--{}", boundary(&signed)), format!("--{}", boundary(&other)));
        let mut parts: Vec<&str> = signed.split(&ours).collect();
        let their_parts: Vec<&str> = other.split(&theirs).collect();
        parts[2] = their_parts[2];
        parts.join(&ours)
    };
    expect(&desk, &seal(&swapped), Reason::BadSignature, "signature of another message");
    let b = boundary(&signed);
    let third = signed.replace(&format!("--{b}--"), &format!("--{b}\r\n\r\nmore\r\n--{b}--"));
    expect(&desk, &seal(&third), Reason::Malformed, "a third part");
    expect(&desk, &seal(&signed.replace(&format!("--{b}--"), "")), Reason::Malformed, "the end is missing");
    let typed = signed.replace("Content-Type: application/pkcs7-signature", "Content-Type: text/plain");
    expect(&desk, &seal(&typed), Reason::Malformed, "the signature is of another type");
    expect(&desk, &forge.message(INNER, "-nocerts", ""), Reason::NoCert, "no certificate in the message");
}

#[test]
fn whatever_cannot_be_decrypted_is_the_same_failure() {
    let forge = Forge::good();
    let message = String::from_utf8(forge.message(INNER, "", "")).unwrap();
    let (head, body) = message.split_once("\n\n").unwrap();
    let lines: Vec<&str> = body.lines().collect();
    let with = |lines: &[&str]| format!("{head}\n\n{}\n", lines.join("\n")).into_bytes();
    let desk = forge.desk();
    expect(
        &Desk { own: Desk::of(&issue(RECIPIENT, KeyKind::Rsa(2048))).own, ..forge.desk() },
        message.as_bytes(),
        Reason::Undecryptable,
        "another key",
    );
    expect(
        &Desk { own: Desk::of(&issue(RECIPIENT, KeyKind::P256)).own, ..forge.desk() },
        message.as_bytes(),
        Reason::Undecryptable,
        "another kind of key",
    );
    expect(&desk, &with(&lines[..lines.len() / 2]), Reason::Undecryptable, "cut in half");
    expect(&desk, &with(&[]), Reason::Undecryptable, "no body");
    expect(&desk, &with(&["AAAA"]), Reason::Undecryptable, "no CMS");
    expect(&desk, &with(&["not base64!"]), Reason::Undecryptable, "not base64");
    let mut more = lines.clone();
    more.push("AAAA");
    expect(&desk, &with(&more), Reason::Undecryptable, "bytes after the end");

    forge.bench.file("plain.eml", INNER);
    let line = "cms -EncryptedData_encrypt -aes128 -secretkey 000102030405060708090A0B0C0D0E0F -in plain.eml -out odd.eml";
    forge.bench.openssl(line).unwrap();
    expect(&desk, &under(HEADERS, &forge.bench.read("odd.eml")), Reason::Undecryptable, "no envelope");

    let gcm = String::from_utf8(forge.message(INNER, "", "-aes-256-gcm")).unwrap();
    forge.desk().open(gcm.as_bytes()).unwrap();
    let at = gcm.trim_end().len() - 6;
    let flipped = if gcm.as_bytes()[at] == b'A' { "B" } else { "A" };
    let broken = format!("{}{flipped}{}", &gcm[..at], &gcm[at + 1..]);
    expect(&desk, broken.as_bytes(), Reason::Undecryptable, "GCM tag changed");
}

#[test]
fn outer_headers_may_not_contradict_the_protected_ones() {
    let forge = Forge::good();
    let desk = forge.desk();
    let message = String::from_utf8(forge.message(INNER, "", "")).unwrap();
    let cases = [
        ("other From", "From: results@", "From: someone@"),
        ("no From", "From: results@direct.lab.example\r\n", ""),
        ("two From", "From: ", "From: other@direct.lab.example\r\nFrom: "),
        ("other To", "To: pcp.demo@", "To: nurse@"),
        ("one more To", "To: ", "To: nurse@direct.clinic.example, "),
        ("a Cc", "To: ", "Cc: nurse@direct.clinic.example\r\nTo: "),
        ("other Message-ID", "<m1@", "<m2@"),
        ("two Message-IDs", "Message-ID: ", "Message-ID: <m1@direct.lab.example>\r\nMessage-ID: "),
    ];
    for (case, from, to) in cases {
        expect(&desk, message.replacen(from, to, 1).as_bytes(), Reason::HeaderMismatch, case);
    }
    let upper = message.replacen("From: results@direct.lab.example", "From: RESULTS@DIRECT.LAB.EXAMPLE", 1);
    desk.open(upper.as_bytes()).unwrap();
}

#[test]
fn a_message_for_somebody_else_is_rejected() {
    let forge = Forge::good();
    let message = forge.message(INNER, "", "");
    let mut desk = forge.desk();
    desk.rcpt = Some(address("nurse@direct.clinic.example"));
    expect(&desk, &message, Reason::NotAddressed, "another recipient");
    desk.rcpt = None;
    desk.open(&message).unwrap();
    let elsewhere = INNER.replace("direct.clinic.example", "direct.elsewhere.example");
    let headers = HEADERS.replace("direct.clinic.example", "direct.elsewhere.example");
    let signed = forge.sign(&wrapped(&elsewhere), "-md sha256");
    let message = under(&headers, &forge.encrypt(&signed, "-aes-256-cbc"));
    expect(&desk, &message, Reason::NotAddressed, "encrypted to us, addressed to another domain");
}

#[test]
fn inner_messages_that_break_the_rules_of_mail_are_rejected() {
    let forge = Forge::good();
    let desk = forge.desk();
    for (case, from, to) in [
        ("two From addresses", "From: ", "From: other@direct.lab.example, "),
        ("two From fields", "From: ", "From: other@direct.lab.example\r\nFrom: "),
        ("no From", "From: results@direct.lab.example\r\n", ""),
        ("no To", "To: pcp.demo@direct.clinic.example\r\n", ""),
        ("To nobody", "To: pcp.demo@direct.clinic.example", "To: undisclosed"),
        ("a Message-ID without @", "<m1@direct.lab.example>", "<m1>"),
        ("no headers", "From: results@direct.lab.example\r\n", "\r\n"),
    ] {
        let message = forge.message(&INNER.replacen(from, to, 1), "", "");
        expect(&desk, &message, Reason::Malformed, case);
    }
    expect(&desk, b"", Reason::Malformed, "nothing at all");
    expect(&desk, b"\r\n\r\nhello", Reason::Malformed, "no outer headers");
}

#[test]
fn an_unwrapped_message_is_read_under_its_outer_headers() {
    let forge = Forge::good();
    let signed = forge.sign("Content-Type: text/plain\r\n\r\nThe report.\r\n", "-md sha256");
    let opened = forge.desk().open(&under(HEADERS, &forge.encrypt(&signed, "-aes-256-cbc"))).unwrap();
    assert!(!opened.is_wrapped());
    assert_eq!(opened.inner(), format!("{HEADERS}Content-Type: text/plain\r\n\r\nThe report.\r\n").as_bytes());
    let forged = HEADERS.replace("results@direct.lab.example\r", "boss@direct.other.example\r");
    expect(&forge.desk(), &under(&forged, &forge.encrypt(&signed, "-aes-256-cbc")), Reason::NotBound, "From is not the signer");
}
