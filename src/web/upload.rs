//! Reading what was uploaded: JSON, or a form with the parts `result` and `pdf`.

use axum::{
    body::Bytes,
    extract::{FromRequest as _, Multipart, Request, multipart::MultipartError},
    http::{StatusCode, header},
};
use tokio::{sync::SemaphorePermit, time::timeout};

use super::{Problem, Web};
use crate::source::Refusal;

/// A message and what came with it. Holds one of the places for uploads until it is dropped.
pub(super) struct Upload<'w> {
    /// The message.
    pub(super) json: Bytes,
    /// The PDF, when it is a part of its own.
    pub(super) pdf: Option<Bytes>,
    _place: SemaphorePermit<'w>,
}

/// Reads JSON; or, where `parts` are allowed, a form.
pub(super) async fn read(web: &Web, request: Request, parts: bool) -> Result<Upload<'_>, Problem> {
    let place = web.uploads.acquire().await.map_err(|_| busy())?;
    let kind = Kind::of(&request);
    let reading = async {
        match kind {
            Some(Kind::Json) => {
                let json = Bytes::from_request(request, web).await;
                json.map(|json| (json, None)).map_err(|rejected| broken(web, rejected.status()))
            }
            Some(Kind::Form) if parts => form(web, request).await,
            _ => {
                let wanted = if parts { "application/json or multipart/form-data" } else { "application/json" };
                let detail = format!("send {wanted}");
                Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
            }
        }
    };
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the upload took too long");
    let (json, pdf) = timeout(web.upload_timeout, reading).await.map_err(late)??;
    Ok(Upload { json, pdf, _place: place })
}

enum Kind {
    Json,
    Form,
}

impl Kind {
    fn of(request: &Request) -> Option<Self> {
        let value = request.headers().get(header::CONTENT_TYPE)?.to_str().ok()?;
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Some(Self::Json),
            "multipart/form-data" => Some(Self::Form),
            _ => None,
        }
    }
}

async fn form(web: &Web, request: Request) -> Result<(Bytes, Option<Bytes>), Problem> {
    let malformed = |error: MultipartError| broken(web, error.status());
    let mut form = Multipart::from_request(request, web).await.map_err(|rejected| broken(web, rejected.status()))?;
    let (mut json, mut pdf) = (None, None);
    while let Some(mut part) = form.next_field().await.map_err(malformed)? {
        let (name, slot, limit) = match part.name() {
            Some("result") => ("/result", &mut json, web.body_bytes),
            Some("pdf") => ("/pdf", &mut pdf, web.intake.pdf_bytes()),
            // What it is called is not repeated: a name may be anything.
            _ => return Err(Refusal::field("", "unknown_part", "has a part that is neither result nor pdf").into()),
        };
        if slot.is_some() {
            return Err(Refusal::field(name, "given_twice", "is given twice").into());
        }
        let mut content = Vec::new();
        while let Some(chunk) = part.chunk().await.map_err(malformed)? {
            if content.len() + chunk.len() > limit {
                return Err(Refusal::too_large(name, limit).into());
            }
            content.extend_from_slice(&chunk);
        }
        *slot = Some(Bytes::from(content));
    }
    let json = json.ok_or_else(|| Refusal::field("/result", "missing", "is missing: send it as a part of the form"))?;
    Ok((json, pdf))
}

/// The body could not be read to its end.
fn broken(web: &Web, status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::too_large("", web.body_bytes).into();
    }
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the body could not be read")
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the gateway is shutting down")
}
