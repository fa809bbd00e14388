//! The mailboxes of a HISP, as a real Dovecot has them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use postern::{
    config::relay::RelaySettings,
    domain::id::ProcessId,
    store::lease::Lease,
    track::{Arrivals, imap::Mailboxes},
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{OWN, PASSWORD, RESULTS, enrolled, kept, messages, own};
use crate::{store::world::World, support::dovecot::Dovecot};

/// Somebody who looks into the mailboxes, until dropped.
struct Looking {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Looking {
    async fn end(mut self) {
        self.stop.cancel();
        (&mut self.task).await.unwrap();
    }
}

fn relay(dovecot: &Dovecot, imap: &str) -> RelaySettings {
    let text = format!("name = \"hisp\"\nhost = \"localhost\"\nimap = {{ host = \"localhost\", {imap} }}");
    let mut settings: RelaySettings = toml::from_str(&text).unwrap();
    settings.ca_file = Some(dovecot.ca.clone());
    settings
}

fn look(world: &World, settings: &RelaySettings) -> Looking {
    let arrivals = Arrivals::new(world.store.clone(), Arc::clone(&world.clock) as _);
    look_as(arrivals, settings)
}

fn look_as(arrivals: Arrivals, settings: &RelaySettings) -> Looking {
    let mailboxes = Mailboxes::of(settings, arrivals).unwrap().unwrap();
    let stop = CancellationToken::new();
    let lease = Lease { owner: ProcessId::new(), length: Duration::from_secs(3) };
    Looking { task: tokio::spawn(mailboxes.run(lease, stop.clone())), stop }
}

async fn until(what: &str, dovecot: &Dovecot, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(40);
    while !holds().await {
        assert!(Instant::now() < deadline, "{what} did not come true:\n{}", dovecot.log());
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
}

fn letter(subject: &str) -> String {
    format!("Return-Path: <pcp@clinic.example>\r\nTo: {RESULTS}\r\nSubject: {subject}\r\n\r\nText\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_is_on_our_disk_and_then_gone_from_the_mailbox_and_a_new_one_is_told_at_once() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    let dovecot = Dovecot::start(&[(RESULTS, PASSWORD)]);
    dovecot.deliver(RESULTS, &letter("one"));
    let looking = look(&world, &relay(&dovecot, &format!("port = {}", dovecot.imaps)));
    until("the first", &dovecot, async || kept(&world).await.len() == 1 && dovecot.messages(RESULTS).is_empty()).await;
    // While it waits (IDLE). The poll, a minute, is too slow to bring this one.
    tokio::time::sleep(Duration::from_secs(1)).await;
    dovecot.deliver(RESULTS, &letter("two"));
    until("the second", &dovecot, async || kept(&world).await.len() == 2 && dovecot.messages(RESULTS).is_empty()).await;
    let expected = format!("{RESULTS} imap mailbox pcp@clinic.example [\"{RESULTS}\"]");
    assert_eq!(kept(&world).await, [expected.clone(), expected]);
    assert_eq!(messages(&world).await, [letter("one").into_bytes(), letter("two").into_bytes()]);
    looking.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_mailbox_of_the_installations_own_address_is_looked_into_with_its_own_password() {
    let world = World::sqlite().await;
    let dovecot = Dovecot::start(&[(OWN, PASSWORD)]);
    let arrivals = Arrivals::new(world.store.clone(), Arc::clone(&world.clock) as _).with_own(vec![own()]);
    let looking = look_as(arrivals, &relay(&dovecot, &format!("port = {}", dovecot.imaps)));
    dovecot.deliver(OWN, &letter("one"));
    until("the first", &dovecot, async || kept(&world).await.len() == 1 && dovecot.messages(OWN).is_empty()).await;
    assert_eq!(
        world.texts("SELECT identity || ' ' || COALESCE(org_id, 'installation') FROM inbound").await,
        [format!("{OWN} installation")]
    );
    looking.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_stored_stays_in_the_mailbox() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    let dovecot = Dovecot::start(&[(RESULTS, PASSWORD)]);
    dovecot.deliver(RESULTS, &letter("one"));
    world.run("ALTER TABLE inbound RENAME TO gone").await;
    let looking = look(&world, &relay(&dovecot, &format!("port = {}", dovecot.imaps)));
    until("a look", &dovecot, async || dovecot.log().contains("Login: user=")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(dovecot.messages(RESULTS).len(), 1);
    world.run("ALTER TABLE gone RENAME TO inbound").await;
    until("the message", &dovecot, async || kept(&world).await.len() == 1 && dovecot.messages(RESULTS).is_empty()).await;
    looking.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_messages_are_marked_and_not_fetched_again_after_a_restart() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    // No IDLE here: it polls.
    let dovecot = Dovecot::with(&[(RESULTS, PASSWORD)], "imap_capability = IMAP4rev1 UIDPLUS");
    dovecot.deliver(RESULTS, &letter("one"));
    let settings = relay(&dovecot, &format!("port = {}, tls = \"starttls\", after = \"keep\", poll = \"200ms\"", dovecot.imap));
    let seen = |name: &String| name.rsplit(',').next().is_some_and(|flags| flags.contains('S'));
    let looking = look(&world, &settings);
    until("one", &dovecot, async || dovecot.messages(RESULTS).iter().all(seen) && kept(&world).await.len() == 1).await;
    looking.end().await;

    // Somebody read the second one before we came.
    world.run("DELETE FROM inbound").await;
    dovecot.deliver(RESULTS, &letter("two"));
    let _looking = look(&world, &settings);
    until("two", &dovecot, async || kept(&world).await.len() == 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(messages(&world).await, [letter("two").into_bytes()], "the first is not fetched again");
    assert_eq!(dovecot.messages(RESULTS).len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_mailbox_may_serve_all_our_addresses_and_what_is_for_nobody_is_kept_too() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    enrolled(&world, "south", "south@lab.example").await;
    let all = "all@lab.example";
    let dovecot = Dovecot::start(&[(all, PASSWORD)]);
    dovecot.deliver(all, "To: South@lab.example\r\n\r\nfor south\r\n");
    dovecot.deliver(all, "To: unknown@lab.example\r\n\r\nfor nobody\r\n");
    let auth = format!("port = {}, auth = {{ user = \"{all}\", password = \"{PASSWORD}\" }}", dovecot.imaps);
    let _looking = look(&world, &relay(&dovecot, &auth));
    until("both", &dovecot, async || kept(&world).await.len() == 2 && dovecot.messages(all).is_empty()).await;
    let rows = world
        .texts("SELECT identity || ' ' || channel || ' ' || channel_name || ' ' || (org_id IS NULL) FROM inbound ORDER BY id")
        .await;
    assert_eq!(rows, ["south@lab.example relay hisp 0", "all@lab.example relay hisp 1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_login_of_a_mailbox_for_all_our_addresses_need_not_be_an_address() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    let dovecot = Dovecot::start(&[("notices", PASSWORD)]);
    dovecot.deliver("notices", &letter("for one of ours"));
    dovecot.deliver("notices", "To: unknown@lab.example\r\n\r\nfor nobody\r\n");
    let auth = format!("port = {}, auth = {{ user = \"notices\", password = \"{PASSWORD}\" }}", dovecot.imaps);
    let _looking = look(&world, &relay(&dovecot, &auth));
    until("both", &dovecot, async || kept(&world).await.len() == 2 && dovecot.messages("notices").is_empty()).await;
    let rows = world.texts("SELECT identity || ' ' || channel_name || ' ' || (org_id IS NULL) FROM inbound ORDER BY id").await;
    assert_eq!(rows, [format!("{RESULTS} hisp 0"), "mailbox@hisp.invalid hisp 1".to_owned()]);
    let ways = world.texts("SELECT name || ' ' || COALESCE(address_key, 'everybody') FROM way_in").await;
    assert_eq!(ways, ["imap:hisp:notices everybody"], "clocks wait for it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_serves_two_organizations_has_one_mailbox_and_each_gets_what_came() {
    let world = World::sqlite().await;
    let (north, south) = (enrolled(&world, "north", RESULTS).await, enrolled(&world, "south", "Results@LAB.example").await);
    let dovecot = Dovecot::start(&[(RESULTS, PASSWORD)]);
    dovecot.deliver(RESULTS, &letter("for one of them"));
    let _looking = look(&world, &relay(&dovecot, &format!("port = {}", dovecot.imaps)));
    until("both", &dovecot, async || kept(&world).await.len() == 2 && dovecot.messages(RESULTS).is_empty()).await;
    assert_eq!(dovecot.log().matches("Login: user=").count(), 1, "{}", dovecot.log());
    let rows = world
        .texts(
            "SELECT i.org_id || (i.channel_name = d.id) FROM inbound i JOIN identity d ON d.org_id = i.org_id ORDER BY i.org_id",
        )
        .await;
    let mut expected = [format!("{north}1"), format!("{south}1")];
    expected.sort();
    assert_eq!(rows, expected, "each through its own identity");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_looks_and_the_other_goes_on_when_it_ends() {
    let world = World::postgres().await;
    enrolled(&world, "north", RESULTS).await;
    let dovecot = Dovecot::start(&[(RESULTS, PASSWORD)]);
    let settings = relay(&dovecot, &format!("port = {}", dovecot.imaps));
    let first = look(&world, &settings);
    until("a login", &dovecot, async || dovecot.log().matches("Login: user=").count() == 1).await;
    let _second = look(&world, &settings);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(dovecot.log().matches("Login: user=").count(), 1, "{}", dovecot.log());
    first.end().await;
    dovecot.deliver(RESULTS, &letter("after"));
    until("the other", &dovecot, async || kept(&world).await.len() == 1 && dovecot.messages(RESULTS).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_too_large_stays_and_keeps_nothing_back() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    let dovecot = Dovecot::start(&[(RESULTS, PASSWORD)]);
    dovecot.deliver(RESULTS, &format!("{}{}", letter("large"), "0123456789\r\n".repeat(20_000)));
    dovecot.deliver(RESULTS, &letter("small"));
    let _looking = look(&world, &relay(&dovecot, &format!("port = {}, message_bytes = 100000", dovecot.imaps)));
    until("the small one", &dovecot, async || kept(&world).await.len() == 1).await;
    until("its removal", &dovecot, async || dovecot.messages(RESULTS).len() == 1).await;
    assert_eq!(messages(&world).await, [letter("small").into_bytes()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_certificate_is_not_believed_hears_no_password() {
    let world = World::sqlite().await;
    enrolled(&world, "north", RESULTS).await;
    let dovecot = Dovecot::start(&[(RESULTS, PASSWORD)]);
    dovecot.deliver(RESULTS, &letter("one"));
    for (port, tls) in [(dovecot.imaps, "implicit"), (dovecot.imap, "starttls")] {
        let mut settings = relay(&dovecot, &format!("port = {port}, tls = \"{tls}\""));
        settings.ca_file = None;
        let looking = look(&world, &settings);
        tokio::time::sleep(Duration::from_secs(2)).await;
        looking.end().await;
    }
    assert!(!dovecot.log().contains("Login: user="), "{}", dovecot.log());
    assert!(kept(&world).await.is_empty());
}
