//! Pages that follow what happens: server-sent events (WHATWG HTML 9.2) with the parts of a page that have changed. A page
//! works without them. They do not keep a session awake, and end after a while so that the browser asks again and is looked at
//! again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep},
};

use super::{
    Page,
    delivery::{self, Step},
    overview::{self, Tile},
    words::Badge,
};
use crate::{
    domain::DeliveryId,
    web::{Problem, Web, auth::Person},
};

/// So many pages follow at the same time; the others are as they were loaded.
pub(in crate::web) const FOLLOWERS: usize = 256;
/// How long one asks before it has to show its session again.
const LASTS: Duration = Duration::from_mins(1);
/// How often it is looked.
const LOOK: Duration = Duration::from_secs(2);
/// When the browser asks again.
const AGAIN: Duration = Duration::from_secs(3);

#[derive(Template)]
#[template(path = "console/tiles.html")]
struct Tiles {
    tiles: Vec<Tile>,
}

#[derive(Template)]
#[template(path = "console/timeline.html")]
struct Timeline {
    steps: Vec<Step>,
}

#[derive(Template)]
#[template(path = "console/delivery_state.html")]
struct Standing {
    state: Badge,
    disposition: Option<Badge>,
}

/// A part of a page and what stands in it now.
type Part = (&'static str, String);

/// What is followed.
#[derive(Clone)]
enum What {
    Overview,
    Delivery(DeliveryId),
}

struct Following {
    web: Web,
    person: Person,
    what: What,
    begun: Instant,
    shown: Vec<Part>,
    _place: OwnedSemaphorePermit,
}

pub(super) async fn overview(State(web): State<Web>, person: Person, headers: HeaderMap) -> Result<Response, Page> {
    follow(web, person, What::Overview, &headers)
}

pub(super) async fn delivery(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Page> {
    // Whoever may not see it learns nothing of it here either.
    let entry = delivery::find(&web, &person, &id).await?;
    follow(web, person, What::Delivery(entry.id), &headers)
}

fn follow(web: Web, person: Person, what: What, headers: &HeaderMap) -> Result<Response, Page> {
    // Whoever does not read events would wait for the end of a page that has none.
    let wants = headers.get(header::ACCEPT).and_then(|wants| wants.to_str().ok()).unwrap_or_default();
    if !wants.contains("text/event-stream") {
        let detail = "This is read by the page that follows what happens, not by itself.";
        return Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail).into());
    }
    // No content: the browser does not ask again.
    let Ok(place) = Arc::clone(&web.followers).try_acquire_owned() else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let following = Following { web, person, what, begun: Instant::now(), shown: Vec::new(), _place: place };
    Ok(Sse::new(stream::unfold(following, Following::next)).into_response())
}

impl Following {
    /// The next part that has changed; the end when it is time to ask again, or nothing can be said.
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if self.begun.elapsed() > LASTS || self.web.health.report().stopping {
                return None;
            }
            // Whoever was signed out, disabled or given another role learns nothing more (decision 0013).
            let store = self.web.intake.store();
            if !store.session_is_open(self.person.session, self.web.console.idle.0).await.ok()? {
                return None;
            }
            let now = self.parts().await?;
            let changed = now.into_iter().find(|part| !self.shown.contains(part));
            if let Some((name, html)) = changed {
                self.shown.retain(|(known, _)| *known != name);
                self.shown.push((name, html.clone()));
                // A carriage return would end the event's line.
                let event = Event::default().retry(AGAIN).event(name).data(html.replace('\r', ""));
                return Some((Ok(event), self));
            }
            sleep(LOOK).await;
        }
    }

    async fn parts(&self) -> Option<Vec<Part>> {
        match self.what {
            What::Overview => {
                let tiles = overview::tiles_now(&self.web, &self.person).await.ok()?;
                Some(vec![("tiles", Tiles { tiles }.render().ok()?)])
            }
            What::Delivery(id) => {
                let store = self.web.intake.store();
                let entry = store.delivery_in(self.person.scope, id).await.ok()??;
                let (_, history) = store.delivery_view(self.person.scope, id).await.ok()??;
                let notices = store.notices(self.person.scope, id).await.ok()?;
                let zone = super::whose::zone(&self.web, entry.org).await.ok()?;
                let (state, disposition) = delivery::badges(&entry);
                let steps = delivery::steps(&history, &notices, &zone);
                Some(vec![
                    ("state", Standing { state, disposition }.render().ok()?),
                    ("steps", Timeline { steps }.render().ok()?),
                ])
            }
        }
    }
}
