//! `[directory]`: the directory of addresses.

use super::section::section;
use crate::domain::time::Span;

section! {
    /// The directory that NPIs are looked up in.
    ["directory"] DirectorySection {
        /// How old the last load may be and still be believed. Older: results wait for a new one.
        max_age: Span = Span::seconds(45 * 24 * 3600),
    }
}
