//! Reading what was uploaded: JSON, a file, or a form with the parts `result` and `pdf`; and forms of people with a file in them.
//!
//! Nobody's body is read before it is known whose it is, and that there is a place for it.

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{FromRequest as _, Multipart, Request, multipart::MultipartError},
    http::{HeaderMap, StatusCode, header},
};

use super::{
    Problem, Web,
    pace::{Meter, Pace},
    places::Place,
};
use crate::{
    domain::{OrgId, id::PersonId},
    source::Refusal,
};

/// A message and what came with it. Holds one of the places for uploads until it is dropped.
pub(super) struct Upload {
    /// The message, or the file.
    pub(super) json: Bytes,
    /// The PDF, when it is a part of its own.
    pub(super) pdf: Option<Bytes>,
    _place: Place,
}

/// Reads JSON that `org` sends; or, where `parts` are allowed, a form.
pub(super) async fn read(web: &Web, org: OrgId, request: Request, parts: bool) -> Result<Upload, Problem> {
    let wanted = if parts { &[Kind::Json, Kind::Form][..] } else { &[Kind::Json] };
    body(web, org, request, wanted).await
}

/// Reads a file of comma-separated values that `org` sends.
pub(super) async fn csv(web: &Web, org: OrgId, request: Request) -> Result<Upload, Problem> {
    body(web, org, request, &[Kind::Csv]).await
}

/// Reads a form with a file in it that a person sends: as much, at the same pace and in as many places as a program's upload.
pub(super) async fn of_person(web: &Web, person: PersonId, headers: &HeaderMap, body: Body) -> Result<(Bytes, Place), Problem> {
    let limit = web.settings.body_bytes;
    let octets = length(headers).unwrap_or(limit);
    if octets > limit {
        return Err(Refusal::too_large("", limit).into());
    }
    let place = web.places.take(person, octets).await?;
    let meter = Meter::default();
    let body = meter.count(Request::new(body)).into_body();
    tokio::select! {
        read = to_bytes(body, limit) => match read {
            Ok(body) => Ok((body, place)),
            Err(_) if usize::try_from(meter.octets()).is_ok_and(|octets| octets <= limit) => {
                Err(broken(web, StatusCode::BAD_REQUEST))
            }
            Err(_) => Err(broken(web, StatusCode::PAYLOAD_TOO_LARGE)),
        },
        slow = Pace::new(&web.settings).lost(&meter) => Err(slow),
    }
}

async fn body(web: &Web, org: OrgId, request: Request, wanted: &[Kind]) -> Result<Upload, Problem> {
    let limit = web.settings.body_bytes;
    let kind = Kind::of(request.headers(), wanted)?;
    let octets = length(request.headers()).unwrap_or(limit);
    if octets > limit {
        return Err(Refusal::too_large("", limit).into());
    }
    let place = web.places.take(org, octets).await?;
    let meter = Meter::default();
    let request = meter.count(request);
    let reading = async {
        match kind {
            Kind::Json | Kind::Csv => {
                let json = Bytes::from_request(request, web).await;
                json.map(|json| (json, None)).map_err(|rejected| broken(web, rejected.status()))
            }
            Kind::Form => form(web, request).await,
        }
    };
    let (json, pdf) = tokio::select! {
        read = reading => read?,
        slow = Pace::new(&web.settings).lost(&meter) => return Err(slow),
    };
    Ok(Upload { json, pdf, _place: place })
}

/// How long the body is, if it says so; in chunks it may be anything up to the limit.
fn length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Form,
    Csv,
}

impl Kind {
    const fn essence(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "multipart/form-data",
            Self::Csv => "text/csv",
        }
    }

    /// What is sent, if it is one of those that are wanted.
    fn of(headers: &HeaderMap, wanted: &[Self]) -> Result<Self, Problem> {
        let unsupported = |detail| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail);
        let coding = headers.get(header::CONTENT_ENCODING);
        if coding.is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(unsupported("send the body as it is, without Content-Encoding".to_owned()));
        }
        let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        wanted.iter().copied().find(|kind| kind.essence() == essence).ok_or_else(|| {
            let wanted: Vec<&str> = wanted.iter().map(|kind| kind.essence()).collect();
            unsupported(format!("send {}", wanted.join(" or ")))
        })
    }
}

async fn form(web: &Web, request: Request) -> Result<(Bytes, Option<Bytes>), Problem> {
    let malformed = |error: MultipartError| broken(web, error.status());
    let mut form = Multipart::from_request(request, web).await.map_err(|rejected| broken(web, rejected.status()))?;
    let (mut json, mut pdf) = (None, None);
    while let Some(mut part) = form.next_field().await.map_err(malformed)? {
        let (name, slot, limit) = match part.name() {
            Some("result") => ("/result", &mut json, web.settings.body_bytes),
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

/// Reads a form of a page: at most `most` octets, at the pace of an upload.
pub(super) async fn page_form(web: &Web, headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, Problem> {
    let too_large = || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "the form is too large");
    if length(headers).is_some_and(|octets| octets > most) {
        return Err(too_large());
    }
    let meter = Meter::default();
    let body = meter.count(Request::new(body)).into_body();
    tokio::select! {
        read = to_bytes(body, most) => read.map_err(|_| too_large()),
        slow = Pace::new(&web.settings).lost(&meter) => Err(slow),
    }
}

/// The body could not be read to its end.
fn broken(web: &Web, status: StatusCode) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::too_large("", web.settings.body_bytes).into();
    }
    Problem::new(StatusCode::BAD_REQUEST, "malformed", "the body could not be read")
}
