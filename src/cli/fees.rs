//! `postern fees`: what is owed, without a patient in sight.

/// Sums made again.
mod add_up;
/// Corrections by hand.
mod adjust;
/// Months from open to closed.
mod close;
/// The ledger for other programs.
mod export;
/// What the HISP has counted.
mod reconcile;
/// What the ledger adds up to.
mod report;
/// What a month costs.
mod statement;

use clap::{Args, Subcommand, ValueEnum};

use super::{Exit, context::Global};

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

/// Fees: report what the ledger adds up to, close months, write statements, export, reconcile
#[derive(Debug, Args)]
pub(crate) struct Fees {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Report(report::ReportArgs),
    Periods(close::PeriodsArgs),
    Close(close::CloseArgs),
    Statement(statement::StatementArgs),
    Adjust(adjust::AdjustArgs),
    Export(export::ExportArgs),
    Reconcile(reconcile::ReconcileArgs),
    AddUp(add_up::AddUpArgs),
}

/// Who does it: the name given, else the user of this shell.
fn who(named: Option<&str>) -> String {
    let user = || ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    named.map(str::to_owned).or_else(user).filter(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

pub(crate) fn run(fees: &Fees, global: &Global) -> anyhow::Result<Exit> {
    match &fees.command {
        Command::Report(args) => report::run(args, global),
        Command::Periods(args) => close::periods(args, global),
        Command::Close(args) => close::run(args, global),
        Command::Statement(args) => statement::run(args, global),
        Command::Adjust(args) => adjust::run(args, global),
        Command::Export(args) => export::run(args, global),
        Command::Reconcile(args) => reconcile::run(args, global),
        Command::AddUp(args) => add_up::run(args, global),
    }
}
