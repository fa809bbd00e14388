//! The NPI Registry's API, version 2.1. It answers 200 to everything, also with an error; gives numbers now as text, now as
//! numbers; leaves keys out; and writes `--` for nothing.

use serde_json::Value;

use super::{Place, Reply, Trouble, reply};
use crate::{
    domain::{
        Npi,
        route::{AddressKind, DirectoryRow},
    },
    resolve::directory::clean,
};

pub(super) async fn ask(place: &Place, npi: &Npi) -> Result<Reply, Trouble> {
    let url = format!("{}?version=2.1&number={npi}", place.settings.base());
    read(&place.get(&url, "application/json").await?.body, npi)
}

/// Reads an answer; what is not about this NPI does not count.
fn read(body: &[u8], npi: &Npi) -> Result<Reply, Trouble> {
    let unusable = |why: &str| Trouble::Unusable(why.to_owned());
    let answer: Value = serde_json::from_slice(body).map_err(|_| unusable("answered with something that is not JSON"))?;
    if let Some(errors) = answer.get("Errors").or_else(|| answer.get("errors")) {
        return Err(Trouble::Unusable(in_words(errors)));
    }
    let results = answer.get("results").and_then(Value::as_array).ok_or_else(|| unusable("answered without results"))?;
    let count = answer.get("result_count").map(text).and_then(|count| count.parse::<usize>().ok());
    let Some(record) = results.iter().find(|result| result.get("number").map(text).as_deref() == Some(npi.as_str())) else {
        return match (results.is_empty(), count) {
            // Nobody has this number: deactivated numbers are removed, so it looks the same.
            (true, None | Some(0)) => Ok(Reply::Unknown),
            _ => Err(unusable("answered about other NPIs than the one asked for")),
        };
    };
    let status = record.get("basic").and_then(|basic| basic.get("status")).map(text).unwrap_or_default();
    if matches!(status.to_ascii_uppercase().as_str(), "D" | "DEACTIVATED") {
        return Ok(Reply::Inactive);
    }
    let organization = record.get("enumeration_type").map(text).as_deref() == Some("NPI-2");
    let endpoints = match record.get("endpoints") {
        None | Some(Value::Null) => &[],
        Some(Value::Array(endpoints)) => &endpoints[..],
        Some(_) => return Err(unusable("answered with endpoints that are no list")),
    };
    let rows = endpoints.iter().filter_map(|endpoint| row(endpoint, npi, organization)).collect();
    Ok(reply(rows))
}

fn row(endpoint: &Value, npi: &Npi, organization: bool) -> Option<DirectoryRow> {
    let field = |name: &str| endpoint.get(name).map(text).unwrap_or_default();
    if !field("endpointType").eq_ignore_ascii_case("DIRECT") {
        return None;
    }
    let address = clean::address(&field("endpoint")).ok()?;
    // The name is spelt one way in the data and another in its description.
    let name = [field("affiliationName"), field("affliationName")].into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let name = if field("affiliation").eq_ignore_ascii_case("y") { name } else { String::new() };
    Some(DirectoryRow {
        npi: npi.clone(),
        address: Some(address),
        kind: organization.then_some(AddressKind::Organization),
        rank: None,
        affiliation: clean::affiliation(None, &name, &field("state"), &field("postal_code")),
        active: true,
    })
}

/// Text, a number or nothing as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => clean::text(text.as_bytes()).unwrap_or_default(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn in_words(errors: &Value) -> String {
    let first = errors.as_array().and_then(|errors| errors.first()).unwrap_or(errors);
    let field = |name: &str| first.get(name).map(text).and_then(|text| clean::name(&text)).unwrap_or_default();
    format!("answered with error {}: {}", field("number"), field("description"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ask(answer: &Value) -> Result<Reply, Trouble> {
        read(answer.to_string().as_bytes(), &"2000000010".parse().unwrap())
    }

    fn record(number: &Value, endpoints: &Value) -> Value {
        json!({ "result_count": 1, "results": [{ "number": number, "enumeration_type": "NPI-1", "basic": { "status": "A" },
            "endpoints": endpoints }] })
    }

    #[test]
    fn numbers_come_as_text_or_number_and_keys_may_be_absent() {
        let direct = json!([{ "endpointType": "DIRECT", "endpoint": " a@d.example " }]);
        for number in [json!("2000000010"), json!(2_000_000_010_u64)] {
            assert!(matches!(ask(&record(&number, &direct)), Ok(Reply::Found(rows)) if rows.len() == 1));
        }
        assert_eq!(ask(&record(&json!("2000000010"), &json!(null))), Ok(Reply::Known));
        assert_eq!(ask(&json!({ "result_count": 1, "results": [{ "number": "2000000010" }] })), Ok(Reply::Known));
        assert_eq!(ask(&json!({ "result_count": "0", "results": [] })), Ok(Reply::Unknown));
    }

    #[test]
    fn only_direct_endpoints_with_a_usable_address_count_and_the_name_has_two_spellings() {
        let endpoints = json!([
            { "endpointType": "OTHERS", "endpoint": "o@d.example" },
            { "endpointType": "direct", "endpoint": "a@d.example", "affiliation": "Y", "affliationName": "NORTH CLINIC LLC",
              "state": "OH", "postal_code": "454020001" },
            { "endpointType": "DIRECT", "endpoint": "b@d.example", "affiliation": "N", "affiliationName": "--" },
            { "endpointType": "DIRECT", "endpoint": "https://x.example" },
        ]);
        let Ok(Reply::Found(rows)) = ask(&record(&json!("2000000010"), &endpoints)) else { panic!("not found") };
        let names: Vec<_> = rows.iter().map(|row| row.affiliation.name.as_deref()).collect();
        assert_eq!(names, [Some("NORTH CLINIC LLC"), None]);
        assert_eq!(rows[0].affiliation.postal_code.as_deref(), Some("454020001"));
    }

    #[test]
    fn an_error_in_an_answer_that_looks_well_is_unavailable_and_never_not_found() {
        let errors = json!({ "Errors": [{ "description": "NPI must be 10 digits", "field": "number", "number": "06" }] });
        assert_eq!(ask(&errors), Err(Trouble::Unusable("answered with error 06: NPI must be 10 digits".into())));
        for answer in [
            json!({ "Errors": "?" }),
            json!({}),
            json!([]),
            json!({ "result_count": 0 }),
            json!({ "result_count": 0, "results": {} }),
            json!({ "result_count": 5, "results": [] }),
            json!({ "result_count": 1, "results": [{ "number": "1234567893" }] }),
            record(&json!("2000000010"), &json!("none")),
        ] {
            assert!(matches!(ask(&answer), Err(Trouble::Unusable(_))), "{answer}");
        }
        let npi = "2000000010".parse().unwrap();
        for body in ["", "<html>", "{\"results\":[", &"[".repeat(10_000)] {
            assert!(matches!(read(body.as_bytes(), &npi), Err(Trouble::Unusable(_))));
        }
    }

    #[test]
    fn one_that_is_deactivated_says_so() {
        let mut answer = record(&json!("2000000010"), &json!([]));
        answer["results"][0]["basic"]["status"] = json!("D");
        assert_eq!(ask(&answer), Ok(Reply::Inactive));
    }
}
