//! NPPES's main file, `npidata_pfile_*.csv`: 330 columns and ten million rows, of which we keep two bits each: the NPI was
//! issued, and it is deactivated. That tells "has no Direct address" from "there is no such NPI", and an address that lived on
//! in some directory from one that may be used.

use std::{
    collections::BTreeMap,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    DirectoryError, Reject, clean,
    csv::Table,
    load::{Leash, Loaded, Progress, RejectList, Terms, count, run},
};
use crate::{
    domain::{Npi, route::DirectorySource},
    store::{
        Store,
        directory::{Counts, NewSnapshot, bit_of},
    },
};

/// Octets of a block: 8192 NPIs.
const BLOCK: usize = 1024;
/// Blocks written in one transaction.
const BATCH: usize = 1_000;

/// One bit for each NPI there can be: 25 MB at most, since they begin with 1 or 2.
#[derive(Default)]
struct Bits(BTreeMap<i64, Box<[u8; BLOCK]>>);

impl Bits {
    /// Sets the bit of an NPI; tells whether it was not set before.
    fn set(&mut self, npi: &Npi) -> bool {
        let (block, bit) = bit_of(npi);
        let octets = self.0.entry(block).or_insert_with(|| Box::new([0; BLOCK]));
        let Some(octet) = octets.get_mut(bit / 8) else { return false };
        let mask = 1 << (bit % 8);
        let new = *octet & mask == 0;
        *octet |= mask;
        new
    }

    fn block(&self, block: i64) -> Vec<u8> {
        self.0.get(&block).map_or_else(Vec::new, |octets| octets.to_vec())
    }
}

/// What the file comes to.
struct Registry {
    issued: Bits,
    inactive: Bits,
    counts: Counts,
    entries: u64,
    progress: Progress,
}

/// Loads the main file that `open` opens.
///
/// # Errors
/// As [`super::load::load`].
pub async fn load<R: Read + 'static>(
    store: &Store,
    file: &str,
    open: impl FnOnce() -> Result<R, DirectoryError> + Send + 'static,
    terms: Terms,
) -> Result<Loaded, DirectoryError> {
    let source = DirectorySource::Registry;
    let before = store.active_snapshot(source, None).await?.map(|snapshot| snapshot.counts);
    let stop = Arc::new(AtomicBool::new(false));
    let leash = Leash(Arc::clone(&stop));
    let Terms { guard, dry_run, rejects, watcher } = terms;
    let told = Arc::clone(&watcher);
    let registry = run(move || {
        let mut list = RejectList::new(rejects)?;
        let registry = read(open()?, &mut list, &mut |progress| {
            told(progress);
            !stop.load(Ordering::Relaxed)
        })?;
        list.finish(registry.progress.rejected)?;
        Ok(registry)
    })
    .await?;
    drop(leash);
    guard.judge(before.as_ref(), &registry.counts, registry.progress.rejected)?;
    let mut loaded = Loaded {
        snapshot: None,
        entries: registry.entries,
        rejected: registry.progress.rejected,
        duplicates: 0,
        webmail: 0,
        counts: registry.counts,
    };
    if dry_run {
        return Ok(loaded);
    }
    let loading = store.begin_snapshot(NewSnapshot { source, org: None, file }).await?;
    let written = async {
        let blocks: Vec<i64> = registry.issued.0.keys().copied().collect();
        for some in blocks.chunks(BATCH) {
            let batch: Vec<_> =
                some.iter().map(|block| (*block, registry.issued.block(*block), registry.inactive.block(*block))).collect();
            store.add_npi_blocks(&loading, &batch).await?;
        }
        store.activate_snapshot(&loading, loaded.entries, &loaded.counts).await?;
        store.remove_unloaded().await.map(drop)
    };
    if let Err(error) = written.await {
        if let Err(left) = store.drop_snapshot(loading.id).await {
            tracing::warn!(snapshot = %loading.id, error = %left, "a list of NPIs that was not loaded is left behind");
        }
        return Err(error.into());
    }
    loaded.snapshot = Some(loading.id);
    Ok(loaded)
}

/// Reads the file; `go_on` is told how far it is and says whether anybody still waits.
fn read(source: impl Read, list: &mut RejectList, go_on: &mut dyn FnMut(Progress) -> bool) -> Result<Registry, DirectoryError> {
    let mut table = Table::new(source)?;
    let column = |name: &str| match table.column(name, &[name])? {
        None => Err(table.header(format!("no column {name:?}, so it is not an NPPES main file"))),
        found => Ok(found),
    };
    let (npi, deactivated, reactivated) = (column("npi")?, column("npi_deactivation_date")?, column("npi_reactivation_date")?);
    let replacement = table.column("replacement", &["replacement_npi"])?;
    let mut registry = Registry {
        issued: Bits::default(),
        inactive: Bits::default(),
        counts: Counts::new(),
        entries: 0,
        progress: Progress::default(),
    };
    while table.advance()? {
        registry.progress.read += 1;
        if registry.progress.read.is_multiple_of(5_000) && !go_on(registry.progress) {
            return Err(DirectoryError::Stopped);
        }
        let mut reject = |registry: &mut Registry, reject: Reject| {
            registry.progress.rejected += 1;
            list.add(&reject, registry.progress.rejected)
        };
        let number = match clean::npi(&table.text(npi).unwrap_or_default()) {
            Ok(number) => number,
            Err(why) => {
                reject(&mut registry, table.reject(npi, why))?;
                continue;
            }
        };
        let (off, on) = (table.text(deactivated), table.text(reactivated));
        let (left, back) = (off.as_deref().and_then(day), on.as_deref().and_then(day));
        for (text, read, column) in [(&off, left, deactivated), (&on, back, reactivated)] {
            if text.is_some() && read.is_none() {
                reject(
                    &mut registry,
                    table.reject(column, "is not a date like 12/31/2026; the NPI counts as deactivated if it ever was"),
                )?;
            }
        }
        // Back only if that was later: an unreadable date is no evidence of it.
        let active = off.is_none() || matches!((left, back), (Some(left), Some(back)) if back > left);
        if registry.issued.set(&number) {
            registry.entries += 1;
        }
        if !active {
            registry.inactive.set(&number);
        }
        count(&mut registry.counts, if active { "active NPI" } else { "deactivated NPI" }, 1);
        // Another number of the same person, or of whoever took over: not followed, and worth a look.
        if table.text(replacement).is_some_and(|other| other != number.as_str()) {
            count(&mut registry.counts, "with a replacement NPI", 0);
        }
    }
    go_on(registry.progress);
    Ok(registry)
}

/// A date as `MM/DD/YYYY` or `YYYY-MM-DD`, as a number that sorts.
fn day(text: &str) -> Option<u32> {
    let (year, month, day) = match text.split(['/', '-']).collect::<Vec<_>>()[..] {
        [month, day, year] if text.contains('/') && year.len() == 4 => (year, month, day),
        [year, month, day] if text.contains('-') && year.len() == 4 => (year, month, day),
        _ => return None,
    };
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(year * 10_000 + month * 100 + day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(lines: &str) -> Registry {
        let text = format!(
            "\"NPI\",\"Entity Type Code\",\"Replacement NPI\",\"NPI Deactivation Date\",\"NPI Reactivation Date\",\"Other\"\n{lines}"
        );
        let mut list = RejectList::new(Box::new(std::io::sink())).unwrap();
        read(std::io::Cursor::new(text), &mut list, &mut |_| true).unwrap()
    }

    fn is_set(bits: &Bits, npi: &str) -> bool {
        let (block, bit) = bit_of(&npi.parse().unwrap());
        bits.block(block).get(bit / 8).is_some_and(|octet| octet & (1 << (bit % 8)) != 0)
    }

    #[test]
    fn deactivated_is_who_was_switched_off_and_not_on_again_later() {
        let read = registry(
            "\"1234567893\",\"1\",\"\",\"\",\"\",\"\"\n\
             \"1245319599\",\"\",\"\",\"03/01/2020\",\"\",\"\"\n\
             \"2000000010\",\"1\",\"\",\"03/01/2020\",\"12/31/2019\",\"\"\n\
             \"2000000028\",\"1\",\"\",\"12/31/2019\",\"01/01/2020\",\"\"\n\
             \"2000000036\",\"1\",\"1234567893\",\"soon\",\"01/01/2020\",\"\"\n\
             \"1234567890\",\"1\",\"\",\"\",\"\",\"\"\n",
        );
        let inactive: Vec<_> = ["1234567893", "1245319599", "2000000010", "2000000028", "2000000036"]
            .into_iter()
            .filter(|npi| is_set(&read.inactive, npi))
            .collect();
        assert_eq!(inactive, ["1245319599", "2000000010", "2000000036"]);
        assert_eq!((read.entries, read.progress.rejected), (5, 2));
        assert!(is_set(&read.issued, "2000000010") && !is_set(&read.issued, "2000000044"));
        assert_eq!(read.counts["with a replacement NPI"].rows, 1);
    }

    #[test]
    fn dates_are_compared_as_dates() {
        assert!(day("12/31/2019") < day("01/01/2020"));
        assert_eq!(day("2020-01-01"), day("01/01/2020"));
        for wrong in ["", "13/01/2020", "01/2020", "1/1/20", "+1/01/2020", "01-01-2020"] {
            assert_eq!(day(wrong), None, "{wrong}");
        }
    }
}
