//! The National Provider Directory of CMS: a folder of NDJSON files compressed with zstd, and a manifest that names them.
//! File names have changed with every release, so only the manifest and the kind at the end of a name count.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    DirectoryError,
    archive::Meter,
    fhir::{
        Graph,
        file::{broken, each, no_npi, open},
    },
    rows::Sink,
};

/// The kinds read, in this order: what is referred to comes first, so that only what is referred to is kept. Endpoints are first
/// of all.
const KINDS: [(&str, Step); 5] = [
    ("Endpoint", Step::Learn),
    ("PractitionerRole", Step::Learn),
    ("OrganizationAffiliation", Step::Learn),
    ("Organization", Step::Both),
    ("Practitioner", Step::Say),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Others refer to it.
    Learn,
    /// It has NPIs.
    Say,
    /// Both.
    Both,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    #[serde(default)]
    generated_at: String,
    files: BTreeMap<String, Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    original_bytes: u64,
    compressed_bytes: Option<u64>,
}

/// A release on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// When it was made, as the manifest says.
    pub generated_at: String,
    /// Octets on disk that will be read.
    pub bytes: u64,
    files: Vec<(Step, PathBuf, u64)>,
}

impl Release {
    /// Reads the manifest and finds its files beside it. `at` is the manifest or its folder.
    ///
    /// # Errors
    /// When there is no manifest, a file is missing or is not as long as the manifest says.
    pub fn find(at: &Path) -> Result<Self, DirectoryError> {
        let manifest = if at.is_dir() { at.join("manifest.json") } else { at.to_owned() };
        let shown = manifest.display().to_string();
        let bad = |problem: String| DirectoryError::Archive { file: shown.clone(), problem };
        let text = std::fs::read(&manifest).map_err(|error| DirectoryError::Open(shown.clone(), error))?;
        let list: Manifest =
            serde_json::from_slice(&text).map_err(|error| bad(format!("is not the manifest of a release: {error}")))?;
        let folder = manifest.parent().unwrap_or(Path::new("."));
        let mut release = Self { generated_at: list.generated_at, bytes: 0, files: Vec::new() };
        for (kind, step) in KINDS {
            let mut names = list.files.iter().filter(|(name, _)| kind_of(name) == Some(kind));
            let (name, listed) = match (names.next(), names.next()) {
                (Some(one), None) => one,
                (Some(_), Some(_)) => return Err(bad(format!("names two files of kind {kind}"))),
                // Without these nothing leads from an NPI to an address.
                (None, _) if kind.starts_with("Organization") => continue,
                (None, _) => return Err(bad(format!("names no file of kind {kind}"))),
            };
            let path = beside(folder, name).ok_or_else(|| {
                let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
                bad(format!("names {base}, which is not beside it; download it too"))
            })?;
            let length = path.metadata().map_err(|error| DirectoryError::Open(path.display().to_string(), error))?.len();
            let packed = path.extension().is_some_and(|extension| extension == "zst");
            let expected = if packed { listed.compressed_bytes.unwrap_or(length) } else { listed.original_bytes };
            if length != expected {
                let problem = format!("has {length} octets where the manifest says {expected}; download it again");
                return Err(DirectoryError::Archive { file: path.display().to_string(), problem });
            }
            release.bytes += length;
            release.files.push((step, path, listed.original_bytes));
        }
        Ok(release)
    }

    /// Reads the release.
    ///
    /// # Errors
    /// When a file cannot be read, or has no NPIs we can find.
    pub fn read(&self, today: &str, meter: &Meter, sink: Sink<'_>) -> Result<(), DirectoryError> {
        let mut graph = Graph::new(today);
        graph.only_addresses();
        let (mut narrowed, mut closed) = (false, false);
        for (step, path, original) in &self.files {
            if *step != Step::Learn && !narrowed {
                graph.narrow();
                narrowed = true;
            }
            if *step != Step::Say {
                each(open(path, meter, Some(*original))?, &mut |line, _, resource| match resource {
                    Ok(resource) => graph.learn(resource, "", line).map_or(Ok(()), &mut *sink),
                    Err(reason) => sink(broken(line, reason)),
                })?;
            }
            graph.know_endpoints();
            if *step != Step::Learn {
                if !closed {
                    graph.close();
                    closed = true;
                }
                each(open(path, meter, Some(*original))?, &mut |line, _, resource| match resource {
                    Ok(resource) => graph.say(resource, "", line).into_iter().try_for_each(&mut *sink),
                    Err(reason) if *step == Step::Say => sink(broken(line, reason)),
                    Err(_) => Ok(()),
                })?;
            }
        }
        no_npi(&graph, self.files.last().map_or(Path::new(""), |(_, path, _)| path))
    }
}

/// The kind of a file by the whole last word of its stem: `06-Practitioner.ndjson` and `Practitioner_2026-05-07_2128.ndjson`
/// are of kind Practitioner, and `07-PractitionerRole.ndjson` is not.
fn kind_of(name: &str) -> Option<&'static str> {
    let base = name.rsplit(['/', '\\']).next()?;
    let stem = base.split(".ndjson").next().filter(|stem| stem.len() < base.len())?;
    let mut words = stem.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    words.find_map(|word| KINDS.iter().find(|(kind, _)| *kind == word).map(|(kind, _)| *kind))
}

/// The file of a name in the manifest, packed or not. Only its last part counts: the manifest points nowhere else.
fn beside(folder: &Path, name: &str) -> Option<PathBuf> {
    let base = name.rsplit(['/', '\\']).next()?;
    let bare = base.strip_suffix(".zst").unwrap_or(base);
    [format!("{bare}.zst"), bare.to_owned()].into_iter().map(|name| folder.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_the_whole_word_however_the_file_is_named() {
        for (name, kind) in [
            ("06-Practitioner.ndjson", Some("Practitioner")),
            ("Practitioner.ndjson.zst", Some("Practitioner")),
            ("Practitioner_2026-05-07_2128.ndjson", Some("Practitioner")),
            ("../../etc/07-PractitionerRole.ndjson", Some("PractitionerRole")),
            ("08-OrganizationAffiliation.ndjson", Some("OrganizationAffiliation")),
            ("02-Location.ndjson", None),
            ("Practitioner.txt", None),
        ] {
            assert_eq!(kind_of(name), kind, "{name}");
        }
    }
}
