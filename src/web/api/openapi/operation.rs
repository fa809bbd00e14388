//! One operation: what it takes, and what it may answer.

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::shape::short;

/// A route as it is told to programs.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    summary: &'static str,
    more: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Map<String, Value>,
}

/// Reads.
pub(super) fn get(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::GET, path, summary)
}

/// Does something.
pub(super) fn post(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::POST, path, summary)
}

/// Puts a document in the place of another.
pub(super) fn put(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::PUT, path, summary)
}

/// Takes something away.
pub(super) fn delete(path: &'static str, summary: &'static str) -> Operation {
    Operation::new(Method::DELETE, path, summary)
}

/// One nobody has spoken of.
pub(super) fn bare(method: Method, path: &'static str) -> Operation {
    Operation::new(method, path, "")
}

impl Operation {
    fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        Self { method, path, summary, more: "", parameters: Vec::new(), body: None, answers: Map::new() }
    }

    /// More about it.
    pub(super) fn says(mut self, more: &'static str) -> Self {
        self.more = more;
        self
    }

    /// Whatever varies in the path, where that is not an id.
    pub(super) fn at(mut self, name: &'static str, kind: &str) -> Self {
        self.parameters.push(parameter("path", name, kind, true));
        self
    }

    /// A parameter of the query.
    pub(super) fn query(mut self, name: &'static str, kind: &str) -> Self {
        self.parameters.push(parameter("query", name, kind, false));
        self.may_fail(&[400])
    }

    /// One that must be there.
    pub(super) fn needs(mut self, name: &'static str, kind: &str) -> Self {
        self.parameters.push(parameter("query", name, kind, true));
        self.may_fail(&[400])
    }

    /// The number of things on a page, at most `most`.
    pub(super) fn limit(mut self, usual: u32, most: u32) -> Self {
        let schema = json!({ "type": "integer", "minimum": 1, "maximum": most, "default": usual });
        self.parameters.push(json!({ "name": "limit", "in": "query", "description": "At most so many.", "schema": schema }));
        self.may_fail(&[400])
    }

    /// One of the pages of a list: how many, and where to go on.
    pub(super) fn pages(self, usual: u32, most: u32) -> Self {
        self.query("after", "text: where to go on: what `next` of the page before said").limit(usual, most)
    }

    /// The same, where the pages go on behind an id.
    pub(super) fn pages_by_id(self, usual: u32, most: u32) -> Self {
        self.query("after", "id: where to go on: what `next` of the page before said").limit(usual, most)
    }

    /// May be sent again under a key.
    pub(super) fn repeatable(mut self) -> Self {
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[\\x20-\\x7e]+$" });
        let says = "Names this request among its repeats: the same key is the same request, and is done once.";
        self.parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "description": says, "schema": schema }));
        self.may_fail(&[400])
    }

    /// A header.
    pub(super) fn header(mut self, name: &'static str, kind: &str) -> Self {
        self.parameters.push(parameter("header", name, kind, false));
        self
    }

    /// Takes JSON.
    pub(super) fn takes(self, schema: &str) -> Self {
        let body = json!({ "application/json": { "schema": short(schema) } });
        self.takes_as(body).may_fail(&[400, 408, 413, 415, 422])
    }

    /// Takes JSON, or nothing.
    pub(super) fn may_take(self, schema: &str) -> Self {
        let mut taking = self.takes(schema);
        if let Some(body) = &mut taking.body {
            body["required"] = false.into();
        }
        taking
    }

    /// Takes bodies of these media types.
    pub(super) fn takes_as(mut self, content: Value) -> Self {
        let mut body = json!({ "required": true });
        body["content"] = content;
        self.body = Some(body);
        self.may_fail(&[400, 413, 415])
    }

    /// Answers with JSON.
    pub(super) fn answers(self, status: u16, schema: &str, says: &str) -> Self {
        self.answers_as(status, says, json!({ "application/json": { "schema": short(schema) } }))
    }

    /// Answers with bodies of these media types.
    pub(super) fn answers_as(mut self, status: u16, says: &str, content: Value) -> Self {
        let mut answer = json!({ "description": says });
        answer["content"] = content;
        self.answers.insert(status.to_string(), answer);
        self
    }

    /// The answer says this in a header, too.
    pub(super) fn telling(mut self, status: u16, header: &str, kind: &str) -> Self {
        let mut schema = short(kind);
        let says = schema.as_object_mut().and_then(|schema| schema.remove("description")).unwrap_or_default();
        self.answers[&status.to_string()]["headers"][header] = json!({ "description": says, "schema": schema });
        self
    }

    /// Fails in these ways besides those in which everything may.
    pub(super) fn may_fail(mut self, statuses: &[u16]) -> Self {
        for status in statuses {
            self.answers.insert(status.to_string(), problem(*status));
        }
        self
    }

    /// As a document has it. What varies in the path and nobody has spoken of is an id.
    pub(super) fn object(mut self, right: Option<&str>) -> Value {
        let varies = self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let unsaid: Vec<&str> =
            varies.filter(|name| !self.parameters.iter().any(|known| known["in"] == "path" && known["name"] == *name)).collect();
        let varies = self.path.contains('{');
        for name in unsaid {
            self.parameters.push(parameter("path", name, "id", true));
        }
        if varies {
            self = self.may_fail(&[404]);
        }
        let mut object = json!({ "summary": self.summary, "operationId": self.name(), "tags": [self.tag()] });
        if !self.more.is_empty() {
            object["description"] = self.more.into();
        }
        if let Some(right) = right {
            self.parameters.push(json!({ "$ref": "#/components/parameters/organization" }));
            // 400: a token of the installation must say which organization; 404: one it may not see, or nobody has.
            self = self.may_fail(&[400, 401, 403, 404, 429, 503]);
            object["security"] = json!([{ "token": [right] }]);
        } else {
            object["security"] = json!([]);
        }
        if !self.parameters.is_empty() {
            object["parameters"] = self.parameters.into();
        }
        if let Some(body) = self.body {
            object["requestBody"] = body;
        }
        object["responses"] = self.answers.into();
        object
    }

    /// `postDeliveriesRetry`.
    fn name(&self) -> String {
        let words = self.path.trim_start_matches("/v1").split(['/', '-', '{', '}', '_', '.']).filter(|word| !word.is_empty());
        let capital = |word: &str| {
            let mut letters = word.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
        };
        words.fold(self.method.as_str().to_lowercase(), |name, word| name + &capital(word))
    }

    fn tag(&self) -> &'static str {
        self.path.trim_start_matches("/v1/").split(['/', '.']).next().unwrap_or_default()
    }
}

fn parameter(place: &str, name: &str, kind: &str, required: bool) -> Value {
    let mut schema = short(kind);
    let says = schema.as_object_mut().and_then(|schema| schema.remove("description"));
    let mut parameter = json!({ "name": name, "in": place, "schema": schema });
    if required {
        parameter["required"] = true.into();
    }
    if let Some(says) = says {
        parameter["description"] = says;
    }
    parameter
}

fn problem(status: u16) -> Value {
    json!({ "$ref": format!("#/components/responses/{status}") })
}
