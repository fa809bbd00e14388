//! PDF objects (ISO 32000-1 7.2, 7.3), as far as the skeleton of a file needs them.

use super::{PdfProblem, budget::Budget};

/// Deepest nesting of arrays and dictionaries.
const DEPTH: usize = 40;

/// An object. Strings, reals and booleans are read past: nothing of the skeleton is one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Object {
    Integer(i64),
    Name(Vec<u8>),
    Array(Vec<Object>),
    Dictionary(Dictionary),
    Reference(u32),
    Null,
    Other,
}

/// A dictionary; of a key given twice the last counts.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Dictionary(Vec<(Vec<u8>, Object)>);

impl Dictionary {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Object> {
        self.0.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value).filter(|value| **value != Object::Null)
    }

    pub(super) fn integer(&self, key: &[u8]) -> Option<i64> {
        if let Some(Object::Integer(value)) = self.get(key) { Some(*value) } else { None }
    }

    pub(super) fn reference(&self, key: &[u8]) -> Option<u32> {
        if let Some(Object::Reference(number)) = self.get(key) { Some(*number) } else { None }
    }

    /// Whether `/Type` is this: it is required wherever the skeleton of a file has one (7.5.7, 7.5.8, 7.7).
    pub(super) fn is(&self, kind: &[u8]) -> bool {
        matches!(self.get(b"Type"), Some(Object::Name(name)) if name == kind)
    }
}

/// Reads objects one after the other.
pub(super) struct Lexer<'a> {
    bytes: &'a [u8],
    at: usize,
    budget: &'a Budget,
}

const DAMAGED: PdfProblem = PdfProblem::Damaged("an object cannot be read");

const fn is_space(b: u8) -> bool {
    matches!(b, 0 | b'\t' | b'\n' | 0x0C | b'\r' | b' ')
}

const fn is_regular(b: u8) -> bool {
    !is_space(b) && !matches!(b, b'(' | b')' | b'<' | b'>' | b'[' | b']' | b'{' | b'}' | b'/' | b'%')
}

impl<'a> Lexer<'a> {
    /// Reads `bytes` from `at` on.
    pub(super) fn new(bytes: &'a [u8], at: usize, budget: &'a Budget) -> Self {
        Self { bytes, at: at.min(bytes.len()), budget }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip(&mut self, count: usize) -> Result<(), PdfProblem> {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
        self.budget.read(count)
    }

    fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> Result<&'a [u8], PdfProblem> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().position(|b| !wanted(*b)).unwrap_or(rest.len());
        self.skip(count)?;
        Ok(&rest[..count])
    }

    /// White space and comments.
    pub(super) fn space(&mut self) -> Result<(), PdfProblem> {
        loop {
            self.take_while(is_space)?;
            if self.peek() != Some(b'%') {
                return Ok(());
            }
            self.take_while(|b| b != b'\n' && b != b'\r')?;
        }
    }

    /// Takes `word` if it is next.
    pub(super) fn keyword(&mut self, word: &[u8]) -> Result<bool, PdfProblem> {
        self.space()?;
        let found = self.bytes[self.at..].starts_with(word);
        if found {
            self.skip(word.len())?;
        }
        Ok(found)
    }

    /// An unsigned whole number, if one is next.
    pub(super) fn unsigned(&mut self) -> Result<Option<u64>, PdfProblem> {
        self.space()?;
        let digits = self.take_while(|b| b.is_ascii_digit())?;
        Ok(std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()))
    }

    /// `12 0 obj`: the number.
    pub(super) fn object_header(&mut self) -> Result<Option<u64>, PdfProblem> {
        let number = self.unsigned()?;
        let generation = self.unsigned()?;
        let object = self.keyword(b"obj")?;
        Ok(number.filter(|_| generation.is_some() && object))
    }

    /// The data of a stream begin here, if `stream` and its line end are next (ISO 32000-1 7.3.8).
    pub(super) fn stream_data(&mut self) -> Result<Option<usize>, PdfProblem> {
        if !self.keyword(b"stream")? {
            return Ok(None);
        }
        match self.bytes[self.at..] {
            [b'\r', b'\n', ..] => self.skip(2)?,
            [b'\n' | b'\r', ..] => self.skip(1)?,
            _ => return Ok(None),
        }
        Ok(Some(self.at))
    }

    /// The next object.
    pub(super) fn object(&mut self) -> Result<Object, PdfProblem> {
        self.nested(DEPTH)
    }

    fn nested(&mut self, depth: usize) -> Result<Object, PdfProblem> {
        let depth = depth.checked_sub(1).ok_or(PdfProblem::TooComplex)?;
        self.budget.build()?;
        self.space()?;
        match self.peek() {
            Some(b'/') => self.name().map(Object::Name),
            Some(b'<') if self.bytes[self.at..].starts_with(b"<<") => self.dictionary(depth).map(Object::Dictionary),
            Some(b'<') => {
                self.take_while(|b| b != b'>')?;
                self.skip(1)?;
                Ok(Object::Other)
            }
            Some(b'(') => self.string(),
            Some(b'[') => {
                self.skip(1)?;
                let mut items = Vec::new();
                while !self.keyword(b"]")? {
                    items.push(self.nested(depth)?);
                }
                Ok(Object::Array(items))
            }
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => self.number(),
            Some(_) => match self.take_while(is_regular)? {
                b"null" => Ok(Object::Null),
                b"true" | b"false" => Ok(Object::Other),
                _ => Err(DAMAGED),
            },
            None => Err(DAMAGED),
        }
    }

    fn dictionary(&mut self, depth: usize) -> Result<Dictionary, PdfProblem> {
        self.skip(2)?;
        let mut entries = Vec::new();
        while !self.keyword(b">>")? {
            if self.peek() != Some(b'/') {
                return Err(DAMAGED);
            }
            let name = self.name()?;
            entries.push((name, self.nested(depth)?));
        }
        Ok(Dictionary(entries))
    }

    fn name(&mut self) -> Result<Vec<u8>, PdfProblem> {
        self.skip(1)?;
        let written = self.take_while(is_regular)?;
        let mut name = Vec::with_capacity(written.len());
        let mut rest = written;
        while let Some((first, after)) = rest.split_first() {
            // `#45` stands for one byte, so that no name can be hidden by spelling (7.3.5).
            let hex = after.get(..2).filter(|hex| *first == b'#' && hex.iter().all(u8::is_ascii_hexdigit));
            let byte = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
            name.push(byte.unwrap_or(*first));
            rest = if byte.is_some() { &after[2..] } else { after };
        }
        Ok(name)
    }

    fn string(&mut self) -> Result<Object, PdfProblem> {
        let mut open = 0usize;
        let mut escaped = false;
        for (count, b) in self.bytes[self.at..].iter().enumerate() {
            match b {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'(' => open += 1,
                b')' => open -= 1,
                _ => {}
            }
            if open == 0 {
                self.skip(count + 1)?;
                return Ok(Object::Other);
            }
        }
        Err(DAMAGED)
    }

    fn number(&mut self) -> Result<Object, PdfProblem> {
        let written = self.take_while(is_regular)?;
        let Some(value) = std::str::from_utf8(written).ok().and_then(|text| text.parse::<i64>().ok()) else {
            return Ok(Object::Other);
        };
        // `12 0 R` is one object, `12 0` are two.
        let after = self.at;
        if let Ok(number) = u32::try_from(value)
            && self.unsigned()?.is_some()
            && self.keyword(b"R")?
            && self.peek().is_none_or(|b| !is_regular(b))
        {
            return Ok(Object::Reference(number));
        }
        self.at = after;
        Ok(Object::Integer(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Object, PdfProblem> {
        let budget = Budget::for_file(text.len());
        Lexer::new(text.as_bytes(), 0, &budget).object()
    }

    #[test]
    fn objects_of_every_kind_are_read() {
        let text = "<< /A 1 /B [2 3 0 R -4.5 (a\\)(b)) <414> true null] % note\n /#41b /C#20d /E<</F 5>> >>";
        let Ok(Object::Dictionary(dictionary)) = parse(text) else { panic!() };
        assert_eq!(dictionary.integer(b"A"), Some(1));
        let items =
            [Object::Integer(2), Object::Reference(3), Object::Other, Object::Other, Object::Other, Object::Other, Object::Null];
        assert_eq!(dictionary.get(b"B"), Some(&Object::Array(items.to_vec())));
        assert_eq!(dictionary.get(b"Ab"), Some(&Object::Name(b"C d".to_vec())));
        assert!(matches!(dictionary.get(b"E"), Some(Object::Dictionary(inner)) if inner.integer(b"F") == Some(5)));
    }

    #[test]
    fn what_does_not_end_or_nests_without_end_is_refused() {
        for text in ["<< /A 1", "[1 2", "(abc", "<< 1 2 >>", "<< /A >>", "nonsense", ""] {
            assert_eq!(parse(text), Err(DAMAGED), "{text}");
        }
        assert_eq!(parse(&"[".repeat(1_000_000)), Err(PdfProblem::TooComplex));
        assert_eq!(parse(&"<</A".repeat(1_000_000)), Err(PdfProblem::TooComplex));
        assert_eq!(parse(&format!("[{}]", "0 ".repeat(2_000_000))), Err(PdfProblem::TooComplex));
    }
}
