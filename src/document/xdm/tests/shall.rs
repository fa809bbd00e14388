//! What must be in `METADATA.XML`: the order of rim.xsd, the attributes of IHE ITI TF-3 table 4.3.1-3 (XDM), the forms of
//! their values.

use std::collections::BTreeSet;

use super::slot;
use crate::{
    document::unstructured::tests::{cases::Case, tree::Element},
    domain::organization::is_oid,
};

/// Classifications of a document entry that must be there once, by scheme.
const ENTRY_CODES: [(&str, &str); 6] = [
    ("classCode", "urn:uuid:41a5887f-8865-4c09-adf7-e362475b143a"),
    ("confidentialityCode", "urn:uuid:f4f85eac-e6cb-4883-b524-f2705394840f"),
    ("formatCode", "urn:uuid:a09d5840-386c-46f2-b5ad-9c3699a4309d"),
    ("healthcareFacilityTypeCode", "urn:uuid:f33fb8ac-18af-42cc-ae0e-ed0b0bdb91e1"),
    ("practiceSettingCode", "urn:uuid:cccf5598-8b07-4b77-a05e-ae952c785ead"),
    ("typeCode", "urn:uuid:f0306f51-975f-434e-a61c-c59651d33983"),
];
const ENTRY_AUTHOR: &str = "urn:uuid:93606bcf-9494-43ec-9b4e-a7748d1a838d";
const SET_AUTHOR: &str = "urn:uuid:a7058bb9-b4e4-4307-ba5b-e3f0ab85e12d";
const SET_CONTENT_TYPE: &str = "urn:uuid:aa543740-bdda-424e-8c96-df4873be8500";
const LIMITED_ENTRY: &str = "urn:uuid:ab9b591b-83ab-4d03-8f5d-f93b1fb92e85";
const LIMITED_SET: &str = "urn:uuid:5003a9db-8d8d-49e6-bf0c-990e34ac7707";

/// Checks the metadata of `documents` documents.
pub(super) fn check(case: &Case, root: &Element, documents: usize) {
    let name = &case.name;
    assert_eq!(root.name, "lcm:SubmitObjectsRequest", "{name}");
    assert_eq!(root.attribute("xmlns:lcm"), Some("urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"), "{name}");
    assert_eq!(root.attribute("xmlns:rim"), Some("urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"), "{name}");
    assert_eq!(root.children.len(), 1, "{name}");
    let list = root.find("rim:RegistryObjectList");
    let entries: Vec<&Element> = list.all("rim:ExtrinsicObject").collect();
    let sets: Vec<&Element> = list.all("rim:RegistryPackage").collect();
    assert_eq!((entries.len(), sets.len()), (documents, 1), "{name}");
    objects(name, list);
    for entry in &entries {
        document_entry(name, entry);
    }
    submission_set(name, sets[0]);
    members(name, list, sets[0], &entries);
}

/// What holds for every object: schema order, required attributes, ids that are unique and name their owner, lengths.
fn objects(name: &str, list: &Element) {
    let mut ids = BTreeSet::new();
    list.walk("", &mut |path, element| {
        for (key, value) in &element.attributes {
            assert!(key == "nodeRepresentation" || !value.trim().is_empty(), "{name}: {path} {key}");
            assert!(value.chars().count() <= 256, "{name}: {path} {key} is too long");
        }
        if let Some(id) = element.attribute("id") {
            assert!(ids.insert(id.to_owned()), "{name}: {id} twice");
        }
        if element.name == "rim:Value" {
            assert!(!element.text.trim().is_empty() && element.text.chars().count() <= 256, "{name}: {path}: {}", element.text);
        }
        let order = ["rim:Slot", "rim:Name", "rim:Classification", "rim:ExternalIdentifier"];
        if element.attribute("objectType").is_some() {
            let places: Vec<_> = element.children.iter().map(|child| order.iter().position(|name| *name == child.name)).collect();
            assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{name}: {path}: {places:?}");
        }
        let own = element.attribute("id").filter(|_| element.name != "rim:Association");
        for child in &element.children {
            let owner = child.attribute("classifiedObject").or_else(|| child.attribute("registryObject"));
            assert!(owner.is_none() || owner == own, "{name}: {path}: {} of {owner:?} in {own:?}", child.name);
        }
    });
}

fn code<'a>(object: &'a Element, scheme: &str) -> Vec<&'a Element> {
    object.all("rim:Classification").filter(|c| c.attribute("classificationScheme") == Some(scheme)).collect()
}

/// One code with its system and name.
fn one_code(name: &str, object: &Element, what: &str, scheme: &str) {
    let found = code(object, scheme);
    assert_eq!(found.len(), 1, "{name}: {what}");
    assert!(!found[0].attribute("nodeRepresentation").unwrap_or("").is_empty(), "{name}: {what}");
    let system = slot(found[0], "codingScheme");
    assert!(system.len() == 1 && is_oid(&system[0]), "{name}: {what}: {system:?}");
    assert!(found[0].find("rim:Name/rim:LocalizedString").attribute("value").is_some(), "{name}: {what}");
}

fn is_a(object: &Element, node: &str) -> bool {
    object.all("rim:Classification").any(|c| c.attribute("classificationNode") == Some(node))
}

fn identifier<'a>(object: &'a Element, what: &str) -> Option<&'a str> {
    let named = |id: &&Element| id.find("rim:Name/rim:LocalizedString").attribute("value") == Some(what);
    object.all("rim:ExternalIdentifier").find(named).and_then(|id| id.attribute("value"))
}

/// DTM: to the second, in digits.
fn dtm(name: &str, object: &Element, what: &str) {
    for value in slot(object, what) {
        assert!(value.len() == 14 && value.bytes().all(|b| b.is_ascii_digit()), "{name}: {what} {value}");
    }
}

fn document_entry(name: &str, entry: &Element) {
    assert_eq!(entry.attribute("objectType"), Some("urn:uuid:7edca82f-054d-47f2-a032-9b2a5b5186c1"), "{name}");
    assert!(entry.attribute("id").unwrap().starts_with("urn:uuid:"), "{name}");
    assert!(["text/xml", "application/pdf"].contains(&entry.attribute("mimeType").unwrap()), "{name}");
    for required in ["creationTime", "hash", "size", "URI", "languageCode", "sourcePatientInfo"] {
        assert!(!slot(entry, required).is_empty(), "{name}: {required}");
    }
    for time in ["creationTime", "serviceStartTime", "serviceStopTime"] {
        dtm(name, entry, time);
    }
    let hash = slot(entry, "hash").concat();
    assert!(hash.len() == 40 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{name}: {hash}");
    for field in slot(entry, "sourcePatientInfo") {
        let known = ["PID-3|", "PID-5|", "PID-7|", "PID-8|", "PID-11|"].iter().any(|start| field.starts_with(start));
        assert!(known && field.matches('|').count() == 1, "{name}: {field}");
    }
    for (what, scheme) in ENTRY_CODES {
        one_code(name, entry, what, scheme);
    }
    let authors = code(entry, ENTRY_AUTHOR);
    assert_eq!((authors.len(), authors[0].attribute("nodeRepresentation")), (1, Some("")), "{name}");
    assert!(is_oid(identifier(entry, "XDSDocumentEntry.uniqueId").unwrap()), "{name}");
    // Complete, or labelled as not: never neither.
    let patient = identifier(entry, "XDSDocumentEntry.patientId");
    assert_eq!(patient.is_none(), is_a(entry, LIMITED_ENTRY), "{name}");
    assert_eq!(slot(entry, "sourcePatientId"), patient.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{name}");
}

fn submission_set(name: &str, set: &Element) {
    assert!(is_a(set, "urn:uuid:a54d6aa5-d40d-43f9-88c5-b4633d873bdd"), "{name}: not a submission set");
    assert_eq!(slot(set, "submissionTime").len(), 1, "{name}");
    dtm(name, set, "submissionTime");
    one_code(name, set, "contentTypeCode", SET_CONTENT_TYPE);
    let authors = code(set, SET_AUTHOR);
    assert_eq!(authors.len(), 1, "{name}");
    assert_eq!(slot(authors[0], "authorTelecommunication"), ["^^Internet^results@direct.north.example"], "{name}");
    assert!(is_oid(identifier(set, "XDSSubmissionSet.uniqueId").unwrap()), "{name}");
    assert!(is_oid(identifier(set, "XDSSubmissionSet.sourceId").unwrap()), "{name}");
    assert_eq!(identifier(set, "XDSSubmissionSet.patientId").is_none(), is_a(set, LIMITED_SET), "{name}");
}

/// Every document is a member of the set, and no association leads from anywhere else.
fn members(name: &str, list: &Element, set: &Element, entries: &[&Element]) {
    let id = |element: &Element| element.attribute("id").unwrap().to_owned();
    let mut members = Vec::new();
    for association in list.all("rim:Association") {
        let kind = association.attribute("associationType").unwrap();
        let (source, target) = (association.attribute("sourceObject").unwrap(), association.attribute("targetObject").unwrap());
        if kind == "urn:oasis:names:tc:ebxml-regrep:AssociationType:HasMember" {
            assert_eq!(source, id(set), "{name}");
            assert_eq!(slot(association, "SubmissionSetStatus"), ["Original"], "{name}");
            members.push(target.to_owned());
        } else {
            assert!(entries.iter().any(|entry| id(entry) == source) && target.starts_with("urn:uuid:"), "{name}: {kind}");
        }
    }
    assert_eq!(members, entries.iter().map(|entry| id(entry)).collect::<Vec<_>>(), "{name}");
}
