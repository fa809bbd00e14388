//! The command line: one thin file for each command. Data goes to stdout, talk to stderr.

/// `postern alerts`.
mod alerts;
mod assemble;
/// `postern audit`.
mod audit;
mod bench;
/// `postern check-config`.
mod check_config;
/// What most commands need.
pub(crate) mod context;
/// `postern delivery`.
mod delivery;
mod demo;
/// `postern directory`.
mod directory;
/// `postern doctor`.
mod doctor;
/// One request to a running gateway.
mod exchange;
/// How long a certificate is still good.
mod expiry;
/// `postern explain`.
mod explain;
/// `postern fees`.
mod fees;
/// `postern hisp`.
mod hisp;
/// `postern inbox`.
mod inbox;
/// `postern init`.
mod init;
/// `postern org`.
mod org;
/// `postern probe`.
mod probe;
/// `postern report`.
mod report;
/// `postern roster`.
mod roster;
/// Who is at the shell.
mod shell;
/// `postern order submit` and `postern result submit`.
mod submit;
/// Lists for people, JSON for programs.
pub(crate) mod table;
/// `postern token`.
mod token;
/// `postern trust`.
mod trust;
/// `postern user`.
mod user;
/// `postern verify`.
mod verify;
/// `postern webhook`.
mod webhook;
/// `postern worklist`.
mod worklist;

use std::{
    io::{Read as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

mod document;
mod inspect;
mod open;
mod parked;
mod seal;
mod serve;

/// A results gateway: gets a finished diagnostic result to the right clinician as a Direct message, provably.
#[derive(Debug, Parser)]
#[command(
    name = "postern",
    version,
    max_term_width = 100,
    before_help = "Start here: postern demo",
    after_help = "Data goes to stdout, talk to stderr. Exit codes: 0 good, 1 the thing asked about is bad, 2 usage or set-up.",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    global: context::Global,
    #[command(subcommand)]
    command: Command,
}

/// In the order a newcomer needs them.
#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Demo),
    Bench(bench::Bench),
    /// Make a folder with a commented configuration and a master key
    Init(init::Init),
    Serve(serve::Serve),
    /// Check the configuration and show what is in force, without secrets
    CheckConfig(check_config::CheckConfig),
    Doctor(doctor::Doctor),
    Org(org::Org),
    Token(token::Token),
    User(user::User),
    Audit(audit::Audit),
    Directory(directory::Directory),
    Roster(roster::Roster),
    Trust(trust::Trust),
    Probe(probe::Probe),
    Order(submit::Order),
    Result(submit::ResultOf),
    Explain(explain::Explain),
    Delivery(delivery::Delivery),
    Worklist(worklist::Worklist),
    Alerts(alerts::Alerts),
    Inbox(inbox::Inbox),
    Webhook(webhook::Webhook),
    Parked(parked::ParkedItems),
    Fees(fees::Fees),
    Report(report::ReportOf),
    /// Verify the ledger's and the audit trail's chains, that the totals tie, and that each result has its document
    ///
    /// Exit code 1 when they do not: then somebody has changed the ledger or the trail, or something went wrong. Documents that belong to
    /// no result are reported too; a running gateway removes them.
    Verify(verify::Verify),
    Document(document::Args),
    Seal(seal::Args),
    Open(open::Args),
    Inspect(inspect::Args),
    /// Run a practice HISP, and look into its mailboxes
    #[command(subcommand)]
    Hisp(hisp::Hisp),
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Good,
    /// The thing asked about is bad.
    Bad,
}

/// Writes data to stdout.
pub(crate) fn print(data: &str) -> anyhow::Result<()> {
    print_bytes(data.as_bytes())
}

/// Writes data to stdout, octet by octet as it is.
pub(crate) fn print_bytes(data: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(data)?;
    out.flush()?;
    Ok(())
}

/// Writes a file that names a patient: only its owner may read it, also when there was one of that name.
pub(crate) fn save(file: &std::path::Path, content: &[u8]) -> std::io::Result<()> {
    crate::crypto::private::write(file, content)
}

/// Says something to the person: stderr.
pub(crate) fn say(talk: &str) {
    // Nothing can be done about a closed stderr, and it must not stop the work.
    let _ = writeln!(std::io::stderr().lock(), "{talk}");
}

/// Runs what a command has to wait for.
pub(crate) fn block_on<F: Future>(work: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    Ok(runtime.context("starting the runtime")?.block_on(work))
}

/// Reads a file a command was given; `-` is standard input.
pub(crate) fn read(file: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    if file.as_os_str() == "-" {
        let mut data = Vec::new();
        std::io::stdin().lock().read_to_end(&mut data).context("cannot read standard input")?;
        return Ok(data);
    }
    std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// The instant a command without a running gateway judges by.
#[expect(clippy::disallowed_methods, reason = "the command line is where the clock enters")]
pub(crate) fn now() -> crate::domain::Timestamp {
    crate::domain::Timestamp(jiff::Timestamp::now().as_microsecond())
}

/// Runs one command line and maps its end to an exit code: 0 good, 1 the thing asked about is bad, 2 usage or set-up.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    cli.global.ran = shell::Ran::of(&matches);
    match run(&cli) {
        Ok(Exit::Good) => ExitCode::SUCCESS,
        Ok(Exit::Bad) => ExitCode::from(1),
        // `postern ... | head` is not an error.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<Exit> {
    match &cli.command {
        Command::Bench(bench) => bench::run(bench),
        Command::Demo(demo) => demo::run(demo),
        Command::Init(init) => init::run(init),
        Command::Serve(serve) => serve::run(serve, &cli.global),
        Command::CheckConfig(check) => check_config::run(check, &cli.global),
        Command::Doctor(doctor) => doctor::run(doctor, &cli.global),
        Command::Org(org) => org::run(org, &cli.global),
        Command::Token(token) => token::run(token, &cli.global),
        Command::User(user) => user::run(user, &cli.global),
        Command::Audit(audit) => audit::run(audit, &cli.global),
        Command::Directory(directory) => directory::run(directory, &cli.global),
        Command::Roster(roster) => roster::run(roster, &cli.global),
        Command::Trust(trust) => trust::run(trust, &cli.global),
        Command::Probe(probe) => probe::run(probe, &cli.global),
        Command::Order(order) => submit::order(order),
        Command::Result(result) => submit::result(result),
        Command::Explain(explain) => explain::run(explain, &cli.global),
        Command::Delivery(delivery) => delivery::run(delivery, &cli.global),
        Command::Worklist(worklist) => worklist::run(worklist, &cli.global),
        Command::Alerts(alerts) => alerts::run(alerts, &cli.global),
        Command::Inbox(inbox) => inbox::run(inbox, &cli.global),
        Command::Webhook(webhook) => webhook::run(webhook, &cli.global),
        Command::Parked(parked) => parked::run(parked, &cli.global),
        Command::Fees(fees) => fees::run(fees, &cli.global),
        Command::Report(report) => report::run(report, &cli.global),
        Command::Verify(verify) => verify::run(verify, &cli.global),
        Command::Document(args) => document::run(args),
        Command::Seal(args) => seal::run(args),
        Command::Open(args) => open::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Hisp(hisp) => hisp::run(hisp),
    }
}
