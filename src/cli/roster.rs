//! `postern roster`: who a payer's members are attributed to.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{
    Exit,
    context::{self, Global, Output, with_store},
    print, say,
    table::{Rows, print_json, time},
};
use crate::{
    domain::{id::RosterId, text::counted},
    resolve::roster::{self, Column, CsvRoster, Guard, Loaded, Prepared, Progress, RosterError},
    store::{Store, roster::Changes},
};

/// Payer rosters: who is the primary care provider of which member
#[derive(Debug, Args)]
pub(crate) struct Roster {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Import(Import),
    List(List),
}

/// Load a roster in place of the one before
///
/// A CSV file in UTF-8 with a header: the member number and the NPI of the primary care provider, and where known the first and
/// last day, the plan and the date of birth. Usual names of columns are known (member_id, pcp_npi, pcp_eff, pcp_term, plan_id,
/// dob); others are named with --column. Other columns are not read. Member numbers and dates of birth are kept as keyed
/// hashes only.
///
/// Answers come from the old roster until the new one is complete. Rows that cannot be used are left out and listed, with line
/// and reason, in FILE.rejects.csv. A roster whose number of members moved by more than a tenth is refused.
#[derive(Debug, Args)]
struct Import {
    /// The file
    file: PathBuf,
    /// Whose members
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// What a column is called here: member_id, npi, from, to, plan_id or birth_date
    #[arg(long = "column", value_name = "WHAT=NAME", value_parser = column)]
    columns: Vec<(Column, String)>,
    /// Read it and show what it would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Load it even if it is empty or much different from the one in force
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

/// List the versions of an organization's roster, the latest first
#[derive(Debug, Args)]
struct List {
    /// Whose
    #[arg(long, value_name = "SLUG")]
    organization: String,
    #[command(flatten)]
    output: Output,
}

fn column(text: &str) -> Result<(Column, String), String> {
    let bad = || "is not WHAT=NAME with WHAT one of member_id, npi, from, to, plan_id, birth_date".to_owned();
    let (what, name) = text.split_once('=').ok_or_else(bad)?;
    Ok((Column::named(what).ok_or_else(bad)?, name.to_owned()))
}

pub(crate) fn run(roster: &Roster, global: &Global) -> anyhow::Result<Exit> {
    match &roster.command {
        Command::Import(args) => import(args, global),
        Command::List(args) => list(args, global),
    }
}

fn import(args: &Import, global: &Global) -> anyhow::Result<Exit> {
    let file = File::open(&args.file).with_context(|| format!("opening {}", args.file.display()))?;
    let mut name = args.file.as_os_str().to_owned();
    name.push(".rejects.csv");
    let rejects = PathBuf::from(name);
    let loaded = with_store(global, async |_, store| {
        let org = context::organization(store, &args.organization).await?.id;
        Ok(load(args, org, file, &rejects, store).await)
    })?;
    let Came { roster, members, before, progress, changes, refused } = match loaded {
        Ok(came) => came,
        Err(error @ (RosterError::Store(_) | RosterError::Rejects(_))) => return Err(error.into()),
        Err(error) => {
            say(&format!("error: {:#}; the roster before stays in force", anyhow::Error::from(error)));
            if rejects.exists() {
                say(&format!("rejected rows are listed in {}", rejects.display()));
            }
            return Ok(Exit::Bad);
        }
    };
    let listed = (progress.rejected > 0).then(|| rejects.display().to_string());
    if args.output.json {
        print_json(
            &json!({ "roster": roster, "lines": progress.taken, "members": members, "before": before, "dry_run": args.dry_run,
            "changes": changes, "rejected": progress.rejected, "rejects": listed }),
        )?;
    } else {
        let instead = before.map_or_else(String::new, |before| format!(" in place of {before}"));
        let Progress { taken, rejected, .. } = progress;
        let would = if args.dry_run { " would be" } else { "" };
        let (members, lines) = (counted(members, "member", "members"), counted(taken, "line", "lines"));
        print(&format!("{members} ({lines}){would} in force{instead}, {rejected} rejected\n"))?;
        if let Some(Changes { added, changed, gone }) = changes {
            print(&format!("{added} new, {changed} with another provider, plan or day, {gone} gone\n"))?;
        }
        if let Some(listed) = listed {
            say(&format!("rejected rows are listed in {listed}"));
        }
    }
    if let Some(refused) = refused {
        say(&format!("it would be refused: {:#}", anyhow::Error::from(refused)));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Good)
}

/// What came of a roster: loaded, or only looked at.
struct Came {
    roster: Option<RosterId>,
    members: u64,
    before: Option<u64>,
    progress: Progress,
    changes: Option<Changes>,
    refused: Option<RosterError>,
}

impl From<Loaded> for Came {
    fn from(Loaded { roster, members, before, progress }: Loaded) -> Self {
        Self { roster: Some(roster), members, before, progress, changes: None, refused: None }
    }
}

impl From<Prepared> for Came {
    fn from(Prepared { members, before, progress, changes, refused, .. }: Prepared) -> Self {
        Self { roster: None, members, before, progress, changes: Some(changes), refused }
    }
}

async fn load(args: &Import, org: crate::domain::OrgId, file: File, rejects: &Path, store: &Store) -> Result<Came, RosterError> {
    let bytes = file.metadata().map_or(0, |file| file.len());
    let mapping: HashMap<Column, String> = args.columns.iter().cloned().collect();
    let rows = CsvRoster::new(file, &mapping)?;
    let source = args.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut list = BufWriter::new(File::create(rejects).map_err(|error| RosterError::Rejects(error.into()))?);
    // On anything but a terminal it shows nothing.
    let bar = ProgressBar::new(bytes);
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {eta} left").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut step = |progress: Progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{}, {} rejected", counted(progress.taken, "row", "rows"), progress.rejected));
    };
    let guard = Guard { force: args.force, ..Guard::default() };
    let came: Result<Came, RosterError> = if args.dry_run {
        roster::look(store, org, rows, &mut list, guard, &mut step).await.map(Came::from)
    } else {
        roster::load(store, org, &source, rows, &mut list, guard, &mut step).await.map(Came::from)
    };
    bar.finish_and_clear();
    let flushed = list.flush().map_err(|error| RosterError::Rejects(error.into()));
    let came = came?;
    flushed?;
    if came.progress.rejected == 0 {
        // An empty list would only raise the question.
        let _ = std::fs::remove_file(rejects);
    }
    Ok(came)
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let all = with_store(global, async |_, store| {
        let org = context::organization(store, &args.organization).await?.id;
        Ok(store.rosters(org).await?)
    })?;
    if args.output.json {
        let rows: Vec<_> = all
            .iter()
            .map(|roster| {
                json!({ "roster": roster.id, "source": roster.source, "state": roster.state, "lines": roster.lines,
                        "members": roster.members, "loaded_at": roster.loaded_at.to_string() })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if all.is_empty() {
        say("no roster was loaded; load one with: postern roster import FILE --organization SLUG");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["loaded", "state", "members", "lines", "from", "version"]);
    rows.right(&[2, 3]);
    for roster in all {
        let (members, lines) = (roster.members.to_string(), roster.lines.to_string());
        rows.push([time(roster.loaded_at), roster.state, members, lines, roster.source, roster.id.to_string()]);
    }
    rows.print()?;
    Ok(Exit::Good)
}
