//! A watched folder, on a real disk.

use std::{fs, path::PathBuf, time::Duration};

use postern::{
    config::source::Folder as Settings,
    crypto::keys::aad,
    domain::{id::ProcessId, time::Span},
    observe::health::Health,
    source::folder::{Folder, Sweep},
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
    assert_eq!(inbox.reason("b.reason.json")["code"], "malformed");
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
