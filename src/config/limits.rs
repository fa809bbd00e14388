//! `[limits]`: how large things may be.

use super::section::section;

section! {
    /// How large things may be.
    ["limits"] LimitsSection {
        /// Most octets of a PDF. Many HISPs take messages up to 10 MB, and sealing adds a good third twice over.
        pdf_bytes: usize = 7_000_000,
    }
}
