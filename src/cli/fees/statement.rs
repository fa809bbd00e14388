//! `postern fees statement`: what a month costs, to be sent to whoever pays.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::super::{
    Exit,
    context::{self, Global, with_store},
    print_bytes, say,
    table::Rows,
};
use crate::{
    bill::{
        Statement,
        statement::{csv, html, pdf},
    },
    domain::{Month, OrgScope},
};

/// How a statement is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people at a terminal
    Table,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
    /// For a browser or a printer
    Html,
    /// To be sent
    Pdf,
}

/// Write the statement of a month
///
/// Of a closed month it is final, and the same octets whenever it is made again: it is held against the one that was kept
/// when the month was closed, and exit code 1 says that they differ. Of a month that is still open it is a draft. Deliveries
/// that another organization pays for stand on that one's statement: --bill-to.
#[derive(Debug, Args)]
pub(super) struct StatementArgs {
    /// The month, e.g. 2026-01
    #[arg(value_name = "MONTH")]
    month: Month,
    /// Whose deliveries
    #[arg(long, visible_alias = "org", value_name = "SLUG")]
    organization: String,
    /// Who pays; without it the organization itself
    #[arg(long, value_name = "SLUG")]
    bill_to: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Write it to this file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &StatementArgs, global: &Global) -> anyhow::Result<Exit> {
    let (statement, differs) = with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        let payer = context::organization(store, args.bill_to.as_deref().unwrap_or(&args.organization)).await?;
        let statement = Statement::make(store, &organization, args.month, &payer).await?;
        if statement.closed_at.is_none() {
            return Ok((statement, false));
        }
        let json = statement.json()?;
        let kept = store.kept_billing_statement(OrgScope::All, organization.id, args.month, payer.id).await?;
        if kept.is_none() {
            store.keep_billing_statement(organization.id, args.month, payer.id, &json).await?;
        }
        let differs = kept.is_some_and(|kept| kept != json);
        Ok((statement, differs))
    })?;
    let written = match if args.json { Format::Json } else { args.format } {
        Format::Table => None,
        Format::Json => Some(statement.json()?.into_bytes()),
        Format::Html => Some(html::write(&statement)?.into_bytes()),
        Format::Pdf => Some(pdf::write(&statement)?),
        Format::Csv => {
            let mut out = Vec::new();
            csv::write(&statement, &mut out)?;
            Some(out)
        }
    };
    match (written, &args.output) {
        (Some(written), Some(file)) => {
            std::fs::write(file, written).with_context(|| format!("cannot write {}", file.display()))?;
        }
        (Some(written), None) => print_bytes(&written)?,
        (None, _) => show(&statement)?,
    }
    if statement.closed_at.is_none() {
        say("a draft: this month is not closed; tiers, minimum and cap are not applied yet");
    }
    if differs {
        say("this is not the statement that was handed out: the ledger or the record has been changed; run postern verify");
        return Ok(Exit::Bad);
    }
    Ok(Exit::Good)
}

fn show(statement: &Statement) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["site", "for", "quantity", "unit price", "amount", "currency"]);
    rows.right(&[2, 3, 4]);
    for row in &statement.rows {
        let numbers = [row.quantity.to_string(), row.unit_price.to_string(), row.amount.to_string()];
        let [quantity, price, amount] = numbers;
        rows.push([row.place(), row.words(), quantity, price, amount, row.currency.to_string()]);
    }
    for total in &statement.totals {
        let sum = total.total.to_string();
        rows.push(["total".to_owned(), String::new(), String::new(), String::new(), sum, total.currency.to_string()]);
    }
    if statement.rows.is_empty() {
        say("nothing was charged in this month");
        return Ok(());
    }
    rows.print()
}
