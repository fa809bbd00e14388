//! The SHALLs about values, each with its conformance number.

use super::{Case, Element};
use crate::domain::organization::{is_loinc, is_oid};

const NPI: &str = "2.16.840.1.113883.4.6";

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && uuid::Uuid::try_parse(text).is_ok()
}

/// CDA's own pattern for a time, and a calendar behind it.
fn is_time(text: &str) -> bool {
    let (digits, zone) = text.split_at(text.find(['+', '-']).unwrap_or(text.len()));
    let number = |range: std::ops::Range<usize>| digits.get(range).and_then(|part| part.parse::<u32>().ok());
    let shape = digits.bytes().all(|b| b.is_ascii_digit()) && matches!(digits.len(), 4 | 6 | 8 | 14);
    let day =
        number(4..6).is_none_or(|month| (1..=12).contains(&month)) && number(6..8).is_none_or(|day| (1..=31).contains(&day));
    let clock = number(8..10).is_none_or(|hour| hour < 24) && number(10..12).is_none_or(|minute| minute < 60);
    // 81-10130: finer than a day has its offset; a bare date may not have one.
    shape && day && clock && (digits.len() == 14) == (zone.len() == 5)
}

/// Fixed values: path below ClinicalDocument, attribute, value, rule.
const FIXED: &[(&str, &str, &str, &str)] = &[
    ("realmCode", "code", "US", "1198-16791"),
    ("typeId", "root", "2.16.840.1.113883.1.3", "1198-5250"),
    ("typeId", "extension", "POCD_HD000040", "1198-5251"),
    ("code", "codeSystem", "2.16.840.1.113883.6.1", "1198-9992"),
    ("confidentialityCode", "codeSystem", "2.16.840.1.113883.5.25", "1198-5259"),
    ("languageCode", "code", "en-US", "1198-5372"),
    ("component/nonXMLBody/text", "mediaType", "application/pdf", "1198-7623"),
    ("component/nonXMLBody/text", "representation", "B64", "1198-7624"),
];

/// Elements whose code, when there is one, comes from one system.
const SYSTEMS: &[(&str, &str, &[&str], &str)] = &[
    ("/administrativeGenderCode", "2.16.840.1.113883.5.1", &["F", "M", "UN"], "1198-6394"),
    ("/maritalStatusCode", "2.16.840.1.113883.5.2", &["A", "C", "D", "I", "L", "M", "P", "S", "T", "U", "W"], "1198-5303"),
    ("/raceCode", "2.16.840.1.113883.6.238", &["1002-5", "2028-9", "2054-5", "2076-8", "2106-3"], "1198-5322"),
    ("/sdtc:raceCode", "2.16.840.1.113883.6.238", &[], "1198-7263"),
    ("/ethnicGroupCode", "2.16.840.1.113883.6.238", &["2135-2", "2186-5"], "1198-5323"),
    ("/sdtc:ethnicGroupCode", "2.16.840.1.113883.6.238", &[], "1198-32901"),
    ("/assignedAuthor/code", "2.16.840.1.113883.6.101", &[], "1198-16788"),
    ("/assignedEntity/code", "2.16.840.1.113883.6.101", &[], "1198-5449"),
];

pub(super) fn check(case: &Case) {
    let document = case.tree();
    let name = &case.name;
    assert_eq!(document.attribute("xmlns"), Some("urn:hl7-org:v3"), "{name}");
    assert_eq!(document.attribute("xmlns:sdtc"), Some("urn:hl7-org:sdtc"), "{name}");
    for (path, key, value, rule) in FIXED {
        assert_eq!(document.find(path).attribute(key), Some(*value), "{name}: {rule}");
    }
    templates(case, &document);
    assert!(document.find("id").attribute("root").is_some_and(is_uuid), "{name}: 1198-9991");
    assert!(document.find("code").attribute("code").is_some_and(is_loinc), "{name}: 1198-32948");
    assert!(!document.find("title").text.trim().is_empty(), "{name}: 1198-5254");
    assert!(document.find("languageCode").attribute("codeSystem").is_none(), "{name}: a CS has no code system");
    let version = document.find("versionNumber").attribute("value").unwrap();
    assert!(version.parse::<u32>().is_ok_and(|version| version > 0), "{name}: 1198-6387");
    assert!(document.find("setId").attribute("root").is_some_and(is_uuid), "{name}: 1198-6380");
    assert!(!document.find("component/nonXMLBody/text").text.contains(char::is_whitespace), "{name}: unbroken base64");
    for author in document.all("author") {
        let role = author.find("assignedAuthor");
        let kinds = role.all("assignedPerson").count() + role.all("assignedAuthoringDevice").count();
        assert_eq!(kinds, 1, "{name}: 1198-16790");
    }
    for signer in document.all("legalAuthenticator") {
        assert_eq!(signer.find("signatureCode").attribute("code"), Some("S"), "{name}: 1198-5584");
    }
    let birth = document.find("recordTarget/patientRole/patient/birthTime");
    assert!(birth.attribute("value").is_some_and(|time| time.len() >= 4), "{name}: 1198-5299");
    document.walk("", &mut |path, element| values(case, path, element));
}

fn templates(case: &Case, document: &Element) {
    let found: Vec<_> = document.all("templateId").map(|t| (t.attribute("root").unwrap(), t.attribute("extension"))).collect();
    for root in ["2.16.840.1.113883.10.20.22.1.1", "2.16.840.1.113883.10.20.22.1.10"] {
        // 1198-5252, 7710, and 32934 ff. for the bare form.
        assert!(found.contains(&(root, Some("2015-08-01"))) && found.contains(&(root, None)), "{}: {root}", case.name);
    }
}

fn values(case: &Case, path: &str, element: &Element) {
    let name = &case.name;
    let null = element.attribute("nullFlavor");
    let empty = element.attributes.is_empty() && element.children.is_empty() && element.text.trim().is_empty();
    assert!(!empty, "{name}: {path} says nothing");
    assert!(element.attributes.iter().all(|(_, value)| !value.trim().is_empty()), "{name}: {path} has an empty attribute");
    if let Some(flavor) = null {
        assert!(["NI", "UNK", "NA", "OTH", "ASKU", "NASK", "NAV", "MSK"].contains(&flavor), "{name}: {path} {flavor}");
        let beside = ["value", "code", "extension"].iter().any(|key| element.attribute(key).is_some());
        assert!(!beside, "{name}: {path} is null and has a value");
    }
    match element.name.as_str() {
        "id" | "setId" => identifier(case, path, element),
        "time" | "effectiveTime" | "low" | "high" | "birthTime" if null.is_none() => {
            let time = element.attribute("value");
            // 1198-14836 ff.: an interval has no value of its own.
            assert!(time.map_or(!element.children.is_empty(), is_time), "{name}: {path} {time:?}");
        }
        "telecom" if null.is_none() => {
            let value = element.attribute("value").unwrap_or_default();
            assert!(["HP", "HV", "WP", "MC"].contains(&element.attribute("use").unwrap_or_default()), "{name}: 1198-5375");
            let tel =
                value.strip_prefix("tel:").is_some_and(|n| n.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-;=".contains(&b)));
            assert!(tel || value.starts_with("mailto:"), "{name}: {path} {value}");
        }
        "addr" if null.is_none() && element.find("country").text == "US" => {
            // 81-10024, 81-10025
            assert_eq!((element.all("state").count(), element.all("postalCode").count()), (1, 1), "{name}: {path}");
            assert!(["HP", "WP"].contains(&element.attribute("use").unwrap_or_default()), "{name}: 81-7290");
        }
        "addr" => assert!(element.text.trim().is_empty(), "{name}: 81-7296"),
        "code" if path.ends_with("assignedAuthor/code") => assert!(null.is_none(), "{name}: 1198-16788"),
        _ => {}
    }
    for (end, system, codes, rule) in SYSTEMS.iter().filter(|(end, ..)| path.ends_with(end) && null.is_none()) {
        let code = element.attribute("code").unwrap_or_default();
        assert_eq!(element.attribute("codeSystem"), Some(*system), "{name}: {end} {rule}");
        assert!(!code.is_empty() && (codes.is_empty() || codes.contains(&code)), "{name}: {end} {code} {rule}");
    }
}

/// A root is an OID or a UUID (the schema lets other words through), and one without extension is the thing itself.
fn identifier(case: &Case, path: &str, element: &Element) {
    let name = &case.name;
    let root = element.attribute("root");
    assert!(root.is_none_or(|root| is_oid(root) || is_uuid(root)), "{name}: {path} {root:?}");
    if element.attribute("nullFlavor").is_none() {
        assert!(root.is_some_and(|root| is_uuid(root) || element.attribute("extension").is_some()), "{name}: {path}");
    }
    if let Some(npi) = element.attribute("extension").filter(|_| root == Some(NPI)) {
        assert!(npi.parse::<crate::domain::Npi>().is_ok(), "{name}: {path} {npi}");
    }
}
