//! Turns at what makes us ask others: so many at a time, and so many in a minute, for each organization. Name servers,
//! directories and issuers belong to strangers; no customer may make us hammer them, or keep the others from asking.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::Problem;
use crate::{config::web::WebSection, domain::OrgId};

/// A short burst waits this long for a place before it is told to come again.
const WAIT: Duration = Duration::from_secs(2);
const MINUTE: Duration = Duration::from_mins(1);

/// Every turn there is.
#[derive(Debug)]
pub(super) struct Turns {
    all: Arc<Semaphore>,
    each: usize,
    per_minute: u32,
    wait: Duration,
    organizations: Mutex<HashMap<OrgId, Share>>,
}

/// What one organization has.
#[derive(Debug)]
struct Share {
    places: Arc<Semaphore>,
    /// When the next one is due, if they came evenly.
    next: Instant,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    _taken: [OwnedSemaphorePermit; 2],
}

impl Turns {
    pub(super) fn new(settings: &WebSection) -> Self {
        Self {
            all: Arc::new(Semaphore::new(settings.probes)),
            each: settings.probes_per_organization,
            per_minute: settings.probes_per_minute,
            wait: WAIT,
            organizations: Mutex::default(),
        }
    }

    /// A turn for `org`.
    ///
    /// # Errors
    /// 429 when the organization has had its share, 503 when all together have.
    pub(super) async fn take(&self, org: OrgId) -> Result<Turn, Problem> {
        let now = Instant::now();
        let until = now + self.wait;
        let own = self.places(org, now).ok_or_else(too_many)?;
        let Ok(Ok(own)) = timeout_at(until, own.acquire_owned()).await else { return Err(too_many()) };
        let Ok(Ok(all)) = timeout_at(until, Arc::clone(&self.all).acquire_owned()).await else { return Err(busy()) };
        Ok(Turn { _taken: [own, all] })
    }

    /// The organization's places, when its minute is not used up at `now`: a minute's share may come at once, then one after the
    /// other. Only who has shown a token gets here, so these are no more than there are organizations.
    fn places(&self, org: OrgId, now: Instant) -> Option<Arc<Semaphore>> {
        let mut organizations = self.organizations.lock().unwrap_or_else(PoisonError::into_inner);
        let share = organizations.entry(org).or_insert_with(|| Share { places: Arc::new(Semaphore::new(self.each)), next: now });
        let apart = MINUTE / self.per_minute.max(1);
        let next = share.next.max(now) + apart;
        if next > now + MINUTE {
            return None;
        }
        share.next = next;
        Some(Arc::clone(&share.places))
    }
}

fn too_many() -> Problem {
    let detail = "your organization has asked for too many probes or look-ups; ask again in a moment, and for fewer at a time";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_probes", detail)
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many probes and look-ups are running; ask again in a moment")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(each: usize, per_minute: u32) -> Turns {
        let settings =
            WebSection { probes: 3, probes_per_organization: each, probes_per_minute: per_minute, ..WebSection::default() };
        Turns { wait: Duration::from_millis(50), ..Turns::new(&settings) }
    }

    async fn status(turns: &Turns, org: OrgId) -> u16 {
        let refused = turns.take(org).await.err();
        refused.map_or(200, |problem| axum::response::IntoResponse::into_response(problem).status().as_u16())
    }

    #[test]
    fn a_minutes_share_may_come_at_once_and_no_more_in_any_minute() {
        let (turns, one, other) = (turns(2, 6), OrgId::new(), OrgId::new());
        let began = Instant::now();
        let may = |org, millis| turns.places(org, began + Duration::from_millis(millis)).is_some();
        assert!((0..6).all(|_| may(one, 0)));
        assert!(!may(one, 0));
        assert!(may(other, 0), "the others do not notice");
        assert_eq!([may(one, 9_999), may(one, 10_000), may(one, 10_000)], [false, true, false]);
        // What is not used is not saved up: a minute's share, never two.
        assert_eq!((0..20).filter(|_| may(one, 600_000)).count(), 6);
    }

    #[tokio::test]
    async fn who_has_all_its_places_waits_for_itself_and_a_place_comes_back() {
        let (turns, one, other) = (turns(2, 100), OrgId::new(), OrgId::new());
        let held = [turns.take(one).await.unwrap(), turns.take(one).await.unwrap()];
        assert_eq!(status(&turns, one).await, 429);
        let third = turns.take(other).await.unwrap();
        assert_eq!(status(&turns, other).await, 503, "all places are taken");
        drop((held, third));
        assert_eq!(status(&turns, one).await, 200);
    }
}
