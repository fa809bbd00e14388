//! The XDM package: the documents of one result with their metadata, in a ZIP file (IHE ITI TF-2 3.32; XDR and XDM for
//! Direct Messaging 1.0).
//!
//! ```text
//! INDEX.HTM                          the documents, for people
//! README.TXT                         what this is and whom to call
//! IHE_XDM/SUBSET01/METADATA.XML      the same for machines: a submission set and an entry for each document
//! IHE_XDM/SUBSET01/DOC00001.XML      the C-CDA
//! IHE_XDM/SUBSET01/DOC00002.PDF      the PDF, when it is wanted beside the C-CDA
//! ```
//!
//! Names are upper-case and 8.3 (ISO 9660 level 1), and say nothing about the patient. Nothing is compressed: a PDF is
//! already, base64 of one would cost more time than it saves octets, and so the same facts always give the same octets.

mod entry;
mod hl7;
mod leaflet;
mod metadata;
mod rim;
mod setting;
#[cfg(test)]
mod tests;
/// Packages that others made.
pub mod unpack;

use std::io::{Cursor, Write as _};

use zip::{CompressionMethod, DateTime, ZipWriter, result::ZipResult, write::SimpleFileOptions};

use super::{DocumentError, Facts};
use crate::domain::{DirectAddress, OffsetTime};
use entry::Entry;

/// The folder of the one submission set, and the folder it is in.
const FOLDERS: [&str; 2] = ["IHE_XDM", "IHE_XDM/SUBSET01"];

type Zip<'o> = ZipWriter<Cursor<&'o mut Vec<u8>>>;

/// What goes into one package.
#[derive(Debug, Clone, Copy)]
pub struct Package<'a> {
    /// What the C-CDA was made from.
    pub facts: &'a Facts<'a>,
    /// The Direct address it is sent from, when it is known.
    pub from: Option<&'a DirectAddress>,
    /// The C-CDA, as [`super::unstructured::write`] wrote it.
    pub cda: &'a [u8],
    /// The PDF, when it is wanted beside the C-CDA.
    pub pdf: Option<&'a [u8]>,
}

/// Writes the package into `out`, which is emptied first and may be used again.
///
/// # Errors
/// When the documents are larger than a ZIP file may hold.
pub fn write(package: &Package<'_>, out: &mut Vec<u8>) -> Result<(), DocumentError> {
    let entries = entry::entries(package);
    out.clear();
    out.reserve(entries.iter().map(|entry| entry.bytes.len()).sum::<usize>() + 32 * 1024);
    let metadata = metadata::write(package, &entries);
    files(package.facts, &entries, &metadata, out).map_err(|error| DocumentError::Package(error.to_string()))
}

fn files(facts: &Facts<'_>, entries: &[Entry<'_>], metadata: &[u8], out: &mut Vec<u8>) -> ZipResult<()> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(dos_time(facts.made_at))
        .unix_permissions(0o644);
    let mut zip = ZipWriter::new(Cursor::new(out));
    file(&mut zip, options, "INDEX.HTM", &leaflet::index(facts, entries))?;
    file(&mut zip, options, "README.TXT", leaflet::readme(facts).as_bytes())?;
    for folder in FOLDERS {
        // Folders of their own: the federal test tool does not find the metadata without them.
        zip.add_directory(folder, options.unix_permissions(0o755))?;
    }
    file(&mut zip, options, &inside("METADATA.XML"), metadata)?;
    for entry in entries {
        file(&mut zip, options, &inside(entry.name), entry.bytes)?;
    }
    zip.finish()?;
    Ok(())
}

fn file(zip: &mut Zip<'_>, options: SimpleFileOptions, name: &str, content: &[u8]) -> ZipResult<()> {
    zip.start_file(name, options)?;
    zip.write_all(content)?;
    Ok(())
}

/// The path of a file of the submission set.
fn inside(name: &str) -> String {
    format!("{}/{name}", FOLDERS[1])
}

/// When the files were made: the local time of the sender, as ZIP has it; the beginning of its calendar when it has not.
fn dos_time(made_at: OffsetTime) -> DateTime {
    let digits = made_at.hl7();
    let part = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<u16>().ok()).unwrap_or(0);
    let small = |from: usize| u8::try_from(part(from, from + 2)).unwrap_or(0);
    DateTime::from_date_and_time(part(0, 4), small(4), small(6), small(8), small(10), small(12)).unwrap_or_default()
}
