//! What a file is read into: one item for each of its rows, taken, rejected or counted only.

use std::borrow::Cow;

use super::DirectoryError;
use crate::domain::route::DirectoryRow;

/// Reads a directory row by row. One row in memory, or as few as the format allows.
pub trait Rows {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on.
    fn next_item(&mut self) -> Result<Option<Item>, DirectoryError>;
}

/// Takes what is read, item by item; an error ends the reading.
pub type Sink<'a> = &'a mut dyn FnMut(Item) -> Result<(), DirectoryError>;

/// Gives every row to `sink`.
///
/// # Errors
/// When the file cannot be read on, or `sink` wants no more.
pub fn drain(mut rows: impl Rows, sink: Sink<'_>) -> Result<(), DirectoryError> {
    while let Some(item) = rows.next_item()? {
        sink(item)?;
    }
    Ok(())
}

/// What one row of a file comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its type, as the source calls it; `None` for what is not counted.
    pub of: Option<Cow<'static, str>>,
    /// What goes into force. A row whose address is wrong may still tell that its NPI is known.
    pub row: Option<DirectoryRow>,
    /// What is wrong with it.
    pub reject: Option<Reject>,
}

impl Item {
    /// A row that is taken.
    #[must_use]
    pub fn taken(of: impl Into<Cow<'static, str>>, row: DirectoryRow) -> Self {
        Self { of: Some(of.into()), row: Some(row), reject: None }
    }

    /// A row that is not.
    #[must_use]
    pub fn rejected(of: impl Into<Cow<'static, str>>, reject: Reject) -> Self {
        Self { of: Some(of.into()), row: None, reject: Some(reject) }
    }
}

/// A row that was not taken. Says where and why; never what stood there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Line of the file, from 1.
    pub line: u64,
    /// The column's or field's name; empty when it is about the whole row.
    pub column: String,
    /// What is wrong.
    pub reason: String,
}
