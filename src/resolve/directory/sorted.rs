//! Sorts rows by NPI and fingerprint, however many there are: in memory as long as they fit, in runs on disk beyond that. A
//! table that grows at its end is written many times faster, and rows said twice lie side by side.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write as _},
};

use crate::{
    domain::{Npi, route::DirectoryRow},
    store::directory::fingerprint,
};

/// Octets held before a run goes to disk.
const RUN: usize = 16 << 20;

type Key = (u64, i64);

/// Takes rows in any order.
#[derive(Default)]
pub(super) struct Sorter {
    arena: Vec<u8>,
    index: Vec<(Key, u32)>,
    runs: Vec<File>,
}

impl Sorter {
    pub(super) fn push(&mut self, row: &DirectoryRow) -> io::Result<()> {
        // The arena is far smaller than 4 GiB.
        let at = u32::try_from(self.arena.len()).map_err(io::Error::other)?;
        self.index.push(((number(&row.npi), fingerprint(row)), at));
        encode(row, &mut self.arena);
        if self.arena.len() >= RUN {
            self.spill()?;
        }
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        self.index.sort_unstable();
        // Has no name: nothing is left of it, however this process ends.
        let mut file = BufWriter::with_capacity(1 << 16, tempfile::tempfile()?);
        for (key, at) in self.index.drain(..) {
            let record = record(&self.arena, at);
            file.write_all(&key.0.to_le_bytes())?;
            file.write_all(&key.1.to_le_bytes())?;
            file.write_all(record)?;
        }
        self.arena.clear();
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.runs.push(file);
        Ok(())
    }

    /// The rows in order, each once.
    pub(super) fn finish(mut self) -> io::Result<Sorted> {
        self.index.sort_unstable();
        let mut runs: Vec<BufReader<File>> = Vec::with_capacity(self.runs.len());
        let mut heads = BinaryHeap::new();
        for file in self.runs {
            let mut run = BufReader::with_capacity(1 << 16, file);
            if let Some(head) = next_of(&mut run)? {
                heads.push(Reverse((head.0, runs.len(), head.1)));
            }
            runs.push(run);
        }
        Ok(Sorted { arena: self.arena, index: self.index.into_iter(), held: None, runs, heads, last: None, duplicates: 0 })
    }
}

/// Gives rows in the order of NPI and fingerprint.
pub(super) struct Sorted {
    arena: Vec<u8>,
    index: std::vec::IntoIter<(Key, u32)>,
    held: Option<(Key, u32)>,
    runs: Vec<BufReader<File>>,
    heads: BinaryHeap<Reverse<(Key, usize, Vec<u8>)>>,
    last: Option<Key>,
    duplicates: u64,
}

impl Sorted {
    /// Rows left out because they were there already.
    pub(super) const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    pub(super) fn next_row(&mut self) -> io::Result<Option<DirectoryRow>> {
        loop {
            if self.held.is_none() {
                self.held = self.index.next();
            }
            let from_run = match (self.held, self.heads.peek()) {
                (None, None) => return Ok(None),
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some((held, _)), Some(Reverse((head, ..)))) => *head < held,
            };
            let (key, row) = if from_run {
                let Some(Reverse((key, run, record))) = self.heads.pop() else { continue };
                if let Some(head) = self.runs.get_mut(run).map(next_of).transpose()?.flatten() {
                    self.heads.push(Reverse((head.0, run, head.1)));
                }
                (key, decode(&record))
            } else {
                let Some((key, at)) = self.held.take() else { continue };
                (key, decode(record(&self.arena, at)))
            };
            if self.last == Some(key) {
                self.duplicates += 1;
                continue;
            }
            self.last = Some(key);
            return row
                .map(Some)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "a row put aside cannot be read back"));
        }
    }
}

fn next_of(run: &mut BufReader<File>) -> io::Result<Option<(Key, Vec<u8>)>> {
    let mut npi = [0; 8];
    match run.read_exact(&mut npi) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut print = [0; 8];
    run.read_exact(&mut print)?;
    let mut record = vec![0; 4];
    run.read_exact(&mut record)?;
    let length = length_of(&record);
    record.resize(4 + length, 0);
    run.read_exact(&mut record[4..])?;
    Ok(Some(((u64::from_le_bytes(npi), i64::from_le_bytes(print)), record)))
}

fn number(npi: &Npi) -> u64 {
    npi.as_str().bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// A record begins with its length in four octets.
fn length_of(record: &[u8]) -> usize {
    record.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length) as usize)
}

fn record(arena: &[u8], at: u32) -> &[u8] {
    let rest = arena.get(at as usize..).unwrap_or_default();
    rest.get(..4 + length_of(rest)).unwrap_or_default()
}

fn encode(row: &DirectoryRow, arena: &mut Vec<u8>) {
    let begins = arena.len();
    arena.extend_from_slice(&[0; 4]);
    arena.push(u8::from(row.active));
    let at = &row.affiliation;
    let rank = row.rank.map(|rank| rank.to_string());
    let fields = [
        Some(row.npi.as_str()),
        row.address.as_ref().map(crate::domain::DirectAddress::as_str),
        row.kind.map(crate::domain::route::AddressKind::as_str),
        rank.as_deref(),
        at.npi.as_ref().map(Npi::as_str),
        at.name.as_deref(),
        at.state.as_deref(),
        at.postal_code.as_deref(),
    ];
    for field in fields {
        // No field is longer than 1000 octets, and none has a control character: 0 parts them, 1 marks one that is absent.
        arena.extend_from_slice(field.unwrap_or("\u{1}").as_bytes());
        arena.push(0);
    }
    let length = u32::try_from(arena.len() - begins - 4).unwrap_or(0);
    if let Some(place) = arena.get_mut(begins..begins + 4) {
        place.copy_from_slice(&length.to_le_bytes());
    }
}

fn decode(record: &[u8]) -> Option<DirectoryRow> {
    let (active, rest) = record.get(4..)?.split_first()?;
    let mut fields = rest.split(|octet| *octet == 0).map(|field| std::str::from_utf8(field).ok());
    let mut next = || -> Option<Option<&str>> { fields.next()?.map(|field| (field != "\u{1}").then_some(field)) };
    let (npi, address, kind, rank) = (next()??.parse().ok()?, next()?, next()?, next()?);
    let (organization_npi, name, state, postal_code) = (next()?, next()?, next()?, next()?);
    Some(DirectoryRow {
        npi,
        address: address.and_then(|address| address.parse().ok()),
        kind: kind.and_then(|kind| kind.parse().ok()),
        rank: rank.and_then(|rank| rank.parse().ok()),
        affiliation: crate::domain::route::AffiliatedWith {
            npi: organization_npi.and_then(|npi| npi.parse().ok()),
            name: name.map(str::to_owned),
            state: state.map(str::to_owned),
            postal_code: postal_code.map(str::to_owned),
        },
        active: *active == 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::route::{AddressKind, AffiliatedWith};

    fn row(npi: &str, address: &str, rank: Option<i64>) -> DirectoryRow {
        DirectoryRow {
            npi: npi.parse().unwrap(),
            address: (!address.is_empty()).then(|| address.parse().unwrap()),
            kind: rank.map(|_| AddressKind::Organization),
            rank,
            affiliation: AffiliatedWith { name: Some("Café".into()), ..AffiliatedWith::default() },
            active: true,
        }
    }

    fn all(sorter: Sorter) -> (Vec<DirectoryRow>, u64) {
        let mut sorted = sorter.finish().unwrap();
        let rows = std::iter::from_fn(|| sorted.next_row().unwrap()).collect();
        (rows, sorted.duplicates())
    }

    #[test]
    fn rows_come_back_in_order_each_once_and_as_they_were_also_from_disk() {
        for spilled in [false, true] {
            let mut sorter = Sorter::default();
            for (npi, address, rank) in [
                ("2000000010", "b@d.example", Some(3)),
                ("1234567893", "", None),
                ("2000000010", "B@D.example", Some(3)),
                ("1234567893", "a@d.example", None),
            ] {
                sorter.push(&row(npi, address, rank)).unwrap();
                if spilled {
                    sorter.spill().unwrap();
                }
            }
            sorter.push(&row("1245319599", "c@d.example", None)).unwrap();
            let (rows, duplicates) = all(sorter);
            let npis: Vec<&str> = rows.iter().map(|row| row.npi.as_str()).collect();
            assert_eq!((npis, duplicates), (vec!["1234567893", "1234567893", "1245319599", "2000000010"], 1));
            assert_eq!(rows[3], row("2000000010", "b@d.example", Some(3)));
            assert!(rows.contains(&row("1234567893", "", None)));
        }
    }

    #[test]
    fn nothing_in_gives_nothing_out() {
        assert_eq!(all(Sorter::default()), (Vec::new(), 0));
    }
}
