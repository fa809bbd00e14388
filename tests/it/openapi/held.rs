//! A program whose every answer is held against the document.

use std::collections::{BTreeMap, BTreeSet};

use jsonschema::Validator;
use postern::web::{api::openapi, routes};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::people::world::World;

/// What was answered: status, body (null when it is no JSON) and the tag.
pub(super) type Answer = (u16, Value, String);

pub(super) struct Held {
    client: Client,
    url: String,
    token: String,
    document: Value,
    /// Schemas that say all there is: a field nobody has described is found.
    closed: Value,
    validators: BTreeMap<String, Validator>,
    /// Operations that were answered with a success.
    pub(super) seen: BTreeSet<String>,
    /// What was not as the document says, all of it.
    pub(super) faults: Vec<String>,
}

impl Held {
    pub(super) fn new(world: &World, token: String) -> Self {
        let document = openapi::document(&routes(&world.web).1);
        let closed = closed(&document["components"]);
        let (url, seen) = (world.url.clone(), BTreeSet::new());
        Self { client: Client::new(), url, token, document, closed, validators: BTreeMap::new(), seen, faults: Vec::new() }
    }

    /// Asks with JSON, or with nothing.
    pub(super) async fn ask(&mut self, method: &str, path: &str, at: &str, body: Option<Value>) -> Answer {
        let sent = body.map(|body| ("application/json", body.to_string()));
        self.send(method, path, at, &[], sent).await
    }

    /// The same, which must succeed.
    pub(super) async fn good(&mut self, method: &str, path: &str, at: &str, body: Option<Value>) -> Value {
        let (status, answer, _) = self.ask(method, path, at, body).await;
        assert!((200..300).contains(&status), "{method} {at}: {status} {answer:#}");
        answer
    }

    pub(super) async fn send(
        &mut self,
        method: &str,
        path: &str,
        at: &str,
        headers: &[(&str, &str)],
        sent: Option<(&str, String)>,
    ) -> Answer {
        let mut request = self.client.request(method.parse::<Method>().unwrap(), format!("{}{at}", self.url));
        request = request.bearer_auth(&self.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some((kind, text)) = sent {
            if kind == "application/json" {
                self.judge_request(method, path, &text);
            }
            request = request.header("content-type", kind).body(text);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        let (kind, tag) = (text("content-type"), text("etag"));
        let octets = answer.bytes().await.unwrap();
        let told = self.judge(method, path, status, &kind, &octets);
        if status < 300 {
            self.seen.insert(format!("{method} {path}"));
        }
        (status, told, tag)
    }

    fn operation(&self, method: &str, path: &str) -> Value {
        let found = &self.document["paths"][path][method.to_lowercase()];
        assert!(found.is_object(), "{method} {path} is not described");
        found.clone()
    }

    /// What we send is as described, unless it is meant to be refused.
    fn judge_request(&mut self, method: &str, path: &str, text: &str) {
        let operation = self.operation(method, path);
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body: Value = serde_json::from_str(text).unwrap();
        self.valid(schema, &body, &format!("the request of {method} {path}"));
    }

    fn judge(&mut self, method: &str, path: &str, status: u16, kind: &str, octets: &[u8]) -> Value {
        let operation = self.operation(method, path);
        let mut response = operation["responses"][status.to_string()].clone();
        let what = format!("{method} {path} {status}");
        assert!(response.is_object(), "{what} is not described: {}", String::from_utf8_lossy(octets));
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(reference.trim_start_matches('#')).unwrap().clone();
        }
        let kind = kind.split(';').next().unwrap();
        let content = &response["content"];
        if octets.is_empty() {
            assert_eq!(status, 204, "{what}");
            return Value::Null;
        }
        assert!(content[kind].is_object(), "{what}: {kind} is not described");
        if !kind.ends_with("json") {
            return Value::String(String::from_utf8_lossy(octets).into_owned());
        }
        let told: Value = serde_json::from_slice(octets).unwrap();
        self.valid(&content[kind]["schema"], &told, &what);
        told
    }

    fn valid(&mut self, schema: &Value, told: &Value, what: &str) {
        let closed = &self.closed;
        let validator = self.validators.entry(schema.to_string()).or_insert_with(|| {
            let whole =
                json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "allOf": [schema], "components": closed });
            jsonschema::options().should_validate_formats(true).build(&whole).expect("a schema")
        });
        let faults: Vec<String> =
            validator.iter_errors(told).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
        if !faults.is_empty() {
            self.faults.push(format!("{what}: {faults:#?}\n{told:#}"));
        }
    }
}

/// The same schemas, forbidding every field they do not name.
fn closed(components: &Value) -> Value {
    let mut closed = components.clone();
    let mut bases = BTreeSet::new();
    let schemas = closed["schemas"].as_object_mut().unwrap();
    for schema in schemas.values() {
        for part in schema["allOf"].as_array().into_iter().flatten() {
            bases.extend(part["$ref"].as_str().map(|reference| reference.rsplit('/').next().unwrap().to_owned()));
        }
    }
    for (name, schema) in schemas.iter_mut() {
        let is_shape = schema.get("properties").is_some() && schema.get("additionalProperties").is_none();
        if schema.get("allOf").is_some() || (is_shape && !bases.contains(name)) {
            schema["unevaluatedProperties"] = json!(false);
        }
    }
    closed
}
