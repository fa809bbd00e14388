//! `[log]`: what is logged, and how.

use super::section::section;
use crate::domain::words;

words! {
    /// The form of a log line.
    pub enum LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object on each line.
        Json = "json",
    }
}

section! {
    /// What is written to stderr while the gateway runs. Nothing about a patient is ever in it.
    ["log"] LogSection {
        /// `text` or `json`.
        format: LogFormat = LogFormat::Text,
        /// How much: `error`, `warn`, `info`, `debug`, or by part of the program: `info,postern::send=debug`.
        /// The environment variable POSTERN_LOG overrides it.
        filter: String = "info".to_owned(),
    }
}
