//! `postern alerts`, and what doctor says about it.

use std::sync::Arc;

use postern::{
    domain::{
        Clock as _,
        alert::{AlertKind, Condition, Pace, step},
    },
    net::tls::self_signed,
    observe::SystemClock,
    sandbox::{AsItIs, Hisp, HispSettings, Mailboxes, mailbox::Door},
    store::alert::AlertChange,
};

use crate::admin::world::World;

const NORTH: &str = "slug = \"north\"\nname = \"North\"\n[alerts]\nto = [\"it@north.example\"]\n";

/// Opens an alert as the gateway would.
async fn open(world: &World, condition: &Condition) -> String {
    let store = world.store().await;
    let (alert, _) = step(None, Some(condition), false, &Pace::default(), SystemClock.now());
    let alert = alert.unwrap();
    let id = alert.id.to_string();
    store.keep_alerts(vec![AlertChange { alert, said: None }], &[]).await.unwrap();
    store.close().await;
    id
}

#[tokio::test]
async fn alerts_are_listed_shown_and_cared_for() {
    let world = World::with(NORTH);
    assert!(world.good(&["alerts", "list"]).err.contains("nothing is wrong"));
    let id = open(&world, &Condition::new(AlertKind::RelayDown, "hisp-a", 0, 0).saying("it cannot be reached")).await;
    let listed = world.json(&["alerts", "list"]);
    assert_eq!(
        (&listed[0]["id"], &listed[0]["kind"], &listed[0]["severity"]),
        (&id.as_str().into(), &"relay_down".into(), &"critical".into())
    );
    let shown = world.good(&["alerts", "show", &id]).out;
    assert!(shown.contains("hisp-a") && shown.contains("to do") && shown.contains("open"), "{shown}");
    world.good(&["alerts", "ack", &id, "--by", "Kim"]);
    assert!(world.bad(&["alerts", "ack", &id]).err.contains("somebody else cares"));
    assert!(world.good(&["alerts", "list"]).out.contains("Kim cares"));
    assert_eq!(world.json(&["alerts", "show", &id])["acked_by"], "Kim");
    world.bad(&["alerts", "show", "019cb000-0000-7000-8000-000000000009"]);
}

#[tokio::test]
async fn a_test_reaches_everybody_who_would_be_told_and_says_who_was_not() {
    let world = World::with(NORTH);
    let ran = world.bad(&["alerts", "test"]);
    assert!(ran.err.contains("nobody would be told"), "{}", ran.err);
    let nobody = world.run(&["doctor"]).out;
    assert!(
        nobody.contains("note  alerts: nobody is told when something is wrong")
            && nobody.contains("advice: set to, from and relay"),
        "{nobody}"
    );

    let mailboxes = Mailboxes::new(world.path("mail"), Arc::new(SystemClock)).unwrap();
    let tls = self_signed(&["localhost"], 2).unwrap();
    world.write("ca.pem", &tls.certificate);
    let hisp = Hisp::start(HispSettings::local(mailboxes.clone(), tls, Arc::new(AsItIs)).login("gateway", "pw")).await.unwrap();
    world.write("pw", "pw\n");
    let config = format!(
        "[alerts]\nto = [\"ops@lab.example\", \"550@lab.example\"]\nfrom = \"postern@lab.example\"\nrelay = \"office\"\n\
         [[relay]]\nname = \"office\"\nhost = \"localhost\"\nport = {}\nca_file = \"ca.pem\"\nauth = {{ user = \"gateway\", password_file = \"pw\" }}\n",
        hisp.address(Door::Relay).port()
    );
    let before = std::fs::read_to_string(world.path("postern.toml")).unwrap().replace("[alerts]\n", "");
    world.write("postern.toml", before + &config);
    let ran = tokio::task::spawn_blocking(move || {
        let ran = world.bad(&["alerts", "test"]);
        (ran, world)
    });
    let (ran, world) = ran.await.unwrap();
    for line in
        ["good  mail ops@lab.example: localhost answered: 250", "good  mail it@north.example", "bad   mail 550@lab.example"]
    {
        assert!(ran.out.contains(line), "{line} in {}", ran.out);
    }
    let mails = mailboxes.list(None).unwrap();
    assert_eq!(mails.len(), 2);
    let text = String::from_utf8(mailboxes.raw(&mails[0]).unwrap()).unwrap();
    assert!(text.contains("Subject: [postern] test") && text.contains("Nothing is wrong"), "{text}");
    assert!(world.run(&["doctor"]).out.contains("alerts: 2 addresses are told"));
}
