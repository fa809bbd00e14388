//! A sealed message is opened, and who signed it believed.
//!
//! Letters are believed under the anchors for receiving. A notice may also come from whom an organization only sends to: a
//! partner who is trusted one way must still be able to say that something arrived.

use std::sync::Arc;

use super::{TRUST_PATIENCE, Trouble};
use crate::{
    domain::Class,
    observe::chain,
    pipeline::{Gateway, beliefs::Believed},
    seal::{self, OpenError, Opening, Own, Verified},
    store::{
        inbound::ClaimedMail,
        organization::{Identity, Organization},
        trust::AnchorUse,
    },
    track::Notice,
    trust::Policy,
};

impl Gateway {
    /// Opens a sealed message on the CPU pool. The inner error is final.
    pub(super) async fn open_mail(
        &self,
        claimed: &ClaimedMail,
        organization: &Organization,
        identity: &Identity,
    ) -> Result<Result<Verified, OpenError>, Trouble> {
        let own = self.own(organization.id, &identity.address).await?;
        let receiving = self.believed_for(organization, AnchorUse::Receive).await?;
        let mut opened = self.open_under(claimed, organization, identity, &own, &receiving).await?;
        if let Err(OpenError::Trust(_)) = &opened {
            let all = self.believed_for(organization, AnchorUse::Both).await?;
            if all.anchors.fingerprint() != receiving.anchors.fingerprint()
                && let Ok(verified) = self.open_under(claimed, organization, identity, &own, &all).await?
                && Notice::read(verified.inner()).is_some()
            {
                opened = Ok(verified);
            }
        }
        match opened {
            // What cannot be checked now may be checked later; for how long is the same as when sending.
            Err(OpenError::Trust(error))
                if error.class() == Class::Retry && self.clock.now().since(claimed.mail.received_at) < TRUST_PATIENCE =>
            {
                Err(Trouble::Later(chain(&error).clone()))
            }
            opened => Ok(opened),
        }
    }

    async fn believed_for(&self, organization: &Organization, direction: AnchorUse) -> Result<Arc<Believed>, Trouble> {
        let believed = self.believed(organization.id, direction, self.clock.now()).await;
        believed.map_err(|error| Trouble::Later(chain(&error).clone()))
    }

    async fn open_under(
        &self,
        claimed: &ClaimedMail,
        organization: &Organization,
        identity: &Identity,
        own: &Arc<Vec<Own>>,
        believed: &Arc<Believed>,
    ) -> Result<Result<Verified, OpenError>, Trouble> {
        let strictness = organization.file.trust.receiving();
        let (raw, rcpt, at) = (Arc::new(claimed.mail.raw.clone()), identity.address.clone(), self.clock.now());
        // Who says to have signed it: what their issuers publish is asked for before anything is believed.
        let (message, keys, known) = (Arc::clone(&raw), Arc::clone(own), Arc::clone(believed));
        let presented = self.on_cpu(move || seal::presented(&message, &keys, &known.intermediates)).await?;
        let presented = match presented {
            Ok(presented) => presented,
            Err(error) => return Ok(Err(error)),
        };
        let intermediates = [&believed.intermediates[..], &presented.carried].concat();
        let policy = Policy::under(&strictness, &believed.anchors, &intermediates);
        let gathered = Arc::new(self.inquirer.gather(&presented.signers, policy, at).await);
        let (statements, own, believed) = (Arc::clone(&gathered), Arc::clone(own), Arc::clone(believed));
        let opened = self
            .on_cpu(move || {
                let policy = statements.policy(Policy::under(&strictness, &believed.anchors, &intermediates));
                seal::open(&raw, Opening { own: &own, policy, at, rcpt: Some(&rcpt) })
            })
            .await?;
        Ok(opened.map_err(|error| match error {
            OpenError::Trust(error) => OpenError::Trust(gathered.explain(error)),
            other => other,
        }))
    }

    pub(super) async fn on_cpu<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
        let _place = self.cpu.acquire().await.map_err(|_| Trouble::Later("the gateway is stopping".into()))?;
        tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::Later(format!("opening it failed: {error}")))
    }
}
