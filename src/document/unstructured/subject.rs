//! Whom the document is about: `recordTarget`.

use super::parts;
use crate::{
    document::{Facts, codes, codes::oid, xml::Xml},
    domain::{
        Patient,
        order::GenderCode,
        organization::{PatientId, is_oid},
    },
};

/// CONF:1198-5266, 5267.
pub(super) fn record_target(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let patient = &facts.order.patient;
    xml.open("recordTarget", &[]);
    xml.open("patientRole", &[]);
    identifier(xml, facts);
    parts::address(xml, "HP", patient.address.as_ref()); // CONF:1198-5271
    parts::phone(xml, "HP", patient.phone.as_deref()); // CONF:1198-5280
    person(xml, patient);
    parts::organization(xml, "providerOrganization", &facts.sender.site); // CONF:1198-5416
    xml.close("patientRole");
    xml.close("recordTarget");
}

/// CONF:1198-5268. An identifier without its authority identifies nobody, and an authority without one claims to be the
/// patient: without both it is the null flavor.
fn identifier(xml: &mut Xml<'_>, facts: &Facts<'_>) {
    let mrn = || {
        let root = facts.sender.assigning_authority.as_deref().filter(|root| is_oid(root))?;
        let extension = facts.order.patient.local_id.as_deref().map(str::trim).filter(|id| !id.is_empty())?;
        Some((root, extension))
    };
    match (facts.patient_id, mrn()) {
        (PatientId::Omit, _) => {}
        (PatientId::Mrn, Some((root, extension))) => xml.empty("id", &[("root", root), ("extension", extension)]),
        (PatientId::Mrn, None) | (PatientId::Null, _) => xml.null("id", "NI"),
    }
}

fn person(xml: &mut Xml<'_>, patient: &Patient) {
    let system = patient.code_system;
    xml.open("patient", &[]); // CONF:1198-5283
    parts::name(xml, &[("use", "L")], &patient.name); // CONF:1198-5284
    let gender = match patient.gender.code {
        GenderCode::Female => Some("Female"),
        GenderCode::Male => Some("Male"),
        GenderCode::Undifferentiated => Some("Undifferentiated"),
        GenderCode::Unknown => None,
    };
    // CONF:1198-6394: F, M and UN are all the value set has.
    match gender {
        Some(name) => {
            let code = patient.gender.code.as_str();
            xml.empty("administrativeGenderCode", &[("code", code), ("codeSystem", oid::GENDER), ("displayName", name)]);
        }
        None => xml.null("administrativeGenderCode", "UNK"),
    }
    xml.empty("birthTime", &[("value", &patient.birth_date.hl7())]); // CONF:1198-5298
    if let Some(status) = &patient.marital_status {
        parts::coded(xml, "maritalStatusCode", oid::MARITAL_STATUS, &codes::marital_status(status.trim(), system)); // CONF:1198-5303
    }
    let race = codes::race(&patient.race, system);
    parts::coded(xml, "raceCode", oid::RACE_AND_ETHNICITY, &race.category);
    for detail in &race.details {
        parts::coded(xml, "sdtc:raceCode", oid::RACE_AND_ETHNICITY, detail);
    }
    let (group, detail) = codes::ethnicity(patient.ethnicity.as_deref(), system);
    parts::coded(xml, "ethnicGroupCode", oid::RACE_AND_ETHNICITY, &group);
    if let Some(detail) = &detail {
        parts::coded(xml, "sdtc:ethnicGroupCode", oid::RACE_AND_ETHNICITY, detail);
    }
    if let Some(language) = &patient.language {
        xml.open("languageCommunication", &[]); // CONF:1198-5406, 5407, 5414
        match codes::language(language) {
            Some(code) => xml.empty("languageCode", &[("code", &code)]),
            None => xml.null("languageCode", "OTH"),
        }
        xml.empty("preferenceInd", &[("value", "true")]);
        xml.close("languageCommunication");
    }
    xml.close("patient");
}
