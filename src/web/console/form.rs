//! A form of a page: what it asks for, where it goes, and what its button says. Every one carries the mark of its page.

use super::deliveries::Choice;

/// One form.
#[derive(Default)]
pub(super) struct Form {
    /// Where it is sent, by POST.
    pub(super) action: String,
    /// What opens it, when it is folded away until somebody wants it.
    pub(super) fold: String,
    /// What it does, before somebody does it.
    pub(super) lead: String,
    /// Its fields.
    pub(super) inputs: Vec<Input>,
    /// The words of its button.
    pub(super) button: String,
    /// `bad` for what cannot be had back, `quiet`, or nothing.
    pub(super) tone: &'static str,
    /// A file goes with it.
    pub(super) parts: bool,
    /// Where one goes without doing it.
    pub(super) back: Option<String>,
    /// Makes the button's words one of a kind for whoever hears the page: what it is about.
    pub(super) about: String,
}

/// How a field is filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all.
    Hidden,
    /// A line.
    Line,
    /// Several lines: so many are seen.
    Area(u8),
    /// One of several.
    Choice,
    /// A box.
    Tick,
    /// A file.
    File,
    /// A day and a minute.
    Time,
}

/// One field.
pub(super) struct Input {
    /// What it is called in the form.
    pub(super) name: &'static str,
    /// What people read.
    pub(super) label: String,
    /// A few more words.
    pub(super) hint: String,
    /// What stands in it.
    pub(super) value: String,
    /// How it is filled in.
    pub(super) kind: Kind,
    /// It must not be empty.
    pub(super) needed: bool,
    /// The box is ticked.
    pub(super) ticked: bool,
    /// What there is to choose from.
    pub(super) options: Vec<Choice>,
}

impl Form {
    /// Sent to `action` by a button that says `button`.
    pub(super) fn new(action: impl Into<String>, button: impl Into<String>) -> Self {
        Self { action: action.into(), button: button.into(), ..Self::default() }
    }

    /// The same, folded away under `fold` until somebody wants it.
    pub(super) fn folded(self, fold: impl Into<String>) -> Self {
        Self { fold: fold.into(), ..self }
    }

    /// The same, saying first what it does.
    pub(super) fn lead(self, lead: impl Into<String>) -> Self {
        Self { lead: lead.into(), ..self }
    }

    /// The same, with one more field.
    pub(super) fn and(mut self, input: Input) -> Self {
        self.parts |= input.kind == Kind::File;
        self.inputs.push(input);
        self
    }

    /// The same, carrying `value`.
    pub(super) fn hidden(self, name: &'static str, value: impl Into<String>) -> Self {
        self.and(Input { value: value.into(), kind: Kind::Hidden, ..Input::line(name, "") })
    }

    /// The same, as one that asks why: what goes on record.
    pub(super) fn why(self) -> Self {
        self.and(Input::line("why", "Why").hint("on record; nothing about a patient").needed())
    }

    /// The same, for what cannot be had back.
    pub(super) fn bad(self) -> Self {
        Self { tone: "bad", ..self }
    }

    /// The same, with a button that does not stand out.
    pub(super) fn quiet(self) -> Self {
        Self { tone: "quiet", ..self }
    }

    /// The same, with a way back.
    pub(super) fn back(self, to: impl Into<String>) -> Self {
        Self { back: Some(to.into()), ..self }
    }

    /// The same, saying to whoever hears the page what it is about.
    pub(super) fn about(self, what: impl Into<String>) -> Self {
        Self { about: what.into(), ..self }
    }
}

impl Input {
    /// A line.
    pub(super) fn line(name: &'static str, label: impl Into<String>) -> Self {
        Self {
            name,
            label: label.into(),
            hint: String::new(),
            value: String::new(),
            kind: Kind::Line,
            needed: false,
            ticked: false,
            options: Vec::new(),
        }
    }

    /// Several lines.
    pub(super) fn area(name: &'static str, label: impl Into<String>, rows: u8) -> Self {
        Self { kind: Kind::Area(rows), ..Self::line(name, label) }
    }

    /// One of `options`.
    pub(super) fn choice(name: &'static str, label: impl Into<String>, options: Vec<Choice>) -> Self {
        Self { kind: Kind::Choice, options, ..Self::line(name, label) }
    }

    /// One of these words.
    pub(super) fn words(name: &'static str, label: impl Into<String>, options: &[(&str, &str)], chosen: &str) -> Self {
        let option = |(value, words): &(&str, &str)| Choice {
            value: (*value).to_owned(),
            words: (*words).to_owned(),
            chosen: *value == chosen,
        };
        Self::choice(name, label, options.iter().map(option).collect())
    }

    /// A box.
    pub(super) fn tick(name: &'static str, label: impl Into<String>) -> Self {
        Self { kind: Kind::Tick, value: "yes".to_owned(), ..Self::line(name, label) }
    }

    /// A file.
    pub(super) fn file(name: &'static str, label: impl Into<String>) -> Self {
        Self { kind: Kind::File, ..Self::line(name, label) }
    }

    /// A day and a minute, in UTC.
    pub(super) fn time(name: &'static str, label: impl Into<String>) -> Self {
        Self { kind: Kind::Time, ..Self::line(name, label) }
    }

    /// The same with a few more words.
    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: hint.into(), ..self }
    }

    /// The same with something in it.
    pub(super) fn value(self, value: impl Into<String>) -> Self {
        Self { value: value.into(), ..self }
    }

    /// The same, not to be left empty.
    pub(super) fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// The same, ticked.
    pub(super) fn ticked(self, ticked: bool) -> Self {
        Self { ticked, ..self }
    }

    /// How many lines are seen of several.
    pub(super) const fn rows(&self) -> u8 {
        if let Kind::Area(rows) = self.kind { rows } else { 0 }
    }

    /// The word of its kind, for the template.
    pub(super) const fn is(&self) -> &'static str {
        match self.kind {
            Kind::Hidden => "hidden",
            Kind::Line => "line",
            Kind::Area(_) => "area",
            Kind::Choice => "choice",
            Kind::Tick => "tick",
            Kind::File => "file",
            Kind::Time => "time",
        }
    }
}
