//! `postern directory import`: load a directory, row by row, and put it into force as a whole.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{Global, Output, with_store},
        print, say,
        table::print_json,
    },
    resolve::directory::{self, CsvDirectory, DirectoryError, Guard, Loaded, Progress},
    store::Store,
};

/// Load a directory in place of the one before
///
/// Answers come from the old directory until the new one is complete. Rows that cannot be used are left out and listed,
/// with line and reason, in FILE.rejects.csv. A directory with a fifth fewer rows than the one in force is refused, because
/// half a file looks like that.
#[derive(Debug, Args)]
pub(crate) struct Import {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    Csv(Csv),
}

/// A CSV file in UTF-8 with a header: npi and address, and where known organization, organization_npi, status
///
/// Columns may stand in any order; others are ignored. An NPI may have several rows, one for each address. A row without an
/// address says that the NPI is known; status inactive, that it has been deactivated.
#[derive(Debug, Args)]
struct Csv {
    /// The file
    file: PathBuf,
    /// Load it even if it is much smaller than the one in force, or empty
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(import: &Import, global: &Global) -> anyhow::Result<Exit> {
    let Kind::Csv(csv) = &import.kind;
    let file = File::open(&csv.file).with_context(|| format!("opening {}", csv.file.display()))?;
    let bytes = file.metadata().map_or(0, |file| file.len());
    let rejects = rejects_of(&csv.file);
    let loaded = with_store(global, async |_, store| Ok(load(csv, file, bytes, &rejects, store).await))?;
    match loaded {
        Ok((loaded, before)) => show(csv, loaded, before, &rejects),
        Err(error @ (DirectoryError::Store(_) | DirectoryError::Rejects(_))) => Err(error.into()),
        Err(error) => {
            say(&format!("error: {:#}; the directory before stays in force", anyhow::Error::from(error)));
            if rejects.exists() {
                say(&format!("rejected rows are listed in {}", rejects.display()));
            }
            Ok(Exit::Bad)
        }
    }
}

/// `FILE.rejects.csv`.
fn rejects_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".rejects.csv");
    PathBuf::from(name)
}

async fn load(csv: &Csv, file: File, bytes: u64, rejects: &Path, store: &Store) -> Result<(Loaded, Option<u64>), DirectoryError> {
    let directory = CsvDirectory::new(file)?;
    let source = csv.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let before = store.active_snapshot().await?.map(|snapshot| snapshot.entries);
    let mut list = BufWriter::new(File::create(rejects).map_err(|error| DirectoryError::Rejects(error.into()))?);
    // On anything but a terminal it shows nothing.
    let bar = ProgressBar::new(bytes);
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {percent}%  {msg}  {eta} left").unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let mut step = |progress: Progress| {
        bar.set_position(progress.bytes);
        bar.set_message(format!("{} rows, {} rejected", progress.taken, progress.rejected));
    };
    let guard = Guard { force: csv.force, ..Guard::default() };
    let loaded = directory::load(store, &source, directory, &mut list, guard, &mut step).await;
    bar.finish_and_clear();
    let flushed = list.flush().map_err(|error| DirectoryError::Rejects(error.into()));
    let loaded = loaded?;
    flushed?;
    if loaded.progress.rejected == 0 {
        // An empty list would only raise the question.
        let _ = std::fs::remove_file(rejects);
    }
    Ok((loaded, before))
}

fn show(csv: &Csv, loaded: Loaded, before: Option<u64>, rejects: &Path) -> anyhow::Result<Exit> {
    let Progress { taken, rejected, .. } = loaded.progress;
    if csv.output.json {
        let rejects = (rejected > 0).then(|| rejects.display().to_string());
        print_json(
            &json!({ "snapshot": loaded.snapshot, "rows": taken, "rejected": rejected, "before": before, "rejects": rejects }),
        )?;
        return Ok(Exit::Good);
    }
    let instead = before.map_or_else(String::new, |before| format!(" in place of {before}"));
    print(&format!("{taken} rows are in force{instead}, {rejected} were rejected\n"))?;
    if rejected > 0 {
        say(&format!("rejected rows are listed in {}", rejects.display()));
    }
    Ok(Exit::Good)
}
