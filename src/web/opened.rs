//! What is told of a delivery only when somebody asks: its document, which is about a patient and goes on record first, and the
//! path of the recipient's certificate, which others are asked for.

use super::{Problem, Web};
use crate::{
    domain::audit::Actor,
    observe::{chain, events::PatientRevealed},
    pipeline::{
        probing::Probed,
        reading::{self, Written},
    },
    store::{Store, StoreError, delivery_list::DeliveryEntry},
    trust::discovery::Freshness,
};

/// The document as it is made for this recipient.
///
/// # Errors
/// When that somebody looks cannot be put on record, or it cannot be opened or written.
pub(super) async fn document(web: &Web, actor: &Actor, entry: &DeliveryEntry) -> Result<Written, Problem> {
    let store = web.intake.store();
    let kept = store.kept_about(entry.org, entry.id).await?;
    let event = PatientRevealed { org: entry.org, order: kept.order };
    let work = store.reveal(actor, &event, async |store: &Store| store.work(entry.org, entry.id).await).await?;
    let organization = store.organization(entry.org).await?.ok_or(StoreError::NoOrganization)?;
    let at = entry.accepted_at.unwrap_or_else(|| store.clock().now());
    reading::document(&organization, work.shown(), at).map_err(|error| {
        tracing::error!(error = chain(&error), "a document could not be written");
        Problem::internal()
    })
}

/// A path, and what the delivery was sealed to.
pub(super) struct Drawn {
    /// What would be sealed to now, and why it is believed.
    pub(super) probed: Probed,
    /// Digest of the certificate that the delivery was sealed to.
    pub(super) sealed_to: Option<String>,
    /// Whether both are one; unknown when either is missing.
    pub(super) same: Option<bool>,
}

/// The path of the certificate that would be sealed to now, and whether it is the one that was.
///
/// # Errors
/// 429, 503.
pub(super) async fn path(web: &Web, entry: &DeliveryEntry) -> Result<Drawn, Problem> {
    let kept = web.intake.store().kept_about(entry.org, entry.id).await?;
    let Some(prober) = &web.prober else {
        let why = "Nobody answers probes in this process: ask one that runs the worker, or postern probe.";
        return Err(Problem::unavailable_now(why));
    };
    let _turn = web.turns.take(entry.org).await?;
    let probed = prober.probe(entry.org, &entry.target.address, Freshness::Kept).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a path could not be drawn");
        Problem::unavailable_now("the path could not be looked for; ask again later")
    })?;
    let now = probed.fingerprint();
    let same = kept.certificate.as_ref().zip(now).map(|(then, now)| then.eq_ignore_ascii_case(&now));
    Ok(Drawn { probed, sealed_to: kept.certificate, same })
}
