//! A page of tables and forms: what most places of the console are.

use askama::Template;
use axum::http::StatusCode;

use super::{Page, Told, deliveries::Choice, form::Form, words::Badge};
use crate::web::auth::Person;

/// The page.
pub(super) struct Sheet {
    title: String,
    lead: String,
    crumbs: Vec<(String, String)>,
    action: &'static str,
    fields: Vec<Field>,
    problem: Option<String>,
    told: Option<Told>,
    links: Vec<(String, String, &'static str)>,
    sections: Vec<Section>,
    next: Option<(String, &'static str)>,
}

/// One field of the filter bar.
pub(super) struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
    options: Vec<Choice>,
}

/// One table, or a list of facts, with what can be done about it.
#[derive(Default)]
pub(super) struct Section {
    heading: String,
    lead: String,
    columns: Vec<&'static str>,
    rows: Vec<Vec<Cell>>,
    facts: Vec<(&'static str, String)>,
    lines: Vec<String>,
    path: Vec<Node>,
    empty: (&'static str, &'static str),
    verbatim: Option<String>,
    fold: &'static str,
    forms: Vec<Form>,
    links: Vec<(String, String)>,
}

/// One certificate of a path that is drawn.
pub(super) struct Node {
    /// What it is on the path.
    pub(super) what: &'static str,
    /// Whose it is.
    pub(super) name: String,
}

/// One cell.
#[derive(Default)]
pub(super) struct Cell {
    text: String,
    tone: Option<&'static str>,
    link: Option<String>,
    sub: String,
    kind: &'static str,
    /// The name of its column, for where a table has no room to be one.
    label: &'static str,
    forms: Vec<Form>,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

impl From<Badge> for Cell {
    fn from(badge: Badge) -> Self {
        Self { text: badge.words, tone: Some(badge.tone), ..Self::default() }
    }
}

impl Cell {
    /// A number: at the right.
    #[expect(clippy::needless_pass_by_value, reason = "what calls it has numbers, which are copied")]
    pub(super) fn number(number: impl ToString) -> Self {
        Self { text: number.to_string(), kind: "n", ..Self::default() }
    }

    /// A time: on one line.
    pub(super) fn time(text: String) -> Self {
        Self { text, kind: "t", ..Self::default() }
    }

    /// What is read letter by letter: an address, a digest.
    pub(super) fn code(text: impl Into<String>) -> Self {
        Self { text: text.into(), kind: "c", ..Self::default() }
    }

    /// What can be done about the row.
    pub(super) fn doing(forms: impl IntoIterator<Item = Form>) -> Self {
        Self { forms: forms.into_iter().collect(), kind: "do", ..Self::default() }
    }

    /// The same, leading somewhere.
    pub(super) fn to(self, link: impl Into<String>) -> Self {
        Self { link: Some(link.into()), ..self }
    }

    /// The same, with smaller words beneath.
    pub(super) fn with(self, sub: impl Into<String>) -> Self {
        Self { sub: sub.into(), ..self }
    }
}

impl Section {
    /// A table with these columns; what is said when it has no row: a title, and what to do next.
    pub(super) fn table(heading: &str, columns: &[&'static str], empty: (&'static str, &'static str)) -> Self {
        Self { heading: heading.to_owned(), columns: columns.to_vec(), empty, ..Self::default() }
    }

    /// Facts, each with its name.
    pub(super) fn facts(heading: &str, facts: Vec<(&'static str, String)>) -> Self {
        Self { heading: heading.to_owned(), facts, ..Self::default() }
    }

    /// Sentences.
    pub(super) fn lines(heading: &str, lines: Vec<String>) -> Self {
        Self { heading: heading.to_owned(), lines, ..Self::default() }
    }

    /// The same, with this heading and these sentences.
    pub(super) fn saying(self, heading: &str, lines: Vec<String>) -> Self {
        Self { heading: heading.to_owned(), lines, ..self }
    }

    /// Certificates, each issued by the next.
    pub(super) fn path(heading: &str, path: Vec<Node>) -> Self {
        Self { heading: heading.to_owned(), path, ..Self::default() }
    }

    /// Text as it is.
    pub(super) fn verbatim(heading: &str, text: String) -> Self {
        Self { heading: heading.to_owned(), verbatim: Some(text), ..Self::default() }
    }

    /// The same text, folded away under `fold` until somebody wants it.
    pub(super) fn folded(self, fold: &'static str) -> Self {
        Self { fold, ..self }
    }

    /// What can be done, by itself.
    pub(super) fn form(heading: &str, form: Form) -> Self {
        Self { heading: heading.to_owned(), forms: vec![form], ..Self::default() }
    }

    /// The same with these rows.
    pub(super) fn rows(self, rows: impl IntoIterator<Item = Vec<Cell>>) -> Self {
        let columns = self.columns.iter().map(|column| column.trim_start_matches('#')).chain(std::iter::repeat(""));
        let named = |row: Vec<Cell>| columns.clone().zip(row).map(|(label, cell)| Cell { label, ..cell }).collect();
        Self { rows: rows.into_iter().map(named).collect(), ..self }
    }

    /// The same, saying first what it is.
    pub(super) fn lead(self, lead: impl Into<String>) -> Self {
        Self { lead: lead.into(), ..self }
    }

    /// The same with something to do beneath it.
    pub(super) fn and(mut self, form: Form) -> Self {
        self.forms.push(form);
        self
    }

    /// The same with something to go on to beneath it.
    pub(super) fn leading(mut self, link: impl Into<String>, words: impl Into<String>) -> Self {
        self.links.push((link.into(), words.into()));
        self
    }
}

#[derive(Template)]
#[template(path = "console/sheet.html")]
struct Shown<'a> {
    person: Option<&'a Person>,
    csrf: &'a str,
    sheet: &'a Sheet,
}

impl Sheet {
    /// Nothing on it yet.
    pub(super) fn new(title: impl Into<String>, lead: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            lead: lead.into(),
            crumbs: Vec::new(),
            action: "",
            fields: Vec::new(),
            problem: None,
            told: None,
            links: Vec::new(),
            sections: Vec::new(),
            next: None,
        }
    }

    /// The place it belongs to: path and name. Several stand in the order in which one goes down.
    pub(super) fn under(mut self, path: impl Into<String>, name: impl Into<String>) -> Self {
        self.crumbs.push((path.into(), name.into()));
        self
    }

    /// What was just done.
    pub(super) fn told(mut self, told: Option<Told>) -> Self {
        self.told = told;
        self
    }

    /// What is wrong with what was asked for.
    pub(super) fn wrong(mut self, problem: Option<String>) -> Self {
        self.problem = problem;
        self
    }

    /// One more part.
    pub(super) fn and(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// A filter bar whose fields are sent to `action`.
    pub(super) fn filtered(mut self, action: &'static str, fields: Vec<Field>, problem: Option<String>) -> Self {
        (self.action, self.fields, self.problem) = (action, fields, problem);
        self
    }

    /// Something to go on to, beside the title.
    pub(super) fn leading(mut self, link: impl Into<String>, words: impl Into<String>) -> Self {
        self.links.push((link.into(), words.into(), " quiet"));
        self
    }

    /// What most come to the page for, as the one that stands out.
    pub(super) fn mainly(mut self, link: impl Into<String>, words: impl Into<String>) -> Self {
        self.links.push((link.into(), words.into(), ""));
        self
    }

    /// Whether the filter bar says anything.
    fn filters(&self) -> bool {
        self.fields.iter().any(|field| !field.value.is_empty() || field.options.iter().any(|option| option.chosen))
    }

    /// The page after this one.
    pub(super) fn next(self, next: Option<String>) -> Self {
        self.next_as(next, "Older")
    }

    /// The same, called otherwise.
    pub(super) fn next_as(mut self, next: Option<String>, words: &'static str) -> Self {
        self.next = next.map(|next| (next, words));
        self
    }

    /// The page.
    pub(super) fn show(&self, person: &Person) -> Page {
        self.show_as(StatusCode::OK, person)
    }

    /// The page of something that was not done.
    pub(super) fn show_as(&self, status: StatusCode, person: &Person) -> Page {
        Page::with(status, &Shown { person: Some(person), csrf: &person.csrf, sheet: self })
    }
}

impl Field {
    /// A field for a word.
    pub(super) fn word(name: &'static str, label: &'static str, value: &str) -> Self {
        Self { name, label, value: value.to_owned(), options: Vec::new() }
    }

    /// A field to choose from; `None` when there is nothing to choose.
    pub(super) fn choice(name: &'static str, label: &'static str, options: Vec<Choice>) -> Option<Self> {
        (!options.is_empty()).then(|| Self { name, label, value: String::new(), options })
    }
}
