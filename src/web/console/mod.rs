//! The pages for people: made on the server, usable without JavaScript. One file for each page, which is one template.

/// One's own password, codes and sessions.
pub mod account;
/// Styles and pictures.
mod assets;
/// Codes (TOTP): set up, and shown as a picture for the telephone.
mod codes;
/// Where one lands.
mod home;
/// Signing in and out.
mod sign_in;

use askama::Template;
use axum::{
    http::{Method, StatusCode},
    response::{Html, IntoResponse, Response},
};

use super::{
    Problem,
    auth::{Person, Routes},
};
use crate::{domain::person::Right, observe::chain};

/// Every page of the console.
#[must_use]
pub(super) fn routes(routes: Routes) -> Routes {
    let (get, post) = (Method::GET, Method::POST);
    routes
        .open(get.clone(), "/assets/console.css", assets::style)
        .visitor(get.clone(), "/sign-in", sign_in::show)
        .visitor(post.clone(), "/sign-in", sign_in::submit)
        .visitor(get.clone(), "/sign-in/code", sign_in::show_code)
        .visitor(post.clone(), "/sign-in/code", sign_in::submit_code)
        .page(post.clone(), "/sign-out", Right::Account, sign_in::out)
        .page(get.clone(), "/", Right::Account, home::show)
        .page(get.clone(), "/account", Right::Account, account::show)
        .page(get.clone(), "/account/password", Right::Account, account::show_password)
        .page(post.clone(), "/account/password", Right::Account, account::change_password)
        .page(get, "/account/codes", Right::Account, codes::show)
        .page(post.clone(), "/account/codes", Right::Account, codes::set_up)
        .page(post.clone(), "/account/sessions/end", Right::Account, account::end_sessions)
        .page(post, "/account/sessions/{id}/end", Right::Account, account::end_session)
}

/// A page: a template, or what went wrong.
pub(super) enum Page {
    /// What is shown.
    Shown(StatusCode, String),
    /// What a program would be told, for people.
    Failed(Problem, Option<Box<Person>>),
}

/// What is shown when something does not work.
#[derive(Template)]
#[template(path = "console/failed.html")]
struct Failed<'a> {
    person: Option<&'a Person>,
    title: &'a str,
    detail: &'a str,
}

impl Page {
    /// Shows a template.
    pub(super) fn of(template: &impl Template) -> Self {
        Self::with(StatusCode::OK, template)
    }

    /// The same, with another status.
    pub(super) fn with(status: StatusCode, template: &impl Template) -> Self {
        match template.render() {
            Ok(text) => Self::Shown(status, text),
            Err(error) => {
                tracing::error!(error = chain(&error), "a page could not be made");
                Self::Failed(Problem::internal(), None)
            }
        }
    }

    /// The role has not the right.
    pub(super) fn forbidden(person: Person) -> Self {
        let detail = format!("Your role ({}) does not include this. An admin can change that.", person.known.role);
        Self::Failed(Problem::new(StatusCode::FORBIDDEN, "forbidden", detail), Some(Box::new(person)))
    }
}

impl From<Problem> for Page {
    fn from(problem: Problem) -> Self {
        Self::Failed(problem, None)
    }
}

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        match self {
            Self::Shown(status, text) => (status, Html(text)).into_response(),
            Self::Failed(problem, person) => {
                let page = Failed { person: person.as_deref(), title: problem.title(), detail: problem.detail() };
                match page.render() {
                    Ok(text) => (problem.status(), Html(text)).into_response(),
                    Err(_) => problem.into_response(),
                }
            }
        }
    }
}
