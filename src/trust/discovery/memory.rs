//! What was answered lately, and who is being asked now.
//!
//! Answers are kept in the store, shared by every process. "No answer" is not kept; but for a moment its sender is not
//! asked again, so that a server in trouble costs one wait and not one for each delivery.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    Freshness,
    ask::{Ask, Heard},
    question::{Question, Reply},
};
use crate::{
    config::discovery::DiscoverySection,
    domain::Timestamp,
    observe::events,
    store::{Store, certificate_cache::Kept},
};

/// Most questions on their way at a time.
const MOST_QUESTIONS: usize = 64;
/// Most of them to one domain or directory: a slow one must not take all the places.
const MOST_TO_ONE: usize = 8;
/// How long somebody who did not answer is left in peace.
const PEACE: Duration = Duration::from_secs(15);

/// An answer, and since when it is known.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) reply: Reply,
    pub(super) by: String,
    pub(super) asked_at: Timestamp,
    /// It was kept from an earlier question.
    pub(super) kept: bool,
}

type Outcome = Result<Arc<Told>, String>;
type Flight = Shared<BoxFuture<'static, Outcome>>;

pub(super) struct Memory {
    store: Store,
    network: Arc<dyn Ask>,
    patience: Duration,
    longest: Duration,
    longest_none: Duration,
    flights: Mutex<HashMap<(String, bool), Flight>>,
    trouble: Mutex<HashMap<String, (Instant, String)>>,
    places: Semaphore,
    queues: Mutex<HashMap<String, Weak<Semaphore>>>,
}

impl Memory {
    pub(super) fn new(store: Store, network: Arc<dyn Ask>, settings: &DiscoverySection) -> Self {
        Self {
            store,
            network,
            patience: settings.timeout.0,
            longest: settings.cache_max.0,
            longest_none: settings.cache_none_max.0,
            flights: Mutex::default(),
            trouble: Mutex::default(),
            places: Semaphore::new(MOST_QUESTIONS),
            queues: Mutex::default(),
        }
    }

    /// The answer to a question. Whoever asks the same at the same time waits for the same answer.
    pub(super) async fn ask(self: &Arc<Self>, question: &Question, freshness: Freshness) -> Outcome {
        let key = question.key();
        if freshness == Freshness::Kept
            && let Some(told) = self.recall(&key).await
        {
            return Ok(Arc::new(told));
        }
        let flight_key = (key, freshness == Freshness::Asked);
        let flight = {
            let mut flights = lock(&self.flights);
            if let Some(flight) = flights.get(&flight_key) {
                flight.clone()
            } else {
                // A task of its own: it ends, and gives its places back, even when nobody waits for it any more.
                let task = tokio::spawn(self.flight(question.clone(), freshness, flight_key.clone()));
                let flight = task.map(|done| done.unwrap_or_else(|_| Err("the search was given up".to_owned())));
                let flight = flight.boxed().shared();
                flights.insert(flight_key, flight.clone());
                flight
            }
        };
        flight.await
    }

    fn flight(
        self: &Arc<Self>,
        question: Question,
        freshness: Freshness,
        key: (String, bool),
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let landing = Landing { memory: Arc::clone(self), key };
        async move {
            let memory = &landing.memory;
            let respondent = question.respondent();
            let queue = memory.queue(&respondent);
            let closed = |_| "the search was given up".to_owned();
            let _turn = queue.acquire().await.map_err(closed)?;
            let _place = memory.places.acquire().await.map_err(closed)?;
            if freshness == Freshness::Kept {
                // Somebody may have been answered between our look and our turn.
                if let Some(told) = memory.recall(&landing.key.0).await {
                    return Ok(Arc::new(told));
                }
                if let Some(why) = memory.in_trouble(&respondent) {
                    return Err(why);
                }
            }
            let late = |_| Err("no answer in time".to_owned());
            let began = Instant::now();
            let answer = timeout(memory.patience, memory.network.ask(&question)).await.unwrap_or_else(late);
            let (source, took) = (question.source(), began.elapsed());
            match answer {
                Ok(heard) => {
                    events::DiscoveryAnswered { source, took }.emit();
                    lock(&memory.trouble).remove(&respondent);
                    Ok(Arc::new(memory.learn(&question, heard).await))
                }
                Err(why) => {
                    events::DiscoveryUnavailable { source, took }.emit();
                    memory.note_trouble(respondent, why.clone());
                    Err(why)
                }
            }
        }
    }

    async fn recall(&self, key: &str) -> Option<Told> {
        let kept = match self.store.kept(key).await {
            Ok(kept) => kept?,
            Err(error) => {
                tracing::debug!(%error, "what is kept about certificates cannot be read; asking anew");
                return None;
            }
        };
        let reply = serde_json::from_slice(&kept.reply).ok()?;
        Some(Told { reply, by: kept.asked_of, asked_at: kept.asked_at, kept: true })
    }

    async fn learn(&self, question: &Question, heard: Heard) -> Told {
        let now = self.store.clock().now();
        let Heard { reply, by, lasts } = heard;
        let found = reply != Reply::Nothing;
        let longest = if found { self.longest } else { self.longest_none };
        let lasts = lasts.map_or(longest, |lasts| lasts.min(longest));
        if !lasts.is_zero() && reply.may_be_kept() {
            let kept = Kept {
                question: question.key(),
                about: question.about().to_owned(),
                found,
                reply: serde_json::to_vec(&reply).unwrap_or_default(),
                asked_of: by.clone(),
                asked_at: now,
                expires_at: now.plus(lasts),
            };
            // Without it the next delivery asks again; this one has its answer.
            if let Err(error) = self.store.keep(&kept).await {
                tracing::debug!(%error, "an answer about certificates cannot be kept");
            }
        }
        Told { reply, by, asked_at: now, kept: false }
    }

    fn queue(&self, respondent: &str) -> Arc<Semaphore> {
        let mut queues = lock(&self.queues);
        if let Some(queue) = queues.get(respondent).and_then(Weak::upgrade) {
            return queue;
        }
        queues.retain(|_, queue| queue.strong_count() > 0);
        let queue = Arc::new(Semaphore::new(MOST_TO_ONE));
        queues.insert(respondent.to_owned(), Arc::downgrade(&queue));
        queue
    }

    fn in_trouble(&self, respondent: &str) -> Option<String> {
        let trouble = lock(&self.trouble);
        let (until, why) = trouble.get(respondent)?;
        (*until > Instant::now()).then(|| why.clone())
    }

    fn note_trouble(&self, respondent: String, why: String) {
        let now = Instant::now();
        let mut trouble = lock(&self.trouble);
        trouble.retain(|_, (until, _)| *until > now);
        trouble.insert(respondent, (now + PEACE, why));
    }
}

/// Takes a question off the list of those on their way when it is done.
struct Landing {
    memory: Arc<Memory>,
    key: (String, bool),
}

impl Drop for Landing {
    fn drop(&mut self) {
        lock(&self.memory.flights).remove(&self.key);
    }
}

/// A panic elsewhere leaves the map as good as it was.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
