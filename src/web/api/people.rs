//! `/v1/people`: who may sign in to the console. Nobody lets somebody in who may do more than they.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::wish;
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
        Store, StoreError,
        person::{NewPerson, Person},
    },
    web::{
        Problem, Web,
        auth::{
            Caller,
            access::{self, Anew, ReachError},
        },
    },
};

fn as_json(slugs: &BTreeMap<OrgId, String>, person: &Person) -> Value {
    let organizations: Vec<_> = person.known.reach.organizations().iter().filter_map(|org| slugs.get(org).cloned()).collect();
    let known = &person.known;
    json!({ "id": known.id, "login": known.login, "name": known.name, "role": known.role, "organizations": organizations,
        "codes": person.codes, "first_password": person.first_until.is_some(), "created_at": person.created_at.to_string(),
        "signed_in_at": person.signed_in_at.map(|at| at.to_string()), "disabled": person.disabled_at.is_some() })
}

async fn shown(store: &Store, id: PersonId) -> Result<Value, Problem> {
    let person = store.person(id).await?.ok_or_else(missing)?;
    Ok(as_json(&store.slugs(OrgScope::All).await?, &person))
}

/// Everybody.
///
/// # Errors
/// 401, 403, 503.
pub async fn list(State(web): State<Web>, _: Caller) -> Result<Json<Value>, Problem> {
    let store = web.intake.store();
    let slugs = store.slugs(OrgScope::All).await?;
    let all: Vec<Value> = store.people().await?.iter().map(|person| as_json(&slugs, person)).collect();
    Ok(Json(json!({ "people": all })))
}

/// Somebody to be let in.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    login: String,
    name: Option<String>,
    role: Role,
    /// By short name; a viewer has at least one.
    #[serde(default)]
    organizations: Vec<String>,
}

/// The role is within what the caller may do itself.
fn within(caller: &Caller, role: Role) -> Result<(), Problem> {
    let lacks = role.rights().iter().any(|right| *right != Right::Account && !caller.rights.contains(right));
    if lacks {
        let detail = format!("{role} may do what this token may not, so it cannot give that role");
        return Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    Ok(())
}

async fn reach(store: &Store, role: Role, slugs: &[String]) -> Result<Reach, Problem> {
    let why = match access::reach(store, role, slugs.iter().map(String::as_str)).await {
        Ok(reach) => return Ok(reach),
        Err(ReachError::Store(error)) => return Err(error.into()),
        Err(ReachError::Unknown(_)) => "names one that there is not",
        Err(ReachError::Misfit(Misfit::NamesNone(_))) => "must name at least one: this role sees some alone",
        Err(ReachError::Misfit(Misfit::NamesSome(_))) => "must be left out: this role sees everything",
    };
    Err(Refusal::field("/organizations", "invalid", why).into())
}

/// A first password with its hash.
async fn first(web: &Web) -> Result<(zeroize::Zeroizing<String>, String), Problem> {
    let busy = || Problem::unavailable_now("too many passwords are being made; try again in a few seconds");
    web.sign_in.first_password().await?.ok_or_else(busy)
}

/// Lets somebody in, with a first password that is shown this once.
///
/// # Errors
/// 401, 403, 409 (somebody signs in under that name), 413, 415, 422, 503.
pub async fn add(State(web): State<Web>, caller: Caller, request: Request) -> Result<Response, Problem> {
    let new: New = wish(&web, caller.scope, request).await?;
    let bad = |field: &'static str| move |why| Problem::from(Refusal::field(field, "invalid", format!("{why}")));
    let login = line(&new.login, FIELD_LIMIT).map_err(bad("/login"))?;
    if login.contains(char::is_whitespace) {
        return Err(Refusal::field("/login", "invalid", "must not have spaces in it").into());
    }
    let name = line(new.name.as_deref().unwrap_or(login), FIELD_LIMIT).map_err(bad("/name"))?;
    within(&caller, new.role)?;
    let store = web.intake.store();
    let reach = reach(store, new.role, &new.organizations).await?;
    let (first, hashed) = first(&web).await?;
    let (id, first_until) = (PersonId::new(), until(&web));
    let event = PersonAdded { person: id, login: Named(login), organizations: new.organizations.len(), role: new.role };
    let added = NewPerson { id, login, name, role: new.role, reach: &reach, password: Some(&hashed), first_until };
    store.add_person(&added, Witness::new(&caller.actor, &event)).await.map_err(|error| match error {
        StoreError::Taken(_) => Problem::new(StatusCode::CONFLICT, "exists", "somebody signs in under that name already"),
        other => other.into(),
    })?;
    let mut told = shown(store, id).await?;
    told["password"] = first.as_str().into();
    told["password_until"] = first_until.to_string().into();
    Ok((StatusCode::CREATED, Json(told)).into_response())
}

fn until(web: &Web) -> Timestamp {
    web.intake.store().clock().now().plus(web.console.first_password.0)
}

fn missing() -> Problem {
    Refusal::not_found("person").into()
}

/// What is to be done.
#[derive(Debug, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum Wish {
    /// Let them in no more.
    Disable,
    /// Let them in again.
    Enable,
    /// Give them a new first password; with `codes`, take their codes away, too.
    Reset {
        #[serde(default)]
        codes: bool,
    },
    /// Give them another role, or other organizations.
    Role {
        role: Role,
        #[serde(default)]
        organizations: Vec<String>,
    },
}

/// Disables, enables, resets, or gives another role: whatever they are signed in to ends.
///
/// # Errors
/// 401, 403, 404, 413, 415, 422, 503.
pub async fn act(
    State(web): State<Web>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let id: PersonId = id.parse().map_err(|_| missing())?;
    let wanted: Wish = wish(&web, caller.scope, request).await?;
    let store = web.intake.store();
    let person = store.person(id).await?.ok_or_else(missing)?;
    // Whoever may do more than the caller is not the caller's to change.
    within(&caller, person.known.role)?;
    let actor = &caller.actor;
    let mut given = None;
    match wanted {
        Wish::Disable | Wish::Enable => {
            let disabled = matches!(wanted, Wish::Disable);
            let (out, in_): (PersonDisabled, PersonEnabled) = (PersonDisabled { person: id }, PersonEnabled { person: id });
            let event: &dyn Audited = if disabled { &out } else { &in_ };
            store.disable_person(id, disabled, Witness::new(actor, event)).await?;
        }
        Wish::Reset { codes } => {
            let ((first, hashed), until) = (first(&web).await?, until(&web));
            access::reset(store, actor, &person, &Anew { hash: &hashed, until, codes, provider: false }).await?;
            given = Some((first, until));
        }
        Wish::Role { role, organizations } => {
            within(&caller, role)?;
            let reach = reach(store, role, &organizations).await?;
            let event = RoleGiven { person: id, organizations: organizations.len(), role };
            store.set_role(id, role, &reach, Witness::new(actor, &event)).await?;
        }
    }
    let mut told = shown(store, id).await?;
    if let Some((first, until)) = given {
        told["password"] = first.as_str().into();
        told["password_until"] = until.to_string().into();
    }
    Ok(Json(told))
}
