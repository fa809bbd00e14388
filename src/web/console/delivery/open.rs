//! What is shown of a delivery only when somebody asks: its document, which is about a patient and goes on record first, and
//! the path of the recipient's certificate, which others are asked for.

use axum::extract::{Path, State};

use super::{find, page};
use crate::{
    observe::{chain, events::PatientRevealed},
    pipeline::reading,
    store::Store,
    trust::discovery::Freshness,
    web::{
        Problem, Web,
        auth::{Fields, Person},
        console::{Page, directory::probe, sheet::Section, sheet::Sheet},
    },
};

/// The document as it is made for this recipient, with the PDF beside it.
pub(in crate::web::console) async fn document(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let entry = find(&web, &person, &id).await?;
    let kept = store.kept_about(entry.org, entry.id).await.map_err(Page::store)?;
    let event = PatientRevealed { org: entry.org, order: kept.order };
    let work = store.reveal(&person.actor, &event, async |store: &Store| store.work(entry.org, entry.id).await).await;
    let work = work.map_err(Page::store)?;
    let organization = store.organization(entry.org).await.map_err(Page::store)?;
    let organization = organization.ok_or_else(super::missing)?;
    let at = entry.accepted_at.unwrap_or_else(|| store.clock().now());
    let parts = reading::document(&organization, work.shown(), at).map_err(|error| {
        tracing::error!(error = chain(&error), "a document could not be written");
        Page::from(Problem::internal())
    })?;
    page(&web, &person, &entry, None, Some(&parts)).await
}

/// The path of the certificate that would be sealed to now, and whether it is the one that was.
pub(in crate::web::console) async fn path(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let entry = find(&web, &person, &id).await?;
    let kept = store.kept_about(entry.org, entry.id).await.map_err(Page::store)?;
    let Some(prober) = &web.prober else {
        let why = "Nobody answers probes in this process: ask one that runs the worker, or postern probe.";
        return Err(Problem::unavailable_now(why).into());
    };
    let _turn = web.turns.take(entry.org).await.map_err(Page::from)?;
    let probed = prober.probe(entry.org, &entry.target.address, Freshness::Kept).await.map_err(|error| {
        tracing::error!(error = chain(&error), "a path could not be drawn");
        Page::from(Problem::unavailable_now("the path could not be looked for; ask again later"))
    })?;
    let now = match &probed.outcome {
        crate::pipeline::probing::told::Outcome::Found { certificate, .. } => Some(certificate.fingerprint.to_ascii_lowercase()),
        crate::pipeline::probing::told::Outcome::Refused { .. } => None,
    };
    let compared = match (&kept.certificate, now) {
        (Some(then), Some(now)) if then.eq_ignore_ascii_case(&now) => "It is the certificate that this delivery was sealed to.",
        (Some(_), Some(_)) => "It is another certificate than the one this delivery was sealed to: the recipient has a new one.",
        (None, Some(_)) => "This delivery has not been sealed to any certificate: it was not sent yet, or the HISP seals.",
        (_, None) => "Nothing could be sealed to now.",
    };
    let back = format!("/deliveries/{}{}", entry.id, person.about(entry.org));
    let sealed = kept.certificate.unwrap_or_else(|| "none".to_owned());
    Ok(Sheet::new(entry.target.address.to_string(), compared)
        .under("/deliveries", "Deliveries")
        .under(back, format!("delivery of {}", entry.order_id))
        .and(probe::outcome(&probed))
        .and(Section::facts("Sealed to", vec![("Certificate, SHA-256", sealed)]))
        .show(&person))
}
