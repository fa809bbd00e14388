use super::*;
use std::{fmt::Write as _, path::Path, sync::Mutex};

use crate::{
    crypto::MasterKey,
    domain::{Clock, Timestamp, route::DirectorySource},
    resolve::directory::{CsvDirectory, Mapping, drain},
    store::{StoreOptions, directory::Snapshot},
};

struct Noon;
impl Clock for Noon {
    fn now(&self) -> Timestamp {
        Timestamp(1_795_262_400_000_000)
    }
}

async fn store(folder: &Path) -> Store {
    let url = format!("sqlite:{}", folder.join("postern.db").display());
    let options = StoreOptions { url, connections: 2, master: MasterKey::generate().unwrap() };
    Store::open(options, Arc::new(Noon)).await.unwrap()
}

fn file(rows: usize) -> String {
    let mut text = "npi,address\n".to_owned();
    for i in 0..rows {
        let _ = writeln!(text, "1234567893,a{i}@d.example");
    }
    text
}

const NEW: NewSnapshot<'static> = NewSnapshot { source: DirectorySource::DirectTrust, org: None, file: "test" };

async fn take(store: &Store, text: String, terms: Terms) -> Result<Loaded, DirectoryError> {
    let read = move |sink: Sink<'_>| drain(CsvDirectory::new(text.as_bytes(), &Mapping::default())?, sink);
    load(store, NEW, read, terms).await
}

async fn active(store: &Store) -> Option<Snapshot> {
    store.active_snapshot(NEW.source, None).await.unwrap()
}

fn forced() -> Terms {
    Terms { guard: Guard { force: true, ..Guard::default() }, ..Terms::default() }
}

/// A file somebody else can look into.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);
impl Write for Shared {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(buffer)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn rows_arrive_in_batches_and_rejects_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let text = format!("{}1234567890,b@d.example\n1234567893,A0@D.example\n", file(12_500));
    let (rejects, steps) = (Shared::default(), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&steps);
    let terms = Terms {
        rejects: Box::new(rejects.clone()),
        watcher: Arc::new(move |step| told.lock().unwrap().push((step.read, step.written))),
        ..Terms::default()
    };
    let loaded = take(&store, text, terms).await.unwrap();
    let expected = [(5_000, 0), (10_000, 0), (12_502, 0), (12_502, 5_000), (12_502, 10_000), (12_502, 12_500)];
    assert_eq!(*steps.lock().unwrap(), expected);
    assert_eq!((loaded.entries, loaded.rejected, loaded.duplicates), (12_500, 1, 1));
    let listed = String::from_utf8(rejects.0.lock().unwrap().clone()).unwrap();
    assert_eq!(listed, "line,column,reason\n12502,npi,has a wrong check digit\n");
    let active = active(&store).await.unwrap();
    assert_eq!((Some(active.id), active.entries), (loaded.snapshot, 12_500));
}

#[tokio::test]
async fn a_directory_that_shrank_by_more_than_a_fifth_is_not_put_into_force_unless_forced() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    assert!(matches!(take(&store, file(0), Terms::default()).await, Err(DirectoryError::Empty { .. })));
    let first = take(&store, file(100), Terms::default()).await.unwrap();
    let shrunk = take(&store, file(79), Terms::default()).await;
    assert!(matches!(shrunk, Err(DirectoryError::Shrunk { before: 100, new: 79, .. })));
    assert_eq!(active(&store).await.map(|load| load.id), first.snapshot);
    take(&store, file(80), Terms::default()).await.unwrap();
    let forced = take(&store, file(1), forced()).await.unwrap();
    assert_eq!(active(&store).await.map(|load| load.id), forced.snapshot);
}

#[test]
fn one_type_that_is_lost_is_not_made_up_for_by_another_that_grows() {
    let counts = |of: &[(&str, u64)]| -> Counts {
        of.iter().map(|(of, taken)| ((*of).to_owned(), TypeCount { rows: 500, taken: *taken })).collect()
    };
    let before = counts(&[("DIRECT", 100), ("telecom", 100), ("FHIR", 0)]);
    let judge = |new: &[(&str, u64)]| Guard::default().judge(Some(&before), &counts(new), 0);
    judge(&[("DIRECT", 80), ("telecom", 300)]).unwrap();
    let lost = judge(&[("DIRECT", 79), ("telecom", 300)]);
    assert!(matches!(lost, Err(DirectoryError::Shrunk { ref of, .. }) if of == "DIRECT"), "{lost:?}");
    assert!(judge(&[("DIRECT", 300)]).is_err());
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let dry = take(&store, file(10), Terms { dry_run: true, ..Terms::default() }).await.unwrap();
    assert_eq!((dry.snapshot, dry.entries, active(&store).await), (None, 10, None));
    let wet = take(&store, file(10), Terms::default()).await.unwrap();
    assert_eq!(Loaded { snapshot: wet.snapshot, ..dry }, wet);
    let too_small = take(&store, file(1), Terms { dry_run: true, ..Terms::default() }).await;
    assert!(matches!(too_small, Err(DirectoryError::Shrunk { .. })));
}

#[tokio::test]
async fn a_load_nobody_waits_for_any_more_ends_and_is_not_put_into_force() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path()).await;
    let (tell, told) = std::sync::mpsc::channel();
    let endless = move |sink: Sink<'_>| {
        let _ = tell.send("begun");
        let end = (0_u64..).try_for_each(|_| sink(Item { of: Some("x".into()), row: None, reject: None }));
        let _ = tell.send("ended");
        end
    };
    let waiting = {
        let store = store.clone();
        tokio::spawn(async move { load(&store, NEW, endless, Terms::default()).await })
    };
    let heard = move || tokio::task::spawn_blocking(move || (told.recv_timeout(std::time::Duration::from_mins(1)), told));
    let (begun, told) = heard().await.unwrap();
    assert_eq!(begun, Ok("begun"));
    waiting.abort();
    let ended = tokio::task::spawn_blocking(move || told.recv_timeout(std::time::Duration::from_mins(1))).await.unwrap();
    assert_eq!(ended, Ok("ended"));
    assert_eq!(active(&store).await, None);
}

#[test]
fn types_and_rejects_are_bounded() {
    let mut counts = Counts::new();
    for of in 0..1_000 {
        count(&mut counts, &of.to_string(), 0);
    }
    assert_eq!((counts.len(), counts["other types"].rows), (65, 936));

    let file = Shared::default();
    let mut list = RejectList::new(Box::new(file.clone())).unwrap();
    let reject = Reject { line: 1, column: String::new(), reason: "x".to_owned() };
    let all = MOST_REJECTS + 10;
    (1..=all).for_each(|nth| list.add(&reject, nth).unwrap());
    list.finish(all).unwrap();
    let text = String::from_utf8(file.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count() as u64, MOST_REJECTS + 2);
    assert!(text.ends_with("10 more rows were rejected and are not listed\n"));
}
