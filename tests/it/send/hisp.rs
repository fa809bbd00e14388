//! The practice HISP from outside: all three modes, and the failures chosen by the address.

use std::sync::Arc;

use postern::{
    config::relay::{AuthSettings, MxSettings, RelaySettings, TlsMode},
    domain::{Clock, DirectAddress, Timestamp},
    net::{
        dns::StaticDns,
        tls::{PemPair, self_signed},
    },
    sandbox::{AsItIs, Hisp, HispSettings, Mailboxes, Opener, mailbox::Door, sink::Sink},
    send::{GoAhead, Job, Login, Mx, Outcome, Relay},
};
use secrecy::SecretString;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use super::{address, hasty, kind, settings, with_ca};

struct Fixed;
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        Timestamp(1_768_478_400_000_000)
    }
}

struct Practice {
    hisp: Hisp,
    mailboxes: Mailboxes,
    dir: tempfile::TempDir,
    tls: PemPair,
}

async fn practice_with(opener: Arc<dyn Opener>, change: impl FnOnce(&mut HispSettings)) -> Practice {
    let dir = tempfile::tempdir().unwrap();
    let tls = self_signed(&["localhost"], 2).unwrap();
    std::fs::write(dir.path().join("ca.pem"), &tls.certificate).unwrap();
    let mailboxes = Mailboxes::new(dir.path().join("mail"), Arc::new(Fixed)).unwrap();
    let mut settings = HispSettings::local(mailboxes.clone(), tls.clone(), opener).login("gateway", "pw");
    settings.edge_password = Some(SecretString::from("edge pw"));
    change(&mut settings);
    Practice { hisp: Hisp::start(settings).await.unwrap(), mailboxes, dir, tls }
}

async fn practice() -> Practice {
    practice_with(Arc::new(AsItIs), |_| {}).await
}

impl Practice {
    fn settings(&self, door: Door) -> RelaySettings {
        let mut settings =
            with_ca(hasty(self.hisp.address(door).port(), TlsMode::Starttls, 3_000), &self.dir.path().join("ca.pem"));
        let password = Some(SecretString::from("pw"));
        settings.auth = Some(AuthSettings { user: "gateway".to_owned(), password, password_file: None });
        settings
    }

    fn count(&self, to: &str) -> usize {
        self.mailboxes.list(Some(&address(to))).unwrap().len()
    }
}

const LETTER: &[u8] = b"From: results@lab.example\r\nMessage-ID: <7@lab.example>\r\n\r\nhello\r\n.\r\nbye\r\n";

async fn to(relay: &Relay, login: Login<'_>, rcpt: &str) -> Outcome {
    let (from, rcpt) = (address("results@lab.example"), address(rcpt));
    let job = Job::new(&from, &rcpt, LETTER).unwrap();
    relay.send(&job, login, || async { GoAhead::Go }).await
}

#[tokio::test]
async fn what_each_door_accepts_is_in_the_mailbox_as_it_was_sent() {
    let practice = practice().await;
    let relay = Relay::new(practice.settings(Door::Relay)).unwrap();
    assert_eq!(kind(&to(&relay, Login::Relay, "pcp@clinic.example").await), "accepted");
    let edge = Relay::new(practice.settings(Door::Edge)).unwrap();
    let password = SecretString::from("edge pw");
    assert_eq!(kind(&to(&edge, Login::Sender(&password), "pcp@clinic.example").await), "accepted");
    let dns = StaticDns::default().served_at("clinic.example", practice.hisp.address(Door::Mx));
    let lab = MxSettings { private_addresses: true, ..MxSettings::default() };
    let mx = Mx::new(lab, Arc::new(dns)).unwrap();
    let (from, rcpt) = (address("results@lab.example"), address("pcp@clinic.example"));
    let outcome = mx.send(&Job::new(&from, &rcpt, LETTER).unwrap(), || async { GoAhead::Go }).await;
    assert!(matches!(outcome, Outcome::Accepted { tls: Some("TLSv1.3"), .. }), "{outcome:?}");

    let entries = practice.mailboxes.list(Some(&rcpt)).unwrap();
    assert_eq!(entries.iter().map(|e| e.door).collect::<Vec<_>>(), [Door::Relay, Door::Edge, Door::Mx]);
    for entry in entries {
        assert_eq!(practice.mailboxes.raw(&entry).unwrap(), LETTER);
        assert_eq!(entry.message_id.as_deref(), Some("<7@lab.example>"));
    }
    practice.hisp.stop().await;
}

#[tokio::test]
async fn the_edge_door_lets_nobody_send_as_somebody_else() {
    let practice = practice().await;
    let edge = Relay::new(practice.settings(Door::Edge)).unwrap();
    let outcome = to(&edge, Login::Relay, "pcp@clinic.example").await;
    assert_eq!(outcome.reply().map(postern::send::Reply::code), Some(553), "{outcome:?}");
    let wrong = SecretString::from("pw");
    assert_eq!(kind(&to(&edge, Login::Sender(&wrong), "pcp@clinic.example").await), "relay down");
    assert_eq!(practice.count("pcp@clinic.example"), 0);
}

#[tokio::test]
async fn who_shows_another_password_does_not_get_the_connection_that_was_logged_in_before() {
    let practice = practice().await;
    let edge = Relay::new(practice.settings(Door::Edge)).unwrap();
    let (right, wrong) = (SecretString::from("edge pw"), SecretString::from("old pw"));
    let send = async |password| kind(&to(&edge, Login::Sender(password), "pcp@clinic.example").await);
    assert_eq!(send(&right).await, "accepted");
    // The mailbox's password was changed here and not there, or another organization claims the same address.
    assert_eq!(send(&wrong).await, "relay down", "the kept connection belongs to another login");
    assert_eq!(send(&right).await, "accepted", "whose own breaker is not that of the wrong one");
    assert_eq!(practice.count("pcp@clinic.example"), 2);
}

#[tokio::test]
async fn the_address_chooses_the_failure() {
    let practice = practice().await;
    let mut settings = practice.settings(Door::Relay);
    settings.timeouts.rcpt.0 = std::time::Duration::from_millis(1_500);
    settings.timeouts.reply.0 = std::time::Duration::from_millis(1_500);
    let relay = Relay::new(settings).unwrap();
    for (local, outcome, kept) in [
        ("451", "deferred", 0),
        ("550", "refused", 0),
        ("full", "deferred", 0),
        ("full552", "refused", 0),
        ("dot451", "deferred", 0),
        ("dot554", "refused", 0),
        ("closing", "deferred", 0),
        ("slow", "deferred", 0),
        ("tarpit", "deferred", 0),
        ("dropdata", "lost", 0),
        ("lostreply", "lost", 1),
        ("latereply2", "lost", 1),
        ("pcp", "accepted", 1),
    ] {
        let rcpt = format!("{local}@clinic.example");
        let got = to(&relay, Login::Relay, &rcpt).await;
        assert_eq!(kind(&got), outcome, "{local}: {got:?}");
        assert_eq!(practice.count(&rcpt), kept, "{local}");
    }
    let bad = Relay::new(practice.settings(Door::BadTls)).unwrap();
    let Outcome::RelayDown { why, .. } = to(&bad, Login::Relay, "pcp@clinic.example").await else { panic!() };
    assert!(why.contains("TLS handshake"), "{why}");
}

#[tokio::test]
async fn what_cannot_be_opened_is_kept_with_the_reason() {
    struct Never;
    impl Opener for Never {
        fn open(&self, _: &DirectAddress, _: &[u8]) -> Result<Vec<u8>, String> {
            Err("it is not sealed for this recipient".to_owned())
        }
    }
    let practice = practice_with(Arc::new(Never), |_| {}).await;
    let relay = Relay::new(practice.settings(Door::Relay)).unwrap();
    assert_eq!(kind(&to(&relay, Login::Relay, "pcp@clinic.example").await), "accepted");
    let entry = practice.mailboxes.list(None).unwrap().remove(0);
    assert_eq!((entry.opened, entry.problem.as_deref()), (false, Some("it is not sealed for this recipient")));
    assert!(practice.mailboxes.raw(&entry).is_ok() && practice.mailboxes.inner(&entry).is_err());
}

/// Says each line and reads one answer; the last line of each answer.
async fn talk(address: std::net::SocketAddr, lines: &[&[u8]]) -> Vec<String> {
    let mut tcp = BufReader::new(TcpStream::connect(address).await.unwrap());
    let mut answers = Vec::new();
    for line in [&b""[..]].iter().chain(lines) {
        tcp.write_all(line).await.unwrap();
        loop {
            let mut answer = String::new();
            if tcp.read_line(&mut answer).await.unwrap_or(0) == 0 {
                answers.push("closed".to_owned());
                return answers;
            }
            if answer.as_bytes().get(3) != Some(&b'-') {
                answers.push(answer.trim_end().to_owned());
                break;
            }
        }
    }
    answers
}

#[tokio::test]
async fn smuggled_ends_and_bad_commands_are_refused_and_the_session_survives() {
    let practice = practice_with(Arc::new(AsItIs), |s| s.max_message = 1_000).await;
    let mx = practice.hisp.address(Door::Mx);
    let answers = talk(
        mx,
        &[
            b"MAIL FROM:<a@b.example>\r\n",
            b"EHLO client\r\n",
            b"NONSENSE\r\n",
            b"MAIL FROM:a@b.example\r\n",
            b"RCPT TO:<c@d.example>\r\n",
            b"MAIL FROM:<a@b.example> SIZE=5000\r\n",
            b"MAIL FROM:<a@b.example>\r\n",
            b"DATA\r\n",
            b"MAIL FROM:<a@b.example>\r\n",
            b"RCPT TO:<c@d.example>\r\n",
            b"RCPT TO:<e@d.example>\r\n",
            b"DATA\r\n",
            b"one\r\n.\nMAIL FROM:<evil@b.example>\nRCPT TO:<c@d.example>\n\r\n.\r\n",
            b"NOOP\r\n",
            b"QUIT\r\n",
        ],
    )
    .await;
    let codes: Vec<&str> = answers.iter().map(|answer| &answer[..3]).collect();
    let expected =
        ["220", "503", "250", "500", "501", "503", "552", "250", "503", "503", "250", "452", "354", "554", "250", "221"];
    assert_eq!(codes, expected, "{answers:#?}");
    assert!(practice.mailboxes.list(None).unwrap().is_empty());
}

#[tokio::test]
async fn the_relay_and_edge_doors_take_nothing_in_the_clear_and_no_command_smuggled_into_starttls() {
    let practice = practice().await;
    for door in [Door::Relay, Door::Edge] {
        let answers = talk(
            practice.hisp.address(door),
            &[
                b"EHLO x\r\n",
                b"AUTH PLAIN AGdhdGV3YXkAcHc=\r\n",
                b"MAIL FROM:<a@b.example>\r\n",
                b"STARTTLS\r\nMAIL FROM:<a@b.example>\r\n",
            ],
        )
        .await;
        let codes: Vec<&str> = answers.iter().map(|answer| &answer[..3]).collect();
        assert_eq!(codes, ["220", "250", "538", "530", "554"], "{answers:?}");
    }
}

#[tokio::test]
async fn too_many_connections_are_told_so_and_silent_ones_are_closed() {
    let practice = practice_with(Arc::new(AsItIs), |s| {
        s.max_connections = 2;
        s.idle = std::time::Duration::from_secs(3);
    })
    .await;
    let mx = practice.hisp.address(Door::Mx);
    let mut first = TcpStream::connect(mx).await.unwrap();
    let _second = TcpStream::connect(mx).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert!(talk(mx, &[]).await[0].starts_with("421 4.3.2"));
    let mut said = String::new();
    first.read_to_string(&mut said).await.unwrap();
    assert!(said.ends_with("421 4.4.2 Idle for too long\r\n"), "{said}");
    assert!(talk(mx, &[b"QUIT\r\n"]).await[0].starts_with("220"), "there is room again");
}

#[tokio::test]
async fn the_sink_takes_and_counts_messages_however_large() {
    let practice = practice().await;
    let sink = Sink::start(0, &practice.tls).await.unwrap();
    let relay =
        Relay::new(with_ca(settings(sink.address.port(), TlsMode::Implicit), &practice.dir.path().join("ca.pem"))).unwrap();
    let (from, rcpt) = (address("a@b.example"), address("c@d.example"));
    let mut sizes = 0;
    for lines in [1, 3, 10_000, 50_001] {
        let message = b"0123456789\r\n.dots\r\n".repeat(lines);
        sizes += message.len() + lines + 3;
        let job = Job::new(&from, &rcpt, &message).unwrap();
        assert_eq!(kind(&relay.send(&job, Login::Relay, || async { GoAhead::Go }).await), "accepted");
    }
    assert_eq!(sink.taken.messages.load(std::sync::atomic::Ordering::Relaxed), 4);
    assert_eq!(sink.taken.bytes.load(std::sync::atomic::Ordering::Relaxed), sizes as u64);
}
