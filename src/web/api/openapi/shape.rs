//! JSON Schemas (2020-12) in short words, so that what a field is stands on one line.
//!
//! `"id"`, `"time"`, `"text"`, `"number"`, `"flag"`, `"money"`, `"month"`, `"any"`; `"#Name"` is a schema by its name; `"[...]"` a
//! list of that; `"...|null"` may be null; what stands after `": "` says what it is. A field whose name ends with `?` may be absent.

use std::fmt::Display;

use serde_json::{Map, Value, json};

/// A named schema.
pub(super) type Named = (&'static str, Value);

/// An object with these fields. More may be added to an answer in time, so others are not forbidden there.
pub(super) fn shape(fields: Value) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    if let Value::Object(fields) = fields {
        for (name, kind) in fields {
            let name = if let Some(name) = name.strip_suffix('?') {
                name.to_owned()
            } else {
                required.push(name.clone());
                name
            };
            properties.insert(name, of(kind));
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

/// The same as a program sends it: what nobody knows is refused.
pub(super) fn body(fields: Value) -> Value {
    let mut shape = shape(fields);
    shape["additionalProperties"] = json!(false);
    shape
}

/// A closed set of words.
pub(super) fn words<T: Display>(all: &[T]) -> Value {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    json!({ "type": "string", "enum": all })
}

/// The fields of `schema`, and these.
pub(super) fn and(schema: &'static str, fields: Value) -> Value {
    json!({ "allOf": [short(schema), shape(fields)] })
}

fn of(kind: Value) -> Value {
    match kind {
        Value::String(text) => short(&text),
        schema => schema,
    }
}

/// A schema from its short form.
pub(super) fn short(text: &str) -> Value {
    let (kind, says) = text.split_once(": ").map_or((text, None), |(kind, says)| (kind, Some(says)));
    let mut schema = match kind.strip_suffix("|null") {
        Some(kind) => or_null(plain(kind)),
        None => plain(kind),
    };
    if let Some(says) = says {
        schema["description"] = says.into();
    }
    schema
}

/// The same, or null.
pub(super) fn or_null(schema: Value) -> Value {
    let any = [schema, json!({ "type": "null" })];
    json!({ "anyOf": any })
}

fn plain(kind: &str) -> Value {
    if let Some(inner) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({ "type": "array", "items": short(inner) });
    }
    match kind {
        "id" => json!({ "type": "string", "format": "uuid" }),
        "time" => json!({ "type": "string", "format": "date-time" }),
        "date" => json!({ "type": "string", "format": "date" }),
        "month" => json!({ "type": "string", "pattern": "^[0-9]{4}-(0[1-9]|1[0-2])$" }),
        "money" => json!({ "type": "string", "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,6})?$" }),
        "npi" => json!({ "type": "string", "pattern": "^[12][0-9]{9}$" }),
        "slug" => json!({ "type": "string", "pattern": "^[a-z0-9][a-z0-9-]*$" }),
        "text" => json!({ "type": "string" }),
        "number" => json!({ "type": "integer" }),
        "flag" => json!({ "type": "boolean" }),
        "object" => json!({ "type": "object" }),
        "any" => json!({}),
        // A name nobody has given is found by the test that follows every one.
        named => json!({ "$ref": format!("#/components/schemas/{}", named.trim_start_matches('#')) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_be_absent_null_a_list_or_another_schema() {
        let shape = shape(json!({ "id": "id", "reason?": "#Reason|null: why", "lines": "[text]" }));
        assert_eq!(shape["required"], json!(["id", "lines"]));
        assert_eq!(shape["properties"]["id"], json!({ "type": "string", "format": "uuid" }));
        let reason = json!({ "anyOf": [{ "$ref": "#/components/schemas/Reason" }, { "type": "null" }], "description": "why" });
        assert_eq!(shape["properties"]["reason"], reason);
        assert_eq!(shape["properties"]["lines"], json!({ "type": "array", "items": { "type": "string" } }));
    }
}
