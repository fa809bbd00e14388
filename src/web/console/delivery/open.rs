//! What is shown of a delivery only when somebody asks: its document and the path of the recipient's certificate.

use axum::extract::{Path, State};

use super::{find, page};
use crate::web::{
    Web,
    auth::{Fields, Person},
    console::{Page, directory::probe, sheet::Section, sheet::Sheet},
    opened::{self, Drawn},
};

/// The document as it is made for this recipient, with the PDF beside it.
pub(in crate::web::console) async fn document(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Page, Page> {
    let entry = find(&web, &person, &id).await?;
    let written = opened::document(&web, &person.actor, &entry).await?;
    page(&web, &person, &entry, None, Some(&written.parts)).await
}

/// The path of the certificate that would be sealed to now, and whether it is the one that was.
pub(in crate::web::console) async fn path(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Page, Page> {
    let entry = find(&web, &person, &id).await?;
    let Drawn { probed, sealed_to, same } = opened::path(&web, &entry).await?;
    let compared = match (same, &sealed_to) {
        (Some(true), _) => "It is the certificate that this delivery was sealed to.",
        (Some(false), _) => "It is another certificate than the one this delivery was sealed to: the recipient has a new one.",
        (None, None) if probed.sendable => {
            "This delivery has not been sealed to any certificate: it was not sent yet, or the HISP seals."
        }
        (None, _) => "Nothing could be sealed to now.",
    };
    let back = format!("/deliveries/{}{}", entry.id, person.about(entry.org));
    let sealed = sealed_to.unwrap_or_else(|| "none".to_owned());
    Ok(Sheet::new(entry.target.address.to_string(), compared)
        .under("/deliveries", "Deliveries")
        .under(back, format!("delivery of {}", entry.order_id))
        .and(probe::outcome(&probed))
        .and(Section::facts("Sealed to", vec![("Certificate, SHA-256", sealed)]))
        .show(&person))
}
