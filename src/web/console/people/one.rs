//! One person: let in with a first password that is shown once, reset, disabled, given another role. Nobody does that to
//! themselves, so that the last admin cannot lock everybody out by a slip.

use std::collections::BTreeMap;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{Asked, page, reach, state};
use crate::{
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::{Audited, Witness},
        id::PersonId,
        person::{Misfit, Reach, Right, Role},
        text::{FIELD_LIMIT, line},
    },
    observe::{
        events::{PersonAdded, PersonDisabled, PersonEnabled, RoleGiven},
        facts::Named,
    },
    source::Refusal,
    store::{
        StoreError,
        person::{self, NewPerson},
    },
    web::{
        Problem, Web,
        auth::{
            Fields, Person,
            access::{self, Anew, ReachError},
        },
        console::{
            Page, Told,
            form::{Form, Input},
            sheet::{Cell, Section, Sheet},
            told::told,
            words,
        },
    },
};

const ROLES: [(&str, &str); 5] = [
    ("operator", "operator: keeps results flowing"),
    ("billing", "billing: bills from the ledger, never sees a patient"),
    ("auditor", "auditor: sees everything but patients, changes nothing"),
    ("viewer", "viewer: sees what became of the results of its organizations"),
    ("admin", "admin: everything"),
];

fn missing() -> Page {
    Problem::from(Refusal::not_found("person")).into()
}

/// A box for each organization.
fn boxes(mut form: Form, slugs: &BTreeMap<OrgId, String>, reach: &Reach) -> Form {
    let chosen = reach.organizations();
    for (org, slug) in slugs {
        form = form.and(Input::tick("organization", format!("only {slug}")).value(slug).ticked(chosen.contains(org)));
    }
    form
}

/// Somebody is let in.
pub(super) fn adding(slugs: &BTreeMap<OrgId, String>) -> Form {
    let form = Form::new("/people", "Let them in")
        .folded("Add somebody")
        .lead("They get a first password, shown once, that is good only to choose another. Without an organization they see all; a viewer needs one.")
        .and(Input::line("login", "Signs in as").hint("as in jo@clinic.example").needed())
        .and(Input::line("name", "Is called").hint("empty: as they sign in"))
        .and(Input::words("role", "Role", &ROLES, "operator").needed());
    boxes(form, slugs, &Reach::Installation)
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let one = find(&web, &id).await?;
    Ok(sheet(&web, &person, &one, None).await?.told(Told::of(&asked.done)).show(&person))
}

async fn find(web: &Web, id: &str) -> Result<person::Person, Page> {
    let id: PersonId = id.parse().map_err(|_| missing())?;
    web.intake.store().person(id).await.map_err(Page::store)?.ok_or_else(missing)
}

async fn sheet(web: &Web, person: &Person, one: &person::Person, problem: Option<String>) -> Result<Sheet, Page> {
    let store = web.intake.store();
    let slugs = store.slugs(OrgScope::All).await.map_err(Page::store)?;
    let (known, id) = (&one.known, one.known.id);
    let facts = vec![
        ("Name", known.name.clone()),
        ("Role", known.role.to_string()),
        ("Sees", reach(one, &slugs)),
        ("Codes", if one.codes { "set up" } else { "not set up" }.to_owned()),
        ("State", state(one).words),
        ("Let in", words::when(one.created_at)),
        ("Signed in", words::when_if(one.signed_in_at)),
    ];
    let sheet = Sheet::new(known.login.clone(), "").under("/people", "People and tokens").wrong(problem);
    let sheet = sheet.and(Section::facts("Facts", facts));
    if !person.may(Right::PeopleAct) {
        return Ok(sheet);
    }
    if id == person.known.id {
        let lines = vec![
            "That is you: somebody else changes your role or disables you. Your password is changed on your own account's page."
                .to_owned(),
        ];
        return Ok(sheet.and(Section::lines("What can be done", lines)));
    }
    let about = |form: Form| form.about(known.login.clone());
    let reset = Form::new(format!("/people/{id}/reset"), "Give a new first password")
        .and(Input::tick("codes", "Take their codes away, too").hint("for a lost telephone"))
        .quiet();
    let reset =
        Section::form("Reset the password", about(reset)).lead("What they are signed in to ends, and wrong tries are forgotten.");
    let chosen = known.role.to_string();
    let role = Form::new(format!("/people/{id}/role"), "Give this role")
        .quiet()
        .and(Input::words("role", "Role", &ROLES, &chosen).needed());
    let role = Section::form("Another role", about(boxes(role, &slugs, &known.reach)))
        .lead("They sign in anew. Without an organization they see all; a viewer needs one.");
    let switch = if one.disabled_at.is_some() {
        let form = Form::new(format!("/people/{id}/enable"), "Let them in again").quiet();
        Section::form("Let in again", about(form)).lead("They sign in with the password and codes they had.")
    } else {
        let form = Form::new(format!("/people/{id}/disable"), "Disable").bad();
        Section::form("Disable", about(form))
            .lead("Nobody gets in as them any more, and what they are signed in to ends at once.")
    };
    Ok(sheet.and(reset).and(role).and(switch))
}

/// A first password with its hash.
async fn first(web: &Web) -> Result<(zeroize::Zeroizing<String>, String), Page> {
    let busy = || Problem::unavailable_now("too many passwords are being made; try again in a few seconds");
    web.sign_in.first_password().await.map_err(Page::store)?.ok_or_else(|| busy().into())
}

fn until(web: &Web) -> Timestamp {
    web.intake.store().clock().now().plus(web.console.first_password.0)
}

/// The page with a secret on it: this once.
fn once(login: &str, password: &str, until: Timestamp, person: &Person) -> Page {
    let cells = vec![Cell::code(password.to_owned()), Cell::time(words::when(until))];
    Sheet::new(
        format!("The first password of {login}"),
        "Hand it over now: it is not shown again. It is good only to choose another.",
    )
    .under("/people", "People and tokens")
    .and(Section::table("", &["First password", "Good until (UTC)"], ("", "")).rows([cells]))
    .show(person)
}

/// The role and the reach that a form gives.
async fn wanted(web: &Web, fields: &Fields) -> Result<Result<(Role, Reach), String>, Page> {
    let store = web.intake.store();
    let Ok(role) = fields.text("role").parse::<Role>() else { return Ok(Err("Choose a role.".to_owned())) };
    Ok(match access::reach(store, role, fields.all("organization")).await {
        Ok(reach) => Ok((role, reach)),
        Err(ReachError::Store(error)) => return Err(Page::store(error)),
        Err(ReachError::Unknown(slug)) => Err(format!("There is no organization {slug:?}.")),
        Err(ReachError::Misfit(Misfit::NamesNone(role))) => {
            Err(format!("A {role} sees some organizations alone: tick at least one."))
        }
        Err(ReachError::Misfit(Misfit::NamesSome(role))) => Err(format!("An {role} sees everything: tick no organization.")),
    })
}

pub(in crate::web::console) async fn add(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let wrong = async |why: String| {
        let page = page(&web, &person, Some(format!("Nobody was let in. {why}"))).await?;
        Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, &person).into_response())
    };
    let login = fields.text("login");
    let named = line(login, FIELD_LIMIT).and_then(|login| Ok((login, line(fields.given("name").unwrap_or(login), FIELD_LIMIT)?)));
    let (login, name) = match named {
        Ok((login, _)) if login.contains(char::is_whitespace) => {
            return wrong("The name to sign in with must not have spaces in it.".to_owned()).await;
        }
        Ok(both) => both,
        Err(why) => return wrong(format!("The name {why}.")).await,
    };
    let (role, reach) = match wanted(&web, &fields).await? {
        Ok(both) => both,
        Err(why) => return wrong(why).await,
    };
    let ((first, hashed), first_until) = (first(&web).await?, until(&web));
    let id = PersonId::new();
    let event = PersonAdded { person: id, login: Named(login), organizations: reach.organizations().len(), role };
    let new = NewPerson { id, login, name, role, reach: &reach, password: Some(&hashed), first_until };
    match store.add_person(&new, Witness::new(&person.actor, &event)).await {
        Ok(()) => Ok(once(login, &first, first_until, &person).into_response()),
        Err(StoreError::Taken(_)) => wrong("Somebody signs in under that name already.".to_owned()).await,
        Err(error) => Err(Page::store(error)),
    }
}

/// Whom it is about, who is somebody else.
async fn other(web: &Web, person: &Person, id: &str) -> Result<person::Person, Page> {
    let one = find(web, id).await?;
    if one.known.id == person.known.id {
        let detail = "That is you: somebody else has to do it.";
        return Err(Problem::new(StatusCode::CONFLICT, "yourself", detail).into());
    }
    Ok(one)
}

pub(in crate::web::console) async fn reset(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Page> {
    let one = other(&web, &person, &id).await?;
    let ((first, hashed), first_until) = (first(&web).await?, until(&web));
    let anew = Anew { hash: &hashed, until: first_until, codes: fields.ticked("codes"), provider: false };
    access::reset(web.intake.store(), &person.actor, &one, &anew).await.map_err(Page::store)?;
    Ok(once(&one.known.login, &first, first_until, &person).into_response())
}

pub(in crate::web::console) async fn give(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Page> {
    let one = other(&web, &person, &id).await?;
    let id = one.known.id;
    let (role, reach) = match wanted(&web, &fields).await? {
        Ok(both) => both,
        Err(why) => {
            let page = sheet(&web, &person, &one, Some(format!("Nothing was changed. {why}"))).await?;
            return Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, &person).into_response());
        }
    };
    let event = RoleGiven { person: id, organizations: reach.organizations().len(), role };
    web.intake.store().set_role(id, role, &reach, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    Ok(told(&format!("/people/{id}"), "role-given").into_response())
}

async fn switch(web: &Web, person: &Person, id: &str, disabled: bool) -> Result<Response, Page> {
    let id = other(web, person, id).await?.known.id;
    let (out, in_) = (PersonDisabled { person: id }, PersonEnabled { person: id });
    let event: &dyn Audited = if disabled { &out } else { &in_ };
    web.intake.store().disable_person(id, disabled, Witness::new(&person.actor, event)).await.map_err(Page::store)?;
    Ok(told(&format!("/people/{id}"), if disabled { "person-disabled" } else { "person-enabled" }).into_response())
}

pub(in crate::web::console) async fn disable(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Response, Page> {
    switch(&web, &person, &id, true).await
}

pub(in crate::web::console) async fn enable(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Response, Page> {
    switch(&web, &person, &id, false).await
}
