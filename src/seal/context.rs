//! The context metadata: what the receiving system needs to file the message (Expressing Context in Direct Messaging
//! 1.1).

use super::mime::one_line;
use crate::domain::{Patient, order::GenderCode, words};

words! {
    /// The category of the exam.
    pub enum Category {
        /// A laboratory result.
        Laboratory = "laboratory/result",
        /// A radiology or imaging report.
        Radiology = "radiology/report",
    }
}

/// What the metadata states.
#[derive(Debug, Clone)]
pub struct Context<'a> {
    /// What kind of result it is.
    pub category: Category,
    /// The patient's identifier as (assigning authority OID, identifier), where the organization allows to send it.
    pub patient_id: Option<(&'a str, &'a str)>,
    /// The patient.
    pub patient: &'a Patient,
}

/// The content of `metadata.txt`; `id` is its own unique id. Long fields are folded.
pub(super) fn write(context: &Context<'_>, id: &str) -> String {
    let mut lines = vec!["version: 1.1".to_owned(), format!("id: {id}")];
    if let Some((authority, identifier)) = context.patient_id {
        lines.push(format!("patient-id: {}:{}", value(authority), value(identifier)));
    }
    lines.push(format!("type: {}", context.category));
    lines.push("purpose: treatment".to_owned());
    lines.push(format!("patient: {}", patient(context.patient).join(";\r\n ")));
    lines.join("\r\n") + "\r\n"
}

fn patient(patient: &Patient) -> Vec<String> {
    let given = patient.name.given.first().map(String::as_str);
    let middle = patient.name.given.get(1..).filter(|rest| !rest.is_empty()).map(|rest| rest.join(" "));
    let address = patient.address.as_ref();
    let street = address.map(|address| address.lines.join(" ")).filter(|lines| !lines.is_empty());
    let gender = match patient.gender.code {
        GenderCode::Female => Some("F"),
        GenderCode::Male => Some("M"),
        GenderCode::Undifferentiated | GenderCode::Unknown => None,
    };
    // The form is YYYY-MM-DD; a date known only to the month is better left out than invented.
    let birth_date = Some(patient.birth_date.as_str()).filter(|date| date.len() == 10);
    [
        ("givenName", given),
        ("surname", Some(patient.name.family.as_str())),
        ("middleName", middle.as_deref()),
        ("dateOfBirth", birth_date),
        ("gender", gender),
        ("telephoneNumber", patient.phone.as_deref()),
        ("streetAddress", street.as_deref()),
        ("localityName", address.and_then(|address| address.city.as_deref())),
        ("stateOrProvinceName", address.and_then(|address| address.state.as_deref())),
        ("postalCode", address.and_then(|address| address.postal_code.as_deref())),
        ("country", address.and_then(|address| address.country.as_deref())),
    ]
    .into_iter()
    .filter_map(|(name, given)| given.map(|given| format!("{name}={}", value(given))))
    .collect()
}

/// `;` separates and `=` assigns; neither can be escaped in this format.
fn value(text: &str) -> String {
    one_line(text).replace([';', '='], " ")
}
