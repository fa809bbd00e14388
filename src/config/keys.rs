//! `[keys]`: what encrypts everything at rest.

use std::path::PathBuf;

use super::{Secret, section::section};

section! {
    /// The master key, which encrypts the key of each organization. Without it nothing stored can be read:
    /// keep a copy in another safe place, away from the backups of the data.
    ["keys"] KeysSection {
        /// The file it is in (`postern init` makes one). Nobody but its owner may be able to read it.
        master_file: PathBuf = PathBuf::from("keys/master.key"),
        /// The key itself, as 64 hexadecimal digits or base64; then the file is not read.
        /// Meant for the environment: do not write it into this file.
        master: Option<Secret> = None; for example "\"...\"",
    }
}
