//! Just enough reading of Rust to see which paths a file names: words and signs, without comments and texts.

use std::collections::BTreeSet;

/// One source file, taken apart.
pub(crate) struct Source {
    tokens: Vec<Token>,
    /// What stands between quotes, escapes as written.
    pub(crate) strings: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Path,
    Sign(char),
}

impl Token {
    fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(own) if own == word)
    }
}

impl Source {
    pub(crate) fn has_word(&self, word: &str) -> bool {
        self.tokens.iter().any(|token| token.is(word))
    }

    /// Whether a path starts with this outside library, or a `use` takes it whole.
    pub(crate) fn uses_library(&self, library: &str) -> bool {
        (0..self.tokens.len()).any(|at| {
            if !self.tokens[at].is(library) {
                return false;
            }
            let leads_a_path = self.tokens.get(at + 1) == Some(&Token::Path) && !self.continues_a_path(at);
            leads_a_path || (at > 0 && self.tokens[at - 1].is("use"))
        })
    }

    /// The rooms that paths from the crate's root lead to: `crate::room`, `crate::{room, ..}` and enough `super`s.
    /// A glob or a renaming of the root counts as the room `*`.
    pub(crate) fn rooms_known(&self, path: &str) -> BTreeSet<String> {
        let mut rooms = BTreeSet::new();
        let mut depth = depth_of(path);
        // For each open brace, whether it is that of an inline module.
        let mut braces = Vec::new();
        for at in 0..self.tokens.len() {
            match &self.tokens[at] {
                Token::Sign('{') => {
                    let module = at >= 2 && self.tokens[at - 2].is("mod");
                    depth += usize::from(module);
                    braces.push(module);
                }
                Token::Sign('}') => depth -= usize::from(braces.pop().unwrap_or(false)),
                Token::Word(word) if word == "crate" && !self.continues_a_path(at) => match self.tokens.get(at + 1) {
                    Some(Token::Path) => self.heads(at + 2, &mut rooms),
                    Some(next) if next.is("as") => drop(rooms.insert("*".to_owned())),
                    _ => {}
                },
                Token::Word(word) if word == "super" && !self.continues_a_path(at) => {
                    let mut next = at;
                    let mut climbed = 1;
                    while self.tokens.get(next + 1) == Some(&Token::Path)
                        && self.tokens.get(next + 2).is_some_and(|t| t.is("super"))
                    {
                        next += 2;
                        climbed += 1;
                    }
                    if climbed == depth && self.tokens.get(next + 1) == Some(&Token::Path) {
                        self.heads(next + 2, &mut rooms);
                    }
                }
                _ => {}
            }
        }
        rooms
    }

    /// The first word of a path, or of each path of a group.
    fn heads(&self, at: usize, heads: &mut BTreeSet<String>) {
        match self.tokens.get(at) {
            Some(Token::Word(word)) => drop(heads.insert(word.clone())),
            Some(Token::Sign('{')) => {
                let mut open = 0;
                for (offset, token) in self.tokens[at..].iter().enumerate() {
                    match token {
                        Token::Sign('{') => open += 1,
                        Token::Sign('}') => open -= 1,
                        _ => {}
                    }
                    if open == 0 {
                        break;
                    }
                    if open == 1
                        && matches!(token, Token::Sign('{' | ','))
                        && self.tokens.get(at + offset + 1) != Some(&Token::Sign('}'))
                    {
                        self.heads(at + offset + 1, heads);
                    }
                }
            }
            Some(Token::Sign('*')) => drop(heads.insert("*".to_owned())),
            _ => {}
        }
    }

    /// Whether the word is preceded by `something::`, not by nothing or by a path's leading `::`.
    fn continues_a_path(&self, at: usize) -> bool {
        at >= 2 && self.tokens[at - 1] == Token::Path && matches!(self.tokens[at - 2], Token::Word(_) | Token::Sign('>'))
    }

    /// Takes a file apart.
    pub(crate) fn read(text: &str) -> Self {
        let mut source = Self { tokens: Vec::new(), strings: Vec::new() };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let length = source.read_one(first, rest);
            rest = &rest[length..];
        }
        source
    }

    /// Takes what stands at the start of `rest` and says how long it was.
    fn read_one(&mut self, first: char, rest: &str) -> usize {
        if rest.starts_with("//") {
            return rest.find('\n').unwrap_or(rest.len());
        }
        if rest.starts_with("/*") {
            return block_comment(rest);
        }
        if first == '"' {
            return self.string(rest, 1);
        }
        if first == '\'' {
            return character_or_lifetime(rest);
        }
        if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            return self.word_or_prefix(&rest[..length], rest);
        }
        if rest.starts_with("::") {
            self.tokens.push(Token::Path);
            return 2;
        }
        if !first.is_whitespace() {
            self.tokens.push(Token::Sign(first));
        }
        first.len_utf8()
    }

    /// A word, or the letters before a text: `r"`, `br#"`, `c"`; or `r#` before a word.
    fn word_or_prefix(&mut self, word: &str, rest: &str) -> usize {
        let after = &rest[word.len()..];
        let raw = matches!(word, "r" | "br" | "cr");
        let hashes = after.len() - after.trim_start_matches('#').len();
        if raw && after[hashes..].starts_with('"') {
            let start = word.len() + hashes + 1;
            let end = format!("\"{}", "#".repeat(hashes));
            let length = rest[start..].find(&end).unwrap_or(rest.len() - start);
            self.strings.push(rest[start..start + length].to_owned());
            return (start + length + end.len()).min(rest.len());
        }
        if word == "r" && hashes == 1 {
            return 2;
        }
        if matches!(word, "b" | "c") && after.starts_with('"') {
            return self.string(rest, 2);
        }
        self.tokens.push(Token::Word(word.to_owned()));
        word.len()
    }

    fn string(&mut self, rest: &str, start: usize) -> usize {
        let mut escaped = false;
        for (at, c) in rest[start..].char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.strings.push(rest[start..start + at].to_owned());
                    return start + at + 1;
                }
                _ => {}
            }
        }
        rest.len()
    }
}

/// How many modules deep a file is: `send/mod.rs` and `send.rs` 1, `send/smtp/dot.rs` 3, `lib.rs` 0.
fn depth_of(path: &str) -> usize {
    let parts = path.split('/').count();
    let ends_as_its_folder = matches!(path.rsplit('/').next(), Some("mod.rs" | "lib.rs" | "main.rs"));
    parts - usize::from(ends_as_its_folder)
}

fn block_comment(rest: &str) -> usize {
    let mut open = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            open += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            open -= 1;
            at += 2;
            if open == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `'x'` and `'\''` are characters, `'a` is a lifetime.
fn character_or_lifetime(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match chars.next() {
        // The character after the backslash may be a quote; the one that ends it comes later.
        Some((_, '\\')) => rest[3.min(rest.len())..].find('\'').map_or(rest.len(), |end| end + 4),
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}
