//! `postern report`: what a payer asks back, without a patient's data.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    Exit,
    context::{self, Global, with_store},
    print, print_bytes, say,
    table::{Rows, print_json, time, word},
};
use crate::{
    domain::{Month, text::counted},
    resolve::report::{
        self, Report,
        csv::{Part, write},
        of_month,
    },
};

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For programs, with the totals
    Json,
}

/// What payers ask back: what reached which primary care provider, and what did not
///
/// A report is of the results that came in within a month of the organization's own time zone, as they stand now. Each version
/// counts. A result for a provider is delivered, pending, failed, not sent or without an address: one of them, so that all tie.
#[derive(Debug, Args)]
pub(crate) struct ReportOf {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What reached which provider, with how long it took
    Delivered(Period),
    /// What could not be delivered to a provider, why, and what to do next
    Undeliverable(Period),
    /// Providers for whom no Direct address was found
    NoAddress(Period),
}

#[derive(Debug, Args)]
struct Period {
    /// Whose results
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// The month they came in, e.g. 2026-11
    #[arg(long, value_name = "YYYY-MM")]
    month: Month,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

pub(crate) fn run(report: &ReportOf, global: &Global) -> anyhow::Result<Exit> {
    let (part, period) = match &report.command {
        Command::Delivered(period) => (Part::Delivered, period),
        Command::Undeliverable(period) => (Part::Undeliverable, period),
        Command::NoAddress(period) => (Part::NoAddress, period),
    };
    let found = with_store(global, async |_, store| {
        let organization = context::organization(store, &period.organization).await?;
        Ok(of_month(store, &organization, period.month).await?)
    })?;
    match if period.json { Format::Json } else { period.format } {
        Format::Json => {
            let (rows, from, to) = (found.rows(part, 0, usize::MAX), period.month.first(), period.month.next().first());
            print_json(
                &json!({ "organization": period.organization, "from": from, "to": to, "rows": rows, "totals": found.totals }),
            )?;
        }
        Format::Csv => {
            let mut csv = Vec::new();
            write(&found, part, &mut csv)?;
            print_bytes(&csv)?;
        }
        Format::Table => show(&found, part)?,
    }
    Ok(Exit::Good)
}

fn show(found: &Report, part: Part) -> anyhow::Result<()> {
    let rows = match part {
        Part::Delivered => {
            let mut rows = Rows::new(&[
                "pcp npi",
                "name",
                "results",
                "delivered",
                "pending",
                "failed",
                "not sent",
                "no address",
                "median min",
            ]);
            rows.right(&[2, 3, 4, 5, 6, 7, 8]);
            for row in &found.by_pcp {
                let counts =
                    [row.results, row.delivered, row.pending, row.failed, row.not_sent, row.no_address].map(|n| n.to_string());
                let [results, delivered, pending, failed, not_sent, no_address] = counts;
                let median = word(row.median_minutes);
                rows.push([
                    row.pcp_npi.clone(),
                    row.pcp_name.clone(),
                    results,
                    delivered,
                    pending,
                    failed,
                    not_sent,
                    no_address,
                    median,
                ]);
            }
            (found.by_pcp.len(), rows)
        }
        Part::Undeliverable => {
            let mut rows = Rows::new(&["since", "order", "pcp npi", "address", "reason", "next"]);
            for report::Undeliverable { since, order_id, pcp_npi, address, reason, next_action, .. } in &found.undeliverable {
                let next = (*next_action).to_owned();
                rows.push([time(*since), order_id.clone(), pcp_npi.clone(), address.clone(), word(*reason), next]);
            }
            (found.undeliverable.len(), rows)
        }
        Part::NoAddress => {
            let mut rows = Rows::new(&["pcp npi", "reason", "results", "oldest"]);
            rows.right(&[2]);
            for row in &found.no_address {
                rows.push([row.pcp_npi.clone(), row.reason.to_string(), row.results.to_string(), time(row.oldest)]);
            }
            (found.no_address.len(), rows)
        }
    };
    if rows.0 == 0 {
        say("nothing to report for this month");
    } else {
        rows.1.print()?;
    }
    let totals = &found.totals;
    print(&format!(
        "\n{} came in; for providers {}: {} delivered, {} pending, {} failed, {} not sent, {} without an address; {} no provider\n",
        counted(totals.results, "result", "results"),
        totals.pcp_results,
        totals.delivered,
        totals.pending,
        totals.failed,
        totals.not_sent,
        totals.no_address,
        counted(totals.without_pcp, "result has", "results have")
    ))
}
