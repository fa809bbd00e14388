//! Organization files: reading one, with its mistakes shown where they are.

use std::path::{Path, PathBuf};

use super::error::Mistake;
use crate::domain::organization::{BadOrganization, OrganizationFile};

/// Why an organization file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OrganizationError {
    /// It cannot be read.
    #[error("reading the organization file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// It says something that is no fact of an organization.
    #[error("{}:{mistake}", path.display())]
    Mistake {
        /// Which file.
        path: PathBuf,
        /// Where and what.
        mistake: Mistake,
    },
    /// It reads well and cannot be meant.
    #[error("{}:\n{}", path.display(), lines(problems))]
    Problems {
        /// Which file.
        path: PathBuf,
        /// Each with the path of its field.
        problems: Vec<BadOrganization>,
    },
}

fn lines(problems: &[BadOrganization]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

/// Reads the organization file `path` and checks it.
///
/// # Errors
/// [`OrganizationError`]: a mistake comes with its line and a caret, every other problem with its field.
pub fn read(path: &Path) -> Result<OrganizationFile, OrganizationError> {
    let text = std::fs::read_to_string(path).map_err(|cause| OrganizationError::Read { path: path.to_owned(), cause })?;
    let file: OrganizationFile = toml::from_str(&text).map_err(|error| OrganizationError::Mistake {
        path: path.to_owned(),
        mistake: Mistake::new(&text, error.span(), error.message()),
    })?;
    file.check().map_err(|problems| OrganizationError::Problems { path: path.to_owned(), problems })?;
    Ok(file)
}
