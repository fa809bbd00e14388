//! Live directories: asked over the network, with three outcomes and never two. *Found* and *not found* are kept for a
//! while; *unavailable* (an error, a time-out, an answer we cannot use) never is.

mod fhir;
mod nppes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};

use crate::{
    config::live_directory::{LiveDirectory, LiveKind},
    domain::{
        Npi, OrgId, Timestamp,
        directory::{Finding, Says},
        id::SnapshotId,
        route::{DirectoryEntry, DirectoryRow},
    },
    net::{
        breaker::Breaker,
        fetch::{FetchError, FetchRules, Fetched, Fetcher},
    },
    store::{Store, StoreError, directory::KeptAnswer},
};

/// Most octets of one answer.
const MOST_OCTETS: usize = 4 << 20;
/// Look-ups that wait for an answer at the same time, whoever asks. What comes beyond is unavailable at once and tried again
/// later: a server that hangs can fill memory with nobody's results.
const MOST_WAITING: usize = 256;

/// What a live directory says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    /// These addresses; never empty.
    Found(Vec<DirectoryRow>),
    /// It knows the NPI and has no address.
    Known,
    /// It says that the NPI is deactivated.
    Inactive,
    /// It does not know the NPI.
    Unknown,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    /// The server is not well: the breaker counts it.
    Down(String),
    /// It answered, and we cannot use what it said.
    Unusable(String),
}

/// What an asking came to, shared by everybody who waits for it.
#[derive(Debug, Clone)]
enum Asked {
    Answer(Arc<KeptAnswer>),
    Nothing(String),
}

type Flight = Arc<OnceCell<Asked>>;

/// The live directories, in the order in which they are asked.
#[derive(Debug)]
pub struct Live {
    places: Vec<Place>,
    store: Store,
    waiting: Semaphore,
}

#[derive(Debug)]
struct Place {
    settings: LiveDirectory,
    /// With the token to send; or why nothing can be fetched.
    fetcher: Result<(Fetcher, Option<String>), String>,
    seats: Semaphore,
    breaker: Breaker,
    flights: Mutex<HashMap<Npi, Flight>>,
}

impl Live {
    /// Sets them up. One that cannot be is unavailable, and says why whenever it is asked.
    #[must_use]
    pub fn new(settings: &[LiveDirectory], store: Store) -> Self {
        let mut settings = settings.to_vec();
        settings.sort_by_key(|live| live.rank);
        let waiting = Semaphore::new(MOST_WAITING);
        Self { places: settings.into_iter().map(Place::new).collect(), store, waiting }
    }

    /// Whether nobody is asked over the network.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many look-ups wait for an answer now. They do nothing else, so they take nobody's place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        MOST_WAITING.saturating_sub(self.waiting.available_permits())
    }

    /// Asks one after the other until one has an address. No transaction is open meanwhile.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn ask(&self, org: OrgId, npi: &Npi) -> Result<Vec<Finding>, StoreError> {
        let mut findings = Vec::new();
        for place in &self.places {
            let finding = self.ask_one(place, org, npi).await?;
            let found = matches!(finding.says, Says::Addresses(_));
            findings.push(finding);
            if found {
                break;
            }
        }
        Ok(findings)
    }

    async fn ask_one(&self, place: &Place, org: OrgId, npi: &Npi) -> Result<Finding, StoreError> {
        let source = place.settings.kind.source();
        let finding = |snapshot, as_of, says| Finding { source, name: place.settings.name.clone(), snapshot, as_of, says };
        let kept = match self.store.kept_answer(&place.settings.name, npi).await? {
            Some(kept) => Arc::new(kept),
            None => match self.ask_waiting(place, npi).await {
                Asked::Answer(answer) => answer,
                Asked::Nothing(why) => {
                    let why = format!("{} {why}", place.settings.name);
                    return Ok(finding(SnapshotId::new(), self.store.clock().now(), Says::Unavailable(why)));
                }
            },
        };
        let says = match serde_json::from_slice(&kept.reply) {
            Ok(Reply::Found(rows)) => {
                let mut entries = Vec::with_capacity(rows.len());
                for row in rows {
                    entries.extend(self.entry(place, org, &kept, row).await?);
                }
                if entries.is_empty() { Says::Known } else { Says::Addresses(entries) }
            }
            Ok(Reply::Known) => Says::Known,
            Ok(Reply::Inactive) => Says::Inactive,
            Ok(Reply::Unknown) => Says::Unknown,
            Err(_) => Says::Unavailable(format!("{} has a kept answer of another version", place.settings.name)),
        };
        Ok(finding(kept.id, kept.asked_at, says))
    }

    async fn ask_waiting(&self, place: &Place, npi: &Npi) -> Asked {
        let Ok(_waits) = self.waiting.try_acquire() else {
            return Asked::Nothing("has too many look-ups waiting already".to_owned());
        };
        // Whoever hands work out has a place more.
        self.store.wake();
        place.ask_once(&self.store, npi).await
    }

    async fn entry(
        &self,
        place: &Place,
        org: OrgId,
        kept: &KeptAnswer,
        row: DirectoryRow,
    ) -> Result<Option<DirectoryEntry>, StoreError> {
        let Some(address) = row.address else { return Ok(None) };
        let last_success = self.store.last_success(org, &address).await?.map(Timestamp::micros);
        Ok(Some(DirectoryEntry {
            npi: row.npi,
            address,
            source: place.settings.kind.source(),
            snapshot: kept.id,
            rank: row.rank,
            kind: row.kind,
            affiliation: row.affiliation,
            first_seen: kept.asked_at.micros(),
            last_seen: kept.asked_at.micros(),
            pinned: false,
            last_success,
        }))
    }
}

impl Place {
    fn new(settings: LiveDirectory) -> Self {
        let rules = FetchRules {
            allow_http: settings.internal,
            allow_private: settings.internal,
            max_bytes: MOST_OCTETS,
            timeout: settings.timeout.0,
            connect_timeout: settings.timeout.0,
            ca_file: settings.ca_file.clone(),
            ..FetchRules::default()
        };
        let token = settings.token_file.as_ref().map(|file| {
            let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Ok::<_, String>(format!("Bearer {}", text.trim()))
        });
        let fetcher = Fetcher::new(rules).map_err(|error| error.to_string());
        let fetcher = fetcher.and_then(|fetcher| Ok((fetcher, token.transpose()?)));
        Self {
            fetcher: fetcher.map_err(|why| format!("cannot be asked: {why}")),
            seats: Semaphore::new(settings.max_concurrent),
            breaker: Breaker::new(settings.breaker_after, settings.breaker_pause.0),
            flights: Mutex::default(),
            settings,
        }
    }

    /// Asks, or waits for whoever is asking about the same NPI.
    async fn ask_once(&self, store: &Store, npi: &Npi) -> Asked {
        let flight = {
            let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(flights.entry(npi.clone()).or_default())
        };
        let asked = flight.get_or_init(|| self.ask_now(store, npi)).await.clone();
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if flights.get(npi).is_some_and(|current| Arc::ptr_eq(current, &flight)) {
            flights.remove(npi);
        }
        asked
    }

    async fn ask_now(&self, store: &Store, npi: &Npi) -> Asked {
        // Somebody may have been answered between our look and our turn.
        if let Ok(Some(kept)) = store.kept_answer(&self.settings.name, npi).await {
            return Asked::Answer(Arc::new(kept));
        }
        let reply = match self.try_to_ask(store, npi).await {
            Ok(reply) => reply,
            Err(Trouble::Down(why) | Trouble::Unusable(why)) => return Asked::Nothing(why),
        };
        let asked_at = store.clock().now();
        let keep = if matches!(reply, Reply::Found(_)) { self.settings.ttl } else { self.settings.negative_ttl };
        let reply = match serde_json::to_vec(&reply) {
            Ok(reply) => reply,
            Err(error) => return Asked::Nothing(format!("cannot be kept: {error}")),
        };
        let kept = KeptAnswer { id: SnapshotId::new(), reply, asked_at, expires_at: asked_at.plus(keep.0) };
        // An answer that cannot be kept is an answer all the same.
        if let Err(error) = store.keep_answer(&self.settings.name, npi, &kept).await {
            tracing::warn!(%error, directory = self.settings.name, "an answer of a live directory is not kept");
        }
        Asked::Answer(Arc::new(kept))
    }

    async fn try_to_ask(&self, store: &Store, npi: &Npi) -> Result<Reply, Trouble> {
        let attempt = self
            .breaker
            .attempt()
            .map_err(|wait| Trouble::Unusable(format!("is left alone for {} s after failures", wait.as_secs().max(1))))?;
        let asking = async {
            let _seat = self.seats.acquire().await.map_err(|_| Trouble::Unusable("is being shut down".to_owned()))?;
            match self.settings.kind {
                LiveKind::Nppes => nppes::ask(self, npi).await,
                LiveKind::Fhir => {
                    let today = crate::domain::time::TimeZone::utc().date_at(store.clock().now()).to_string();
                    fhir::ask(self, npi, &today).await
                }
            }
        };
        let reply = timeout(self.settings.timeout.0, asking).await;
        let reply = reply.unwrap_or_else(|_| Err(Trouble::Down(format!("did not answer within {}", self.settings.timeout))));
        match &reply {
            Err(Trouble::Down(_)) => {
                attempt.failed();
            }
            Ok(_) | Err(Trouble::Unusable(_)) => attempt.succeeded(),
        }
        reply
    }

    /// Fetches one page.
    async fn get(&self, url: &str, accept: &str) -> Result<Fetched, Trouble> {
        let (fetcher, token) = self.fetcher.as_ref().map_err(|why| Trouble::Unusable(why.clone()))?;
        let mut headers = vec![("accept", accept)];
        headers.extend(token.as_ref().map(|token| ("authorization", token.as_str())));
        let fetched = fetcher.get(url, &headers).await.map_err(|error| match &error {
            FetchError::Failed { .. } => Trouble::Down(format!("could not be asked: {error}")),
            _ => Trouble::Unusable(format!("could not be asked: {error}")),
        })?;
        match fetched.status {
            200 => Ok(fetched),
            429 | 500.. => Err(Trouble::Down(format!("answered with status {}", fetched.status))),
            other => Err(Trouble::Unusable(format!("answered with status {other}"))),
        }
    }
}

/// What rows come to.
fn reply(rows: Vec<DirectoryRow>) -> Reply {
    let rows: Vec<DirectoryRow> = rows.into_iter().filter(|row| row.address.is_some()).collect();
    if rows.is_empty() { Reply::Known } else { Reply::Found(rows) }
}
