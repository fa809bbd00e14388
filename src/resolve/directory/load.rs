//! One load of a directory: rows in batches into a snapshot nobody sees yet, then all at once into force.

use std::{
    fs::File,
    io::{Read, Write},
};

use crate::{domain::id::SnapshotId, store::Store};

use super::{CsvDirectory, DirectoryError};

/// Rows given to the store at a time.
const BATCH: usize = 1_000;

/// How much smaller a directory may be than the one it replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The greatest drop in rows, in percent of those in force.
    pub percent: u8,
    /// Load it all the same.
    pub force: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self { percent: 20, force: false }
    }
}

impl Guard {
    /// Judges a load of `new` rows against the `before` in force.
    ///
    /// # Errors
    /// [`DirectoryError::Empty`] or [`DirectoryError::Shrunk`], unless forced.
    pub fn judge(self, before: Option<u64>, new: u64, rejected: u64) -> Result<(), DirectoryError> {
        if self.force {
            return Ok(());
        }
        if new == 0 {
            return Err(DirectoryError::Empty { rejected });
        }
        match before {
            Some(before) if u128::from(new) * 100 < u128::from(before) * u128::from(100_u8.saturating_sub(self.percent)) => {
                Err(DirectoryError::Shrunk { before, new, percent: self.percent })
            }
            _ => Ok(()),
        }
    }
}

/// How far a load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows taken.
    pub taken: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Bytes of the file read.
    pub bytes: u64,
}

/// A directory that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Its id, which every answer and every trace carries.
    pub snapshot: SnapshotId,
    /// What was read.
    pub progress: Progress,
}

/// Loads `directory`, known to people as `source`, and puts it into force in place of the one before. Rejected rows go
/// to `rejects` as CSV: line, column, reason. `progress` is called after every batch.
///
/// # Errors
/// [`DirectoryError`]; the directory in force before stays so, and nothing is left of the new one.
pub async fn load<R: Read + Send>(
    store: &Store,
    source: &str,
    mut directory: CsvDirectory<R>,
    rejects: &mut (dyn Write + Send),
    guard: Guard,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Loaded, DirectoryError> {
    let before = store.active_snapshot().await?.map(|snapshot| snapshot.entries);
    let snapshot = store.begin_snapshot(source).await?;
    let filled = fill(store, snapshot, &mut directory, rejects, progress).await;
    let judged = filled.and_then(|done| guard.judge(before, done.taken, done.rejected).map(|()| done));
    match judged {
        Ok(done) => {
            store.activate_snapshot(snapshot, done.taken).await?;
            Ok(Loaded { snapshot, progress: done })
        }
        Err(error) => {
            // The cause is what the person needs; rows left behind are invisible either way.
            if let Err(left) = store.drop_snapshot(snapshot).await {
                tracing::warn!(%snapshot, error = %left, "rows of a directory that was not loaded are left behind");
            }
            Err(error)
        }
    }
}

/// Opens a CSV file of a directory.
///
/// # Errors
/// When it cannot be opened or its header read.
pub fn open(path: &std::path::Path) -> Result<CsvDirectory<File>, DirectoryError> {
    CsvDirectory::new(File::open(path).map_err(|source| DirectoryError::Read { line: 0, source: source.into() })?)
}

async fn fill<R: Read + Send>(
    store: &Store,
    snapshot: SnapshotId,
    directory: &mut CsvDirectory<R>,
    rejects: &mut (dyn Write + Send),
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Progress, DirectoryError> {
    let mut rejects = csv::Writer::from_writer(rejects);
    rejects.write_record(["line", "column", "reason"]).map_err(DirectoryError::Rejects)?;
    let mut done = Progress::default();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let row = directory.next_row()?;
        done.bytes = directory.bytes();
        let ended = row.is_none();
        match row {
            Some(Ok(row)) => batch.push(row),
            Some(Err(reject)) => {
                done.rejected += 1;
                let fields = [reject.line.to_string(), reject.column, reject.reason];
                rejects.write_record(fields).map_err(DirectoryError::Rejects)?;
            }
            None => {}
        }
        if batch.len() == BATCH || (ended && !batch.is_empty()) {
            store.add_to_snapshot(snapshot, done.taken, &batch).await?;
            done.taken += batch.len() as u64;
            batch.clear();
            progress(done);
        }
        if ended {
            rejects.flush().map_err(|error| DirectoryError::Rejects(error.into()))?;
            return Ok(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fmt::Write as _, path::Path, sync::Arc};

    use crate::{
        crypto::MasterKey,
        domain::{Clock, Timestamp},
        store::StoreOptions,
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

    async fn take(store: &Store, text: &str, force: bool) -> Result<Loaded, DirectoryError> {
        let directory = CsvDirectory::new(text.as_bytes()).unwrap();
        load(store, "test", directory, &mut Vec::new(), Guard { force, ..Guard::default() }, &mut |_| {}).await
    }

    #[tokio::test]
    async fn rows_arrive_in_batches_and_rejects_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        let text = format!("{}1234567890,b@d.example\n", file(2_500));
        let (mut rejects, mut steps) = (Vec::new(), Vec::new());
        let directory = CsvDirectory::new(text.as_bytes()).unwrap();
        let mut progress = |step: Progress| steps.push(step.taken);
        let loaded = load(&store, "test", directory, &mut rejects, Guard::default(), &mut progress).await.unwrap();
        assert_eq!(steps, [1_000, 2_000, 2_500]);
        assert_eq!((loaded.progress.taken, loaded.progress.rejected), (2_500, 1));
        assert_eq!(loaded.progress.bytes, text.len() as u64);
        assert_eq!(String::from_utf8(rejects).unwrap(), "line,column,reason\n2502,npi,has a wrong check digit\n");
        let active = store.active_snapshot().await.unwrap().unwrap();
        assert_eq!((active.id, active.entries), (loaded.snapshot, 2_500));
    }

    #[tokio::test]
    async fn a_directory_that_shrank_by_more_than_a_fifth_is_not_put_into_force_unless_forced() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path()).await;
        assert!(matches!(take(&store, &file(0), false).await, Err(DirectoryError::Empty { .. })));
        let first = take(&store, &file(100), false).await.unwrap();
        assert!(matches!(take(&store, &file(79), false).await, Err(DirectoryError::Shrunk { before: 100, new: 79, .. })));
        assert_eq!(store.active_snapshot().await.unwrap().unwrap().id, first.snapshot);
        take(&store, &file(80), false).await.unwrap();
        let forced = take(&store, &file(1), true).await.unwrap();
        assert_eq!(store.active_snapshot().await.unwrap().unwrap().id, forced.snapshot);
    }
}
