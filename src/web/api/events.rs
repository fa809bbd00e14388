//! `GET /v1/events`: what happened, in order, for programs that come and ask.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::{bad_query, parameter};
use crate::{
    domain::{
        OrgId,
        event::{Cursor, Wanted},
    },
    source::SourceError,
    store::event::FeedError,
    track::event::Told,
    web::{Problem, Web, auth::Caller},
};

/// Most events of one page, and how many there are unless somebody says.
const MOST: u32 = 1_000;
const USUAL: u32 = 100;
/// The longest wait for something new.
const LONGEST: u64 = 30;
/// How often the feed is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// So many of one organization may wait at the same time.
const AT_ONCE: usize = 8;

/// Who waits for something new.
#[derive(Debug, Default)]
pub(in crate::web) struct Waiting(Mutex<HashMap<OrgId, usize>>);

/// One place among those who wait.
struct Place(Arc<Waiting>, OrgId);

impl Waiting {
    fn enter(self: &Arc<Self>, org: OrgId) -> Option<Place> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = all.entry(org).or_default();
        if *count >= AT_ONCE {
            return None;
        }
        *count += 1;
        Some(Place(Arc::clone(self), org))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = all.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.1);
            }
        }
    }
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    after: Option<String>,
    limit: Option<String>,
    wait: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Who is meant, for a token that speaks for all: the gate has read it.
    #[serde(rename = "organization")]
    _organization: Option<String>,
}

#[derive(Serialize)]
struct Page<'a> {
    events: Vec<Told<'a>>,
    /// Where to go on: also when nothing stands in `events`.
    next: Cursor,
    /// Whether more is there now.
    more: bool,
}

/// Reads on.
///
/// # Errors
/// 400, 401, 409 (the feed has no such place), 410 (what stood behind it is no longer kept), 503.
pub async fn read(
    State(web): State<Web>,
    caller: Caller,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let sender = caller.sender()?;
    let Query(asked) = asked.map_err(bad_query)?;
    let after: Cursor =
        parameter("after", asked.after.as_deref(), "what `next` or an event's `cursor` said, or 0")?.unwrap_or_default();
    let limit: u32 = parameter("limit", asked.limit.as_deref(), "a number of events")?.unwrap_or(USUAL).clamp(1, MOST);
    let wait: u64 = parameter("wait", asked.wait.as_deref(), "a number of seconds")?.unwrap_or(0).min(LONGEST);
    let wanted: Wanted =
        parameter("type", asked.kind.as_deref(), "a kind of event, or delivery.*, result.*")?.unwrap_or(Wanted::All);
    let store = web.intake.store();
    let until = Instant::now() + Duration::from_secs(wait);
    // Too many who wait are answered at once: they ask again, and nobody is turned away.
    let seat = if wait > 0 { web.waiting.enter(sender.org) } else { None };
    let mut place = after;
    loop {
        let page = store.events_after(sender.org, place, limit).await.map_err(refused)?;
        let full = u32::try_from(page.len()).is_ok_and(|count| count == limit);
        place = page.last().map_or(place, crate::store::event::EventView::cursor);
        let found: Vec<_> = page.iter().filter(|event| wanted.takes(event.kind)).collect();
        if found.is_empty() && full && Instant::now() < until + LOOK {
            // Nothing of what is wanted on this page: on to the next.
            continue;
        }
        if found.is_empty() && seat.is_some() && Instant::now() < until && !web.health.report().stopping {
            sleep(LOOK).await;
            continue;
        }
        let organization = store.organization(sender.org).await.map_err(SourceError::from)?;
        let slug = organization.map(|organization| organization.file.slug).unwrap_or_default();
        let events = found.into_iter().map(|event| Told::of(event, &slug, true)).collect();
        return Ok(Json(Page { events, next: place, more: full }).into_response());
    }
}

fn refused(error: FeedError) -> Problem {
    match error {
        FeedError::TooOld { forgotten } => Problem::new(
            StatusCode::GONE,
            "cursor_too_old",
            format!(
                "events up to {forgotten} are no longer kept, so some were missed; look deliveries up with GET /v1/deliveries, and read on with after={forgotten}"
            ),
        ),
        FeedError::Elsewhere => Problem::new(
            StatusCode::CONFLICT,
            "cursor_unknown",
            "this feed has no such place: the gateway was restored from a backup, or the cursor is of another organization; begin again with after=0",
        ),
        FeedError::Store(error) => SourceError::from(error).into(),
    }
}
