//! Places for uploads: so many, and so many octets, for each organization, for each person at the console, and for all together.
//!
//! An organization whose uploads are slow, or many, waits for itself and is told to come again. The others do not notice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::http::StatusCode;
use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::Problem;
use crate::{
    config::web::WebSection,
    domain::{OrgId, id::PersonId},
};

/// A short burst waits this long for a place before it is told to come again.
const WAIT: Duration = Duration::from_secs(2);
/// Memory is counted in units of this many octets.
const UNIT: usize = 1024;

/// Every place there is.
#[derive(Debug)]
pub(super) struct Places {
    all: Room,
    uploads_each: usize,
    octets_each: usize,
    wait: Duration,
    rooms: Mutex<HashMap<Whose, Arc<Room>>>,
}

/// Who uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// A program of this organization.
    Organization(OrgId),
    /// This person, whose uploads may be for several.
    Person(PersonId),
}

impl From<OrgId> for Whose {
    fn from(org: OrgId) -> Self {
        Self::Organization(org)
    }
}

impl From<PersonId> for Whose {
    fn from(person: PersonId) -> Self {
        Self::Person(person)
    }
}

/// The places of all, or of one organization.
#[derive(Debug)]
struct Room {
    uploads: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    units: usize,
    /// How many may wait. Each of them holds a connection, of which there are only so many.
    queue: Arc<Semaphore>,
}

/// A place taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    _taken: [OwnedSemaphorePermit; 4],
}

impl Room {
    fn new(uploads: usize, octets: usize) -> Self {
        let units = octets / UNIT;
        let semaphore = |places| Arc::new(Semaphore::new(places));
        Self { uploads: semaphore(uploads), memory: semaphore(units), units, queue: semaphore(uploads) }
    }

    async fn take(&self, octets: usize) -> Result<[OwnedSemaphorePermit; 2], AcquireError> {
        let units = u32::try_from(octets.div_ceil(UNIT).min(self.units)).unwrap_or(u32::MAX);
        let upload = Arc::clone(&self.uploads).acquire_owned().await?;
        Ok([upload, Arc::clone(&self.memory).acquire_many_owned(units).await?])
    }
}

impl Places {
    pub(super) fn new(settings: &WebSection) -> Self {
        Self {
            all: Room::new(settings.uploads, settings.upload_memory),
            uploads_each: settings.uploads_per_organization,
            octets_each: settings.upload_memory_per_organization,
            wait: WAIT,
            rooms: Mutex::default(),
        }
    }

    /// A place for an upload of `whose` with up to this many octets.
    ///
    /// # Errors
    /// 429 when they have too many already, 503 when all together have; both say when to come again.
    pub(super) async fn take(&self, whose: impl Into<Whose>, octets: usize) -> Result<Place, Problem> {
        let whose = whose.into();
        let room = self.room(whose);
        let too_many = || too_many(whose);
        let Ok(_queued) = Arc::clone(&room.queue).try_acquire_owned() else { return Err(too_many()) };
        let until = Instant::now() + self.wait;
        let Ok(Ok([upload, memory])) = timeout_at(until, room.take(octets)).await else { return Err(too_many()) };
        let Ok(Ok([of_all, memory_of_all])) = timeout_at(until, self.all.take(octets)).await else { return Err(busy()) };
        Ok(Place { _taken: [upload, memory, of_all, memory_of_all] })
    }

    /// Only who has shown a token, or has a session, gets here: these are no more than there are organizations and people.
    fn room(&self, whose: Whose) -> Arc<Room> {
        let mut rooms = self.rooms.lock().unwrap_or_else(PoisonError::into_inner);
        let room = rooms.entry(whose).or_insert_with(|| Arc::new(Room::new(self.uploads_each, self.octets_each)));
        Arc::clone(room)
    }
}

fn too_many(whose: Whose) -> Problem {
    let who = match whose {
        Whose::Organization(_) => "your organization has",
        Whose::Person(_) => "you have",
    };
    let detail = format!("{who} too many uploads running; nothing was taken, send it again when some have ended");
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_uploads", detail)
}

fn busy() -> Problem {
    let detail = "too many uploads are running; nothing was taken, send it again later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        let settings = WebSection {
            uploads: 3,
            uploads_per_organization: 2,
            upload_memory: 100 * UNIT,
            upload_memory_per_organization: 50 * UNIT,
            ..WebSection::default()
        };
        Places { wait: Duration::from_millis(300), ..Places::new(&settings) }
    }

    async fn status(places: &Places, org: OrgId, octets: usize) -> u16 {
        let refused = places.take(org, octets).await.err();
        refused.map_or(200, |problem| axum::response::IntoResponse::into_response(problem).status().as_u16())
    }

    #[tokio::test]
    async fn an_organization_that_has_all_its_places_is_told_so_and_the_others_are_not() {
        let (places, one, other) = (places(), OrgId::new(), OrgId::new());
        let held = [places.take(one, 1).await.unwrap(), places.take(one, 1).await.unwrap()];
        assert_eq!(status(&places, one, 1).await, 429);
        let third = places.take(other, 1).await.unwrap();
        assert_eq!(status(&places, other, 1).await, 503, "all places are taken");
        drop(held);
        assert_eq!(status(&places, other, 1).await, 200);
        drop(third);
    }

    #[tokio::test]
    async fn a_person_has_places_of_their_own_beside_those_of_organizations() {
        let (places, person) = (places(), PersonId::new());
        let held = [places.take(person, 1).await.unwrap(), places.take(person, 1).await.unwrap()];
        assert!(places.take(person, 1).await.is_err());
        assert_eq!(status(&places, OrgId::new(), 1).await, 200);
        drop(held);
        assert!(places.take(person, 1).await.is_ok());
    }

    #[tokio::test]
    async fn memory_is_counted_beside_places() {
        let (places, one, other) = (places(), OrgId::new(), OrgId::new());
        let held = places.take(one, 40 * UNIT).await.unwrap();
        assert_eq!(status(&places, one, 20 * UNIT).await, 429);
        assert_eq!(status(&places, other, 50 * UNIT).await, 200);
        drop(held);
        assert_eq!(status(&places, one, 50 * UNIT).await, 200);
    }

    #[tokio::test]
    async fn a_burst_waits_a_moment_for_its_places_but_only_so_many_wait() {
        let (places, one) = (Arc::new(places()), OrgId::new());
        let held = [places.take(one, 1).await.unwrap(), places.take(one, 1).await.unwrap()];
        let waiting = [(); 2].map(|()| {
            let places = Arc::clone(&places);
            tokio::spawn(async move { status(&places, one, 1).await })
        });
        tokio::time::sleep(Duration::from_millis(50)).await;
        let asked = Instant::now();
        assert_eq!(status(&places, one, 1).await, 429);
        assert!(asked.elapsed() < Duration::from_millis(100), "who waits holds a connection");
        drop(held);
        for answer in waiting {
            assert_eq!(answer.await.unwrap(), 200);
        }
    }
}
