//! What crashes and refusals leave behind: documents no result refers to, directories that were never loaded to their end.

use std::{collections::HashSet, time::Duration};

use super::{
    Doing as _, Result, Store, StoreError,
    blobs::{BlobError, Blobs, leftover::Object},
};
use crate::domain::{OrgId, Timestamp};

/// A document is left alone this long: far longer than from storing it to recording the result that refers to it.
pub const DOCUMENT_AGE: Duration = Duration::from_hours(24);
/// A directory to which nothing was added for so long is not being loaded any more.
pub(super) const LOADING_AGE: Duration = Duration::from_hours(1);

/// So many orphans are never too many.
const FEW: usize = 10;

/// The documents of an organization, beside what its results refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Documents {
    /// There are.
    pub stored: usize,
    /// Nothing refers to them, and they are older than [`DOCUMENT_AGE`].
    pub orphans: usize,
    /// Results refer to them, and they are not there.
    pub missing: usize,
}

/// Why leftovers could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum LeftoverError {
    /// The rows could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The documents could not be read or removed.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// Nothing was removed.
    #[error(
        "{orphans} of {stored} documents of organization {org} belong to no result: was an older database put back, or do two \
         installations share a folder? None is removed"
    )]
    TooMany {
        /// Whose.
        org: OrgId,
        /// So many.
        orphans: usize,
        /// Of so many.
        stored: usize,
    },
}

impl Store {
    /// Compares the documents of `org` with what its results refer to; changes nothing.
    ///
    /// # Errors
    /// [`LeftoverError`].
    pub async fn documents(&self, blobs: &Blobs, org: OrgId) -> Result<Documents, LeftoverError> {
        let before = self.document_horizon();
        // What is missing is asked first and looked for then, what is too much the other way round: in between results
        // come in, first with their document and then with their row.
        let wanted = self.referred_to(org).await?;
        let objects = blobs.objects(org).await?;
        let referred_to = self.referred_to(org).await?;
        let there: HashSet<&str> = objects.iter().map(|object| object.name.as_str()).collect();
        let is_orphan = |name: &str, at| !referred_to.contains(name) && at < before;
        Ok(Documents {
            stored: there.len(),
            orphans: objects.iter().filter(|object| is_orphan(&object.name, object.stored_at)).count(),
            missing: wanted.iter().filter(|name| !there.contains(name.as_str())).count(),
        })
    }

    /// Removes documents of `org` that nothing refers to and that are older than [`DOCUMENT_AGE`]; returns how many.
    ///
    /// # Errors
    /// [`LeftoverError::TooMany`] when they are a good part of all there are; else, what was done until then is done, and the rest is done the next time.
    pub async fn remove_orphans(&self, blobs: &Blobs, org: OrgId) -> Result<usize, LeftoverError> {
        let before = self.document_horizon();
        let objects = blobs.objects(org).await?;
        // Asked after they were listed: whoever came in meanwhile is among them.
        let referred_to = self.referred_to(org).await?;
        let stored = objects.len();
        let (mut aside, here): (Vec<_>, Vec<_>) = objects.into_iter().partition(|object| object.is_aside);
        let is_orphan = |object: &&Object| object.stored_at < before && !referred_to.contains(&object.name);
        let orphans = here.iter().filter(is_orphan).count();
        // Crashes and refusals leave few. So many means that this is not the database these documents belong to.
        if orphans > FEW && orphans * 5 > stored {
            return Err(LeftoverError::TooMany { org, orphans, stored });
        }
        for object in here.iter().filter(is_orphan) {
            if blobs.set_aside(org, object, before).await? {
                aside.push(object.clone());
            }
        }
        let mut removed = blobs.remove_unfinished(org, before).await?;
        if aside.is_empty() {
            return Ok(removed);
        }
        let referred_to = self.referred_to(org).await?;
        for object in aside {
            if referred_to.contains(&object.name) {
                blobs.put_back(org, &object).await?;
            } else {
                blobs.forget(org, &object).await?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// The names of the documents that results of `org` refer to.
    async fn referred_to(&self, org: OrgId) -> Result<HashSet<String>> {
        let names: Vec<String> = on!(&self.db, pool => sqlx::query_scalar("SELECT DISTINCT pdf FROM result WHERE org_id = $1")
            .bind(org.to_string()).fetch_all(pool).await)
        .doing("read which documents are referred to")?;
        Ok(names.into_iter().collect())
    }

    fn document_horizon(&self) -> Timestamp {
        Timestamp(self.clock.now().micros().saturating_sub(micros_of(DOCUMENT_AGE)))
    }
}

pub(super) fn micros_of(age: Duration) -> i64 {
    i64::try_from(age.as_micros()).unwrap_or(i64::MAX)
}
