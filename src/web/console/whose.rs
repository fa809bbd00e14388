//! Which organization something is done for: one that the person may see, chosen in a field of the form.

use super::{Page, deliveries::Choice, form::Input};
use crate::{
    domain::{OrgId, OrgScope, time::TimeZone},
    observe::{
        events::{FileUploaded, SettingChanged},
        facts::{Configured, Named},
    },
    source::Refusal,
    store::organization::Organization,
    web::{Problem, Web, auth::Person},
};

/// The organization that goes by `slug`. One out of reach looks as if it did not exist.
pub(super) async fn organization(web: &Web, person: &Person, slug: &str) -> Result<Organization, Page> {
    let found = web.intake.store().organization_by_slug(OrgScope::All, slug).await.map_err(Page::store)?;
    let found =
        found.filter(|found| person.known.reach.covers(found.id) && person.chosen.is_none_or(|chosen| chosen == found.id));
    found.ok_or_else(|| Problem::from(Refusal::not_found("organization")).into())
}

/// All that the person may see, the chosen one first in mind.
pub(super) async fn all(web: &Web, person: &Person) -> Result<Vec<Choice>, Page> {
    let all = web.intake.store().slugs(OrgScope::All).await.map_err(Page::store)?;
    let mine = all.into_iter().filter(|(org, _)| person.known.reach.covers(*org));
    let mut choices: Vec<Choice> =
        mine.map(|(org, slug)| Choice { chosen: person.scope.org() == Some(org), value: slug.clone(), words: slug }).collect();
    choices.sort_by(|a, b| a.words.cmp(&b.words));
    Ok(choices)
}

/// The field to choose it in.
pub(super) fn input(choices: &[Choice]) -> Input {
    let copy = |one: &Choice| Choice { value: one.value.clone(), words: one.words.clone(), chosen: one.chosen };
    Input::choice("for", "For the organization", choices.iter().map(copy).collect()).needed()
}

/// The clock that an organization goes by.
pub(super) async fn zone(web: &Web, org: OrgId) -> Result<TimeZone, Page> {
    let one = web.intake.store().organization(org).await.map_err(Page::store)?;
    Ok(one.map_or_else(TimeZone::utc, |one| one.file.time_zone))
}

/// Puts on record that the person changes something, before it is changed.
pub(super) async fn on_record(
    web: &Web,
    person: &Person,
    org: Option<OrgId>,
    what: &'static str,
    which: &str,
) -> Result<(), Page> {
    let event = SettingChanged { org, what: Configured(what), which: Named(which) };
    web.intake.store().witness(&person.actor, &event).await.map_err(Page::store)
}

/// Puts on record that the person has sent a file, before it is looked at.
pub(super) async fn uploaded(
    web: &Web,
    person: &Person,
    org: Option<OrgId>,
    what: &'static str,
    file: &[u8],
) -> Result<(), Page> {
    let event = FileUploaded { org, what: Configured(what), octets: u64::try_from(file.len()).unwrap_or(u64::MAX) };
    web.intake.store().witness(&person.actor, &event).await.map_err(Page::store)
}
