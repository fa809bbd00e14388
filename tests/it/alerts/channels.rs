//! A channel that is down loses nothing; a webhook is signed; a mail is plain mail.

use std::sync::{Arc, Mutex};

use postern::{
    config::relay::{AuthSettings, TlsMode},
    domain::{Clock as _, Timestamp},
    send::{Outcome, PlainMail, Relay},
    track::webhook::{SigningSecret, sign},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::office::{HOUR, MINUTE, Office};
use crate::{
    store::world::World,
    support::postfix::{PASSWORD, Postfix, STA_USER},
};

const OPS: &str = "ops@lab.example";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Takes HTTP requests; answers 500 to the first `failing`, then 200. Gives its URL and what came.
async fn endpoint(failing: usize) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let came = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 8_000];
            loop {
                let n = tcp.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..n]);
                let text = String::from_utf8_lossy(&request);
                let length =
                    text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                let whole = text
                    .find("\r\n\r\n")
                    .zip(length)
                    .is_some_and(|(at, length)| request.len() >= at + 4 + length.parse::<usize>().unwrap());
                if n == 0 || whole {
                    break;
                }
            }
            let count = {
                let mut kept = kept.lock().unwrap();
                kept.push(String::from_utf8(request).unwrap());
                kept.len()
            };
            let answer: &[u8] = if count <= failing {
                b"HTTP/1.1 500 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            };
            tcp.write_all(answer).await.unwrap();
        }
    });
    (url, came)
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    request.lines().find_map(|line| line.strip_prefix(&format!("{name}: "))).unwrap_or_else(|| panic!("{name} in {request}"))
}

on_both_engines! {
    async fn a_mail_server_that_is_down_costs_time_and_nothing_else(world: &World) {
        let mut office = Office::open(world, "opens_after = \"0s\"").await;
        office.mail_down().await;
        let process = office.process().await;
        assert!(!process.try_hisp().await);
        assert_eq!(process.round().await, (1, 0));
        let error = world.texts("SELECT error FROM alert_listener WHERE failing_since IS NOT NULL").await;
        assert!(error[0].contains("office"), "{error:?}");
        process.gateway.health.trouble(postern::domain::alert::AlertKind::SourceUnavailable, "feed lab", "", "no answer");
        world.pass(MINUTE).await;
        assert_eq!(process.round().await, (2, 0), "the feed, and that the mail server is down");
        assert_eq!(process.alerting.tell_once().await.unwrap(), 0, "it is left alone for a while");
        office.mail_up().await;
        world.pass(HOUR).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        assert_eq!(process.alerting.tell_once().await.unwrap(), 1);
        assert_eq!(office.subjects(OPS), ["[lab] CRITICAL: 3 new"], "all in one");
        assert_eq!(world.number("SELECT COUNT(*) FROM alert_listener WHERE error IS NULL AND attempts = 0").await, 1);
    }

    async fn a_webhook_is_signed_and_tried_again_with_the_same_id(world: &World) {
        let (url, came) = endpoint(1).await;
        let more = format!("opens_after = \"0s\"\nwebhook = \"{url}\"\nwebhook_secret = \"{SECRET}\"\nwebhook_internal = true");
        let office = Office::open(world, &more).await;
        let process = office.process().await;
        assert!(!process.try_hisp().await);
        assert_eq!(process.round().await, (1, 1), "the mail");
        world.pass(5 * MINUTE).await;
        assert_eq!(process.round().await, (0, 1), "the webhook, the second time");
        let came = came.lock().unwrap().clone();
        assert_eq!(came.len(), 2);
        let (head, body) = came[1].split_once("\r\n\r\n").unwrap();
        assert_eq!(header(head, "webhook-id"), header(&came[0], "webhook-id"));
        let at = Timestamp(header(head, "webhook-timestamp").parse::<i64>().unwrap() * 1_000_000);
        assert_eq!(at.micros() / 1_000_000, world.clock.now().micros() / 1_000_000);
        let secret = SigningSecret::parse(SECRET).unwrap();
        assert_eq!(header(head, "webhook-signature"), sign([&secret], header(head, "webhook-id"), at, body.as_bytes()).unwrap());
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["type"], &body["data"]["installation"]), (&"alerts".into(), &"lab".into()));
        let alert = &body["data"]["alerts"][0];
        assert_eq!((&alert["kind"], &alert["said"], &alert["subject"]), (&"relay_down".into(), &"opened".into(), &"hisp".into()));
    }

    async fn a_person_who_is_no_longer_named_hears_nothing_more(world: &World) {
        let mut office = Office::open(world, "opens_after = \"0s\"").await;
        let org = office.organization("north", "[alerts]\nto = [\"it@north.example\"]\nheld = 1\n").await;
        let process = office.process().await;
        let held = world.queued(org, "A1").await;
        world.run(&format!("UPDATE delivery SET state = 'held', reason = 'no_cert' WHERE id = '{held}'")).await;
        office.mail_down().await;
        assert_eq!(process.round().await, (1, 0));
        assert_eq!(world.number("SELECT COUNT(*) FROM alert_telling").await, 2);
        office.organization("north", "").await;
        office.mail_up().await;
        world.pass(HOUR).await;
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        process.alerting.tell_once().await.unwrap();
        assert!(office.mails("it@north.example").is_empty());
        assert_eq!(office.subjects(OPS), ["[lab] 1 new"]);
    }
}

#[tokio::test]
async fn an_alert_leaves_by_an_ordinary_mail_server_like_any_mail() {
    let postfix = Postfix::start(&["ops"]);
    let text =
        format!("name = \"office\"\nhost = \"localhost\"\nport = {}\ntls = \"{}\"", postfix.doors.relay, TlsMode::Starttls);
    let mut settings: postern::config::relay::RelaySettings = toml::from_str(&text).unwrap();
    settings.ca_file = Some(postfix.ca.clone());
    settings.auth =
        Some(AuthSettings { user: STA_USER.to_owned(), password: Some(SecretString::from(PASSWORD)), password_file: None });
    let relay = Relay::new(settings).unwrap();
    let (from, to) = ("postern@lab.example".parse().unwrap(), "ops@clinic.example".parse().unwrap());
    let at = Timestamp(1_772_463_600_000_000);
    let mail = PlainMail { from: &from, to: &to, subject: "[lab] 1 new", text: "A line.\n.\nZürich\n", id: "one", at };
    let outcome = mail.send(&relay).await.unwrap();
    assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}\n{}", postfix.log());
    let arrived = postfix.delivered("ops").await;
    let parsed = mail_parser::MessageParser::default().parse(arrived.as_bytes()).unwrap();
    assert_eq!(parsed.subject(), Some("[lab] 1 new"));
    assert_eq!(parsed.body_text(0).unwrap().trim_end(), "A line.\r\n.\r\nZürich".replace("\r\n", "\n").replace('\n', "\r\n"));
}
