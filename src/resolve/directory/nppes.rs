//! NPPES's file of endpoints, `endpoint_pfile_*.csv`: 19 columns, all quoted, found by name. The type decides what an endpoint
//! is, not the look of its value: an address under another type is not a Direct address, and one under `DIRECT` may still
//! be anybody's webmail, which its certificate will tell.

use std::{borrow::Cow, io::Read};

use super::{DirectoryError, Item, Rows, clean, csv::Table};
use crate::domain::route::{AffiliatedWith, DirectoryRow};

/// The types NPPES knows.
const TYPES: &[&str] = &["DIRECT", "CONNECT", "FHIR", "OTHERS", "REST", "SOAP"];

/// Reads the endpoint file row by row.
pub struct NppesEndpoints<R> {
    table: Table<R>,
    npi: Option<usize>,
    of: Option<usize>,
    endpoint: Option<usize>,
    affiliation: Option<usize>,
    name: Option<usize>,
    state: Option<usize>,
    postal_code: Option<usize>,
}

impl<R: Read> NppesEndpoints<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not that of an endpoint file.
    pub fn new(source: R) -> Result<Self, DirectoryError> {
        let table = Table::new(source)?;
        let column = |name: &str| match table.column(name, &[name])? {
            None => Err(table.header(format!("no column {name:?}, so it is not an NPPES endpoint file"))),
            found => Ok(found),
        };
        Ok(Self {
            npi: column("npi")?,
            of: column("endpoint_type")?,
            endpoint: column("endpoint")?,
            affiliation: column("affiliation")?,
            name: column("affiliation_legal_business_name")?,
            state: column("affiliation_address_state")?,
            // The readme calls it otherwise than the file.
            postal_code: table
                .column("postal code", &["affiliation_address_postal_code", "affiliation_address_line_postal_code"])?,
            table,
        })
    }

    fn kind(&self) -> Cow<'static, str> {
        let of = self.table.raw(self.of);
        match TYPES.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(of)) {
            Some(known) => Cow::Borrowed(known),
            None => Cow::Owned(clean::name(&String::from_utf8_lossy(of)).unwrap_or_else(|| "no type".to_owned())),
        }
    }
}

impl<R: Read> Rows for NppesEndpoints<R> {
    fn next_item(&mut self) -> Result<Option<Item>, DirectoryError> {
        if !self.table.advance()? {
            return Ok(None);
        }
        let (table, of) = (&self.table, self.kind());
        if table.record.len() != table.names.len() {
            let reason = format!("has {} fields where the header has {}", table.record.len(), table.names.len());
            return Ok(Some(Item::rejected(of, table.reject(None, reason))));
        }
        let npi = match clean::npi(&table.text(self.npi).unwrap_or_default()) {
            Ok(npi) => npi,
            Err(why) => return Ok(Some(Item::rejected(of, table.reject(self.npi, why)))),
        };
        // Whatever becomes of the address: NPPES knows the NPI.
        let mut row =
            DirectoryRow { npi, address: None, kind: None, rank: None, affiliation: AffiliatedWith::default(), active: true };
        let mut reject = None;
        if of == "DIRECT" {
            match clean::address(&table.text(self.endpoint).unwrap_or_default()) {
                Ok(address) => {
                    row.address = Some(address);
                    let text = |column| table.text(column).unwrap_or_default();
                    // The name is only that of an affiliation where the row says so; the place is the endpoint's own.
                    let affiliated = text(self.affiliation).eq_ignore_ascii_case("y");
                    let name = if affiliated { text(self.name) } else { String::new() };
                    row.affiliation = clean::affiliation(None, &name, &text(self.state), &text(self.postal_code));
                }
                Err(why) => reject = Some(table.reject(self.endpoint, why)),
            }
        }
        Ok(Some(Item { of: Some(of), row: Some(row), reject }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#""NPI","Endpoint Type","Endpoint Type Description","Endpoint","Affiliation","Endpoint Description","Affiliation Legal Business Name","Use Code","Use Description","Other Use Description","Content Type","Content Description","Other Content Description","Affiliation Address Line One","Affiliation Address Line Two","Affiliation Address City","Affiliation Address State","Affiliation Address Country","Affiliation Address Postal Code""#;

    fn line(npi: &str, of: &str, endpoint: &str, affiliation: &str) -> String {
        format!(
            "\"{npi}\",\"{of}\",\"\",\"{endpoint}\",\"{affiliation}\",\"\",\"NORTH\nCLINIC $$$ LLC\",\"\",\"\",\"\",\"\",\"\",\"\",\"1 TEST WAY\",\"\",\"DAYTON\",\"OH\",\"US\",\"454020001\"\n"
        )
    }

    fn items(lines: &[String]) -> Vec<Item> {
        let text = format!("\u{feff}{HEADER}\n{}", lines.concat());
        let mut file = NppesEndpoints::new(std::io::Cursor::new(text)).unwrap();
        std::iter::from_fn(|| file.next_item().unwrap()).collect()
    }

    #[test]
    fn the_type_decides_and_not_the_look_of_the_value() {
        let items = items(&[
            line("2000000010", "DIRECT", " Avery@Direct.north.example ", "Y"),
            line("2000000028", "OTHERS", "results@direct.south.example", "Y"),
            line("2000000028", "direct", "mailto:x@d.example", "N"),
            line("2000000028", "Something new", "x", "N"),
        ]);
        let of: Vec<_> = items.iter().map(|item| item.of.as_deref().unwrap()).collect();
        assert_eq!(of, ["DIRECT", "OTHERS", "DIRECT", "Something new"]);
        let addresses: Vec<_> =
            items.iter().map(|item| item.row.as_ref().unwrap().address.as_ref().map(ToString::to_string)).collect();
        assert_eq!(addresses, [Some("Avery@Direct.north.example".into()), None, Some("x@d.example".into()), None]);
    }

    #[test]
    fn an_affiliation_has_its_name_only_where_the_row_says_so() {
        let items = items(&[line("2000000010", "DIRECT", "a@d.example", "Y"), line("2000000010", "DIRECT", "a@d.example", "N")]);
        let of = |at: usize| &items[at].row.as_ref().unwrap().affiliation;
        assert_eq!(of(0).name.as_deref(), Some("NORTH CLINIC $$$ LLC"));
        assert_eq!(
            (of(1).name.as_deref(), of(1).state.as_deref(), of(1).postal_code.as_deref()),
            (None, Some("OH"), Some("454020001"))
        );
    }

    #[test]
    fn a_wrong_address_is_rejected_and_its_npi_is_known_all_the_same() {
        let items = items(&[
            line("2000000010", "DIRECT", "https://portal.example/mail", "Y"),
            line("2000000011", "DIRECT", "a@d.example", "Y"),
            line("2000000010", "DIRECT", "", "Y"),
            "\"2000000010\",\"DIRECT\"\n".to_owned(),
        ]);
        let shown: Vec<_> = items
            .iter()
            .map(|item| {
                let reject = item.reject.as_ref().unwrap();
                (item.row.is_some(), reject.column.as_str(), reject.line)
            })
            .collect();
        assert_eq!(shown, [(true, "endpoint", 2), (false, "npi", 4), (true, "endpoint", 6), (false, "", 8)]);
    }

    #[test]
    fn another_file_is_refused_by_its_header() {
        let refused = NppesEndpoints::new("NPI,Entity Type Code\n".as_bytes()).map(drop).unwrap_err();
        assert!(refused.to_string().contains("endpoint_type"), "{refused}");
    }
}
