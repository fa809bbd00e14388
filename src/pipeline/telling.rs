//! Events out: webhooks are told what happened, each in its own turn and at its own pace.
//!
//! A webhook has a place in its organization's feed, and a lease while somebody tells it. One that fails waits by itself: all
//! that piles up behind it is the distance of two numbers. What it has taken is committed when its turn ends, so after a crash
//! it may be told up to one turn's worth again, under the same ids.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{Gateway, backoff::jittered};
use crate::{
    config::events::EventsSection,
    domain::{
        OrgScope, Timestamp,
        event::Cursor,
        webhook::{Format, OffBecause},
    },
    net::fetch::{FetchError, Fetcher},
    observe::{
        chain,
        defect::{DEFECT, contained},
        events, failpoint,
    },
    store::{
        StoreError,
        event::{EventView, FeedError},
        webhook::{ClaimedWebhook, TurnEnd},
    },
    track::{
        event::Told,
        receipt::Receipted,
        webhook::{Answer, Post, SigningSecret, post},
    },
};

/// Most events told in one turn: so many may come twice after a crash.
const A_TURN: u32 = 64;
/// The longest turn; then it is somebody else's.
const LONGEST: Duration = Duration::from_secs(10);
/// How long to wait when the store does not answer.
const STORE_AGAIN: Duration = Duration::from_secs(1);
/// How often old events are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// Which task that is: one process at a time does it.
const FORGETTING: &str = "events";

/// Tells webhooks. Cheap to clone.
#[derive(Clone)]
pub struct Teller {
    gateway: Arc<Gateway>,
    fetcher: Fetcher,
}

impl Teller {
    /// Made ready by the gateway's settings.
    ///
    /// # Errors
    /// When the authorities it is to believe cannot be read.
    pub fn new(gateway: Arc<Gateway>) -> Result<Self, FetchError> {
        let fetcher = fetcher(&gateway.settings.events)?;
        Ok(Self { gateway, fetcher })
    }

    /// Tells until `stop` is cancelled. Turns that run then end with what they have begun.
    pub async fn run(self, stop: CancellationToken) {
        let mut turns = JoinSet::new();
        let mut forgot: Option<Instant> = None;
        while !stop.is_cancelled() {
            while turns.try_join_next().is_some() {}
            let idle = match contained(self.begin(&mut turns, &stop)).await {
                Some(Ok(())) => self.gateway.settings.track.poll.0,
                None => STORE_AGAIN,
                Some(Err(error)) => {
                    tracing::error!(error = chain(&error), "webhooks cannot be told: the store does not answer");
                    STORE_AGAIN
                }
            };
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                forgot = Some(Instant::now());
                let _ = contained(self.gateway.forget_events()).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                Some(_) = turns.join_next() => {}
                () = tokio::time::sleep(idle) => {}
            }
        }
        while turns.join_next().await.is_some() {}
    }

    /// Gives every webhook that is due one turn; returns how many had one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn turn(&self) -> Result<usize, StoreError> {
        let mut turns = JoinSet::new();
        self.begin(&mut turns, &CancellationToken::new()).await?;
        let count = turns.len();
        while turns.join_next().await.is_some() {}
        Ok(count)
    }

    async fn begin(&self, turns: &mut JoinSet<()>, stop: &CancellationToken) -> Result<(), StoreError> {
        let room = self.gateway.settings.events.concurrency.saturating_sub(turns.len());
        if room == 0 {
            return Ok(());
        }
        for webhook in self.gateway.store.claim_webhooks(&self.gateway.fresh_lease(), room).await? {
            let (teller, stop) = (self.clone(), stop.clone());
            turns.spawn(async move { teller.tell(webhook, &stop).await });
        }
        Ok(())
    }

    async fn tell(&self, webhook: ClaimedWebhook, stop: &CancellationToken) {
        let mut told = webhook.view.told;
        let end = contained(self.tell_from(&webhook, &mut told, stop)).await;
        // Its lease would be renewed with the others for ever.
        let end = end.unwrap_or_else(|| self.later(&webhook, told, DEFECT.to_owned(), None));
        let (org, id) = (webhook.view.org, webhook.view.id);
        match self.gateway.store.end_turn(&webhook, told, &end).await {
            Ok(()) => match end {
                TurnEnd::Told => events::WebhookTold { org, webhook: id }.emit(),
                TurnEnd::Later(..) => {
                    events::WebhookFailed { org, webhook: id, attempt: webhook.view.attempts.saturating_add(1) }.emit();
                }
                TurnEnd::Off(because, _) => events::WebhookOff { org, webhook: id, because }.emit(),
            },
            Err(StoreError::Lost) => tracing::debug!(webhook = %id, "somebody has sent the webhook elsewhere in the meantime"),
            // It is told the same again when its lease runs out.
            Err(error) => tracing::warn!(webhook = %id, error = chain(&error), "how a webhook was told could not be recorded"),
        }
    }

    async fn tell_from(&self, webhook: &ClaimedWebhook, told: &mut u64, stop: &CancellationToken) -> TurnEnd {
        let (view, began) = (&webhook.view, Instant::now());
        let gateway = &self.gateway;
        let secrets = webhook.secrets.iter().filter_map(|secret| SigningSecret::from_octets(secret.clone()).ok());
        let secrets: Vec<SigningSecret> = secrets.collect();
        let organization = match gateway.organization(view.org).await {
            Ok(organization) => organization,
            Err(error) => return self.later(webhook, *told, chain(&error), None),
        };
        let page = loop {
            match gateway.store.events_after(view.org, Cursor { seq: *told, mark: None }, A_TURN).await {
                Ok(page) => break page,
                Err(FeedError::TooOld { forgotten }) => {
                    events::EventsMissed { org: view.org, webhook: view.id, count: forgotten.saturating_sub(*told) }.emit();
                    *told = forgotten;
                }
                // A backup was restored: what it has been told has not happened here.
                Err(FeedError::Elsewhere) => match gateway.store.event_head(view.org).await {
                    Ok(head) if head.seq < *told => *told = head.seq,
                    Ok(_) => {}
                    Err(error) => return self.later(webhook, *told, chain(&error), None),
                },
                Err(FeedError::Store(error)) => return self.later(webhook, *told, chain(&error), None),
            }
        };
        let wanted: Vec<(&EventView, Vec<u8>)> =
            page.iter().filter_map(|event| Some((event, body(webhook, event, &organization.file.slug)?))).collect();
        for together in wanted.chunks(view.rules.at_once.max(1).into()) {
            if stop.is_cancelled() || began.elapsed() >= LONGEST {
                return TurnEnd::Told;
            }
            let answers = join_all(together.iter().map(async |(event, body)| {
                let (id, at) = (event.id.to_string(), gateway.clock.now());
                post(&self.fetcher, Post { url: &view.rules.url, id: &id, at, body, secrets: &secrets }).await
            }))
            .await;
            failpoint::reach(failpoint::WEBHOOK_POSTED);
            for ((event, _), answer) in together.iter().zip(answers) {
                match answer {
                    Answer::Taken => *told = event.seq,
                    Answer::Gone => return TurnEnd::Off(OffBecause::Gone, "answered 410: it wants nothing more".to_owned()),
                    Answer::NotNow { why, wait } => return self.later(webhook, *told, why, wait),
                }
            }
        }
        *told = page.last().map_or(*told, |event| event.seq);
        TurnEnd::Told
    }

    /// When it is tried again, or that it is not.
    fn later(&self, webhook: &ClaimedWebhook, told: u64, why: String, asked: Option<Duration>) -> TurnEnd {
        let (settings, now) = (&self.gateway.settings.events, self.gateway.clock.now());
        let progress = told > webhook.view.told;
        let since = webhook.view.failing_since.filter(|_| !progress).unwrap_or(now);
        if now.since(since) >= settings.retry_for.0 {
            return TurnEnd::Off(OffBecause::Failing, why);
        }
        let attempts = if progress { 0 } else { webhook.view.attempts };
        TurnEnd::Later(now.plus(wait(settings, attempts, asked)), why)
    }
}

/// Fourfold after each failure, with jitter; as long as it asked for, if that is longer; never longer than the longest.
fn wait(settings: &EventsSection, attempts: u32, asked: Option<Duration>) -> Duration {
    let grown = settings.retry_min.0.saturating_mul(4_u32.saturating_pow(attempts)).min(settings.retry_max.0);
    jittered(grown).max(asked.unwrap_or_default().min(settings.retry_max.0))
}

/// What is sent of an event; `None` when this webhook is not told of it.
fn body(webhook: &ClaimedWebhook, event: &EventView, organization: &str) -> Option<Vec<u8>> {
    let rules = &webhook.view.rules;
    if !rules.wants(event.kind) {
        return None;
    }
    match rules.format {
        Format::Standard => serde_json::to_vec(&Told::of(event, organization, rules.order_id)).ok(),
        Format::Receipt => serde_json::to_vec(&Receipted::by(event, rules.order_id)?.receipt()).ok(),
    }
}

/// Posts to webhooks under the installation's rules.
///
/// # Errors
/// When the authorities it is to believe cannot be read.
pub fn fetcher(settings: &EventsSection) -> Result<Fetcher, FetchError> {
    let guard = crate::net::address::Guard::allowing(settings.allow_networks.clone());
    let mut rules = crate::track::webhook::rules(guard, settings.allow_http, settings.timeout.0);
    rules.ca_file.clone_from(&settings.ca_file);
    Fetcher::new(rules)
}

impl Gateway {
    /// Forgets events that are older than they are kept.
    async fn forget_events(&self) {
        let forgetting = async {
            if !self.store.take_task(FORGETTING, &self.lease()).await? {
                return Ok::<(), StoreError>(());
            }
            let before: Timestamp = self.clock.now().minus(self.settings.events.keep.0);
            for organization in self.store.organizations(OrgScope::All).await? {
                self.store.forget_events(organization.id, before).await?;
            }
            Ok(())
        };
        if let Err(error) = forgetting.await {
            tracing::warn!(error = chain(&error), "old events could not be forgotten; it is tried again in an hour");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_fourfold_to_the_longest_and_heed_what_was_asked() {
        let settings = EventsSection::default();
        let seconds = |attempts, asked: u64| wait(&settings, attempts, Some(Duration::from_secs(asked))).as_secs_f64();
        for (attempts, expected) in [(0, 5.0), (1, 20.0), (3, 320.0), (40, 21_600.0)] {
            let wait = seconds(attempts, 0);
            assert!(wait >= expected * 0.74 && wait <= expected * 1.26, "{wait} for {expected}");
        }
        assert!(seconds(0, 600) >= 600.0);
        assert!(seconds(0, 10_000_000) <= 21_600.0, "nobody may ask to be left alone for ever");
    }
}
