//! The pages for people: made on the server, usable without JavaScript. One file for each page, which is one template.

/// One's own password, codes and sessions.
pub mod account;
/// What is wrong.
mod alerts;
/// Styles and pictures.
mod assets;
/// Who did what.
mod audit;
/// Pictures of numbers.
mod chart;
/// Codes (TOTP): set up, and shown as a picture for the telephone.
mod codes;
/// A list of deliveries.
mod deliveries;
/// One delivery.
mod delivery;
/// NPIs and addresses.
mod directory;
/// What was charged.
mod fees;
/// How the process is.
mod health;
/// Messages that are no notices.
mod inbox;
/// From page to page.
mod nav;
/// Customers and their rules.
mod organizations;
/// What is stuck, and what went through.
mod overview;
/// Who has access.
mod people;
/// The way to the OpenID provider and back.
#[cfg(feature = "oidc")]
mod provider;
/// One version of a result.
mod result;
/// One field that finds what people remember.
mod search;
/// A page of tables.
mod sheet;
/// Signing in and out.
mod sign_in;
/// Whom we believe.
mod trust;
/// How things are said.
mod words;
/// What needs a person.
mod worklist;

pub(crate) use assets::style_path;
pub use overview::Figures;

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
    #[cfg(feature = "oidc")]
    let routes = routes
        .visitor(get.clone(), "/sign-in/provider", provider::go)
        .visitor(get.clone(), "/sign-in/provider/back", provider::back)
        .visitor(get.clone(), "/sign-in/provider/out", provider::out);
    routes
        .open(get.clone(), "/assets/{file}", assets::show)
        .visitor(get.clone(), "/sign-in", sign_in::show)
        .visitor(post.clone(), "/sign-in", sign_in::submit)
        .visitor(get.clone(), "/sign-in/code", sign_in::show_code)
        .visitor(post.clone(), "/sign-in/code", sign_in::submit_code)
        .page(post.clone(), "/sign-out", Right::Account, sign_in::out)
        .page(get.clone(), "/", Right::Account, overview::show)
        .page(get.clone(), "/account", Right::Account, account::show)
        .page(get.clone(), "/account/password", Right::Account, account::show_password)
        .page(post.clone(), "/account/password", Right::Account, account::change_password)
        .page(get.clone(), "/account/codes", Right::Account, codes::show)
        .page(post.clone(), "/account/codes", Right::Account, codes::set_up)
        .page(post.clone(), "/account/sessions/end", Right::Account, account::end_sessions)
        .page(post.clone(), "/account/sessions/{id}/end", Right::Account, account::end_session)
        .page(post.clone(), "/search", Right::DeliveriesRead, search::find)
        .page(get.clone(), "/deliveries", Right::DeliveriesRead, deliveries::list)
        .page(post.clone(), "/deliveries", Right::DeliveriesAct, deliveries::retry)
        .page(get.clone(), "/deliveries/{id}", Right::DeliveriesRead, delivery::show)
        .page(post.clone(), "/deliveries/{id}", Right::DeliveriesAct, delivery::act)
        .page(get.clone(), "/results/{id}", Right::ResultsRead, result::show)
        .page(post.clone(), "/results/{id}/reveal", Right::PatientsReveal, result::reveal)
        .page(get.clone(), "/results/{id}/document", Right::PatientsReveal, result::document)
        .page(get.clone(), "/worklist", Right::DeliveriesRead, worklist::list)
        .page(post.clone(), "/worklist/{id}", Right::DeliveriesAct, worklist::decide)
        .page(get.clone(), "/alerts", Right::HealthRead, alerts::show)
        .page(post.clone(), "/alerts/{id}", Right::DeliveriesAct, alerts::care)
        .page(get.clone(), "/inbox", Right::InboxRead, inbox::list)
        .page(get.clone(), "/inbox/{id}", Right::InboxRead, inbox::show)
        .page(post, "/inbox/{id}/read", Right::PatientsReveal, inbox::reveal)
        .page(get.clone(), "/organizations", Right::OrganizationsRead, organizations::list)
        .page(get.clone(), "/organizations/{slug}", Right::OrganizationsRead, organizations::show)
        .page(get.clone(), "/fees", Right::FeesRead, fees::list)
        .page(get.clone(), "/fees/{slug}", Right::FeesRead, fees::organization)
        .page(get.clone(), "/fees/{slug}/{month}", Right::FeesRead, fees::month)
        .page(get.clone(), "/fees/{slug}/{month}/statement", Right::FeesRead, fees::statement)
        .page(get.clone(), "/directory", Right::DirectoryRead, directory::show)
        .page(get.clone(), "/trust", Right::TrustRead, trust::show)
        .page(get.clone(), "/health", Right::HealthRead, health::show)
        .page(get.clone(), "/audit", Right::AuditRead, audit::show)
        .page(get, "/people", Right::PeopleRead, people::show)
}

/// What a page says about what was just done.
#[derive(Debug)]
pub(super) struct Told {
    /// `good`, `warn` or `bad`.
    pub tone: &'static str,
    /// One sentence.
    pub words: String,
}

impl Told {
    /// By the word in the URL; nothing for one we do not know.
    fn of(done: &str) -> Option<Self> {
        let (tone, words) = match done {
            "not-retried" => ("warn", "It was not queued again: it is on its way, was accepted, or a newer version exists."),
            "cancelled" => ("good", "No further attempt is made. What the state says now holds: it may have left before."),
            "not-cancelled" => ("warn", "It cannot be called back: it was handed over, or is not being sent."),
            "resent" => ("good", "The result goes out once more, as new deliveries; they appear within seconds."),
            "decided" => ("good", "Decided, and on record. What flows again because of it is routed within seconds."),
            "cared" => ("good", "Noted: nobody else is told about it."),
            "not-cared" => ("warn", "It is over already, or somebody else cares for it."),
            other => {
                let count: u32 = other.strip_prefix("retried-")?.parse().ok()?;
                let words = if count == 1 {
                    "Back in the queue; it is tried within seconds.".to_owned()
                } else {
                    format!("{count} are back in the queue.")
                };
                return Some(Self { tone: "good", words });
            }
        };
        Some(Self { tone, words: words.to_owned() })
    }
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
