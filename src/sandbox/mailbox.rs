//! What arrived, on disk: one folder for each recipient, and in it for each message
//!
//! - `ID.eml`: as it arrived,
//! - `ID.inner.eml`: opened and verified, when that worked,
//! - `ID.json`: who, when, by which door, and what went wrong. Written last: a message without it was never accepted.
//!
//! The practice HISP plays the recipient's side, so unlike the gateway it keeps what it receives readable.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Clock, DirectAddress, Timestamp, words};

words! {
    /// The way a message came in.
    pub enum Door {
        /// Relayed for a STA.
        Relay = "relay",
        /// Submitted by an edge client.
        Edge = "edge",
        /// Delivered by another STA.
        Mx = "mx",
        /// Relayed, behind a certificate for another name.
        BadTls = "bad_tls",
    }
}

/// One delivered message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name in the mailbox.
    pub id: Uuid,
    /// Whose mailbox.
    pub recipient: DirectAddress,
    /// MAIL FROM; absent for the null reverse path, as of notices.
    pub sender: Option<DirectAddress>,
    /// When it was accepted.
    pub received_at: Timestamp,
    /// How it came in.
    pub door: Door,
    /// TLS version; absent in the clear.
    pub tls: Option<String>,
    /// Size as it arrived, in bytes.
    pub size: u64,
    /// Its Message-ID, from the opened message.
    pub message_id: Option<String>,
    /// Whether it could be opened and verified.
    pub opened: bool,
    /// Why not.
    pub problem: Option<String>,
}

/// All mailboxes of a practice HISP, in one folder.
#[derive(Clone)]
pub struct Mailboxes {
    root: PathBuf,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Mailboxes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailboxes").field("root", &self.root).finish_non_exhaustive()
    }
}

/// What arrived, before it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// MAIL FROM; `None` is the null reverse path.
    pub sender: Option<&'a DirectAddress>,
    /// RCPT TO.
    pub recipient: &'a DirectAddress,
    /// The way it came in.
    pub door: Door,
    /// TLS version.
    pub tls: Option<&'a str>,
    /// As it arrived.
    pub message: &'a [u8],
    /// The inner message, or why there is none.
    pub opened: Result<&'a [u8], &'a str>,
}

impl Mailboxes {
    /// The mailboxes under `root`, which is made when it is missing.
    pub fn new(root: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root)?;
        Ok(Self { root, clock })
    }

    /// Keeps a message. When this returns, it is on disk.
    pub fn keep(&self, arrival: Arrival<'_>) -> io::Result<Entry> {
        let folder = self.folder(arrival.recipient);
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            File::open(&self.root)?.sync_all()?;
        }
        let entry = Entry {
            id: Uuid::now_v7(),
            recipient: arrival.recipient.clone(),
            sender: arrival.sender.cloned(),
            received_at: self.clock.now(),
            door: arrival.door,
            tls: arrival.tls.map(str::to_owned),
            size: arrival.message.len() as u64,
            message_id: arrival.opened.ok().and_then(message_id),
            opened: arrival.opened.is_ok(),
            problem: arrival.opened.err().map(str::to_owned),
        };
        write_durably(&folder.join(format!("{}.eml", entry.id)), arrival.message)?;
        if let Ok(inner) = arrival.opened {
            write_durably(&folder.join(format!("{}.inner.eml", entry.id)), inner)?;
        }
        let json = serde_json::to_vec_pretty(&entry)?;
        let (made, last) = (folder.join(format!("{}.tmp", entry.id)), folder.join(format!("{}.json", entry.id)));
        write_durably(&made, &json)?;
        fs::rename(made, last)?;
        File::open(&folder)?.sync_all()?;
        Ok(entry)
    }

    /// What has arrived, oldest first; for one recipient or for all.
    pub fn list(&self, recipient: Option<&DirectAddress>) -> io::Result<Vec<Entry>> {
        let folders = match recipient {
            Some(recipient) => vec![self.folder(recipient)],
            None => fs::read_dir(&self.root)?.map(|entry| entry.map(|e| e.path())).collect::<Result<_, _>>()?,
        };
        let mut entries = Vec::new();
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            for file in fs::read_dir(folder)? {
                let path = file?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    entries.push(serde_json::from_slice::<Entry>(&fs::read(path)?)?);
                }
            }
        }
        entries.sort_by_key(|entry| entry.id);
        Ok(entries)
    }

    /// The message whose id is `id` or begins with it, when there is exactly one.
    pub fn find(&self, id: &str) -> io::Result<Option<Entry>> {
        let id = id.to_ascii_lowercase();
        let mut found = self.list(None)?.into_iter().filter(|entry| !id.is_empty() && entry.id.to_string().starts_with(&id));
        let first = found.next();
        Ok(if found.next().is_some() { None } else { first })
    }

    /// The message as it arrived.
    pub fn raw(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        fs::read(self.folder(&entry.recipient).join(format!("{}.eml", entry.id)))
    }

    /// The opened message; an error of kind `NotFound` when it could not be opened.
    pub fn inner(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        fs::read(self.folder(&entry.recipient).join(format!("{}.inner.eml", entry.id)))
    }

    /// A local part may hold characters that mean something to a file system: those are written as `%XX`.
    fn folder(&self, recipient: &DirectAddress) -> PathBuf {
        let mut name = String::new();
        for c in recipient.key().chars() {
            if c.is_ascii_alphanumeric() || "@.-_+".contains(c) {
                name.push(c);
            } else {
                // Writing to a String cannot fail.
                let _ = write!(name, "%{:02X}", u32::from(c));
            }
        }
        self.root.join(name)
    }
}

fn message_id(message: &[u8]) -> Option<String> {
    crate::track::parsed::headers(message)?.message_id().map(|id| format!("<{id}>"))
}

fn write_durably(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Noon;
    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp(1_768_478_400_000_000)
        }
    }

    #[test]
    fn what_is_kept_can_be_listed_found_and_read_and_no_address_leaves_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let boxes = Mailboxes::new(dir.path().join("mail"), Arc::new(Noon)).unwrap();
        let sender: DirectAddress = "results@lab.example".parse().unwrap();
        for recipient in ["a/b/../../x@d.example".replace("..", "-"), "Pcp.Demo@d.example".to_owned()] {
            let recipient: DirectAddress = recipient.parse().unwrap();
            let opened = Ok(b"Message-ID: <1@lab.example>\r\n\r\nhello".as_slice());
            let arrival =
                Arrival { sender: Some(&sender), recipient: &recipient, door: Door::Mx, tls: None, message: b"sealed", opened };
            let entry = boxes.keep(arrival).unwrap();
            assert_eq!(entry.message_id.as_deref(), Some("<1@lab.example>"));
            assert_eq!(boxes.raw(&entry).unwrap(), b"sealed");
            assert_eq!(boxes.find(&entry.id.to_string()).unwrap(), Some(entry));
        }
        assert_eq!(boxes.list(None).unwrap().len(), 2);
        assert_eq!(boxes.list(Some(&"pcp.demo@D.EXAMPLE".parse().unwrap())).unwrap().len(), 1);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(dir.path().join("mail")).unwrap().count(), 2);
    }
}
