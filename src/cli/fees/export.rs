//! `postern fees export`: the ledger for other programs.

use std::{
    collections::HashMap,
    io::{BufWriter, Write},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use super::super::{
    Exit,
    context::{self, Global, with_store},
    print_bytes, say, shell,
};
use crate::{
    bill::{
        Statement,
        export::{self, LineFormat, iif},
    },
    domain::{Month, OrgId, OrgScope, text::counted},
    observe::{events::DataExported, facts::Configured},
    store::ledger::read::LineQuery,
};

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One row for each line (RFC 4180)
    Csv,
    /// One JSON object for each line
    Jsonl,
    /// One invoice for each payer, for QuickBooks Desktop
    Iif,
}

/// Write the ledger of a month for other programs
///
/// CSV and JSON lines have every line of the ledger; each has an `id` that names it for ever, so that a program that reads one
/// twice knows. Texts that a spreadsheet would take for formulas begin with an apostrophe; numbers stay numbers. IIF has one
/// invoice for each payer of a closed month, adds up to zero, and takes the names of accounts from the section [fees].
///
/// How many lines there were and what they add up to is said on stderr. Each export is on record in the audit trail.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Whose deliveries
    #[arg(long, visible_alias = "org", value_name = "SLUG")]
    organization: String,
    /// The month that is billed, e.g. 2026-01
    #[arg(long, value_name = "MONTH")]
    month: Month,
    /// Only what this organization pays
    #[arg(long, value_name = "SLUG")]
    bill_to: Option<String>,
    /// Only lines behind this place in the ledger (CSV and JSON lines), to go on where an export ended
    #[arg(long, value_name = "LINE", default_value_t = 0)]
    after: i64,
    /// How to write it
    #[arg(long, value_enum)]
    format: Format,
    /// Write it to this file
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &ExportArgs, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let bill_to = match &args.bill_to {
            Some(slug) => Some(context::organization(store, slug).await?),
            None => None,
        };
        // Before the first line is shown.
        let what = Configured("ledger");
        store.witness(&shell::actor(), &DataExported { org: Some(organization.id), what }).await?;
        if args.format == Format::Iif {
            let fees = &context.config().fees;
            let accounts = iif::Accounts { receivable: &fees.receivable, income: &fees.income };
            let invoices = Statement::all(store, &organization, args.month, bill_to.as_ref()).await?;
            let mut written = Vec::new();
            iif::write(&invoices, accounts, &mut written)?;
            match &args.out {
                Some(file) => std::fs::write(file, written).with_context(|| format!("cannot write {}", file.display()))?,
                None => print_bytes(&written)?,
            }
            let count = counted(invoices.len() as u64, "invoice", "invoices");
            say(&format!("{count}; loading a file twice enters them twice: look for their numbers first"));
            return Ok(());
        }
        let slugs: HashMap<OrgId, String> = context::slugs(store).await?;
        let query =
            LineQuery { period: Some(args.month), bill_to: bill_to.map(|payer| payer.id), ..LineQuery::of(organization.id) };
        let format = if args.format == Format::Csv { LineFormat::Csv } else { LineFormat::Jsonl };
        let mut out: Box<dyn Write> = match &args.out {
            Some(file) => {
                let made = std::fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
                Box::new(BufWriter::new(made))
            }
            None => Box::new(std::io::stdout()),
        };
        let exported = export::lines(store, OrgScope::All, &query, args.after, &slugs, format, &mut out).await?;
        out.flush()?;
        let sums: Vec<String> = exported.amounts.iter().map(|(currency, sum)| format!("{sum} {currency}")).collect();
        let sums = if sums.is_empty() { "nothing".to_owned() } else { sums.join(" and ") };
        let count = counted(exported.lines, "line that adds", "lines that add");
        say(&format!("{count} up to {sums}; the last is line {}", exported.last));
        Ok(())
    })?;
    Ok(Exit::Good)
}
