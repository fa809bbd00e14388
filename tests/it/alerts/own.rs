//! What a process sees of itself: its disks, its clock, the mailboxes and folders it cannot look into; and what was switched
//! off without anybody asking.

use std::{sync::Arc, time::Duration};

use postern::{
    config::{relay::RelaySettings, source::Folder as FolderSettings},
    domain::{alert::AlertKind, id::ProcessId},
    source::{accept::Intake, folder::Folder},
    store::lease::Lease,
    track::{Arrivals, ClockWatch, imap::Mailboxes},
};
use tokio_util::sync::CancellationToken;

use super::office::{MINUTE, Office, Process};
use crate::{
    store::world::World,
    support::{dovecot::Dovecot, installation::wait_for},
};

const OPS: &str = "ops@lab.example";
const NORTH: &str = "it@north.example";

/// Waits until the process itself knows (or no longer knows) of such a trouble.
async fn knows(process: &Process, kind: AlertKind, whether: bool) {
    let began = std::time::Instant::now();
    while process.gateway.health.troubles().iter().any(|trouble| trouble.kind == kind) != whether {
        assert!(began.elapsed() < Duration::from_mins(1), "{kind}: {:?}", process.gateway.health.troubles());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const fn lease() -> Lease {
    Lease { owner: ProcessId(uuid::Uuid::from_u128(7)), length: Duration::from_secs(3) }
}

on_both_engines! {
    async fn a_disk_that_is_nearly_full_is_told_with_what_is_left_and_over_when_there_is_room(world: &World) {
        let full = Office::open(world, "disk_percent = 101").await;
        let process = full.process().await;
        std::fs::create_dir_all(full.config().blobs.folder).unwrap();
        assert_eq!(process.round().await, (0, 0), "it may not last");
        world.pass(2 * MINUTE).await;
        assert_eq!(process.round().await, (1, 1));
        let mail = full.mails(OPS).remove(0);
        let folder = full.config().blobs.folder.display().to_string();
        for part in ["a disk is nearly full", &folder, "less than 101", "MB free"] {
            assert!(mail.contains(part), "{part} in {mail}");
        }
        assert_eq!(full.subjects(OPS), ["[lab] CRITICAL: 1 new"]);
        drop(process);
        let roomy = Office::open(world, "").await.process().await;
        world.pass(2 * MINUTE).await;
        assert_eq!(roomy.alerting.look_once().await.unwrap(), 0);
        world.pass(6 * MINUTE).await;
        assert_eq!(roomy.alerting.look_once().await.unwrap(), 1, "it is over");
    }

    async fn a_clock_that_jumps_is_told_at_once_and_over_when_it_is_back(world: &World) {
        let office = Office::open(world, "").await;
        let process = office.process().await;
        let mut watch: Option<ClockWatch> = None;
        process.gateway.track_once(&mut watch, Duration::ZERO).await.unwrap();
        assert_eq!(process.round().await, (0, 0));
        world.pass(60 * MINUTE).await;
        process.gateway.track_once(&mut watch, Duration::from_secs(1)).await.unwrap();
        assert_eq!(process.round().await, (1, 1));
        let mail = office.mails(OPS).remove(0);
        assert!(mail.contains("clock_jump") && mail.contains("3599 seconds apart"), "{mail}");
        // The other clock catches up, as it does when the machine was only asleep for it.
        process.gateway.track_once(&mut watch, Duration::from_hours(1)).await.unwrap();
        process.round().await;
        world.pass(6 * MINUTE).await;
        assert_eq!(process.round().await, (1, 1));
        assert_eq!(office.subjects(OPS), ["[lab] CRITICAL: 1 new", "[lab] 1 over"]);
    }

    async fn a_webhook_that_was_switched_off_is_told_to_its_organization_unless_somebody_asked_for_it(world: &World) {
        let office = Office::open(world, "").await;
        let rules = "[alerts]\nto = [\"it@north.example\"]\n[[webhook]]\nname = \"bridge\"\nurl = \"https://bridge.example/\"\n\
            [[webhook]]\nname = \"other\"\nurl = \"https://other.example/\"\n";
        office.organization("north", rules).await;
        let process = office.process().await;
        world.run("UPDATE webhook SET state = 'off', off_because = 'asked' WHERE name = 'other'").await;
        assert_eq!(process.round().await, (0, 0));
        world.run("UPDATE webhook SET state = 'off', off_because = 'failing' WHERE name = 'bridge'").await;
        world.pass(2 * MINUTE).await;
        assert_eq!(process.round().await, (1, 2));
        let mail = office.mails(NORTH).remove(0);
        assert!(mail.contains("a webhook was switched off") && mail.contains("bridge") && !mail.contains("other.example"), "{mail}");
        world.run("UPDATE webhook SET state = 'on', off_because = NULL WHERE name = 'bridge'").await;
        world.pass(6 * MINUTE).await;
        assert_eq!(process.round().await, (1, 2), "it is over");
    }

    async fn a_folder_that_cannot_be_read_is_told_and_over_when_it_can(world: &World) {
        let office = Office::open(world, "opens_after = \"0s\"").await;
        let org = office.organization("north", "").await;
        let process = office.process().await;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("inbox");
        let settings: FolderSettings = toml::from_str(&format!("organization = \"north\"\npath = {path:?}\npoll = \"50ms\"")).unwrap();
        let check = Arc::new(|_: &[u8]| Ok(()));
        let intake = Intake::new(process.gateway.store.clone(), process.gateway.blobs.clone(), check, 1_000_000);
        let (stop, health) = (CancellationToken::new(), process.gateway.health.clone());
        let watching = tokio::spawn(Folder::new(settings, org, intake).run(lease(), health, stop.clone()));
        knows(&process, AlertKind::SourceUnavailable, true).await;
        assert_eq!(process.round().await, (1, 1));
        let mail = office.mails(OPS).remove(0);
        assert!(mail.contains("source_unavailable") && mail.contains(path.to_str().unwrap()), "{mail}");
        std::fs::create_dir(&path).unwrap();
        knows(&process, AlertKind::SourceUnavailable, false).await;
        process.round().await;
        world.pass(6 * MINUTE).await;
        assert_eq!(process.round().await, (1, 1));
        stop.cancel();
        watching.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_that_does_not_let_us_in_is_told_with_its_answer() {
    let world = World::sqlite().await;
    let office = Office::open(&world, "opens_after = \"0s\"").await;
    let process = office.process().await;
    let dovecot = Dovecot::start(&[(OPS, "the right one")]);
    let text = format!(
        "name = \"hisp\"\nhost = \"localhost\"\nca_file = {:?}\nimap = {{ host = \"localhost\", port = {}, auth = {{ user = \"{OPS}\", password = \"a wrong one\" }} }}",
        dovecot.ca, dovecot.imaps
    );
    let relay: RelaySettings = toml::from_str(&text).unwrap();
    let arrivals = Arrivals::new(world.store.clone(), Arc::clone(&world.clock) as _);
    let mailboxes = Mailboxes::of(&relay, arrivals).unwrap().unwrap().telling(process.gateway.health.clone());
    let stop = CancellationToken::new();
    let watching = tokio::spawn(mailboxes.run(lease(), stop.clone()));
    knows(&process, AlertKind::MailboxUnreachable, true).await;
    assert_eq!(process.round().await, (1, 1));
    let mail = office.mails(OPS).remove(0);
    for part in ["a mailbox cannot be looked into", "hisp", OPS, "logging in"] {
        assert!(mail.contains(part), "{part} in {mail}");
    }
    assert!(!mail.contains("a wrong one"), "{mail}");
    stop.cancel();
    watching.await.unwrap();
    assert!(wait_for("the end of it", || process.gateway.health.troubles().is_empty().then_some(())).is_some());
}
