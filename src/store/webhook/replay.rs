//! A webhook is told again: everything since a time, or behind a place in the feed. The same events under the same ids.

use crate::{
    domain::{OrgId, Timestamp, audit::Witness, event::Cursor},
    store::{Store, event::FeedError},
};

/// From where it is told again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Everything behind this place; it may lie ahead of where it stands, past events it cannot digest.
    Behind(Cursor),
    /// Everything that happened at this time or later.
    Since(Timestamp),
}

/// What a replay comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// The number of the event behind which it stands then.
    pub told: u64,
    /// How many events wait for it then, wanted or not.
    pub waiting: u64,
}

impl Store {
    /// What a replay would come to. Changes nothing.
    ///
    /// # Errors
    /// [`FeedError`] when the feed has no such place (any more).
    pub async fn look_at_replay(&self, org: OrgId, again: Again) -> Result<Replayed, FeedError> {
        let head = self.event_head(org).await?;
        let told = match again {
            Again::Behind(place) => {
                // Checks that the feed has it.
                self.events_after(org, place, 1).await?;
                place.seq.max(head.forgotten)
            }
            Again::Since(time) => self.first_event_since(org, time).await?.map_or(head.seq, |first| first.saturating_sub(1)),
        };
        Ok(Replayed { told, waiting: head.seq.saturating_sub(told) })
    }

    /// Tells the webhook `name` again. Whoever is telling it at this moment loses the claim; one that is off begins when it is
    /// switched on. `None` when there is none of that name.
    ///
    /// # Errors
    /// [`FeedError`] when the feed has no such place (any more): then it stands where it stood.
    pub async fn replay_webhook(
        &self,
        org: OrgId,
        name: &str,
        again: Again,
        witness: Option<Witness<'_>>,
    ) -> Result<Option<Replayed>, FeedError> {
        let replayed = self.look_at_replay(org, again).await?;
        Ok(self.place_webhook(org, name, replayed.told, witness).await?.then_some(replayed))
    }
}
