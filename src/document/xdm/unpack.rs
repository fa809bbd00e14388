//! Packages that others made: what is in them, taken out with care.
//!
//! A package comes from the network, so nothing in it is believed: sizes are counted while unpacking and not read from
//! headers, names are shown and matched but never become a path of ours, no package in the package is opened, and the
//! index for people is not looked at (many are broken, and nobody needs it to find the documents).

mod listing;
#[cfg(test)]
mod tests;

use std::io::{Cursor, Read as _};

use zip::{ZipArchive, result::ZipError};

use crate::crypto::{Hex, sha1};
use listing::Listed;

/// What a package may have.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Files. One with more is not a result.
    files: usize,
    /// Octets all files together may have, unpacked: several times what a message may bring.
    octets: u64,
    /// Octets the metadata may have.
    metadata: u64,
}

const LIMITS: Limits = Limits { files: 500, octets: 64 * 1024 * 1024, metadata: 4 * 1024 * 1024 };
/// Longest name of a file.
const LONGEST_NAME: usize = 300;

/// A document of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Its name in the package: for people, never for a path.
    pub name: String,
    /// Its media type, as the metadata state it.
    pub media_type: Option<String>,
    /// What the metadata call it.
    pub title: Option<String>,
    /// Its unique id, as the metadata state it.
    pub unique_id: Option<String>,
    /// Whether its SHA-1 is the one the metadata state; `None` when they state none.
    pub hash_agrees: Option<bool>,
    /// The document itself.
    pub bytes: Vec<u8>,
}

/// Why a package was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// The ZIP file is damaged, or made with a method nobody uses for this.
    #[error("the package cannot be unpacked: {0}")]
    Damaged(String),
    /// It is encrypted.
    #[error("the package is protected by a password")]
    Encrypted,
    /// A ZIP file of something else.
    #[error("the ZIP file is not an XDM package: it has no folder IHE_XDM with documents")]
    NotXdm,
    /// A name leads out of the package, or cannot be a name.
    #[error("the package names a file outside itself, or in a way that no file is named")]
    UnsafeName,
    /// More files than a result has.
    #[error("the package has more than {0} files")]
    TooManyFiles(usize),
    /// More octets than fit.
    #[error("the package unpacks to more than {0} bytes")]
    TooLarge(u64),
}

/// Whether `bytes` begin as ZIP files do. What a package is declared as in the message says nothing: the federal test
/// tools send it as `application/octet-stream` and as `application/xml` too.
#[must_use]
pub fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// The documents of the package `zip`: those its metadata list, in their order, then any others, by name.
///
/// # Errors
/// [`UnpackError`]. One bad name is enough to open nothing.
pub fn unpack(zip: &[u8]) -> Result<Vec<Unpacked>, UnpackError> {
    unpack_within(LIMITS, zip)
}

fn unpack_within(limits: Limits, zip: &[u8]) -> Result<Vec<Unpacked>, UnpackError> {
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(damaged)?;
    if archive.len() > limits.files {
        return Err(UnpackError::TooManyFiles(limits.files));
    }
    let mut left = limits.octets;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(damaged)?;
        let name = checked(&file.name().map_err(damaged)?)?;
        if !file.is_file() || name.ends_with('/') || !in_xdm(&name) {
            continue;
        }
        let most = if is_metadata(&name) { left.min(limits.metadata) } else { left };
        let mut bytes = Vec::new();
        // One octet more than fits shows that there is more, whatever the header says.
        let read = (&mut file).take(most + 1).read_to_end(&mut bytes).map_err(|error| UnpackError::Damaged(error.to_string()))?;
        let read = read as u64;
        if read > most {
            return Err(UnpackError::TooLarge(if is_metadata(&name) { limits.metadata } else { limits.octets }));
        }
        left -= read;
        files.push(File { name, bytes, taken: false });
    }
    documents(files)
}

struct File {
    name: String,
    bytes: Vec<u8>,
    taken: bool,
}

fn documents(mut files: Vec<File>) -> Result<Vec<Unpacked>, UnpackError> {
    let mut found = Vec::new();
    let listings: Vec<(String, Vec<Listed>)> = files
        .iter()
        .filter(|file| is_metadata(&file.name))
        .map(|file| (file.name[..file.name.len() - METADATA.len()].to_owned(), listing::read(&file.bytes)))
        .collect();
    for (folder, listed) in &listings {
        for entry in listed {
            let place = files.iter().position(|file| !file.taken && is_document(&file.name) && entry.is(folder, file));
            if let Some(file) = place.map(|place| &mut files[place]) {
                file.taken = true;
                found.push(entry.with(file.name.clone(), std::mem::take(&mut file.bytes)));
            }
        }
    }
    let mut rest: Vec<File> = files.into_iter().filter(|file| !file.taken && is_document(&file.name)).collect();
    rest.sort_by(|a, b| a.name.cmp(&b.name));
    found.extend(rest.into_iter().map(|file| Listed::default().with(file.name, file.bytes)));
    if found.is_empty() && listings.is_empty() { Err(UnpackError::NotXdm) } else { Ok(found) }
}

impl Listed {
    /// Whether the metadata in `folder` mean this file: by its name, else by its content.
    fn is(&self, folder: &str, file: &File) -> bool {
        match &self.uri {
            Some(uri) => file.name.eq_ignore_ascii_case(&format!("{folder}{}", uri.replace('\\', "/"))),
            None => self.hash.is_some() && self.agrees(&file.bytes) == Some(true),
        }
    }

    fn agrees(&self, bytes: &[u8]) -> Option<bool> {
        // IHE ITI TF-3 4.2.3.2.10: digits of either case.
        self.hash.as_ref().map(|hash| hash.eq_ignore_ascii_case(&Hex(&sha1(bytes)).to_string()))
    }

    fn with(&self, name: String, bytes: Vec<u8>) -> Unpacked {
        let Self { media_type, title, unique_id, .. } = self.clone();
        Unpacked { name, media_type, title, unique_id, hash_agrees: self.agrees(&bytes), bytes }
    }
}

const METADATA: &str = "METADATA.XML";

/// A name we may show and match, with `/` between folders; packages from Windows have `\`.
fn checked(name: &str) -> Result<String, UnpackError> {
    let name = name.replace('\\', "/");
    let sane = name.len() <= LONGEST_NAME
        && !name.chars().any(crate::domain::text::is_forbidden)
        && !name.starts_with('/')
        && !name.contains(':')
        && name.split('/').all(|part| part != ".." && part != ".");
    if sane { Ok(name) } else { Err(UnpackError::UnsafeName) }
}

/// Whether it is in the folder of XDM, which may itself be in one. One reference implementation forgets the slash after
/// the folder of the submission set.
fn in_xdm(name: &str) -> bool {
    format!("/{}", name.to_ascii_uppercase()).contains("/IHE_XDM/")
}

fn is_metadata(name: &str) -> bool {
    name.len() >= METADATA.len()
        && name.is_char_boundary(name.len() - METADATA.len())
        && name[name.len() - METADATA.len()..].eq_ignore_ascii_case(METADATA)
}

/// Neither metadata nor a stylesheet for showing a document.
fn is_document(name: &str) -> bool {
    let suffix = name.rsplit_once('.').map_or("", |(_, suffix)| suffix);
    !is_metadata(name) && !suffix.eq_ignore_ascii_case("xsl")
}

fn damaged(error: ZipError) -> UnpackError {
    match error {
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) => UnpackError::Encrypted,
        other => UnpackError::Damaged(other.to_string()),
    }
}
