//! `postern fees`: what is owed, without a patient in sight.

/// Corrections by hand.
mod adjust;
/// Months from open to closed.
mod close;
/// What a month costs.
mod statement;

use clap::{Args, Subcommand, ValueEnum};

use super::{
    Exit,
    context::{self, Global, with_store},
    print_bytes, say,
    table::{Rows, print_json},
};
use crate::{
    bill::{self, Report},
    domain::{OrgScope, time::Date},
    store::ledger::LineFilter,
};

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Table,
    /// For spreadsheets
    Csv,
    /// For programs
    Json,
}

/// Fees: report what the ledger adds up to, close months, write statements
#[derive(Debug, Args)]
pub(crate) struct Fees {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Report(ReportArgs),
    Periods(close::PeriodsArgs),
    Close(close::CloseArgs),
    Statement(statement::StatementArgs),
    Adjust(adjust::AdjustArgs),
}

/// Who does it: the name given, else the user of this shell.
fn who(named: Option<&str>) -> String {
    let user = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.map(str::to_owned).or_else(user).filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Add up the fees of a period
///
/// The period begins with the day --from and ends before the day --to, which is not in it: January is
/// `--from 2026-01-01 --to 2026-02-01`. Days are those of each organization's own time zone.
///
/// Rows are grouped by organization, site, entry type, fee code, currency, note and price, so that each is a quantity
/// times a price. The note says `unpriced` where no price was in force, `test` for test traffic; both cost nothing. CSV has
/// the rows alone; table and JSON have the totals too.
#[derive(Debug, Args)]
struct ReportArgs {
    /// First day, e.g. 2026-01-01
    #[arg(long, value_name = "DAY")]
    from: Date,
    /// First day after the period, e.g. 2026-02-01
    #[arg(long, value_name = "DAY")]
    to: Date,
    /// Only this organization's
    #[arg(long, visible_alias = "org", value_name = "SLUG")]
    organization: Option<String>,
    /// Only this site's, by its local_id
    #[arg(long, value_name = "LOCAL_ID")]
    site: Option<String>,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

pub(crate) fn run(fees: &Fees, global: &Global) -> anyhow::Result<Exit> {
    match &fees.command {
        Command::Report(args) => report(args, global),
        Command::Periods(args) => close::periods(args, global),
        Command::Close(args) => close::run(args, global),
        Command::Statement(args) => statement::run(args, global),
        Command::Adjust(args) => adjust::run(args, global),
    }
}

fn report(args: &ReportArgs, global: &Global) -> anyhow::Result<Exit> {
    anyhow::ensure!(args.from < args.to, "--to is the first day after the period: it must be later than --from");
    let report = with_store(global, async |_, store| {
        let organizations = match &args.organization {
            Some(slug) => vec![context::organization(store, slug).await?],
            None => store.organizations(OrgScope::All).await?,
        };
        let mut lines = Vec::new();
        for organization in &organizations {
            let zone = &organization.file.time_zone;
            let filter = LineFilter {
                org: organization.id,
                site: args.site.as_deref(),
                from: zone.start_of(args.from),
                to: zone.start_of(args.to),
            };
            let found = store.ledger_lines(OrgScope::One(organization.id), filter).await?;
            lines.extend(found.into_iter().map(|line| (organization.file.slug.as_str(), line)));
        }
        Ok(bill::report(args.from, args.to, lines.iter().map(|(slug, line)| (*slug, line)))?)
    })?;
    match if args.json { Format::Json } else { args.format } {
        Format::Json => print_json(&report)?,
        Format::Csv => {
            let mut csv = Vec::new();
            bill::csv::write(&report, &mut csv)?;
            print_bytes(&csv)?;
        }
        Format::Table => show(&report)?,
    }
    Ok(Exit::Good)
}

fn show(report: &Report) -> anyhow::Result<()> {
    if report.rows.is_empty() {
        say("no fees in this period");
        return Ok(());
    }
    let mut rows =
        Rows::new(&["organization", "site", "entry", "fee code", "note", "quantity", "unit price", "amount", "currency"]);
    rows.right(&[5, 6, 7]);
    for row in &report.rows {
        let group = &row.group;
        rows.push([
            group.organization.clone(),
            group.site.clone(),
            group.entry_type.to_string(),
            group.fee_code.clone(),
            group.note.clone(),
            row.quantity.to_string(),
            group.unit_price.to_string(),
            row.amount.to_string(),
            group.currency.to_string(),
        ]);
    }
    rows.print()?;
    print_bytes(b"\n")?;
    let mut sums = Rows::new(&["total of", "charges", "unpriced", "test", "amount", "currency"]);
    sums.right(&[1, 2, 3, 4]);
    let all = report.totals.iter().map(|total| ("all".to_owned(), total));
    let each = report.organizations.iter().map(|owed| (owed.organization.clone(), &owed.total));
    for (whose, total) in each.chain(all.filter(|_| report.organizations.len() > report.totals.len())) {
        sums.push([
            whose,
            total.charges.to_string(),
            total.unpriced.to_string(),
            total.test.to_string(),
            total.amount.to_string(),
            total.currency.to_string(),
        ]);
    }
    sums.print()
}
