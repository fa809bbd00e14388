//! The order of elements and how often each may stand (CDA R2 schema, narrowed by C-CDA R2.1 and by what we write).

use super::{Case, Element};

/// Any number.
const MANY: usize = usize::MAX;

/// An element's children in their order: name, least, most.
type Children = &'static [(&'static str, usize, usize)];

/// An organization has its telecom before its address ...
const ORGANIZATION: Children = &[("id", 1, 1), ("name", 1, 1), ("telecom", 1, 1), ("addr", 1, 1)];
/// ... a role has its address before its telecom.
const ROLE: Children = &[
    ("id", 1, 1),
    ("code", 0, 1),
    ("addr", 1, 1),
    ("telecom", 1, 1),
    ("assignedPerson", 1, 1),
    ("representedOrganization", 1, 1),
];

const TABLE: &[(&str, Children)] = &[
    (
        "ClinicalDocument",
        &[
            ("realmCode", 1, 1),
            ("typeId", 1, 1),
            ("templateId", 4, 4),
            ("id", 1, 1),
            ("code", 1, 1),
            ("title", 1, 1),
            ("effectiveTime", 1, 1),
            ("confidentialityCode", 1, 1),
            ("languageCode", 1, 1),
            ("setId", 1, 1),
            ("versionNumber", 1, 1),
            ("recordTarget", 1, 1),
            ("author", 1, 2),
            ("custodian", 1, 1),
            ("informationRecipient", 0, 1),
            ("legalAuthenticator", 0, 1),
            ("participant", 0, 1),
            ("inFulfillmentOf", 1, 1),
            ("documentationOf", 1, 1),
            ("relatedDocument", 0, 1),
            ("componentOf", 0, 1),
            ("component", 1, 1),
        ],
    ),
    ("recordTarget", &[("patientRole", 1, 1)]),
    ("patientRole", &[("id", 1, 1), ("addr", 1, 1), ("telecom", 1, 1), ("patient", 1, 1), ("providerOrganization", 1, 1)]),
    (
        "patient",
        &[
            ("name", 1, 1),
            ("administrativeGenderCode", 1, 1),
            ("birthTime", 1, 1),
            ("maritalStatusCode", 0, 1),
            ("raceCode", 1, 1),
            ("sdtc:raceCode", 0, MANY),
            ("ethnicGroupCode", 1, 1),
            ("sdtc:ethnicGroupCode", 0, MANY),
            ("languageCommunication", 0, 1),
        ],
    ),
    ("languageCommunication", &[("languageCode", 1, 1), ("preferenceInd", 1, 1)]),
    ("providerOrganization", ORGANIZATION),
    ("author", &[("time", 1, 1), ("assignedAuthor", 1, 1)]),
    (
        "assignedAuthor",
        &[
            ("id", 1, 1),
            ("code", 0, 1),
            ("addr", 1, 1),
            ("telecom", 1, 1),
            ("assignedPerson", 0, 1),
            ("assignedAuthoringDevice", 0, 1),
            ("representedOrganization", 1, 1),
        ],
    ),
    ("assignedAuthoringDevice", &[("manufacturerModelName", 1, 1), ("softwareName", 1, 1)]),
    ("assignedPerson", &[("name", 1, 1)]),
    ("representedOrganization", ORGANIZATION),
    ("custodian", &[("assignedCustodian", 1, 1)]),
    ("assignedCustodian", &[("representedCustodianOrganization", 1, 1)]),
    ("representedCustodianOrganization", ORGANIZATION),
    ("informationRecipient", &[("intendedRecipient", 1, 1)]),
    ("intendedRecipient", &[("id", 0, 1), ("telecom", 0, 1), ("informationRecipient", 0, 1), ("receivedOrganization", 0, 1)]),
    ("intendedRecipient/informationRecipient", &[("name", 1, 1)]),
    ("receivedOrganization", &[("name", 1, 1)]),
    ("legalAuthenticator", &[("time", 1, 1), ("signatureCode", 1, 1), ("assignedEntity", 1, 1)]),
    ("assignedEntity", ROLE),
    ("participant", &[("associatedEntity", 1, 1)]),
    ("associatedEntity", &[("id", 1, 1), ("associatedPerson", 1, 1)]),
    ("associatedPerson", &[("name", 1, 1)]),
    ("inFulfillmentOf", &[("order", 1, 1)]),
    ("order", &[("id", 1, 1), ("code", 0, 1), ("priorityCode", 1, 1)]),
    ("documentationOf", &[("serviceEvent", 1, 1)]),
    ("serviceEvent", &[("code", 0, 1), ("effectiveTime", 1, 1), ("performer", 0, 1)]),
    ("serviceEvent/effectiveTime", &[("low", 1, 1), ("high", 0, 1)]),
    ("performer", &[("assignedEntity", 1, 1)]),
    ("relatedDocument", &[("parentDocument", 1, 1)]),
    ("parentDocument", &[("id", 1, 1), ("setId", 1, 1), ("versionNumber", 1, 1)]),
    ("componentOf", &[("encompassingEncounter", 1, 1)]),
    ("encompassingEncounter", &[("id", 1, 1), ("effectiveTime", 1, 1)]),
    ("encompassingEncounter/effectiveTime", &[("low", 1, 1)]),
    ("component", &[("nonXMLBody", 1, 1)]),
    ("nonXMLBody", &[("text", 1, 1)]),
    ("addr", &[("streetAddressLine", 1, 4), ("city", 1, 1), ("state", 0, 1), ("postalCode", 0, 1), ("country", 1, 1)]),
    ("patient/name", PERSON_NAME),
    ("assignedPerson/name", PERSON_NAME),
    ("associatedPerson/name", PERSON_NAME),
    ("informationRecipient/name", PERSON_NAME),
];

const PERSON_NAME: Children = &[("prefix", 0, 1), ("given", 1, MANY), ("family", 1, 1), ("suffix", 0, 1)];

/// What an element of this path may contain; nothing when the table does not say.
fn children(path: &str) -> Children {
    let ends = |key: &str| path.strip_suffix(key).is_some_and(|rest| rest.ends_with('/'));
    let found = TABLE.iter().filter(|(key, _)| ends(key)).max_by_key(|(key, _)| key.len());
    found.map_or(&[], |(_, children)| *children)
}

pub(super) fn check(case: &Case) {
    case.tree().walk("", &mut |path, element| check_one(case, path, element));
}

fn check_one(case: &Case, path: &str, element: &Element) {
    let name = &case.name;
    if element.attribute("nullFlavor").is_some() {
        let only_text = element.children.iter().all(|child| child.name == "originalText");
        return assert!(only_text && element.text.is_empty(), "{name}: {path} is null and has content");
    }
    let mut position = 0;
    let table = children(path);
    for child in &element.children {
        let found = table.iter().position(|(expected, ..)| *expected == child.name);
        let found = found.unwrap_or_else(|| panic!("{name}: {path} may not contain {}", child.name));
        assert!(found >= position, "{name}: {path}/{} stands too late", child.name);
        position = found;
    }
    for (child, least, most) in table {
        let count = element.all(child).count();
        // The one deliberate exception: the mode that leaves the patient's id out.
        let least = if case.omits_id() && *child == "id" && path.ends_with("/patientRole") { &0 } else { least };
        assert!(count >= *least && count <= *most, "{name}: {path} has {count} of {child}");
    }
}
