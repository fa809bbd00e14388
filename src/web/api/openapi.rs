//! `GET /v1/openapi.json`: the API as programs read it (OpenAPI 3.1).
//!
//! The document is made from the route table itself, so it names every route there is, with the right it takes, and no other. What is
//! said about each stands in [`operations`], one file per noun; closed sets of words come from `domain`. A test finds a route
//! nobody has described and a description without its route, others hold real answers against the schemas.

mod accounts;
mod deliveries;
mod fees;
mod operation;
mod operators;
mod organizations;
mod results;
mod routing;
mod shape;
mod trust;

use std::sync::OnceLock;

use axum::{
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};

use self::{
    operation::{Operation, get},
    shape::{Named as Schema, shape, words},
};
use crate::{
    domain::Reason,
    web::{
        Web,
        auth::{Named, Who},
        routes,
    },
};

/// Where it is served.
pub const PATH: &str = "/v1/openapi.json";

/// Whoever writes a client needs it before there is a token, and it says nothing about anybody: it is for everybody.
pub async fn show(State(web): State<Web>) -> Response {
    static TEXT: OnceLock<String> = OnceLock::new();
    let text = TEXT.get_or_init(|| document(&routes(&web).1).to_string());
    let caches = HeaderValue::from_static("public, max-age=300");
    let kind = HeaderValue::from_static("application/json");
    (StatusCode::OK, [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, caches)], text.as_str()).into_response()
}

/// The document of these routes: those of the API, and what nobody has described bare.
#[must_use]
pub fn document(named: &[Named]) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let described = operations();
    for route in named.iter().filter(|route| route.path.starts_with("/v1/")) {
        let right = if let Who::Program(right) = route.who { Some(right.as_str()) } else { None };
        let said = described.iter().find(|said| said.method == route.method && said.path == route.path).cloned();
        let operation = said.unwrap_or_else(|| operation::bare(route.method.clone(), route.path));
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = operation.object(right);
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Postern", "version": env!("CARGO_PKG_VERSION"), "summary": "Results go to clinicians as Direct messages.",
            "description": ABOUT, "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer",
                "description": "A token of one organization, or of the installation, which names an organization in each request. What a route takes stands with it." } },
            "parameters": { "organization": { "name": "organization", "in": "query", "schema": { "type": "string", "minLength": 1 },
                "description": "Which organization, by its short name or id: for a token of the installation. Another than its own is 404 for any other." } },
            "headers": { "Retry-After": { "description": "Seconds after which to send it again.", "schema": { "type": "integer" } } },
            "responses": failures(),
            "schemas": schemas().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect::<Map<_, _>>(),
        },
    })
}

const ABOUT: &str = "Times are RFC 3339. Amounts are decimal numbers in text. Errors are `application/problem+json` (RFC 9457) with a \
stable `code`, and never contain a value that was sent. Lists come in pages: `next`, when there is one, is the `after` of the page behind. \
Whatever is sent again by mistake is recognised by its content, or by an `Idempotency-Key` where a route takes one. So many requests a \
minute with one token, a tenth of them at once; what is beyond is 429 with `Retry-After`. Answers may have more fields in time; requests \
with fields that nobody knows are refused. Whoever reads or changes something is put on record before it is answered.";

/// Every route and method that somebody has described.
#[must_use]
pub fn described() -> Vec<(Method, &'static str)> {
    operations().into_iter().map(|said| (said.method, said.path)).collect()
}

fn operations() -> Vec<Operation> {
    let own = get(PATH, "This document").answers(200, "object", "OpenAPI 3.1.");
    let all = [
        vec![own],
        results::operations(),
        deliveries::operations(),
        routing::operations(),
        organizations::operations(),
        trust::operations(),
        fees::operations(),
        operators::operations(),
        accounts::operations(),
    ];
    all.concat()
}

fn schemas() -> Vec<Schema> {
    let field = shape(json!({ "field": "text: JSON pointer (RFC 6901); empty for the whole", "code": "text: stable",
        "message": "text: one sentence whose subject is the field" }));
    let problem = shape(
        json!({ "type": "text", "title": "text: the status in words", "status": "number", "code": "text: stable: what programs go by",
        "detail": "text: one sentence", "errors?": "[#FieldProblem]: the fields it is about" }),
    );
    let change = shape(json!({ "field": "text", "old": "text|null", "new": "text|null" }));
    let common = vec![("FieldProblem", field), ("Problem", problem), ("Reason", words(Reason::ALL)), ("Change", change)];
    let all = [
        common,
        results::schemas(),
        deliveries::schemas(),
        routing::schemas(),
        organizations::schemas(),
        trust::schemas(),
        fees::schemas(),
        operators::schemas(),
        accounts::schemas(),
    ];
    all.concat()
}

/// What may go wrong, by status.
fn failures() -> Value {
    let all = [
        (400, "The request cannot be read, or must say which organization."),
        (401, "No token, or one that is not known, has ended or was revoked."),
        (403, "The token has not the right."),
        (404, "There is no such thing, or it is another organization's."),
        (408, "The upload was too slow; nothing was taken."),
        (409, "It cannot be done as things stand."),
        (410, "What stood there is no longer kept."),
        (412, "Somebody else has changed it since it was read."),
        (413, "The body is too large."),
        (415, "The body is of another media type."),
        (422, "The body says something that cannot be taken; `errors` names the fields."),
        (428, "Say what it was when you read it: If-Match."),
        (429, "Too many requests; nothing was done."),
        (502, "Somebody whom we had to ask did not answer."),
        (503, "It cannot be done now; nothing was done."),
    ];
    let mut failures = Map::new();
    for (status, says) in all {
        let content = json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        let mut failure = json!({ "description": says, "content": content });
        if matches!(status, 429 | 503) {
            failure["headers"] = json!({ "Retry-After": { "$ref": "#/components/headers/Retry-After" } });
        }
        failures.insert(status.to_string(), failure);
    }
    failures.into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|inner| references(inner, found));
            }
            Value::Array(all) => all.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }

    #[test]
    fn every_name_leads_somewhere_and_nothing_is_described_for_nobody() {
        let routes: Vec<Named> = described().into_iter().map(|(method, path)| Named { method, path, who: Who::Anyone }).collect();
        let document = document(&routes);
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        for reference in &found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        for (name, _) in schemas() {
            assert!(found.contains(format!("#/components/schemas/{name}").as_str()), "{name} is used nowhere");
        }
    }

    #[test]
    fn no_schema_and_no_operation_has_the_name_of_another() {
        let (names, all) = (schemas().into_iter().map(|(name, _)| name).collect::<BTreeSet<_>>(), schemas().len());
        assert_eq!(names.len(), all);
        let ids: Vec<Value> = operations().into_iter().map(|said| said.object(None)["operationId"].clone()).collect();
        assert_eq!(ids.iter().map(Value::to_string).collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    }
}
