//! Signing in and out.

use askama::Template;
use axum::{
    Form,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{Page, words};
use crate::{
    domain::audit::Witness,
    observe::events::SignedOut,
    web::{
        Problem, Web,
        auth::{Cookies, Person, Visitor, sign_in::Answer, whence},
    },
};

#[derive(Template)]
#[template(path = "console/sign_in.html")]
pub(super) struct SignInPage<'a> {
    person: Option<&'a Person>,
    csrf: &'a str,
    login: &'a str,
    next: &'a str,
    /// Written so that it can stand in a query.
    next_written: String,
    problem: Option<&'a str>,
    /// What the button says that leads to the OpenID provider.
    provider: Option<&'a str>,
    /// They have signed out here, and may be signed in there.
    left: bool,
}

impl<'a> SignInPage<'a> {
    /// For somebody who wants to go to `next` then.
    pub(super) fn of(web: &'a Web, visitor: &'a Visitor, next: &'a str) -> Self {
        let (provider, next_written) = (web.provider_label(), words::query(next));
        Self { person: None, csrf: &visitor.csrf, login: "", next, next_written, problem: None, provider, left: false }
    }

    /// With something that went wrong.
    pub(super) fn saying(self, problem: &'a str) -> Self {
        Self { problem: Some(problem), ..self }
    }
}

#[derive(Template)]
#[template(path = "console/code.html")]
struct Code<'a> {
    person: Option<&'a Person>,
    csrf: &'a str,
    next: &'a str,
    problem: Option<&'a str>,
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    pub(super) next: String,
    /// `provider`: signed out of a session that a provider vouched for.
    #[serde(default)]
    left: String,
}

impl Next {
    /// The page that asks for a code and goes there then.
    pub(super) fn code(next: &str) -> String {
        format!("/sign-in/code?next={}", words::query(next).replace("%2F", "/"))
    }
}

/// The form.
#[derive(Deserialize)]
pub(super) struct Given {
    #[serde(default)]
    login: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

/// The other form.
#[derive(Deserialize)]
pub(super) struct GivenCode {
    #[serde(default)]
    code: String,
    #[serde(default)]
    next: String,
}

/// One sentence whatever is wrong: who has an account here is nobody's business.
const REFUSED: &str = "That did not work. Check the name and the password; after several tries, wait a while.";
const CODE_REFUSED: &str = "That did not work. Wait for the next code, and after several tries a while longer.";

pub(super) async fn show(State(web): State<Web>, visitor: Visitor, Query(Next { next, left }): Query<Next>) -> Page {
    Page::of(&SignInPage { left: left == "provider", ..SignInPage::of(&web, &visitor, &inside(&next)) })
}

pub(super) async fn submit(State(web): State<Web>, visitor: Visitor, request: Request) -> Result<Response, Page> {
    let (parts, body) = request.into_parts();
    let (from, agent) = whence(&web, &parts);
    let token = Cookies::of(&web.reached).session(&parts.headers).map(str::to_owned);
    let request = Request::from_parts(parts, body);
    let Given { login, password, next } = form(request, &web).await?;
    let next = inside(&next);
    let mut from = from.with(&agent);
    if let Some(token) = &token {
        let before = web.intake.store().session(token, web.console.idle.0).await.map_err(Page::store)?;
        from.before = before.map(|session| session.id);
    }
    match web.sign_in.password(login.trim(), &password, &from).await.map_err(Page::store)? {
        Answer::In(token) => Ok(entered(&web, &token, &next)),
        Answer::Code(token) => Ok(entered(&web, &token, &Next::code(&next))),
        Answer::Refused => {
            let page = SignInPage { login: &login, ..SignInPage::of(&web, &visitor, &next).saying(REFUSED) };
            Ok(Page::with(StatusCode::UNPROCESSABLE_ENTITY, &page).into_response())
        }
        Answer::Busy => Err(busy()),
    }
}

pub(super) async fn show_code(visitor: Visitor, Query(Next { next, .. }): Query<Next>) -> Page {
    Page::of(&Code { person: None, csrf: &visitor.csrf, next: &inside(&next), problem: None })
}

pub(super) async fn submit_code(State(web): State<Web>, visitor: Visitor, request: Request) -> Result<Response, Page> {
    let token = Cookies::of(&web.reached).session(request.headers()).map(str::to_owned);
    let (parts, body) = request.into_parts();
    let (from, agent) = whence(&web, &parts);
    let request = Request::from_parts(parts, body);
    let GivenCode { code, next } = form(request, &web).await?;
    let next = inside(&next);
    let Some(token) = token else { return Ok(Redirect::to("/sign-in").into_response()) };
    let Some(session) = web.sign_in.awaiting_code(&token).await.map_err(Page::store)? else {
        return Ok(Redirect::to("/sign-in").into_response());
    };
    match web.sign_in.code(&session, &code, &from.with(&agent)).await.map_err(Page::store)? {
        Answer::In(token) => Ok(entered(&web, &token, &next)),
        Answer::Code(_) | Answer::Refused => {
            let page = Code { person: None, csrf: &visitor.csrf, next: &next, problem: Some(CODE_REFUSED) };
            Ok(Page::with(StatusCode::UNPROCESSABLE_ENTITY, &page).into_response())
        }
        Answer::Busy => Err(busy()),
    }
}

pub(super) async fn out(State(web): State<Web>, person: Person) -> Result<Response, Page> {
    let event = SignedOut { person: person.known.id };
    let store = web.intake.store();
    store.end_session(person.known.id, person.session, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    let mut headers = HeaderMap::new();
    if let Some(cookie) = Cookies::of(&web.reached).clear_session() {
        headers.insert(header::SET_COOKIE, cookie);
    }
    // What this browser kept of us goes, too.
    headers.insert("clear-site-data", header::HeaderValue::from_static("\"cache\", \"storage\""));
    let place = if person.by_provider { "/sign-in?left=provider" } else { "/sign-in" };
    Ok((headers, Redirect::to(place)).into_response())
}

pub(super) fn entered(web: &Web, token: &str, next: &str) -> Response {
    let mut headers = HeaderMap::new();
    if let Some(cookie) = Cookies::of(&web.reached).set_session(token) {
        headers.insert(header::SET_COOKIE, cookie);
    }
    (headers, Redirect::to(next)).into_response()
}

/// A place within the console: nobody is led away from it (CWE-601).
pub(super) fn inside(next: &str) -> String {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if next.starts_with('/') && !next.starts_with("//") && plain && next.len() <= 500 { next.to_owned() } else { "/".to_owned() }
}

async fn form<T: serde::de::DeserializeOwned>(request: Request, web: &Web) -> Result<T, Page> {
    use axum::extract::FromRequest as _;
    let Form(given) = Form::<T>::from_request(request, web)
        .await
        .map_err(|_| Page::from(Problem::new(StatusCode::BAD_REQUEST, "malformed", "the form could not be read")))?;
    Ok(given)
}

fn busy() -> Page {
    let detail = "Too many people are signing in at this moment: try again in a few seconds.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_away_after_signing_in() {
        for outside in ["//evil.example", "https://evil.example", "/\\evil.example", "", "x", "/a\r\nb", "javascript:alert(1)"] {
            assert_eq!(inside(outside), "/", "{outside}");
        }
        assert_eq!(inside("/deliveries?state=held&organization=north"), "/deliveries?state=held&organization=north");
    }
}
