//! Ledger lines out: a metering system is told of every line of every ledger, one signed POST each,
//! some at a time.
//!
//! A line's id is its `webhook-id`: whoever takes one twice knows by it, so a line that was taken just before a crash may come
//! again and is still counted once. How far each ledger was told is kept, and one process at a time does it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{Gateway, backoff::jittered};
use crate::{
    bill::export::ExportedLine,
    config::fees::FeesSection,
    domain::{OrgId, OrgScope, audit::Actor},
    net::{
        address::Guard,
        fetch::{FetchError, FetchRules, Fetcher},
    },
    observe::{chain, defect::contained, events, facts::Configured},
    store::{
        StoreError,
        ledger::{LedgerLine, read::LineQuery},
        metering::LedgerTelling,
    },
    track::webhook::{Answer, Post, SigningSecret, post, rules, sign::BadSecret},
};

/// Which task that is: one process at a time does it.
const TASK: &str = "metering";
/// Most lines of one ledger in one turn, so that none starves another.
const A_TURN: u32 = 500;
/// So many are posted at the same time.
const AT_ONCE: usize = 8;
/// One POST takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The first and the longest wait after a failure.
const WAITS: (Duration, Duration) = (Duration::from_secs(5), Duration::from_hours(1));

/// Why lines cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum MeteringError {
    /// The secret is none.
    #[error("fees.metering_secret {0}")]
    Secret(#[from] BadSecret),
    /// Posting cannot be set up.
    #[error("ledger lines cannot be posted")]
    Fetch(#[from] FetchError),
}

/// Tells a metering system.
pub struct Metering {
    gateway: Arc<Gateway>,
    fetcher: Fetcher,
    url: String,
    secrets: [SigningSecret; 1],
    every: Duration,
}

impl Metering {
    /// Made ready by the settings; `None` when there is nobody to tell.
    ///
    /// # Errors
    /// [`MeteringError`].
    pub fn new(gateway: Arc<Gateway>, settings: &FeesSection) -> Result<Option<Self>, MeteringError> {
        let (Some(url), Some(secret)) = (&settings.metering, &settings.metering_secret) else { return Ok(None) };
        let internal = settings.metering_internal;
        let rules = FetchRules { allow_private: internal, ..rules(Guard::default(), internal, PATIENCE) };
        let (fetcher, secrets) = (Fetcher::new(rules)?, [SigningSecret::parse(secret.expose())?]);
        Ok(Some(Self { gateway, fetcher, url: url.clone(), secrets, every: settings.metering_every.0 }))
    }

    /// Tells until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let again = match contained(self.turn()).await {
                Some(Ok(told)) if told > 0 => Duration::ZERO,
                Some(Ok(_)) | None => self.every,
                Some(Err(error)) => {
                    tracing::error!(error = chain(&error), "ledger lines cannot be told: the store does not answer");
                    self.every
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(again) => {}
            }
        }
    }

    /// Gives every ledger that has something new one turn; returns how many lines were taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let store = &self.gateway.store;
        if !store.take_task(TASK, &self.gateway.lease()).await? {
            return Ok(0);
        }
        let (now, mut taken) = (store.now().await?, 0);
        let slugs: HashMap<OrgId, String> =
            store.organizations(OrgScope::All).await?.into_iter().map(|known| (known.id, known.file.slug)).collect();
        for telling in store.ledger_tellings().await? {
            if telling.told >= telling.newest || telling.next_attempt_at > now {
                continue;
            }
            // What is done under a lease that ran out is not known to be done alone.
            if !store.renew_task(TASK, &self.gateway.lease()).await? {
                return Ok(taken);
            }
            taken += self.tell(&telling, &slugs).await?;
        }
        Ok(taken)
    }

    async fn tell(&self, telling: &LedgerTelling, slugs: &HashMap<OrgId, String>) -> Result<usize, StoreError> {
        let (store, org) = (&self.gateway.store, telling.org);
        let page = store.ledger_page(OrgScope::All, &LineQuery::of(org), telling.told, A_TURN).await?;
        // Before the first line leaves.
        let exported = events::DataExported { org: Some(org), what: Configured("metering") };
        store.witness(&Actor::gateway(), &exported).await?;
        let (mut told, mut taken) = (telling.told, 0);
        for together in page.chunks(AT_ONCE) {
            let answers = join_all(together.iter().map(|line| self.post(line, slugs))).await;
            for (line, answer) in together.iter().zip(answers) {
                let (why, asked) = match answer {
                    Answer::Taken => {
                        (told, taken) = (line.seq, taken + 1);
                        continue;
                    }
                    Answer::Gone => ("answered 410: it wants nothing more; take fees.metering away".to_owned(), Some(WAITS.1)),
                    Answer::NotNow { why, wait } => (why, wait),
                };
                let attempts = if taken > 0 { 1 } else { telling.attempts.saturating_add(1) };
                let grown = WAITS.0.saturating_mul(4_u32.saturating_pow(attempts.saturating_sub(1))).min(WAITS.1);
                let wait = jittered(grown).max(asked.unwrap_or_default().min(WAITS.1));
                store.ledger_was_told(org, told, Some((attempts, store.now().await?.plus(wait), &why))).await?;
                events::LedgerNotTold { org, attempt: attempts, wait }.emit();
                return Ok(taken);
            }
            store.ledger_was_told(org, told, None).await?;
        }
        events::LedgerTold { org, lines: taken }.emit();
        Ok(taken)
    }

    async fn post(&self, line: &LedgerLine, slugs: &HashMap<OrgId, String>) -> Answer {
        let body = match serde_json::to_vec(&ExportedLine::of(line, slugs)) {
            Ok(body) => body,
            Err(error) => return Answer::NotNow { why: error.to_string(), wait: None },
        };
        let (id, at) = (line.id.to_string(), self.gateway.clock.now());
        post(&self.fetcher, Post { url: &self.url, id: &id, at, body: &body, secrets: &self.secrets }).await
    }
}
