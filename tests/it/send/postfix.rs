//! The three send modes against a real Postfix.

use std::sync::Arc;

use postern::{
    config::relay::{AuthSettings, MxSettings, RelaySettings, TlsMode},
    domain::Reason,
    net::dns::{MailHosts, StaticDns},
    send::{GoAhead, Job, Login, Mx, Outcome, Relay},
};
use secrecy::SecretString;

use crate::support::postfix::{EDGE_USER, PASSWORD, Postfix, STA_USER};

use super::{address, kind, settings, with_ca};

const LETTER: &str = "From: results@lab.example\r\nTo: pcp@clinic.example\r\nMessage-ID: <1@lab.example>\r\n\
                      Date: Thu, 15 Jan 2026 10:15:30 -0500\r\n\r\n\
                      first\r\n.\r\n..two dots\r\nlast\r\n";

fn relay_at(postfix: &Postfix, port: u16, tls: TlsMode) -> RelaySettings {
    with_ca(settings(port, tls), &postfix.ca)
}

fn with_login(mut settings: RelaySettings, password: &str) -> RelaySettings {
    settings.auth =
        Some(AuthSettings { user: STA_USER.to_owned(), password: Some(SecretString::from(password)), password_file: None });
    settings
}

async fn deliver(relay: &Relay, login: Login<'_>, to: &str, message: &str) -> Outcome {
    let (from, to) = (address(EDGE_USER), address(to));
    let job = Job::new(&from, &to, message.as_bytes()).unwrap();
    relay.send(&job, login, || async { GoAhead::Go }).await
}

/// The whole message is there, dots and all, below what the servers wrote above it.
fn assert_intact(arrived: &str, sent: &str) {
    assert!(arrived.ends_with(&sent.replace("\r\n", "\n")), "{arrived}");
}

#[tokio::test]
async fn sta_relay_hands_over_by_starttls_and_login_and_by_implicit_tls() {
    let postfix = Postfix::start(&["pcp", "second"]);
    for (port, tls, to) in
        [(postfix.doors.relay, TlsMode::Starttls, "pcp"), (postfix.doors.implicit, TlsMode::Implicit, "second")]
    {
        let relay = Relay::new(with_login(relay_at(&postfix, port, tls), PASSWORD)).unwrap();
        let outcome = deliver(&relay, Login::Relay, &format!("{to}@clinic.example"), LETTER).await;
        let Outcome::Accepted { reply, server, tls } = &outcome else { panic!("{outcome:?}\n{}", postfix.log()) };
        assert!(reply.text().starts_with("250 2.0.0 Ok: queued as "), "{reply}");
        assert_eq!((server.as_str(), *tls), ("localhost", Some("TLSv1.3")));
        let arrived = postfix.delivered(to).await;
        assert_intact(&arrived, LETTER);
        assert!(arrived.contains("Return-Path: <results@lab.example>"));
    }
}

#[tokio::test]
async fn one_connection_carries_many_messages_and_each_has_its_own_answer() {
    let postfix = Postfix::start(&["pcp"]);
    let relay = Relay::new(with_login(relay_at(&postfix, postfix.doors.relay, TlsMode::Starttls), PASSWORD)).unwrap();
    let mut answers = std::collections::HashSet::new();
    for _ in 0..10 {
        let outcome = deliver(&relay, Login::Relay, "pcp@clinic.example", LETTER).await;
        answers.insert(outcome.reply().unwrap_or_else(|| panic!("{outcome:?}")).text().to_owned());
    }
    assert_eq!(answers.len(), 10);
    assert_eq!(postfix.log().matches(": connect from ").count(), 2, "one is the readiness check: {}", postfix.log());
}

#[tokio::test]
async fn a_wrong_password_closes_that_login_only_and_is_not_tried_again_at_once() {
    let postfix = Postfix::start(&["pcp"]);
    let relay = Relay::new(with_login(relay_at(&postfix, postfix.doors.relay, TlsMode::Starttls), "wrong")).unwrap();
    for _ in 0..3 {
        let outcome = deliver(&relay, Login::Relay, "pcp@clinic.example", LETTER).await;
        assert_eq!(kind(&outcome), "relay down", "{outcome:?}");
    }
    assert_eq!(postfix.log().matches("authentication failed").count(), 1, "a locked account helps nobody");
    // Another user of the same relay is not touched by it.
    let password = SecretString::from(PASSWORD);
    assert_eq!(kind(&deliver(&relay, Login::Sender(&password), "pcp@clinic.example", LETTER).await), "accepted");
}

#[tokio::test]
async fn refusals_keep_postfix_own_words() {
    let postfix = Postfix::start(&["pcp"]);
    let relay = Relay::new(with_login(relay_at(&postfix, postfix.doors.relay, TlsMode::Starttls), PASSWORD)).unwrap();
    let outcome = deliver(&relay, Login::Relay, "nobody@clinic.example", LETTER).await;
    let Outcome::Refused { reason, reply: Some(reply), .. } = &outcome else { panic!("{outcome:?}") };
    assert_eq!((*reason, reply.enhanced()), (Reason::Rejected5xx, Some((5, 1, 1))));
    assert!(reply.text().contains("User unknown"), "{reply}");

    let big = format!("{LETTER}{}", "0123456789\r\n".repeat(200_000));
    let outcome = deliver(&relay, Login::Relay, "pcp@clinic.example", &big).await;
    assert!(matches!(outcome, Outcome::Refused { reason: Reason::TooLarge, .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_server_whose_certificate_we_have_no_reason_to_believe_gets_nothing() {
    let postfix = Postfix::start(&["pcp"]);
    let stranger = postern::net::tls::self_signed(&["localhost"], 2).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let other_ca = dir.path().join("other.pem");
    std::fs::write(&other_ca, &stranger.certificate).unwrap();
    let good = with_login(relay_at(&postfix, postfix.doors.relay, TlsMode::Starttls), PASSWORD);
    let unknown_authority = with_ca(good.clone(), &other_ca);
    let system_store = RelaySettings { ca_file: None, ..good.clone() };
    let other_name = RelaySettings { host: "127.0.0.1".to_owned(), ..good };
    for settings in [unknown_authority, system_store, other_name] {
        let relay = Relay::new(settings).unwrap();
        let outcome = deliver(&relay, Login::Relay, "pcp@clinic.example", LETTER).await;
        let Outcome::RelayDown { why, .. } = &outcome else { panic!("{outcome:?}") };
        assert!(why.contains("TLS handshake"), "{why}");
    }
    assert!(!postfix.log().contains("sasl_username"), "no password was shown");
}

#[tokio::test]
async fn a_relay_may_know_us_by_certificate() {
    let postfix = Postfix::start(&["pcp"]);
    let mut settings = relay_at(&postfix, postfix.doors.certificate, TlsMode::Starttls);
    let without = Relay::new(settings.clone()).unwrap();
    let outcome = deliver(&without, Login::Relay, "pcp@clinic.example", LETTER).await;
    assert!(matches!(kind(&outcome), "relay down" | "deferred" | "refused"), "{outcome:?}");

    settings.client_certificate_file = Some(postfix.client.0.clone());
    settings.client_key_file = Some(postfix.client.1.clone());
    let relay = Relay::new(settings).unwrap();
    let outcome = deliver(&relay, Login::Certificate, "pcp@clinic.example", LETTER).await;
    assert_eq!(kind(&outcome), "accepted", "{outcome:?}\n{}", postfix.log());
}

#[tokio::test]
async fn edge_submits_as_the_sender_and_cannot_be_somebody_else() {
    let postfix = Postfix::start(&["pcp"]);
    let password = SecretString::from(PASSWORD);
    let relay = Relay::new(with_login(relay_at(&postfix, postfix.doors.edge, TlsMode::Starttls), PASSWORD)).unwrap();
    let outcome = deliver(&relay, Login::Sender(&password), "pcp@clinic.example", LETTER).await;
    assert_eq!(kind(&outcome), "accepted", "{outcome:?}\n{}", postfix.log());
    assert!(postfix.log().contains(&format!("sasl_username={EDGE_USER}")));
    assert_intact(&postfix.delivered("pcp").await, LETTER);

    // The relay's own login is not the owner of that address.
    let outcome = deliver(&relay, Login::Relay, "pcp@clinic.example", LETTER).await;
    let Outcome::Refused { reply: Some(reply), .. } = &outcome else { panic!("{outcome:?}") };
    assert!(reply.text().contains("not owned by user"), "{reply}");
}

fn mx_settings() -> MxSettings {
    toml::from_str("helo = \"gateway.example\"\nprivate_addresses = true").unwrap()
}

async fn by_mx(mx: &Mx, to: &str) -> Outcome {
    let (from, to) = (address(EDGE_USER), address(to));
    let job = Job::new(&from, &to, LETTER.as_bytes()).unwrap();
    mx.send(&job, || async { GoAhead::Go }).await
}

#[tokio::test]
async fn sta_mx_delivers_under_a_self_signed_certificate_by_the_first_exchanger_that_answers() {
    let postfix = Postfix::start(&["pcp"]);
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let dns = StaticDns::default()
        .domain("clinic.example", MailHosts::Hosts(vec!["mx1.clinic.example".into(), "mx2.clinic.example".into()]))
        .host("mx1.clinic.example", &[dead])
        .host("mx2.clinic.example", &[([127, 0, 0, 1], postfix.doors.mx).into()])
        .domain("silent.example", MailHosts::NoMail)
        .domain("dead.example", MailHosts::Hosts(vec!["mx1.clinic.example".into()]))
        .unavailable("servfail.example");
    let mx = Mx::new(mx_settings(), Arc::new(dns)).unwrap();
    let outcome = by_mx(&mx, "pcp@Clinic.Example").await;
    let Outcome::Accepted { server, tls, .. } = &outcome else { panic!("{outcome:?}\n{}", postfix.log()) };
    assert_eq!((server.as_str(), *tls), ("mx2.clinic.example", Some("TLSv1.3")));
    assert_intact(&postfix.delivered("pcp").await, LETTER);

    assert_eq!(kind(&by_mx(&mx, "nobody@clinic.example").await), "refused");
    assert_eq!(kind(&by_mx(&mx, "a@silent.example").await), "refused", "null MX");
    assert_eq!(kind(&by_mx(&mx, "a@dead.example").await), "deferred");
    assert_eq!(kind(&by_mx(&mx, "a@servfail.example").await), "deferred", "unavailable is not absent");
    assert_eq!(kind(&by_mx(&mx, "a@nowhere.example").await), "deferred");
}

#[tokio::test]
async fn a_strangers_dns_does_not_lead_us_into_our_own_network() {
    let postfix = Postfix::start(&["pcp"]);
    let dns = StaticDns::default().served_at("clinic.example", ([127, 0, 0, 1], postfix.doors.mx).into());
    let mx = Mx::new(MxSettings::default(), Arc::new(dns)).unwrap();
    assert_eq!(kind(&by_mx(&mx, "pcp@clinic.example").await), "deferred");
}
