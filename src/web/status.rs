//! Health and metrics: for the machinery around us, without a token and without patient data.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Problem, Web};
use crate::{observe, store::Store};

/// The process runs.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "alive": true }))
}

/// The process may be given work: its parts are good and the database answers.
pub(super) async fn ready(State(web): State<Web>) -> Response {
    let mut report = web.health.report();
    let answers = timeout(Duration::from_secs(2), web.intake.store().ping()).await;
    report.ready &= matches!(answers, Ok(Ok(())));
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

/// What was counted, for Prometheus.
pub(super) async fn metrics(State(web): State<Web>) -> Result<Response, Problem> {
    let Some(metrics) = &web.metrics else {
        return Err(Problem::new(StatusCode::NOT_FOUND, "not_found", "this process counts nothing"));
    };
    web.gauge.measure(web.intake.store()).await;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response())
}

/// How often the queue is measured at most, however often somebody asks: the page needs no token.
const MEASURE: Duration = Duration::from_secs(2);

/// When the queue was measured last.
#[derive(Debug, Default)]
pub(super) struct Gauge(Mutex<Option<Instant>>);

impl Gauge {
    /// Measures the queue, unless that was done a moment ago or the database is too slow: figures must come either way.
    async fn measure(&self, store: &Store) {
        let mut last = self.0.lock().await;
        if last.is_some_and(|at| at.elapsed() < MEASURE) {
            return;
        }
        *last = Some(Instant::now());
        match timeout(Duration::from_secs(2), store.depth()).await {
            Ok(Ok(depth)) => {
                let deliveries: Vec<_> = depth.deliveries.iter().map(|level| (level.state, level.count, level.oldest)).collect();
                let results: Vec<_> = depth.results.iter().map(|level| (level.state, level.count, level.oldest)).collect();
                observe::metrics::queue(&deliveries, &results);
            }
            Ok(Err(error)) => tracing::warn!(error = observe::chain(&error), "the queue could not be measured"),
            Err(_) => tracing::warn!("the queue could not be measured in time"),
        }
        match timeout(Duration::from_secs(2), store.directory_ages()).await {
            Ok(Ok(ages)) => observe::metrics::directory_ages(&ages),
            Ok(Err(error)) => tracing::warn!(error = observe::chain(&error), "the age of the directory could not be measured"),
            Err(_) => tracing::warn!("the age of the directory could not be measured in time"),
        }
    }
}
