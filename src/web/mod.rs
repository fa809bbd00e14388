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
/// Health and metrics.
mod status;
/// Reading what was uploaded.
mod upload;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn,
    routing::{get, post},
};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

pub use error::Problem;

use crate::{
    config::web::WebSection,
    observe::{health::Health, metrics::Metrics},
    source::Intake,
};

/// Uploads held in memory at the same time; more wait their turn.
const UPLOADS: usize = 32;

/// What the pages work with. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Web {
    /// Where what comes in goes.
    pub intake: Intake,
    /// How the process is.
    pub health: Health,
    /// What it has counted, if it counts.
    pub metrics: Option<Metrics>,
    gauge: Arc<status::Gauge>,
    body_bytes: usize,
    upload_timeout: Duration,
    uploads: Arc<Semaphore>,
}

impl Web {
    /// Puts the door together.
    #[must_use]
    pub fn new(settings: &WebSection, intake: Intake, health: Health, metrics: Option<Metrics>) -> Self {
        Self {
            intake,
            health,
            metrics,
            gauge: Arc::default(),
            body_bytes: settings.body_bytes,
            upload_timeout: settings.request_timeout.0,
            uploads: Arc::new(Semaphore::new(UPLOADS)),
        }
    }
}

/// Every route.
pub fn app(web: Web) -> Router {
    let limit = DefaultBodyLimit::max(web.body_bytes);
    Router::new()
        .route("/v1/orders", post(api::orders::submit))
        .route("/v1/results", post(api::results::submit))
        .route("/v1/results/{id}", get(api::results::show))
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

/// Serves until `stop`; requests that run are finished.
///
/// # Errors
/// When the listener fails.
pub async fn serve(web: Web, listener: TcpListener, stop: CancellationToken) -> std::io::Result<()> {
    axum::serve(listener, app(web)).with_graceful_shutdown(async move { stop.cancelled().await }).await
}
