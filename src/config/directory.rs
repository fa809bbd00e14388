//! `[directory]`: the directory of addresses.

use super::section::section;
use crate::domain::time::Span;

section! {
    /// The directory that NPIs are looked up in.
    ["directory"] DirectorySection {
        /// How old a load may be and still be believed. Older: results wait for a new one. An organization's own list is
        /// believed at any age. doctor and the metrics warn earlier: after 45 days (NPPES, NPD) or 14 (feeds).
        max_age: Span = Span::seconds(60 * 24 * 3600),
    }
}
