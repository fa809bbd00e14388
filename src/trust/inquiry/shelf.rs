//! What is known, what is being fetched, and who did not answer: in this process, and through the store in all of them.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio::{sync::watch, time::Instant};

use super::{
    fetching::{Fetching, Problem},
    issuers,
};
use crate::{
    config::revocation::RevocationSection,
    crypto::Hex,
    domain::{Timestamp, statement::StatementKind},
    observe::{chain, events, facts::Host},
    store::{
        Store, StoreError,
        statement::{Statement, StatementKey},
    },
    trust::{
        Certificate,
        revocation::{self, Answer, List},
    },
};

/// How long what is known here is used without asking the store whether somebody else knows better.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Most statements and most silent servers remembered here.
const MOST: usize = 20_000;
/// A list that nobody needed for this long is not kept fresh any more.
const OF_USE: Duration = Duration::from_hours(7 * 24);
/// What nobody needed for this long is thrown away.
const FORGET: Duration = Duration::from_hours(60 * 24);
/// The use of a statement is noted this often.
const NOTE_USE: Duration = Duration::from_hours(6);
/// Most lists refreshed in one go, and how many of them at a time.
const REFRESHED: (u32, usize) = (200, 4);

/// Something published, read and verified.
#[derive(Debug, Clone)]
pub(super) enum Published {
    List(Arc<List>),
    Answer(Arc<Answer>),
    Issuers(Arc<Vec<Certificate>>),
}

/// What is wanted, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    key: StatementKey,
    certificate: Certificate,
    issuer: Certificate,
}

impl Wanted {
    /// About `certificate`, issued by `issuer`. For an issuer's own certificate both are the one that named it.
    pub(super) fn new(kind: StatementKind, url: &str, certificate: &Certificate, issuer: &Certificate) -> Self {
        let about = match kind {
            StatementKind::List => Hex(&issuer.fingerprint()).to_string(),
            StatementKind::Answer => Hex(&certificate.fingerprint()).to_string(),
            StatementKind::Issuer => String::new(),
        };
        let key = StatementKey { kind, url: url.to_owned(), about };
        Self { key, certificate: certificate.clone(), issuer: issuer.clone() }
    }

    /// Whether what is at hand is what is wanted, at `now`.
    fn is_met(&self, published: &Published, now: Timestamp) -> bool {
        match published {
            Published::List(list) => revocation::holds(list.from(), list.until(), now),
            Published::Answer(answer) => answer.says(&self.certificate, &self.issuer, now, Duration::ZERO).is_some(),
            Published::Issuers(found) => found.iter().any(|found| issuers::issued(found, &self.certificate)),
        }
    }

    /// Reads what a server or the store gave, and verifies who made it.
    fn read(&self, body: Vec<u8>, now: Timestamp) -> Result<Published, Problem> {
        let server = Host::of(&self.key.url).as_str();
        let wrong = |what: &str| Problem::lasting(format!("{server} {what}"));
        match self.key.kind {
            StatementKind::List => {
                let list = List::from_file(body).map_err(|_| wrong("gave something that is no revocation list"))?;
                if !list.is_by(&self.issuer) {
                    return Err(wrong("gave a revocation list that its issuer did not sign, or that cannot be believed"));
                }
                Ok(Published::List(Arc::new(list)))
            }
            StatementKind::Answer => {
                let answer = Answer::read(&body).map_err(|error| wrong(&format!("did not answer: {error}")))?;
                match answer.says(&self.certificate, &self.issuer, now, Duration::MAX / 4) {
                    Some(_) => Ok(Published::Answer(Arc::new(answer))),
                    None => Err(wrong("gave an OCSP answer that does not count")),
                }
            }
            StatementKind::Issuer => {
                let found = issuers::read(&body);
                if !found.iter().any(|found| issuers::issued(found, &self.certificate)) {
                    return Err(wrong("does not have the issuer's certificate"));
                }
                Ok(Published::Issuers(Arc::new(found)))
            }
        }
    }
}

/// What was had.
#[derive(Debug, Default)]
pub(super) struct Had {
    /// The best there is; it may be out of date.
    pub(super) published: Option<Published>,
    /// Why there is nothing better.
    pub(super) problem: Option<Problem>,
}

/// What came of asking for one statement anew.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// Which one.
    pub key: StatementKey,
    /// Why there is none, when there is none.
    pub problem: Option<String>,
}

#[derive(Debug, Clone)]
struct Kept {
    published: Published,
    body: Arc<[u8]>,
    fetched_at: Timestamp,
    refresh_at: Timestamp,
    looked_at: Timestamp,
}

type Landing = watch::Receiver<Option<Result<(), Problem>>>;

#[derive(Debug)]
pub(super) struct Shelf {
    store: Store,
    fetching: Fetching,
    settings: RevocationSection,
    kept: Mutex<HashMap<StatementKey, Kept>>,
    silent: Mutex<HashMap<StatementKey, (Timestamp, Problem)>>,
    flights: Mutex<HashMap<StatementKey, Landing>>,
    news: AtomicU64,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shelf {
    pub(super) fn new(store: Store, settings: &RevocationSection) -> Self {
        Self {
            store,
            fetching: Fetching::new(settings),
            settings: settings.clone(),
            kept: Mutex::default(),
            silent: Mutex::default(),
            flights: Mutex::default(),
            news: AtomicU64::new(0),
        }
    }

    pub(super) fn news(&self) -> u64 {
        self.news.load(Ordering::Acquire)
    }

    fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    /// What is wanted, from here, from the store or from its server, by `deadline` at the latest.
    pub(super) async fn want(self: &Arc<Self>, wanted: Wanted, deadline: Instant) -> Had {
        let now = self.now();
        let kept = self.look(&wanted, now).await;
        if let Some(kept) = &kept
            && wanted.is_met(&kept.published, now)
        {
            if now >= kept.refresh_at && self.silence(&wanted.key, now).is_none() {
                // It still holds: whoever waits need not wait for the next one.
                self.fly(&wanted);
            }
            return Had { published: Some(kept.published.clone()), problem: None };
        }
        if let Some(problem) = self.silence(&wanted.key, now) {
            return Had { published: kept.map(|kept| kept.published), problem: Some(problem) };
        }
        let mut landing = self.fly(&wanted);
        let landed = tokio::time::timeout_at(deadline, landing.wait_for(Option::is_some)).await;
        let problem = match landed {
            Ok(Ok(outcome)) => outcome.clone().and_then(Result::err),
            Ok(Err(_)) => Some(Problem::passing("fetching was broken off")),
            Err(_) => {
                let server = Host::of(&wanted.key.url).as_str();
                let problem = Problem::passing(format!("{server} has not answered yet"));
                // Others need not find out by waiting. When it does answer, this is forgotten.
                self.fall_silent(&wanted.key, problem.clone());
                Some(problem)
            }
        };
        Had { published: self.known(&wanted.key, self.now()).map(|kept| kept.published), problem }
    }

    /// What is known here and was fetched lately enough to be used at all.
    fn known(&self, key: &StatementKey, now: Timestamp) -> Option<Kept> {
        lock(&self.kept).get(key).filter(|kept| now < kept.fetched_at.plus(self.settings.max_age.0)).cloned()
    }

    /// What is known here, or to the store when somebody else has learnt more.
    async fn look(&self, wanted: &Wanted, now: Timestamp) -> Option<Kept> {
        let here = self.known(&wanted.key, now);
        if here.as_ref().is_some_and(|kept| now.since(kept.looked_at) < LOOK_AGAIN) {
            return here;
        }
        match self.look_in_store(wanted, here.as_ref(), now).await {
            Ok(Some(found)) => Some(found),
            Ok(None) => here,
            Err(error) => {
                tracing::debug!(error = chain(&error), "the store was not asked about an issuer's statement");
                here
            }
        }
    }

    async fn look_in_store(&self, wanted: &Wanted, here: Option<&Kept>, now: Timestamp) -> Result<Option<Kept>, StoreError> {
        let age = self.store.statement_age(&wanted.key).await?;
        if let Some(here) = here
            && age.is_none_or(|age| age <= here.fetched_at)
        {
            let kept = Kept { looked_at: now, ..here.clone() };
            lock(&self.kept).insert(wanted.key.clone(), kept.clone());
            return Ok(Some(kept));
        }
        let Some(row) = self.store.statement(&wanted.key).await?.filter(|row| !row.body.is_empty()) else { return Ok(None) };
        if now >= row.fetched_at.plus(self.settings.max_age.0) {
            return Ok(None);
        }
        if now.since(row.used_at) > NOTE_USE {
            self.store.statement_used(&wanted.key, now).await?;
        }
        let Ok((published, body)) = verified(wanted, row.body, now).await else { return Ok(None) };
        Ok(Some(
            self.put(
                &wanted.key,
                Kept { published, body, fetched_at: row.fetched_at, refresh_at: row.refresh_at, looked_at: now },
            ),
        ))
    }

    fn put(&self, key: &StatementKey, new: Kept) -> Kept {
        let mut kept = lock(&self.kept);
        if kept.len() >= MOST {
            kept.clear();
        }
        let before = kept.insert(key.clone(), new.clone());
        let changed = match key.kind {
            StatementKind::List => before.is_none_or(|before| before.body != new.body),
            // A first answer is about a certificate that is being judged for the first time.
            StatementKind::Answer => before.is_some_and(|before| before.body != new.body),
            StatementKind::Issuer => false,
        };
        if changed {
            self.news.fetch_add(1, Ordering::AcqRel);
        }
        new
    }

    /// Why a server is not asked now.
    fn silence(&self, key: &StatementKey, now: Timestamp) -> Option<Problem> {
        let silent = lock(&self.silent);
        let of = |key: &StatementKey| silent.get(key).filter(|(until, _)| now < *until).map(|(_, problem)| problem.clone());
        of(key).or_else(|| whole_server(key).and_then(|server| of(&server)))
    }

    fn fall_silent(&self, key: &StatementKey, problem: Problem) {
        let until = self.now().plus(self.settings.retry_after.0);
        let mut silent = lock(&self.silent);
        if silent.len() >= MOST {
            silent.clear();
        }
        if problem.temporary
            && let Some(server) = whole_server(key)
        {
            silent.insert(server, (until, problem.clone()));
        }
        silent.insert(key.clone(), (until, problem));
    }

    fn speak_again(&self, key: &StatementKey) {
        let mut silent = lock(&self.silent);
        silent.remove(key);
        if let Some(server) = whole_server(key) {
            silent.remove(&server);
        }
    }

    /// Fetches in a task of its own, once for all who want the same; it goes on when nobody waits any more.
    fn fly(self: &Arc<Self>, wanted: &Wanted) -> Landing {
        let mut flights = lock(&self.flights);
        if let Some(landing) = flights.get(&wanted.key) {
            return landing.clone();
        }
        let (landed, landing) = watch::channel(None);
        flights.insert(wanted.key.clone(), landing.clone());
        let flight = Flight { shelf: Arc::clone(self), key: wanted.key.clone() };
        let wanted = wanted.clone();
        tokio::spawn(async move {
            let outcome = flight.shelf.fetch(&wanted).await;
            drop(flight);
            landed.send_replace(Some(outcome));
        });
        landing
    }

    async fn fetch(&self, wanted: &Wanted) -> Result<(), Problem> {
        let fetched = self.fetch_verified(wanted).await;
        let (key, now) = (&wanted.key, self.now());
        let host = Host::of(&key.url);
        let wait = self.settings.retry_after.0;
        let mut row = Statement {
            key: key.clone(),
            issuer: wanted.issuer.subject(),
            signer: wanted.issuer.der().to_vec(),
            body: Vec::new(),
            this_update: now,
            next_update: now,
            fetched_at: now,
            refresh_at: now.plus(wait),
            used_at: now,
            problem: None,
        };
        let (published, body) = match fetched {
            Ok(fetched) => fetched,
            Err(problem) => {
                events::StatementUnavailable { host, wait, kind: key.kind }.emit();
                self.fall_silent(key, problem.clone());
                if key.kind != StatementKind::Issuer {
                    noted(self.store.note_statement_problem(&row, &problem.words).await);
                }
                return Err(problem);
            }
        };
        self.speak_again(key);
        (row.this_update, row.next_update) = times(&published, now);
        row.refresh_at = self.due(now, row.next_update);
        row.body = body.to_vec();
        let kept = Kept { published, body, fetched_at: now, refresh_at: row.refresh_at, looked_at: now };
        let news = self.news();
        self.put(key, kept);
        if self.news() != news {
            events::StatementChanged { host, kind: key.kind }.emit();
        }
        if key.kind != StatementKind::Issuer {
            noted(self.store.keep_statement(&row).await);
        }
        Ok(())
    }

    async fn fetch_verified(&self, wanted: &Wanted) -> Result<(Published, Arc<[u8]>), Problem> {
        let question = match wanted.key.kind {
            StatementKind::Answer => {
                let question = revocation::request(&wanted.certificate, &wanted.issuer);
                Some(question.map_err(|error| Problem::passing(error.to_string()))?)
            }
            StatementKind::List | StatementKind::Issuer => None,
        };
        let body = self.fetching.bytes(wanted.key.kind, &wanted.key.url, question.as_deref()).await?;
        let now = self.now();
        let (published, body) = verified(wanted, body, now).await?;
        let server = Host::of(&wanted.key.url).as_str();
        let (from, until) = times(&published, now);
        if !revocation::holds(from, until, now) {
            return Err(Problem::passing(format!("{server} gave what does not hold now (it says from {from} until {until})")));
        }
        // Somebody between us and the server may replay an old list that is still current.
        let known = lock(&self.kept).get(&wanted.key).map(|kept| times(&kept.published, now).0);
        if wanted.key.kind != StatementKind::Issuer && known.is_some_and(|known| from < known) {
            return Err(Problem::passing(format!("{server} gave something older than it gave before")));
        }
        Ok((published, body))
    }

    /// When to ask for the next one: every so often, and well before what is at hand runs out.
    fn due(&self, now: Timestamp, until: Timestamp) -> Timestamp {
        now.plus(self.settings.refresh.0.min(until.since(now).mul_f32(0.8)))
    }

    /// Keeps an issuer's certificate for everybody, when it is part of a path to an anchor.
    pub(super) async fn keep_issuers(&self, wanted: &Wanted, path: &[Certificate]) {
        let kept = lock(&self.kept).get(&wanted.key).cloned();
        let Some(Kept { published: Published::Issuers(found), body, fetched_at, .. }) = kept else { return };
        let Some(issuer) = found.iter().find(|found| path.contains(found)) else { return };
        if self.store.statement_age(&wanted.key).await.ok().flatten().is_some_and(|age| age >= fetched_at) {
            return;
        }
        let row = Statement {
            key: wanted.key.clone(),
            issuer: issuer.subject(),
            signer: Vec::new(),
            body: body.to_vec(),
            this_update: fetched_at,
            next_update: issuer.valid_until(),
            fetched_at,
            refresh_at: self.due(fetched_at, issuer.valid_until()),
            used_at: fetched_at,
            problem: None,
        };
        noted(self.store.keep_statement(&row).await);
    }

    pub(super) async fn refresh_due(self: &Arc<Self>) -> Vec<Refreshed> {
        let now = self.now();
        noted(self.store.forget_statements(now.minus(FORGET)).await.map(drop));
        match self.store.statements_due(now, now.minus(OF_USE), REFRESHED.0).await {
            Ok(due) => self.refresh(due).await,
            Err(error) => {
                noted(Err(error));
                Vec::new()
            }
        }
    }

    pub(super) async fn refresh_all(self: &Arc<Self>) -> Result<Vec<Refreshed>, StoreError> {
        let all = self.store.statements().await?;
        Ok(self.refresh(all.into_iter().filter(|row| row.key.kind == StatementKind::List).collect()).await)
    }

    async fn refresh(self: &Arc<Self>, rows: Vec<Statement>) -> Vec<Refreshed> {
        let each = stream::iter(rows).map(async |row| {
            let key = row.key;
            let Ok(issuer) = Certificate::from_der(&row.signer) else {
                return Refreshed { key, problem: Some("its issuer's certificate cannot be read".to_owned()) };
            };
            let wanted = Wanted { key: key.clone(), certificate: issuer.clone(), issuer };
            // What the store knows is the least that may be known afterwards.
            self.look(&wanted, self.now()).await;
            let outcome = self.fly(&wanted).wait_for(Option::is_some).await.map(|outcome| outcome.clone());
            let problem = match outcome {
                Ok(Some(Err(problem))) => Some(problem.words),
                Ok(_) => None,
                Err(_) => Some("fetching was broken off".to_owned()),
            };
            Refreshed { key, problem }
        });
        each.buffer_unordered(REFRESHED.1).collect().await
    }
}

/// A fetch under way. Whatever ends it, the next who wants the same may try.
struct Flight {
    shelf: Arc<Shelf>,
    key: StatementKey,
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(&self.shelf.flights).remove(&self.key);
    }
}

/// The server as a whole, for issuers' certificates alone: a stranger's certificate may name a hundred places at a server
/// that never answers. Places of lists are named by authorities that are believed, and stand for themselves.
fn whole_server(key: &StatementKey) -> Option<StatementKey> {
    let host = Host::of(&key.url).as_str();
    (key.kind == StatementKind::Issuer).then(|| StatementKey {
        kind: StatementKind::Issuer,
        url: host.to_ascii_lowercase(),
        about: "server".to_owned(),
    })
}

/// From when until when something published says that it holds.
fn times(published: &Published, now: Timestamp) -> (Timestamp, Timestamp) {
    match published {
        Published::List(list) => (list.from(), list.until()),
        Published::Answer(answer) => answer.times(),
        Published::Issuers(found) => {
            (now, found.iter().map(Certificate::valid_until).max().unwrap_or(now).max(now.plus(Duration::from_secs(1))))
        }
    }
}

/// Reads and verifies where it keeps nobody waiting: a list may have megabytes.
async fn verified(wanted: &Wanted, body: Vec<u8>, now: Timestamp) -> Result<(Published, Arc<[u8]>), Problem> {
    let wanted = wanted.clone();
    let read = tokio::task::spawn_blocking(move || {
        let kept: Arc<[u8]> = body.as_slice().into();
        wanted.read(body, now).map(|published| (published, kept))
    });
    read.await.unwrap_or_else(|_| Err(Problem::passing("reading was broken off")))
}

/// What the store cannot keep, it fetches again: a nuisance, not a failure.
fn noted(done: Result<(), StoreError>) {
    if let Err(error) = done {
        tracing::warn!(error = chain(&error), "the store did not take an issuer's statement");
    }
}
