//! One's own account: password and sessions.

use askama::Template;
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{Page, words};
use crate::{
    domain::{
        audit::Witness,
        id::SessionId,
        password::{LEAST, Refused, check},
        person::Duty,
    },
    observe::events::{PasswordChanged, SessionEnded, SessionsEnded},
    source::Refusal,
    store::{StoreError, person::NewPassword, session::SessionView},
    web::{
        Problem, Web,
        auth::{
            Person,
            sign_in::{Proof, Proven},
        },
    },
};

#[derive(Template)]
#[template(path = "console/account.html")]
struct Account<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    /// Since, last used, which, and the browser in a word.
    sessions: Vec<(String, String, SessionView, &'static str)>,
    recovery: i64,
}

#[derive(Template)]
#[template(path = "console/password.html")]
struct Password<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    least: usize,
    first: bool,
    problem: Option<String>,
}

/// The form.
#[derive(Deserialize)]
pub(super) struct Change {
    #[serde(default)]
    old: String,
    #[serde(default)]
    new: String,
    #[serde(default)]
    again: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let store = web.intake.store();
    let sessions = store.sessions_of(person.known.id, web.console.idle.0).await.map_err(Page::store)?;
    let recovery = store.recovery_codes_left(person.known.id).await.map_err(Page::store)?;
    let sessions = sessions.into_iter().map(|one| {
        let browser = browser(&one.agent);
        (words::when(one.created_at), words::when(one.seen_at), one, browser)
    });
    let sessions = sessions.collect();
    Ok(Page::of(&Account { person: Some(&person), here: &person, sessions, recovery }))
}

/// The browser by the name people know it by; each says that it is the older ones, too.
fn browser(agent: &str) -> &'static str {
    let known = [("Edg", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    known.iter().find(|(mark, _)| agent.contains(mark)).map_or("another program", |(_, name)| name)
}

pub(super) async fn show_password(person: Person) -> Page {
    password_page(&person, StatusCode::OK, None)
}

fn password_page(person: &Person, status: StatusCode, problem: Option<String>) -> Page {
    let first = person.duty == Some(Duty::Password);
    Page::with(status, &Password { person: Some(person), here: person, least: LEAST, first, problem })
}

pub(super) async fn change_password(
    State(web): State<Web>,
    person: Person,
    Form(change): Form<Change>,
) -> Result<Response, Page> {
    let refused =
        |problem: &str| Ok(password_page(&person, StatusCode::UNPROCESSABLE_ENTITY, Some(problem.to_owned())).into_response());
    let (store, login) = (web.intake.store(), &person.known.login);
    if change.new != change.again {
        return refused("The new password is not the same both times.");
    }
    if let Err(why) = check(&change.new, login) {
        return refused(&format!("The new password {why}."));
    }
    if change.new == change.old {
        return refused(&format!("The new password {}.", Refused::Same));
    }
    match web.sign_in.proves(&person.known, &person.actor, Proof::Password(&change.old)).await.map_err(Page::store)? {
        Proven::Right => {}
        Proven::Wrong => return refused("The old password is not right."),
        Proven::Locked => return refused("Too many wrong tries: wait a while."),
        Proven::Busy => return refused("Too many passwords are being checked: try again in a few seconds."),
    }
    let Some(hash) = web.sign_in.hash(&change.new).await.map_err(Page::store)? else {
        return refused("Too many passwords are being checked: try again in a few seconds.");
    };
    let new = NewPassword { person: person.known.id, hash: &hash, first_until: None, keep: Some(person.session) };
    let event = PasswordChanged { person: person.known.id };
    store.set_password(&new, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    Ok(Redirect::to("/").into_response())
}

pub(super) async fn end_session(State(web): State<Web>, person: Person, Path(id): Path<String>) -> Result<Response, Page> {
    let missing = || Page::from(Problem::from(Refusal::not_found("session")));
    let session: SessionId = id.parse().map_err(|_| missing())?;
    let event = SessionEnded { person: person.known.id, session };
    let ended = web.intake.store().end_session(person.known.id, session, Witness::new(&person.actor, &event)).await;
    if ended.map_err(Page::store)? == 0 { Err(missing()) } else { Ok(Redirect::to("/account").into_response()) }
}

pub(super) async fn end_sessions(State(web): State<Web>, person: Person) -> Result<Response, Page> {
    let event = SessionsEnded { person: person.known.id };
    let witness = Witness::new(&person.actor, &event);
    web.intake.store().end_sessions(person.known.id, Some(person.session), witness).await.map_err(Page::store)?;
    Ok(Redirect::to("/account").into_response())
}

impl Page {
    /// The store failed.
    pub(in crate::web) fn store(error: StoreError) -> Self {
        Problem::from(crate::source::SourceError::from(error)).into()
    }
}
