//! Errors as `application/problem+json` (RFC 9457): outside one sentence and the fields, inside the cause.

use std::any::Any;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    domain::Class,
    observe::chain,
    source::{Refusal, SourceError, wire::FieldProblem},
    store::StoreError,
};

/// What a caller is told. Never contains a value that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The problem's kind; ours are told apart by `code`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The status in words.
    title: &'static str,
    /// HTTP status.
    status: u16,
    /// Stable code.
    code: &'static str,
    /// One sentence.
    detail: String,
    /// The fields it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

impl Problem {
    /// A problem about the request as a whole.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { kind: "about:blank", title, status: status.as_u16(), code, detail: detail.into(), errors: Vec::new() }
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The status in words.
    pub(super) const fn title(&self) -> &'static str {
        self.title
    }

    /// The sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// The fields it is about.
    pub(super) fn errors(&self) -> &[FieldProblem] {
        &self.errors
    }

    fn unavailable() -> Self {
        Self::unavailable_now("it could not be stored; nothing was taken, send it again later")
    }

    pub(super) fn unavailable_now(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on our side; the log knows more")
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
        Self { errors: refusal.errors, ..Self::new(status, refusal.code, refusal.detail) }
    }
}

impl From<SourceError> for Problem {
    fn from(error: SourceError) -> Self {
        let class = error.class();
        let error = match error {
            SourceError::Refused(refusal) => return refusal.into(),
            SourceError::Store(full @ StoreError::TooMany(_)) => {
                return Self::new(StatusCode::CONFLICT, "too_many", full.to_string());
            }
            error => error,
        };
        let permanent = matches!(&error, SourceError::Store(cause) if cause.class() == Class::Permanent);
        tracing::error!(error = chain(&error), "a request could not be served");
        if class == Class::Retry && !permanent { Self::unavailable() } else { Self::internal() }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        SourceError::from(error).into()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            _ => {}
        }
        response
    }
}

/// No route has this path.
pub(super) async fn no_such_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "there is nothing under this path")
}

/// The path has no such method.
pub(super) async fn wrong_method() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path does not take this method")
}

/// One request broke; the others go on.
pub(super) fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::internal().into_response()
}
