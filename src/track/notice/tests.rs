//! The variants of notices that certification tools send (ETT) and peers write, and what is none.

use proptest::prelude::*;

use super::*;

/// The MDN every variant is made of.
const PLAIN: &str = "From: pcp@d.example\r\nTo: us@lab.example\r\nMessage-ID: <n1@d.example>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/report; report-type=disposition-notification; boundary=\"x\"\r\n\r\n\
    --x\r\nContent-Type: text/plain\r\n\r\nWords.\r\n--x\r\nContent-Type: message/disposition-notification\r\n\r\n\
    Reporting-UA: d.example; x\r\nFinal-Recipient: rfc822; pcp@d.example\r\nOriginal-Message-ID: <1@lab.example>\r\n\
    Disposition: automatic-action/MDN-sent-automatically; processed\r\n--x--\r\n";

fn about(message: &str) -> About {
    Notice::read(message.as_bytes()).expect("a notice").about.remove(0)
}

/// What every tolerable variant must say.
fn says_processed(message: &str) {
    let about = about(message);
    assert_eq!(about.kind, Some(NoticeKind::Processed), "{message}");
    assert_eq!(about.message_ids.iter().map(MessageId::as_str).collect::<Vec<_>>(), ["<1@lab.example>"], "{message}");
    assert!(about.recipients.iter().any(|named| named.eq_ignore_ascii_case("pcp@d.example")), "{message}");
}

#[test]
fn a_plain_mdn_says_what_it_is_about() {
    says_processed(PLAIN);
}

#[test]
fn ett_white_space_mdn() {
    says_processed(
        &PLAIN
            .replace("Final-Recipient: rfc822; ", "Final-Recipient  :   rfc822  ;   ")
            .replace("Disposition:", "Disposition :\t "),
    );
}

#[test]
fn ett_extra_line_break_mdn() {
    says_processed(
        &PLAIN.replace("Final-Recipient", "\r\nFinal-Recipient").replace("Disposition: auto", "\r\n\r\nDisposition: auto"),
    );
}

#[test]
fn ett_extra_space_disposition() {
    says_processed(&PLAIN.replace(
        "automatic-action/MDN-sent-automatically; processed",
        "automatic-action / MDN-sent-automatically ;  processed  ",
    ));
}

#[test]
fn ett_missing_disposition() {
    let about = about(&PLAIN.replace("Disposition: automatic-action/MDN-sent-automatically; processed\r\n", ""));
    assert_eq!(about.kind, None, "it says neither yes nor no");
}

#[test]
fn ett_white_space_822() {
    says_processed(&PLAIN.replace("rfc822; pcp@d.example", "  rfc822  ;  pcp@d.example  "));
}

#[test]
fn ett_different_cases_822() {
    says_processed(&PLAIN.replace("rfc822; pcp@d.example", "RFC822; PCP@D.Example").replace("Disposition:", "DISPOSITION:"));
}

#[test]
fn a_missing_address_type_and_a_missing_bracket_are_understood() {
    says_processed(&PLAIN.replace("rfc822; ", ""));
    says_processed(&PLAIN.replace("<1@lab.example>", "1@lab.example"));
    says_processed(&PLAIN.replace("rfc822; pcp@d.example", "rfc822; <pcp@d.example>"));
}

#[test]
fn folded_fields_are_put_together() {
    says_processed(&PLAIN.replace("Original-Message-ID: <1@lab.example>", "Original-Message-ID:\r\n\t<1@lab.example>"));
    says_processed(&PLAIN.replace("automatically; processed", "automatically;\r\n processed"));
    says_processed(&PLAIN.replace("<1@lab.example>", "<1@lab.\r\n example>"));
}

#[test]
fn bare_line_feeds_a_missing_report_type_and_encoded_parts_are_understood() {
    says_processed(&PLAIN.replace("\r\n", "\n"));
    says_processed(&PLAIN.replace(" report-type=disposition-notification;", ""));
    let (head, fields) = PLAIN.split_once("disposition-notification\r\n\r\n").unwrap();
    let (fields, tail) = fields.split_once("--x--").unwrap();
    let mut packed = Vec::new();
    crate::crypto::base64_lines(fields.as_bytes(), &mut packed);
    let packed = String::from_utf8(packed).unwrap();
    says_processed(&format!("{head}disposition-notification\r\nContent-Transfer-Encoding: base64\r\n\r\n{packed}--x--{tail}"));
}

#[test]
fn dispatched_carries_the_extension_field_or_does_without() {
    let dispatched = PLAIN.replace("; processed", "; dispatched");
    assert_eq!((about(&dispatched).kind, about(&dispatched).final_delivery), (Some(NoticeKind::Dispatched), false));
    let extended = dispatched.replace("dispatched\r\n--x--", "dispatched\r\nX-DIRECT-FINAL-DESTINATION-DELIVERY: \r\n--x--");
    assert!(about(&extended).final_delivery);
}

#[test]
fn an_mdn_without_an_id_is_known_by_the_headers_it_returns() {
    let without = PLAIN.replace("Original-Message-ID: <1@lab.example>\r\n", "");
    assert!(about(&without).message_ids.is_empty());
    says_processed(
        &without.replace("--x--", "--x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@lab.example>\r\n\r\n--x--"),
    );
}

const DSN: &str = "From: mailer-daemon@d.example\r\nTo: us@lab.example\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/report; report-type=delivery-status; boundary=\"x\"\r\n\r\n--x\r\n\r\nWords.\r\n\
    --x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; d.example\r\n\r\n\
    Final-Recipient: rfc822;pcp@d.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.7.1 recipient not trusted\r\n\r\n\
    --x\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <1@lab.example>\r\nSubject: x\r\n\r\nMessage-ID: <not-this@one>\r\n--x--\r\n";

#[test]
fn a_dsn_is_about_the_message_it_returns() {
    let about = about(DSN);
    assert_eq!(about.kind, Some(NoticeKind::Failed));
    assert_eq!(about.message_ids.iter().map(MessageId::as_str).collect::<Vec<_>>(), ["<1@lab.example>"]);
    assert_eq!((about.status.as_deref(), about.trust_failure()), (Some("5.1.1"), Some(Reason::Untrusted)));
    for (action, kind) in [("delayed", None), ("relayed", None), ("delivered", None), ("FAILED", Some(NoticeKind::Failed))] {
        assert_eq!(super::tests::about(&DSN.replace("Action: failed", &format!("Action: {action}"))).kind, kind, "{action}");
    }
}

#[test]
fn a_letter_is_no_notice_even_with_one_attached() {
    assert_eq!(Notice::read(b"From: a@b.example\r\n\r\nDisposition: processed\r\n"), None);
    let forwarded = format!(
        "From: a@b.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n--y\r\n\r\nsee\r\n--y\r\nContent-Type: message/rfc822\r\n\r\n{PLAIN}\r\n--y--\r\n"
    );
    assert_eq!(Notice::read(forwarded.as_bytes()), None);
}

#[test]
fn a_report_that_says_nothing_is_still_a_notice_so_that_nobody_answers_it() {
    let empty =
        "Content-Type: multipart/report; report-type=Disposition-Notification; boundary=x\r\n\r\n--x\r\n\r\nhm\r\n--x--\r\n";
    assert_eq!(Notice::read(empty.as_bytes()), Some(Notice { form: Form::Mdn, about: vec![] }));
}

#[test]
fn a_dsn_about_a_million_recipients_is_cut_short() {
    let many = "Final-Recipient: rfc822;a@d.example\r\nAction: failed\r\n\r\n".repeat(100_000);
    let bomb = DSN.replace("Final-Recipient: rfc822;pcp@d.example\r\n", &many);
    assert!(Notice::read(bomb.as_bytes()).unwrap().about.len() <= 100);
}

proptest! {
    #[test]
    fn whatever_comes_is_read_without_harm(octets in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = Notice::read(&octets);
    }

    /// Octets changed, left out and put in, anywhere in real notices.
    #[test]
    fn broken_notices_are_read_without_harm(
        dsn in any::<bool>(),
        changes in proptest::collection::vec((0..1_000_usize, 0..3_u8, any::<u8>()), 1..20),
    ) {
        let mut octets = if dsn { DSN } else { PLAIN }.as_bytes().to_vec();
        for (place, how, octet) in changes {
            let place = place % octets.len();
            match how {
                0 => octets[place] = octet,
                1 => drop(octets.remove(place)),
                _ => octets.insert(place, octet),
            }
        }
        if let Some(notice) = Notice::read(&octets) {
            for about in notice.about {
                prop_assert!(about.stated.chars().chain(about.recipients.iter().flat_map(|r| r.chars())).all(|c| !c.is_control()));
                prop_assert!(about.message_ids.len() <= 20);
            }
        }
    }

    /// However a peer folds, spaces and capitalizes, the same is said.
    #[test]
    fn style_changes_nothing(upper in any::<bool>(), before in "[ \t]{0,3}", after in "[ \t]{0,3}", fold in any::<bool>(), lines in 0..3_usize, bare in any::<bool>()) {
        let mut message = String::new();
        let mut inside = false;
        for line in PLAIN.split("\r\n") {
            inside |= line.starts_with("Reporting-UA");
            let field = inside && !line.starts_with("--") && !line.is_empty();
            match line.split_once(':').filter(|_| field) {
                Some((name, value)) => {
                    let name = if upper { name.to_ascii_uppercase() } else { name.to_ascii_lowercase() };
                    let value = if fold { format!("\r\n\t{}", value.trim()) } else { value.to_owned() };
                    message += &format!("{name}{before}:{after}{value}{after}\r\n{}", "\r\n".repeat(lines));
                }
                None => message += &format!("{line}\r\n"),
            }
        }
        says_processed(&if bare { message.replace("\r\n", "\n") } else { message });
    }
}
