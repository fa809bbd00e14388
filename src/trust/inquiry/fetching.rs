//! Fetching from servers that certificates name: guarded, a few redirects, a few connections to one server at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

use crate::{
    config::revocation::RevocationSection,
    domain::statement::StatementKind,
    net::{
        address::Guard,
        fetch::{FetchError, FetchRules, Fetched, Fetcher},
    },
    observe::facts::Host,
};

/// Answers and certificates are small.
const SMALL: usize = 256 * 1024;
/// Most redirects followed; each is checked like a first request.
const MOST_REDIRECTS: usize = 3;
/// Most fetches from one server at a time.
const AT_ONE_SERVER: usize = 4;
/// Most servers whose places are remembered.
const MOST_SERVERS: usize = 1_000;

/// Why something could not be had.
#[derive(Debug, Clone)]
pub(super) struct Problem {
    /// In words, naming the server alone.
    pub(super) words: String,
    /// Whether the server may answer later; what it answered wrongly is an answer.
    pub(super) temporary: bool,
}

impl Problem {
    pub(super) fn lasting(words: impl Into<String>) -> Self {
        Self { words: words.into(), temporary: false }
    }

    pub(super) fn passing(words: impl Into<String>) -> Self {
        Self { words: words.into(), temporary: true }
    }
}

#[derive(Debug)]
pub(super) struct Fetching {
    lists: Result<Fetcher, String>,
    small: Result<Fetcher, String>,
    servers: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Fetching {
    pub(super) fn new(settings: &RevocationSection) -> Self {
        let fetcher = |max_bytes| {
            let rules = FetchRules {
                // Lists, answers and certificates are signed themselves (RFC 5280 8).
                allow_http: true,
                guard: Guard::allowing(settings.allow.clone()),
                max_bytes,
                connect_timeout: settings.timeout.0.min(Duration::from_secs(10)),
                timeout: settings.timeout.0,
                ..FetchRules::default()
            };
            Fetcher::new(rules).map_err(|error| error.to_string())
        };
        Self { lists: fetcher(settings.list_bytes), small: fetcher(SMALL), servers: Mutex::default() }
    }

    /// The bytes at `url`; an OCSP responder is sent the question `body`.
    pub(super) async fn bytes(&self, kind: StatementKind, url: &str, body: Option<&[u8]>) -> Result<Vec<u8>, Problem> {
        let fetcher = if kind == StatementKind::List { &self.lists } else { &self.small };
        let fetcher = fetcher.as_ref().map_err(|why| Problem::passing(why.clone()))?;
        let mut url = url.to_owned();
        for _ in 0..=MOST_REDIRECTS {
            let place = self.place_at(Host::of(&url).as_str());
            let Ok(_place) = place.acquire_owned().await else { break };
            let answer = match body {
                Some(body) => {
                    let headers = [("Content-Type", "application/ocsp-request"), ("Accept", "application/ocsp-response")];
                    fetcher.post(&url, &headers, body.to_vec()).await
                }
                None => fetcher.get(&url, &[]).await,
            };
            match answer.map_err(|error| problem(&error))? {
                Fetched { status: 301 | 302 | 303 | 307 | 308, location: Some(next), .. } => url = next,
                answer if answer.is_success() => return Ok(answer.body),
                answer => return Err(refused(&url, answer.status)),
            }
        }
        Err(Problem::lasting(format!("{} redirects too often", Host::of(&url).as_str())))
    }

    fn place_at(&self, server: &str) -> Arc<Semaphore> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if servers.len() >= MOST_SERVERS {
            servers.retain(|_, places| Arc::strong_count(places) > 1);
        }
        Arc::clone(servers.entry(server.to_ascii_lowercase()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONE_SERVER))))
    }
}

fn problem(error: &FetchError) -> Problem {
    Problem { words: error.to_string(), temporary: error.is_temporary() }
}

/// An answer that is none. "Later" and failures of the server pass.
fn refused(url: &str, status: u16) -> Problem {
    let temporary = status >= 500 || matches!(status, 408 | 425 | 429);
    Problem { words: format!("{} answered {status}", Host::of(url).as_str()), temporary }
}
