//! A statement as CSV (RFC 4180): the rows alone, so that a spreadsheet can add them up.

use std::io::Write;

use super::Statement;
use crate::{bill::BillError, domain::text::spreadsheet as text};

const HEADER: [&str; 17] = [
    "statement",
    "organization",
    "bill_to",
    "month",
    "site",
    "cost_center",
    "channel",
    "status",
    "entry_type",
    "fee_code",
    "note",
    "relates_to",
    "price",
    "quantity",
    "unit_price",
    "amount",
    "currency",
];

/// Writes the rows with a header.
///
/// # Errors
/// [`BillError::Write`].
pub fn write(statement: &Statement, out: impl Write) -> Result<(), BillError> {
    let mut writer = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(out);
    writer.write_record(HEADER).map_err(BillError::Write)?;
    for row in &statement.rows {
        let cells = [
            text(&statement.number),
            text(&statement.organization.slug),
            text(&statement.bill_to.slug),
            statement.month.to_string(),
            text(&row.site),
            text(&row.cost_center),
            text(&row.channel),
            text(&row.status),
            text(row.entry_type.as_str()),
            text(&row.fee_code),
            text(&row.note),
            row.relates_to.map(|month| month.to_string()).unwrap_or_default(),
            text(row.price.as_deref().unwrap_or_default()),
            // Numbers stay numbers: a credit begins with a minus and must add up.
            row.quantity.to_string(),
            row.unit_price.to_string(),
            row.amount.to_string(),
            text(row.currency.as_str()),
        ];
        writer.write_record(&cells).map_err(BillError::Write)?;
    }
    writer.flush().map_err(|error| BillError::Write(error.into()))
}
