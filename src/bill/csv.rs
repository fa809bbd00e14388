//! A report as CSV (RFC 4180): the rows alone, so that a spreadsheet can add them up.

use std::io::Write;

use super::{BillError, Report};
use crate::domain::text::spreadsheet as text;

const HEADER: [&str; 9] =
    ["organization", "site", "entry_type", "fee_code", "note", "quantity", "unit_price", "amount", "currency"];

/// Writes the rows of `report` with a header.
///
/// # Errors
/// [`BillError::Write`].
pub fn write(report: &Report, out: impl Write) -> Result<(), BillError> {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
    writer.write_record(HEADER).map_err(BillError::Write)?;
    for row in &report.rows {
        let group = &row.group;
        let cells = [
            text(&group.organization),
            text(&group.site),
            text(group.entry_type.as_str()),
            text(&group.fee_code),
            text(&group.note),
            // Numbers stay numbers: a credit begins with a minus and must add up.
            row.quantity.to_string(),
            group.unit_price.to_string(),
            row.amount.to_string(),
            text(group.currency.as_str()),
        ];
        writer.write_record(&cells).map_err(BillError::Write)?;
    }
    writer.flush().map_err(|error| BillError::Write(error.into()))
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::{january, line};
    use crate::{
        domain::prices::EntryType::{Charge, Credit},
        store::ledger::read::PaidRow,
    };

    fn csv(lines: &[(&str, PaidRow)]) -> String {
        let mut out = Vec::new();
        super::write(&january(lines), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_site_cannot_put_a_formula_into_the_billers_spreadsheet_and_a_credit_stays_a_number() {
        let written = csv(&[
            ("-north", line("=HYPERLINK(\"http://x\")", Charge, "0.25", "")),
            ("-north", line("R, 1", Credit, "-0.25", "")),
        ]);
        assert_eq!(
            written,
            "organization,site,entry_type,fee_code,note,quantity,unit_price,amount,currency\r\n\
             '-north,\"'=HYPERLINK(\"\"http://x\"\")\",charge,direct,,1,0.25,0.25,USD\r\n\
             '-north,\"R, 1\",credit,direct,,1,-0.25,-0.25,USD\r\n"
        );
    }

    #[test]
    fn a_period_without_fees_has_a_header_and_no_row() {
        assert_eq!(csv(&[]).lines().count(), 1);
    }
}
