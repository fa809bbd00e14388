//! Files inside ZIP and zstd. A file that expands to more than it may is refused while it is read: what an archive says
//! about itself is not believed, it is counted. Nothing is unpacked to disk, so names inside an archive can do no harm.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom, Take},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::{Crc, read::DeflateDecoder};
use zip::{CompressionMethod, ZipArchive};

use super::DirectoryError;

/// NPPES has a dozen files in its archive.
const MOST_FILES: usize = 1_000;
/// Text like this shrinks to a tenth or twentieth; one that shrinks to less than this is made to harm.
const MOST_EXPANSION: u64 = 200;
/// What may be expanded to in any case.
const SMALL: u64 = 1 << 20;

/// How many octets of a file have been read, for whoever shows it.
pub type Meter = Arc<AtomicU64>;

/// A stream of text, from wherever it comes.
pub type Stream = Box<dyn Read + Send>;

/// Opens a file as it is.
///
/// # Errors
/// When it cannot be opened.
pub fn plain(path: &Path, meter: &Meter) -> Result<Stream, DirectoryError> {
    Ok(Box::new(BufReader::with_capacity(1 << 16, metered(open(path)?, meter))))
}

/// Whether a file begins as a ZIP archive does.
///
/// # Errors
/// When it cannot be read.
pub fn is_zip(path: &Path) -> Result<bool, DirectoryError> {
    starts_with(path, *b"PK\x03\x04")
}

/// Whether a file begins as a zstd frame does.
///
/// # Errors
/// When it cannot be read.
pub fn is_zstd(path: &Path) -> Result<bool, DirectoryError> {
    starts_with(path, [0x28, 0xb5, 0x2f, 0xfd])
}

fn starts_with(path: &Path, magic: [u8; 4]) -> Result<bool, DirectoryError> {
    let mut first = Vec::with_capacity(4);
    open(path)?.take(4).read_to_end(&mut first).map_err(|error| DirectoryError::Open(path.display().to_string(), error))?;
    Ok(first == magic)
}

fn open(path: &Path) -> Result<File, DirectoryError> {
    File::open(path).map_err(|error| DirectoryError::Open(path.display().to_string(), error))
}

/// Opens the one file of a ZIP archive that `wanted` wants, by its lower-case name without folders; `None` when there is none.
///
/// # Errors
/// When the archive cannot be read, or has more than one such file.
pub fn zipped(path: &Path, meter: &Meter, wanted: impl Fn(&str) -> bool) -> Result<Option<Stream>, DirectoryError> {
    let shown = path.display().to_string();
    let bad = |problem: String| DirectoryError::Archive { file: shown.clone(), problem };
    let mut archive = ZipArchive::new(BufReader::new(open(path)?))
        .map_err(|error| bad(format!("is not a ZIP archive that can be read: {error}")))?;
    if archive.len() > MOST_FILES {
        return Err(bad(format!("has {} files in it, more than {MOST_FILES}", archive.len())));
    }
    let mut found = None;
    for at in 0..archive.len() {
        let entry = archive.by_index_raw(at).map_err(|error| bad(format!("cannot be read: {error}")))?;
        let name = String::from_utf8_lossy(entry.name_raw()).to_lowercase();
        let base = name.rsplit(['/', '\\']).next().unwrap_or_default();
        if entry.is_dir() || !wanted(base) {
            continue;
        }
        if found.is_some() {
            return Err(bad("has two files that could be meant; unpack the right one".to_owned()));
        }
        if entry.encrypted() {
            return Err(bad("is encrypted; unpack it first".to_owned()));
        }
        let begins = entry.data_start().ok_or_else(|| bad("does not say where its files begin".to_owned()))?;
        found = Some((begins, entry.compressed_size(), entry.size(), entry.crc32(), entry.compression()));
    }
    let Some((begins, packed, size, crc, method)) = found else { return Ok(None) };
    let mut file = open(path)?;
    file.seek(SeekFrom::Start(begins)).map_err(|error| DirectoryError::Open(shown.clone(), error))?;
    let packed_part = BufReader::with_capacity(1 << 16, metered(file.take(packed), meter));
    let stream: Stream = match method {
        CompressionMethod::Stored => Box::new(packed_part),
        CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed_part)),
        other => return Err(bad(format!("is packed by a method we do not read ({other}); pack it with deflate"))),
    };
    let most = size.min(packed.saturating_mul(MOST_EXPANSION).saturating_add(SMALL));
    Ok(Some(Box::new(Checked { source: Bounded::new(stream, most), crc: Crc::new(), expected: crc })))
}

/// Opens a zstd file that expands to `original` octets, if known.
///
/// # Errors
/// When it cannot be opened.
pub fn zstd(path: &Path, meter: &Meter, original: Option<u64>) -> Result<Stream, DirectoryError> {
    let file = open(path)?;
    let shown = path.display().to_string();
    let packed = file.metadata().map_err(|error| DirectoryError::Open(shown.clone(), error))?.len();
    let set_up = |error| DirectoryError::Open(shown.clone(), error);
    let mut decoder =
        zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(1 << 16, metered(file, meter))).map_err(set_up)?;
    // A frame may ask for a window of gigabytes; 64 MiB is more than any sensible level uses.
    decoder.window_log_max(26).map_err(set_up)?;
    let most = original.unwrap_or_else(|| packed.saturating_mul(MOST_EXPANSION).saturating_add(SMALL));
    Ok(Box::new(BufReader::with_capacity(1 << 16, Bounded::new(decoder, most))))
}

fn metered<R: Read>(source: R, meter: &Meter) -> Metered<R> {
    Metered { source, meter: Arc::clone(meter) }
}

struct Metered<R> {
    source: R,
    meter: Meter,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.meter.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Ends with an error where there is more than there may be.
struct Bounded<R> {
    source: Take<R>,
}

impl<R: Read> Bounded<R> {
    fn new(source: R, most: u64) -> Self {
        Self { source: source.take(most.saturating_add(1)) }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        if self.source.limit() == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it expands to more than it may; is it a trap?"));
        }
        Ok(n)
    }
}

/// Compares the checksum at the end: a file cut off in the middle is not half a directory.
struct Checked<R> {
    source: R,
    crc: Crc,
    expected: u32,
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.source.read(buffer)?;
        self.crc.update(buffer.get(..n).unwrap_or_default());
        if n == 0 && !buffer.is_empty() && self.crc.sum() != self.expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong; the archive is damaged or cut off"));
        }
        Ok(n)
    }
}
