//! The made-up organizations, orders and results of the demo. Nobody in it exists; every number that looks like an NPI
//! has a right check digit and nothing else.
//!
//! Three ways of routing are shown: a payer that reaches primary care providers by NPI, a clinic whose sites have an
//! address of their own, and a client whose orders bring the address. A few orders cannot be routed, on purpose.

use serde_json::{Value, json};

use super::report_pdf::{self, ReportAbout};

/// Health domains of the practices in the story; the practice HISP serves them all.
pub const PRACTICE_DOMAINS: [&str; 4] =
    ["direct.lakeside.example", "direct.hillview.example", "direct.northclinics.example", "direct.eastend.example"];

/// An organization of the story, as an organization file.
#[derive(Debug, Clone, Copy)]
pub struct Cast {
    /// Its slug.
    pub slug: &'static str,
    /// What it shows.
    pub shows: &'static str,
    /// The address it sends from.
    pub address: &'static str,
    /// Its send mode.
    pub mode: &'static str,
    /// The organization file, without its identity.
    pub file: &'static str,
}

/// The three organizations.
pub const CAST: [Cast; 3] = [
    Cast {
        slug: "lakeshore-plan",
        shows: "a payer: primary care providers, found by NPI in the directory",
        address: "results@direct.lakeshoreplan.example",
        mode: "sta_relay",
        file: r#"slug = "lakeshore-plan"
name = "Lakeshore Health Plan"
npi = "1245319599"
phone = "+1-937-555-0100"
address = { lines = ["1 Harbor Way"], city = "Dayton", state = "OH", postal_code = "45402" }
time_zone = "America/New_York"
[document]
document_code = "103592-2"
[[site]]
local_id = "MOBILE1"
name = "Mobile screening unit 1"
[price]
currency = "USD"
rate = [{ from = "2020-01-01", fee_code = "direct", amount = "0.25" }]
"#,
    },
    Cast {
        slug: "north-clinics",
        shows: "a clinic: each site's own address, sent through the HISP's edge",
        address: "screening@direct.northclinics.example",
        mode: "edge",
        file: r#"slug = "north-clinics"
name = "North Clinics"
npi = "2000000044"
phone = "+1-850-555-0120"
address = { lines = ["12 Sample St"], city = "Faketown", state = "FL", postal_code = "32599" }
time_zone = "America/Chicago"
[document]
document_code = "103592-2"
patient_id = "mrn"
assigning_authority = "2.16.840.1.113883.19.5"
[[target]]
direct = "results@direct.northclinics.example"
when = "only_if_none"
[[site]]
local_id = "RIVERSIDE01"
name = "Riverside"
target = [{ direct = "riverside@direct.northclinics.example" }]
[[site]]
local_id = "EASTEND02"
name = "East End"
target = [{ direct = "frontdesk@direct.eastend.example" }, { direct = "records@direct.eastend.example" }]
[price]
currency = "USD"
rate = [{ from = "2020-01-01", fee_code = "direct", amount = "0.20" }]
"#,
    },
    Cast {
        slug: "vision-labs",
        shows: "a client: the address comes with the order",
        address: "reports@direct.visionlabs.example",
        mode: "sta_relay",
        file: r#"slug = "vision-labs"
name = "Vision Labs"
phone = "+1-617-555-0177"
time_zone = "America/New_York"
[routing]
fallback = ["organization", "hold"]
[[target]]
direct = "desk@direct.hillview.example"
when = "only_if_none"
[[site]]
local_id = "LAB"
name = "Reading center"
[price]
currency = "USD"
rate = [{ from = "2020-01-01", fee_code = "direct", amount = "0.30" }]
"#,
    },
];

/// NPIs of the story, with a right check digit.
fn npi(number: u32) -> String {
    let nine = format!("1{:08}", 70_000_000 + number % 10_000_000);
    let sum: u32 = nine
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, b)| {
            let d = u32::from(b - b'0');
            if place % 2 == 0 { (2 * d) / 10 + (2 * d) % 10 } else { d }
        })
        .sum();
    format!("{nine}{}", (10 - (24 + sum) % 10) % 10)
}

/// Primary care providers in the directory.
const PROVIDERS: u32 = 24;
/// One of them has an address at two organizations: nobody can know which is meant.
const AMBIGUOUS: u32 = 900;
/// One is deactivated.
const INACTIVE: u32 = 901;
/// One has an address at which nothing can be delivered, which only the other side knows.
const UNREACHABLE: u32 = 902;

/// The directory as CSV.
#[must_use]
pub fn directory() -> String {
    let mut csv = "npi,address,organization,status\n".to_owned();
    for provider in 0..PROVIDERS {
        let (domain, practice) = if provider % 2 == 0 {
            (PRACTICE_DOMAINS[0], "Lakeside Family Medicine")
        } else {
            (PRACTICE_DOMAINS[1], "Hillview Primary Care")
        };
        csv += &format!("{},pcp{provider:02}@{domain},{practice},active\n", npi(provider));
    }
    csv += &format!(
        "{0},doc@{1},Lakeside Family Medicine,active\n{0},doc@{2},Hillview Primary Care,active\n",
        npi(AMBIGUOUS),
        PRACTICE_DOMAINS[0],
        PRACTICE_DOMAINS[1]
    );
    csv += &format!("{},bounced+dr@{},Hillview Primary Care,active\n", npi(UNREACHABLE), PRACTICE_DOMAINS[1]);
    csv += &format!("{},old@{},Lakeside Family Medicine,inactive\n", npi(INACTIVE), PRACTICE_DOMAINS[0]);
    csv
}

/// One order with its result and report.
#[derive(Debug, Clone)]
pub struct Chapter {
    /// Which of the [`CAST`].
    pub organization: usize,
    /// The sender's key, and a fit file name.
    pub order_id: String,
    /// The order's JSON.
    pub order: Value,
    /// The result's JSON.
    pub result: Value,
    about: ReportAbout,
    seed: u64,
}

impl Chapter {
    /// Its report: a real PDF of several pages.
    #[must_use]
    pub fn pdf(&self) -> Vec<u8> {
        report_pdf::make(self.seed, &self.about, 60 + usize::try_from(self.seed % 5).unwrap_or(0) * 40)
    }
}

const FAMILY: [&str; 12] = [
    "Testriver",
    "Sampleton",
    "Mockford",
    "Placeholder",
    "Fakeman",
    "Demoske",
    "Fixture",
    "Stubbs",
    "Dummont",
    "Example",
    "Protolski",
    "Trialova",
];
const GIVEN: [&str; 12] =
    ["Morgan", "Alex", "Robin", "Jordan", "Casey", "Riley", "Quinn", "Avery", "Rowan", "Sasha", "Devon", "Marlo"];

/// Chapter `number` of the story: always the same for the same number.
#[must_use]
pub fn chapter(number: u32) -> Chapter {
    let pick = |list: &[&'static str; 12], step: u32| list[usize::try_from((number * step) % 12).unwrap_or(0)];
    let (family, given) = (pick(&FAMILY, 7), pick(&GIVEN, 5));
    // Half for the payer, a quarter each for the others.
    let organization = match number % 4 {
        0 | 1 => 0,
        2 => 1,
        _ => 2,
    };
    let order_id = format!("DEMO{number:06}");
    let (site, deliver_to, extra) = match organization {
        0 => (
            "MOBILE1",
            payer(number),
            json!({ "health_plan": { "id": "LHP", "name": "Lakeshore Health Plan", "member_id": format!("M{number:07}") } }),
        ),
        1 => (if number % 8 == 2 { "RIVERSIDE01" } else { "EASTEND02" }, json!([]), json!({})),
        _ => ("LAB", client(number), json!({})),
    };
    let born = format!("{}-{:02}-{:02}", 1940 + number % 60, 1 + number % 12, 1 + number % 28);
    let mut order = json!({
        "order_id": order_id, "site": site, "action": "new",
        "patient": {
            "local_id": format!("ZZ{number:06}"),
            "name": { "family": family, "given": [given] },
            "birth_date": born, "gender": if number.is_multiple_of(2) { "F" } else { "M" },
            "address": { "lines": [format!("{} Sample St", 1 + number)], "city": "Faketown", "state": "FL", "postal_code": "32599", "country": "US" },
            "phone": "+1-850-555-0142", "race": ["2106-3"], "ethnicity": "2186-5", "language": "en-US"
        },
        "ordering_provider": { "npi": npi(500), "name": { "family": "Sample", "given": ["Jordan"] } },
        "procedure": { "code": "92250", "system": "CPT", "display": "Fundus photography" },
        "priority": if number.is_multiple_of(25) { "urgent" } else { "routine" },
        "do_not_deliver": number % 80 == 24,
        "deliver_to": deliver_to,
    });
    if let (Some(order), Some(extra)) = (order.as_object_mut(), extra.as_object()) {
        order.extend(extra.clone());
    }
    let result = json!({
        "order_id": order_id, "site": site, "status": "final", "completed_at": "2026-01-15T10:15:30-05:00",
        "title": "Retinal eye screening report",
        "author": { "npi": npi(501), "taxonomy": "207W00000X", "name": { "family": "Reader", "given": ["Casey"], "suffix": "MD" } },
    });
    let about = ReportAbout {
        title: "Retinal eye screening report".into(),
        organization: CAST[organization].slug.into(),
        patient: format!("{given} {family}"),
        birth_date: born,
        order_id: order_id.clone(),
        completed: "2026-01-15 10:15".into(),
        reader: "Casey Reader, MD".into(),
    };
    Chapter { organization, order_id, order, result, about, seed: u64::from(number) }
}

/// A payer's order names the member's primary care provider by NPI. A few are wrong, on purpose.
fn payer(number: u32) -> Value {
    let who = match number % 48 {
        12 => npi(INACTIVE),
        17 => npi(UNREACHABLE),
        20 => npi(AMBIGUOUS),
        29 => npi(777),
        // A typing slip: the check digit does not match.
        41 => "1234567890".to_owned(),
        _ => npi((number / 2) % PROVIDERS),
    };
    json!([{ "role": "pcp", "npi": who, "organization": "the member's practice" }])
}

/// A client's order brings the address. One is opened and then cannot be delivered, so the client's own address gets it instead;
/// one has a slip in it, one a practice that refuses it, one a practice that is slow.
fn client(number: u32) -> Value {
    let direct = match number % 60 {
        7 => "processedfailure+clinic@direct.lakeside.example".to_owned(),
        11 => "dr.who@@direct.hillview.example".to_owned(),
        31 => "550@direct.hillview.example".to_owned(),
        51 => "slow@direct.lakeside.example".to_owned(),
        _ => format!("clinic{:02}@{}", number % 10, PRACTICE_DOMAINS[usize::try_from(number / 4 % 2).unwrap_or(0)]),
    };
    json!([{ "role": "referring", "direct": direct, "name": { "family": "Sample", "given": ["Jordan"] } }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Npi, organization::OrganizationFile};

    #[test]
    fn the_npis_of_the_story_have_a_right_check_digit() {
        for number in (0..PROVIDERS).chain([500, 501, 777, AMBIGUOUS, INACTIVE, UNREACHABLE]) {
            assert!(npi(number).parse::<Npi>().is_ok(), "{}", npi(number));
        }
    }

    #[test]
    fn the_organization_files_are_sound() {
        for cast in CAST {
            let file: OrganizationFile = toml::from_str(cast.file).unwrap();
            assert_eq!(file.check(), Ok(()), "{}", cast.slug);
        }
    }

    #[test]
    fn two_hundred_chapters_hold_every_kind_of_trouble() {
        let orders: Vec<String> = (0..200).map(|number| chapter(number).order.to_string()).collect();
        for trouble in [
            npi(INACTIVE),
            npi(AMBIGUOUS),
            npi(777),
            "1234567890".into(),
            "@@".into(),
            "550@".into(),
            "\"do_not_deliver\":true".into(),
        ] {
            assert!(orders.iter().any(|order| order.contains(&trouble)), "{trouble}");
        }
    }
}
