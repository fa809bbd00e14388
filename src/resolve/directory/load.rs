//! One load of a directory: read and counted as a whole, judged, and only then written where nobody sees it, and put into
//! force in one step.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::mpsc;

use super::{
    DirectoryError, Item, Reject, clean,
    rows::Sink,
    sorted::{Sorted, Sorter},
};
use crate::{
    domain::{id::SnapshotId, route::DirectoryRow},
    store::{
        Store,
        directory::{Counts, NewSnapshot, TypeCount},
    },
};

/// Rows given to the store in one transaction.
const BATCH: usize = 5_000;
/// Rows between two reports of how far it is.
const STEP: u64 = 5_000;
/// Rejected rows listed; the others are counted.
pub const MOST_REJECTS: u64 = 100_000;
/// Different types of rows counted by name; a file with more is no directory.
const MOST_TYPES: usize = 64;

/// How much smaller a directory may be than the one it replaces, type by type: of two types one may grow while the other
/// is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The greatest drop in rows taken, in percent of those in force.
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
    /// Judges a load against the one in force.
    ///
    /// # Errors
    /// [`DirectoryError::Empty`] or [`DirectoryError::Shrunk`], unless forced.
    pub fn judge(self, before: Option<&Counts>, new: &Counts, rejected: u64) -> Result<(), DirectoryError> {
        if self.force {
            return Ok(());
        }
        if new.values().all(|count| count.taken == 0) {
            return Err(DirectoryError::Empty { rejected });
        }
        for (of, count) in before.into_iter().flatten() {
            let (before, now) = (count.taken, new.get(of).map_or(0, |count| count.taken));
            if u128::from(now) * 100 < u128::from(before) * u128::from(100_u8.saturating_sub(self.percent)) {
                return Err(DirectoryError::Shrunk { of: of.clone(), before, new: now, percent: self.percent });
            }
        }
        Ok(())
    }
}

/// How far a load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Rows read.
    pub read: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Rows written.
    pub written: u64,
}

/// Tells somebody how far it is.
pub type Watcher = Arc<dyn Fn(Progress) + Send + Sync>;

/// What was read, and what is in force if anything is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id, which every answer and every trace carries; `None` after a dry run.
    pub snapshot: Option<SnapshotId>,
    /// Rows in force: each once.
    pub entries: u64,
    /// Rows rejected.
    pub rejected: u64,
    /// Rows that said again what another had said.
    pub duplicates: u64,
    /// Addresses at mailbox providers for everybody: hardly ever Direct addresses, whatever the file says.
    pub webmail: u64,
    /// Rows by type.
    pub counts: Counts,
}

/// How to load.
pub struct Terms {
    /// What is judged too small.
    pub guard: Guard,
    /// Read and judge, write nothing.
    pub dry_run: bool,
    /// Where rejected rows are listed as CSV: line, column, reason.
    pub rejects: Box<dyn Write + Send>,
    /// Told how far it is.
    pub watcher: Watcher,
}

impl Default for Terms {
    fn default() -> Self {
        Self { guard: Guard::default(), dry_run: false, rejects: Box::new(std::io::sink()), watcher: Arc::new(|_| {}) }
    }
}

/// Tells the reading thread when nobody waits for it any more.
pub(super) struct Leash(pub(super) Arc<AtomicBool>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Loads what `read` reads and puts it into force in place of the load of the same source before. Reading happens on a
/// thread of its own; dropping the future stops it.
///
/// # Errors
/// [`DirectoryError`]; the load in force before stays so, and nothing is left of the new one.
pub async fn load(
    store: &Store,
    new: NewSnapshot<'_>,
    read: impl FnOnce(Sink<'_>) -> Result<(), DirectoryError> + Send + 'static,
    terms: Terms,
) -> Result<Loaded, DirectoryError> {
    let before = store.active_snapshot(new.source, new.org).await?.map(|snapshot| snapshot.counts);
    let stop = Arc::new(AtomicBool::new(false));
    let leash = Leash(Arc::clone(&stop));
    let Terms { guard, dry_run, rejects, watcher } = terms;
    let told = Arc::clone(&watcher);
    let (read, sorted) = run(move || read_all(read, rejects, &told, &stop)).await?;
    guard.judge(before.as_ref(), &read.counts, read.progress.rejected)?;
    let mut loaded = Loaded {
        snapshot: None,
        entries: 0,
        rejected: read.progress.rejected,
        duplicates: 0,
        webmail: read.webmail,
        counts: read.counts,
    };
    if dry_run {
        return run(move || {
            let mut sorted = sorted;
            while sorted.next_row().map_err(DirectoryError::Sort)?.is_some() {
                loaded.entries += 1;
            }
            loaded.duplicates = sorted.duplicates();
            Ok(loaded)
        })
        .await;
    }
    let loading = store.begin_snapshot(new).await?;
    let written = async {
        let (sender, mut batches) = mpsc::channel(2);
        let sorting = tokio::task::spawn_blocking(move || hand_over(sorted, &sender));
        let mut progress = read.progress;
        while let Some(batch) = batches.recv().await {
            let batch: Vec<DirectoryRow> = batch;
            loaded.entries += store.add_to_snapshot(&loading, &batch).await?;
            progress.written += batch.len() as u64;
            watcher(progress);
        }
        loaded.duplicates = sorting.await.map_err(|_| DirectoryError::Stopped)??;
        store.activate_snapshot(&loading, loaded.entries, &loaded.counts).await?;
        Ok(())
    };
    let written: Result<(), DirectoryError> = written.await;
    drop(leash);
    if let Err(error) = written {
        // The cause is what the person needs; rows left behind are invisible either way.
        if let Err(left) = store.drop_snapshot(loading.id).await {
            tracing::warn!(snapshot = %loading.id, error = %left, "rows of a directory that was not loaded are left behind");
        }
        return Err(error);
    }
    loaded.snapshot = Some(loading.id);
    // It is in force; that the rows of the one before the last still take room harms nobody.
    if let Err(error) = store.remove_unloaded().await {
        tracing::warn!(%error, "rows of old directories are left behind");
    }
    Ok(loaded)
}

/// Runs reading on a thread where it may block.
pub(super) async fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DirectoryError> + Send + 'static,
) -> Result<T, DirectoryError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| DirectoryError::Stopped)?
}

/// What reading a file comes to.
struct Read {
    progress: Progress,
    counts: Counts,
    webmail: u64,
}

fn read_all(
    source: impl FnOnce(Sink<'_>) -> Result<(), DirectoryError>,
    rejects: Box<dyn Write + Send>,
    watcher: &Watcher,
    stop: &AtomicBool,
) -> Result<(Read, Sorted), DirectoryError> {
    let mut list = RejectList::new(rejects)?;
    let mut read = Read { progress: Progress::default(), counts: BTreeMap::new(), webmail: 0 };
    let mut sorter = Sorter::default();
    source(&mut |Item { of, row, reject }| {
        if let Some(of) = of {
            read.progress.read += 1;
            let taken = u64::from(row.as_ref().is_some_and(|row| row.address.is_some() || !row.active || of == KNOWN));
            count(&mut read.counts, &of, taken);
        }
        if let Some(row) = row {
            read.webmail += u64::from(row.address.as_ref().is_some_and(clean::is_webmail));
            sorter.push(&row).map_err(DirectoryError::Sort)?;
        }
        if let Some(reject) = reject {
            read.progress.rejected += 1;
            list.add(&reject, read.progress.rejected)?;
        }
        if read.progress.read.is_multiple_of(STEP) {
            watcher(read.progress);
            if stop.load(Ordering::Relaxed) {
                return Err(DirectoryError::Stopped);
            }
        }
        Ok(())
    })?;
    list.finish(read.progress.rejected)?;
    watcher(read.progress);
    let sorted = sorter.finish().map_err(DirectoryError::Sort)?;
    Ok((read, sorted))
}

/// The type of rows that only tell that an NPI is known.
pub(super) const KNOWN: &str = "known NPI";

pub(super) fn count(counts: &mut Counts, of: &str, taken: u64) {
    let full = counts.len() >= MOST_TYPES;
    let of = if full && !counts.contains_key(of) { "other types" } else { of };
    if let Some(count) = counts.get_mut(of) {
        count.rows += 1;
        count.taken += taken;
    } else {
        counts.insert(of.to_owned(), TypeCount { rows: 1, taken });
    }
}

fn hand_over(mut sorted: Sorted, to: &mpsc::Sender<Vec<DirectoryRow>>) -> Result<u64, DirectoryError> {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let row = sorted.next_row().map_err(DirectoryError::Sort)?;
        let ended = row.is_none();
        batch.extend(row);
        if batch.len() == BATCH || (ended && !batch.is_empty()) {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            to.blocking_send(full).map_err(|_| DirectoryError::Stopped)?;
        }
        if ended {
            return Ok(sorted.duplicates());
        }
    }
}

/// Rejected rows as CSV; so many and no more.
pub(super) struct RejectList(::csv::Writer<Box<dyn Write + Send>>);

impl RejectList {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Result<Self, DirectoryError> {
        let mut list = Self(::csv::Writer::from_writer(to));
        list.line(&["line", "column", "reason"])?;
        Ok(list)
    }

    fn line(&mut self, fields: &[&str]) -> Result<(), DirectoryError> {
        self.0.write_record(fields).map_err(|error| DirectoryError::Rejects(std::io::Error::other(error)))
    }

    /// Lists the `nth` reject.
    pub(super) fn add(&mut self, reject: &Reject, nth: u64) -> Result<(), DirectoryError> {
        if nth > MOST_REJECTS {
            return Ok(());
        }
        self.line(&[&reject.line.to_string(), &reject.column, &reject.reason])
    }

    pub(super) fn finish(mut self, rejected: u64) -> Result<(), DirectoryError> {
        if rejected > MOST_REJECTS {
            self.line(&["", "", &format!("{} more rows were rejected and are not listed", rejected - MOST_REJECTS)])?;
        }
        self.0.flush().map_err(DirectoryError::Rejects)
    }
}

#[cfg(test)]
mod tests;
