//! What goes on record about changes: the same words, whether a person makes them or a program.

use crate::{
    crypto::Hex,
    domain::{
        OrgId,
        audit::{Actor, Witness},
    },
    observe::{
        events::SettingChanged,
        facts::{Configured, Named},
    },
    store::{
        Store, StoreError,
        trust::{AnchorKind, AnchorUse, NewAnchor, NewCertificate},
    },
    trust::Certificate,
};

/// Somebody changes `which`; `what` says what it is and what becomes of it. What is done at once is put on record with it, in one
/// transaction; what others are asked for, when it is asked for, and again when it is known what came of it.
pub(super) const fn changed<'a>(org: Option<OrgId>, what: &'a str, which: &'a str) -> SettingChanged<'a> {
    SettingChanged { org, what: Configured(what), which: Named(which) }
}

fn digits(certificate: &Certificate) -> String {
    Hex(&certificate.fingerprint()).to_string()
}

/// Believes authorities, each on record: all of them or none.
///
/// # Errors
/// When they cannot be stored.
pub(super) async fn believe(
    store: &Store,
    actor: &Actor,
    org: OrgId,
    kind: AnchorKind,
    used_for: AnchorUse,
    all: &[Certificate],
) -> Result<(), StoreError> {
    let fingerprints: Vec<String> = all.iter().map(digits).collect();
    let events: Vec<_> = fingerprints.iter().map(|digits| changed(Some(org), "trust_anchor_added", digits)).collect();
    let witnesses: Vec<Witness<'_>> = events.iter().map(|event| Witness::new(actor, event)).collect();
    let anchors: Vec<NewAnchor<'_>> = all
        .iter()
        .zip(&fingerprints)
        .map(|(certificate, fingerprint)| NewAnchor {
            kind,
            used_for,
            der: certificate.der(),
            fingerprint,
            not_after: certificate.valid_until(),
        })
        .collect();
    store.import_anchors(org, &anchors, &witnesses).await
}

/// Knows recipients' certificates by these names, each on record: all of them or none.
///
/// # Errors
/// When they cannot be stored.
pub(super) async fn know(store: &Store, actor: &Actor, org: OrgId, all: &[(String, &Certificate)]) -> Result<(), StoreError> {
    let fingerprints: Vec<String> = all.iter().map(|(_, certificate)| digits(certificate)).collect();
    let events: Vec<_> = fingerprints.iter().map(|digits| changed(Some(org), "certificate_added", digits)).collect();
    let witnesses: Vec<Witness<'_>> = events.iter().map(|event| Witness::new(actor, event)).collect();
    let certificates: Vec<NewCertificate<'_>> = all
        .iter()
        .zip(&fingerprints)
        .map(|((name, certificate), fingerprint)| NewCertificate {
            name,
            der: certificate.der(),
            fingerprint,
            not_after: certificate.valid_until(),
        })
        .collect();
    store.import_certificates(org, &certificates, &witnesses).await
}
