//! Giving and taking access: what the console, the API and the shell do alike.

use std::collections::BTreeSet;

use crate::{
    domain::{
        OrgScope, Timestamp,
        audit::{Actor, Witness},
        person::{Misfit, Reach, Role},
    },
    observe::events::{CodesRemoved, PersonReset, ProviderForgotten},
    store::{
        Store, StoreError,
        person::{Person, Reset},
    },
};

/// Why somebody cannot be confined as was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// There is no organization of that short name.
    #[error("there is no organization {0:?}")]
    Unknown(String),
    /// The role does not allow it.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whose rows somebody in `role` sees who is confined to organizations by their short names.
///
/// # Errors
/// [`ReachError`].
pub(crate) async fn reach<'a>(store: &Store, role: Role, slugs: impl IntoIterator<Item = &'a str>) -> Result<Reach, ReachError> {
    let mut organizations = BTreeSet::new();
    for slug in slugs {
        let found = store.organization_by_slug(OrgScope::All, slug).await?;
        organizations.insert(found.ok_or_else(|| ReachError::Unknown(slug.to_owned()))?.id);
    }
    Ok(role.reach(organizations)?)
}

/// A new first password, and what else is taken back.
pub(crate) struct Anew<'a> {
    /// Its hash.
    pub(crate) hash: &'a str,
    /// How long it is good.
    pub(crate) until: Timestamp,
    /// Their codes are taken away, too.
    pub(crate) codes: bool,
    /// Whom a provider took for them is forgotten, too.
    pub(crate) provider: bool,
}

/// Resets somebody: all of it at once, on record, and whatever they are signed in to ends.
///
/// # Errors
/// When it cannot be stored.
pub(crate) async fn reset(store: &Store, actor: &Actor, person: &Person, anew: &Anew<'_>) -> Result<(), StoreError> {
    let id = person.known.id;
    let (codes, provider) = (CodesRemoved { person: id }, ProviderForgotten { person: id });
    let reset = Reset {
        person: id,
        login: &person.known.login,
        hash: anew.hash,
        first_until: anew.until,
        codes: anew.codes.then(|| Witness::new(actor, &codes)),
        provider: anew.provider.then(|| Witness::new(actor, &provider)),
    };
    store.reset_person(&reset, Witness::new(actor, &PersonReset { person: id })).await
}
