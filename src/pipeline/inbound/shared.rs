//! Mail for an address of the installation itself, from which any organization may send: whose affair it is.
//!
//! It is kept once, and belongs to the organization that has sent what it names: that one opens it with its own trust and
//! acts on it. What names nothing that anybody sent from there is nobody's, lest a customer read what was meant for another.

use std::sync::Arc;

use super::{Trouble, clear};
use crate::{
    domain::{MessageId, inbound::Verdict, organization::SendMode},
    observe::chain,
    pipeline::Gateway,
    seal::{self, OpenError},
    store::{inbound::ClaimedMail, organization::Identity},
    track::Notice,
};

/// More ids than this in one message are not looked at: each asks the database once.
const MOST_IDS: usize = 50;

impl Gateway {
    /// Finds out whose it is, and deals with it as theirs.
    pub(super) async fn look_for_whose(self: &Arc<Self>, claimed: &ClaimedMail) -> Result<(), Trouble> {
        let Some(own) = self.post.own_at(&claimed.mail.identity) else {
            return self.end(claimed, Verdict::Nobody, None).await;
        };
        let ids = match self.named(claimed, &own.identity).await? {
            Ok(ids) => ids,
            Err(error) => return self.reject(claimed, error.reason(), error.to_string()).await,
        };
        let ids = ids.get(..ids.len().min(MOST_IDS)).unwrap_or_default();
        let Some(org) = self.store.sender_of(&own.identity.address, ids).await? else {
            let why = "it names nothing that an organization has sent from this address of the installation";
            return self.end(claimed, Verdict::Nobody, Some(why.into())).await;
        };
        let organization = self.organization(org).await?;
        self.look_as(claimed, &organization, &own.identity).await
    }

    /// The messages it names. Nothing of it is believed yet. The inner error is final.
    async fn named(&self, claimed: &ClaimedMail, identity: &Identity) -> Result<Result<Vec<MessageId>, OpenError>, Trouble> {
        let raw = &claimed.mail.raw;
        if let Some(notice) = Notice::read(raw) {
            return Ok(Ok(ids_of(&notice)));
        }
        if identity.mode == SendMode::Edge {
            let Some(headers) = clear::Headers::read(raw) else { return Ok(Ok(Vec::new())) };
            return Ok(Ok(headers.answers.into_iter().chain(headers.mark).collect()));
        }
        let own = self.installation_key(&identity.address).map_err(|error| Trouble::Later(chain(&error).clone()))?;
        let own: Vec<_> = own.into_iter().collect();
        let raw = raw.clone();
        let opened = self.on_cpu(move || seal::unproven(&raw, &own)).await?;
        Ok(opened.map(|inner| match Notice::read(&inner) {
            Some(notice) => ids_of(&notice),
            None => clear::Headers::read(&inner).map(|headers| headers.answers).unwrap_or_default(),
        }))
    }
}

fn ids_of(notice: &Notice) -> Vec<MessageId> {
    notice.about.iter().flat_map(|about| about.message_ids.iter().cloned()).collect()
}
