//! A feed: completed results are pulled page by page, made durable, and only then acknowledged.
//!
//! `GET url?after=CURSOR&limit=N`, then `POST url/ack {"cursor"}`. An item that cannot be taken is kept, encrypted, for a
//! person to look at, and acknowledged like any other: one bad item must not stop a feed.

mod page;

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::page::{Item, Page};
use super::{Intake, Refusal, Sender, SourceError, held::held, wire, wire::Unknown};
use crate::{
    config::source::Feed as Settings,
    crypto::{Hex, draw, sha256},
    domain::{OrgId, alert::AlertKind},
    net::{
        backoff::Backoff,
        fetch::{FetchError, FetchRules, Fetched, Fetcher},
    },
    observe::{
        chain,
        events::{FeedItemParked, FeedUnavailable},
        facts::{Configured, Door},
        health::{Health, Part},
    },
    store::{StoreError, lease::Lease},
};

/// A feed that is pulled again and again.
pub struct Feed {
    settings: Settings,
    /// Whose lease it takes.
    task: String,
    sender: Sender,
    intake: Intake,
    fetcher: Fetcher,
    authorization: Option<zeroize::Zeroizing<String>>,
    /// How many items to ask for now: fewer after a page was too large.
    limit: u32,
    /// The last cursor known to be durable and not to be acknowledged. At the beginning that is whatever is on record.
    owed: Option<Owed>,
}

/// What is still to be acknowledged.
enum Owed {
    /// What the store has: perhaps a crash came before the acknowledgement.
    OnRecord,
    /// This one.
    Cursor(String),
}

/// What one pull came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulled {
    /// Durable now, new or known.
    pub taken: usize,
    /// Kept for a person.
    pub parked: usize,
    /// The feed has more at once.
    pub more: bool,
    /// The acknowledgement did not get through; it is repeated.
    pub unacknowledged: bool,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("name", &self.settings.name).finish_non_exhaustive()
    }
}

impl Feed {
    /// Pulls the feed of `settings` for `org`, showing `token` when there is one.
    ///
    /// # Errors
    /// When fetching cannot be set up.
    pub fn new(settings: Settings, org: OrgId, intake: Intake, token: Option<&str>) -> Result<Self, SourceError> {
        let rules = FetchRules {
            allow_http: settings.internal,
            allow_private: settings.internal,
            max_bytes: settings.page_bytes,
            timeout: Duration::from_mins(2),
            ..FetchRules::default()
        };
        let fetcher = Fetcher::new(rules).map_err(|error| SourceError::Fetch(Box::new(error)))?;
        let unknown = if settings.ignore_unknown { Unknown::Ignore } else { Unknown::Refuse };
        let sender = Sender { org, unknown, door: Door::Feed };
        let authorization = token.map(|token| format!("Bearer {}", token.trim()).into());
        let limit = settings.batch.max(1);
        let task = format!("feed:{}", settings.name);
        Ok(Self { settings, task, sender, intake, fetcher, authorization, limit, owed: Some(Owed::OnRecord) })
    }

    /// Pulls until `stop`. Of several processes the one that holds the feed's task lease works.
    pub async fn run(mut self, lease: Lease, health: Health, stop: CancellationToken) {
        let name = self.settings.name.clone();
        let mut backoff = Backoff::new(Duration::from_secs(1), self.settings.back_off.0);
        while !stop.is_cancelled() {
            let pulled = self.pull(&lease).await;
            // The loop lives. The feed is somebody else's: that it is down does not make this process unfit for work.
            health.say(Part::Source, true);
            let wait = match pulled {
                Ok(pulled) => {
                    backoff.reset();
                    health.well(AlertKind::SourceUnavailable, &name, "");
                    if pulled.more { Duration::ZERO } else { self.settings.poll.0 }
                }
                Err(SourceError::TakenOver) => {
                    health.well(AlertKind::SourceUnavailable, &name, "");
                    self.settings.poll.0
                }
                Err(error) => {
                    let wait = backoff.next(draw());
                    FeedUnavailable { feed: Configured(&name), wait }.emit();
                    health.trouble(AlertKind::SourceUnavailable, &name, "", "the feed does not answer as it should");
                    tracing::warn!(feed = %name, error = chain(&error), "the feed is asked again later");
                    wait
                }
            };
            tokio::select! {
                () = stop.cancelled() => break,
                () = sleep(wait) => {}
            }
        }
        if let Err(error) = self.intake.store().give_back_task(&self.task, &lease).await {
            tracing::debug!(%error, "the feed's lease runs out by itself");
        }
    }

    /// Pulls one page and takes its items in order, under the feed's task lease; nothing while another process has it.
    ///
    /// # Errors
    /// When the feed does not answer as it should, or an item could neither be taken nor kept: what came before it is
    /// durable, and it is asked for again. [`SourceError::TakenOver`] when the lease was lost meanwhile: what was taken
    /// is durable, and where the feed stands is for its new holder to say.
    pub async fn pull(&mut self, lease: &Lease) -> Result<Pulled, SourceError> {
        let store = self.intake.store().clone();
        if !store.take_task(&self.task, lease).await? {
            self.owed = Some(Owed::OnRecord);
            return Ok(Pulled::default());
        }
        let task = self.task.clone();
        let pulled = Box::pin(held(&store, &task, lease, self.page_under(lease))).await;
        if matches!(pulled, Err(SourceError::TakenOver)) {
            // The other process may have come further: an acknowledgement of ours would be an old one.
            self.owed = Some(Owed::OnRecord);
            tracing::warn!(feed = %self.settings.name, "another process has taken the feed over");
        }
        pulled
    }

    async fn page_under(&mut self, lease: &Lease) -> Result<Pulled, SourceError> {
        let after = self.intake.store().feed_cursor(&self.settings.name).await?;
        self.acknowledge(after.as_deref(), lease).await?;
        let page = self.page(after.as_deref()).await?;
        let mut pulled = Pulled::default();
        let mut last = None;
        for item in page.items {
            let cursor = item.cursor.clone();
            if self.take(item).await? {
                pulled.taken += 1;
            } else {
                pulled.parked += 1;
            }
            if let Some(cursor) = cursor {
                self.move_to(&cursor, lease).await?;
                self.owed = Some(Owed::Cursor(cursor.clone()));
                last = Some(cursor);
            }
        }
        // A feed that gives the same again is waiting for us, not we for it.
        let moved = last.is_some() && last != after;
        if let Some(next) = page.next.as_ref().filter(|next| moved && Some(*next) != last.as_ref()) {
            self.move_to(next, lease).await?;
        }
        self.acknowledge(None, lease).await?;
        pulled.more = moved && page.next.is_some();
        pulled.unacknowledged = self.owed.is_some();
        Ok(pulled)
    }

    async fn move_to(&self, cursor: &str, lease: &Lease) -> Result<(), SourceError> {
        match self.intake.store().move_feed_cursor(&self.settings.name, cursor, &self.task, lease).await {
            Err(StoreError::Lost) => Err(SourceError::TakenOver),
            moved => Ok(moved?),
        }
    }

    /// Makes one item durable; `false` when it had to be parked.
    async fn take(&self, item: Item) -> Result<bool, SourceError> {
        let (content, refusal) = match item.content {
            Ok(json) => match self.intake.result(&self.sender, json.clone(), None, item.cursor.as_deref()).await {
                Ok(_) if item.cursor.is_some() => return Ok(true),
                Ok(_) => {
                    tracing::warn!(feed = %self.settings.name, "an item has no cursor and cannot be acknowledged by itself");
                    return Ok(true);
                }
                Err(SourceError::Refused(refusal)) => (json, refusal),
                Err(error) => return Err(error),
            },
            Err(whole) => (whole, Refusal::field("/result", "missing", "is missing, not an object, or given twice")),
        };
        // Without a place of its own the content is its name, so that the same item is kept once.
        let place = item.cursor.unwrap_or_else(|| format!("sha256:{}", Hex(&sha256(&content))));
        let problems = serde_json::to_value(&refusal).unwrap_or_default();
        let content = wire::without_ssn(&content);
        self.intake.store().park(self.sender.org, &self.settings.name, &place, &problems, &content).await?;
        FeedItemParked { org: self.sender.org, feed: Configured(&self.settings.name) }.emit();
        Ok(false)
    }

    async fn page(&mut self, after: Option<&str>) -> Result<Page, SourceError> {
        loop {
            let after = after.map(|cursor| format!("&after={}", page::escaped(cursor))).unwrap_or_default();
            let url = format!("{}?limit={}{after}", self.settings.url, self.limit);
            match self.fetcher.get(&url, &self.headers("application/json")).await {
                Ok(answer) => {
                    let answer = good(answer)?;
                    self.limit = self.limit.saturating_mul(2).min(self.settings.batch.max(1));
                    let page = tokio::task::spawn_blocking(move || page::read(&answer.body.into())).await;
                    return page.map_err(|_| SourceError::Interrupted("reading a page"))?.map_err(SourceError::Feed);
                }
                Err(FetchError::TooLarge { .. }) if self.limit > 1 => self.limit /= 2,
                Err(FetchError::TooLarge { .. }) => {
                    return Err(SourceError::Feed(format!("has an item larger than page_bytes ({})", self.settings.page_bytes)));
                }
                Err(error) => return Err(SourceError::Fetch(Box::new(error))),
            }
        }
    }

    /// Tells the feed what is durable, if that is owed and still ours to tell. A failure is repeated with the next pull and
    /// stops nothing.
    async fn acknowledge(&mut self, on_record: Option<&str>, lease: &Lease) -> Result<(), SourceError> {
        let owed = match self.owed.take() {
            Some(Owed::Cursor(cursor)) => Some(cursor),
            Some(Owed::OnRecord) => on_record.map(str::to_owned),
            None => None,
        };
        let Some(cursor) = owed else { return Ok(()) };
        if !self.intake.store().renew_task(&self.task, lease).await? {
            return Err(SourceError::TakenOver);
        }
        let url = format!("{}/ack", self.settings.url.trim_end_matches('/'));
        let body = serde_json::json!({ "cursor": cursor }).to_string().into_bytes();
        let mut headers = self.headers("application/json");
        headers.push(("content-type", "application/json"));
        let told =
            self.fetcher.post(&url, &headers, body).await.map_err(|error| SourceError::Fetch(Box::new(error))).and_then(good);
        if let Err(error) = told {
            tracing::warn!(feed = %self.settings.name, error = chain(&error), "the feed did not take the acknowledgement");
            self.owed = Some(Owed::Cursor(cursor));
        }
        Ok(())
    }

    fn headers<'a>(&'a self, accept: &'a str) -> Vec<(&'a str, &'a str)> {
        let authorization = self.authorization.as_ref().map(|value| ("authorization", value.as_str()));
        std::iter::once(("accept", accept)).chain(authorization).collect()
    }
}

fn good(answer: Fetched) -> Result<Fetched, SourceError> {
    match answer.status {
        200..=299 => Ok(answer),
        401 | 403 => Err(SourceError::Feed(format!("answered {}: check its token", answer.status))),
        status => Err(SourceError::Feed(format!("answered {status}"))),
    }
}
