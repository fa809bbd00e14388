//! Health and metrics: for the machinery around us, without a token and without patient data.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::time::timeout;

use super::{Problem, Web};

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
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response())
}
