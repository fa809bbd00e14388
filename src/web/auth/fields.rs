//! The fields of a form, as a browser sends them: written into one line, or in parts when a file is among them.

use axum::{
    Form, RequestExt as _,
    body::Bytes,
    extract::{FromRequest, Multipart, Request},
    http::{HeaderMap, StatusCode, header},
};

use crate::web::{Problem, Web};

/// The fields in their order; a file is its octets.
#[derive(Debug, Default, Clone)]
pub(in crate::web) struct Fields(Vec<(String, Bytes)>);

impl Fields {
    /// The text of the first field of that name, without blanks at its ends; empty when there is none, or it is no text.
    pub(in crate::web) fn text(&self, name: &str) -> &str {
        self.bytes(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default().trim()
    }

    /// The octets of the first field of that name, unless it is empty: a file nobody chose is.
    pub(in crate::web) fn bytes(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value)
    }

    /// The texts of all fields of that name.
    pub(in crate::web) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.0.iter().filter(move |(known, _)| known == name);
        named.filter_map(|(_, value)| std::str::from_utf8(value).ok()).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Whether a box was ticked, or a button pressed.
    pub(in crate::web) fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// The text, or nothing when it is empty.
    pub(in crate::web) fn given(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }
}

/// Whether a request is a form in parts (RFC 7578).
pub(super) fn in_parts(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.trim_start().get(..19).is_some_and(|start| start.eq_ignore_ascii_case("multipart/form-data"))
}

impl FromRequest<Web> for Fields {
    type Rejection = Problem;

    async fn from_request(mut request: Request, web: &Web) -> Result<Self, Problem> {
        // The gate has read a form with a file in it already.
        if let Some(fields) = request.extensions_mut().remove::<Self>() {
            return Ok(fields);
        }
        let broken = |status: StatusCode| Problem::new(status, "malformed", "The form could not be read: go back and repeat.");
        if in_parts(request.headers()) {
            let mut form = Multipart::from_request(request, web).await.map_err(|rejected| broken(rejected.status()))?;
            let mut fields = Vec::new();
            while let Some(part) = form.next_field().await.map_err(|error| broken(error.status()))? {
                let name = part.name().unwrap_or_default().to_owned();
                fields.push((name, part.bytes().await.map_err(|error| broken(error.status()))?));
            }
            return Ok(Self(fields));
        }
        let fields: Result<Form<Vec<(String, String)>>, _> = request.extract_with_state(web).await;
        let Form(fields) = fields.map_err(|rejected| broken(rejected.status()))?;
        Ok(Self(fields.into_iter().map(|(name, value)| (name, Bytes::from(value))).collect()))
    }
}
