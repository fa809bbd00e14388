//! In what setting a document arose: the codes of the metadata that neither order nor report states as such.

use super::rim::Code;
use crate::document::{
    Facts,
    codes::{document_name, oid},
};

const fn loinc<'a>(value: &'a str, name: &'a str) -> Code<'a> {
    Code { value, system: oid::LOINC, name }
}

const fn snomed(value: &'static str, name: &'static str) -> Code<'static> {
    Code { value, system: oid::SNOMED_CT, name }
}

const OPHTHALMOLOGY: Code<'static> = snomed("394594003", "Ophthalmology");
const RADIOLOGY: Code<'static> = snomed("394914008", "Radiology");
const PATHOLOGY: Code<'static> = snomed("394915009", "General pathology");
/// What all of them are.
const SPECIALTY: Code<'static> = snomed("394658006", "Clinical specialty");

/// What precisely the document is: its LOINC code.
pub(super) fn type_code<'a>(facts: &'a Facts<'_>, title: &'a str) -> Code<'a> {
    let code = facts.document_code();
    loinc(code, document_name(code).unwrap_or(title))
}

/// The broad class of the document: a LOINC code as well, of the short list that receivers sort by.
pub(super) fn class_code(facts: &Facts<'_>) -> Code<'static> {
    match facts.document_code() {
        "11502-2" => loinc("11502-2", "Laboratory report"),
        "11488-4" | "34807-8" => loinc("11488-4", "Consult note"),
        "28570-0" | "78657-4" => loinc("28570-0", "Procedure note"),
        _ => loinc("18748-4", "Diagnostic imaging study"),
    }
}

/// The specialty it belongs to: that of the document, else of who read the exam, else only that it is one.
pub(super) fn practice_setting(facts: &Facts<'_>) -> Code<'static> {
    let of_document = match facts.document_code() {
        "103592-2" | "34807-8" | "78657-4" => Some(OPHTHALMOLOGY),
        "11502-2" => Some(PATHOLOGY),
        _ => None,
    };
    let taxonomy = facts.report.author.as_ref().and_then(|reader| reader.taxonomy.as_deref()).unwrap_or("");
    let of_reader = [("207W", OPHTHALMOLOGY), ("152W", OPHTHALMOLOGY), ("2085", RADIOLOGY), ("207Z", PATHOLOGY)]
        .into_iter()
        .find_map(|(start, setting)| taxonomy.starts_with(start).then_some(setting));
    let imaging = (facts.document_code() == "18748-4").then_some(RADIOLOGY);
    of_document.or(of_reader).or(imaging).unwrap_or(SPECIALTY)
}

/// The kind of place: nobody tells us more than that care was given there.
pub(super) const FACILITY: Code<'static> = snomed("43741000", "Site of care");
