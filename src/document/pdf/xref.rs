//! Where the objects are: cross-reference tables and streams (ISO 32000-1 7.5.4, 7.5.8), newest first.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use super::{
    PdfProblem,
    budget::Budget,
    stream,
    syntax::{Dictionary, Lexer, Object},
};

/// Most sections: each incremental update adds one, a hybrid file two.
const SECTIONS: usize = 200;
/// Longest chain of a length that stands in another object.
const INDIRECT: usize = 4;

const NO_TABLE: PdfProblem = PdfProblem::Damaged("its cross-reference table is not where its end says");
const NO_OBJECT: PdfProblem = PdfProblem::Damaged("an object is not where its cross-reference table says");

/// Where an object is.
#[derive(Debug, Clone, Copy)]
enum Entry {
    Free,
    At(usize),
    In { stream: u32, index: u64 },
}

/// An opened file: its bytes, its table, and the object its trailer calls the root.
pub(super) struct File<'a> {
    bytes: &'a [u8],
    budget: &'a Budget,
    entries: HashMap<u32, Entry>,
    root: Option<u32>,
    /// Object streams, inflated once.
    inflated: RefCell<HashMap<u32, Rc<ObjectStream>>>,
}

struct ObjectStream {
    /// Numbers of the objects and where each begins in the content.
    places: Vec<(u64, usize)>,
    content: Vec<u8>,
}

impl<'a> File<'a> {
    /// Follows the chain of sections that begins at `start`.
    pub(super) fn open(bytes: &'a [u8], start: usize, budget: &'a Budget) -> Result<Self, PdfProblem> {
        let mut file = Self { bytes, budget, entries: HashMap::new(), root: None, inflated: RefCell::default() };
        let mut seen = Vec::new();
        let mut next = Some(start);
        while let Some(at) = next {
            if seen.contains(&at) {
                break;
            }
            seen.push(at);
            if seen.len() > SECTIONS {
                return Err(PdfProblem::TooComplex);
            }
            let trailer = file.section(at)?;
            if trailer.get(b"Encrypt").is_some() {
                return Err(PdfProblem::Encrypted);
            }
            file.root = file.root.or_else(|| trailer.reference(b"Root"));
            next = trailer.integer(b"Prev").map(|at| usize::try_from(at).map_err(|_| NO_TABLE)).transpose()?;
        }
        file.verify()?;
        Ok(file)
    }

    /// Whether every object is where the table says: a page whose content is elsewhere shows nothing, and nobody would
    /// know. Some writers give objects they never wrote the offset 0.
    fn verify(&self) -> Result<(), PdfProblem> {
        for (number, entry) in &self.entries {
            if let Entry::At(at @ 1..) = entry {
                self.object_at(*number, *at)?;
            }
        }
        Ok(())
    }

    /// The catalog.
    pub(super) fn root(&self) -> Option<u32> {
        self.root
    }

    fn section(&mut self, at: usize) -> Result<Dictionary, PdfProblem> {
        if at >= self.bytes.len() {
            return Err(NO_TABLE);
        }
        let mut lexer = Lexer::new(self.bytes, at, self.budget);
        if !lexer.keyword(b"xref")? {
            return self.stream_section(at);
        }
        let mut table = Vec::new();
        while !lexer.keyword(b"trailer")? {
            let (Some(first), Some(count)) = (lexer.unsigned()?, lexer.unsigned()?) else { return Err(NO_TABLE) };
            for place in 0..count {
                let (Some(offset), Some(_)) = (lexer.unsigned()?, lexer.unsigned()?) else { return Err(NO_TABLE) };
                let entry = match (lexer.keyword(b"n")?, usize::try_from(offset)) {
                    (true, Ok(offset)) => Entry::At(offset),
                    (false, _) if lexer.keyword(b"f")? => Entry::Free,
                    _ => return Err(NO_TABLE),
                };
                self.budget.build()?;
                table.push((first.saturating_add(place), entry));
            }
        }
        let Object::Dictionary(trailer) = lexer.object()? else { return Err(NO_TABLE) };
        // A hybrid file lists as free in the table what its stream tells newer readers (7.5.8.4): the stream goes first.
        if let Some(hidden) = trailer.integer(b"XRefStm").and_then(|at| usize::try_from(at).ok()) {
            self.stream_section(hidden)?;
        }
        for (number, entry) in table {
            self.insert(number, entry);
        }
        Ok(trailer)
    }

    /// Newer sections come first, so what is there stays.
    fn insert(&mut self, number: u64, entry: Entry) {
        if let Ok(number) = u32::try_from(number) {
            self.entries.entry(number).or_insert(entry);
        }
    }

    fn stream_section(&mut self, at: usize) -> Result<Dictionary, PdfProblem> {
        let mut lexer = Lexer::new(self.bytes, at, self.budget);
        if lexer.object_header()?.is_none() {
            return Err(NO_TABLE);
        }
        let Object::Dictionary(dictionary) = lexer.object()? else { return Err(NO_TABLE) };
        let data = lexer.stream_data()?.filter(|_| dictionary.is(b"XRef")).ok_or(NO_TABLE)?;
        // The length of a cross-reference stream is direct: there is no table yet to look it up in.
        let content = stream::content(&dictionary, self.data(&dictionary, data, 0)?, self.budget)?;
        self.read_stream_entries(&dictionary, &content).ok_or(NO_TABLE)??;
        Ok(dictionary)
    }

    /// `None` when the stream contradicts itself.
    fn read_stream_entries(&mut self, dictionary: &Dictionary, content: &[u8]) -> Option<Result<(), PdfProblem>> {
        let numbers = |key: &[u8]| match dictionary.get(key) {
            Some(Object::Array(items)) => items
                .iter()
                .map(|item| if let Object::Integer(value) = item { u64::try_from(*value).ok() } else { None })
                .collect::<Option<Vec<u64>>>(),
            _ => None,
        };
        let widths: Vec<usize> =
            numbers(b"W")?.into_iter().map(|w| usize::try_from(w).ok().filter(|w| *w <= 8)).collect::<Option<_>>()?;
        let &[kind_width, first_width, second_width] = widths.get(..3)? else { return None };
        let row = kind_width + first_width + second_width;
        let size = u64::try_from(dictionary.integer(b"Size")?).ok()?;
        let index = numbers(b"Index").unwrap_or_else(|| vec![0, size]);
        let mut rows = content.chunks_exact(std::num::NonZeroUsize::new(row)?.get());
        let field = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
        for section in index.chunks_exact(2) {
            for place in 0..section[1] {
                let Some(bytes) = rows.next() else { return Some(Ok(())) };
                if let Err(problem) = self.budget.build() {
                    return Some(Err(problem));
                }
                let (kind, rest) = bytes.split_at(kind_width);
                let (first, second) = rest.split_at(first_width);
                let (first, second) = (field(first), field(second));
                let entry = match if kind_width == 0 { 1 } else { field(kind) } {
                    1 => Entry::At(usize::try_from(first).ok()?),
                    2 => Entry::In { stream: u32::try_from(first).ok()?, index: second },
                    _ => Entry::Free,
                };
                self.insert(section[0].saturating_add(place), entry);
            }
        }
        Some(Ok(()))
    }

    /// The raw data of a stream.
    fn data(&self, dictionary: &Dictionary, from: usize, depth: usize) -> Result<&'a [u8], PdfProblem> {
        let length = match dictionary.get(b"Length") {
            Some(Object::Integer(length)) => usize::try_from(*length).ok(),
            Some(Object::Reference(number)) if depth < INDIRECT => match self.load(*number, depth + 1)? {
                Object::Integer(length) => usize::try_from(length).ok(),
                _ => None,
            },
            _ => None,
        };
        let end = length.and_then(|length| from.checked_add(length)).filter(|end| *end <= self.bytes.len()).ok_or(NO_OBJECT)?;
        // 7.3.8.1: the length is exact; what follows the data says so.
        let after = &self.bytes[end..];
        let after = after
            .strip_prefix(b"\r\n")
            .or_else(|| after.strip_prefix(b"\n"))
            .or_else(|| after.strip_prefix(b"\r"))
            .unwrap_or(after);
        if after.starts_with(b"endstream") { Ok(&self.bytes[from..end]) } else { Err(NO_OBJECT) }
    }

    /// Object `number`, wherever it is.
    pub(super) fn object(&self, number: u32) -> Result<Object, PdfProblem> {
        self.load(number, 0)
    }

    fn load(&self, number: u32, depth: usize) -> Result<Object, PdfProblem> {
        match self.entries.get(&number) {
            // 7.3.10: a reference to what is not there is null.
            None | Some(Entry::Free) => Ok(Object::Null),
            Some(Entry::At(at)) => {
                let mut lexer = self.object_at(number, *at)?;
                lexer.object()
            }
            Some(Entry::In { stream, index }) => {
                let stream = self.object_stream(*stream, depth)?;
                let listed = usize::try_from(*index).ok().and_then(|index| stream.places.get(index));
                let place = listed.filter(|(found, _)| *found == u64::from(number));
                let place = place.or_else(|| stream.places.iter().find(|(found, _)| *found == u64::from(number)));
                let (_, at) = place.ok_or(NO_OBJECT)?;
                Lexer::new(&stream.content, *at, self.budget).object()
            }
        }
    }

    fn object_at(&self, number: u32, at: usize) -> Result<Lexer<'a>, PdfProblem> {
        let mut lexer = Lexer::new(self.bytes, at, self.budget);
        if lexer.object_header()? == Some(u64::from(number)) { Ok(lexer) } else { Err(NO_OBJECT) }
    }

    fn object_stream(&self, number: u32, depth: usize) -> Result<Rc<ObjectStream>, PdfProblem> {
        if let Some(known) = self.inflated.borrow().get(&number) {
            return Ok(Rc::clone(known));
        }
        // 7.5.7: an object stream is never inside another one, so this cannot go in circles.
        let Some(Entry::At(at)) = self.entries.get(&number) else { return Err(NO_OBJECT) };
        let mut lexer = self.object_at(number, *at)?;
        let Object::Dictionary(dictionary) = lexer.object()? else { return Err(NO_OBJECT) };
        let data = lexer.stream_data()?.filter(|_| dictionary.is(b"ObjStm")).ok_or(NO_OBJECT)?;
        let content = stream::content(&dictionary, self.data(&dictionary, data, depth)?, self.budget)?;
        let first = dictionary.integer(b"First").and_then(|first| usize::try_from(first).ok()).ok_or(NO_OBJECT)?;
        let mut lexer = Lexer::new(&content, 0, self.budget);
        let mut places = Vec::new();
        for _ in 0..dictionary.integer(b"N").unwrap_or(0) {
            self.budget.build()?;
            let (Some(number), Some(at)) = (lexer.unsigned()?, lexer.unsigned()?) else { return Err(NO_OBJECT) };
            places.push((number, usize::try_from(at).unwrap_or(usize::MAX).saturating_add(first)));
        }
        let stream = Rc::new(ObjectStream { places, content });
        self.inflated.borrow_mut().insert(number, Rc::clone(&stream));
        Ok(stream)
    }
}
