//! One journey through a real edge HISP, Postfix with Dovecot: we are one of its users. It seals (here: passes on), names our
//! messages as it likes, keeps copies, opens what comes back and puts it into our mailbox, and gives up after a time of its own.

use std::time::{Duration, Instant};

use postern::{
    domain::Timestamp,
    sandbox::{
        answers::{Says, Subject, Twist, write},
        story::chapter,
    },
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};

use crate::support::{
    counter::{base64, order},
    dovecot::Dovecot,
    installation::{Arrangement, Installation, text},
    postfix::{EDGE_USER, PASSWORD, Postfix},
    postgres::TestDatabase,
};

/// Hands a message in at the server's door for everybody, with the null reverse path.
async fn hand_in(port: u16, to: &str, message: &str) {
    let mut talk = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    let message = format!("{}\r\n.\r\n", message.trim_end());
    let rcpt = format!("RCPT TO:<{to}>\r\n");
    for (line, expected) in [
        ("", "220"),
        ("HELO clinic.example\r\n", "250"),
        ("MAIL FROM:<>\r\n", "250"),
        (&rcpt, "250"),
        ("DATA\r\n", "354"),
        (&message, "250"),
    ] {
        talk.write_all(line.as_bytes()).await.unwrap();
        let mut answer = String::new();
        talk.read_line(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{line}: {answer}");
    }
}

/// Our address says it, or an address of ours that the HISP does not know.
async fn installation(postfix: &Postfix, dovecot: &Dovecot, user: &str, database: &TestDatabase) -> Installation {
    let relay = format!(
        "[[relay]]\nname = \"edge\"\nhost = \"localhost\"\nport = {}\nca_file = \"{}\"\n\
         imap = {{ host = \"localhost\", port = {} }}",
        postfix.doors.edge,
        dovecot.ca.display(),
        dovecot.imaps
    );
    Installation::arranged(Arrangement {
        url: Some(&database.url),
        relay: &relay,
        more: "[track]\npoll = \"200ms\"",
        edge: Some((user, PASSWORD)),
        ..Arrangement::default()
    })
    .await
}

fn result(order_id: &str, addresses: &[&str]) -> Value {
    let mut order = order(order_id);
    order["deliver_to"] = addresses.iter().map(|address| json!({ "role": "other", "direct": address })).collect();
    let pdf = base64(&chapter(0).pdf());
    json!({ "order_id": order_id, "site": "RIVERSIDE01", "status": "final", "order": order, "pdf": pdf })
}

async fn until(what: &str, installation: &Installation, postfix: &Postfix, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(
            began.elapsed() < Duration::from_mins(1),
            "{what}: {:?}\n{}\n{}",
            installation.deliveries(),
            installation.logs(),
            postfix.log()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_hisp_takes_our_messages_names_them_anew_and_its_mailbox_brings_what_became_of_them() {
    let dovecot = Dovecot::start(&[(EDGE_USER, PASSWORD)]);
    let postfix = Postfix::edge_hisp(&["pcp", "silent"], &dovecot);
    let database = TestDatabase::fresh();
    let installation = installation(&postfix, &dovecot, EDGE_USER, &database).await;
    let serving = installation.serve(None, None);
    let recipients = ["pcp@clinic.example", "silent@clinic.example", "nobody@gone.example"];
    installation.post(&serving, &result("E1", &recipients)).await.unwrap();

    // Submitted in the clear, under TLS, by whom the login says; and under another id than ours.
    let arrived = postfix.delivered("pcp").await;
    let header = |name: &str| {
        arrived
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{name} in {arrived}"))
            .trim()
            .to_owned()
    };
    assert_eq!(header("Return-Path:"), format!("<{EDGE_USER}>"));
    assert!(arrived.contains(&format!("Authenticated sender: {EDGE_USER}")) || arrived.contains("ESMTPSA"), "{arrived}");
    assert!(header("From:").contains(EDGE_USER), "inner From, MAIL FROM and login are one");
    let theirs = header("Message-ID:");
    assert!(theirs.starts_with("<renamed.") && theirs.ends_with("@hisp.example>"), "{theirs}");
    let ours = database.query("SELECT message_id FROM delivery WHERE address = 'pcp@clinic.example'");
    assert_ne!(ours, theirs);

    // The copies that the HISP keeps tell under which ids it knows them.
    until("the copies", &installation, &postfix, || database.query("SELECT count(*) FROM message_alias") == "3").await;
    assert_eq!(database.query(&format!("SELECT count(*) FROM message_alias WHERE message_id = '{theirs}'")), "1");

    // The recipient's side answers the HISP, which opens the notice and puts it into the mailbox: plain, and about its own id.
    let (recipient, sender) = (recipients[0].parse().unwrap(), EDGE_USER.parse().unwrap());
    let about = Subject {
        recipient: &recipient,
        sender: &sender,
        message: &theirs.parse().unwrap(),
        id: uuid::Uuid::now_v7(),
        date: Timestamp(1_772_463_600_000_000).utc(),
    };
    hand_in(postfix.doors.mx, EDGE_USER, &write(Says::Processed, Twist::Folded, &about)).await;
    let disposition = |to: &str| database.query(&format!("SELECT disposition FROM delivery WHERE address = '{to}'"));
    until("processed", &installation, &postfix, || disposition(recipients[0]) == "processed").await;
    // After a time of its own the HISP gives up on one, and says so in a DSN.
    until("failed", &installation, &postfix, || disposition(recipients[2]) == "failed").await;
    assert_eq!(disposition(recipients[1]), "awaited", "of the third nothing is known yet");

    let failed = database.query(&format!("SELECT id FROM delivery WHERE address = '{}'", recipients[2]));
    let shown = installation.json(&["delivery", "show", &failed]);
    assert_eq!(
        (text(&shown["disposition"]), text(&shown["reason"]), text(&shown["fee"])),
        ("failed".into(), "remote_failed".into(), "charged".into())
    );
    let notice = &shown["notices"][0];
    assert_eq!((text(&notice["form"]), text(&notice["verdict"])), ("dsn".into(), "applied".into()), "{shown}");
    assert_eq!(text(&notice["source"]), "the address's own mailbox");
    let listed = installation.postern(&["delivery", "list"]);
    assert!(listed.contains("processed") && listed.contains("failed") && listed.contains("remote_failed"), "{listed}");
    let work = installation.postern(&["worklist"]);
    assert!(work.contains(&failed), "its fallback is a person: {work}");
    let finding = installation.json_of_any_end(&["doctor"]);
    let ways = finding.as_array().unwrap().iter().find(|finding| text(&finding["what"]).starts_with("way in")).unwrap();
    assert_eq!(ways["verdict"], json!("good"), "{finding}");
    // Nothing is left behind at the HISP, and nothing was lost on the way.
    until("an empty mailbox", &installation, &postfix, || dovecot.messages(EDGE_USER).is_empty()).await;
    assert_eq!(database.query("SELECT verdict, count(*) FROM inbound GROUP BY 1 ORDER BY 1"), "notice|2\nown_copy|3");
    installation.postern(&["verify"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_hisp_takes_nothing_from_who_is_not_the_one_who_logged_in() {
    let dovecot = Dovecot::start(&[(EDGE_USER, PASSWORD)]);
    let postfix = Postfix::edge_hisp(&["pcp"], &dovecot);
    let database = TestDatabase::fresh();
    let installation = installation(&postfix, &dovecot, "somebody@lab.example", &database).await;
    let serving = installation.serve(None, None);
    installation.post(&serving, &result("E1", &["pcp@clinic.example"])).await.unwrap();
    until("a refused login", &installation, &postfix, || {
        postfix.log().contains("SASL") && postfix.log().contains("authentication failed")
    })
    .await;
    assert_eq!(database.query("SELECT state, fee FROM delivery"), "queued|none", "it waits for a person to correct the password");
    assert_eq!(database.query("SELECT count(*) FROM ledger_line"), "0");
}
