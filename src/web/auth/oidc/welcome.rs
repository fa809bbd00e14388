//! Who a visitor is here whom the provider vouches for.

use std::collections::BTreeSet;

use super::{Back, OidcError, Passage, Provider, claims::Claims};
use crate::{
    config::oidc::GroupRole,
    domain::{
        OrgScope, Timestamp,
        audit::{Actor, Witness},
        id::PersonId,
        person::{Reach, Role},
        text::{FIELD_LIMIT, line},
    },
    observe::{
        events::{PersonAdded, ProviderLinked, RoleGiven},
        facts::Named,
    },
    store::{
        Store, StoreError,
        person::{NewPerson, Person},
    },
};

/// Whoever came back the way they went, if the provider vouches for somebody who may sign in here.
pub(in crate::web) async fn welcome(
    provider: &Provider,
    store: &Store,
    passage: &Passage,
    back: &Back,
    uri: &str,
    actor: &Actor,
) -> Result<Person, OidcError> {
    let claims = provider.ask(passage, back, uri, store.clock().now()).await?;
    if !store.spend_passage(&passage.nonce).await? {
        return Err(OidcError::Passage("it was used before"));
    }
    let issuer = provider.settings().issuer.as_deref().unwrap_or_default();
    let given = given(provider, store, &claims).await?;
    let person = match store.person_vouched_for(issuer, &claims.subject).await? {
        Some(person) => person,
        None => first_time(provider, store, &claims, given.as_ref(), actor).await?,
    };
    if person.disabled_at.is_some() {
        return Err(OidcError::Unknown("they are let in no more"));
    }
    let Some((role, reach)) = given.filter(|(role, reach)| (*role, reach) != (person.known.role, &person.known.reach)) else {
        return Ok(person);
    };
    let event = RoleGiven { person: person.known.id, organizations: reach.organizations().len(), role };
    store.set_role(person.known.id, role, &reach, Witness::new(actor, &event)).await?;
    store.person(person.known.id).await?.ok_or(OidcError::Unknown("they were removed"))
}

/// The role that the first fitting group gives; nothing when groups give none.
async fn given(provider: &Provider, store: &Store, claims: &Claims) -> Result<Option<(Role, Reach)>, OidcError> {
    let groups = &provider.settings().group;
    if groups.is_empty() {
        return Ok(None);
    }
    let fitting = groups.iter().find(|group| claims.groups.contains(&group.name));
    let GroupRole { role, organizations, .. } = fitting.ok_or(OidcError::Unknown("they are in no group that may sign in"))?;
    let mut orgs = BTreeSet::new();
    for slug in organizations {
        let found = store.organization_by_slug(OrgScope::All, slug).await?;
        orgs.insert(found.ok_or(OidcError::Unknown("their group is confined to an organization that is not there"))?.id);
    }
    Ok(Some((*role, Reach::of(orgs))))
}

/// Somebody the provider was never believed about before: by the name they sign in as, or new.
async fn first_time(
    provider: &Provider,
    store: &Store,
    claims: &Claims,
    given: Option<&(Role, Reach)>,
    actor: &Actor,
) -> Result<Person, OidcError> {
    let login = claims.login.as_deref().ok_or(OidcError::Unknown("the provider vouches for no name to sign in as"))?;
    let login = line(login, FIELD_LIMIT).ok().filter(|login| !login.contains(char::is_whitespace));
    let login = login.ok_or(OidcError::Unknown("nobody can sign in under such a name"))?;
    let person = match (store.person_called(login).await?, given) {
        // Nothing is written down about them.
        (Some(person), _) if person.disabled_at.is_some() => return Err(OidcError::Unknown("they are let in no more")),
        (Some(person), _) => person,
        (None, Some((role, reach))) if provider.settings().create => add(store, login, claims, *role, reach, actor).await?,
        (None, _) => return Err(OidcError::Unknown("nobody signs in under that name")),
    };
    let issuer = provider.settings().issuer.as_deref().unwrap_or_default();
    let event = ProviderLinked { person: person.known.id };
    let linked = store.link_person(person.known.id, issuer, &claims.subject, Witness::new(actor, &event)).await;
    match linked {
        Ok(()) => Ok(person),
        // Somebody else at the provider has their address now: never the same person by that alone.
        Err(StoreError::Taken(_)) => Err(OidcError::Unknown("the provider meant somebody else by that name before")),
        Err(error) => Err(error.into()),
    }
}

async fn add(store: &Store, login: &str, claims: &Claims, role: Role, reach: &Reach, actor: &Actor) -> Result<Person, OidcError> {
    let id = PersonId::new();
    let name = claims.name.as_deref().and_then(|name| line(name, FIELD_LIMIT).ok()).unwrap_or(login);
    let event = PersonAdded { person: id, login: Named(login), organizations: reach.organizations().len(), role };
    // They have no password: the provider alone lets them in.
    let new = NewPerson { id, login, name, role, reach, password: None, first_until: Timestamp(0) };
    store.add_person(&new, Witness::new(actor, &event)).await?;
    store.person(id).await?.ok_or(OidcError::Unknown("they were removed"))
}
