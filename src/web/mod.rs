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
/// Turns at what asks others.
mod turns;
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
    config::web::WebSection,
    observe::{health::Health, metrics::Metrics},
    pipeline::probing::Prober,
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
    places: Arc<places::Places>,
    waiting: Arc<api::events::Waiting>,
    gauge: Arc<status::Gauge>,
    prober: Option<Prober>,
    turns: Arc<turns::Turns>,
}

impl Web {
    /// Puts the door together.
    #[must_use]
    pub fn new(settings: &WebSection, intake: Intake, health: Health, metrics: Option<Metrics>) -> Self {
        let places = Arc::new(places::Places::new(settings));
        let turns = Arc::new(turns::Turns::new(settings));
        let (settings, waiting, gauge) = (settings.clone(), Arc::default(), Arc::default());
        Self { intake, health, metrics, settings, places, waiting, gauge, prober: None, turns }
    }

    /// The same, with somebody who answers probes.
    #[must_use]
    pub fn probing(self, prober: Prober) -> Self {
        Self { prober: Some(prober), ..self }
    }
}

/// Every route.
pub fn app(web: Web) -> Router {
    let limit = DefaultBodyLimit::max(web.settings.body_bytes);
    Router::new()
        .route("/v1/orders", post(api::orders::submit))
        .route("/v1/results", post(api::results::submit))
        .route("/v1/results/{id}", get(api::results::show))
        .route("/v1/deliveries", get(api::deliveries::list))
        .route("/v1/deliveries/{id}", get(api::deliveries::show))
        .route("/v1/deliveries/{id}/receipt", get(api::deliveries::receipt))
        .route("/v1/events", get(api::events::read))
        .route("/v1/probe/{address}", get(api::probe::show))
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
