//! A statement as one page that needs nothing else: no script, no picture, no font from anywhere.

use askama::Template;

use super::Statement;
use crate::bill::BillError;

#[derive(Template)]
#[template(path = "statement.html")]
struct Page<'a> {
    statement: &'a Statement,
    draft: bool,
}

/// The page.
///
/// # Errors
/// [`BillError::Page`].
pub fn write(statement: &Statement) -> Result<String, BillError> {
    let draft = statement.closed_at.is_none();
    Page { statement, draft }.render().map_err(BillError::Page)
}
