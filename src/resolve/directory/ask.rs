//! Asking the directory: its loads first, then the live directories where these have nothing to say.

use super::Live;
use crate::{
    domain::{
        Npi, OrgId,
        directory::{Finding, Says, answer},
        route::{DirectoryAnswer, DirectorySource},
        time::Span,
    },
    store::{Store, StoreError},
};

/// What all sources together answer for an NPI.
///
/// # Errors
/// When the store fails. A directory that does not answer is an answer: unavailable.
pub async fn ask(store: &Store, live: &Live, org: OrgId, npi: &Npi, max_age: Span) -> Result<DirectoryAnswer, StoreError> {
    Ok(answer(findings(store, live, org, npi, max_age).await?))
}

/// What each source says. Live directories are asked only when no load has an address, and not about somebody who is known to
/// be deactivated.
///
/// # Errors
/// As [`ask`].
pub async fn findings(store: &Store, live: &Live, org: OrgId, npi: &Npi, max_age: Span) -> Result<Vec<Finding>, StoreError> {
    let mut findings = store.directory_findings(org, npi, max_age).await?;
    let settled = |finding: &Finding| match finding.says {
        Says::Addresses(_) => true,
        Says::Inactive => matches!(finding.source, DirectorySource::Registry | DirectorySource::TenantList),
        Says::Known | Says::Unknown | Says::Unavailable(_) => false,
    };
    if findings.iter().any(settled) {
        return Ok(findings);
    }
    for finding in live.ask(org, npi).await? {
        // What the source says today is asked for in place of what its old load could have said.
        if !matches!(finding.says, Says::Unavailable(_)) {
            let registry = finding.source == DirectorySource::Nppes;
            findings.retain(|old| {
                let same = old.source == finding.source || (registry && old.source == DirectorySource::Registry);
                !(same && matches!(old.says, Says::Unavailable(_)))
            });
        }
        findings.push(finding);
    }
    Ok(findings)
}
