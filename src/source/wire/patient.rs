//! The patient, names, addresses, dates and times of the wire.

use super::{
    fields::{Fields, Findings},
    json::Node,
};
use crate::domain::{
    BirthDate, OffsetTime, Patient, Timestamp,
    order::{CodeSystem, Gender, PersonName, PostalAddress},
    text::FIELD_LIMIT,
    time::{BadTime, Date},
};

/// Longest key a sender may choose: order ids, site and patient identifiers, member numbers.
pub(super) const KEY_LIMIT: usize = 100;
/// Longest code of a vocabulary.
const CODE_LIMIT: usize = 50;

/// Reads the patient.
pub(super) fn read(findings: &Findings, at: &str, node: &Node<'_>, today: Date) -> Option<Patient> {
    let mut fields = Fields::of(findings, at, node)?;
    // Product rule: a social security number is discarded on arrival, noted, never stored.
    if fields.take("ssn").is_some() {
        findings.warning(&fields.pointer("ssn"), "ssn_discarded", "was discarded: social security numbers are never stored");
    }
    let local_id = fields.text("local_id", KEY_LIMIT);
    let name = fields.require("name").and_then(|node| name(findings, &fields.pointer("name"), node, Whose::Patient));
    let birth_date = birth_date(&mut fields, today);
    let gender = gender(&mut fields);
    let address = fields.take("address").and_then(|node| address(findings, &fields.pointer("address"), node));
    let phone = fields.text("phone", CODE_LIMIT);
    let marital_status = fields.text("marital_status", CODE_LIMIT);
    let race = fields.texts("race", CODE_LIMIT, 20);
    let ethnicity = fields.text("ethnicity", CODE_LIMIT);
    let language = fields.text("language", CODE_LIMIT);
    let code_system = fields.word("code_system", CodeSystem::V3);
    fields.done();
    Some(Patient {
        local_id,
        name: name?,
        birth_date: birth_date?,
        gender: gender?,
        address,
        phone,
        marital_status,
        race,
        ethnicity,
        language,
        code_system,
    })
}

fn birth_date(fields: &mut Fields<'_, '_>, today: Date) -> Option<BirthDate> {
    let text = fields.required_text("birth_date", CODE_LIMIT)?;
    match text.parse::<BirthDate>() {
        Ok(date) if date.is_after(today) => {
            fields.problem("birth_date", "future_date", "lies in the future");
            None
        }
        Ok(date) => Some(date),
        Err(bad) => {
            let (code, hint) =
                if bad == BadTime::Calendar { ("impossible_date", "") } else { ("bad_date", " (or 1964-02, or 1964)") };
            fields.problem("birth_date", code, format!("{bad}{hint}"));
            None
        }
    }
}

fn gender(fields: &mut Fields<'_, '_>) -> Option<Gender> {
    let text = fields.required_text("gender", CODE_LIMIT)?;
    let gender = Gender::parse(&text);
    if gender.is_none() {
        let taken = "F, M, O, A, UN, X, TM, TF, ND, EQ, NL, other, U, N, unknown";
        fields.problem("gender", "unknown_code", format!("must be one of {taken}"));
    }
    gender
}

/// Whose name it is: a patient has a family name and a given name, others at least a family name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Patient,
    Clinician,
}

/// Reads a name.
pub(super) fn name(findings: &Findings, at: &str, node: &Node<'_>, whose: Whose) -> Option<PersonName> {
    let mut fields = Fields::of(findings, at, node)?;
    let family = fields.required_text("family", FIELD_LIMIT);
    let before = findings.problems.borrow().len();
    let given = fields.texts("given", FIELD_LIMIT, 10);
    if whose == Whose::Patient && given.is_empty() && findings.problems.borrow().len() == before {
        fields.problem("given", "missing", "is required: a list with at least the first name");
    }
    let prefix = fields.text("prefix", CODE_LIMIT);
    let suffix = fields.text("suffix", CODE_LIMIT);
    fields.done();
    Some(PersonName { family: family?, given, prefix, suffix })
}

fn address(findings: &Findings, at: &str, node: &Node<'_>) -> Option<PostalAddress> {
    let mut fields = Fields::of(findings, at, node)?;
    let address = PostalAddress {
        // C-CDA takes at most four street lines (CONF:81-7291).
        lines: fields.texts("lines", FIELD_LIMIT, 4),
        city: fields.text("city", FIELD_LIMIT),
        state: fields.text("state", CODE_LIMIT),
        postal_code: fields.text("postal_code", CODE_LIMIT),
        country: fields.text("country", CODE_LIMIT),
    };
    fields.done();
    (address != PostalAddress::default()).then_some(address)
}

/// 1900-01-01 and 2200-01-01: outside of them a time is a slip, and HL7 has four digits for a year.
const PLAUSIBLE: std::ops::Range<Timestamp> = Timestamp(-2_208_988_800_000_000)..Timestamp(7_258_118_400_000_000);

/// Reads an optional instant with its offset.
pub(super) fn time(fields: &mut Fields<'_, '_>, name: &str) -> Option<OffsetTime> {
    let text = fields.text(name, CODE_LIMIT)?;
    let problem = match text.parse::<OffsetTime>() {
        // A zone name in brackets (RFC 9557) may contradict the offset, and nobody needs it.
        Ok(_) if text.contains('[') => ("bad_time", BadTime::Instant.to_string()),
        Ok(time) if !PLAUSIBLE.contains(&time.at) => ("impossible_date", BadTime::Calendar.to_string()),
        Ok(time) => return Some(time),
        Err(BadTime::NoOffset) => ("no_offset", BadTime::NoOffset.to_string()),
        Err(_) if text.get(..10).is_some_and(|day| day.parse::<Date>() == Err(BadTime::Calendar)) => {
            ("impossible_date", BadTime::Calendar.to_string())
        }
        Err(bad) => ("bad_time", bad.to_string()),
    };
    fields.problem(name, problem.0, problem.1);
    None
}
