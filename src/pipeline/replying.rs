//! The notices we owe to others: written, signed, encrypted and handed over like everything we send, without a fee.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;

use super::{Gateway, backoff, beliefs::Credential};
use crate::{
    domain::order::Priority,
    observe::{
        chain,
        defect::{DEFECT, contained},
        events,
    },
    seal::{Inner, Seal, Sealer},
    send::{GoAhead, Job, Outcome},
    store::{
        StoreError,
        reply::{ClaimedReply, ReplyEnd},
    },
    track::reply::Reply,
};

/// Most sent at the same time.
const TOGETHER: usize = 8;

impl Gateway {
    /// Sends what is due. Returns how much that was.
    pub(super) async fn send_due_replies(self: &Arc<Self>) -> Result<usize, StoreError> {
        let due = self.store.claim_replies(&self.fresh_lease(), TOGETHER).await?;
        let count = due.len();
        join_all(due.into_iter().map(|reply| async move { self.send_reply(&reply).await })).await;
        Ok(count)
    }

    async fn send_reply(&self, reply: &ClaimedReply) {
        let tried = contained(self.try_reply(reply)).await.unwrap_or_else(|| Err(DEFECT.to_owned()));
        let end = match tried {
            Ok(end) => end,
            Err(why) => self.later(reply, None, why).await,
        };
        let (org, id, kind) = (reply.org, reply.id, reply.kind);
        match self.store.end_reply(reply, &end).await {
            Ok(()) => match end {
                ReplyEnd::Sent(_) => events::ReplySent { org, reply: id, kind }.emit(),
                ReplyEnd::Refused(_) => events::ReplyRefused { org, reply: id, kind }.emit(),
                ReplyEnd::Later(..) => {}
            },
            // It is sent once more when its lease runs out, under the same Message-ID.
            Err(error) => tracing::warn!(reply = %id, error = chain(&error), "how a notice was sent could not be recorded"),
        }
    }

    /// `Err` is what stood in the way, in a sentence: it is tried again.
    async fn try_reply(&self, reply: &ClaimedReply) -> Result<ReplyEnd, String> {
        let organization = self.organization(reply.org).await.map_err(|error| chain(&error).clone())?;
        let Some(identity) =
            organization.identities.iter().chain(&organization.installation).find(|identity| identity.address == reply.from)
        else {
            return Ok(ReplyEnd::Refused("the organization no longer has the address".to_owned()));
        };
        let credential = self.credential(reply.org, identity).await.map_err(|error| chain(&error).clone())?;
        // Signed and encrypted like any Direct message, and only to a certificate that is trusted now.
        let trusted = self.recipient(reply.org, &reply.to).await.map_err(|error| chain(&error).clone())?;
        let at = self.clock.now();
        let text = Reply {
            id: reply.id,
            from: &reply.from,
            to: &reply.to,
            message_id: &reply.message_id,
            original: reply.original.as_ref(),
            kind: reply.kind,
            date: at.in_zone(&organization.file.time_zone),
            host: identity.address.domain(),
        }
        .compose();
        let profile =
            organization.file.profile(&reply.to, self.shown(reply.org, &reply.to).await.map_err(|error| chain(&error).clone())?);
        let place = self.cpu.acquire().await.map_err(|_| "the gateway is stopping".to_owned())?;
        let sealing = Arc::clone(&credential);
        let sealed = tokio::task::spawn_blocking(move || {
            let Credential::Signer(signer) = &*sealing else { return Ok(None) };
            let inner = Inner::parse(text.as_bytes())?;
            let mut message = Vec::new();
            let with = Seal { signer: &**signer, recipient: trusted.recipient(), profile, at };
            Sealer::new().seal_inner(&inner, with, &mut message).map(|_| Some(message))
        });
        let sealed = sealed.await.map_err(|error| format!("sealing failed: {error}"))?.map_err(|error| chain(&error).clone())?;
        drop(place);
        let Some(message) = sealed else {
            return Ok(ReplyEnd::Refused("the address no longer has a key to sign with".to_owned()));
        };
        let job = Job::new(&reply.from, &reply.to, &message).map_err(|error| error.to_string())?;
        let job = if self.settings.track.null_return_path { job.without_return_path() } else { job };
        // A notice that arrives twice is the same notice: nothing has to be committed before the first byte.
        let outcome = self.post.send(identity, None, &job, async || GoAhead::Go).await;
        Ok(match outcome {
            Outcome::Accepted { reply, .. } => ReplyEnd::Sent(reply.to_string()),
            Outcome::Refused { why, .. } => ReplyEnd::Refused(why),
            Outcome::RelayDown { why, retry_after } => self.later(reply, Some(retry_after), why).await,
            Outcome::Deferred { why, .. } | Outcome::Lost { why } => self.later(reply, None, why).await,
            Outcome::NotSent => self.later(reply, None, "it was not sent".to_owned()).await,
        })
    }

    async fn later(&self, reply: &ClaimedReply, wait: Option<Duration>, why: String) -> ReplyEnd {
        let now = self.store.now().await.unwrap_or_else(|_| self.clock.now());
        if now >= reply.until {
            return ReplyEnd::Refused(why);
        }
        let wait = wait.unwrap_or_else(|| backoff::after(&self.settings.worker, reply.attempts, Priority::Routine));
        ReplyEnd::Later(now.plus(wait.max(Duration::from_millis(200))), why)
    }
}
