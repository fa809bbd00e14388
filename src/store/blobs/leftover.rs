//! Documents nothing refers to: found, and removed in a way that cannot take one from under a result that is coming in.
//!
//! Whoever is about to refer to a document has stored it in the moments before ([`Blobs::put`] always writes, so the
//! object is as young as its last `put`). So age alone would do, were it not for the moment between looking and
//! deleting. Hence in two steps: the object is moved aside first, and what was moved is looked at again. If somebody has
//! stored it meanwhile it is young, and goes back; whoever stores it later makes a new one.

use std::path::PathBuf;

use futures_util::TryStreamExt as _;
use object_store::{ObjectMeta, ObjectStoreExt as _, path::Path as Name};

use super::{BlobError, Blobs};
use crate::domain::{OrgId, Timestamp};

/// The end of the name of an object that was moved aside.
const ASIDE: &str = ".leftover";

/// An object of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name, as rows refer to it.
    pub name: String,
    /// When it was last stored.
    pub stored_at: Timestamp,
    /// Whether it was moved aside, by somebody who did not come further.
    pub is_aside: bool,
}

impl Blobs {
    /// Every object of `org`.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn objects(&self, org: OrgId) -> Result<Vec<Object>, BlobError> {
        let of_org = Name::from(org.to_string());
        let all: Vec<ObjectMeta> =
            self.objects.list(Some(&of_org)).try_collect().await.map_err(unavailable("listing documents"))?;
        let object = |meta: ObjectMeta| {
            let name = meta.location.filename()?;
            let (name, is_aside) = name.strip_suffix(ASIDE).map_or((name, false), |name| (name, true));
            Some(Object { name: name.to_owned(), stored_at: stored_at(&meta), is_aside })
        };
        Ok(all.into_iter().filter_map(object).collect())
    }

    /// Moves an object aside. `false` when it was stored since `before` after all, or is gone.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn set_aside(&self, org: OrgId, object: &Object, before: Timestamp) -> Result<bool, BlobError> {
        let (here, aside) = names(org, object);
        match self.objects.rename(&here, &aside).await {
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            moved => moved.map_err(unavailable("moving a document aside"))?,
        }
        let meta = self.objects.head(&aside).await.map_err(unavailable("looking at a document"))?;
        if stored_at(&meta) < before {
            return Ok(true);
        }
        self.put_back(org, object).await?;
        Ok(false)
    }

    /// Moves back what was moved aside, unless it has been stored anew.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn put_back(&self, org: OrgId, object: &Object) -> Result<(), BlobError> {
        let (here, aside) = names(org, object);
        match self.objects.rename_if_not_exists(&aside, &here).await {
            Err(object_store::Error::AlreadyExists { .. }) => self.forget(org, object).await,
            moved => moved.map_err(unavailable("putting a document back")),
        }
    }

    /// Deletes what was moved aside.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn forget(&self, org: OrgId, object: &Object) -> Result<(), BlobError> {
        match self.objects.delete(&names(org, object).1).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(unavailable("deleting a document")(cause)),
        }
    }

    /// Removes files that were begun before `before` and never became objects: a crash while storing leaves one.
    ///
    /// # Errors
    /// [`BlobError::Folder`].
    pub async fn remove_unfinished(&self, org: OrgId, before: Timestamp) -> Result<usize, BlobError> {
        let Some(folder) = &self.folder else { return Ok(0) };
        let path = folder.root.join(org.to_string());
        let here = path.clone();
        let removed = tokio::task::spawn_blocking(move || unfinished(&here, before)).await;
        let removed = removed.unwrap_or_else(|stopped| Err(std::io::Error::other(stopped)));
        removed.map_err(|cause| BlobError::Folder { path, cause })
    }
}

/// `NAME#1` is how the object store calls a file it is still writing; it does not list it.
fn unfinished(folder: &PathBuf, before: Timestamp) -> std::io::Result<usize> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|at| at.duration_since(std::time::SystemTime::UNIX_EPOCH).ok());
        let is_old = age.is_some_and(|at| i64::try_from(at.as_micros()).is_ok_and(|at| at < before.micros()));
        if is_old && entry.file_name().to_string_lossy().contains('#') {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Where an object is, and where when moved aside.
fn names(org: OrgId, object: &Object) -> (Name, Name) {
    let org = org.to_string();
    let aside = format!("{}{ASIDE}", object.name);
    (Name::from_iter([org.clone(), object.name.clone()]), Name::from_iter([org, aside]))
}

fn stored_at(meta: &ObjectMeta) -> Timestamp {
    Timestamp(meta.last_modified.timestamp_micros())
}

fn unavailable(doing: &'static str) -> impl Fn(object_store::Error) -> BlobError {
    move |cause| BlobError::Unavailable { doing, cause }
}
