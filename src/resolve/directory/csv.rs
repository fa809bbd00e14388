//! A directory as a flat file: our own columns, or those of a DirectTrust-like file, told apart by their names.
//!
//! Streams: one row in memory. A row that is wrong is rejected with its line and the reason, and the rest is loaded:
//! national directories always have some.

use std::{
    borrow::Cow,
    io::{self, Read},
};

use csv::{ByteRecord, ReaderBuilder};

use super::{DirectoryError, Item, Reject, Rows, clean, load::KNOWN};
use crate::domain::route::{AddressKind, DirectoryRow};

/// Most bytes one row may have. An unclosed quote would otherwise swallow the whole file.
const ROW_LIMIT: u64 = 1 << 20;

/// A CSV file, row by row.
pub(super) struct Table<R> {
    reader: csv::Reader<Metered<R>>,
    pub(super) names: Vec<String>,
    pub(super) record: ByteRecord,
}

impl<R: Read> Table<R> {
    /// Reads the header.
    pub(super) fn new(source: R) -> Result<Self, DirectoryError> {
        let metered = Metered { source, since_row: 0 };
        let mut reader = ReaderBuilder::new().flexible(true).trim(csv::Trim::All).buffer_capacity(1 << 16).from_reader(metered);
        let header = reader.byte_headers().map_err(|source| DirectoryError::Read { line: 1, source: source.into() })?;
        // UTF-16 comes with its own byte order mark, or with a zero in every other byte.
        if header.iter().flatten().any(|b| *b == 0) || header.iter().any(|name| std::str::from_utf8(name).is_err()) {
            return Err(DirectoryError::Encoding);
        }
        let names = header.iter().map(|name| plain(&String::from_utf8_lossy(name))).collect();
        Ok(Self { reader, names, record: ByteRecord::new() })
    }

    /// Reads the next row into `record`; false at the end.
    pub(super) fn advance(&mut self) -> Result<bool, DirectoryError> {
        self.reader.get_mut().since_row = 0;
        let more = self.reader.read_byte_record(&mut self.record);
        more.map_err(|source| DirectoryError::Read { line: self.reader.position().line(), source: source.into() })
    }

    /// The line the row begins on, from 1.
    pub(super) fn line(&self) -> u64 {
        self.record.position().map_or(0, csv::Position::line)
    }

    /// Where a column stands.
    ///
    /// # Errors
    /// When two have one of these names.
    pub(super) fn column(&self, what: &str, aliases: &[&str]) -> Result<Option<usize>, DirectoryError> {
        let mut places = self.names.iter().enumerate().filter(|(_, name)| aliases.contains(&name.as_str())).map(|(at, _)| at);
        match (places.next(), places.next()) {
            (first, None) => Ok(first),
            (_, Some(_)) => Err(self.header(format!("two columns for the {what}"))),
        }
    }

    pub(super) fn header(&self, problem: String) -> DirectoryError {
        // A file that is no directory at all may have thousands.
        let mut found = self.names.iter().take(40).map(String::as_str).collect::<Vec<_>>().join(", ");
        if self.names.len() > 40 {
            found.push_str(", ...");
        }
        DirectoryError::Header { problem, found }
    }

    /// A field as it stands.
    pub(super) fn raw(&self, column: Option<usize>) -> &[u8] {
        column.and_then(|c| self.record.get(c)).unwrap_or_default()
    }

    /// A field as text; `None` when there is nothing.
    pub(super) fn text(&self, column: Option<usize>) -> Option<String> {
        clean::text(self.raw(column))
    }

    pub(super) fn reject(&self, column: Option<usize>, reason: impl Into<String>) -> Reject {
        let column = column.and_then(|c| self.names.get(c)).cloned().unwrap_or_default();
        Reject { line: self.line(), column, reason: reason.into() }
    }
}

/// What columns are called in a file that calls them by names of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mapping(Vec<(Field, String)>);

crate::domain::words! {
    /// What a flat file can say.
    pub enum Field {
        /// The clinician's NPI.
        Npi = "npi",
        /// The Direct address.
        Address = "address",
        /// The organization's legal name.
        Organization = "organization",
        /// The organization's NPI.
        OrganizationNpi = "organization_npi",
        /// The state of its place.
        State = "state",
        /// The ZIP code of its place.
        PostalCode = "postal_code",
        /// The preference among several addresses of an NPI: the lowest first.
        Rank = "rank",
        /// `active` or `inactive`.
        Status = "status",
    }
}

impl Field {
    /// The names under which we know it without being told.
    const fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Npi => &["npi", "prov_npi", "provider_npi", "practitioner_npi", "individual_npi"],
            Self::Address => &["address", "direct", "direct_address", "directaddress", "direct_email", "endpoint"],
            Self::Organization => &["organization", "organization_name", "org", "org_name"],
            Self::OrganizationNpi => &["organization_npi", "org_npi"],
            Self::State => &["state", "org_state"],
            Self::PostalCode => &["postal_code", "zip", "zip_code", "org_zip", "org_postal_code"],
            Self::Rank => &["rank", "endpoint_rank"],
            Self::Status => &["status", "npi_status"],
        }
    }
}

impl Mapping {
    /// Says that `field` stands in the column called `column`.
    pub fn set(&mut self, field: Field, column: &str) {
        self.0.push((field, plain(column)));
    }

    fn find<R: Read>(&self, table: &Table<R>, field: Field) -> Result<Option<usize>, DirectoryError> {
        match self.0.iter().rev().find(|(mapped, _)| *mapped == field) {
            Some((_, column)) => match table.column(field.as_str(), &[column.as_str()])? {
                None => Err(table.header(format!("no column {column:?}, which --map names for {field}"))),
                found => Ok(found),
            },
            None => table.column(field.as_str(), field.aliases()),
        }
    }
}

/// Reads a flat file row by row.
pub struct CsvDirectory<R> {
    table: Table<R>,
    columns: Columns,
}

/// Where each field stands.
#[derive(Debug, Default)]
struct Columns {
    npi: Option<usize>,
    address: Option<usize>,
    organization: Option<usize>,
    organization_npi: Option<usize>,
    state: Option<usize>,
    postal_code: Option<usize>,
    rank: Option<usize>,
    status: Option<usize>,
}

impl<R: Read> CsvDirectory<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it cannot be read or names no column for the NPI or the address.
    pub fn new(source: R, mapping: &Mapping) -> Result<Self, DirectoryError> {
        let table = Table::new(source)?;
        let find = |field| mapping.find(&table, field);
        let columns = Columns {
            npi: find(Field::Npi)?,
            address: find(Field::Address)?,
            organization: find(Field::Organization)?,
            organization_npi: find(Field::OrganizationNpi)?,
            state: find(Field::State)?,
            postal_code: find(Field::PostalCode)?,
            rank: find(Field::Rank)?,
            status: find(Field::Status)?,
        };
        if columns.address.is_none() || columns.npi.or(columns.organization_npi).is_none() {
            return Err(table.header("no column \"npi\" or no column \"address\"".to_owned()));
        }
        Ok(Self { table, columns })
    }

    fn row(&self) -> Result<DirectoryRow, Reject> {
        let (table, at) = (&self.table, &self.columns);
        if table.record.len() != table.names.len() {
            return Err(
                table.reject(None, format!("has {} fields where the header has {}", table.record.len(), table.names.len()))
            );
        }
        let npi = |column| table.text(column).map(|text| clean::npi(&text).map_err(|why| table.reject(column, why))).transpose();
        let (person, organization_npi) = (npi(at.npi)?, npi(at.organization_npi)?);
        // The row of an organization itself has no person's NPI. Only where there is a column for one does that say something.
        let kind = match (&person, at.npi.is_some() && at.organization_npi.is_some()) {
            (_, false) => None,
            (Some(_), true) => Some(AddressKind::Personal),
            (None, true) => Some(AddressKind::Organization),
        };
        let Some(npi) = person.or_else(|| organization_npi.clone()) else { return Err(table.reject(at.npi, "is empty")) };
        let address = table.text(at.address).map(|text| clean::address(&text).map_err(|why| table.reject(at.address, why)));
        let rank = table.text(at.rank).map(|text| text.parse().map_err(|_| table.reject(at.rank, "is not a whole number")));
        let active = match table.text(at.status).map(|status| status.to_ascii_lowercase()).as_deref() {
            None | Some("active" | "a" | "1" | "true" | "yes") => true,
            Some("inactive" | "deactivated" | "d" | "i" | "0" | "false" | "no") => false,
            Some(_) => return Err(table.reject(at.status, "is neither active nor inactive")),
        };
        let text = |column| table.text(column).unwrap_or_default();
        let affiliation = clean::affiliation(organization_npi, &text(at.organization), &text(at.state), &text(at.postal_code));
        let address = address.transpose()?;
        let kind = kind.filter(|_| address.is_some());
        Ok(DirectoryRow { npi, address, kind, rank: rank.transpose()?, affiliation, active })
    }
}

impl<R: Read> Rows for CsvDirectory<R> {
    fn next_item(&mut self) -> Result<Option<Item>, DirectoryError> {
        if !self.table.advance()? {
            return Ok(None);
        }
        Ok(Some(match self.row() {
            Ok(row) => {
                let of: Cow<'static, str> = match (row.active, row.address.is_some()) {
                    (false, _) => "inactive NPI".into(),
                    (true, true) => "address".into(),
                    (true, false) => KNOWN.into(),
                };
                Item::taken(of, row)
            }
            Err(reject) => Item::rejected("rejected", reject),
        }))
    }
}

/// `"Direct Address"`, `DIRECT-ADDRESS` and `direct_address` are one name.
fn plain(name: &str) -> String {
    let mut words = Vec::new();
    for word in name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        words.push(word.to_lowercase());
    }
    words.join("_")
}

/// Refuses to read on when one row has taken too much.
struct Metered<R> {
    source: R,
    since_row: u64,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_row > ROW_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a row is longer than 1 MiB; is a quote not closed?"));
        }
        let n = self.source.read(buffer)?;
        self.since_row += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests;
