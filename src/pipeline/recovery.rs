//! What dead workers left behind, and unknown outcomes whose wait is over.

use std::sync::Arc;

use futures_util::future::join_all;

use super::{Gateway, delivering::unknown_wait};
use crate::{
    domain::{
        delivery::{Event, State},
        organization::SendMode,
    },
    observe::{
        chain,
        defect::{DEFECT, contained},
        events,
    },
    store::{
        StoreError,
        delivery::{Claimed, Move},
        queue::Unfinished,
    },
};

impl Gateway {
    /// Takes up what an expired lease left: what had not left the process is queued again, what was on the wire is
    /// unknown. Then ends the waits that are over. Returns how many deliveries moved.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn recover(self: &Arc<Self>) -> Result<usize, StoreError> {
        let abandoned = self.store.abandoned_deliveries().await?;
        let overdue = self.store.unknown_overdue().await?;
        let changes = abandoned
            .into_iter()
            .map(|left| (if left.state == State::OnWire { Event::Lost } else { Event::Released }, left))
            .chain(overdue.into_iter().map(|left| (Event::UnknownWaitOver, left)));
        // Together, so that they share commits; each by itself, so that one that fails holds nobody else.
        let looked_after = join_all(changes.map(|(event, left)| contained(self.take_up(event, left)))).await;
        Ok(looked_after.into_iter().flatten().sum())
    }

    async fn take_up(&self, event: Event, left: Unfinished) -> usize {
        let delivery = left.id;
        let moved = async {
            let mut change = self.afterwards(&left, event).await?;
            if change.event != Event::UnknownWaitOver {
                change.note = Some("the worker that held it stopped without an answer".into());
            }
            self.look_after(change).await
        };
        moved.await.unwrap_or_else(|error: StoreError| {
            tracing::error!(%delivery, error = chain(&error), "an abandoned delivery could not be looked after");
            0
        })
    }

    /// After a defect of ours stopped the work on a delivery: what had not left is queued again, later; what was on the
    /// wire is unknown. Where that cannot be done now, its lease runs out and [`Self::recover`] does it.
    pub async fn let_go(&self, claimed: &Claimed) {
        let done = async {
            let left = self.store.unfinished(claimed.org, claimed.id).await?;
            for event in [Event::Lost, Event::Deferred] {
                let change = Move {
                    owner: Some(claimed.owner),
                    backoff: self.settings.worker.retry_max.0,
                    counts: true,
                    note: Some(DEFECT.into()),
                    ..self.afterwards(&left, event).await?
                };
                if self.look_after(change).await? > 0 {
                    break;
                }
            }
            Ok(())
        };
        done.await.unwrap_or_else(|error: StoreError| {
            tracing::error!(delivery = %claimed.id, error = chain(&error), "a delivery could not be let go");
        });
    }

    /// The move of a delivery that its worker left, with everything it may need: a notice that came early settles it here, and
    /// then its clock is that of its domain and its way, and its price that of the day in its organization's zone.
    async fn afterwards(&self, left: &Unfinished, event: Event) -> Result<Move, StoreError> {
        let organization = self.organization(left.org).await?;
        let mut change = Move::new(left.org, left.id, event);
        change.unknown_wait = unknown_wait(&organization, left.priority);
        change.zone = organization.file.time_zone.clone();
        change.notice_within = organization.file.notice_within(&left.to, left.mode.unwrap_or(SendMode::StaRelay));
        Ok(change)
    }

    async fn look_after(&self, change: Move) -> Result<usize, StoreError> {
        let (org, delivery) = (change.org, change.id);
        match self.committer.apply(change).await {
            Ok(moved) => {
                match moved.delivery.state {
                    State::Unknown => events::DeliveryUnknown { org, delivery, attempt: 0 }.emit(),
                    State::Held => {
                        let reason = moved.delivery.reason.unwrap_or(crate::domain::Reason::UnconfirmedSend);
                        events::DeliveryHeld { org, delivery, reason }.emit();
                    }
                    _ => {}
                }
                Ok(1)
            }
            // Its worker came back to life, or another process was first.
            Err(StoreError::Lost | StoreError::Illegal(_)) => Ok(0),
            Err(error) => Err(error),
        }
    }
}
