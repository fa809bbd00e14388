//! A watched folder: `NAME.json` with `patient` is an order, with `status` a result; `NAME.pdf` is its document.
//!
//! What was taken is deleted (or kept encrypted in `done`); what cannot be taken is moved to `failed` with
//! `NAME.reason.json` beside it. Whoever can write to the folder speaks for its one organization.
//!
//! File names are the sender's and may name a patient, so they are never logged.

mod away;
mod kind;
mod listing;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::{kind::Kind, listing::Entry};
use super::{Intake, Refusal, Sender, SourceError, held::held, wire, wire::Unknown};
use crate::{
    config::source::Folder as Settings,
    crypto::draw,
    crypto::keys::aad,
    domain::{OrgId, alert::AlertKind},
    net::backoff::Backoff,
    observe::{
        chain,
        events::{FolderFileFailed, FolderUnavailable},
        facts::{Configured, Door},
        health::{Health, Part},
    },
    store::lease::Lease,
};

/// A folder that is looked at again and again.
#[derive(Debug)]
pub struct Folder {
    settings: Settings,
    sender: Sender,
    intake: Intake,
    memory: listing::Memory,
    /// How many odd things lay there at the last look.
    odd: usize,
}

/// What one look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sweep {
    /// Durable now.
    pub taken: usize,
    /// Moved to `failed`.
    pub failed: usize,
    /// Not settled yet, or without their PDF.
    pub waiting: usize,
    /// Links, folders and files with odd names: left alone.
    pub odd: usize,
    /// There is more to do at once.
    pub more: bool,
}

/// What there is to be taken.
enum Found {
    Order,
    /// With the name of its PDF, unless that is inside or it needs none.
    Result(Option<String>),
    /// Not complete yet.
    Waiting,
}

/// The first of these folders that is another one spelled differently: a folder belongs to one organization, and what is
/// dropped there must not go to whoever looks first.
#[must_use]
pub fn watched_twice(folders: &[Settings]) -> Option<&Path> {
    let paths: Vec<PathBuf> =
        folders.iter().map(|folder| fs::canonicalize(&folder.path).unwrap_or_else(|_| folder.path.clone())).collect();
    let twice = (1..paths.len()).find(|&place| paths[..place].contains(&paths[place]))?;
    Some(&folders[twice].path)
}

impl Folder {
    /// Watches the folder of `settings` for `org`.
    #[must_use]
    pub fn new(settings: Settings, org: OrgId, intake: Intake) -> Self {
        let unknown = if settings.ignore_unknown { Unknown::Ignore } else { Unknown::Refuse };
        let sender = Sender { org, unknown, door: Door::Folder };
        Self { settings, sender, intake, memory: listing::Memory::default(), odd: 0 }
    }

    /// Looks, takes and waits until `stop`. Of several processes the one that holds the folder's task lease works.
    pub async fn run(mut self, lease: Lease, health: Health, stop: CancellationToken) {
        let name = self.settings.path.display().to_string();
        let mut backoff = Backoff::new(self.settings.poll.0, Duration::from_mins(1));
        let mut task = None;
        while !stop.is_cancelled() {
            let turn = self.turn(&mut task, &lease).await;
            // The loop lives. A folder that cannot be used is an event of its own, and no reason to take the API away.
            health.say(Part::Source, true);
            let wait = match turn {
                Ok(sweep) => {
                    backoff.reset();
                    health.well(AlertKind::SourceUnavailable, &name, "");
                    if sweep.more { Duration::ZERO } else { self.settings.poll.0 }
                }
                Err(SourceError::TakenOver) => {
                    tracing::warn!(folder = %name, "another process has taken the folder over");
                    health.well(AlertKind::SourceUnavailable, &name, "");
                    self.settings.poll.0
                }
                Err(error) => {
                    FolderUnavailable { folder: Configured(&name) }.emit();
                    health.trouble(AlertKind::SourceUnavailable, &name, "", "the folder cannot be read or written");
                    tracing::error!(folder = %name, error = chain(&error), "the watched folder is looked at again later");
                    backoff.next(draw())
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        let Some(task) = task else { return };
        if let Err(error) = self.intake.store().give_back_task(&task, &lease).await {
            tracing::debug!(%error, "the folder's lease runs out by itself");
        }
    }

    /// One look under the folder's lease, whose name is left in `task`.
    async fn turn(&mut self, task: &mut Option<String>, lease: &Lease) -> Result<Sweep, SourceError> {
        // However the path is spelled, it is one folder: two processes must not both have it.
        let path = self.on_disk("finding the folder", Path::canonicalize).await?;
        let task = task.insert(format!("folder:{}", path.display()));
        let store = self.intake.store().clone();
        if !store.take_task(task, lease).await? {
            return Ok(Sweep::default());
        }
        Box::pin(held(&store, task, lease, self.sweep(lease.length / 3))).await
    }

    /// Looks once and takes what is complete, for about as long as `budget`.
    ///
    /// # Errors
    /// When the folder cannot be used or something could not be made durable: it is still there to be taken.
    pub async fn sweep(&mut self, budget: Duration) -> Result<Sweep, SourceError> {
        let begun = Instant::now();
        let interrupted = self.on_disk("finishing interrupted moves", away::finish_all).await?;
        if interrupted > 0 {
            tracing::info!(interrupted, "finished putting files away");
        }
        let (entries, odd) = self.on_disk("listing files", listing::list).await?;
        self.memory.look(&entries, begun);
        if odd > 0 && odd != self.odd {
            tracing::warn!(odd, "what is no plain file or has an odd name is left in a watched folder");
        }
        self.odd = odd;
        let mut sweep = Sweep { odd, ..Sweep::default() };
        for entry in entries.iter().filter(|entry| entry.is("json")) {
            if begun.elapsed() > budget {
                sweep.more = true;
                break;
            }
            if !self.is_settled(&entry.name) {
                sweep.waiting += 1;
                continue;
            }
            match self.take(entry, &entries).await {
                Ok(true) => sweep.taken += 1,
                Ok(false) => sweep.waiting += 1,
                Err(SourceError::Refused(refusal)) => {
                    self.fail(&entry.name, &refusal).await?;
                    sweep.failed += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sweep)
    }

    /// Takes one file; `false` when it is not complete yet.
    async fn take(&self, entry: &Entry, entries: &[Entry]) -> Result<bool, SourceError> {
        // A PDF inside is base64, with the rest of the message around it.
        let limit = self.intake.pdf_bytes().saturating_mul(3) / 2 + 1_000_000;
        let Some(json) = self.read(&entry.name, limit, "").await? else { return Ok(false) };
        match self.find(&json, entry, entries)? {
            Found::Waiting => Ok(false),
            Found::Order => {
                self.intake.order(&self.sender, json.clone()).await?;
                self.put_away(&entry.name, json, None).await.map(|()| true)
            }
            Found::Result(pdf) => {
                let beside = match &pdf {
                    Some(name) => match self.read(name, self.intake.pdf_bytes(), "/pdf").await? {
                        Some(content) => Some(content),
                        None => return Ok(false),
                    },
                    None => None,
                };
                self.intake.result(&self.sender, json.clone(), beside.clone(), Some(&entry.arrival())).await?;
                self.put_away(&entry.name, json, pdf.zip(beside)).await.map(|()| true)
            }
        }
    }

    /// What the file is, and where its PDF is.
    fn find(&self, json: &[u8], entry: &Entry, entries: &[Entry]) -> Result<Found, Refusal> {
        match kind::of(json)? {
            Kind::Order => return Ok(Found::Order),
            Kind::Complete => return Ok(Found::Result(None)),
            Kind::WithNeighbour => {}
        }
        match entries.iter().find(|other| other.is("pdf") && other.stem() == entry.stem()) {
            Some(pdf) if self.is_settled(&pdf.name) => Ok(Found::Result(Some(pdf.name.clone()))),
            Some(_) => Ok(Found::Waiting),
            None if self.memory.age(&entry.name, Instant::now()) < self.settings.pdf_wait.0 => Ok(Found::Waiting),
            None => Err(Refusal::field("/pdf", "missing", "is missing: no PDF of the same name arrived in time")),
        }
    }

    fn is_settled(&self, name: &str) -> bool {
        self.memory.is_settled(name, self.settings.settle.0, Instant::now())
    }

    /// Reads a file; `None` when it is gone, or cannot be read yet. One file that cannot must not stop the others.
    async fn read(&self, name: &str, limit: usize, field: &str) -> Result<Option<Bytes>, SourceError> {
        let file = name.to_owned();
        let content = self.on_disk("reading a file", move |folder| Ok(listing::read(folder, &file, limit))).await?;
        match content {
            Ok(Some(content)) => Ok(Some(content.into())),
            Ok(None) => Err(Refusal::too_large(field, limit).into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            // Its permissions may be on their way, as its PDF may.
            Err(_) if self.memory.age(name, Instant::now()) < self.settings.pdf_wait.0 => Ok(None),
            Err(error) => {
                tracing::warn!(kind = %error.kind(), "a file of a watched folder cannot be read");
                Err(Refusal::field(field, "unreadable", "cannot be read: see to its permissions and its disk").into())
            }
        }
    }

    async fn put_away(&self, json: &str, content: Bytes, pdf: Option<(String, Bytes)>) -> Result<(), SourceError> {
        if self.settings.keep {
            self.keep("json", wire::without_ssn(&content)).await?;
            if let Some((_, pdf)) = &pdf {
                self.keep("pdf", pdf.to_vec()).await?;
            }
        }
        let (json, pdf) = (json.to_owned(), pdf.map(|(name, _)| name));
        self.on_disk("removing a file", move |folder| away::taken(folder, &json, pdf.as_deref())).await
    }

    /// Keeps a file in `done` under the organization's data key and an opaque name.
    async fn keep(&self, extension: &'static str, content: Vec<u8>) -> Result<(), SourceError> {
        let key = self.intake.store().key(self.sender.org).await?;
        let id = Uuid::now_v7();
        let sealed = key.seal(&aad(self.sender.org, "folder", id, 1), &content).map_err(crate::store::StoreError::from)?;
        self.on_disk("keeping a file", move |folder| {
            let name = format!("{}.{extension}.sealed", id.as_simple());
            away::write(away::inside(folder, "done")?, &name, &sealed)
        })
        .await
    }

    async fn fail(&self, json: &str, refusal: &Refusal) -> Result<(), SourceError> {
        let reason = serde_json::to_vec_pretty(refusal).unwrap_or_default();
        let json = json.to_owned();
        self.on_disk("moving a file to failed", move |folder| away::failed(folder, &json, &reason)).await?;
        let name = self.settings.path.display().to_string();
        FolderFileFailed { org: self.sender.org, folder: Configured(&name) }.emit();
        Ok(())
    }

    /// Does something with the folder, off the async threads: a network file system may hang.
    async fn on_disk<T: Send + 'static>(
        &self,
        doing: &'static str,
        act: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, SourceError> {
        let folder = self.settings.path.clone();
        let done = tokio::task::spawn_blocking(move || act(&folder)).await;
        done.map_err(|_| SourceError::Interrupted(doing))?.map_err(|cause| SourceError::Folder { doing, cause })
    }
}
