//! Putting away what was taken or failed, so that a crash between two steps loses and repeats nothing.
//!
//! A pair is put away by one rename: `NAME.json` becomes the hidden `.NAME.json.taken` or `.NAME.json.failed`. Whatever
//! is left to do is in that name, and is finished at the next look.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::Path,
};

use uuid::Uuid;

const TAKEN: &str = ".taken";
const FAILED: &str = ".failed";

/// Makes the folder `name` inside, for its owner alone.
pub(super) fn make(folder: &Path, name: &str) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Removes what is durable elsewhere: the JSON file and the PDF taken with it.
pub(super) fn taken(folder: &Path, json: &str, pdf: Option<&str>) -> io::Result<()> {
    if pdf.is_none() {
        return fs::remove_file(folder.join(json));
    }
    let marker = format!(".{json}{TAKEN}");
    fs::rename(folder.join(json), folder.join(&marker))?;
    finish(folder, &marker)
}

/// Moves the pair to `failed` and says why beside it.
pub(super) fn failed(folder: &Path, json: &str, reason: &[u8]) -> io::Result<()> {
    make(folder, "failed")?;
    let stem = free_stem(folder, json);
    fs::write(folder.join("failed").join(format!("{stem}.reason.json")), reason)?;
    let marker = format!(".{json}{FAILED}");
    fs::rename(folder.join(json), folder.join(&marker))?;
    finish(folder, &marker)
}

/// Finishes what a crash interrupted; returns how many.
pub(super) fn finish_all(folder: &Path) -> io::Result<usize> {
    let mut finished = 0;
    for entry in fs::read_dir(folder)? {
        let Ok(name) = entry?.file_name().into_string() else { continue };
        if name.starts_with('.') && (name.ends_with(TAKEN) || name.ends_with(FAILED)) {
            finish(folder, &name)?;
            finished += 1;
        }
    }
    Ok(finished)
}

fn finish(folder: &Path, marker: &str) -> io::Result<()> {
    let Some((json, is_taken)) = marker.strip_prefix('.').and_then(|name| {
        name.strip_suffix(TAKEN).map(|json| (json, true)).or(name.strip_suffix(FAILED).map(|json| (json, false)))
    }) else {
        return Ok(());
    };
    let pdf = partner(folder, json, marker)?;
    if is_taken {
        if let Some(pdf) = pdf {
            fs::remove_file(folder.join(pdf))?;
        }
        return fs::remove_file(folder.join(marker));
    }
    make(folder, "failed")?;
    let (failed, stem) = (folder.join("failed"), free_stem(folder, json));
    if let Some(pdf) = pdf {
        fs::rename(folder.join(pdf), failed.join(format!("{stem}.pdf")))?;
    }
    fs::rename(folder.join(marker), failed.join(format!("{stem}.json")))
}

/// The PDF that was put away with this JSON file: the one of its name that was there before the marker. One that came
/// later belongs to the next result.
fn partner(folder: &Path, json: &str, marker: &str) -> io::Result<Option<String>> {
    let marked = fs::symlink_metadata(folder.join(marker))?;
    let stem = json.rsplit_once('.').map_or(json, |(stem, _)| stem);
    for extension in ["pdf", "PDF", "Pdf"] {
        let name = format!("{stem}.{extension}");
        match fs::symlink_metadata(folder.join(&name)) {
            // A rename sets the time of change, so this tells when each name came to be.
            Ok(pdf) if (pdf.ctime(), pdf.ctime_nsec()) <= (marked.ctime(), marked.ctime_nsec()) => return Ok(Some(name)),
            _ => {}
        }
    }
    Ok(None)
}

/// A name free in `failed`: what failed before under the same name stays.
fn free_stem(folder: &Path, json: &str) -> String {
    let stem = json.rsplit_once('.').map_or(json, |(stem, _)| stem);
    let is_free = fs::symlink_metadata(folder.join("failed").join(format!("{stem}.json"))).is_err();
    if is_free { stem.to_owned() } else { format!("{stem}-{}", Uuid::now_v7().as_simple()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn names(folder: &Path) -> BTreeSet<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in files {
            fs::write(folder.path().join(name), name).unwrap();
        }
        folder
    }

    #[test]
    fn a_taken_pair_is_gone_and_a_taken_order_leaves_the_pdf_of_its_name() {
        let folder = folder_with(&["a.json", "a.pdf", "b.json", "b.pdf"]);
        taken(folder.path(), "a.json", Some("a.pdf")).unwrap();
        taken(folder.path(), "b.json", None).unwrap();
        assert_eq!(names(folder.path()), BTreeSet::from(["b.pdf".to_owned()]));
    }

    #[test]
    fn a_second_failure_of_the_same_name_does_not_replace_the_first() {
        let folder = folder_with(&["a.json", "a.pdf"]);
        failed(folder.path(), "a.json", b"{}").unwrap();
        fs::write(folder.path().join("a.json"), "second").unwrap();
        failed(folder.path(), "a.json", b"{}").unwrap();
        assert!(names(folder.path()).iter().eq(["failed"]));
        let kept = names(&folder.path().join("failed"));
        assert_eq!(kept.len(), 5, "{kept:?}");
        assert_eq!(fs::read_to_string(folder.path().join("failed/a.json")).unwrap(), "a.json");
    }

    #[test]
    fn what_a_crash_left_half_done_is_finished_and_a_newer_pdf_of_the_same_name_is_left_alone() {
        let folder = folder_with(&["a.pdf", ".a.json.taken", "b.pdf", ".b.json.failed", ".c.json.taken", ".else.tmp"]);
        // Renaming sets the marker's time of change after the PDF's, as when it was put away.
        for marker in [".a.json.taken", ".b.json.failed"] {
            fs::rename(folder.path().join(marker), folder.path().join("x")).unwrap();
            fs::rename(folder.path().join("x"), folder.path().join(marker)).unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
        fs::write(folder.path().join("c.pdf"), "new").unwrap();
        assert_eq!(finish_all(folder.path()).unwrap(), 3);
        assert_eq!(names(folder.path()), BTreeSet::from([".else.tmp", "c.pdf", "failed"].map(str::to_owned)));
        assert_eq!(names(&folder.path().join("failed")), BTreeSet::from(["b.json", "b.pdf"].map(str::to_owned)));
    }
}
