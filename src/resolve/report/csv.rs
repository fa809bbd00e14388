//! A payer's report as CSV (RFC 4180): the rows alone. Text that a spreadsheet would take for a formula is made text again.

use std::io::Write;

use super::Report;
use crate::domain::{text::spreadsheet, words};

words! {
    /// Which rows.
    pub enum Part {
        /// What reached which provider.
        Delivered = "delivered",
        /// What could not be delivered, and why.
        Undeliverable = "undeliverable",
        /// Providers without an address.
        NoAddress = "no-address",
    }
}

/// Writes one part of `report` with a header.
///
/// # Errors
/// When it cannot be written.
pub fn write(report: &Report, part: Part, out: impl Write) -> Result<(), csv::Error> {
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    let number = |number: Option<u64>| number.map_or_else(String::new, |number| number.to_string());
    match part {
        Part::Delivered => {
            writer.write_record([
                "pcp_npi",
                "pcp_name",
                "addresses",
                "results",
                "delivered",
                "pending",
                "failed",
                "not_sent",
                "no_address",
                "median_minutes",
                "p95_minutes",
            ])?;
            for row in &report.by_pcp {
                let addresses = row.addresses.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
                writer.write_record([
                    spreadsheet(&row.pcp_npi),
                    spreadsheet(&row.pcp_name),
                    spreadsheet(&addresses),
                    row.results.to_string(),
                    row.delivered.to_string(),
                    row.pending.to_string(),
                    row.failed.to_string(),
                    row.not_sent.to_string(),
                    row.no_address.to_string(),
                    number(row.median_minutes),
                    number(row.p95_minutes),
                ])?;
            }
        }
        Part::Undeliverable => {
            writer.write_record([
                "order_id",
                "result",
                "version",
                "delivery",
                "pcp_npi",
                "address",
                "reason",
                "since",
                "attempts",
                "next_action",
            ])?;
            for row in &report.undeliverable {
                writer.write_record([
                    spreadsheet(&row.order_id),
                    row.result.to_string(),
                    row.version.to_string(),
                    row.delivery.map_or_else(String::new, |id| id.to_string()),
                    spreadsheet(&row.pcp_npi),
                    spreadsheet(&row.address),
                    row.reason.map_or_else(String::new, |reason| reason.to_string()),
                    row.since.to_string(),
                    row.attempts.to_string(),
                    spreadsheet(row.next_action),
                ])?;
            }
        }
        Part::NoAddress => {
            writer.write_record(["pcp_npi", "reason", "results", "oldest"])?;
            for row in &report.no_address {
                writer.write_record([
                    spreadsheet(&row.pcp_npi),
                    row.reason.to_string(),
                    row.results.to_string(),
                    row.oldest.to_string(),
                ])?;
            }
        }
    }
    writer.flush()?;
    Ok(())
}
