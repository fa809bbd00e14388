//! What the document says about itself.

use crate::document::{Facts, codes, codes::oid, xml::Xml};

/// US Realm Header and Unstructured Document (CONF:1198-5252, 7710).
const TEMPLATES: [&str; 2] = ["2.16.840.1.113883.10.20.22.1.1", "2.16.840.1.113883.10.20.22.1.10"];
/// C-CDA R2.1 (CONF:1198-32503, 32522).
const RELEASE: &str = "2015-08-01";

/// From `realmCode` to `versionNumber`.
pub(super) fn document(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    xml.empty("realmCode", &[("code", "US")]); // CONF:1198-16791
    xml.empty("typeId", &[("root", "2.16.840.1.113883.1.3"), ("extension", "POCD_HD000040")]); // CONF:1198-5250, 5251
    for template in TEMPLATES {
        // Both forms: validators before September 2025 want the one without extension as well (CONF:1198-32934 ff.).
        xml.empty("templateId", &[("root", template)]);
        xml.empty("templateId", &[("root", template), ("extension", RELEASE)]);
    }
    xml.empty("id", &[("root", &facts.document_id.to_string())]); // CONF:1198-9991
    code(xml, facts.document_code());
    xml.text("title", &facts.title()); // CONF:1198-5254
    xml.empty("effectiveTime", &[("value", &facts.made_at.hl7())]); // CONF:1198-5256
    xml.empty("confidentialityCode", &[("code", facts.confidentiality.as_str()), ("codeSystem", oid::CONFIDENTIALITY)]); // CONF:1198-5259
    xml.empty("languageCode", &[("code", "en-US")]); // CONF:1198-5372; a CS: no code system
    // CONF:1198-6380, 6387: each needs the other.
    xml.empty("setId", &[("root", &facts.set_id.to_string())]);
    xml.empty("versionNumber", &[("value", &facts.version.to_string())]);
}

fn code(xml: &mut Xml<'_>, code: &str) {
    // CONF:1198-5253, 9992, 32948
    let mut attributes = vec![("code", code), ("codeSystem", oid::LOINC), ("codeSystemName", "LOINC")];
    attributes.extend(codes::document_name(code).map(|name| ("displayName", name)));
    xml.empty("code", &attributes);
}
