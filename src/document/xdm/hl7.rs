//! HL7 v2.5 data types, as the metadata want them (IHE ITI TF-3 4.2.3.1.7): components by `^`, subcomponents by `&`.

use uuid::Uuid;

use crate::{
    document::{
        Party,
        codes::{oid, taxonomy},
    },
    domain::{
        DirectAddress, Npi, OffsetTime, Patient,
        order::{GenderCode, PersonName, PostalAddress, Provider},
        text::Stated,
    },
};

/// Text with the separators escaped (HL7 v2.5 2.7).
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\E\\"),
            '|' => out.push_str("\\F\\"),
            '^' => out.push_str("\\S\\"),
            '&' => out.push_str("\\T\\"),
            '~' => out.push_str("\\R\\"),
            c if crate::domain::text::is_forbidden(c) => out.push(' '),
            c => out.push(c),
        }
    }
    out.trim().to_owned()
}

fn joined(parts: &[&str], between: &str) -> String {
    parts.join(between).trim_end_matches(between).to_owned()
}

/// A UUID as an object identifier (ITU-T X.667): the metadata know no other kind of id.
pub(super) fn uuid_oid(id: Uuid) -> String {
    format!("2.25.{}", id.as_u128())
}

/// DTM: UTC, to the second, without an offset.
pub(super) fn dtm(time: OffsetTime) -> String {
    time.at.utc().hl7().chars().take(14).collect()
}

/// CX: an identifier under its authority.
pub(super) fn cx(identifier: &str, authority: &str) -> String {
    format!("{}^^^&{authority}&ISO", escaped(identifier))
}

/// CXi: the same with what it identifies.
pub(super) fn cxi(identifier: &str, authority: &str, kind: &str) -> String {
    format!("{}^{kind}", cx(identifier, authority))
}

/// XON: an organization, with its NPI when it has one.
pub(super) fn xon(name: &str, npi: Option<&Npi>) -> String {
    match npi {
        Some(npi) => format!("{}^^^^^&{}&ISO^^^^{npi}", escaped(name), oid::NPI),
        None => escaped(name),
    }
}

/// XON of an organization or site.
pub(super) fn party(party: &Party) -> String {
    xon(&party.name, party.npi.as_ref())
}

/// Family, given, further given, suffix, prefix: the same order in XCN and XPN.
fn name_parts(name: &PersonName) -> [String; 5] {
    let given = name.given.first().map_or_else(String::new, |given| escaped(given));
    let further = name.given.get(1..).unwrap_or_default().iter().map(|given| escaped(given)).collect::<Vec<_>>().join(" ");
    let or_empty = |text: Option<&String>| text.map_or_else(String::new, |text| escaped(text));
    [escaped(&name.family), given, further, or_empty(name.suffix.as_ref()), or_empty(name.prefix.as_ref())]
}

/// XCN: a person, with the NPI when there is one; empty when nothing is known.
pub(super) fn xcn(npi: Option<&Npi>, name: Option<&PersonName>) -> String {
    let parts = name.map(name_parts).unwrap_or_default();
    let npi_text = npi.map_or("", Npi::as_str);
    let authority = npi.map(|_| format!("&{}&ISO", oid::NPI)).unwrap_or_default();
    let mut all = vec![npi_text];
    all.extend(parts.iter().map(String::as_str));
    all.extend(["", "", &authority]);
    joined(&all, "^")
}

/// XCN of a clinician.
pub(super) fn clinician(provider: &Provider) -> String {
    xcn(provider.npi.as_ref().and_then(Stated::valid), provider.name.as_ref())
}

/// CE: the specialty of a clinician.
pub(super) fn specialty(provider: &Provider) -> Option<String> {
    let (code, name) = provider.taxonomy.as_deref().and_then(taxonomy)?;
    Some(format!("{code}^{}^{}", name.map(escaped).unwrap_or_default(), oid::NUCC))
}

/// XTN: a Direct address.
pub(super) fn xtn(address: &DirectAddress) -> String {
    format!("^^Internet^{}", escaped(address.as_str()))
}

/// The fields of PID that say who the patient is, one to a value (IHE ITI TF-3 4.2.3.2.23). `id` is the CX, where the
/// identifier may be shown.
pub(super) fn pid(patient: &Patient, id: Option<&str>) -> Vec<String> {
    let name = name_parts(&patient.name);
    let name = joined(&name.each_ref().map(String::as_str), "^");
    let gender = match patient.gender.code {
        GenderCode::Female => "F",
        GenderCode::Male => "M",
        GenderCode::Undifferentiated => "O",
        GenderCode::Unknown => "U",
    };
    let mut fields = Vec::new();
    fields.extend(id.map(|id| format!("PID-3|{id}")));
    fields.push(format!("PID-5|{name}"));
    fields.push(format!("PID-7|{}", patient.birth_date.hl7()));
    fields.push(format!("PID-8|{gender}"));
    fields.extend(patient.address.as_ref().map(xad).filter(|address| !address.is_empty()).map(|a| format!("PID-11|{a}")));
    fields
}

/// XAD: street, the rest of it, city, state, postal code, country.
fn xad(address: &PostalAddress) -> String {
    let or_empty = |text: Option<&String>| text.map_or_else(String::new, |text| escaped(text));
    let rest = address.lines.get(1..).unwrap_or_default().join(", ");
    let parts = [
        or_empty(address.lines.first()),
        escaped(&rest),
        or_empty(address.city.as_ref()),
        or_empty(address.state.as_ref()),
        or_empty(address.postal_code.as_ref()),
        or_empty(address.country.as_ref()),
    ];
    joined(&parts.each_ref().map(String::as_str), "^")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_a_name_separate_nothing() {
        assert_eq!(escaped(" \u{b}A^B&C|D~E\\F\r\nG "), "A\\S\\B\\T\\C\\F\\D\\R\\E\\E\\F  G");
        assert_eq!(cx("1^2", "1.2.3"), "1\\S\\2^^^&1.2.3&ISO");
    }

    #[test]
    fn persons_and_organizations_carry_their_npi() {
        let npi: Npi = "1234567893".parse().unwrap();
        let name = PersonName {
            family: "Sample".into(),
            given: vec!["Jordan".into(), "A".into()],
            prefix: None,
            suffix: Some("MD".into()),
        };
        assert_eq!(xcn(Some(&npi), Some(&name)), "1234567893^Sample^Jordan^A^MD^^^^&2.16.840.1.113883.4.6&ISO");
        assert_eq!(xcn(None, Some(&name)), "^Sample^Jordan^A^MD");
        assert_eq!(xcn(None, None), "");
        assert_eq!(xon("North", Some(&npi)), "North^^^^^&2.16.840.1.113883.4.6&ISO^^^^1234567893");
        assert_eq!(xon("North", None), "North");
    }

    #[test]
    fn times_are_utc_to_the_second() {
        assert_eq!(dtm("2026-01-15T23:15:30-05:00".parse().unwrap()), "20260116041530");
    }

    #[test]
    fn a_uuid_becomes_a_short_enough_oid() {
        let oid = uuid_oid(Uuid::max());
        assert_eq!(oid, "2.25.340282366920938463463374607431768211455");
        assert!(oid.len() <= 64 && crate::domain::organization::is_oid(&oid));
    }
}
