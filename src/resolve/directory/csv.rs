//! A directory as CSV: our own columns, or those of a DirectTrust-like flat file, told apart by their names.
//!
//! Streams: one row in memory. A row that is wrong is rejected with its line and the reason, and the rest is loaded:
//! national directories always have some.

use std::io::{self, Read};

use csv::{ByteRecord, ReaderBuilder};

use crate::domain::{
    DirectAddress, Npi,
    route::{AffiliatedWith, DirectoryRow},
    text::{FIELD_LIMIT, line},
};

use super::DirectoryError;

/// Most bytes one row may have. An unclosed quote would otherwise swallow the whole file.
const ROW_LIMIT: u64 = 1 << 20;

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line of the file, from 1.
    pub line: u64,
    /// The column's name; empty when it is about the whole row.
    pub column: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads a directory row by row.
pub struct CsvDirectory<R> {
    reader: csv::Reader<Metered<R>>,
    columns: Columns,
    record: ByteRecord,
}

/// Where each field stands.
#[derive(Debug, Default)]
struct Columns {
    names: Vec<String>,
    npi: Option<usize>,
    address: Option<usize>,
    organization: Option<usize>,
    organization_npi: Option<usize>,
    status: Option<usize>,
}

const NPI: &[&str] = &["npi", "prov_npi", "provider_npi", "practitioner_npi", "individual_npi"];
const ADDRESS: &[&str] = &["address", "direct", "direct_address", "directaddress", "direct_email", "endpoint"];
const ORGANIZATION: &[&str] = &["organization", "organization_name", "org", "org_name"];
const ORGANIZATION_NPI: &[&str] = &["organization_npi", "org_npi"];
const STATUS: &[&str] = &["status", "npi_status"];

impl<R: Read> CsvDirectory<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it cannot be read or names no column for the NPI or the address.
    pub fn new(source: R) -> Result<Self, DirectoryError> {
        let metered = Metered { source, since_row: 0 };
        let mut reader = ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(metered);
        let header = reader.byte_headers().map_err(|source| DirectoryError::Read { line: 1, source })?;
        // UTF-16 comes with its own byte order mark, or with a zero in every other byte.
        if header.iter().flatten().any(|b| *b == 0) || header.iter().any(|name| std::str::from_utf8(name).is_err()) {
            return Err(DirectoryError::Encoding);
        }
        let columns = Columns::find(header)?;
        Ok(Self { reader, columns, record: ByteRecord::new() })
    }

    /// The next row, taken or rejected; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_row(&mut self) -> Result<Option<Result<DirectoryRow, Reject>>, DirectoryError> {
        self.reader.get_mut().since_row = 0;
        let more = self.reader.read_byte_record(&mut self.record);
        let more = more.map_err(|source| DirectoryError::Read { line: self.reader.position().line(), source })?;
        Ok(more.then(|| self.columns.row(&self.record)))
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.reader.position().byte()
    }
}

impl Columns {
    fn find(header: &ByteRecord) -> Result<Self, DirectoryError> {
        let names: Vec<String> = header.iter().map(|name| plain(&String::from_utf8_lossy(name))).collect();
        let found = names.join(", ");
        let column = |what: &str, aliases: &[&str]| {
            let mut places = names.iter().enumerate().filter(|(_, name)| aliases.contains(&name.as_str())).map(|(at, _)| at);
            match (places.next(), places.next()) {
                (first, None) => Ok(first),
                (_, Some(_)) => {
                    Err(DirectoryError::Header { problem: format!("two columns for the {what}"), found: found.clone() })
                }
            }
        };
        let (npi, address) = (column("NPI", NPI)?, column("address", ADDRESS)?);
        let (organization, organization_npi) =
            (column("organization", ORGANIZATION)?, column("organization's NPI", ORGANIZATION_NPI)?);
        let status = column("status", STATUS)?;
        if address.is_none() || npi.or(organization_npi).is_none() {
            let problem = "no column \"npi\" or no column \"address\"".to_owned();
            return Err(DirectoryError::Header { problem, found });
        }
        Ok(Self { names, npi, address, organization, organization_npi, status })
    }

    fn row(&self, record: &ByteRecord) -> Result<DirectoryRow, Reject> {
        let at = record.position().map_or(0, csv::Position::line);
        let whole = |reason: String| Reject { line: at, column: String::new(), reason };
        if record.len() != self.names.len() {
            return Err(whole(format!("has {} fields where the header has {}", record.len(), self.names.len())));
        }
        let bad = |column: Option<usize>, reason: String| Reject {
            line: at,
            column: column.and_then(|c| self.names.get(c)).cloned().unwrap_or_default(),
            reason,
        };
        // A name in another encoding costs its accents, not the provider's address.
        let text = |column: Option<usize>| {
            let field = String::from_utf8_lossy(column.and_then(|c| record.get(c)).unwrap_or_default()).trim().to_owned();
            (!field.is_empty()).then_some(field)
        };
        let npi = |column: Option<usize>| {
            text(column).map(|t| t.parse::<Npi>().map_err(|why| bad(column, why.to_string()))).transpose()
        };
        let organization_npi = npi(self.organization_npi)?;
        // The row of an organization itself has no person's NPI.
        let Some(npi) = npi(self.npi)?.or_else(|| organization_npi.clone()) else {
            return Err(bad(self.npi, "is empty".to_owned()));
        };
        let address = text(self.address).map(|t| t.parse::<DirectAddress>().map_err(|why| bad(self.address, why.to_string())));
        let organization = text(self.organization)
            .map(|name| line(&name, FIELD_LIMIT).map(str::to_owned).map_err(|why| bad(self.organization, why.to_string())));
        let active = match text(self.status).map(|status| status.to_ascii_lowercase()).as_deref() {
            None | Some("active" | "a" | "1" | "true" | "yes") => true,
            Some("inactive" | "deactivated" | "d" | "i" | "0" | "false" | "no") => false,
            Some(_) => return Err(bad(self.status, "is neither active nor inactive".to_owned())),
        };
        let affiliation = AffiliatedWith { npi: organization_npi, name: organization.transpose()?, ..AffiliatedWith::default() };
        Ok(DirectoryRow { npi, address: address.transpose()?, kind: None, rank: None, affiliation, active })
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
mod tests {
    use super::*;

    fn read(text: impl AsRef<[u8]>) -> Vec<Result<DirectoryRow, Reject>> {
        let mut directory = CsvDirectory::new(text.as_ref()).unwrap();
        std::iter::from_fn(|| directory.next_row().unwrap()).collect()
    }

    #[test]
    fn our_own_columns_are_read_in_any_order_and_spelling() {
        let rows = read(
            "\u{feff}\"Status\",Direct Address,NPI,Organization,ORG-NPI,Phone\nactive,A@d.example,1234567893,North,2000000044,1\n",
        );
        let row = rows[0].as_ref().unwrap();
        assert_eq!(row.npi.as_str(), "1234567893");
        assert_eq!(row.address.as_ref().unwrap().as_str(), "A@d.example");
        assert_eq!(row.affiliation.name.as_deref(), Some("North"));
        assert_eq!(row.affiliation.npi.as_ref().unwrap().as_str(), "2000000044");
        assert!(row.active);
    }

    #[test]
    fn a_flat_file_of_people_and_organizations_is_read() {
        let rows = read(
            "HISP,ORG_UID,ORG_NAME,ORG_NPI,PROV_UID,PROV_NPI,DIRECT_ADDRESS\n\
             H,o,North Clinic LLC,2000000044,,,results@n.example\n\
             H,o,North Clinic LLC,2000000044,p,2000000010,avery@n.example\n",
        );
        let npis: Vec<_> = rows.iter().map(|row| row.as_ref().unwrap().npi.to_string()).collect();
        assert_eq!(npis, ["2000000044", "2000000010"]);
    }

    #[test]
    fn a_bad_row_is_rejected_with_its_line_and_the_rest_is_read() {
        let rows = read(
            "npi,address,organization,status\n\
             1234567890,a@d.example,,\n\
             1234567893,not an address,,\n\
             1234567893,a@d.example,\"x\ny\",\n\
             1234567893,a@d.example\n\
             ,a@d.example,,\n\
             1234567893,a@d.example,,perhaps\n\
             1234567893,,,inactive\n",
        );
        let rejects: Vec<_> =
            rows.iter().filter_map(|row| row.as_ref().err()).map(|reject| (reject.line, reject.column.as_str())).collect();
        assert_eq!(rejects, [(2, "npi"), (3, "address"), (4, "organization"), (6, ""), (7, "npi"), (8, "status")]);
        let last = rows.last().unwrap().as_ref().unwrap();
        assert!(!last.active && last.address.is_none());
    }

    #[test]
    fn a_header_that_says_too_little_or_too_much_is_refused() {
        for text in ["", "npi,phone\n", "address,organization\n", "npi,prov_npi,address\n"] {
            assert!(matches!(CsvDirectory::new(text.as_bytes()), Err(DirectoryError::Header { .. })), "{text}");
        }
        let utf16: Vec<u8> = "npi,address\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert!(matches!(CsvDirectory::new(&utf16[..]), Err(DirectoryError::Encoding)));
    }

    #[test]
    fn an_unclosed_quote_does_not_swallow_the_file() {
        let endless = "npi,address\n1234567893,\"".as_bytes().chain(io::repeat(b'x'));
        let mut directory = CsvDirectory::new(endless).unwrap();
        assert!(matches!(directory.next_row(), Err(DirectoryError::Read { .. })));
    }
}
