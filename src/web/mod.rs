//! The HTTP door: the JSON API, the console for people, health and metrics.
//!
//! Nothing about a patient stands in a URL, a log line or an error. A 2xx goes out only after what was sent is durable.

/// The JSON API, one file per noun.
pub mod api;
/// Who is asking, and what they may do.
pub mod auth;
/// The pages for people.
pub mod console;
/// What a caller is told when something goes wrong.
pub mod error;
/// What every request and answer passes through.
mod frame;
/// What is told of a delivery when somebody asks.
mod opened;
/// How fast an upload comes.
mod pace;
/// Places for uploads.
mod places;
/// What goes on record about changes.
mod record;
/// Reports of a month, a few at a time.
mod reports;
/// The connections.
mod serve;
/// Health and metrics.
mod status;
/// Turns at what asks others.
mod turns;
/// Reading what was uploaded.
mod upload;

use std::{collections::BTreeSet, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit, http::Method, middleware::from_fn};
use tower_http::catch_panic::CatchPanicLayer;

pub use error::Problem;
pub use serve::serve;

use self::auth::{Named, Routes, sign_in::SignIn};
use crate::{
    bill::summary::Costs,
    config::{
        console::{ConsoleSection, Reached},
        directory::DirectorySection,
        events::EventsSection,
        fees::FeesSection,
        oidc::OidcSection,
        source::Feed,
        test::TestSection,
        web::WebSection,
    },
    domain::{
        person::{Reach, Right},
        time::Span,
    },
    net::fetch::FetchError,
    observe::{health::Health, metrics::Metrics},
    pipeline::probing::Prober,
    resolve::directory::Live,
    source::Intake,
};

/// What the pages work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Web {
    /// Where what comes in goes.
    pub intake: Intake,
    /// How the process is.
    pub health: Health,
    /// What it has counted, if it counts.
    pub metrics: Option<Metrics>,
    settings: WebSection,
    console: Arc<ConsoleSection>,
    /// How the console is had.
    reached: Arc<Reached>,
    sign_in: SignIn,
    #[cfg(feature = "oidc")]
    provider: Option<Arc<auth::oidc::Provider>>,
    routing: Routing,
    places: Arc<places::Places>,
    waiting: Arc<api::events::Waiting>,
    paces: Arc<auth::Paces>,
    gauge: Arc<status::Gauge>,
    /// What HISPs ask for a message, when it is known.
    costs: Option<Arc<Costs>>,
    /// How accounts are called, and by how much prices may differ.
    fees: Arc<FeesSection>,
    /// By which rules webhooks are asked.
    events: Arc<EventsSection>,
    /// Places for reports.
    reports: Arc<tokio::sync::Semaphore>,
    prober: Option<Prober>,
    turns: Arc<turns::Turns>,
    figures: Arc<console::Figures>,
    comparisons: Arc<console::Comparisons>,
    /// Directory files that somebody has looked at and not loaded yet.
    files: Arc<console::Files>,
    /// Places for pages that follow what happens.
    followers: Arc<tokio::sync::Semaphore>,
    /// Feeds whose items may have fields we do not know.
    lenient: Arc<BTreeSet<String>>,
}

impl Web {
    /// Puts the door together, with the console as it is by default.
    #[must_use]
    pub fn new(settings: &WebSection, intake: Intake, health: Health, metrics: Option<Metrics>) -> Self {
        let (places, console) = (Arc::new(places::Places::new(settings)), ConsoleSection::default());
        let sign_in = SignIn::new(intake.store().clone(), &console);
        let routing = Routing::new(&intake);
        Self {
            intake,
            health,
            metrics,
            reached: Arc::new(console.reached(settings)),
            console: Arc::new(console),
            sign_in,
            #[cfg(feature = "oidc")]
            provider: None,
            routing,
            settings: settings.clone(),
            places,
            paces: Arc::default(),
            waiting: Arc::default(),
            turns: Arc::new(turns::Turns::new(settings)),
            prober: None,
            gauge: Arc::default(),
            costs: None,
            fees: Arc::default(),
            events: Arc::default(),
            reports: Arc::new(tokio::sync::Semaphore::new(reports::TOGETHER)),
            figures: Arc::default(),
            comparisons: Arc::new(console::Comparisons::new(console::COMPARISONS)),
            files: Arc::new(console::Files::new(console::FILES)),
            followers: Arc::new(tokio::sync::Semaphore::new(console::FOLLOWERS)),
            lenient: Arc::default(),
        }
    }

    /// The same, with somebody who answers probes.
    #[must_use]
    pub fn probing(self, prober: Prober) -> Self {
        Self { prober: Some(prober), ..self }
    }

    /// The same, comparing prices with what the HISP asks for.
    #[must_use]
    pub fn costing(self, fees: &FeesSection) -> Self {
        Self { fees: Arc::new(fees.clone()), costs: Costs::of(fees).map(Arc::new), ..self }
    }

    /// The same, taking parked items of these feeds as the feeds themselves do.
    #[must_use]
    pub fn feeding(self, feeds: &[Feed]) -> Self {
        let lenient = feeds.iter().filter(|feed| feed.ignore_unknown).map(|feed| feed.name.clone()).collect();
        Self { lenient: Arc::new(lenient), ..self }
    }

    /// The same, trying webhooks out by these rules.
    #[must_use]
    pub fn telling(self, events: &EventsSection) -> Self {
        Self { events: Arc::new(events.clone()), ..self }
    }

    /// What HISPs ask for a message, for whoever may know it: what the installation pays is told to nobody who is confined.
    fn costs(&self, reach: &Reach) -> Option<&Costs> {
        self.costs.as_deref().filter(|_| *reach == Reach::Installation)
    }

    /// The same, explaining routes by these settings.
    #[must_use]
    pub fn explaining(self, directory: &DirectorySection, test: &TestSection, live: Arc<Live>) -> Self {
        let routing = Routing { max_age: directory.max_age, test_domains: test.test_domains.clone().into(), live };
        Self { routing, ..self }
    }

    /// The same with the console set so.
    #[must_use]
    pub fn with_console(self, console: &ConsoleSection) -> Self {
        let sign_in = SignIn::new(self.intake.store().clone(), console);
        let reached = Arc::new(console.reached(&self.settings));
        Self { console: Arc::new(console.clone()), sign_in, reached, ..self }
    }

    /// The same, letting people in whom an OpenID provider vouches for.
    ///
    /// # Errors
    /// When its authorities cannot be read.
    #[cfg(feature = "oidc")]
    pub fn vouching(self, oidc: &OidcSection) -> Result<Self, FetchError> {
        Ok(Self { provider: auth::oidc::Provider::of(oidc)?.map(Arc::new), ..self })
    }

    /// Built without that.
    ///
    /// # Errors
    /// None.
    #[cfg(not(feature = "oidc"))]
    pub fn vouching(self, _: &OidcSection) -> Result<Self, FetchError> {
        Ok(self)
    }

    /// What the button that leads to the OpenID provider says, when there is one.
    fn provider_label(&self) -> Option<&str> {
        #[cfg(feature = "oidc")]
        return self.provider.as_ref().map(|provider| provider.settings().label.as_str());
        #[cfg(not(feature = "oidc"))]
        None
    }

    /// Whether it is we who ask for a second factor, although a provider vouches.
    fn provider_leaves_codes_to_us(&self) -> bool {
        #[cfg(feature = "oidc")]
        return self.provider.as_ref().is_none_or(|provider| provider.settings().codes);
        #[cfg(not(feature = "oidc"))]
        true
    }

    /// How the console is had.
    #[must_use]
    pub fn reached(&self) -> &Reached {
        &self.reached
    }
}

/// What a route that is only explained depends on, beside what is stored.
#[derive(Debug, Clone)]
struct Routing {
    max_age: Span,
    test_domains: Arc<[String]>,
    live: Arc<Live>,
}

impl Routing {
    fn new(intake: &Intake) -> Self {
        Self {
            max_age: DirectorySection::default().max_age,
            test_domains: TestSection::default().test_domains.into(),
            live: Arc::new(Live::new(&[], intake.store().clone())),
        }
    }
}

/// The whole door.
pub fn app(web: Web) -> Router {
    let limit = DefaultBodyLimit::max(web.settings.body_bytes);
    let (router, _) = routes(&web);
    router
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(limit)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(frame::around))
        .with_state(web)
}

/// Every route, and who may take it.
pub fn routes(web: &Web) -> (Router<Web>, Vec<Named>) {
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let routes = Routes::new(web.clone())
        .open(get.clone(), api::openapi::PATH, api::openapi::show)
        .program(post.clone(), "/v1/orders", Right::OrdersWrite, api::orders::submit)
        .program(post.clone(), "/v1/results", Right::ResultsWrite, api::results::submit)
        .program(get.clone(), "/v1/results/{id}", Right::ResultsRead, api::results::show)
        .program(post.clone(), "/v1/results/{id}/patient", Right::PatientsReveal, api::results::patient)
        .program(get.clone(), "/v1/results/{id}/document", Right::PatientsReveal, api::results::document)
        .program(get.clone(), "/v1/deliveries", Right::DeliveriesRead, api::deliveries::list)
        .program(post.clone(), "/v1/deliveries/search", Right::DeliveriesRead, api::deliveries::search)
        .program(post.clone(), "/v1/deliveries/retry", Right::DeliveriesAct, api::deliveries::retry_several)
        .program(get.clone(), "/v1/deliveries/{id}", Right::DeliveriesRead, api::deliveries::show)
        .program(get.clone(), "/v1/deliveries/{id}/receipt", Right::DeliveriesRead, api::deliveries::receipt)
        .program(post.clone(), "/v1/deliveries/{id}/retry", Right::DeliveriesAct, api::deliveries::retry)
        .program(post.clone(), "/v1/deliveries/{id}/cancel", Right::DeliveriesAct, api::deliveries::cancel)
        .program(post.clone(), "/v1/deliveries/{id}/document", Right::PatientsReveal, api::deliveries::document)
        .program(post.clone(), "/v1/deliveries/{id}/path", Right::TrustRead, api::deliveries::path)
        .program(post.clone(), "/v1/deliveries/{id}/resend", Right::DeliveriesAct, api::deliveries::once_more)
        .program(get.clone(), "/v1/events", Right::DeliveriesRead, api::events::read)
        .program(get.clone(), "/v1/probe/{address}", Right::DeliveriesRead, api::probe::show)
        .program(post.clone(), "/v1/probe", Right::DeliveriesRead, api::probe::ask)
        .program(post.clone(), "/v1/explain", Right::DeliveriesRead, api::explain::explain)
        .program(get.clone(), "/v1/directory/decisions", Right::DirectoryRead, api::directory::decided)
        .program(post.clone(), "/v1/directory/decisions", Right::AddressesAct, api::directory::decide)
        .program(get.clone(), "/v1/directory/snapshots", Right::DirectoryRead, api::snapshots::list)
        .program(post.clone(), "/v1/directory/snapshots", Right::DirectoryAct, api::snapshots::load)
        .program(get.clone(), "/v1/directory/{npi}", Right::DirectoryRead, api::directory::look_up)
        .program(get.clone(), "/v1/rosters", Right::DirectoryRead, api::rosters::list)
        .program(post.clone(), "/v1/rosters", Right::AddressesAct, api::rosters::load)
        .program(get.clone(), "/v1/worklist", Right::DeliveriesRead, api::worklist::list)
        .program(post.clone(), "/v1/worklist/reroute", Right::DeliveriesAct, api::worklist::reroute)
        .program(post.clone(), "/v1/worklist/{id}", Right::DeliveriesAct, api::worklist::resolve)
        .program(get.clone(), "/v1/parked", Right::DeliveriesRead, api::parked::list)
        .program(get.clone(), "/v1/parked/{id}", Right::DeliveriesRead, api::parked::show)
        .program(post.clone(), "/v1/parked/{id}/read", Right::PatientsReveal, api::parked::read)
        .program(post.clone(), "/v1/parked/{id}/replay", Right::ResultsWrite, api::parked::replay)
        .program(post.clone(), "/v1/parked/{id}/discard", Right::ResultsWrite, api::parked::discard)
        .program(get.clone(), "/v1/reports/{report}", Right::DeliveriesRead, api::reports::show)
        .program(get.clone(), "/v1/inbox/unmatched", Right::UnmatchedRead, api::unmatched::list)
        .program(post.clone(), "/v1/inbox/unmatched/{id}/read", Right::UnmatchedRead, api::unmatched::read)
        .program(get.clone(), "/v1/inbox", Right::InboxRead, api::inbox::list)
        .program(get.clone(), "/v1/inbox/{id}", Right::InboxRead, api::inbox::show)
        .program(post.clone(), "/v1/inbox/{id}/read", Right::PatientsReveal, api::inbox::read)
        .program(get.clone(), "/v1/fees/report", Right::FeesRead, api::fees::report)
        .program(get.clone(), "/v1/fees/periods", Right::FeesRead, api::fees::periods)
        .program(post.clone(), "/v1/fees/periods/{month}/close", Right::FeesAct, api::fees::close)
        .program(post.clone(), "/v1/fees/adjust", Right::FeesAct, api::fees::adjust)
        .program(get.clone(), "/v1/fees/statement/{month}", Right::FeesRead, api::fees::statement)
        .program(get.clone(), "/v1/fees/lines", Right::FeesRead, api::fees::lines)
        .program(get.clone(), "/v1/fees/export", Right::FeesAct, api::fees::export)
        .program(get.clone(), "/v1/fees/reconcile", Right::FeesRead, api::fees::reconciliations)
        .program(post.clone(), "/v1/fees/reconcile", Right::FeesAct, api::fees::reconcile)
        .program(get.clone(), "/v1/organization", Right::OrganizationsRead, api::organization::show)
        .program(put, "/v1/organization", Right::OrganizationsAct, api::organization::change)
        .program(post.clone(), "/v1/organization/test-message", Right::ResultsWrite, api::test_message::send)
        .program(get.clone(), "/v1/organization/prices", Right::FeesRead, api::organizations::prices)
        .program(get.clone(), "/v1/organizations", Right::OrganizationsRead, api::organizations::list)
        .program(post.clone(), "/v1/organizations", Right::OrganizationsAct, api::organizations::create)
        .program(get.clone(), "/v1/webhooks", Right::OrganizationsRead, api::webhooks::list)
        .program(post.clone(), "/v1/webhooks/{name}", Right::OrganizationsAct, api::webhooks::act)
        .program(get.clone(), "/v1/trust/anchors", Right::TrustRead, api::trust::anchors)
        .program(post.clone(), "/v1/trust/anchors", Right::TrustAct, api::trust::import_anchors)
        .program(delete.clone(), "/v1/trust/anchors/{fingerprint}", Right::TrustAct, api::trust::remove_anchor)
        .program(get.clone(), "/v1/trust/certificates", Right::TrustRead, api::trust::certificates)
        .program(post.clone(), "/v1/trust/certificates", Right::TrustAct, api::trust::import_certificates)
        .program(delete.clone(), "/v1/trust/certificates/{fingerprint}", Right::TrustAct, api::trust::remove_certificate)
        .program(get.clone(), "/v1/trust/identities", Right::TrustRead, api::trust::identities)
        .program(get.clone(), "/v1/trust/bundles", Right::TrustRead, api::trust::bundles)
        .program(post.clone(), "/v1/trust/bundles", Right::TrustAct, api::trust::import_bundle)
        .program(post.clone(), "/v1/trust/bundles/{name}/refresh", Right::TrustAct, api::trust::refresh_bundle)
        .program(delete, "/v1/trust/bundles/{name}", Right::TrustAct, api::trust::remove_bundle)
        .program(get.clone(), "/v1/health", Right::HealthRead, api::operators::health)
        .program(get.clone(), "/v1/overview", Right::DeliveriesRead, api::overview::show)
        .program(get.clone(), "/v1/alerts", Right::HealthRead, api::operators::alerts)
        .program(post.clone(), "/v1/alerts/{id}/care", Right::DeliveriesAct, api::operators::care)
        .program(get.clone(), "/v1/audit", Right::AuditRead, api::audit::list)
        .program(get.clone(), "/v1/audit/verification", Right::AuditRead, api::audit::verify)
        .program(get.clone(), "/v1/people", Right::PeopleRead, api::people::list)
        .program(post.clone(), "/v1/people", Right::PeopleAct, api::people::add)
        .program(post.clone(), "/v1/people/{id}", Right::PeopleAct, api::people::act)
        .program(get.clone(), "/v1/tokens", Right::PeopleRead, api::tokens::list)
        .program(post.clone(), "/v1/tokens", Right::PeopleAct, api::tokens::create)
        .program(post.clone(), "/v1/tokens/rotate", Right::PeopleAct, api::tokens::rotate)
        .program(post, "/v1/tokens/revoke", Right::PeopleAct, api::tokens::revoke)
        .open(get.clone(), "/healthz", status::alive)
        .open(get.clone(), "/readyz", status::ready)
        .open(get, "/metrics", status::metrics);
    console::routes(routes).done()
}
