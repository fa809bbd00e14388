//! The inner message of a result, and what of it shows outside.

use postern::{
    domain::{
        BirthDate, MessageId, Patient,
        order::{CodeSystem, Gender, PersonName, PostalAddress},
        report::ResultStatus,
    },
    seal::{Category, Context, Enclosed, Facts, Letter, Profile, Seal, Sealer},
    trust::{RecipientCertificate, authority::KeyKind},
};

use super::world::{Desk, RECIPIENT, SENDER, address, issue, now, signer};

fn patient() -> Patient {
    Patient {
        local_id: Some("ZZ000417".into()),
        name: PersonName { family: "Testriver".into(), given: vec!["Morgan".into(), "Q".into()], prefix: None, suffix: None },
        birth_date: "1964-02-17".parse().unwrap(),
        gender: Gender::parse("F").unwrap(),
        address: Some(PostalAddress {
            lines: vec!["12 Sample St".into()],
            city: Some("Faketown".into()),
            state: Some("FL".into()),
            postal_code: Some("32599".into()),
            country: Some("US".into()),
        }),
        phone: Some("+1-850-555-0142".into()),
        marital_status: None,
        race: vec![],
        ethnicity: None,
        language: None,
        code_system: CodeSystem::V3,
    }
}

fn with_letter<T>(change: impl FnOnce(&mut Letter<'_>), then: impl FnOnce(&Letter<'_>) -> T) -> T {
    let (from, to) = (address(SENDER), address(RECIPIENT));
    let id: MessageId = "<0192f0c1@direct.lab.example>".parse().unwrap();
    let birth_date: BirthDate = "1964-02-17".parse().unwrap();
    let patient = patient();
    let date = "2026-01-15T10:15:30-05:00".parse().unwrap();
    let mut letter = Letter {
        from: &from,
        to: &to,
        message_id: &id,
        date,
        status: ResultStatus::Final,
        wants_dispatched: true,
        facts: Facts {
            organization: "North Clinics",
            phone: Some("+1-937-555-0100"),
            site: "Riverside",
            order_id: "PLC700881",
            title: "Retinal eye screening report",
            completed_at: date,
            urgent: false,
            exam: Some("Fundus photography"),
            ordered_by: Some("Jordan Sample"),
            read_by: Some("Casey Reader, MD"),
            recipient: Some("Jordan Sample"),
            patient: "Morgan Q Testriver",
            birth_date: &birth_date,
        },
        context: Context {
            category: Category::Radiology,
            patient_id: Some(("2.16.840.1.113883.19.5", "ZZ000417")),
            patient: &patient,
        },
        enclosed: Enclosed::Documents { cda: b"<ClinicalDocument/>", pdf: Some(b"%PDF-1.7 %%EOF") },
    };
    change(&mut letter);
    then(&letter)
}

fn composed(change: impl FnOnce(&mut Letter<'_>)) -> String {
    with_letter(change, |letter| {
        let mut out = Vec::new();
        letter.compose(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    })
}

#[test]
fn the_inner_message_of_a_result_reads_like_this() {
    insta::assert_snapshot!(composed(|_| {}).replace("\r\n", "\n"));
}

/// The plain-text body alone.
fn body(change: impl FnOnce(&mut Letter<'_>)) -> String {
    let text = composed(change);
    let (_, rest) = text.split_once("Content-Transfer-Encoding: 7bit\r\n\r\n").unwrap();
    rest.split_once("\r\n--=_").unwrap().0.replace("\r\n", "\n")
}

#[test]
fn a_correction_says_so_in_subject_and_body() {
    let text = composed(|letter| letter.status = ResultStatus::Corrected);
    assert!(text.contains("Subject: Corrected clinical result\r\n"));
    assert!(text.contains("CORRECTED RESULT\r\nThis replaces a report"));
}

#[test]
fn a_body_tells_a_clinician_what_it_is_from_whom_about_which_order_and_whom_to_call() {
    let all = [ResultStatus::Corrected, ResultStatus::Addendum, ResultStatus::Preliminary, ResultStatus::Resend];
    let mut bodies = String::new();
    for status in all {
        bodies += &body(|letter| (letter.status, letter.facts.urgent) = (status, status == ResultStatus::Corrected));
        bodies += "=====\n";
    }
    // Nothing but what every order has, from an organization without a telephone, in a package.
    bodies += &body(|letter| {
        let facts = &mut letter.facts;
        (facts.phone, facts.exam, facts.ordered_by, facts.read_by, facts.recipient) = (None, None, None, Some(" "), None);
        facts.site = facts.organization;
        letter.enclosed = Enclosed::Package { zip: b"PK", with_pdf: false };
    });
    insta::assert_snapshot!(bodies);
    assert!(bodies.lines().all(|line| line.len() <= 78), "a line that a small window breaks");
}

#[test]
fn a_package_is_one_attachment_and_shows_in_the_subject() {
    let zip = b"PK\x03\x04 any octets \0\xff";
    for (status, subject) in [
        (ResultStatus::Final, "Subject: Clinical result XDM/1.0/DDM\r\n"),
        (ResultStatus::Corrected, "Subject: Corrected clinical result XDM/1.0/DDM\r\n"),
    ] {
        let text = composed(|letter| (letter.status, letter.enclosed) = (status, Enclosed::Package { zip, with_pdf: true }));
        assert!(text.contains(subject), "{text}");
        let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
        let packages: Vec<_> = parsed.parts.iter().filter(|part| part.contents() == zip).collect();
        assert_eq!((packages.len(), parsed.attachments().count()), (1, 2), "the package and the context");
        assert!(text.contains("Content-Type: application/zip; name=\"result-"), "{text}");
        assert!(!text.contains("application/xml") && !text.contains("application/pdf"));
    }
}

#[test]
fn file_names_are_opaque_inside_too() {
    let documents = |letter: &mut Letter<'_>| letter.enclosed = Enclosed::Documents { cda: b"<a/>", pdf: Some(b"%PDF-") };
    let package = |letter: &mut Letter<'_>| letter.enclosed = Enclosed::Package { zip: b"PK", with_pdf: true };
    for text in [composed(documents), composed(package)] {
        let named = |key: &str| -> Vec<&str> {
            text.split(key).skip(1).map(|rest| rest.lines().next().unwrap().trim_matches('"')).collect()
        };
        let names: Vec<&str> = [named("; filename="), named("; name=")].concat();
        assert!(names.len() >= 3 && names.contains(&"metadata.txt"), "{text}");
        for name in names {
            let opaque = name.strip_prefix("result-").and_then(|rest| rest.split_once('.'));
            let opaque = opaque.is_some_and(|(hex, suffix)| {
                hex.len() == 12 && hex.bytes().all(|b| b.is_ascii_hexdigit()) && ["xml", "pdf", "zip"].contains(&suffix)
            });
            assert!(opaque || name == "metadata.txt", "{name}");
        }
    }
}

#[test]
fn final_delivery_is_asked_for_only_when_wanted() {
    let option = "Disposition-Notification-Options: X-DIRECT-FINAL-DESTINATION-DELIVERY=optional,true\r\n";
    assert!(composed(|_| {}).contains(option));
    let text = composed(|letter| letter.wants_dispatched = false);
    assert!(!text.contains("Disposition-Notification-Options"));
    assert!(text.contains("Disposition-Notification-To: results@direct.lab.example\r\n"));
}

#[test]
fn hostile_values_break_neither_headers_nor_lines() {
    let text = composed(|letter| {
        letter.facts.organization = "Evil\r\nBcc: x@y.example\r\n\r\n--=_";
        letter.facts.title = "Ünïcode\u{2028}\0";
        letter.facts.site = Box::leak("x".repeat(5000).into_boxed_str());
        letter.context.patient_id = Some(("1.2", "a;surname=Other\r\nversion: 9"));
    });
    assert!(text.is_ascii());
    assert!(!text.contains("Bcc:"));
    assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
    let parsed = mail_parser::MessageParser::default().parse(text.as_bytes()).unwrap();
    let parts: Vec<String> = parsed.parts.iter().filter_map(|part| part.text_contents()).map(str::to_owned).collect();
    assert!(parts.iter().any(|part| part.contains("Evil  Bcc: x@y.example")), "the value is kept as one line");
    let metadata = parts.iter().find(|part| part.starts_with("version: 1.1")).unwrap();
    assert!(metadata.contains("patient-id: 1.2:a surname Other  version: 9\r\n"), "{metadata}");
}

#[test]
fn nothing_about_the_patient_shows_outside_and_everything_arrives_inside() {
    let (sender, recipient) = (issue(SENDER, KeyKind::Rsa(2048)), issue(RECIPIENT, KeyKind::Rsa(2048)));
    let checked = RecipientCertificate::checked(recipient.certificate.clone(), &address(RECIPIENT), now()).unwrap();
    let signer = signer(&sender);
    let mut sealer = Sealer::new();
    let mut out = Vec::new();
    for _ in 0..2 {
        let (sealed, inner) = with_letter(
            |_| {},
            |letter| {
                let with = Seal { signer: &signer, recipient: &checked, profile: Profile::default(), at: now() };
                let mut inner = Vec::new();
                letter.compose(&mut inner).unwrap();
                (sealer.seal_letter(letter, with, &mut out).unwrap(), inner)
            },
        );
        let text = std::str::from_utf8(&out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let attachment = openssl::base64::decode_block(&body.replace("\r\n", "")).unwrap();
        assert_eq!((sealed.size, sealed.sha256), (out.len(), postern::crypto::sha256(&attachment)));
        assert_eq!(
            head,
            "Date: Thu, 15 Jan 2026 10:15:30 -0500\r\nFrom: results@direct.lab.example\r\nTo: pcp.demo@direct.clinic.example\r\n\
             Message-ID: <0192f0c1@direct.lab.example>\r\nMIME-Version: 1.0\r\n\
             Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n name=\"smime.p7m\"\r\n\
             Content-Disposition: attachment; filename=\"smime.p7m\"\r\nContent-Transfer-Encoding: base64"
        );
        assert!(body.split_terminator("\r\n").all(|line| (1..=76).contains(&line.len())));
        assert_eq!(Desk::of(&recipient).open(&out).unwrap().inner(), inner);
    }
}
