//! PDFs at rest: one object for each content of an organization, encrypted with its data key.
//!
//! An object is named `organization / HMAC(org key, SHA-256)`: the name says nothing about the content, and the same
//! PDF sent twice is one object. The SHA-256 is bound into the box, so a swapped object does not open.

/// Documents nothing refers to.
pub mod leftover;

use std::{
    collections::HashSet,
    fmt,
    fs::{DirBuilder, File},
    io::{self, Read as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as Name};
use tokio::sync::Mutex;

use crate::{
    crypto::{CryptoError, DataKey, sha256},
    domain::{Class, OrgId, Reason},
};

/// So many objects of one batch are written at the same time: their fsyncs share journal commits.
const TOGETHER: usize = 16;

/// The file store. Cheap to clone.
#[derive(Clone)]
pub struct Blobs {
    objects: Arc<dyn ObjectStore>,
    folder: Option<Arc<Folder>>,
}

impl fmt::Debug for Blobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blobs({})", self.objects)
    }
}

/// What a local folder needs beside the objects in it.
struct Folder {
    root: PathBuf,
    /// Says which file an object is in.
    files: Arc<LocalFileSystem>,
    /// Organizations whose own folder is known to be durable.
    durable: Mutex<HashSet<OrgId>>,
}

/// Why a document could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// It is not there: never stored, deleted, or lost.
    #[error("the stored document is missing")]
    Missing,
    /// It is there and is not what was stored.
    #[error("the stored document is damaged")]
    Corrupt(#[source] Option<CryptoError>),
    /// The folder or object store cannot be used now.
    #[error("{doing} in the file store")]
    Unavailable {
        /// `reading`, `writing` or `deleting a document`.
        doing: &'static str,
        /// Why.
        #[source]
        cause: object_store::Error,
    },
    /// The folder cannot be set up.
    #[error("preparing the folder {}", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The document could not be encrypted.
    #[error("encrypting a document")]
    Encrypt(#[source] CryptoError),
}

impl BlobError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Missing | Self::Corrupt(_) => Class::Permanent,
            Self::Unavailable { .. } | Self::Folder { .. } | Self::Encrypt(_) => Class::Retry,
        }
    }

    /// The reason a result or delivery is held for it.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        Reason::DocumentUnavailable
    }
}

impl Blobs {
    /// The file store in the folder `root`, made (for its owner alone) when it does not exist.
    ///
    /// # Errors
    /// [`BlobError::Folder`].
    pub fn in_folder(root: &Path) -> Result<Self, BlobError> {
        make_durable_folder(root).map_err(|cause| BlobError::Folder { path: root.to_owned(), cause })?;
        let unavailable = |cause| BlobError::Unavailable { doing: "opening a folder", cause };
        // Without fsync the file system below acknowledges what is only in memory.
        let files = Arc::new(LocalFileSystem::new_with_prefix(root).map_err(unavailable)?.with_fsync(true));
        let folder = Folder { root: root.to_owned(), files: Arc::clone(&files), durable: Mutex::default() };
        Ok(Self { objects: files, folder: Some(Arc::new(folder)) })
    }

    /// Stores `content` for `org` and returns its SHA-256. It is durable when this returns; storing it again changes
    /// nothing, repairs a damaged copy, and makes it young again, by which [`leftover`] knows that it is wanted.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`]: the document is then not stored, and nothing may be acknowledged.
    pub async fn put(&self, org: OrgId, key: &DataKey, content: &[u8]) -> Result<[u8; 32], BlobError> {
        let digest = sha256(content);
        let name = name(org, key, &digest)?;
        let sealed = key.seal(&place(org, &digest), content).map_err(BlobError::Encrypt)?;
        if let Some(folder) = &self.folder {
            folder.of(org).await?;
        }
        let unavailable = |cause| BlobError::Unavailable { doing: "writing a document", cause };
        self.objects.put(&name, sealed.into()).await.map_err(unavailable)?;
        Ok(digest)
    }

    /// Stores several contents, each as [`Self::put`], and returns their digests in the same order. All are durable
    /// when this returns; on an error some may be.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub async fn put_many(&self, contents: &[(OrgId, &DataKey, &[u8])]) -> Result<Vec<[u8; 32]>, BlobError> {
        let puts: Vec<_> = contents.iter().map(|(org, key, content)| self.put(*org, key, content)).collect();
        stream::iter(puts).buffered(TOGETHER).try_collect().await
    }

    /// The content of `org` whose SHA-256 is `digest`.
    ///
    /// # Errors
    /// [`BlobError::Missing`] and [`BlobError::Corrupt`] will not get better; [`BlobError::Unavailable`] may.
    pub async fn get(&self, org: OrgId, key: &DataKey, digest: &[u8; 32]) -> Result<Vec<u8>, BlobError> {
        let sealed = self.fetch(org, key, digest).await?;
        let read = tokio::task::spawn_blocking(move || {
            let mut room = Vec::new();
            sealed.read_into(&mut room).map(|()| (sealed, room))
        });
        let (sealed, mut room) = read.await.map_err(|cause| unreadable(cause.into()))??;
        sealed.open(key, &mut room).map(<[u8]>::to_vec)
    }

    /// The same, up to where work begins that would hold up the caller's thread: [`SealedPdf::open_in`] goes on from here.
    ///
    /// # Errors
    /// As [`Self::get`]; that a local file is missing shows when it is opened.
    pub async fn fetch(&self, org: OrgId, key: &DataKey, digest: &[u8; 32]) -> Result<SealedPdf, BlobError> {
        let name = name(org, key, digest)?;
        let content = match &self.folder {
            Some(folder) => Content::File(folder.files.path_to_filesystem(&name).map_err(unreadable)?),
            None => Content::Here(async { self.objects.get(&name).await?.bytes().await }.await.map_err(unreadable)?),
        };
        Ok(SealedPdf { place: place(org, digest), content })
    }

    /// Deletes the content of `org` whose SHA-256 is `digest`; one that is not there is deleted already.
    ///
    /// # Errors
    /// [`BlobError::Unavailable`].
    pub async fn delete(&self, org: OrgId, key: &DataKey, digest: &[u8; 32]) -> Result<(), BlobError> {
        match self.objects.delete(&name(org, key, digest)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(BlobError::Unavailable { doing: "deleting a document", cause }),
        }
    }
}

/// A stored document that has not been opened yet.
pub struct SealedPdf {
    place: Vec<u8>,
    content: Content,
}

enum Content {
    /// In a local file that has not been read yet.
    File(PathBuf),
    /// In memory.
    Here(Bytes),
}

impl fmt::Debug for SealedPdf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedPdf")
    }
}

impl SealedPdf {
    /// Reads and decrypts it inside `room`, which is emptied first and may be used again. Blocks: for a thread that may.
    ///
    /// # Errors
    /// As [`Blobs::get`]. `room` then holds nothing that was decrypted.
    pub fn open_in<'r>(&self, key: &DataKey, room: &'r mut Vec<u8>) -> Result<&'r [u8], BlobError> {
        self.read_into(room)?;
        self.open(key, room)
    }

    fn read_into(&self, room: &mut Vec<u8>) -> Result<(), BlobError> {
        room.clear();
        match &self.content {
            Content::Here(bytes) => room.extend_from_slice(bytes),
            Content::File(path) => {
                let read = File::open(path).and_then(|mut file| file.read_to_end(room));
                read.map_err(|cause| match cause.kind() {
                    io::ErrorKind::NotFound => BlobError::Missing,
                    _ => unreadable(object_store::Error::Generic { store: "LocalFileSystem", source: Box::new(cause) }),
                })?;
            }
        }
        Ok(())
    }

    /// The digest is part of what the box is bound to, and the tag covers every octet: a box that opens holds what was
    /// stored under that digest, so hashing the content again would prove nothing more.
    fn open<'r>(&self, key: &DataKey, room: &'r mut [u8]) -> Result<&'r [u8], BlobError> {
        key.open_in_place(&self.place, room).map(|content| &*content).map_err(|cause| BlobError::Corrupt(Some(cause)))
    }
}

fn unreadable(cause: object_store::Error) -> BlobError {
    match cause {
        object_store::Error::NotFound { .. } => BlobError::Missing,
        cause => BlobError::Unavailable { doing: "reading a document", cause },
    }
}

fn name(org: OrgId, key: &DataKey, digest: &[u8; 32]) -> Result<Name, BlobError> {
    let blob = key.blob_name(digest).map_err(BlobError::Encrypt)?;
    Ok(Name::from_iter([org.to_string(), blob]))
}

fn place(org: OrgId, digest: &[u8; 32]) -> Vec<u8> {
    [&b"postern/blob/1"[..], org.0.as_bytes(), digest].concat()
}

impl Folder {
    /// Makes the organization's own folder durable before anything is put into it. Left to the object store, a second
    /// writer could be acknowledged while the first has made the folder but not yet synced its parent.
    async fn of(&self, org: OrgId) -> Result<(), BlobError> {
        let mut durable = self.durable.lock().await;
        if !durable.contains(&org) {
            let path = self.root.join(org.to_string());
            make_durable_folder(&path).map_err(|cause| BlobError::Folder { path, cause })?;
            durable.insert(org);
        }
        Ok(())
    }
}

/// Makes `path`, which survives a power cut when this returns; one that is there is synced all the same, because
/// nobody knows whether its maker came that far.
fn make_durable_folder(path: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        blobs: Blobs,
        org: OrgId,
        key: DataKey,
    }

    fn place() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::in_folder(&dir.path().join("blobs")).unwrap();
        Place { dir, blobs, org: OrgId::new(), key: DataKey::generate().unwrap() }
    }

    impl Place {
        /// The files there are, with their content.
        fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
            let folder = self.dir.path().join("blobs").join(self.org.to_string());
            std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .map(|entry| entry.unwrap().path())
                .map(|path| (path.clone(), std::fs::read(path).unwrap()))
                .collect()
        }

        async fn put(&self, content: &[u8]) -> [u8; 32] {
            self.blobs.put(self.org, &self.key, content).await.unwrap()
        }

        async fn get(&self, digest: &[u8; 32]) -> Result<Vec<u8>, BlobError> {
            self.blobs.get(self.org, &self.key, digest).await
        }
    }

    #[tokio::test]
    async fn a_document_comes_back_and_neither_it_nor_its_digest_can_be_read_off_the_disk() {
        let here = place();
        let digest = here.put(b"%PDF-1.7 Testriver").await;
        assert_eq!(digest, sha256(b"%PDF-1.7 Testriver"));
        assert_eq!(here.get(&digest).await.unwrap(), b"%PDF-1.7 Testriver");
        let [(path, content)] = &here.files()[..] else { panic!("one file") };
        assert!(!content.windows(9).any(|w| w == b"Testriver"));
        assert!(!path.to_string_lossy().contains(&crate::crypto::Hex(&digest).to_string()));
    }

    #[tokio::test]
    async fn the_same_document_twice_is_one_object_and_each_organization_has_its_own() {
        let here = place();
        assert_eq!(here.put(b"x").await, here.put(b"x").await);
        assert_eq!(here.files().len(), 1);
        let digest = sha256(b"x");
        assert!(matches!(here.blobs.get(OrgId::new(), &here.key, &digest).await, Err(BlobError::Missing)));
        let other = DataKey::generate().unwrap();
        assert!(matches!(here.blobs.get(here.org, &other, &digest).await, Err(BlobError::Missing)));
    }

    #[tokio::test]
    async fn a_missing_document_is_told_from_a_damaged_one_and_storing_it_again_repairs_it() {
        let here = place();
        assert!(matches!(here.get(&sha256(b"x")).await, Err(BlobError::Missing)));
        let digest = here.put(b"x").await;
        let (path, good) = here.files().remove(0);
        for damaged in [&b""[..], &good[..good.len() - 1], &[&good[..], b"0"].concat()] {
            std::fs::write(&path, damaged).unwrap();
            let refused = here.get(&digest).await.unwrap_err();
            assert!(matches!(refused, BlobError::Corrupt(_)), "{refused:?}");
            assert_eq!((refused.class(), refused.reason()), (Class::Permanent, Reason::DocumentUnavailable));
        }
        here.put(b"x").await;
        assert_eq!(here.get(&digest).await.unwrap(), b"x");
    }

    #[tokio::test]
    async fn a_document_put_in_the_place_of_another_is_not_taken_for_it() {
        let here = place();
        let (one, two) = (here.put(b"one").await, here.put(b"two").await);
        let files = here.files();
        std::fs::copy(&files[0].0, &files[1].0).unwrap();
        let read = (here.get(&one).await, here.get(&two).await);
        assert!(matches!(read, (Ok(_), Err(BlobError::Corrupt(_))) | (Err(BlobError::Corrupt(_)), Ok(_))), "{read:?}");
    }

    #[tokio::test]
    async fn a_document_that_was_changed_leaves_nothing_of_itself_where_it_was_opened() {
        let here = place();
        let content = b"%PDF-1.7 Testriver".repeat(1000);
        let digest = here.put(&content).await;
        let (path, good) = here.files().remove(0);
        let mut room = Vec::new();
        let sealed = here.blobs.fetch(here.org, &here.key, &digest).await.unwrap();
        assert_eq!(sealed.open_in(&here.key, &mut room).unwrap(), content);
        // First, last and some octet between of header, content and tag.
        for at in [0, 1, 20, 29, good.len() / 2, good.len() - 17, good.len() - 1] {
            let mut changed = good.clone();
            changed[at] ^= 1;
            std::fs::write(&path, changed).unwrap();
            assert!(matches!(sealed.open_in(&here.key, &mut room), Err(BlobError::Corrupt(_))), "octet {at}");
            assert!(!room.windows(9).any(|w| w == b"Testriver"), "octet {at}");
        }
        std::fs::write(&path, &good).unwrap();
        // The same box under another digest: a document that was never stored under it.
        let other = here.blobs.fetch(here.org, &here.key, &sha256(b"another")).await.unwrap();
        std::fs::rename(&path, path.with_file_name(here.key.blob_name(&sha256(b"another")).unwrap())).unwrap();
        assert!(matches!(other.open_in(&here.key, &mut room), Err(BlobError::Corrupt(_))));
        assert!(matches!(sealed.open_in(&here.key, &mut room), Err(BlobError::Missing)));
    }

    #[tokio::test]
    async fn many_documents_are_stored_in_one_call_and_deleting_twice_is_deleting() {
        let here = place();
        let contents: Vec<Vec<u8>> = (0..40_u8).map(|n| vec![n; 100]).collect();
        let batch: Vec<_> = contents.iter().map(|content| (here.org, &here.key, &content[..])).collect();
        let digests = here.blobs.put_many(&batch).await.unwrap();
        assert_eq!(here.files().len(), 40);
        for (digest, content) in digests.iter().zip(&contents) {
            assert_eq!(&here.get(digest).await.unwrap(), content);
            here.blobs.delete(here.org, &here.key, digest).await.unwrap();
            here.blobs.delete(here.org, &here.key, digest).await.unwrap();
        }
        assert_eq!(here.files().len(), 0);
    }

    #[tokio::test]
    async fn a_file_store_that_cannot_be_written_is_an_error_that_may_pass() {
        let here = place();
        // A file where the organization's folder has to be (permissions would not stop root).
        std::fs::write(here.dir.path().join("blobs").join(here.org.to_string()), b"").unwrap();
        let refused = here.blobs.put(here.org, &here.key, b"x").await.unwrap_err();
        assert_eq!(refused.class(), Class::Retry, "{refused:?}");
    }
}
