//! Marital status: HL7 value set 2.16.840.1.113883.1.11.12212.

use super::{Coded, null_flavor};
use crate::domain::order::CodeSystem;

const STATUS: [(&str, &str); 11] = [
    ("A", "Annulled"),
    ("C", "Common Law"),
    ("D", "Divorced"),
    ("I", "Interlocutory"),
    ("L", "Legally Separated"),
    ("M", "Married"),
    ("P", "Polygamous"),
    ("S", "Never Married"),
    ("T", "Domestic partner"),
    ("U", "Unmarried"),
    ("W", "Widowed"),
];

/// HL7 v2 table 0002 to v3. A, P and U mean other things in v2, which is why the sender has to say which it speaks.
const FROM_V2: [(&str, &str); 14] = [
    ("A", "L"), // separated
    ("B", "U"), // unmarried
    ("C", "C"),
    ("D", "D"),
    ("E", "L"), // legally separated
    ("G", "T"), // living together
    ("I", "I"),
    ("M", "M"),
    ("N", "A"), // annulled
    ("P", "T"), // domestic partner
    ("R", "T"), // registered domestic partner
    ("S", "S"), // single
    ("W", "W"),
    ("O", "OTH"),
];

/// What a marital status as sent becomes.
pub(in crate::document) fn marital_status(sent: &str, system: CodeSystem) -> Coded<'_> {
    let code = match system {
        CodeSystem::V3 => sent,
        CodeSystem::V2 => match FROM_V2.iter().find(|(v2, _)| sent.eq_ignore_ascii_case(v2)) {
            Some((_, "OTH")) => return Coded::Null("OTH"),
            Some((_, v3)) => v3,
            // Unreported is "temporarily unavailable", unknown is "unknown"; HL7's NAVU for the first is not in CDA R2.
            None if sent.eq_ignore_ascii_case("T") => return Coded::Null("NAV"),
            None if sent.eq_ignore_ascii_case("U") => return Coded::Null("UNK"),
            None => return null_flavor(sent).map_or(Coded::Other(sent), Coded::Null),
        },
    };
    match STATUS.iter().find(|(known, _)| code.eq_ignore_ascii_case(known)) {
        Some((code, name)) => Coded::known(code, name),
        None => null_flavor(sent).map_or(Coded::Other(sent), Coded::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_codes_are_mapped_and_v3_codes_pass() {
        for (v2, v3) in [
            ("A", "L"),
            ("B", "U"),
            ("C", "C"),
            ("D", "D"),
            ("E", "L"),
            ("G", "T"),
            ("I", "I"),
            ("M", "M"),
            ("N", "A"),
            ("P", "T"),
            ("R", "T"),
            ("S", "S"),
            ("W", "W"),
        ] {
            assert_eq!(marital_status(v2, CodeSystem::V2).code(), Some(v3), "{v2}");
        }
        for (v2, flavor) in [("O", "OTH"), ("T", "NAV"), ("U", "UNK"), ("ASKU", "ASKU")] {
            assert_eq!(marital_status(v2, CodeSystem::V2), Coded::Null(flavor), "{v2}");
        }
        for (code, _) in STATUS {
            assert_eq!(marital_status(code, CodeSystem::V3).code(), Some(code));
        }
        assert_eq!(marital_status("married", CodeSystem::V3), Coded::Other("married"));
        assert_eq!(marital_status("X", CodeSystem::V2), Coded::Other("X"));
    }
}
