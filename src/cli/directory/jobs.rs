//! What files are imported, and in what parts: an NPPES archive has two.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use super::import::Part;
use crate::{
    domain::route::DirectorySource,
    resolve::directory::{
        CsvDirectory, DirectoryError, Mapping,
        archive::{self, Meter, Stream},
        drain, fhir,
        npd::Release,
        nppes::NppesEndpoints,
        rows::Sink,
    },
};

/// One load to be made.
pub(super) struct Job {
    pub(super) source: DirectorySource,
    /// The name of the file, for people.
    pub(super) file: String,
    /// How many octets will be read.
    pub(super) bytes: u64,
    /// Where rejected rows are listed.
    pub(super) rejects: PathBuf,
    pub(super) read: Reading,
}

type ReadRows = Box<dyn FnOnce(&str, &Meter, Sink<'_>) -> Result<(), DirectoryError> + Send>;
type Open = Box<dyn FnOnce(&Meter) -> Result<Stream, DirectoryError> + Send>;

/// How it is read.
pub(super) enum Reading {
    /// Row by row; told the day, whom to count for and where to.
    Rows(ReadRows),
    /// As the list of all NPIs.
    Registry(Open),
}

/// `FILE.rejects.csv`.
fn rejects_of(file: &Path, part: &str) -> PathBuf {
    // A folder's name may end with a slash.
    let mut name = file.components().collect::<PathBuf>().into_os_string();
    name.push(part);
    name.push(".rejects.csv");
    PathBuf::from(name)
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn length_of(file: &Path) -> Result<u64, DirectoryError> {
    file.metadata().map(|file| file.len()).map_err(|error| DirectoryError::Open(file.display().to_string(), error))
}

pub(super) fn csv(file: &Path, mapping: Mapping, own: bool) -> Result<Vec<Job>, DirectoryError> {
    let path = file.to_owned();
    let read: ReadRows = Box::new(move |_, meter, sink| drain(CsvDirectory::new(archive::plain(&path, meter)?, &mapping)?, sink));
    Ok(vec![Job {
        source: if own { DirectorySource::TenantList } else { DirectorySource::DirectTrust },
        file: name_of(file),
        bytes: length_of(file)?,
        rejects: rejects_of(file, ""),
        read: Reading::Rows(read),
    }])
}

pub(super) fn fhir(files: &[PathBuf]) -> Result<Vec<Job>, DirectoryError> {
    let Some(first) = files.first() else { return Ok(Vec::new()) };
    let mut bytes = 0;
    for file in files {
        // Each is read twice.
        bytes += 2 * length_of(file)?;
    }
    let name = if files.len() > 1 { format!("{} and {} more", name_of(first), files.len() - 1) } else { name_of(first) };
    let (rejects, files) = (rejects_of(first, ""), files.to_vec());
    let read: ReadRows = Box::new(move |today, meter, sink| fhir::file::read(&files, today, meter, sink));
    Ok(vec![Job { source: DirectorySource::Fhir, file: name, bytes, rejects, read: Reading::Rows(read) }])
}

pub(super) fn npd(file: &Path) -> Result<Vec<Job>, DirectoryError> {
    length_of(file)?;
    let release = Release::find(file)?;
    let name = format!("{} {}", name_of(file), release.generated_at).trim().to_owned();
    let bytes = release.bytes;
    let read: ReadRows = Box::new(move |today, meter, sink| release.read(today, meter, sink));
    Ok(vec![Job { source: DirectorySource::Npd, file: name, bytes, rejects: rejects_of(file, ""), read: Reading::Rows(read) }])
}

/// What the files in NPPES's archive are called. Beside each lies another with nothing but its header.
fn is_of(part: Part, name: &str) -> bool {
    let begins = match part {
        Part::Endpoints => "endpoint_pfile",
        Part::Npis => "npidata_pfile",
    };
    name.starts_with(begins)
        && Path::new(name).extension().is_some_and(|end| end.eq_ignore_ascii_case("csv"))
        && !name.contains("fileheader")
}

pub(super) fn nppes(file: &Path, only: Option<Part>) -> Result<Vec<Job>, DirectoryError> {
    let bytes = length_of(file)?;
    let bad = |problem: &str| DirectoryError::Archive { file: file.display().to_string(), problem: problem.to_owned() };
    let zipped = archive::is_zip(file)?;
    let mut jobs = Vec::new();
    for part in [Part::Npis, Part::Endpoints] {
        let there = if zipped {
            archive::zipped(file, &Meter::default(), |name| is_of(part, name))?.is_some()
        } else {
            part == part_of(file)?
        };
        if there && only.is_none_or(|only| only == part) {
            jobs.push(part_job(file, part, zipped, bytes));
        }
    }
    if jobs.is_empty() {
        return Err(bad("has neither an endpoint_pfile_*.csv nor an npidata_pfile_*.csv that is asked for"));
    }
    Ok(jobs)
}

fn part_job(file: &Path, part: Part, zipped: bool, bytes: u64) -> Job {
    let path = file.to_owned();
    let open: Open = Box::new(move |meter| {
        if !zipped {
            return archive::plain(&path, meter);
        }
        let found = archive::zipped(&path, meter, |name| is_of(part, name))?;
        let problem = "has changed while it was read".to_owned();
        found.ok_or_else(|| DirectoryError::Archive { file: path.display().to_string(), problem })
    });
    let (source, suffix, read) = match part {
        Part::Npis => (DirectorySource::Registry, ".npis", Reading::Registry(open)),
        Part::Endpoints => {
            let read: ReadRows = Box::new(move |_, meter, sink| drain(NppesEndpoints::new(open(meter)?)?, sink));
            (DirectorySource::Nppes, "", Reading::Rows(read))
        }
    };
    Job { source, file: name_of(file), bytes, rejects: rejects_of(file, suffix), read }
}

/// Which of the two a CSV file is, by its header.
fn part_of(file: &Path) -> Result<Part, DirectoryError> {
    let mut first = Vec::new();
    let open = archive::plain(file, &Meter::default())?;
    open.take(64 << 10).read_to_end(&mut first).map_err(|error| DirectoryError::Open(file.display().to_string(), error))?;
    let header = first.split(|octet| *octet == b'\n').next().unwrap_or_default().to_ascii_lowercase();
    let is_main = memchr::memmem::find(&header, b"npi deactivation date").is_some();
    Ok(if is_main { Part::Npis } else { Part::Endpoints })
}
