//! The HTTP door: the JSON API, health and metrics.
//!
//! Nothing about a patient stands in a URL, a log line or an error. A 2xx goes out only after what was sent is durable.

/// The JSON API, one file per noun.
pub mod api;
/// Who is calling.
pub mod auth;
/// What a caller is told when something goes wrong.
pub mod error;
/// What every request and answer passes through.
mod frame;
/// How fast an upload comes.
mod pace;
/// Places for uploads.
mod places;
/// The connections.
mod serve;
/// Health and metrics.
mod status;
/// Reading what was uploaded.
mod upload;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn,
    routing::{get, post},
};
use tower_http::catch_panic::CatchPanicLayer;

pub use error::Problem;
pub use serve::serve;

use crate::{
    config::{directory::DirectorySection, test::TestSection, web::WebSection},
    domain::time::Span,
    observe::{health::Health, metrics::Metrics},
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
    routing: Routing,
    places: Arc<places::Places>,
    gauge: Arc<status::Gauge>,
}

impl Web {
    /// Puts the door together.
    #[must_use]
    pub fn new(settings: &WebSection, intake: Intake, health: Health, metrics: Option<Metrics>) -> Self {
        let places = Arc::new(places::Places::new(settings));
        let routing = Routing::new(&intake);
        Self { intake, health, metrics, settings: settings.clone(), routing, places, gauge: Arc::default() }
    }

    /// The same, explaining routes by these settings.
    #[must_use]
    pub fn explaining(self, directory: &DirectorySection, test: &TestSection, live: Arc<Live>) -> Self {
        let routing = Routing { max_age: directory.max_age, test_domains: test.test_domains.clone().into(), live };
        Self { routing, ..self }
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

/// Every route.
pub fn app(web: Web) -> Router {
    let limit = DefaultBodyLimit::max(web.settings.body_bytes);
    Router::new()
        .route("/v1/orders", post(api::orders::submit))
        .route("/v1/results", post(api::results::submit))
        .route("/v1/results/{id}", get(api::results::show))
        .route("/v1/explain", post(api::explain::explain))
        .route("/v1/worklist", get(api::worklist::list))
        .route("/v1/worklist/reroute", post(api::worklist::reroute))
        .route("/v1/worklist/{id}", post(api::worklist::resolve))
        .route("/v1/organization", get(api::organization::show).put(api::organization::change))
        .route("/healthz", get(status::alive))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(status::metrics))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(limit)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn(frame::around))
        .with_state(web)
}
