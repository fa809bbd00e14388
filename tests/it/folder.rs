//! A watched folder, on a real disk.

use std::{
    fs,
    os::unix::{ffi::OsStringExt as _, fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    time::Duration,
};

use postern::{
    config::source::Folder as Settings,
    crypto::keys::aad,
    domain::{id::ProcessId, time::Span},
    observe::health::Health,
    source::folder::{Folder, Sweep, watched_twice},
    store::lease::Lease,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::counter::{Counter, PDF_BYTES, base64, order, pdf, result, with};

struct Inbox {
    counter: Counter,
    path: PathBuf,
    folder: Folder,
}

fn settings(path: &std::path::Path) -> Settings {
    Settings {
        organization: "north-clinics".into(),
        path: path.to_owned(),
        pdf_wait: Span::seconds(60),
        settle: Span::seconds(0),
        poll: Span::seconds(1),
        keep: false,
        ignore_unknown: false,
    }
}

impl Inbox {
    async fn open(change: impl FnOnce(&mut Settings)) -> Self {
        let counter = Counter::open().await;
        let path = counter.dir.path().join("inbox");
        fs::create_dir(&path).unwrap();
        let mut settings = settings(&path);
        change(&mut settings);
        let folder = Folder::new(settings, counter.org, counter.intake.clone());
        Self { counter, path, folder }
    }

    fn drop(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path.join(name), content).unwrap();
    }

    async fn sweep(&mut self) -> Sweep {
        self.folder.sweep(Duration::from_mins(1)).await.unwrap()
    }

    fn names(&self, inside: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path.join(inside)) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn reason(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.path.join("failed").join(name)).unwrap()).unwrap()
    }
}

#[tokio::test]
async fn an_order_and_a_result_with_its_pdf_are_taken_and_deleted() {
    let mut inbox = Inbox::open(|_| ()).await;
    inbox.drop("o.json", order("A1").to_string());
    inbox.drop("r.json", result("A1", "final").to_string());
    inbox.drop("r.pdf", pdf("one"));
    assert_eq!(inbox.sweep().await, Sweep { taken: 2, ..Sweep::default() });
    inbox.drop("inside.json", with(result("A1", "corrected"), "pdf", base64(&pdf("two")).into()).to_string());
    assert_eq!(inbox.sweep().await, Sweep { taken: 1, ..Sweep::default() });
    assert_eq!(inbox.names(""), Vec::<String>::new());
    assert_eq!(inbox.counter.results("A1").await.len(), 2);
}

#[tokio::test]
async fn a_pdf_may_come_later_and_the_same_pair_twice_is_one_result() {
    let mut inbox = Inbox::open(|_| ()).await;
    inbox.drop("r.json", result("A1", "final").to_string());
    assert_eq!(inbox.sweep().await, Sweep { waiting: 1, ..Sweep::default() });
    inbox.drop("r.PDF", pdf("one"));
    assert_eq!(inbox.sweep().await.taken, 1);
    inbox.drop("r.json", result("A1", "final").to_string());
    inbox.drop("r.pdf", pdf("one"));
    assert_eq!(inbox.sweep().await.taken, 1);
    assert_eq!(inbox.counter.results("A1").await.len(), 1);
    assert!(inbox.names("").is_empty());
}

#[tokio::test]
async fn a_pdf_that_never_comes_fails_the_result_by_name() {
    let mut inbox = Inbox::open(|settings| settings.pdf_wait = Span::seconds(0)).await;
    inbox.drop("r.json", result("A1", "final").to_string());
    assert_eq!(inbox.sweep().await.failed, 1);
    assert_eq!(inbox.names("failed"), ["r.json", "r.reason.json"]);
    assert_eq!(inbox.reason("r.reason.json")["errors"][0]["field"], "/pdf");
}

#[tokio::test]
async fn what_cannot_be_taken_is_moved_aside_with_its_fields_and_without_its_values() {
    let mut inbox = Inbox::open(|_| ()).await;
    let mut bad = order("A1");
    bad["patient"]["birth_date"] = json!("1964-02-30");
    bad["patient"]["name"]["family"] = json!("Xsecretx\u{7}");
    inbox.drop("a.json", bad.to_string());
    inbox.drop("b.json", "{\"patient\": ");
    inbox.drop("c.json", "{}");
    inbox.drop("d.json", result("A1", "final").to_string());
    inbox.drop("d.pdf", "no pdf at all");
    inbox.drop("e.json", result("A1", "final").to_string());
    inbox.drop("e.pdf", pdf(&"x".repeat(PDF_BYTES)));
    assert_eq!(inbox.sweep().await, Sweep { failed: 5, ..Sweep::default() });
    let fields: Vec<_> = inbox.reason("a.reason.json")["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["/patient/name/family", "/patient/birth_date"]);
    assert!(!inbox.reason("a.reason.json").to_string().contains("Xsecretx"));
    assert_eq!(inbox.reason("b.reason.json")["errors"][0]["code"], "malformed_json");
    assert_eq!(inbox.reason("c.reason.json")["code"], "order_or_result");
    assert_eq!(inbox.reason("d.reason.json")["errors"][0]["code"], "not_pdf");
    assert_eq!(inbox.reason("e.reason.json")["code"], "too_large");
    assert_eq!(inbox.names(""), ["failed"]);
    assert!(inbox.names("failed").contains(&"d.pdf".to_owned()));
}

#[tokio::test]
async fn a_file_that_is_still_written_is_not_read() {
    let mut inbox = Inbox::open(|settings| settings.settle = Span(Duration::from_millis(150))).await;
    let whole = order("A1").to_string();
    inbox.drop("o.json", &whole[..20]);
    assert_eq!(inbox.sweep().await.waiting, 1);
    tokio::time::sleep(Duration::from_millis(200)).await;
    inbox.drop("o.json", &whole);
    assert_eq!(inbox.sweep().await, Sweep { waiting: 1, ..Sweep::default() }, "it has just changed");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(inbox.sweep().await.taken, 1);
}

#[tokio::test]
async fn links_and_temporary_names_are_left_alone() {
    let mut inbox = Inbox::open(|_| ()).await;
    let outside = inbox.counter.dir.path().join("outside.json");
    fs::write(&outside, order("A1").to_string()).unwrap();
    std::os::unix::fs::symlink(&outside, inbox.path.join("link.json")).unwrap();
    inbox.drop(".o.json", order("A1").to_string());
    inbox.drop("o.json.tmp", order("A1").to_string());
    assert_eq!(inbox.sweep().await, Sweep { odd: 1, ..Sweep::default() });
    assert!(outside.exists() && inbox.names("").len() == 3);
    assert!(inbox.counter.store.order_called(inbox.counter.org, "A1").await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_kept_is_encrypted_and_its_name_says_nothing() {
    let mut inbox = Inbox::open(|settings| settings.keep = true).await;
    inbox.drop("Testriver.json", with(result("A1", "final"), "order", order("A1")).to_string());
    inbox.drop("Testriver.pdf", pdf("one"));
    assert_eq!(inbox.sweep().await.taken, 1);
    let kept = inbox.names("done");
    assert_eq!(kept.len(), 2);
    let key = inbox.counter.store.key(inbox.counter.org).await.unwrap();
    for name in kept {
        assert!(!name.contains("Testriver"));
        let sealed = fs::read(inbox.path.join("done").join(&name)).unwrap();
        let id = name.split('.').next().unwrap().parse().unwrap();
        let opened = key.open(&aad(inbox.counter.org, "folder", id, 1), &sealed).unwrap();
        let plain: &[u8] = if name.contains(".pdf.") { b"%PDF-" } else { b"Testriver" };
        assert!(opened.windows(plain.len()).any(|w| w == plain));
        assert!(!sealed.windows(plain.len()).any(|w| w == plain));
    }
}

#[tokio::test]
async fn while_nothing_can_be_stored_nothing_is_deleted() {
    let mut inbox = Inbox::open(|_| ()).await;
    inbox.drop("o.json", order("A1").to_string());
    inbox.counter.store.close().await;
    assert!(inbox.folder.sweep(Duration::from_mins(1)).await.is_err());
    assert_eq!(inbox.names(""), ["o.json"]);
}

#[tokio::test]
async fn a_watched_folder_is_worked_by_one_process_at_a_time_until_it_is_told_to_stop() {
    let inbox = Inbox::open(|settings| settings.poll = Span(Duration::from_millis(20))).await;
    let lease = || Lease { owner: ProcessId::new(), length: Duration::from_mins(1) };
    let task = format!("folder:{}", inbox.path.display());
    let other = lease();
    assert!(inbox.counter.store.take_task(&task, &other).await.unwrap());
    let stop = CancellationToken::new();
    inbox.drop("o.json", order("A1").to_string());
    let Inbox { counter, path, folder } = inbox;
    let running = tokio::spawn(folder.run(lease(), Health::default(), stop.clone()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(path.join("o.json").exists(), "another process holds the folder");
    counter.store.give_back_task(&task, &other).await.unwrap();
    while path.join("o.json").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert!(counter.store.take_task(&task, &other).await.unwrap(), "the lease was given back");
}

#[tokio::test]
async fn a_resend_needs_no_pdf_and_the_same_file_is_one_resend() {
    let mut inbox = Inbox::open(|_| ()).await;
    inbox.drop("r.json", with(result("A1", "final"), "order", order("A1")).to_string());
    inbox.drop("r.pdf", pdf("one"));
    inbox.sweep().await;
    inbox.drop("again.json", result("A1", "resend").to_string());
    // A crash after it was durable and before it was deleted: the same file is found again.
    let copy = inbox.path.join(".copy");
    fs::hard_link(inbox.path.join("again.json"), &copy).unwrap();
    assert_eq!(inbox.sweep().await.taken, 1);
    fs::rename(&copy, inbox.path.join("again.json")).unwrap();
    assert_eq!(inbox.sweep().await.taken, 1);
    assert_eq!(inbox.counter.results("A1").await.len(), 2);
}

#[tokio::test]
async fn pipes_huge_files_and_odd_names_stop_nothing() {
    let mut inbox = Inbox::open(|_| ()).await;
    rustix::fs::mknodat(rustix::fs::CWD, inbox.path.join("pipe.json"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
        .unwrap();
    inbox.drop("bell\u{7}.json", order("A9").to_string());
    inbox.drop("line\nend.json", order("A9").to_string());
    fs::write(inbox.path.join(std::ffi::OsString::from_vec(b"\xff.json".to_vec())), order("A9").to_string()).unwrap();
    // A terabyte, as the folder sees it.
    fs::File::create(inbox.path.join("huge.json")).unwrap().set_len(1 << 40).unwrap();
    inbox.drop("p.json", result("A1", "final").to_string());
    fs::File::create(inbox.path.join("p.pdf")).unwrap().set_len(1 << 40).unwrap();
    inbox.drop("o.json", order("A1").to_string());
    let swept = tokio::time::timeout(Duration::from_secs(20), inbox.sweep()).await.unwrap();
    assert_eq!(swept, Sweep { taken: 1, failed: 2, odd: 4, ..Sweep::default() });
    assert_eq!(inbox.reason("huge.reason.json")["code"], "too_large");
    assert_eq!(inbox.reason("p.reason.json")["errors"][0]["field"], "/pdf");
    assert!(inbox.counter.store.order_called(inbox.counter.org, "A9").await.unwrap().is_none());
}

/// Root reads everything, so the rest of the test runs as nobody.
fn as_nobody(test: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("closed");
    fs::write(&file, "x").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&file).is_err() {
        return true;
    }
    let copy = dir.path().join("test");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    for path in [dir.path(), copy.as_path()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = std::process::Command::new(&copy);
    command.args(["--exact", test, "--nocapture"]).env("TMPDIR", "/tmp").current_dir("/").uid(65_534).gid(65_534);
    let ran = command.output().unwrap();
    assert!(ran.status.success(), "{}{}", String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"), "the test was found");
    false
}

#[tokio::test]
async fn a_file_that_may_not_be_read_fails_after_a_while_and_stops_no_other() {
    if !as_nobody("folder::a_file_that_may_not_be_read_fails_after_a_while_and_stops_no_other") {
        return;
    }
    let mut inbox = Inbox::open(|settings| settings.pdf_wait = Span(Duration::from_millis(300))).await;
    inbox.drop("closed.json", order("A1").to_string());
    fs::set_permissions(inbox.path.join("closed.json"), fs::Permissions::from_mode(0o000)).unwrap();
    inbox.drop("open.json", order("A2").to_string());
    assert_eq!(inbox.sweep().await, Sweep { taken: 1, waiting: 1, ..Sweep::default() });
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(inbox.sweep().await, Sweep { failed: 1, ..Sweep::default() });
    assert_eq!(inbox.reason("closed.reason.json")["errors"][0]["code"], "unreadable");
    assert_eq!(inbox.names("failed"), ["closed.json", "closed.reason.json"]);
}

#[tokio::test]
async fn two_spellings_of_one_folder_are_one_folder() {
    let inbox = Inbox::open(|settings| settings.poll = Span(Duration::from_millis(20))).await;
    let spelled =
        |path: PathBuf| Folder::new(Settings { path, ..settings(&inbox.path) }, inbox.counter.org, inbox.counter.intake.clone());
    std::os::unix::fs::symlink(&inbox.path, inbox.counter.dir.path().join("link")).unwrap();
    let detour = inbox.path.join("..").join("inbox").join(".");
    let link = inbox.counter.dir.path().join("link");
    assert_eq!(watched_twice(&[settings(&inbox.path), settings(&inbox.counter.dir.path().join("else"))]), None);
    for other in [&detour, &link] {
        assert_eq!(watched_twice(&[settings(&inbox.path), settings(other)]), Some(other.as_path()));
    }

    // Whoever holds the folder under its own name keeps everybody out who calls it something else.
    let holder = Lease { owner: ProcessId::new(), length: Duration::from_mins(1) };
    let task = format!("folder:{}", inbox.path.canonicalize().unwrap().display());
    assert!(inbox.counter.store.take_task(&task, &holder).await.unwrap());
    inbox.drop("o.json", order("A1").to_string());
    let stop = CancellationToken::new();
    let running = [detour, link].map(|path| {
        let lease = Lease { owner: ProcessId::new(), length: Duration::from_mins(1) };
        tokio::spawn(spelled(path).run(lease, Health::default(), stop.clone()))
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(inbox.path.join("o.json").exists());
    inbox.counter.store.give_back_task(&task, &holder).await.unwrap();
    while inbox.path.join("o.json").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.cancel();
    for run in running {
        run.await.unwrap();
    }
}

#[tokio::test]
async fn two_processes_that_both_believe_the_folder_theirs_take_each_result_once_and_fail_nothing() {
    let mut inbox = Inbox::open(|_| ()).await;
    for n in 0..30 {
        let id = format!("A{n}");
        inbox.drop(&format!("{n}.json"), with(result(&id, "final"), "order", order(&id)).to_string());
        inbox.drop(&format!("{n}.pdf"), pdf(&id));
    }
    inbox.drop("bad.json", "{}");
    let mut other = Folder::new(settings(&inbox.path), inbox.counter.org, inbox.counter.intake.clone());
    // Files vanish under both, all the time.
    let (one, two) = tokio::join!(inbox.folder.sweep(Duration::from_mins(1)), other.sweep(Duration::from_mins(1)));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.taken + two.taken >= 30, "{one:?} {two:?}");
    for n in 0..30 {
        assert_eq!(inbox.counter.results(&format!("A{n}")).await.len(), 1);
    }
    assert_eq!(inbox.names(""), ["failed"]);
    assert_eq!(inbox.names("failed").iter().filter(|name| !name.contains("reason")).count(), 1);
}

#[tokio::test]
async fn a_social_security_number_is_not_kept_in_what_is_kept() {
    let mut inbox = Inbox::open(|settings| settings.keep = true).await;
    let mut odd = order("A1");
    odd["patient"]["ssn"] = json!("078-05-1120");
    inbox.drop("o.json", odd.to_string());
    assert_eq!(inbox.sweep().await.taken, 1);
    let [name] = &inbox.names("done")[..] else { panic!("one file") };
    let sealed = fs::read(inbox.path.join("done").join(name)).unwrap();
    let key = inbox.counter.store.key(inbox.counter.org).await.unwrap();
    let id = name.split('.').next().unwrap().parse().unwrap();
    let opened = key.open(&aad(inbox.counter.org, "folder", id, 1), &sealed).unwrap();
    let opened = String::from_utf8(opened.to_vec()).unwrap();
    assert!(opened.contains("Testriver") && !opened.contains("1120"), "{opened}");
}
