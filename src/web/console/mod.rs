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
/// What lies before somebody.
mod desk;
/// NPIs and addresses.
mod directory;
/// What was charged.
mod fees;
/// What a page asks for.
mod form;
/// How the process is.
mod health;
/// Messages that are no notices.
mod inbox;
/// Pages that follow what happens.
mod live;
/// From page to page.
mod nav;
/// Customers and their rules.
mod organizations;
/// What is stuck, and what went through.
mod overview;
/// What a feed gave that could not be taken.
mod parked;
/// Who has access.
mod people;
/// The way to the OpenID provider and back.
#[cfg(feature = "oidc")]
mod provider;
/// What payers ask back.
mod reports;
/// One version of a result.
mod result;
/// One field that finds what people remember.
mod search;
/// A page of tables.
mod sheet;
/// Signing in and out.
mod sign_in;
/// What was just done.
mod told;
/// Whom we believe.
mod trust;
/// Programs that are told.
mod webhooks;
/// For which organization.
mod whose;
/// How things are said.
mod words;
/// What needs a person.
mod worklist;

pub(crate) use assets::{script_path, style_path};
pub use directory::import::Files;
pub(super) use directory::import::WAITING as FILES;
pub use fees::Comparisons;
pub(super) use fees::reconcile::WAITING as COMPARISONS;
pub(super) use live::FOLLOWERS;
pub use overview::Figures;
pub(super) use overview::{COUNTED, Counted, SOON};
pub(super) use told::Told;

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
        .quiet(get.clone(), "/live", Right::DeliveriesRead, live::overview)
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
        .page(post.clone(), "/deliveries/filters", Right::DeliveriesRead, deliveries::filters::keep)
        .page(post.clone(), "/deliveries/filters/remove", Right::DeliveriesRead, deliveries::filters::forget)
        .page(get.clone(), "/deliveries/{id}", Right::DeliveriesRead, delivery::show)
        .quiet(get.clone(), "/deliveries/{id}/live", Right::DeliveriesRead, live::delivery)
        .page(post.clone(), "/deliveries/{id}", Right::DeliveriesAct, delivery::act)
        .page(post.clone(), "/deliveries/{id}/document", Right::PatientsReveal, delivery::open::document)
        .page(post.clone(), "/deliveries/{id}/path", Right::TrustRead, delivery::open::path)
        .page(get.clone(), "/results/{id}", Right::ResultsRead, result::show)
        .page(post.clone(), "/results/{id}/reveal", Right::PatientsReveal, result::reveal)
        .page(get.clone(), "/results/{id}/document", Right::PatientsReveal, result::document)
        .page(get.clone(), "/worklist", Right::DeliveriesRead, worklist::list)
        .page(post.clone(), "/worklist/reroute", Right::DeliveriesAct, worklist::reroute)
        .page(post.clone(), "/worklist/{id}", Right::DeliveriesAct, worklist::decide)
        .page(get.clone(), "/parked/{id}", Right::DeliveriesRead, parked::show)
        .page(post.clone(), "/parked/{id}/read", Right::PatientsReveal, parked::read)
        .page(post.clone(), "/parked/{id}/replay", Right::ResultsWrite, parked::replay)
        .page(post.clone(), "/parked/{id}/discard", Right::ResultsWrite, parked::discard)
        .page(get.clone(), "/alerts", Right::HealthRead, alerts::show)
        .page(post.clone(), "/alerts/{id}", Right::DeliveriesAct, alerts::care)
        .page(get.clone(), "/inbox", Right::InboxRead, inbox::list)
        .page(get.clone(), "/inbox/unmatched", Right::UnmatchedRead, inbox::unmatched::list)
        .page(post.clone(), "/inbox/unmatched/{id}/read", Right::UnmatchedRead, inbox::unmatched::read)
        .page(get.clone(), "/inbox/{id}", Right::InboxRead, inbox::show)
        .page(post.clone(), "/inbox/{id}/read", Right::PatientsReveal, inbox::reveal)
        .page(get.clone(), "/organizations", Right::OrganizationsRead, organizations::list)
        .page(get.clone(), "/organizations/{slug}", Right::OrganizationsRead, organizations::show)
        .page(get.clone(), "/organizations/{slug}/edit", Right::OrganizationsAct, organizations::edit::show)
        .page(post.clone(), "/organizations/{slug}/edit", Right::OrganizationsAct, organizations::edit::change)
        .page(post.clone(), "/organizations/{slug}/test", Right::ResultsWrite, organizations::test_message::send)
        .page(get.clone(), "/new-organization", Right::OrganizationsAct, organizations::edit::begin)
        .page(post.clone(), "/new-organization", Right::OrganizationsAct, organizations::edit::create)
        .page(get.clone(), "/reports", Right::DeliveriesRead, reports::show)
        .page(get.clone(), "/reports/export", Right::DeliveriesRead, reports::export)
        .page(get.clone(), "/fees", Right::FeesRead, fees::list)
        .page(get.clone(), "/fees/{slug}", Right::FeesRead, fees::organization)
        .page(get.clone(), "/fees/{slug}/{month}", Right::FeesRead, fees::month)
        .page(get.clone(), "/fees/{slug}/{month}/statement", Right::FeesRead, fees::exports::statement)
        .page(get.clone(), "/fees/{slug}/{month}/lines", Right::FeesRead, fees::lines::show)
        .page(get.clone(), "/fees/{slug}/{month}/lines/{id}", Right::FeesRead, fees::line::show)
        .page(post.clone(), "/fees/{slug}/{month}/lines/{id}/correct", Right::FeesAct, fees::correct::correct)
        .page(get.clone(), "/fees/{slug}/{month}/export", Right::FeesAct, fees::exports::ledger)
        .page(get.clone(), "/fees/{slug}/{month}/reconcile", Right::FeesAct, fees::reconcile::show)
        .page(post.clone(), "/fees/{slug}/{month}/reconcile", Right::FeesAct, fees::reconcile::compare)
        .page(post.clone(), "/fees/{slug}/{month}/reconcile/sign", Right::FeesAct, fees::reconcile::sign)
        .page(get.clone(), "/fees/{slug}/{month}/close", Right::FeesAct, fees::close::show)
        .page(post.clone(), "/fees/{slug}/{month}/close", Right::FeesAct, fees::close::close)
        .page(get.clone(), "/webhooks", Right::OrganizationsRead, webhooks::show)
        .page(post.clone(), "/webhooks/enable", Right::OrganizationsAct, webhooks::enable)
        .page(post.clone(), "/webhooks/disable", Right::OrganizationsAct, webhooks::disable)
        .page(post.clone(), "/webhooks/replay", Right::OrganizationsAct, webhooks::replay)
        .page(post.clone(), "/webhooks/test", Right::OrganizationsAct, webhooks::test)
        .page(post.clone(), "/webhooks/rotate", Right::OrganizationsAct, webhooks::rotate)
        .page(get.clone(), "/directory", Right::DirectoryRead, directory::show)
        .page(post.clone(), "/directory/probe", Right::TrustRead, directory::probe::probe)
        .page(post.clone(), "/directory/decisions", Right::AddressesAct, directory::decide)
        .page(get.clone(), "/directory/rosters", Right::DirectoryRead, directory::rosters::show)
        .page(post.clone(), "/directory/rosters", Right::AddressesAct, directory::rosters::read)
        .page(post.clone(), "/directory/rosters/load", Right::AddressesAct, directory::rosters::load)
        .page(post.clone(), "/directory/rosters/drop", Right::AddressesAct, directory::rosters::drop)
        .page(get.clone(), "/directory/import", Right::DirectoryAct, directory::import::show)
        .page(post.clone(), "/directory/import", Right::DirectoryAct, directory::import::read)
        .page(post.clone(), "/directory/import/load", Right::DirectoryAct, directory::import::load)
        .page(get.clone(), "/trust", Right::TrustRead, trust::show)
        .page(post.clone(), "/trust/anchors", Right::TrustAct, trust::acts::believe)
        .page(post.clone(), "/trust/anchors/remove", Right::TrustAct, trust::acts::disbelieve)
        .page(post.clone(), "/trust/bundles", Right::TrustAct, trust::acts::bundle)
        .page(post.clone(), "/trust/bundles/refresh", Right::TrustAct, trust::acts::refresh_bundle)
        .page(post.clone(), "/trust/bundles/remove", Right::TrustAct, trust::acts::remove_bundle)
        .page(post.clone(), "/trust/certificates", Right::TrustAct, trust::acts::keep)
        .page(post.clone(), "/trust/certificates/remove", Right::TrustAct, trust::acts::drop)
        .page(get.clone(), "/health", Right::HealthRead, health::show)
        .page(get.clone(), "/audit", Right::AuditRead, audit::show)
        .page(get.clone(), "/people", Right::PeopleRead, people::show)
        .page(post.clone(), "/people", Right::PeopleAct, people::one::add)
        .page(get, "/people/{id}", Right::PeopleRead, people::one::show)
        .page(post.clone(), "/people/{id}/reset", Right::PeopleAct, people::one::reset)
        .page(post.clone(), "/people/{id}/role", Right::PeopleAct, people::one::give)
        .page(post.clone(), "/people/{id}/disable", Right::PeopleAct, people::one::disable)
        .page(post.clone(), "/people/{id}/enable", Right::PeopleAct, people::one::enable)
        .page(post.clone(), "/tokens", Right::PeopleAct, people::tokens::create)
        .page(post.clone(), "/tokens/rotate", Right::PeopleAct, people::tokens::rotate)
        .page(post, "/tokens/revoke", Right::PeopleAct, people::tokens::revoke)
}

/// Whether a fact is read letter by letter.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() >= 32 && !text.contains(' ') && text.bytes().any(|b| b.is_ascii_digit())
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
