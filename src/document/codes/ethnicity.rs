//! Ethnicity: two groups (value set 2.16.840.1.114222.4.11.837) and 41 details (2.16.840.1.114222.4.11.877).

use super::{Coded, null_flavor};
use crate::domain::{order::CodeSystem, organization::is_loinc};

const HISPANIC: (&str, &str) = ("2135-2", "Hispanic or Latino");
const NOT_HISPANIC: (&str, &str) = ("2186-5", "Not Hispanic or Latino");

/// Numbers from 2137 to 2184 that are no detail of Hispanic or Latino.
const UNUSED: [u16; 7] = [2147, 2154, 2164, 2177, 2179, 2181, 2183];

/// What goes into `ethnicGroupCode`, and the detail for `sdtc:ethnicGroupCode` (CONF:1198-5323, 32901).
pub(in crate::document) fn ethnicity(sent: Option<&str>, system: CodeSystem) -> (Coded<'_>, Option<Coded<'_>>) {
    // The element may not be left out; nothing said is "unknown".
    let Some(sent) = sent.map(str::trim).filter(|sent| !sent.is_empty()) else { return (Coded::Null("UNK"), None) };
    let code = match (system, sent) {
        // HL7 v2 table 0189.
        (CodeSystem::V2, "H" | "h") => HISPANIC.0,
        (CodeSystem::V2, "N" | "n") => NOT_HISPANIC.0,
        (CodeSystem::V2, "U" | "u") => "UNK",
        _ => sent,
    };
    if let Some((code, name)) = [HISPANIC, NOT_HISPANIC].into_iter().find(|(known, _)| *known == code) {
        return (Coded::known(code, name), None);
    }
    if is_detail(code) {
        return (Coded::known(HISPANIC.0, HISPANIC.1), Some(Coded::plain(code)));
    }
    (null_flavor(code).map_or(Coded::Other(code), Coded::Null), None)
}

fn is_detail(code: &str) -> bool {
    let number = code.split_once('-').filter(|_| is_loinc(code)).and_then(|(number, _)| number.parse::<u16>().ok());
    number.is_some_and(|number| (2137..=2184).contains(&number) && !UNUSED.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_pass_details_get_their_group_and_v2_is_mapped() {
        let codes = |sent, system| {
            let (group, detail) = ethnicity(sent, system);
            (group.code().map(str::to_owned), detail.and_then(|detail| detail.code().map(str::to_owned)))
        };
        let some = |code: &str| Some(code.to_owned());
        assert_eq!(codes(Some("2135-2"), CodeSystem::V3), (some("2135-2"), None));
        assert_eq!(codes(Some("2148-5"), CodeSystem::V3), (some("2135-2"), some("2148-5")));
        assert_eq!(codes(Some("H"), CodeSystem::V2), (some("2135-2"), None));
        assert_eq!(codes(Some("N"), CodeSystem::V2), (some("2186-5"), None));
        assert_eq!(codes(Some("2180-8"), CodeSystem::V2), (some("2135-2"), some("2180-8")));
    }

    #[test]
    fn what_is_no_code_is_said_as_such() {
        assert_eq!(ethnicity(None, CodeSystem::V3), (Coded::Null("UNK"), None));
        assert_eq!(ethnicity(Some("U"), CodeSystem::V2), (Coded::Null("UNK"), None));
        assert_eq!(ethnicity(Some("ASKU"), CodeSystem::V3), (Coded::Null("ASKU"), None));
        assert_eq!(ethnicity(Some("H"), CodeSystem::V3), (Coded::Other("H"), None));
        assert_eq!(ethnicity(Some("2147-7"), CodeSystem::V3), (Coded::Other("2147-7"), None));
    }

    #[test]
    fn the_table_has_41_details() {
        assert_eq!((2137..=2184).filter(|number| !UNUSED.contains(number)).count(), 41);
    }
}
