//! Our own SMTP door: what it takes, from whom, and that 250 means durable.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use postern::{
    config::{relay::RelaySettings, smtp_in::SmtpInSection},
    domain::DirectAddress,
    net::{
        stream::Stream,
        tls::{ClientFiles, ClientTls, self_signed},
    },
    send::{GoAhead, Job, Login, Outcome, Relay},
    track::{Arrivals, smtp_in::SmtpIn},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::{OWN, RESULTS, enrolled, kept, messages, own};
use crate::{
    store::world::World,
    support::postfix::{PASSWORD, Postfix, STA_USER},
};

/// The door, open on a free port, until it is dropped.
struct Door {
    address: SocketAddr,
    world: World,
    dir: tempfile::TempDir,
    stop: CancellationToken,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Door {
    async fn open(change: impl FnOnce(&mut SmtpInSection), relays: &str) -> Self {
        let world = World::sqlite().await;
        enrolled(&world, "north", RESULTS).await;
        enrolled(&world, "south", "South@other.example").await;
        let dir = tempfile::tempdir().unwrap();
        let pair = self_signed(&["localhost"], 2).unwrap();
        let (certificate, key) = (dir.path().join("mx.pem"), dir.path().join("mx.key"));
        std::fs::write(&certificate, pair.certificate).unwrap();
        std::fs::write(&key, pair.key).unwrap();
        let mut settings = SmtpInSection {
            host: "mx.lab.example".to_owned(),
            certificate_file: Some(certificate),
            key_file: Some(key),
            message_bytes: 200_000,
            ..SmtpInSection::default()
        };
        change(&mut settings);
        let relays: Vec<RelaySettings> = toml::from_str::<toml::Table>(relays)
            .unwrap()
            .remove("relay")
            .map(|relays| relays.try_into().unwrap())
            .unwrap_or_default();
        let arrivals = Arrivals::new(world.store.clone(), Arc::clone(&world.clock) as _).with_own(vec![own()]);
        let door = SmtpIn::open("127.0.0.1:0".parse().unwrap(), settings, &relays, arrivals).await.unwrap();
        let (address, stop) = (door.address().unwrap(), CancellationToken::new());
        tokio::spawn(door.run(stop.clone()));
        Self { address, world, dir, stop }
    }

    async fn usual() -> Self {
        Self::open(|_| {}, "").await
    }

    async fn call(&self) -> Call {
        let mut call = Call(Stream::Clear(TcpStream::connect(self.address).await.unwrap()));
        assert!(call.hear().await.starts_with("220 mx.lab.example"), "a greeting");
        call
    }

    /// A caller that has said EHLO under TLS.
    async fn call_under_tls(&self) -> Call {
        let mut call = self.call().await;
        call.say("EHLO client.example", "250").await;
        call.say("STARTTLS", "220").await;
        let ca = self.dir.path().join("mx.pem");
        let tls = ClientTls::verified(ClientFiles { ca: Some(&ca), identity: None }).unwrap();
        let mut call = Call(tls.connect("localhost", call.0.into_clear().unwrap()).await.unwrap());
        call.say("EHLO client.example", "250").await;
        call
    }
}

/// A client of the door.
struct Call(Stream);

impl Call {
    /// One whole answer; empty when the door has closed.
    async fn hear(&mut self) -> String {
        let mut answer = Vec::new();
        let mut octet = [0];
        loop {
            if self.0.read(&mut octet).await.unwrap_or(0) == 0 {
                return String::from_utf8(answer).unwrap();
            }
            answer.push(octet[0]);
            let last = answer.rsplit(|b| *b == b'\n').nth(1).unwrap_or_default();
            if octet[0] == b'\n' && last.get(3) == Some(&b' ') {
                return String::from_utf8(answer).unwrap();
            }
        }
    }

    async fn say(&mut self, line: &str, expected: &str) -> String {
        self.0.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        let answer = self.hear().await;
        assert!(answer.starts_with(expected), "{line}: {answer:?} instead of {expected}");
        answer
    }

    /// Brings one message.
    async fn bring(&mut self, from: &str, to: &[&str], message: &str, expected: &str) {
        self.say(&format!("MAIL FROM:<{from}>"), "250").await;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250").await;
        }
        self.say("DATA", "354").await;
        self.say(&format!("{message}\r\n."), expected).await;
    }
}

#[tokio::test]
async fn mail_for_the_installations_own_address_is_taken_and_kept_once_for_no_organization() {
    let door = Door::usual().await;
    let mut call = door.call().await;
    call.say("EHLO client.example", "250").await;
    for _ in 0..2 {
        call.bring("", &["Results@GATEWAY.example", OWN], "Subject: a notice", "250").await;
    }
    let rows = door.world.texts("SELECT identity || ' ' || COALESCE(org_id, 'installation') FROM inbound").await;
    assert_eq!(rows, [format!("{OWN} installation")]);
    assert_eq!(messages(&door.world).await, [b"Subject: a notice\r\n".to_vec()], "it can be opened again");
    call.say("MAIL FROM:<>", "250").await;
    call.say("RCPT TO:<other@gateway.example>", "550").await;
}

#[tokio::test]
async fn a_message_is_durable_when_it_is_answered_octet_by_octet() {
    let door = Door::usual().await;
    let mut call = door.call().await;
    let hello = call.say("EHLO client.example", "250").await;
    assert!(hello.contains("SIZE 200000") && hello.contains("STARTTLS") && !hello.contains("AUTH"), "{hello}");
    call.bring("hisp@hisp.example", &["Results@LAB.example", "south@other.example"], "Subject: a\r\n\r\n..dots\r\nend", "250")
        .await;
    let both = r#"["Results@LAB.example","south@other.example"]"#;
    assert_eq!(
        kept(&door.world).await,
        [
            format!("results@lab.example smtp none hisp@hisp.example {both}"),
            format!("South@other.example smtp none hisp@hisp.example {both}"),
        ]
    );
    assert_eq!(messages(&door.world).await, vec![b"Subject: a\r\n\r\n.dots\r\nend\r\n".to_vec(); 2]);
    // Brought again, because the answer was lost, say: nothing new. Bounces have no sender.
    call.bring("hisp@hisp.example", &["results@lab.example"], "Subject: a\r\n\r\n..dots\r\nend", "250").await;
    call.bring("", &["results@lab.example"], "Subject: bounce", "250").await;
    assert_eq!(kept(&door.world).await.len(), 3);
    call.say("QUIT", "221").await;
}

#[tokio::test]
async fn it_takes_mail_for_our_addresses_only_and_says_no_to_everything_else() {
    let door = Door::usual().await;
    let mut call = door.call().await;
    call.say("MAIL FROM:<a@b.example>", "503").await;
    call.say("EHLO client.example", "250").await;
    call.say("RCPT TO:<results@lab.example>", "503").await;
    call.say("MAIL FROM:<not an address>", "50").await;
    call.say("MAIL FROM:<a@b.example> SIZE=200001", "552").await;
    call.say("MAIL FROM:<a@b.example>", "250").await;
    call.say("RCPT TO:<somebody@lab.example>", "550").await;
    call.say("RCPT TO:<somebody@elsewhere.example>", "550").await;
    call.say("DATA", "503").await;
    for (line, expected) in
        [("VRFY results", "252"), ("EXPN all", "50"), ("NONSENSE", "500"), ("AUTH PLAIN", "538"), ("HELP", "50")]
    {
        call.say(line, expected).await;
    }
    assert!(kept(&door.world).await.is_empty());
    for _ in 0..30 {
        call.0.write_all(b"NONSENSE\r\n").await.unwrap();
    }
    let mut last = String::new();
    loop {
        let answer = call.hear().await;
        if answer.is_empty() {
            break;
        }
        last = answer;
    }
    assert!(last.starts_with("421"), "{last}");
}

#[tokio::test]
async fn no_two_servers_can_disagree_about_where_a_message_ends() {
    let door = Door::usual().await;
    for smuggled in ["a\r\n.\nMAIL FROM:<x@y.example>", "a\n.\nMAIL FROM:<x@y.example>", "a\n.\r\nMAIL", "a\r.\r\nb", "a\rb"] {
        let mut call = door.call().await;
        call.say("EHLO client.example", "250").await;
        call.bring("a@b.example", &[RESULTS], smuggled, "554").await;
        call.say("NOOP", "250").await;
    }
    assert!(kept(&door.world).await.is_empty());
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_talk_goes_on() {
    let door = Door::usual().await;
    let mut call = door.call().await;
    call.say("EHLO client.example", "250").await;
    call.bring("a@b.example", &[RESULTS], &"0123456789\r\n".repeat(20_000), "552").await;
    call.bring("a@b.example", &[RESULTS], "small", "250").await;
    assert_eq!(kept(&door.world).await.len(), 1);
}

#[tokio::test]
async fn nothing_said_before_tls_counts_after_it() {
    let door = Door::open(|settings| settings.require_tls = true, "").await;
    let mut call = door.call().await;
    call.say("EHLO client.example", "250").await;
    call.say("MAIL FROM:<a@b.example>", "530").await;
    // RFC 3207 and CVE-2011-0411: a command sent ahead of the handshake ends the talk.
    call.0.write_all(b"STARTTLS\r\nRSET\r\n").await.unwrap();
    assert!(call.hear().await.starts_with("554"));
    assert_eq!(call.hear().await, "");
    let mut call = door.call_under_tls().await;
    call.say("STARTTLS", "503").await;
    call.bring("a@b.example", &[RESULTS], "under TLS", "250").await;
}

#[tokio::test]
async fn a_relay_of_ours_is_known_by_its_login_or_by_where_it_comes_from() {
    let relay = "[[relay]]\nname = \"hisp\"\nhost = \"h.example\"\ninbound_auth = { user = \"hisp\", password = \"secret\" }\n";
    let door = Door::open(|_| {}, relay).await;
    let mut call = door.call_under_tls().await;
    let wrong = BASE64_STANDARD.encode("\0hisp\0wrong");
    let right = BASE64_STANDARD.encode("\0hisp\0secret");
    call.say(&format!("AUTH PLAIN {wrong}"), "535").await;
    call.say(&format!("AUTH PLAIN {right}"), "235").await;
    call.bring("", &[RESULTS], "from the relay", "250").await;
    let mut call = door.call_under_tls().await;
    call.say("AUTH LOGIN", "334").await;
    call.say(&BASE64_STANDARD.encode("hisp"), "334").await;
    call.say(&BASE64_STANDARD.encode("secret"), "235").await;
    call.bring("", &[RESULTS], "from the relay, logged in otherwise", "250").await;
    let expected = format!("results@lab.example smtp relay <> [\"{RESULTS}\"]");
    assert_eq!(kept(&door.world).await, [expected.clone(), expected.clone()]);

    let near = Door::open(|_| {}, "[[relay]]\nname = \"hisp\"\nhost = \"h.example\"\ninbound_from = [\"127.0.0.0/8\"]\n").await;
    let mut call = near.call().await;
    call.say("EHLO client.example", "250").await;
    call.bring("", &[RESULTS], "from its network", "250").await;
    assert_eq!(kept(&near.world).await, [expected]);
}

#[tokio::test]
async fn no_client_takes_every_place_or_brings_without_end_or_sits_there_for_ever() {
    let door = Door::open(
        |settings| {
            settings.per_client = 2;
            settings.per_minute = 3;
            settings.idle = "5s".parse().unwrap();
        },
        "",
    )
    .await;
    let (mut one, _two) = (door.call().await, door.call().await);
    let mut third = Call(Stream::Clear(TcpStream::connect(door.address).await.unwrap()));
    assert!(third.hear().await.starts_with("421 4.7.0"));
    one.say("EHLO client.example", "250").await;
    for n in 0..3 {
        one.bring("a@b.example", &[RESULTS], &format!("{n}"), "250").await;
    }
    one.say("MAIL FROM:<a@b.example>", "450 4.7.1").await;
    let began = Instant::now();
    assert!(one.hear().await.starts_with("421 4.4.2"));
    assert!(began.elapsed() > Duration::from_secs(4));
}

#[tokio::test]
async fn a_stranger_who_brings_nothing_is_sent_away_and_who_brings_mail_may_stay() {
    let door = Door::open(|settings| settings.without_message = "5s".parse().unwrap(), "").await;
    let mut talker = door.call().await;
    talker.say("EHLO client.example", "250").await;
    for _ in 0..18 {
        talker.say("NOOP", "250").await;
    }
    talker.say("NOOP", "250").await;
    assert!(talker.hear().await.starts_with("421 4.7.0"), "twenty commands and no message");
    let mut bringer = door.call().await;
    bringer.say("EHLO client.example", "250").await;
    for n in 0..5 {
        for _ in 0..10 {
            bringer.say("NOOP", "250").await;
        }
        bringer.bring("a@b.example", &[RESULTS, "south@other.example"], &format!("{n}"), "250").await;
    }
    // Each command comes in time, and there is no end to them.
    let (mut slow, began) = (door.call().await, Instant::now());
    let mut last = String::new();
    while !last.starts_with("421 4.4.2") {
        assert!(began.elapsed() < Duration::from_secs(20), "it is still there");
        tokio::select! {
            heard = slow.hear() => last = heard,
            () = tokio::time::sleep(Duration::from_secs(1)) => slow.0.write_all(b"NOOP\r\n").await.unwrap(),
        }
    }
    assert!(began.elapsed() > Duration::from_secs(4));
    // Nor to a message, or a login, that never ends.
    let mut slow = door.call().await;
    slow.say("EHLO client.example", "250").await;
    slow.say("MAIL FROM:<a@b.example>", "250").await;
    slow.say(&format!("RCPT TO:<{RESULTS}>"), "250").await;
    slow.say("DATA", "354").await;
    assert!(slow.hear().await.starts_with("421 4.4.2"));
}

#[tokio::test]
async fn a_relay_finds_a_place_and_all_the_time_it_wants_while_strangers_crowd_the_door() {
    let relay = "[[relay]]\nname = \"hisp\"\nhost = \"h.example\"\ninbound_from = [\"127.0.0.9\"]\n";
    let small = |settings: &mut SmtpInSection| {
        settings.connections = 8;
        settings.per_client = 8;
        settings.without_message = "5s".parse().unwrap();
    };
    let door = Door::open(small, relay).await;
    let from = async |local: &str| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
        Call(Stream::Clear(socket.connect(door.address).await.unwrap()))
    };
    let mut crowd = Vec::new();
    for _ in 0..6 {
        crowd.push(door.call().await);
    }
    let mut seventh = from("127.0.0.1").await;
    assert!(seventh.hear().await.starts_with("421 4.7.0"), "the others are kept");
    let mut relay = from("127.0.0.9").await;
    assert!(relay.hear().await.starts_with("220"));
    relay.say("EHLO hisp.example", "250").await;
    for _ in 0..30 {
        relay.say("NOOP", "250").await;
    }
    tokio::time::sleep(Duration::from_secs(6)).await;
    relay.bring("", &[RESULTS], "a notice", "250").await;
}

#[tokio::test]
async fn a_strangers_octets_count_as_often_as_they_are_kept_and_a_relays_do_not() {
    let small = |settings: &mut SmtpInSection| settings.bytes_per_minute = 200_000;
    let both = [RESULTS, "south@other.example"];
    let message = "0123456789\r\n".repeat(7_000);
    let door = Door::open(small, "").await;
    let mut call = door.call().await;
    call.say("EHLO client.example", "250").await;
    call.bring("a@b.example", &both, &format!("1{message}"), "250").await;
    assert_eq!(kept(&door.world).await.len(), 2);
    call.bring("a@b.example", &[RESULTS], &format!("2{message}"), "450 4.7.1").await;
    call.bring("a@b.example", &both, &format!("3{message}{message}"), "552 5.3.4").await;
    // Who says how large it is hears sooner, and can bring it for one at a time.
    call.say("MAIL FROM:<a@b.example> SIZE=150000", "250").await;
    call.say(&format!("RCPT TO:<{RESULTS}>"), "250").await;
    call.say("RCPT TO:<south@other.example>", "452 4.5.3").await;
    assert_eq!(kept(&door.world).await.len(), 2);

    let relay = "[[relay]]\nname = \"hisp\"\nhost = \"h.example\"\ninbound_from = [\"127.0.0.0/8\"]\n";
    let door = Door::open(small, relay).await;
    let mut call = door.call().await;
    call.say("EHLO client.example", "250").await;
    for n in 0..3 {
        call.bring("a@b.example", &both, &format!("{n}{message}"), "250").await;
    }
    assert_eq!(kept(&door.world).await.len(), 6);
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_taken() {
    let door = Door::usual().await;
    door.world.run("ALTER TABLE inbound RENAME TO gone").await;
    let mut call = door.call().await;
    call.say("EHLO client.example", "250").await;
    call.bring("a@b.example", &[RESULTS], "x", "451").await;
    door.world.run("ALTER TABLE gone RENAME TO inbound").await;
    call.bring("a@b.example", &[RESULTS], "x", "250").await;
    assert_eq!(kept(&door.world).await.len(), 1);
}

#[tokio::test]
async fn at_shutdown_a_message_under_way_is_finished_and_nobody_new_is_let_in() {
    let door = Door::usual().await;
    let (mut busy, mut idle) = (door.call().await, door.call().await);
    busy.say("EHLO client.example", "250").await;
    busy.say("MAIL FROM:<a@b.example>", "250").await;
    busy.say(&format!("RCPT TO:<{RESULTS}>"), "250").await;
    busy.say("DATA", "354").await;
    door.stop.cancel();
    assert!(idle.hear().await.starts_with("421 4.3.2"));
    busy.say("late\r\n.", "250").await;
    assert_eq!(kept(&door.world).await.len(), 1);
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_postfix_brings_mail_under_tls_and_its_bounce_when_an_address_is_not_ours() {
    let relay = "[[relay]]\nname = \"hisp\"\nhost = \"localhost\"\ninbound_from = [\"127.0.0.1\"]\n";
    let door = Door::open(|settings| settings.require_tls = true, relay).await;
    let postfix = Postfix::relaying("lab.example", door.address.port());
    let text = format!("name = \"hisp\"\nhost = \"localhost\"\nport = {}\nhelo = \"gateway.example\"", postfix.doors.relay);
    let mut settings: RelaySettings = toml::from_str(&text).unwrap();
    settings.ca_file = Some(postfix.ca.clone());
    settings.auth = Some(toml::from_str(&format!("user = \"{STA_USER}\"\npassword = \"{PASSWORD}\"")).unwrap());
    let relay = Relay::new(settings).unwrap();
    let from: DirectAddress = RESULTS.parse().unwrap();
    for (to, message) in [(RESULTS, "Subject: for us\r\n\r\n.x\r\n"), ("nobody@lab.example", "Subject: for nobody\r\n\r\nx\r\n")]
    {
        let to = to.parse().unwrap();
        let job = Job::new(&from, &to, message.as_bytes()).unwrap();
        let outcome = relay.send(&job, Login::Relay, || async { GoAhead::Go }).await;
        assert!(matches!(outcome, Outcome::Accepted { .. }), "{outcome:?}");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while kept(&door.world).await.len() < 2 {
        assert!(Instant::now() < deadline, "{:?}\n{}", kept(&door.world).await, postfix.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut heads = kept(&door.world).await;
    heads.sort();
    assert_eq!(
        heads,
        [
            format!("results@lab.example smtp relay <> [\"{RESULTS}\"]"),
            format!("results@lab.example smtp relay {RESULTS} [\"{RESULTS}\"]"),
        ]
    );
    let texts: Vec<String> = messages(&door.world).await.iter().map(|raw| String::from_utf8_lossy(raw).into_owned()).collect();
    let bounce = texts.iter().find(|text| text.contains("report-type=delivery-status")).unwrap();
    assert!(bounce.contains("nobody@lab.example") && bounce.contains("No such address here"), "{bounce}");
    assert!(texts.iter().any(|text| text.contains("Subject: for us\r\n") && text.ends_with("\r\n\r\n.x\r\n")), "{texts:?}");
}
