//! People and tokens: who has access, and giving and taking it.

/// One person: added, reset, disabled, given another role.
pub(super) mod one;
/// What programs show to be let in.
pub(super) mod tokens;

use std::collections::BTreeMap;

use axum::extract::{Query, State};
use serde::Deserialize;

use super::{
    Page, Told,
    sheet::{Cell, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    domain::{OrgId, OrgScope, person::Right},
    store::person,
    web::{Web, auth::Person},
};

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
}

fn state(one: &person::Person) -> Badge {
    match (one.disabled_at, one.first_until) {
        (Some(_), _) => Badge { tone: "bad", words: "disabled".into() },
        (None, Some(_)) => Badge { tone: "warn", words: "first password".into() },
        (None, None) => Badge { tone: "good", words: "active".into() },
    }
}

fn reach(one: &person::Person, slugs: &BTreeMap<OrgId, String>) -> String {
    let reach: Vec<String> =
        one.known.reach.organizations().iter().map(|org| slugs.get(org).cloned().unwrap_or_default()).collect();
    if reach.is_empty() { "everything".to_owned() } else { reach.join(", ") }
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    Ok(page(&web, &person, None).await?.told(Told::of(&asked.done)).show(&person))
}

async fn page(web: &Web, person: &Person, problem: Option<String>) -> Result<Sheet, Page> {
    let store = web.intake.store();
    let slugs = store.slugs(OrgScope::All).await.map_err(Page::store)?;
    let people = store.people().await.map_err(Page::store)?;
    let row = |one: person::Person| {
        vec![
            Cell::from(one.known.login.clone()).to(format!("/people/{}", one.known.id)).with(one.known.name.clone()),
            one.known.role.to_string().into(),
            reach(&one, &slugs).into(),
            if one.codes { "set up" } else { "-" }.into(),
            state(&one).into(),
            Cell::time(words::when_if(one.signed_in_at)),
        ]
    };
    let nobody = ("Nobody", "Let somebody in with the form below.");
    let columns = ["Signs in as", "Role", "Sees", "Codes", "State", "Signed in (UTC)"];
    let mut section = Section::table("People", &columns, nobody).rows(people.into_iter().map(row));
    if person.may(Right::PeopleAct) {
        section = section.and(one::adding(&slugs));
    }
    let sheet = Sheet::new("People and tokens", "Who may sign in, and which programs may call.").wrong(problem);
    Ok(sheet.and(section).and(tokens::section(web, person, &slugs).await?))
}
