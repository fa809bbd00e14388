//! Vocabularies: what a code as sent becomes in C-CDA. One file for each value set; object identifiers stand here.

mod ethnicity;
mod exam;
mod language;
mod marital;
mod race;

use std::borrow::Cow;

pub(super) use ethnicity::ethnicity;
pub(super) use exam::{document_name, procedure, taxonomy};
pub(super) use language::language;
pub(super) use marital::marital_status;
pub(super) use race::race;

/// Object identifiers of code systems and namespaces.
pub(super) mod oid {
    pub(in crate::document) const NPI: &str = "2.16.840.1.113883.4.6";
    pub(in crate::document) const LOINC: &str = "2.16.840.1.113883.6.1";
    pub(in crate::document) const SNOMED_CT: &str = "2.16.840.1.113883.6.96";
    pub(in crate::document) const CPT: &str = "2.16.840.1.113883.6.12";
    pub(in crate::document) const HCPCS: &str = "2.16.840.1.113883.6.285";
    pub(in crate::document) const ICD_10_PCS: &str = "2.16.840.1.113883.6.4";
    pub(in crate::document) const NUCC: &str = "2.16.840.1.113883.6.101";
    pub(in crate::document) const CONFIDENTIALITY: &str = "2.16.840.1.113883.5.25";
    pub(in crate::document) const GENDER: &str = "2.16.840.1.113883.5.1";
    pub(in crate::document) const MARITAL_STATUS: &str = "2.16.840.1.113883.5.2";
    pub(in crate::document) const ACT_PRIORITY: &str = "2.16.840.1.113883.5.7";
    pub(in crate::document) const RACE_AND_ETHNICITY: &str = "2.16.840.1.113883.6.238";
}

/// What stands in a coded element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Coded<'a> {
    /// A code of the element's value set, with its name where we know it.
    Code { code: Cow<'a, str>, name: Option<&'static str> },
    /// Why there is none (HL7 v3 NullFlavor).
    Null(&'static str),
    /// Something said that the value set cannot say: `OTH` with the original text.
    Other(&'a str),
}

impl<'a> Coded<'a> {
    fn known(code: &'static str, name: &'static str) -> Self {
        Self::Code { code: Cow::Borrowed(code), name: Some(name) }
    }

    fn plain(code: &'a str) -> Self {
        Self::Code { code: Cow::Borrowed(code), name: None }
    }

    /// The code, if there is one.
    pub(super) fn code(&self) -> Option<&str> {
        match self {
            Self::Code { code, .. } => Some(code),
            Self::Null(_) | Self::Other(_) => None,
        }
    }
}

/// The null flavors a sender may put where a code would stand (a patient who declined: `ASKU`).
fn null_flavor(sent: &str) -> Option<&'static str> {
    ["UNK", "ASKU", "NASK", "NAV", "NI", "NA", "OTH", "MSK"].into_iter().find(|flavor| sent.eq_ignore_ascii_case(flavor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_flavors_are_taken_in_any_case() {
        assert_eq!(null_flavor("asku"), Some("ASKU"));
        assert_eq!(null_flavor("PINF"), None);
    }
}
