//! Which column of a usage file says what, and what one row says.

use std::{collections::BTreeMap, str::FromStr};

use super::super::BillError;
use crate::domain::{
    DirectAddress, MessageId, Money, OffsetTime, Timestamp,
    time::{Date, TimeZone},
    words,
};

words! {
    /// What a column can say.
    pub enum Field {
        /// The Message-ID.
        MessageId = "message_id",
        /// The recipient's address.
        Recipient = "recipient",
        /// The day or the instant.
        Date = "date",
        /// What is asked for it.
        Price = "price",
        /// What became of it.
        Outcome = "outcome",
    }
}

words! {
    /// What parts the columns of a file.
    pub enum Separator {
        /// `,`
        Comma = "comma",
        /// `;`: where a comma stands before cents.
        Semicolon = "semicolon",
        /// A tab.
        Tab = "tab",
    }
}

impl Separator {
    /// The octet itself.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }

    /// The one that stands most often in the header, outside of quotes; a comma when there is none.
    #[must_use]
    pub fn of(beginning: &[u8]) -> Self {
        let (mut quoted, mut counts) = (false, [0_u32; 3]);
        for octet in beginning {
            match octet {
                b'"' => quoted = !quoted,
                b'\n' | b'\r' if !quoted => break,
                octet if !quoted => {
                    for (count, _) in counts.iter_mut().zip(Self::ALL).filter(|(_, one)| one.octet() == *octet) {
                        *count += 1;
                    }
                }
                _ => {}
            }
        }
        // Of as many the first: a comma.
        let found = counts.iter().zip(Self::ALL).rev().max_by_key(|(count, _)| **count);
        found.map_or(Self::Comma, |(_, separator)| *separator)
    }
}

/// What a column is called: `message_id=Message-ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// What it says.
    pub field: Field,
    /// Its header, capitals or not.
    pub header: String,
}

/// Not a mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is not FIELD=HEADER with one of message_id, recipient, date, price, outcome, like message_id=Message-ID")]
pub struct BadMapping;

impl FromStr for Mapped {
    type Err = BadMapping;
    fn from_str(text: &str) -> Result<Self, BadMapping> {
        let (field, header) = text.split_once('=').ok_or(BadMapping)?;
        let header = header.trim().to_owned();
        if header.is_empty() {
            Err(BadMapping)
        } else {
            Ok(Self { field: field.trim().parse().map_err(|_| BadMapping)?, header })
        }
    }
}

/// Headers that are understood without being told.
const USUAL: &[(Field, &[&str])] = &[
    (Field::MessageId, &["message-id", "message_id", "messageid", "message id"]),
    (Field::Recipient, &["recipient", "to", "rcpt", "recipient address"]),
    (Field::Date, &["date", "timestamp", "sent", "sent at", "time"]),
    (Field::Price, &["price", "amount", "charge", "fee", "cost"]),
    (Field::Outcome, &["outcome", "status", "result", "disposition"]),
];

/// Where each field stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    places: BTreeMap<Field, usize>,
    separator: Separator,
}

impl Columns {
    /// Finds the columns: as they were mapped, or by their usual headers when nothing was.
    ///
    /// # Errors
    /// [`BillError::Header`] says which is not there, or what is missing to find a message by.
    pub fn find(mapping: &[Mapped], separator: Separator, header: &::csv::StringRecord) -> Result<Self, BillError> {
        let names: Vec<String> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_ascii_lowercase()).collect();
        let place = |wanted: &str| names.iter().position(|name| *name == wanted.to_ascii_lowercase());
        let mut columns = BTreeMap::new();
        for Mapped { field, header } in mapping {
            let at = place(header).ok_or_else(|| BillError::Header(format!("has no column {header:?}")))?;
            columns.insert(*field, at);
        }
        if mapping.is_empty() {
            for (field, usual) in USUAL {
                if let Some(at) = usual.iter().find_map(|name| place(name)) {
                    columns.insert(*field, at);
                }
            }
        }
        let has = |field| columns.contains_key(&field);
        if has(Field::MessageId) || (has(Field::Date) && has(Field::Recipient)) {
            Ok(Self { places: columns, separator })
        } else {
            Err(BillError::Header(
                "has nothing to find a message by: map message_id, or date and recipient (--map message_id=HEADER)".to_owned(),
            ))
        }
    }

    /// Whether the file says this.
    #[must_use]
    pub fn has(&self, field: Field) -> bool {
        self.places.contains_key(&field)
    }

    /// What a row says; days are those of `zone`.
    #[must_use]
    pub fn read(&self, record: &::csv::StringRecord, zone: &TimeZone) -> Usage {
        let cell = |field| self.places.get(&field).and_then(|at| record.get(*at)).map(str::trim).filter(|cell| !cell.is_empty());
        Usage {
            message_id: cell(Field::MessageId).and_then(|cell| cell.parse().ok()),
            recipient: cell(Field::Recipient).and_then(|cell| cell.parse::<DirectAddress>().ok()).map(|address| address.key()),
            when: cell(Field::Date).and_then(|cell| span(cell, zone)),
            price: cell(Field::Price).map(|cell| price(cell, self.separator)),
            outcome: cell(Field::Outcome).map_or(Told::Nothing, Told::of),
        }
    }
}

/// One row of a usage file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Which message.
    pub message_id: Option<MessageId>,
    /// To whom, as addresses are compared.
    pub recipient: Option<String>,
    /// The day it was on: half-open.
    pub when: Option<(Timestamp, Timestamp)>,
    /// What is asked for it; `Err` when it cannot be read.
    pub price: Option<Result<Money, ()>>,
    /// What became of it.
    pub outcome: Told,
}

/// What a HISP says became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It arrived.
    Delivered,
    /// It did not.
    Failed,
    /// Nothing, or a word nobody knows.
    Nothing,
}

impl Told {
    fn of(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "delivered" | "success" | "successful" | "processed" | "dispatched" | "displayed" | "ok" => Self::Delivered,
            "failed" | "failure" | "bounced" | "rejected" | "undelivered" | "undeliverable" | "error" | "denied" => Self::Failed,
            _ => Self::Nothing,
        }
    }
}

/// The day a row is on: in the organization's zone, whether the file says a day or an instant.
fn span(cell: &str, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
    let day: Date = match cell.parse::<OffsetTime>() {
        Ok(instant) => zone.date_at(instant.at),
        Err(_) => cell.get(..10)?.parse().ok()?,
    };
    Some((zone.start_of(day), zone.start_of(day.next())))
}

/// Where columns are not parted by commas, one may stand before cents: `0,05`. With points beside it, or more than once, it
/// could part thousands as well, and is not guessed at.
fn price(cell: &str, separator: Separator) -> Result<Money, ()> {
    let bare = cell.trim_matches(|c: char| matches!(c, '$' | '€' | '£') || c.is_whitespace());
    let decimal_comma = separator != Separator::Comma && bare.matches(',').count() == 1 && !bare.contains('.');
    let text = if decimal_comma { bare.replace(',', ".") } else { bare.to_owned() };
    text.parse().map_err(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(cells: &[&str]) -> ::csv::StringRecord {
        ::csv::StringRecord::from(cells.to_vec())
    }

    #[test]
    fn columns_are_found_as_mapped_or_by_their_usual_names() {
        let header = record(&["\u{feff}Msg", "To", "Date", "Charge"]);
        let mapped = ["message_id=msg".parse().unwrap(), "price=Charge".parse().unwrap()];
        let find = |mapped: &[Mapped]| Columns::find(mapped, Separator::Comma, &header);
        let columns = find(&mapped).unwrap();
        let usage = columns.read(&record(&["a@b.example", "", "", "$0.05"]), &TimeZone::utc());
        assert_eq!(usage.message_id.unwrap().as_str(), "<a@b.example>");
        assert_eq!(usage.price, Some(Ok("0.05".parse().unwrap())));
        let usual = find(&[]).unwrap();
        assert!(usual.has(Field::Recipient) && usual.has(Field::Date) && !usual.has(Field::MessageId));
        assert!(find(&["date=Date".parse().unwrap()]).is_err());
        assert!(find(&["message_id=Nope".parse().unwrap()]).is_err());
        assert!("nonsense=X".parse::<Mapped>().is_err() && "date=".parse::<Mapped>().is_err());
    }

    #[test]
    fn the_header_shows_what_parts_the_columns() {
        for (header, separator) in [
            ("Message-ID,Price\n\"a;b;c;d\",1\n", Separator::Comma),
            ("\u{feff}Message-ID;Price;\"To, or cc, or bcc\"\r\n1,2,3,4,5", Separator::Semicolon),
            ("Message-ID\tPrice\n", Separator::Tab),
            ("Message-ID", Separator::Comma),
            ("", Separator::Comma),
        ] {
            assert_eq!(Separator::of(header.as_bytes()), separator, "{header:?}");
        }
    }

    #[test]
    fn a_comma_stands_before_cents_only_where_it_does_not_part_columns() {
        let cents = |cell: &str, separator| price(cell, separator).map(|money| money.to_string());
        for separator in [Separator::Semicolon, Separator::Tab] {
            assert_eq!(cents("0,05 €", separator), Ok("0.05".to_owned()));
            assert_eq!(cents("0.05", separator), Ok("0.05".to_owned()));
            for unclear in ["1.234,50", "1,234.50", "1,234,567"] {
                assert_eq!(cents(unclear, separator), Err(()), "{unclear}");
            }
        }
        assert_eq!(cents("0,05", Separator::Comma), Err(()));
    }

    #[test]
    fn a_day_is_that_of_the_organization() {
        let zone: TimeZone = "America/New_York".parse().unwrap();
        let at = |text: &str| text.parse::<OffsetTime>().unwrap().at;
        let day = (at("2026-01-15T05:00:00Z"), at("2026-01-16T05:00:00Z"));
        for written in ["2026-01-15", "2026-01-16T04:59:59Z", "2026-01-15 23:59:59"] {
            assert_eq!(span(written, &zone), Some(day), "{written}");
        }
        assert_eq!(span("15.01.2026", &zone), None);
    }
}
