//! Loading a payer's roster: read row by row, check, count, and put into force only what is not suspiciously different.

/// Looked at before it is in force.
mod prepared;

pub use prepared::{Prepared, look, prepare, put_into_force};

use std::{
    collections::HashMap,
    io::{Read, Write},
};

use csv::{ByteRecord, ReaderBuilder};

use crate::{
    domain::{
        Class, OrgId,
        id::RosterId,
        roster::RosterRow,
        text::{FIELD_LIMIT, counted, line},
        time::Date,
    },
    observe::events::RosterLoaded,
    store::{Store, StoreError},
};

/// Rows given to the store at a time.
const BATCH: usize = 1_000;
/// Most octets of a file between two rows: an unclosed quote would otherwise swallow the whole of it.
const ROW_LIMIT: u64 = 1 << 20;

/// Why a roster was not loaded. The one loaded before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// The file cannot be read.
    #[error("cannot read the roster near line {line}")]
    Read {
        /// Line of the file, from 1.
        line: u64,
        /// The cause.
        #[source]
        source: csv::Error,
    },
    /// A row does not end.
    #[error("the row that begins at line {line} does not end: a quote is open")]
    Endless {
        /// Line of the file, from 1.
        line: u64,
    },
    /// The header names no column for what is needed, or two for one thing.
    #[error("the roster has {problem}; its header names {found}")]
    Header {
        /// What is wrong.
        problem: String,
        /// The column names found.
        found: String,
    },
    /// Nothing usable in it.
    #[error("the roster has no usable row ({rejected} rejected)")]
    Empty {
        /// Rows rejected.
        rejected: u64,
    },
    /// Too many rows were rejected to believe the rest.
    #[error("{rejected} of {all} rows were rejected, more than {percent} %; load it with --force if that is right")]
    Rejected {
        /// Rows rejected.
        rejected: u64,
        /// Rows in the file.
        all: u64,
        /// The greatest part allowed.
        percent: u8,
    },
    /// Not about as many members as the one in force.
    #[error(
        "the new roster has {}, more than {percent} % off the {before} in force; load it with --force if that is right",
        counted(*.new, "member", "members")
    )]
    Moved {
        /// Members in force.
        before: u64,
        /// Members of the new one.
        new: u64,
        /// The greatest change allowed.
        percent: u8,
    },
    /// The rejects cannot be written.
    #[error("cannot write the list of rejected rows")]
    Rejects(#[source] csv::Error),
    /// What was prepared has been thrown away, or is in force already.
    #[error("this roster is not waiting to be loaded any more")]
    Gone,
    /// The rows cannot be stored.
    #[error("cannot store the roster")]
    Store(#[from] StoreError),
}

impl RosterError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Store(cause) => cause.class(),
            _ => Class::Permanent,
        }
    }
}

/// How different a roster may be from the one it replaces, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guard {
    /// The greatest change in members, either way.
    pub percent: u8,
    /// Load it all the same.
    pub force: bool,
}

impl Default for Guard {
    fn default() -> Self {
        Self { percent: 10, force: false }
    }
}

impl Guard {
    /// Judges a load against the members in force.
    ///
    /// # Errors
    /// [`RosterError::Empty`], [`RosterError::Rejected`] or [`RosterError::Moved`], unless forced.
    pub fn judge(self, before: Option<u64>, members: u64, done: Progress) -> Result<(), RosterError> {
        if self.force {
            return Ok(());
        }
        let percent = self.percent;
        if done.taken == 0 {
            return Err(RosterError::Empty { rejected: done.rejected });
        }
        let over = |part: u64, whole: u64| u128::from(part) * 100 > u128::from(whole) * u128::from(percent);
        let all = done.taken + done.rejected;
        if over(done.rejected, all) {
            return Err(RosterError::Rejected { rejected: done.rejected, all, percent });
        }
        match before {
            Some(before) if over(before.abs_diff(members), before) => Err(RosterError::Moved { before, new: members, percent }),
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
    /// Octets of the file read.
    pub bytes: u64,
}

/// A roster that is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Its version, which every route that follows from it names.
    pub roster: RosterId,
    /// How many members it has.
    pub members: u64,
    /// How many the one before had.
    pub before: Option<u64>,
    /// What was read.
    pub progress: Progress,
}

/// What a column may be called, in lower case with underscores for what is neither letter nor digit.
const COLUMNS: &[(Column, &[&str])] = &[
    (Column::Member, &["member_id", "member", "subscriber_id", "memberid"]),
    (Column::Npi, &["pcp_npi", "npi", "provider_npi", "attributed_npi"]),
    (Column::From, &["pcp_eff", "effective_from", "from", "eff", "effective_date", "start_date"]),
    (Column::To, &["pcp_term", "effective_to", "to", "term", "termination_date", "end_date"]),
    (Column::Plan, &["plan_id", "plan"]),
    (Column::Birth, &["dob", "birth_date", "date_of_birth"]),
];

/// What is read from a roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Column {
    /// The member number.
    Member,
    /// The primary care provider.
    Npi,
    /// The first day.
    From,
    /// The last day.
    To,
    /// The plan.
    Plan,
    /// The member's date of birth.
    Birth,
}

impl Column {
    /// What it is called on the command line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Member => "member_id",
            Self::Npi => "npi",
            Self::From => "from",
            Self::To => "to",
            Self::Plan => "plan_id",
            Self::Birth => "birth_date",
        }
    }

    /// Which columns people mean who write `npi=pcp,from=start`; `None` when one of them is no column.
    #[must_use]
    pub fn mapped(text: &str) -> Option<HashMap<Self, String>> {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pairs =
            pairs.map(|pair| pair.split_once('=').and_then(|(what, name)| Some((Self::named(what.trim())?, name.to_owned()))));
        pairs.collect()
    }

    /// The column a person means.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        COLUMNS.iter().map(|(column, _)| *column).find(|column| column.word() == word)
    }
}

/// Reads a roster row by row.
pub struct CsvRoster<R> {
    reader: csv::Reader<Metered<R>>,
    places: HashMap<Column, usize>,
    width: usize,
    record: ByteRecord,
}

/// Ends a row that does not end.
struct Metered<R> {
    source: R,
    since_row: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.since_row > ROW_LIMIT {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a row does not end"));
        }
        let read = self.source.read(into)?;
        self.since_row += read as u64;
        Ok(read)
    }
}

impl<R: Read> CsvRoster<R> {
    /// Reads the header. `mapping` says what columns are called here, where it is none of the usual names.
    ///
    /// # Errors
    /// When it cannot be read, or names no column for the member or the provider, or two for one thing.
    pub fn new(source: R, mapping: &HashMap<Column, String>) -> Result<Self, RosterError> {
        let mut reader = ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(Metered { source, since_row: 0 });
        let header = reader.byte_headers().map_err(|source| RosterError::Read { line: 1, source })?;
        let names: Vec<String> = header
            .iter()
            .map(|name| {
                String::from_utf8_lossy(name).trim_start_matches('\u{feff}').trim().to_lowercase().replace([' ', '-', '.'], "_")
            })
            .collect();
        let bad = |problem: String| RosterError::Header { problem, found: names.join(", ") };
        let mut places = HashMap::new();
        for (column, usual) in COLUMNS {
            let own = mapping.get(column).map(|name| name.trim().to_lowercase().replace([' ', '-', '.'], "_"));
            let meant = |name: &String| own.as_ref().map_or_else(|| usual.contains(&name.as_str()), |own| own == name);
            let found: Vec<usize> = names.iter().enumerate().filter(|(_, name)| meant(name)).map(|(place, _)| place).collect();
            match (found.as_slice(), own) {
                ([place], _) => drop(places.insert(*column, *place)),
                ([], Some(own)) => return Err(bad(format!("no column {own:?}"))),
                ([], None) if matches!(column, Column::Member | Column::Npi) => {
                    return Err(bad(format!("no column for {}: name it with --column {}=NAME", column.word(), column.word())));
                }
                ([], None) => {}
                _ => return Err(bad(format!("several columns for {}", column.word()))),
            }
        }
        Ok(Self { reader, places, width: names.len(), record: ByteRecord::new() })
    }

    /// The next row, taken or rejected with its line, column and reason; `None` at the end. A reason never repeats what stands
    /// in the row.
    ///
    /// # Errors
    /// When the file cannot be read on.
    #[expect(clippy::type_complexity, reason = "a row, or where and why there is none")]
    pub fn next_row(&mut self) -> Result<Option<Result<RosterRow, (u64, &'static str, String)>>, RosterError> {
        self.reader.get_mut().since_row = 0;
        let began = self.reader.position().line();
        let more = self.reader.read_byte_record(&mut self.record).map_err(|source| {
            if matches!(source.kind(), csv::ErrorKind::Io(cause) if cause.kind() == std::io::ErrorKind::InvalidData) {
                RosterError::Endless { line: began }
            } else {
                RosterError::Read { line: began, source }
            }
        })?;
        if !more {
            return Ok(None);
        }
        let at = self.record.position().map_or(began, csv::Position::line);
        Ok(Some(self.row().map_err(|(column, reason)| (at, column.word(), reason))))
    }

    fn row(&self) -> Result<RosterRow, (Column, String)> {
        // A row with a cell too many has a name where the provider should be.
        if self.record.len() != self.width {
            return Err((
                Column::Member,
                format!("stands in a row of {} cells where the header has {}", self.record.len(), self.width),
            ));
        }
        let member = self.cell(Column::Member)?.ok_or((Column::Member, "is empty".to_owned()))?;
        let npi = self.cell(Column::Npi)?.ok_or((Column::Npi, "is empty".to_owned()))?;
        let npi = npi.parse().map_err(|problem: crate::domain::npi::BadNpi| (Column::Npi, problem.to_string()))?;
        let (from, to) = (self.day(Column::From)?, self.day(Column::To)?);
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err((Column::To, "is before the first day".to_owned()));
        }
        let birth = self.day(Column::Birth)?.map(|day| day.to_string().parse());
        let birth = birth.transpose().map_err(|problem: crate::domain::time::BadTime| (Column::Birth, problem.to_string()))?;
        Ok(RosterRow { plan: self.cell(Column::Plan)?, member, birth, npi, from, to })
    }

    fn cell(&self, column: Column) -> Result<Option<String>, (Column, String)> {
        let Some(cell) = self.places.get(&column).and_then(|place| self.record.get(*place)) else { return Ok(None) };
        let text = std::str::from_utf8(cell).map_err(|_| (column, "is not UTF-8".to_owned()))?;
        if text.trim().is_empty() {
            return Ok(None);
        }
        line(text, FIELD_LIMIT).map(|text| Some(text.to_owned())).map_err(|problem| (column, problem.to_string()))
    }

    /// A day as `2026-01-31`, `20260131` or `01/31/2026`. A last day that stands for none is none.
    fn day(&self, column: Column) -> Result<Option<Date>, (Column, String)> {
        let Some(text) = self.cell(column)? else { return Ok(None) };
        let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
        let iso = match text.len() {
            8 if text.bytes().all(|b| b.is_ascii_digit()) => format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8)),
            10 if text.as_bytes().get(2) == Some(&b'/') => format!("{}-{}-{}", part(6, 10), part(0, 2), part(3, 5)),
            _ => text.clone(),
        };
        if column == Column::To && iso.starts_with("9999-") {
            return Ok(None);
        }
        iso.parse().map(Some).map_err(|_| (column, "is not a day like 2026-01-31".to_owned()))
    }

    fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }
}

/// Loads a roster, known to people as `source`, and puts it into force in place of the one before. Rejected rows go to
/// `rejects` as CSV: line, column, reason; nothing of a member. `progress` is called after every batch.
///
/// # Errors
/// [`RosterError`]; the roster in force before stays so, and nothing is left of the new one.
pub async fn load<R: Read + Send>(
    store: &Store,
    org: OrgId,
    source: &str,
    mut roster: CsvRoster<R>,
    rejects: &mut (dyn Write + Send),
    guard: Guard,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Loaded, RosterError> {
    let before = store.rosters(org).await?.into_iter().find(|known| known.state == "active").map(|known| known.members);
    let id = store.begin_roster(org, source).await?;
    match fill(store, org, id, &mut roster, rejects, progress).await {
        Ok(done) => {
            let members = store.roster_members(org, id).await?;
            if let Err(refused) = guard.judge(before, members, done) {
                return Err(throw_away(store, org, id, refused).await);
            }
            store.activate_roster(org, id, done.taken, members).await?;
            RosterLoaded { org, roster: id, lines: done.taken, members }.emit();
            Ok(Loaded { roster: id, members, before, progress: done })
        }
        Err(error) => Err(throw_away(store, org, id, error).await),
    }
}

async fn throw_away(store: &Store, org: OrgId, id: RosterId, error: RosterError) -> RosterError {
    // The cause is what the person needs; rows left behind are invisible either way.
    if let Err(left) = store.drop_roster(org, id).await {
        tracing::warn!(roster = %id, error = %left, "rows of a roster that was not loaded are left behind");
    }
    error
}

async fn fill<R: Read + Send>(
    store: &Store,
    org: OrgId,
    id: RosterId,
    roster: &mut CsvRoster<R>,
    rejects: &mut (dyn Write + Send),
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Progress, RosterError> {
    let mut rejects = csv::Writer::from_writer(rejects);
    rejects.write_record(["line", "column", "reason"]).map_err(RosterError::Rejects)?;
    let mut done = Progress::default();
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let row = roster.next_row()?;
        done.bytes = roster.bytes();
        let ended = row.is_none();
        match row {
            Some(Ok(row)) => batch.push(row),
            Some(Err((line, column, reason))) => {
                done.rejected += 1;
                rejects.write_record([line.to_string().as_str(), column, &reason]).map_err(RosterError::Rejects)?;
            }
            None => {}
        }
        if batch.len() == BATCH || ended {
            store.add_to_roster(org, id, done.taken, &batch).await?;
            done.taken += batch.len() as u64;
            batch.clear();
            progress(done);
        }
        if ended {
            rejects.flush().map_err(|error| RosterError::Rejects(error.into()))?;
            return Ok(done);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read1 = Result<RosterRow, (u64, &'static str, String)>;

    fn rows(text: &str) -> Vec<Read1> {
        let mut roster = CsvRoster::new(text.as_bytes(), &HashMap::new()).unwrap();
        std::iter::from_fn(|| roster.next_row().unwrap()).collect()
    }

    #[test]
    fn a_payers_columns_are_found_by_their_usual_names_and_days_in_three_spellings() {
        let text = "plan_id,Member ID,last,dob,pcp_npi,pcp_eff,pcp_term\n\
            H1,M1,TESTER,1960-01-31,2000000010,2026-01-01,\n\
            H1,M2,TESTER,01/31/1960,2000000010,20260101,12/31/2026\n,M3,,,1234567893,,9999-12-31\n";
        let rows: Vec<RosterRow> = rows(text).into_iter().map(Result::unwrap).collect();
        assert_eq!((rows[0].plan.as_deref(), rows[0].member.as_str(), rows[0].to), (Some("H1"), "M1", None));
        assert_eq!((rows[0].birth.as_ref(), rows[0].from), (rows[1].birth.as_ref(), rows[1].from));
        assert_eq!(rows[1].to.unwrap().to_string(), "2026-12-31");
        assert_eq!((rows[2].from, rows[2].to, rows[2].birth.as_ref()), (None, None, None));
    }

    #[test]
    fn what_cannot_be_used_is_rejected_with_line_and_column_and_without_repeating_it() {
        let text =
            "member_id,npi,from,to\nM1,1234567890,,\n,1234567893,,\nM3,1234567893,soon,\nM4,1234567893,2026-02-01,2026-01-01\n";
        let bad: Vec<_> = rows(text).into_iter().map(Result::unwrap_err).collect();
        let places: Vec<_> = bad.iter().map(|(line, column, _)| (*line, *column)).collect();
        assert_eq!(places, [(2, "npi"), (3, "member_id"), (4, "from"), (5, "to")]);
        assert!(!bad.iter().any(|(.., reason)| reason.contains("M1") || reason.contains("soon")), "{bad:?}");
    }

    #[test]
    fn a_header_without_what_is_needed_says_how_to_name_it() {
        let new = |text: &'static str, mapping: &[(Column, &str)]| {
            let mapping = mapping.iter().map(|(column, name)| (*column, (*name).to_owned())).collect();
            CsvRoster::new(text.as_bytes(), &mapping).map(drop).map_err(|error| error.to_string())
        };
        assert!(new("who,npi\n", &[]).unwrap_err().contains("--column member_id=NAME"));
        assert_eq!(new("Who is it,npi\n", &[(Column::Member, "who is it")]), Ok(()));
        assert!(new("member,npi,pcp_npi\n", &[]).unwrap_err().contains("several"));
        assert!(new("member,npi\n", &[(Column::Plan, "lob")]).unwrap_err().contains("no column \"lob\""));
    }

    #[test]
    fn a_quote_that_stays_open_does_not_swallow_the_file() {
        let text = format!("member,npi\n\"M1,1234567893\n{}", "M2,1234567893\n".repeat(200_000));
        let mut roster = CsvRoster::new(text.as_bytes(), &HashMap::new()).unwrap();
        assert!(matches!(roster.next_row(), Err(RosterError::Endless { line: 2 })));
    }

    #[test]
    fn a_roster_that_moved_by_more_than_a_tenth_needs_a_word() {
        let guard = Guard::default();
        let done = |taken, rejected| Progress { taken, rejected, bytes: 0 };
        assert!(guard.judge(None, 5, done(5, 0)).is_ok());
        assert!(guard.judge(Some(100), 90, done(90, 0)).is_ok() && guard.judge(Some(100), 110, done(110, 0)).is_ok());
        assert!(matches!(guard.judge(Some(100), 89, done(89, 0)), Err(RosterError::Moved { .. })));
        assert!(matches!(guard.judge(Some(100), 111, done(111, 0)), Err(RosterError::Moved { .. })));
        assert!(matches!(guard.judge(Some(100), 100, done(100, 20)), Err(RosterError::Rejected { .. })));
        assert!(matches!(guard.judge(None, 0, done(0, 3)), Err(RosterError::Empty { rejected: 3 })));
        assert!(Guard { force: true, ..guard }.judge(Some(100), 1, done(1, 9)).is_ok());
    }
}
