//! Race: five categories (value set 2.16.840.1.113883.3.2074.1.1.3) and 921 codes in all (2.16.840.1.113883.1.11.14914).

use super::{Coded, null_flavor};
use crate::domain::{order::CodeSystem, organization::is_loinc};

/// The categories that may stand in `raceCode`, each with the numbers that belong to it (CDC Race and Ethnicity 1.0 is
/// ordered by category).
const CATEGORIES: [(&str, &str, u16, u16); 5] = [
    ("1002-5", "American Indian or Alaska Native", 1002, 2026),
    ("2028-9", "Asian", 2028, 2052),
    ("2054-5", "Black or African American", 2054, 2075),
    ("2076-8", "Native Hawaiian or Other Pacific Islander", 2076, 2104),
    ("2106-3", "White", 2106, 2129),
];

/// Outside the order of numbers: Other Pacific Islander.
const OTHER_PACIFIC_ISLANDER: u16 = 2500;
/// Other Race belongs to no category.
const OTHER_RACE: u16 = 2131;

/// Numbers from 1002 to 2131 that are no race.
#[rustfmt::skip]
const UNUSED: [u16; 210] = [
    1003, 1005, 1007, 1009, 1020, 1025, 1027, 1029, 1032, 1034, 1036, 1038, 1040, 1043, 1052, 1067, 1075, 1077, 1079, 1081,
    1085, 1087, 1099, 1101, 1105, 1107, 1111, 1113, 1122, 1149, 1152, 1154, 1161, 1164, 1166, 1168, 1170, 1172, 1174, 1177,
    1179, 1181, 1183, 1185, 1188, 1190, 1192, 1206, 1208, 1210, 1213, 1221, 1232, 1249, 1251, 1253, 1255, 1257, 1259, 1261,
    1263, 1266, 1268, 1270, 1274, 1276, 1278, 1280, 1284, 1296, 1298, 1300, 1302, 1304, 1308, 1311, 1316, 1318, 1320, 1322,
    1324, 1330, 1339, 1341, 1343, 1347, 1349, 1351, 1353, 1355, 1357, 1362, 1364, 1367, 1369, 1371, 1373, 1375, 1377, 1379,
    1381, 1386, 1388, 1390, 1402, 1404, 1406, 1408, 1410, 1415, 1438, 1440, 1444, 1447, 1449, 1452, 1455, 1459, 1461, 1463,
    1473, 1477, 1486, 1488, 1517, 1540, 1542, 1544, 1546, 1548, 1550, 1555, 1557, 1559, 1561, 1563, 1565, 1572, 1575, 1577,
    1581, 1583, 1585, 1601, 1606, 1608, 1642, 1644, 1646, 1648, 1650, 1652, 1658, 1660, 1662, 1664, 1666, 1669, 1674, 1676,
    1678, 1682, 1684, 1686, 1691, 1693, 1695, 1699, 1701, 1703, 1706, 1708, 1710, 1714, 1716, 1721, 1723, 1734, 1736, 1738,
    1810, 1812, 1836, 1839, 1841, 1843, 1890, 1895, 1965, 1967, 1971, 1983, 1989, 1991, 2001, 2003, 2005, 2027, 2053, 2055,
    2057, 2059, 2077, 2084, 2099, 2105, 2107, 2117, 2128, 2130
];

/// What goes into `raceCode`, and what into `sdtc:raceCode` beside it.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::document) struct Race<'a> {
    pub(in crate::document) category: Coded<'a>,
    pub(in crate::document) details: Vec<Coded<'a>>,
}

/// Sorts the races as sent: the first category that any of them has, everything else beside it (CONF:1198-5322, 7263).
pub(in crate::document) fn race(sent: &[String], system: CodeSystem) -> Race<'_> {
    let codes: Vec<&str> = sent.iter().map(|code| from_v2(code.trim(), system)).collect();
    let category = codes.iter().find_map(|code| category_of(code));
    let mut details: Vec<Coded<'_>> = Vec::new();
    let mut flavor = None;
    for code in codes {
        let detail = match number(code) {
            Some(OTHER_RACE) => Coded::known("2131-1", "Other Race"),
            Some(_) => match CATEGORIES.iter().find(|(main, ..)| *main == code) {
                Some((main, name, ..)) => Coded::known(main, name),
                None => Coded::plain(code),
            },
            None => match null_flavor(code) {
                Some(found) => {
                    flavor = flavor.or(Some(found));
                    continue;
                }
                None => Coded::Other(code),
            },
        };
        // raceCode's own code is not said twice.
        if detail.code().is_none_or(|code| category.is_none_or(|(main, _)| main != code)) && !details.contains(&detail) {
            details.push(detail);
        }
    }
    let category = match category {
        Some((code, name)) => Coded::known(code, name),
        // The element may not be left out (CONF:1198-5322). Only words of the sender's own: they go into raceCode itself.
        None if details.len() == 1 && details[0].code().is_none() => details.remove(0),
        None if !details.is_empty() => Coded::Null("OTH"),
        None => Coded::Null(flavor.unwrap_or("UNK")),
    };
    Race { category, details }
}

/// The two local codes of v2 senders that mean one thing everywhere; others would be guesses about a patient.
fn from_v2(code: &str, system: CodeSystem) -> &str {
    match (system, code) {
        (CodeSystem::V2, "W" | "w") => "2106-3",
        (CodeSystem::V2, "B" | "b") => "2054-5",
        (CodeSystem::V2, "U" | "u") => "UNK",
        _ => code,
    }
}

/// The number of a race code: it has a check digit like LOINC's and was given out.
fn number(code: &str) -> Option<u16> {
    let number: u16 = code.split_once('-').filter(|_| code.len() == 6 && is_loinc(code))?.0.parse().ok()?;
    let listed = (1002..=OTHER_RACE).contains(&number) && UNUSED.binary_search(&number).is_err();
    (listed || number == OTHER_PACIFIC_ISLANDER).then_some(number)
}

fn category_of(code: &str) -> Option<(&'static str, &'static str)> {
    let number = match number(code)? {
        OTHER_PACIFIC_ISLANDER => 2076,
        number => number,
    };
    CATEGORIES.iter().find(|(_, _, from, to)| (*from..=*to).contains(&number)).map(|(code, name, ..)| (*code, *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(sent: &[&str], system: CodeSystem) -> (String, Vec<String>) {
        let sent: Vec<String> = sent.iter().map(|code| (*code).to_owned()).collect();
        let show = |coded: &Coded<'_>| match coded {
            Coded::Code { code, .. } => code.to_string(),
            Coded::Null(flavor) => format!("null {flavor}"),
            Coded::Other(text) => format!("text {text}"),
        };
        let race = race(&sent, system);
        (show(&race.category), race.details.iter().map(show).collect())
    }

    #[test]
    fn the_first_category_leads_and_the_rest_stand_beside_it() {
        for (sent, category, details) in [
            (&["2106-3"][..], "2106-3", &[][..]),
            (&["2036-2"], "2028-9", &["2036-2"]),
            (&["2106-3", "2028-9", "2036-2"], "2106-3", &["2028-9", "2036-2"]),
            (&["2036-2", "2028-9"], "2028-9", &["2036-2"]),
            (&["2106-3", "2106-3"], "2106-3", &[]),
            (&["2500-7"], "2076-8", &["2500-7"]),
            (&["2131-1"], "null OTH", &["2131-1"]),
            (&["2131-1", "2054-5"], "2054-5", &["2131-1"]),
            (&["1010-8"], "1002-5", &["1010-8"]),
            (&[], "null UNK", &[]),
            (&["ASKU"], "null ASKU", &[]),
            (&["UNK", "2106-3"], "2106-3", &[]),
            (&["W"], "text W", &[]),
            (&["W", "2106-3"], "2106-3", &["text W"]),
            (&["2106-4"], "text 2106-4", &[]),
            (&["2027-1"], "text 2027-1", &[]),
        ] {
            let details: Vec<String> = details.iter().map(|code| (*code).to_owned()).collect();
            assert_eq!(sorted(sent, CodeSystem::V3), (category.to_owned(), details), "{sent:?}");
        }
    }

    #[test]
    fn v2_senders_may_use_the_two_local_codes_that_are_unambiguous() {
        assert_eq!(sorted(&["W"], CodeSystem::V2).0, "2106-3");
        assert_eq!(sorted(&["B"], CodeSystem::V2).0, "2054-5");
        assert_eq!(sorted(&["U"], CodeSystem::V2).0, "null UNK");
        assert_eq!(sorted(&["A"], CodeSystem::V2).0, "text A");
        assert_eq!(sorted(&["2036-2"], CodeSystem::V2).0, "2028-9");
    }

    #[test]
    fn the_table_has_921_codes() {
        let codes = (1002..=OTHER_RACE).filter(|number| UNUSED.binary_search(number).is_err()).count() + 1;
        assert_eq!(codes, 921);
        assert!(UNUSED.is_sorted());
    }
}
