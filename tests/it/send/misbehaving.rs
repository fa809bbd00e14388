//! Every fault, in every phase, and the one right conclusion from it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use postern::{
    config::relay::{MxSettings, TlsMode},
    domain::Reason,
    net::{
        dns::{MailHosts, StaticDns},
        tls::{ServerTls, self_signed},
    },
    send::{GoAhead, Job, Login, Mx, Outcome, Relay},
};

use crate::support::misbehaving::{Act, Misbehaving, another, envelope, hear, hello, message, say, wait};

use super::{address, hasty, kind, send, send_message, with_ca};

/// Deadline of every phase.
const LIMIT: u64 = 1_500;
/// What drips is not complete when the deadline is over.
const DRIP: Duration = Duration::from_millis(200);

/// Sends one message to a server that plays `script`.
async fn outcome(script: Vec<Act>) -> Outcome {
    let server = Misbehaving::start(vec![script]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    let started = Instant::now();
    let outcome = send(&relay).await;
    assert!(started.elapsed() < Duration::from_secs(45), "a deadline was not kept: {outcome:?}");
    outcome
}

async fn all(expected: &str, scripts: Vec<(&str, Vec<Act>)>) {
    let outcomes = scripts.into_iter().map(async |(what, script)| (what, outcome(script).await));
    for (what, outcome) in futures_util::future::join_all(outcomes).await {
        assert_eq!(kind(&outcome), expected, "{what}: {outcome:?}");
    }
}

fn after(mut beginning: Vec<Act>, end: Vec<Act>) -> Vec<Act> {
    beginning.extend(end);
    beginning
}

#[tokio::test]
async fn a_relay_that_cannot_be_talked_to_is_down_and_costs_the_delivery_nothing() {
    all(
        "relay down",
        vec![
            ("closes at once", vec![]),
            ("never greets", vec![Act::Hang]),
            ("greets with 554", vec![say("554 no service"), Act::Hang]),
            ("greets with 421", vec![say("421 busy"), Act::Hang]),
            ("greets with HTTP", vec![say("HTTP/1.1 400 Bad Request"), Act::Hang]),
            ("drips its greeting", vec![Act::Drip("220 hello hello hello\r\n".into(), DRIP), Act::Hang]),
            ("drops at EHLO", vec![say("220 hello"), hear("EHLO")]),
            ("is silent at EHLO", vec![say("220 hello"), hear("EHLO"), Act::Hang]),
            ("refuses EHLO", vec![say("220 hello"), hear("EHLO"), say("502 no"), Act::Hang]),
            ("two greetings", vec![say("220 hello"), say("220 again"), Act::Hang]),
            ("a line without end", vec![Act::Bytes(vec![b'2'; 100_000]), Act::Hang]),
            ("lines without end", vec![Act::Bytes(b"220-x\r\n".repeat(10_000)), Act::Hang]),
            ("mixed codes", vec![say("220-hello"), say("250 hello"), Act::Hang]),
        ],
    )
    .await;
}

#[tokio::test]
async fn before_data_nothing_was_taken_so_the_delivery_is_deferred() {
    let rcpt = |end: Vec<Act>| after(hello(), after(vec![hear("MAIL"), say("250 ok"), hear("RCPT")], end));
    all(
        "deferred",
        vec![
            ("drops at MAIL", after(hello(), vec![hear("MAIL")])),
            ("is silent at MAIL", after(hello(), vec![hear("MAIL"), Act::Hang])),
            ("451 to MAIL", after(hello(), vec![hear("MAIL"), say("451 later"), Act::Hang])),
            ("421 to MAIL", after(hello(), vec![hear("MAIL"), say("421 leaving")])),
            ("354 to MAIL", after(hello(), vec![hear("MAIL"), say("354 go"), Act::Hang])),
            ("garbage to MAIL", after(hello(), vec![hear("MAIL"), say("ok then"), Act::Hang])),
            ("drops at RCPT", rcpt(vec![])),
            ("is silent at RCPT", rcpt(vec![Act::Hang])),
            ("450 to RCPT", rcpt(vec![say("450 greylisted"), Act::Hang])),
            ("answers RCPT twice", rcpt(vec![say("250 ok"), say("250 ok"), Act::Hang])),
            ("drips its answer", rcpt(vec![Act::Drip("250 okokokokok\r\n".into(), DRIP), Act::Hang])),
            ("451 to DATA", after(envelope(), vec![hear("DATA"), say("451 later"), Act::Hang])),
            ("250 to DATA", after(envelope(), vec![hear("DATA"), say("250 what?"), Act::Hang])),
            ("451 after the dot", after(message(), vec![say("451 disk full"), Act::Hang])),
            ("421 after the dot", after(message(), vec![say("421 leaving")])),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_complete_5xx_is_a_refusal_in_every_phase_even_when_the_server_then_hangs_up() {
    let cases = vec![
        ("MAIL", after(hello(), vec![hear("MAIL"), say("550 not you")])),
        ("RCPT", after(hello(), vec![hear("MAIL"), say("250 ok"), hear("RCPT"), say("550 5.1.1 nobody")])),
        ("DATA", after(envelope(), vec![hear("DATA"), say("554 no")])),
        ("the dot", after(message(), vec![say("554-5.7.1 virus"), say("554 5.7.1 found")])),
    ];
    for (phase, script) in cases {
        let Outcome::Refused { reason, reply, .. } = outcome(script).await else { panic!("{phase}") };
        assert_eq!(reason, Reason::Rejected5xx, "{phase}");
        assert!(reply.is_some_and(|reply| reply.is_permanent()), "{phase}");
    }
}

#[tokio::test]
async fn after_data_only_a_complete_answer_settles_it_and_everything_else_is_lost() {
    let data = |end: Vec<Act>| after(envelope(), after(vec![hear("DATA")], end));
    all(
        "lost",
        vec![
            ("drops at DATA", data(vec![])),
            ("is silent at DATA", data(vec![Act::Hang])),
            ("354 then drops", data(vec![say("354 go")])),
            ("garbage at DATA", data(vec![say("go go go"), Act::Hang])),
            ("drops after the dot", message()),
            ("is silent after the dot", after(message(), vec![Act::Hang])),
            ("answers after the deadline", after(message(), vec![wait(LIMIT * 3), say("250 ok"), Act::Hang])),
            ("half an answer", after(message(), vec![Act::Bytes(b"250 o".to_vec())])),
            ("half of several lines", after(message(), vec![Act::Bytes(b"250-one\r\n".to_vec())])),
            ("garbage after the dot", after(message(), vec![say("thank you"), Act::Hang])),
            ("two codes in one answer", after(message(), vec![say("250-ok"), say("554 no"), Act::Hang])),
            ("another 2xx", after(message(), vec![say("251 elsewhere"), Act::Hang])),
            ("220", after(message(), vec![say("220 hello"), Act::Hang])),
            ("354 again", after(message(), vec![say("354 more"), Act::Hang])),
            ("a line without end", after(message(), vec![Act::Bytes(vec![b'2'; 100_000]), Act::Hang])),
            ("drips", after(message(), vec![Act::Drip("250 okokokokok\r\n".into(), DRIP), Act::Hang])),
        ],
    )
    .await;
}

#[tokio::test]
async fn a_250_counts_however_it_is_said_and_is_kept_verbatim() {
    for (said, kept) in [
        ("250 2.0.0 queued as 4Xyz\r\n", "250 2.0.0 queued as 4Xyz"),
        ("250-2.0.0 one\r\n250 2.0.0 two\r\n", "250-2.0.0 one\n250 2.0.0 two"),
        ("250\r\n", "250"),
        ("250 ok\n", "250 ok"),
    ] {
        // Closing right after the answer takes nothing back.
        let outcome = outcome(after(message(), vec![Act::Bytes(said.as_bytes().to_vec())])).await;
        let Outcome::Accepted { reply, .. } = &outcome else { panic!("{said:?}: {outcome:?}") };
        assert_eq!(reply.text(), kept);
    }
    let latin = outcome(after(message(), vec![Act::Bytes(b"250 accept\xe9\r\n".to_vec())])).await;
    assert_eq!(latin.reply().unwrap().text(), "250 accept\u{fffd}");
}

#[tokio::test]
async fn a_server_that_speaks_up_in_the_middle_of_the_message_is_heard() {
    let big = b"x".repeat(76).into_iter().chain(*b"\r\n").collect::<Vec<u8>>().repeat(200_000);
    for (said, expected) in [("552 5.3.4 too much", "refused"), ("451 4.3.1 disk full", "deferred"), ("250 fine already", "lost")]
    {
        let script = after(envelope(), vec![hear("DATA"), say("354 go"), Act::Some(100_000), say(said), wait(1_000)]);
        let server = Misbehaving::start(vec![script]).await;
        let mut settings = hasty(server.address.port(), TlsMode::None, 2_000);
        settings.timeouts.block = postern::domain::time::Span::seconds(5);
        // The size is announced, so the answer is not about what was declared.
        let outcome = send_message(&Relay::new(settings).unwrap(), &big[..9_000_000 / 78 * 78]).await;
        assert_eq!(kind(&outcome), expected, "{said}: {outcome:?}");
        assert_eq!(server.count("DOT"), 0);
    }
}

#[tokio::test]
async fn a_server_that_stops_reading_does_not_hold_us_for_ever() {
    let script = after(envelope(), vec![hear("DATA"), say("354 go"), Act::Wait(Duration::from_mins(2))]);
    let server = Misbehaving::start(vec![script]).await;
    let big = b"y".repeat(76).into_iter().chain(*b"\r\n").collect::<Vec<u8>>().repeat(120_000);
    let started = Instant::now();
    let outcome = send_message(&Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap(), &big).await;
    assert_eq!(kind(&outcome), "lost", "{outcome:?}");
    assert!(started.elapsed() < Duration::from_mins(1));
}

#[tokio::test]
async fn tr23_a_message_larger_than_the_server_says_it_takes_is_refused_before_it_is_sent() {
    // TR-23 has a limit for a recipient's domain; product.md knows what a server announces (RFC 1870 6.3).
    let script = vec![say("220 hello"), hear("EHLO"), say("250-host"), say("250 size 20"), Act::Hang];
    let server = Misbehaving::start(vec![script]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    let outcome = send(&relay).await;
    assert!(matches!(outcome, Outcome::Refused { reason: Reason::TooLarge, reply: None, .. }), "{outcome:?}");
    assert_eq!(server.count("MAIL"), 0);
}

#[tokio::test]
async fn on_wire_is_asked_once_after_the_recipient_and_before_data_and_its_no_is_obeyed() {
    let server = Misbehaving::start(vec![after(envelope(), vec![hear("QUIT"), say("221 bye")])]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    let (from, to) = (address("a@b.example"), address("c@d.example"));
    let job = Job::new(&from, &to, super::MESSAGE).unwrap();
    let asked = AtomicUsize::new(0);
    let outcome = relay
        .send(&job, Login::Relay, || async {
            asked.fetch_add(1, Ordering::SeqCst);
            assert_eq!(server.heard().last().map(String::as_str), Some("RCPT"));
            GoAhead::Stop
        })
        .await;
    assert_eq!((outcome, asked.into_inner()), (Outcome::NotSent, 1));
    server.until(|heard| heard.last().is_some_and(|last| last == "QUIT")).await;
    assert_eq!(server.heard(), ["CONNECT", "EHLO", "MAIL", "RCPT", "QUIT"]);
}

#[tokio::test]
async fn on_wire_is_not_asked_when_the_recipient_is_refused() {
    let script = after(hello(), vec![hear("MAIL"), say("250 ok"), hear("RCPT"), say("550 no")]);
    let server = Misbehaving::start(vec![script]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    let (from, to) = (address("a@b.example"), address("c@d.example"));
    let job = Job::new(&from, &to, super::MESSAGE).unwrap();
    let outcome = relay.send(&job, Login::Relay, || async { panic!("asked too early") }).await;
    assert_eq!(kind(&outcome), "refused");
}

#[tokio::test]
async fn a_clean_connection_carries_the_next_message() {
    let script = after(message(), vec![say("250 one")]);
    let script = after(script, after(another(), vec![say("250 two"), Act::Hang]));
    let server = Misbehaving::start(vec![script]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    for text in ["250 one", "250 two"] {
        assert_eq!(send(&relay).await.reply().map(|reply| reply.text().to_owned()).as_deref(), Some(text));
    }
    assert_eq!(server.count("CONNECT"), 1);
}

/// A message answered 554 must never look accepted because an answer of the message before came late.
#[tokio::test]
async fn a_late_answer_to_one_message_is_never_taken_for_the_answer_to_the_next() {
    let late = after(message(), vec![wait(LIMIT * 2), say("250 late"), Act::Hang]);
    let honest = after(message(), vec![say("554 no"), Act::Hang]);
    let server = Misbehaving::start(vec![late, honest]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    assert_eq!(kind(&send(&relay).await), "lost");
    tokio::time::sleep(Duration::from_millis(LIMIT * 2)).await;
    assert_eq!(kind(&send(&relay).await), "refused");
    assert_eq!(server.count("CONNECT"), 2, "the first connection was not used again");
}

#[tokio::test]
async fn a_send_that_is_dropped_half_way_takes_its_connection_with_it() {
    let slow = after(message(), vec![Act::Hang]);
    let honest = after(message(), vec![say("554 no"), Act::Hang]);
    let server = Misbehaving::start(vec![slow, honest]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, 60_000)).unwrap();
    tokio::select! {
        outcome = send(&relay) => panic!("nobody answered: {outcome:?}"),
        () = server.until(|heard| heard.iter().any(|verb| verb == "DOT")) => {}
    }
    assert_eq!(kind(&send(&relay).await), "refused");
    assert_eq!(server.count("CONNECT"), 2);
}

#[tokio::test]
async fn a_kept_connection_on_which_the_server_spoke_unasked_is_not_used_again() {
    // One answer too many: read as the answer to MAIL, it would shift all that follow by one.
    let chatty = after(after(message(), vec![say("250 one"), wait(50), say("250 and again")]), another());
    let chatty = after(chatty, vec![say("554 no"), Act::Hang]);
    let honest = after(message(), vec![say("554 no"), Act::Hang]);
    let server = Misbehaving::start(vec![chatty, honest]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    assert_eq!(kind(&send(&relay).await), "accepted");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(kind(&send(&relay).await), "refused");
    assert_eq!(server.count("CONNECT"), 2);
}

#[tokio::test]
async fn an_answer_too_many_inside_the_transaction_is_noticed_before_the_message_goes() {
    let rest = || vec![hear("RCPT"), say("250 ok"), hear("DATA"), say("354 go"), Act::Message, say("554 no"), Act::Hang];
    let together = after(hello(), after(vec![hear("MAIL"), Act::Bytes(b"250 ok\r\n250 ok\r\n".to_vec())], rest()));
    let apart = after(hello(), after(vec![hear("MAIL"), say("250 ok"), wait(30), say("250 ok")], rest()));
    for script in [together, apart] {
        let server = Misbehaving::start(vec![script]).await;
        let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
        let outcome = send(&relay).await;
        assert_eq!(kind(&outcome), "deferred", "{outcome:?}");
        assert_eq!(server.count("DOT"), 0);
    }
}

#[tokio::test]
async fn a_server_that_leaves_while_the_start_is_put_on_record_has_nothing() {
    let server = Misbehaving::start(vec![envelope()]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    let (from, to) = (address("a@b.example"), address("c@d.example"));
    let job = Job::new(&from, &to, super::MESSAGE).unwrap();
    let slow_commit = || async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        GoAhead::Go
    };
    assert_eq!(kind(&relay.send(&job, Login::Relay, slow_commit).await), "deferred");
}

#[tokio::test]
async fn a_connection_the_server_closed_or_leaves_meanwhile_is_replaced_without_costing_an_attempt() {
    let closes = after(message(), vec![say("250 one")]);
    let leaves = after(message(), vec![say("250 two"), hear("MAIL"), say("421 idle too long")]);
    let silent = after(message(), vec![say("250 three"), Act::Hang]);
    let last = after(message(), vec![say("250 four"), Act::Hang]);
    let server = Misbehaving::start(vec![closes, leaves, silent, last]).await;
    let relay = Relay::new(hasty(server.address.port(), TlsMode::None, LIMIT)).unwrap();
    for text in ["250 one", "250 two", "250 three", "250 four"] {
        assert_eq!(send(&relay).await.reply().map(|reply| reply.text().to_owned()).as_deref(), Some(text));
    }
    assert_eq!(server.count("CONNECT"), 4);
}

#[tokio::test]
async fn a_kept_connection_is_closed_when_nothing_comes() {
    let server = Misbehaving::start(vec![after(message(), vec![say("250 one"), hear("QUIT")])]).await;
    let mut settings = hasty(server.address.port(), TlsMode::None, LIMIT);
    settings.idle = postern::domain::time::Span(Duration::from_millis(100));
    let relay = Relay::new(settings).unwrap();
    assert_eq!(kind(&send(&relay).await), "accepted");
    server.until(|heard| heard.iter().any(|verb| verb == "QUIT")).await;
    drop(relay);
}

#[tokio::test]
async fn connections_are_kept_for_one_sender_and_idle_ones_count() {
    let script = after(message(), vec![say("250 one"), Act::Hang]);
    let server = Misbehaving::start(vec![script]).await;
    let mut settings = hasty(server.address.port(), TlsMode::None, LIMIT);
    settings.max_connections = 1;
    let relay = Relay::new(settings).unwrap();
    let to = address("c@d.example");
    for from in ["a@b.example", "x@y.example"] {
        let from = address(from);
        let job = Job::new(&from, &to, super::MESSAGE).unwrap();
        assert_eq!(kind(&relay.send(&job, Login::Relay, || async { GoAhead::Go }).await), "accepted");
    }
    assert_eq!(server.count("CONNECT"), 2, "another sender's connection was not used");
}

#[tokio::test]
async fn no_more_connections_are_opened_than_allowed() {
    let script = after(message(), vec![wait(100), say("250 one")]);
    let server = Misbehaving::start(vec![script]).await;
    let mut settings = hasty(server.address.port(), TlsMode::None, 3_000);
    settings.max_connections = 2;
    let relay = Relay::new(settings).unwrap();
    let started = Instant::now();
    let outcomes = futures_util::future::join_all((0..6).map(|_| send(&relay))).await;
    assert!(outcomes.iter().all(|outcome| kind(outcome) == "accepted"), "{outcomes:?}");
    assert!(started.elapsed() >= Duration::from_millis(300), "six messages, two at a time, 100 ms each");
}

#[tokio::test]
async fn the_pace_is_kept() {
    let script = after(message(), vec![say("250 one")]);
    let server = Misbehaving::start(vec![script]).await;
    let mut settings = hasty(server.address.port(), TlsMode::None, 3_000);
    settings.per_minute = 300;
    let relay = Relay::new(settings).unwrap();
    let started = Instant::now();
    for _ in 0..12 {
        assert_eq!(kind(&send(&relay).await), "accepted");
    }
    // The first second's worth goes at once; whatever else takes time, the rest goes no faster.
    assert!(started.elapsed() >= Duration::from_millis(800), "five a second: {:?}", started.elapsed());
}

#[tokio::test]
async fn a_relay_that_stays_away_is_left_alone_and_then_probed() {
    let down = vec![say("421 busy")];
    let server = Misbehaving::start(vec![down.clone(), down, after(message(), vec![say("250 back")])]).await;
    let mut settings = hasty(server.address.port(), TlsMode::None, LIMIT);
    settings.breaker_after = 2;
    settings.breaker_pause = postern::domain::time::Span(Duration::from_secs(3));
    let relay = Relay::new(settings).unwrap();
    for _ in 0..5 {
        assert_eq!(kind(&send(&relay).await), "relay down");
    }
    assert_eq!(server.count("CONNECT"), 2, "after two failures nobody knocks");
    let Outcome::RelayDown { retry_after, .. } = send(&relay).await else { panic!() };
    assert!(retry_after <= Duration::from_secs(3) && !relay.closed_for().is_zero());
    tokio::time::sleep(retry_after + Duration::from_millis(20)).await;
    assert_eq!(kind(&send(&relay).await), "accepted");
    assert!(relay.closed_for().is_zero());
}

#[tokio::test]
async fn a_stripped_or_refused_starttls_sends_nothing_and_neither_does_one_with_words_smuggled_in() {
    let tls = self_signed(&["localhost"], 2).unwrap();
    let server_tls = ServerTls::new(&tls.certificate, &tls.key, None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, &tls.certificate).unwrap();
    let offers = || vec![say("220 hello"), hear("EHLO"), say("250-host"), say("250 STARTTLS"), hear("STARTTLS")];
    let injected = b"220 go\r\n250-host\r\n250 AUTH PLAIN\r\n".to_vec();
    for (what, script) in [
        ("stripped", after(hello(), vec![Act::Hang])),
        ("refused", after(offers(), vec![say("454 not now"), Act::Hang])),
        ("no handshake", after(offers(), vec![say("220 go"), say("I am no TLS"), Act::Hang])),
        ("words smuggled in", after(offers(), vec![Act::Bytes(injected), wait(20), Act::Tls(server_tls), Act::Hang])),
    ] {
        let server = Misbehaving::start(vec![script]).await;
        let relay = Relay::new(with_ca(hasty(server.address.port(), TlsMode::Starttls, LIMIT), &ca)).unwrap();
        let outcome = send(&relay).await;
        assert_eq!(kind(&outcome), "relay down", "{what}: {outcome:?}");
        assert_eq!(server.count("MAIL") + server.count("AUTH"), 0, "{what}");
    }
}

/// Two exchangers of one domain: the first plays `first`, the second takes everything.
async fn by_two_exchangers(first: Vec<Act>) -> (Outcome, usize) {
    let first = Misbehaving::start(vec![first]).await;
    let second = Misbehaving::start(vec![after(message(), vec![say("250 taken"), Act::Hang])]).await;
    let dns = StaticDns::default()
        .domain("clinic.example", MailHosts::Hosts(vec!["mx1.clinic.example".into(), "mx2.clinic.example".into()]))
        .host("mx1.clinic.example", &[first.address])
        .host("mx2.clinic.example", &[second.address]);
    let lab = MxSettings { private_addresses: true, ..MxSettings::default() };
    let mx = Mx::new(lab, Arc::new(dns)).unwrap();
    let (from, to) = (address("results@lab.example"), address("pcp@clinic.example"));
    let job = Job::new(&from, &to, b"Subject: x\r\n\r\nhello\r\n").unwrap();
    let outcome = mx.send(&job, || async { GoAhead::Go }).await;
    (outcome, second.count("DATA"))
}

#[tokio::test]
async fn an_exchanger_that_says_later_is_not_the_last_word_until_one_has_been_given_the_message() {
    let later = after(hello(), vec![hear("MAIL"), say("250 ok"), hear("RCPT"), say("451 greylisted"), Act::Hang]);
    for first in [later, after(hello(), vec![hear("MAIL"), say("421 leaving")])] {
        let (outcome, taken) = by_two_exchangers(first).await;
        assert_eq!((kind(&outcome), taken), ("accepted", 1), "{outcome:?}");
    }
    // Given the message, whatever the first answered: the second is not asked.
    for answer in ["451 later", "554 no"] {
        let (outcome, taken) = by_two_exchangers(after(message(), vec![say(answer), Act::Hang])).await;
        assert_eq!(taken, 0, "{outcome:?}");
    }
    let (outcome, taken) =
        by_two_exchangers(after(hello(), vec![hear("MAIL"), say("250 ok"), hear("RCPT"), say("550 no such"), Act::Hang])).await;
    assert_eq!((kind(&outcome), taken), ("refused", 0), "a refusal is final: {outcome:?}");
}
