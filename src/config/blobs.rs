//! `[blobs]`: where documents are kept.

use std::path::PathBuf;

use super::section::section;

section! {
    /// Where the PDFs are kept, encrypted.
    ["blobs"] BlobsSection {
        /// A folder, made when it does not exist. Back it up together with the database.
        folder: PathBuf = PathBuf::from("blobs"),
    }
}
