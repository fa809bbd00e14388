//! Putting away what was taken or failed, so that a crash between two steps loses and repeats nothing.
//!
//! A pair is put away by one rename: `NAME.json` becomes the hidden `.NAME.json.taken` or `.NAME.json.failed`. Whatever
//! is left to do is in that name, and is finished at the next look.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::MetadataExt as _,
    },
    path::Path,
};

use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use uuid::Uuid;

const TAKEN: &str = ".taken";
const FAILED: &str = ".failed";

/// Opens the folder `name` inside, made for its owner alone when it is not there. A link in its place is refused: whoever
/// can write to the watched folder must not choose where else we write.
pub(super) fn inside(folder: &Path, name: &str) -> io::Result<OwnedFd> {
    let path = folder.join(name);
    match rustix::fs::mkdirat(CWD, &path, Mode::RWXU) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(rustix::fs::openat(CWD, &path, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

/// Writes a new file into an opened folder. What is there under its name, a link too, is not touched.
pub(super) fn write(into: impl AsFd, name: &str, content: &[u8]) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(into, name, flags, Mode::RUSR | Mode::WUSR)?);
    file.write_all(content)?;
    file.sync_all()
}

/// Removes what is durable elsewhere: the JSON file and the PDF taken with it. What is gone already need not be removed.
pub(super) fn taken(folder: &Path, json: &str, pdf: Option<&str>) -> io::Result<()> {
    if pdf.is_none() {
        return gone(fs::remove_file(folder.join(json)));
    }
    let marker = format!(".{json}{TAKEN}");
    if !still_there(fs::rename(folder.join(json), folder.join(&marker)))? {
        return Ok(());
    }
    finish(folder, &marker)
}

/// Moves the pair to `failed` and says why beside it.
pub(super) fn failed(folder: &Path, json: &str, reason: &[u8]) -> io::Result<()> {
    let into = inside(folder, "failed")?;
    let mut stem = free_stem(&into, stem(json));
    if let Err(error) = write(&into, &format!("{stem}.reason.json"), reason) {
        // Another process may have been faster by the time between looking and writing.
        if error.kind() != io::ErrorKind::AlreadyExists {
            return Err(error);
        }
        stem = other_stem(self::stem(json));
        write(&into, &format!("{stem}.reason.json"), reason)?;
    }
    // The name it gets in `failed` is in the marker too: its reason is there under it already.
    let tag = stem.rsplit_once('-').filter(|_| stem != self::stem(json)).map_or(String::new(), |(_, tag)| format!(".{tag}"));
    let marker = format!(".{json}{tag}{FAILED}");
    if !still_there(fs::rename(folder.join(json), folder.join(&marker)))? {
        return gone(Ok(rustix::fs::unlinkat(&into, format!("{stem}.reason.json"), AtFlags::empty())?));
    }
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
    let Some((json, tag, is_taken)) = read_marker(marker) else { return Ok(()) };
    let pdf = match partner(folder, json, marker) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        pdf => pdf?,
    };
    if is_taken {
        if let Some(pdf) = pdf {
            gone(fs::remove_file(folder.join(pdf)))?;
        }
        return gone(fs::remove_file(folder.join(marker)));
    }
    let into = inside(folder, "failed")?;
    let stem = tag.map_or_else(|| stem(json).to_owned(), |tag| format!("{}-{tag}", stem(json)));
    let from = File::open(folder)?;
    for (name, extension) in pdf.iter().map(|pdf| (pdf.as_str(), "pdf")).chain([(marker, "json")]) {
        // Never over what is there: RENAME_NOREPLACE is not to be had everywhere, so another name is taken.
        let free = if is_free(&into, &format!("{stem}.{extension}")) { stem.clone() } else { free_stem(&into, &stem) };
        gone(rustix::fs::renameat(&from, name, &into, format!("{free}.{extension}")).map_err(io::Error::from))?;
    }
    Ok(())
}

/// The JSON file a marker is about, the end of its name in `failed` if it gets another, and whether it was taken.
fn read_marker(marker: &str) -> Option<(&str, Option<&str>, bool)> {
    let name = marker.strip_prefix('.')?;
    if let Some(json) = name.strip_suffix(TAKEN) {
        return Some((json, None, true));
    }
    let name = name.strip_suffix(FAILED)?;
    let is_json = |name: &str| name.rsplit_once('.').is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("json"));
    match name.rsplit_once('.') {
        Some((json, tag)) if Uuid::try_parse(tag).is_ok() && is_json(json) => Some((json, Some(tag), false)),
        _ => Some((name, None, false)),
    }
}

/// Whether there was something to rename. Somebody else may have been faster: the sender, or another process.
fn still_there(renamed: io::Result<()>) -> io::Result<bool> {
    match renamed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|()| true),
    }
}

/// It need not be there any more.
fn gone(done: io::Result<()>) -> io::Result<()> {
    still_there(done).map(drop)
}

/// The PDF that was put away with this JSON file: the one of its name that was there before the marker. One that came
/// later belongs to the next result.
fn partner(folder: &Path, json: &str, marker: &str) -> io::Result<Option<String>> {
    let marked = fs::symlink_metadata(folder.join(marker))?;
    for extension in ["pdf", "PDF", "Pdf"] {
        let name = format!("{}.{extension}", stem(json));
        match fs::symlink_metadata(folder.join(&name)) {
            // A rename sets the time of change, so this tells when each name came to be.
            Ok(pdf) if (pdf.ctime(), pdf.ctime_nsec()) <= (marked.ctime(), marked.ctime_nsec()) => return Ok(Some(name)),
            _ => {}
        }
    }
    Ok(None)
}

fn stem(json: &str) -> &str {
    json.rsplit_once('.').map_or(json, |(stem, _)| stem)
}

/// A name free in `failed`: what failed before under the same name stays.
fn free_stem(failed: &OwnedFd, stem: &str) -> String {
    let are_free = ["json", "pdf", "reason.json"].iter().all(|extension| is_free(failed, &format!("{stem}.{extension}")));
    if are_free { stem.to_owned() } else { other_stem(stem) }
}

/// A name nobody else has.
fn other_stem(stem: &str) -> String {
    format!("{stem}-{}", Uuid::now_v7().as_simple())
}

fn is_free(failed: &OwnedFd, name: &str) -> bool {
    rustix::fs::statat(failed, name, AtFlags::SYMLINK_NOFOLLOW).is_err()
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
        let second = kept.iter().find(|name| name.starts_with("a-") && name.ends_with(".reason.json")).unwrap();
        assert!(kept.contains(&second.replace(".reason.json", ".json")), "its reason stands beside it: {kept:?}");
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

    #[test]
    fn a_link_in_the_place_of_failed_or_of_a_reason_is_not_followed() {
        let (folder, elsewhere) = (folder_with(&["a.json"]), folder_with(&["precious"]));
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("failed")).unwrap();
        assert!(failed(folder.path(), "a.json", b"{}").is_err());
        assert!(names(elsewhere.path()).iter().eq(["precious"]) && folder.path().join("a.json").exists());

        fs::remove_file(folder.path().join("failed")).unwrap();
        fs::create_dir(folder.path().join("failed")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path().join("precious"), folder.path().join("failed/a.reason.json")).unwrap();
        failed(folder.path(), "a.json", b"{}").unwrap();
        assert_eq!(fs::read_to_string(elsewhere.path().join("precious")).unwrap(), "precious");
        assert_eq!(names(&folder.path().join("failed")).len(), 3);
    }

    #[test]
    fn what_is_gone_already_need_not_be_put_away() {
        let folder = folder_with(&["b.pdf"]);
        taken(folder.path(), "a.json", None).unwrap();
        taken(folder.path(), "b.json", Some("b.pdf")).unwrap();
        failed(folder.path(), "c.json", b"{}").unwrap();
        assert_eq!(names(folder.path()), BTreeSet::from(["b.pdf", "failed"].map(str::to_owned)));
        assert!(names(&folder.path().join("failed")).is_empty());
    }
}
