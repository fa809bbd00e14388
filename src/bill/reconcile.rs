//! What a HISP has counted in a month, held against what was handed over: row by row, however long the file is.
//!
//! Each row is looked up by its Message-ID, ours or the one the HISP gave it, otherwise by day and recipient. What is kept in
//! memory is sixteen octets for each message of ours that was found, and some rows that wait: an id is certain, a day and a
//! recipient are a guess, so whoever is named by an id further down is not guessed at before. Columns are parted by commas,
//! semicolons or tabs; which of them, the header shows.

/// Which column says what.
pub mod mapping;

use std::{
    collections::HashSet,
    io::{Cursor, Read},
};

use serde::Serialize;

use self::mapping::{Columns, Field, Mapped, Separator, Told, Usage};
use super::{BillError, summary::Costs};
use crate::{
    domain::{
        DeliveryId, Money, OrgId, Timestamp, delivery::Disposition, period::Bounds, text::spreadsheet, time::TimeZone, words,
    },
    store::{
        Store,
        reconciliation::{Counts, Sent, To},
    },
};

/// So many rows are looked up together.
const TOGETHER: usize = 500;
/// So many rows at most wait until what is named by an id was found.
const WAITING: usize = 50_000;
/// So many messages of ours are read at a time.
const PAGE: u32 = 2000;

words! {
    /// How both sides differ.
    pub enum Bucket {
        /// With us alone.
        OursOnly = "ours_only",
        /// With the HISP alone.
        TheirsOnly = "theirs_only",
        /// In both, at another price.
        PriceDiffers = "price_differs",
        /// In both, with another end.
        OutcomeDiffers = "outcome_differs",
    }
}

/// One difference. It names no recipient: a Message-ID, a delivery and the row of the file are enough to find it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Which kind.
    pub bucket: Bucket,
    /// The row of the file, the header being the first.
    pub row: Option<u64>,
    /// The message.
    pub message_id: Option<String>,
    /// Our delivery.
    pub delivery: Option<DeliveryId>,
    /// What we have.
    pub ours: String,
    /// What they have.
    pub theirs: String,
    /// Why that may be.
    pub why: &'static str,
    /// What to do about it.
    pub what_to_do: &'static str,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// Whose messages.
    pub org: OrgId,
    /// In which month.
    pub bounds: Bounds,
    /// Whose days the file's are.
    pub zone: &'a TimeZone,
    /// Which column says what.
    pub mapping: &'a [Mapped],
    /// What the contract says; without it prices are not compared.
    pub costs: Option<&'a Costs>,
    /// Prices may differ by so much.
    pub tolerance: Money,
    /// What parts the columns; without it the header shows.
    pub separator: Option<Separator>,
    /// Only messages that were handed to this relay (or `mx`): a HISP counts what it was given.
    pub relay: Option<&'a str>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// How many of each.
    #[serde(flatten)]
    pub counts: Counts,
    /// Whether prices were compared: the file has them, and the cost of a message is known.
    pub prices_compared: bool,
    /// Whether ends were compared: the file has them.
    pub outcomes_compared: bool,
    /// What the file asks for in all.
    pub asked: Money,
    /// What parts the columns of the file.
    pub separator: Separator,
}

/// The beginning of a file is looked at as far as this for its header.
const HEADER: u64 = 64 << 10;

struct Run<'a, F> {
    comparison: Comparison<'a>,
    columns: Columns,
    /// Messages of the month that a row was found for, and those of other months.
    seen: HashSet<DeliveryId>,
    counts: Counts,
    asked: Money,
    /// Rows whose day and recipient are all there is to find a message by.
    waiting: Vec<(u64, Usage)>,
    tell: F,
}

/// Compares `file` with what was handed over, and tells each difference as it is found.
///
/// # Errors
/// [`BillError`]; whatever `tell` says.
pub async fn reconcile<F>(store: &Store, comparison: Comparison<'_>, mut file: impl Read, tell: F) -> Result<Compared, BillError>
where
    F: FnMut(Difference) -> Result<(), BillError>,
{
    let mut head = Vec::new();
    file.by_ref().take(HEADER).read_to_end(&mut head).map_err(|error| BillError::Usage(error.into()))?;
    let separator = comparison.separator.unwrap_or_else(|| Separator::of(&head));
    let file = Cursor::new(head).chain(file);
    let mut reader = ::csv::ReaderBuilder::new().flexible(true).delimiter(separator.octet()).from_reader(file);
    let columns = Columns::find(comparison.mapping, separator, reader.headers().map_err(BillError::Usage)?)?;
    let prices_compared = comparison.costs.is_some() && columns.has(Field::Price);
    let outcomes_compared = columns.has(Field::Outcome);
    let mut run = Run {
        comparison,
        columns,
        seen: HashSet::new(),
        counts: Counts { tolerance: comparison.tolerance, ..Counts::default() },
        asked: Money::ZERO,
        waiting: Vec::new(),
        tell,
    };
    let mut together = Vec::with_capacity(TOGETHER);
    for record in reader.records() {
        let record = record.map_err(BillError::Usage)?;
        run.counts.rows += 1;
        together.push((run.counts.rows + 1, run.columns.read(&record, comparison.zone)));
        if together.len() == TOGETHER {
            run.rows(store, std::mem::take(&mut together)).await?;
        }
    }
    run.rows(store, together).await?;
    run.guesses(store).await?;
    run.ours(store).await?;
    Ok(Compared { counts: run.counts, prices_compared, outcomes_compared, asked: run.asked, separator })
}

impl<F: FnMut(Difference) -> Result<(), BillError>> Run<'_, F> {
    async fn rows(&mut self, store: &Store, rows: Vec<(u64, Usage)>) -> Result<(), BillError> {
        let ids: HashSet<String> =
            rows.iter().filter_map(|(_, usage)| Some(usage.message_id.as_ref()?.as_str().to_owned())).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let known = store.sent_as(self.comparison.org, &ids).await?;
        for (row, usage) in rows {
            if let Some(Ok(price)) = usage.price {
                let organization = || "the usage file".to_owned();
                self.asked = self.asked.plus(price).ok_or_else(|| BillError::TooMuch { organization: organization() })?;
            }
            match usage.message_id.as_ref().and_then(|id| known.get(id.as_str())) {
                Some(sent) => self.pair(row, &usage, sent)?,
                None if usage.recipient.is_some() && usage.when.is_some() => self.waiting.push((row, usage)),
                None => {
                    let (why, what_to_do) = if usage.message_id.is_some() { STRANGE } else { UNREADABLE };
                    self.theirs(row, &usage, None, why, what_to_do)?;
                }
            }
        }
        if self.waiting.len() < WAITING { Ok(()) } else { self.guesses(store).await }
    }

    /// What no id names is looked for by day and recipient.
    async fn guesses(&mut self, store: &Store) -> Result<(), BillError> {
        for (row, usage) in std::mem::take(&mut self.waiting) {
            let (Some(recipient), Some((from, to))) = (&usage.recipient, usage.when) else { continue };
            let to = To { address_key: recipient.clone(), from, to };
            let mut all = store.sent_to(self.comparison.org, &to).await?;
            all.retain(|sent| self.comparison.relay.is_none_or(|relay| relay == sent.relay));
            let fresh = all.iter().find(|sent| !self.seen.contains(&sent.delivery));
            // A row with an id of its own is another message, not the same one counted again.
            match fresh.or_else(|| all.first().filter(|_| usage.message_id.is_none())) {
                Some(sent) => self.pair(row, &usage, sent)?,
                None => self.theirs(row, &usage, None, STRANGE.0, STRANGE.1)?,
            }
        }
        Ok(())
    }

    fn pair(&mut self, row: u64, usage: &Usage, sent: &Sent) -> Result<(), BillError> {
        if !self.seen.insert(sent.delivery) {
            return self.theirs(
                row,
                usage,
                Some(sent),
                "they have counted this message before: a retry of theirs, or one row for each recipient",
                "dispute it: a message is counted once",
            );
        }
        let bounds = self.comparison.bounds;
        if self.comparison.relay.is_some_and(|relay| relay != sent.relay) {
            return self.theirs(
                row,
                usage,
                Some(sent),
                "we handed this message to another relay: they have counted what they were not given",
                "dispute it, unless that relay is another name of theirs",
            );
        }
        if sent.accepted_at < bounds.starts_at || sent.accepted_at >= bounds.ends_at {
            return self.theirs(
                row,
                usage,
                Some(sent),
                "we handed this message over in another month: they may count days in UTC, or bill it late",
                "compare with the statement of that month; nothing is to be paid twice",
            );
        }
        let mut differs = false;
        if let Some((ours, theirs)) = self.price(usage, sent) {
            differs = true;
            self.counts.price_differs += 1;
            (self.tell)(Difference {
                bucket: Bucket::PriceDiffers,
                row: Some(row),
                message_id: Some(sent.message_id.clone()),
                delivery: Some(sent.delivery),
                ours,
                theirs,
                why: "they ask for another price than the one set here: a tier, a minimum, or a contract that has changed",
                what_to_do: "read the contract; then dispute it, or set the cost in [fees]",
            })?;
        }
        let ours = outcome(sent.disposition);
        let said = match (usage.outcome, sent.disposition) {
            (Told::Failed, disposition) if disposition != Some(Disposition::Failed) => Some((
                "failed",
                "they have a failure that no believed notice has told us: it was lost, or came after the time-out",
                "look at the delivery (postern delivery show); where it is proven, give the fee back (postern fees adjust)",
            )),
            (Told::Delivered, Some(Disposition::Failed)) => Some((
                "delivered",
                "a believed notice says it failed, and they count it as delivered",
                "ask the HISP; what was given back stays given back until that is settled (postern fees adjust)",
            )),
            _ => None,
        };
        if let Some((theirs, why, what_to_do)) = said {
            differs = true;
            self.counts.outcome_differs += 1;
            (self.tell)(Difference {
                bucket: Bucket::OutcomeDiffers,
                row: Some(row),
                message_id: Some(sent.message_id.clone()),
                delivery: Some(sent.delivery),
                ours: ours.to_owned(),
                theirs: theirs.to_owned(),
                why,
                what_to_do,
            })?;
        }
        if !differs {
            self.counts.matched += 1;
        }
        Ok(())
    }

    /// Both prices, when they differ by more than they may.
    fn price(&self, usage: &Usage, sent: &Sent) -> Option<(String, String)> {
        let expected = self.comparison.costs?.one(&sent.relay, &sent.channel)?;
        match usage.price? {
            Err(()) => Some((expected.to_string(), "cannot be read".to_owned())),
            Ok(asked) => {
                let apart = asked.micros().checked_sub(expected.micros())?.saturating_abs();
                (apart > self.comparison.tolerance.micros()).then(|| (expected.to_string(), asked.to_string()))
            }
        }
    }

    fn theirs(
        &mut self,
        row: u64,
        usage: &Usage,
        sent: Option<&Sent>,
        why: &'static str,
        what_to_do: &'static str,
    ) -> Result<(), BillError> {
        self.counts.theirs_only += 1;
        (self.tell)(Difference {
            bucket: Bucket::TheirsOnly,
            row: Some(row),
            message_id: usage.message_id.as_ref().map(|id| id.as_str().to_owned()),
            delivery: sent.map(|sent| sent.delivery),
            ours: sent.map_or_else(String::new, |sent| format!("handed over {}", sent.accepted_at)),
            theirs: usage.price.and_then(Result::ok).map_or_else(String::new, |price| price.to_string()),
            why,
            what_to_do,
        })
    }

    /// Messages of the month that no row was found for.
    async fn ours(&mut self, store: &Store) -> Result<(), BillError> {
        let (org, bounds) = (self.comparison.org, self.comparison.bounds);
        let mut last: Option<Sent> = None;
        loop {
            let page = store.sent_page(org, bounds.starts_at, bounds.ends_at, last.as_ref(), PAGE).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.clone());
            for sent in page {
                if self.comparison.relay.is_some_and(|relay| relay != sent.relay) {
                    continue;
                }
                self.counts.messages += 1;
                if self.seen.contains(&sent.delivery) {
                    continue;
                }
                self.counts.ours_only += 1;
                let (why, what_to_do) = missing(&sent, bounds);
                (self.tell)(Difference {
                    bucket: Bucket::OursOnly,
                    row: None,
                    message_id: Some(sent.message_id),
                    delivery: Some(sent.delivery),
                    ours: format!("{} {}", outcome(sent.disposition), sent.accepted_at),
                    theirs: String::new(),
                    why,
                    what_to_do,
                })?;
            }
        }
    }
}

/// A row that nothing of ours fits: why that may be, and what to do.
const STRANGE: (&str, &str) = (
    "no message of this organization fits: their retries, notifications, inbound mail, test traffic, or another client on the same domain",
    "put it on the list of what you dispute",
);
/// A row that says nothing to find a message by.
const UNREADABLE: (&str, &str) = (
    "the row has neither a Message-ID nor a day and a recipient that can be read",
    "if it is no sum or footer, ask the HISP what it stands for",
);

/// Why a message of ours may not stand in their file.
fn missing(sent: &Sent, bounds: Bounds) -> (&'static str, &'static str) {
    const NEAR: std::time::Duration = std::time::Duration::from_hours(24);
    let near = |edge: Timestamp| sent.accepted_at.since(edge).max(edge.since(sent.accepted_at)) < NEAR;
    if sent.test {
        ("it is test traffic, which HISPs seldom count", "nothing, unless the contract says otherwise")
    } else if near(bounds.starts_at) || near(bounds.ends_at) {
        (
            "it was handed over within a day of the month's edge: they may count days in UTC",
            "look for it in their file of the month beside this one",
        )
    } else if sent.disposition == Some(Disposition::Failed) {
        (
            "it failed, and they may not count what they refused or could not trust",
            "nothing, if the fee was given back; see postern delivery show",
        )
    } else {
        (
            "they have not counted it: they count messages where we count recipients, or have lost it",
            "ask the HISP whether it arrived, when they should have it",
        )
    }
}

/// What we know of its end.
const fn outcome(disposition: Option<Disposition>) -> &'static str {
    match disposition {
        Some(disposition) => disposition.as_str(),
        None => "handed over",
    }
}

/// Writes differences as CSV.
pub struct DifferenceWriter<W: std::io::Write>(::csv::Writer<W>);

impl<W: std::io::Write> DifferenceWriter<W> {
    /// Begins with a header.
    ///
    /// # Errors
    /// [`BillError::Write`].
    pub fn begin(out: W) -> Result<Self, BillError> {
        let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
        writer
            .write_record(["bucket", "row", "message_id", "delivery", "ours", "theirs", "why", "what_to_do"])
            .map_err(BillError::Write)?;
        Ok(Self(writer))
    }

    /// One more.
    ///
    /// # Errors
    /// [`BillError::Write`].
    pub fn write(&mut self, difference: &Difference) -> Result<(), BillError> {
        let cells = [
            difference.bucket.to_string(),
            difference.row.map_or_else(String::new, |row| row.to_string()),
            spreadsheet(difference.message_id.as_deref().unwrap_or_default()),
            difference.delivery.map_or_else(String::new, |id| id.to_string()),
            spreadsheet(&difference.ours),
            // A price stays a number, also when it is negative.
            if difference.theirs.parse::<Money>().is_ok() { difference.theirs.clone() } else { spreadsheet(&difference.theirs) },
            difference.why.to_owned(),
            difference.what_to_do.to_owned(),
        ];
        self.0.write_record(&cells).map_err(BillError::Write)
    }

    /// Ends it.
    ///
    /// # Errors
    /// [`BillError::Write`].
    pub fn end(mut self) -> Result<(), BillError> {
        self.0.flush().map_err(|error| BillError::Write(error.into()))
    }
}
