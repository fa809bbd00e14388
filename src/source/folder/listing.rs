//! What lies in the folder, and whether it has stopped changing.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    time::{Duration, SystemTime},
};

use rustix::fs::{CWD, Mode, OFlags};
use tokio::time::Instant;

/// Longest file name that is looked at.
const NAME_LIMIT: usize = 200;

/// A plain file with a plain name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its whole name.
    pub(super) name: String,
    /// Octets.
    pub(super) len: u64,
    /// When it was last written to.
    pub(super) modified: SystemTime,
}

impl Entry {
    /// The name without its extension.
    pub(super) fn stem(&self) -> &str {
        self.name.rsplit_once('.').map_or(&self.name, |(stem, _)| stem)
    }

    /// Tells this arrival from the same file dropped again another day.
    pub(super) fn arrival(&self) -> String {
        let modified = self.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        format!("{}|{}", self.name, modified.as_nanos())
    }

    /// Whether it has this extension, in any case.
    pub(super) fn is(&self, extension: &str) -> bool {
        self.name.rsplit_once('.').is_some_and(|(stem, ext)| !stem.is_empty() && ext.eq_ignore_ascii_case(extension))
    }
}

/// The plain files of the folder, oldest first, and how many other things were passed over.
///
/// Passed over: hidden files (a sender's own temporary names, and ours), folders, links and devices, and names that are
/// not plain text.
pub(super) fn list(folder: &Path) -> io::Result<(Vec<Entry>, usize)> {
    let (mut entries, mut odd) = (Vec::new(), 0);
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            odd += 1;
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        // `DirEntry::metadata` does not follow links. A file that is gone again is nobody's business.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() && matches!(name.as_str(), "failed" | "done") {
            continue;
        }
        if !metadata.is_file() || name.len() > NAME_LIMIT || name.chars().any(char::is_control) {
            odd += 1;
            continue;
        }
        entries.push(Entry { name, len: metadata.len(), modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH) });
    }
    // Oldest first: a correction dropped after its final is taken after it.
    entries.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
    Ok((entries, odd))
}

/// Reads a whole file of at most `limit` octets; `None` when it is larger.
pub(super) fn read(folder: &Path, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
    // Whatever was put in its place after it was listed is not followed if it is a link, and not waited for if it is a
    // pipe.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(CWD, folder.join(name), flags, Mode::empty())?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a plain file any more"));
    }
    let mut content = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content)?;
    Ok((content.len() <= limit).then_some(content))
}

/// What is remembered between two looks.
#[derive(Debug, Default)]
pub(super) struct Memory {
    seen: HashMap<String, Seen>,
}

#[derive(Debug)]
struct Seen {
    entry: Entry,
    first: Instant,
    unchanged_since: Instant,
}

impl Memory {
    /// Takes note of what is there now; what is gone is forgotten.
    pub(super) fn look(&mut self, entries: &[Entry], now: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        for entry in entries {
            let seen = match before.remove(&entry.name) {
                Some(seen) if seen.entry == *entry => seen,
                Some(seen) => Seen { entry: entry.clone(), first: seen.first, unchanged_since: now },
                None => Seen { entry: entry.clone(), first: now, unchanged_since: now },
            };
            self.seen.insert(entry.name.clone(), seen);
        }
    }

    /// Whether the file has not changed for `settle`.
    pub(super) fn is_settled(&self, name: &str, settle: Duration, now: Instant) -> bool {
        self.seen.get(name).is_some_and(|seen| now.duration_since(seen.unchanged_since) >= settle)
    }

    /// How long the file has been there.
    pub(super) fn age(&self, name: &str, now: Instant) -> Duration {
        self.seen.get(name).map_or(Duration::ZERO, |seen| now.duration_since(seen.first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_folders_hidden_and_odd_names_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["b.json", "a.PDF", ".hidden.json", "odd\nname.json"] {
            fs::write(at(name), "x").unwrap();
        }
        fs::create_dir(at("failed")).unwrap();
        fs::create_dir(at("dir.json")).unwrap();
        std::os::unix::fs::symlink(at("b.json"), at("link.json")).unwrap();
        let (entries, odd) = list(folder.path()).unwrap();
        let mut names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!((names, odd), (vec!["a.PDF", "b.json"], 3));
        assert!(entries.iter().any(|entry| entry.is("pdf") && entry.stem() == "a"));
    }

    #[test]
    fn a_link_is_not_read_and_neither_is_what_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("secret"), "s").unwrap();
        std::os::unix::fs::symlink(folder.path().join("secret"), folder.path().join("x.json")).unwrap();
        assert!(read(folder.path(), "x.json", 10).is_err());
        assert_eq!(read(folder.path(), "secret", 1).unwrap().as_deref(), Some(&b"s"[..]));
        assert_eq!(read(folder.path(), "secret", 0).unwrap(), None);
    }

    #[test]
    fn a_pipe_or_a_folder_in_the_place_of_a_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, path) = (folder.path().join("x.json"), folder.path().to_owned());
        rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        fs::create_dir(folder.path().join("y.json")).unwrap();
        assert_eq!(list(folder.path()).unwrap(), (Vec::new(), 2));
        let (told, hears) = std::sync::mpsc::channel();
        std::thread::spawn(move || told.send((read(&path, "x.json", 10).is_err(), read(&path, "y.json", 10).is_err())));
        assert_eq!(hears.recv_timeout(Duration::from_secs(5)), Ok((true, true)));
    }

    #[test]
    fn a_file_that_changes_is_not_settled() {
        let mut entry = Entry { name: "a.json".into(), len: 1, modified: SystemTime::UNIX_EPOCH };
        let (mut memory, start, settle) = (Memory::default(), Instant::now(), Duration::from_secs(2));
        memory.look(std::slice::from_ref(&entry), start);
        entry.len = 2;
        memory.look(std::slice::from_ref(&entry), start + settle);
        assert!(!memory.is_settled("a.json", settle, start + settle));
        memory.look(std::slice::from_ref(&entry), start + settle * 2);
        assert!(memory.is_settled("a.json", settle, start + settle * 2));
        assert_eq!(memory.age("a.json", start + settle * 2), settle * 2);
        memory.look(&[], start);
        assert!(!memory.is_settled("a.json", settle, start + settle * 9));
    }
}
