//! Files that only their owner may read, whether they are new or were there before.

use std::{
    fs::{File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use rustix::{fs::OFlags, io::Errno, process::geteuid};

/// Opens a plain file of ours for writing, makes it if there is none, and lets nobody else read it. What is in it stays.
///
/// # Errors
/// When it cannot be opened, is a link (somebody else may have laid it there), no plain file, or somebody else's.
pub fn open(path: &Path) -> io::Result<File> {
    let links = i32::try_from(OFlags::NOFOLLOW.bits()).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(false).mode(0o600).custom_flags(links).open(path);
    let file = opened.map_err(|error| match error.raw_os_error() {
        Some(code) if code == Errno::LOOP.raw_os_error() => {
            io::Error::new(io::ErrorKind::InvalidInput, "it is a link: name the file itself")
        }
        _ => error,
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no plain file"));
    }
    if found.uid() != geteuid().as_raw() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is there already and belongs to somebody else"));
    }
    // The mode above counts for a new file alone.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Writes a file that is then its owner's alone, in the place of what was in it.
///
/// # Errors
/// As [`open`], or when it cannot be written.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = open(path)?;
    file.set_len(0)?;
    file.write_all(content)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_open_to_all_is_its_owners_alone_before_anything_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        fs::write(&old, "something longer").unwrap();
        fs::set_permissions(&old, Permissions::from_mode(0o644)).unwrap();
        for path in [&old, &new] {
            write(path, b"secret").unwrap();
            assert_eq!((mode(path), fs::read(path).unwrap()), (0o600, b"secret".to_vec()));
        }
        open(&old).unwrap();
        assert_eq!(fs::read(&old).unwrap(), b"secret", "opening takes nothing away");
    }

    #[test]
    fn no_link_is_followed_and_nothing_but_a_plain_file_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        fs::write(&target, "not to be touched").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write(&link, b"secret").unwrap_err().to_string().contains("is a link"));
        assert_eq!(fs::read(&target).unwrap(), b"not to be touched");
        assert!(write(Path::new("/dev/null"), b"secret").is_err());
        assert!(write(dir.path(), b"secret").is_err());
    }
}
