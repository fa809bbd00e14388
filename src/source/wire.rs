//! The JSON wire shapes and their way into the domain: one reader for the API, the folder, the feed and the shell.
//!
//! Everything wrong is reported at once, each with the JSON pointer of its field. A message never repeats the value of a
//! field: it may name a patient, and messages end up in answers, logs and `NAME.reason.json`.

mod fields;
mod json;
mod order;
mod patient;
mod report;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

pub use order::{CancelledOrder, OrderMessage};
pub use report::{Replaces, ResultMessage};
pub use scan::without_ssn;

use std::borrow::Cow;

use crate::domain::time::Date;

/// What to do with a field nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unknown {
    /// Refuse the document, naming the field.
    #[default]
    Refuse,
    /// Read past it (a setting per client).
    Ignore,
}

/// One thing wrong with (or noted about) one field.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, thiserror::Error)]
#[error("{}{}{message}", field, if field.is_empty() { "the document " } else { " " })]
pub struct FieldProblem {
    /// JSON pointer (RFC 6901), e.g. `/patient/birth_date`; empty for the document as a whole.
    pub field: String,
    /// Stable code, e.g. `missing`, `too_long`, `npi_invalid`.
    pub code: Cow<'static, str>,
    /// One sentence whose subject is the field. Never contains the field's value.
    pub message: String,
}

/// What was read, beside what is worth telling the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<T> {
    /// The message.
    pub value: T,
    /// Accepted, but not as sent: a bad NPI or address (kept), a social security number (discarded).
    pub warnings: Vec<FieldProblem>,
}

/// Reads an order. `today` is the date in the organization's time zone: nobody is born after it.
///
/// # Errors
/// Every problem found, in the order of the fields.
pub fn order(json: &[u8], unknown: Unknown, today: Date) -> Result<Parsed<OrderMessage>, Vec<FieldProblem>> {
    read(json, unknown, |findings, node| order::read(findings, "", node, today))
}

/// Reads a result, with the order it may carry inside. `today` as for [`order()`].
///
/// # Errors
/// Every problem found, in the order of the fields.
pub fn result(json: &[u8], unknown: Unknown, today: Date) -> Result<Parsed<ResultMessage>, Vec<FieldProblem>> {
    read(json, unknown, |findings, node| report::read(findings, node, today))
}

/// The members of a document, without their meaning.
pub(crate) struct Glance<'j>(Vec<(Cow<'j, str>, json::Node<'j>)>);

/// Looks at a document as far as to tell what it is.
///
/// # Errors
/// The one thing that makes it no JSON object, as from [`order()`] and [`result()`].
pub(crate) fn glance(json: &[u8]) -> Result<Glance<'_>, Vec<FieldProblem>> {
    match parsed(json)? {
        json::Node::Object(members) => Ok(Glance(members)),
        other => {
            let findings = fields::Findings::new(Unknown::Refuse);
            // Says what it is instead of an object.
            let _ = fields::Fields::of(&findings, "", &other);
            Err(findings.problems.into_inner())
        }
    }
}

impl Glance<'_> {
    /// Whether there is such a member; `null` is the same as absent.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, value)| given == name && !matches!(value, json::Node::Null))
    }

    /// The text of a member, if it is one.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(given, value)| match value {
            json::Node::Text(text) if given == name => Some(text.as_ref()),
            _ => None,
        })
    }
}

fn parsed(json: &[u8]) -> Result<json::Node<'_>, Vec<FieldProblem>> {
    json::parse(json).map_err(|bad| vec![FieldProblem { field: String::new(), code: bad.code.into(), message: bad.message }])
}

fn read<T>(
    json: &[u8],
    unknown: Unknown,
    shape: impl FnOnce(&fields::Findings, &json::Node<'_>) -> Option<T>,
) -> Result<Parsed<T>, Vec<FieldProblem>> {
    let node = parsed(json)?;
    let findings = fields::Findings::new(unknown);
    let value = shape(&findings, &node);
    let problems = findings.problems.into_inner();
    match value {
        Some(value) if problems.is_empty() => Ok(Parsed { value, warnings: findings.warnings.into_inner() }),
        _ => Err(problems),
    }
}
