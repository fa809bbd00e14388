//! What was examined, by whom, and what kind of document says so.

use super::oid;
use crate::domain::organization::is_oid;

/// Document codes (LOINC) and their names.
const DOCUMENTS: [(&str, &str); 9] = [
    ("103592-2", "Retinal eye screening report Document"),
    ("18748-4", "Diagnostic imaging study"),
    ("11502-2", "Laboratory report"),
    ("34807-8", "Ophthalmology Consult note"),
    ("78657-4", "Ophthalmology Procedure note"),
    ("11488-4", "Consult note"),
    ("28570-0", "Procedure note"),
    ("11490-0", "Physician Discharge summary"),
    ("55108-5", "Clinical presentation Document"),
];

/// The name of a document code.
pub(in crate::document) fn document_name(code: &str) -> Option<&'static str> {
    DOCUMENTS.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)
}

/// The code system of a procedure as senders name it: `(object identifier, name)`.
pub(in crate::document) fn procedure(system: &str) -> Option<(&str, Option<&'static str>)> {
    let known = match system.trim().to_ascii_uppercase().as_str() {
        "CPT" | "CPT4" | "CPT-4" | "C4" => Some((oid::CPT, "CPT-4")),
        "LOINC" | "LN" => Some((oid::LOINC, "LOINC")),
        "SNOMED" | "SNOMEDCT" | "SNOMED CT" | "SNOMED-CT" | "SCT" => Some((oid::SNOMED_CT, "SNOMED CT")),
        "HCPCS" | "HPC" => Some((oid::HCPCS, "HCPCS")),
        "ICD10PCS" | "ICD-10-PCS" => Some((oid::ICD_10_PCS, "ICD-10-PCS")),
        _ => None,
    };
    known.map(|(oid, name)| (oid, Some(name))).or_else(|| is_oid(system.trim()).then_some((system.trim(), None)))
}

const TAXONOMIES: [(&str, &str); 8] = [
    ("207W00000X", "Ophthalmology Physician"),
    ("207WX0107X", "Retina Specialist (Ophthalmology) Physician"),
    ("152W00000X", "Optometrist"),
    ("2085R0202X", "Diagnostic Radiology Physician"),
    ("207Q00000X", "Family Medicine Physician"),
    ("207R00000X", "Internal Medicine Physician"),
    ("207ZP0102X", "Anatomic Pathology & Clinical Pathology Physician"),
    ("363L00000X", "Nurse Practitioner"),
];

/// A NUCC taxonomy code and its name; `None` for a text that has not the form of one.
///
/// An author's code may not be a null flavor (CONF:1198-16788), so a bad one is left out altogether.
pub(in crate::document) fn taxonomy(code: &str) -> Option<(&str, Option<&'static str>)> {
    let shaped = code.len() == 10 && code.ends_with('X') && code.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
    shaped.then(|| (code, TAXONOMIES.iter().find(|(known, _)| *known == code).map(|(_, name)| *name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::organization::is_loinc;

    #[test]
    fn every_document_code_has_its_check_digit() {
        assert!(DOCUMENTS.iter().all(|(code, _)| is_loinc(code)));
    }

    #[test]
    fn code_systems_are_known_by_name_or_oid() {
        assert_eq!(procedure("CPT"), Some((oid::CPT, Some("CPT-4"))));
        assert_eq!(procedure("loinc"), Some((oid::LOINC, Some("LOINC"))));
        assert_eq!(procedure("1.2.3"), Some(("1.2.3", None)));
        assert_eq!(procedure("LOCAL"), None);
    }

    #[test]
    fn a_taxonomy_has_ten_characters_and_ends_in_x() {
        assert_eq!(taxonomy("207W00000X"), Some(("207W00000X", Some("Ophthalmology Physician"))));
        assert_eq!(taxonomy("261QM1300X"), Some(("261QM1300X", None)));
        for bad in ["", "207W00000", "207w00000x", "ophthalmol"] {
            assert_eq!(taxonomy(bad), None);
        }
    }
}
