//! `postern directory import`: load a directory, row by row, and put it into force as a whole.

use std::{
    fs::File,
    io::{BufWriter, IsTerminal as _, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::jobs::{self, Job};
use crate::{
    cli::{
        Exit,
        context::{self, Context, Global, Output, with_store},
        print, say,
        table::{Rows, print_json},
    },
    domain::{route::DirectorySource, text::counted},
    resolve::directory::{
        DirectoryError, Guard, Loaded, Mapping, Progress, Terms,
        archive::Meter,
        csv::Field,
        load::{self, Watcher},
        registry,
    },
    store::{
        Store,
        directory::{NewSnapshot, Snapshot},
    },
};

/// Load a directory in place of the one of the same source before
///
/// Each source has its own load in force; they answer side by side. Answers come from the old load until the new one is
/// complete; stopped in the middle (Ctrl-C) it leaves nothing behind. Rows that cannot be used are left out and listed, with
/// line and reason, in FILE.rejects.csv. A load with a fifth fewer rows of one type than the one in force is refused, because
/// half a file looks like that.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Nppes(Nppes),
    Npd(Npd),
    Fhir(Fhir),
    Csv(Csv),
}

/// NPPES: the monthly ZIP archive, or one of its CSV files (https://download.cms.gov/nppes/NPI_Files.html)
///
/// endpoint_pfile_*.csv has the addresses, npidata_pfile_*.csv tells which NPIs exist and which are deactivated. From the
/// archive both are loaded, without unpacking it. Take the monthly file, not a weekly one: a load replaces the one before.
#[derive(Debug, Args)]
struct Nppes {
    /// The archive or CSV file
    file: PathBuf,
    /// Load only this part of the archive
    #[arg(long, value_enum)]
    only: Option<Part>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// The addresses
    Endpoints,
    /// Which NPIs exist and which are deactivated
    Npis,
}

/// The National Provider Directory of CMS: the folder with manifest.json and the .ndjson.zst files it names
///
/// Needed are Endpoint, PractitionerRole and Practitioner; with Organization (and OrganizationAffiliation) it is known which
/// practice an address belongs to.
#[derive(Debug, Args)]
struct Npd {
    /// The folder, or the manifest in it
    #[arg(value_name = "FOLDER|MANIFEST")]
    file: PathBuf,
    #[command(flatten)]
    how: How,
}

/// FHIR R4 resources: NDJSON files of a bulk export, or Bundles of a search (also packed with zstd)
///
/// All files together are one load. Read are Practitioner, PractitionerRole, Organization, OrganizationAffiliation and
/// Endpoint; Direct is an Endpoint of type direct-project, or an e-mail that is marked as Direct.
#[derive(Debug, Args)]
struct Fhir {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    how: How,
}

/// A CSV file in UTF-8 with a header: that of a HISP directory, or with --organization an organization's own list
///
/// Needed is npi (or organization_npi) and address; taken where known: organization, organization_npi, state, postal_code,
/// rank, status. Columns may stand in any order; others are ignored. An NPI may have several rows, one for each address. A row
/// without an address says that the NPI is known; status inactive, that it has been deactivated.
#[derive(Debug, Args)]
struct Csv {
    /// The file
    file: PathBuf,
    /// The list is this organization's own: it answers for nobody else
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
    /// What a column is called in this file; may be given several times
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = mapped)]
    map: Vec<(Field, String)>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Read and judge it as an import would, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Load it even if it is much smaller than the one in force, or empty
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

fn mapped(text: &str) -> Result<(Field, String), String> {
    let (field, column) = text.split_once('=').ok_or("write it as FIELD=COLUMN, as in npi=PROV_NPI")?;
    let field = field.trim().parse().map_err(|why: crate::domain::text::NotAWord| why.to_string())?;
    Ok((field, column.trim().to_owned()))
}

pub(crate) fn run(import: &Import, global: &Global) -> anyhow::Result<Exit> {
    let (how, jobs, slug) = match &import.kind {
        Kind::Nppes(nppes) => (&nppes.how, jobs::nppes(&nppes.file, nppes.only), None),
        Kind::Npd(npd) => (&npd.how, jobs::npd(&npd.file), None),
        Kind::Fhir(fhir) => (&fhir.how, jobs::fhir(&fhir.files), None),
        Kind::Csv(csv) => {
            let mut mapping = Mapping::default();
            csv.map.iter().for_each(|(field, column)| mapping.set(*field, column));
            (&csv.how, jobs::csv(&csv.file, mapping, csv.organization.is_some()), csv.organization.as_deref())
        }
    };
    let jobs = match jobs {
        Ok(jobs) => jobs,
        Err(error @ DirectoryError::Open(..)) => return Err(error.into()),
        Err(error) => return Ok(refused(error, None)),
    };
    with_store(global, async |context, store| {
        let mut shown = Vec::new();
        for job in jobs {
            let rejects = job.rejects.clone();
            let source = job.source;
            match perform(job, how, slug, context, store).await? {
                Ok((loaded, before)) if how.output.json => shown.push(as_json(source, &loaded, before.as_ref(), &rejects, how)),
                Ok((loaded, before)) => show(source, &loaded, before.as_ref(), &rejects, how)?,
                Err(error @ (DirectoryError::Store(_) | DirectoryError::Rejects(_) | DirectoryError::Sort(_))) => {
                    return Err(error.into());
                }
                Err(error) => return Ok(refused(error, Some(&rejects))),
            }
        }
        if how.output.json {
            // One file with one part in it is what most are.
            if let [one] = &shown[..] { print_json(one)? } else { print_json(&shown)? }
        }
        Ok(Exit::Good)
    })
}

fn refused(error: DirectoryError, rejects: Option<&Path>) -> Exit {
    say(&format!("error: {:#}; the directory before stays in force", anyhow::Error::from(error)));
    if let Some(rejects) = rejects.filter(|rejects| rejects.exists()) {
        say(&format!("rejected rows are listed in {}", rejects.display()));
    }
    Exit::Bad
}

type Performed = Result<(Loaded, Option<Snapshot>), DirectoryError>;

async fn perform(job: Job, how: &How, slug: Option<&str>, context: &Context, store: &Store) -> anyhow::Result<Performed> {
    let org = match slug {
        Some(slug) => Some(context::organization(store, slug).await?.id),
        None => None,
    };
    let before = store.active_snapshot(job.source, org).await?;
    let rejects = match File::create(&job.rejects) {
        Ok(file) => BufWriter::new(file),
        Err(error) => return Ok(Err(DirectoryError::Rejects(error))),
    };
    let meter = Meter::new(AtomicU64::new(0));
    let bar = bar(job.bytes);
    let terms = Terms {
        guard: Guard { force: how.force, ..Guard::default() },
        dry_run: how.dry_run,
        rejects: Box::new(rejects) as Box<dyn Write + Send>,
        watcher: watcher(&bar, &meter, job.bytes),
    };
    let today = crate::domain::time::TimeZone::utc().date_at(context.clock.now()).to_string();
    let Job { source, file, read, rejects, .. } = job;
    let new = NewSnapshot { source, org, file: &file };
    let loading = async {
        match read {
            jobs::Reading::Rows(read) => load::load(store, new, move |sink| read(&today, &meter, sink), terms).await,
            jobs::Reading::Registry(open) => registry::load(store, &file, move || open(&meter), terms).await,
        }
    };
    let loaded = tokio::select! {
        loaded = loading => loaded,
        _ = tokio::signal::ctrl_c() => {
            bar.abandon();
            // Whatever was written is seen by nobody; it is taken away at once rather than by the next import.
            store.remove_unfinished(source, org).await?;
            Err(DirectoryError::Stopped)
        }
    };
    bar.finish_and_clear();
    if loaded.as_ref().is_ok_and(|loaded| loaded.rejected == 0) {
        // An empty list would only raise the question.
        let _ = std::fs::remove_file(rejects);
    }
    Ok(loaded.map(|loaded| (loaded, before)))
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes);
    let style = ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

/// A bar on a terminal, now and then a line elsewhere.
fn watcher(bar: &ProgressBar, meter: &Meter, bytes: u64) -> Watcher {
    const EVERY: Duration = Duration::from_secs(10);
    let (bar, meter, plain) = (bar.clone(), Arc::clone(meter), !std::io::stderr().is_terminal());
    let last = Mutex::new(Instant::now());
    Arc::new(move |progress: Progress| {
        let read = meter.load(Ordering::Relaxed).min(bytes);
        let read_rows = counted(progress.read, "row", "rows");
        let words = format!("{read_rows} read, {} rejected, {} written", progress.rejected, progress.written);
        if !plain {
            bar.set_position(read);
            bar.set_message(words);
            return;
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= EVERY {
            *last = Instant::now();
            say(&format!("{} %: {words}", (read * 100).checked_div(bytes).unwrap_or(100)));
        }
    })
}

fn as_json(source: DirectorySource, loaded: &Loaded, before: Option<&Snapshot>, rejects: &Path, how: &How) -> serde_json::Value {
    let rejects = (loaded.rejected > 0).then(|| rejects.display().to_string());
    json!({ "source": source, "snapshot": loaded.snapshot, "dry_run": how.dry_run, "rows": loaded.entries,
            "before": before.map(|before| before.entries), "rejected": loaded.rejected, "duplicates": loaded.duplicates,
            "webmail": loaded.webmail, "types": loaded.counts, "rejects": rejects })
}

fn show(source: DirectorySource, loaded: &Loaded, before: Option<&Snapshot>, rejects: &Path, how: &How) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["type", "rows in the file", "taken", "taken before"]);
    for (of, count) in &loaded.counts {
        let before = before.and_then(|before| before.counts.get(of)).map(|count| count.taken.to_string());
        rows.push([crate::cli::table::clean(of), count.rows.to_string(), count.taken.to_string(), before.unwrap_or_default()]);
    }
    rows.print()?;
    let instead = before.map_or_else(String::new, |before| format!(" in place of {}", before.entries));
    let (entries, rejected) = (loaded.entries, loaded.rejected);
    let (would, rows) = (if how.dry_run { " would be" } else { "" }, counted(entries, "row", "rows"));
    print(&format!("{source}: {rows}{would} in force{instead}, {rejected} rejected\n"))?;
    if loaded.duplicates > 0 {
        say(&format!("{} said again what another had said", counted(loaded.duplicates, "row", "rows")));
    }
    if loaded.webmail > 0 {
        say(&format!(
            "{} at mailbox providers for everybody; their certificates will tell whether they are Direct addresses",
            counted(loaded.webmail, "address is", "addresses are")
        ));
    }
    if rejected > 0 {
        say(&format!("rejected rows are listed in {}", rejects.display()));
    }
    Ok(())
}
