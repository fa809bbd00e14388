//! Reads the members of one JSON object and collects every problem with its JSON pointer.

use std::{cell::RefCell, fmt::Write as _};

use super::{FieldProblem, Unknown, json::Node};
use crate::domain::text::{self, BadText, Stated};

/// More problems than these help nobody.
const MOST_PROBLEMS: usize = 100;
/// Longest text kept of an NPI or address that is not one.
const STATED_LIMIT: usize = 320;

/// What was found on the way through one document.
pub(super) struct Findings {
    pub(super) unknown: Unknown,
    pub(super) problems: RefCell<Vec<FieldProblem>>,
    pub(super) warnings: RefCell<Vec<FieldProblem>>,
}

impl Findings {
    pub(super) fn new(unknown: Unknown) -> Self {
        Self { unknown, problems: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn problem(&self, field: &str, code: &'static str, message: impl Into<String>) {
        push(&self.problems, field, code, message.into());
    }

    pub(super) fn warning(&self, field: &str, code: &'static str, message: impl Into<String>) {
        push(&self.warnings, field, code, message.into());
    }

    fn wrong_type(&self, field: &str, wanted: &str, given: &Node<'_>) {
        self.problem(field, "wrong_type", format!("must be {wanted}, not {}", given.kind()));
    }

    /// Checks one line of text; `None` when it was refused (and that has been noted).
    fn line(&self, field: &str, given: &str, limit: usize) -> Option<String> {
        match text::line(given, limit) {
            Ok(line) => Some(line.to_owned()),
            Err(bad) => {
                let code = match bad {
                    BadText::Empty => "empty",
                    BadText::TooLong { .. } => "too_long",
                    BadText::Control(_) => "control_character",
                };
                self.problem(field, code, bad.to_string());
                None
            }
        }
    }
}

fn push(list: &RefCell<Vec<FieldProblem>>, field: &str, code: &'static str, message: String) {
    let mut list = list.borrow_mut();
    if list.len() < MOST_PROBLEMS {
        list.push(FieldProblem { field: field.to_owned(), code: code.into(), message });
    }
}

/// The members of one object, each taken once; what is left at the end is unknown.
pub(super) struct Fields<'n, 'f> {
    findings: &'f Findings,
    at: String,
    members: &'n [(std::borrow::Cow<'n, str>, Node<'n>)],
    taken: Vec<bool>,
}

/// RFC 6901 3 and 4, shortened and without control characters: a name is the sender's text too.
fn pointer(at: &str, name: &str) -> String {
    let mut out = format!("{at}/");
    for c in name.chars().take(60) {
        match c {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            c if text::is_forbidden(c) => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

impl<'n, 'f> Fields<'n, 'f> {
    /// The members of `node`, or a problem when it is no object.
    pub(super) fn of(findings: &'f Findings, at: &str, node: &'n Node<'n>) -> Option<Self> {
        let Node::Object(members) = node else {
            findings.wrong_type(at, "an object", node);
            return None;
        };
        let mut names: Vec<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        for twice in names.windows(2).filter(|pair| pair[0] == pair[1]) {
            findings.problem(&pointer(at, twice[0]), "duplicate_field", "is given twice");
        }
        Some(Self { findings, at: at.to_owned(), members, taken: vec![false; members.len()] })
    }

    pub(super) fn findings(&self) -> &'f Findings {
        self.findings
    }

    /// The pointer of a member.
    pub(super) fn pointer(&self, name: &str) -> String {
        pointer(&self.at, name)
    }

    /// Notes a problem with a member.
    pub(super) fn problem(&self, name: &str, code: &'static str, message: impl Into<String>) {
        self.findings.problem(&self.pointer(name), code, message);
    }

    /// Takes a member; `null` is the same as absent.
    pub(super) fn take(&mut self, name: &str) -> Option<&'n Node<'n>> {
        let mut found = None;
        for (place, (_, node)) in self.members.iter().enumerate().filter(|(_, (given, _))| given == name) {
            self.taken[place] = true;
            found = Some(node);
        }
        found.filter(|node| !matches!(node, Node::Null))
    }

    /// Takes a member that must be there.
    pub(super) fn require(&mut self, name: &str) -> Option<&'n Node<'n>> {
        let found = self.take(name);
        if found.is_none() {
            self.problem(name, "missing", "is required");
        }
        found
    }

    fn string(&self, name: &str, node: &'n Node<'n>) -> Option<&'n str> {
        if let Node::Text(text) = node {
            return Some(text);
        }
        self.findings.wrong_type(&self.pointer(name), "a string", node);
        None
    }

    /// The raw text of an optional member; blank is the same as absent.
    pub(super) fn raw(&mut self, name: &str) -> Option<&'n str> {
        let node = self.take(name)?;
        self.string(name, node).filter(|text| !is_blank(text))
    }

    /// One line of text, at most `limit` characters.
    pub(super) fn text(&mut self, name: &str, limit: usize) -> Option<String> {
        let text = self.raw(name)?;
        self.findings.line(&self.pointer(name), text, limit)
    }

    /// One line of text that must be there.
    pub(super) fn required_text(&mut self, name: &str, limit: usize) -> Option<String> {
        let node = self.require(name)?;
        let text = self.string(name, node)?;
        self.findings.line(&self.pointer(name), text, limit)
    }

    /// A list of texts, at most `most`; blank ones are left out. A single text is refused: it is not a list.
    pub(super) fn texts(&mut self, name: &str, limit: usize, most: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for (at, node) in self.list(name, most) {
            match node {
                Node::Null => {}
                Node::Text(text) if is_blank(text) => {}
                Node::Text(text) => texts.extend(self.findings.line(&at, text, limit)),
                other => self.findings.wrong_type(&at, "a string", other),
            }
        }
        texts
    }

    /// The elements of a list, each with its pointer.
    pub(super) fn list(&mut self, name: &str, most: usize) -> Vec<(String, &'n Node<'n>)> {
        let Some(node) = self.take(name) else { return Vec::new() };
        let at = self.pointer(name);
        let Node::List(nodes) = node else {
            self.findings.wrong_type(&at, "a list", node);
            return Vec::new();
        };
        if nodes.len() > most {
            self.findings.problem(&at, "too_many", format!("has {} entries, more than the {most} allowed", nodes.len()));
            return Vec::new();
        }
        nodes.iter().enumerate().map(|(place, node)| (format!("{at}/{place}"), node)).collect()
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Node::Bool(value) => Some(*value),
            other => {
                self.findings.wrong_type(&self.pointer(name), "true or false", other);
                None
            }
        }
    }

    /// A whole number from 1.
    pub(super) fn count(&mut self, name: &str) -> Option<u32> {
        let node = self.take(name)?;
        let value = if let Node::Number(Some(value)) = node { u32::try_from(*value).ok().filter(|n| *n > 0) } else { None };
        if value.is_none() {
            self.findings.wrong_type(&self.pointer(name), "a whole number from 1", node);
        }
        value
    }

    /// One word of a closed set, or its default.
    pub(super) fn word<T: std::str::FromStr<Err = text::NotAWord>>(&mut self, name: &str, default: T) -> T {
        let Some(given) = self.raw(name) else { return default };
        self.parse_word(name, given).unwrap_or(default)
    }

    /// One word of a closed set that must be there.
    pub(super) fn required_word<T: std::str::FromStr<Err = text::NotAWord>>(&mut self, name: &str) -> Option<T> {
        let node = self.require(name)?;
        let given = self.string(name, node)?;
        self.parse_word(name, given)
    }

    fn parse_word<T: std::str::FromStr<Err = text::NotAWord>>(&self, name: &str, given: &str) -> Option<T> {
        // The message lists what is taken and does not repeat what was given.
        given.trim().parse().map_err(|bad: text::NotAWord| self.problem(name, "unknown_code", one_of(bad.expected))).ok()
    }

    /// A value that is kept as text, with a warning, when it does not parse.
    pub(super) fn stated<T>(&mut self, name: &str, warning: &'static str, what: &str) -> Option<Stated<T>>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let text = self.text(name, STATED_LIMIT)?;
        let stated = Stated::parse(&text);
        if let Stated::Invalid { problem, .. } = &stated {
            self.findings.warning(&self.pointer(name), warning, format!("{problem}; kept, but no {what} can be taken from it"));
        }
        Some(stated)
    }

    /// Ends the object: what nobody took is unknown.
    pub(super) fn done(self) {
        if self.findings.unknown == Unknown::Ignore {
            return;
        }
        for ((name, _), _) in self.members.iter().zip(&self.taken).filter(|(_, taken)| !**taken) {
            self.problem(name, "unknown_field", "is not a field of this object");
        }
    }
}

/// Nothing but white space. A line end alone is not blank: it is refused like any other control character.
fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() && !text::is_forbidden(c))
}

/// `must be one of a, b, c`.
pub(super) fn one_of(words: &[&str]) -> String {
    let mut message = "must be one of ".to_owned();
    for (place, word) in words.iter().enumerate() {
        let _ = write!(message, "{}{word}", if place == 0 { "" } else { ", " });
    }
    message
}
