//! Orders, results, routes and leases as the journeys need them. Everybody in here is invented.

use std::time::Duration;

use postern::domain::{
    BirthDate, DirectAddress, OrgId, Report, ResultId, Timestamp,
    delivery::Event,
    id::ProcessId,
    order::{CodeSystem, Gender, HealthPlan, Order, Patient, PersonName, Priority, Recipient, Role},
    organization::{Billable, OrganizationFile, PriceList, WhenUnknown},
    report::ResultStatus,
    route::{Candidate, Decision, IntendedRecipient, Route, Rule, Target, Verdict},
    text::Stated,
    time::Span,
};
use postern::store::{
    delivery::Move,
    intake::StoredPdf,
    lease::Lease,
    result::{Routing, Terms},
};

use super::world::START;

pub(crate) const ADDRESS: &str = "pcp.demo@direct.example.org";
pub(crate) const ELSEWHERE: &str = "other@direct.example.net";
pub(crate) const SITE: &str = "RIVERSIDE01";
pub(crate) const WAIT: Span = Span::seconds(3600);

/// What must never be readable in the database.
pub(crate) const FAMILY: &str = "Testriver";
pub(crate) const LOCAL_ID: &str = "ZZ000417";
pub(crate) const MEMBER_ID: &str = "MBR-000417";

pub(crate) fn order(order_id: &str) -> Order {
    Order {
        order_id: order_id.to_owned(),
        site: SITE.to_owned(),
        patient: Patient {
            local_id: Some(LOCAL_ID.to_owned()),
            name: PersonName { family: FAMILY.to_owned(), given: vec!["Morgan".to_owned()], prefix: None, suffix: None },
            birth_date: "1964-02-17".parse::<BirthDate>().expect("a date"),
            gender: Gender::parse("F").expect("a gender"),
            address: None,
            phone: Some("+1-850-555-0142".to_owned()),
            marital_status: None,
            race: vec![],
            ethnicity: None,
            language: None,
            code_system: CodeSystem::V3,
        },
        ordering_provider: None,
        procedure: None,
        encounter: None,
        exam_state: None,
        scheduled_at: None,
        health_plan: Some(HealthPlan { id: None, name: None, member_id: Some(MEMBER_ID.to_owned()) }),
        priority: Priority::Routine,
        do_not_deliver: false,
        deliver_to: vec![Recipient {
            role: Role::Pcp,
            direct: Some(Stated::parse(ADDRESS)),
            npi: None,
            name: None,
            organization: None,
        }],
    }
}

pub(crate) fn urgent(order_id: &str) -> Order {
    Order { priority: Priority::Urgent, ..order(order_id) }
}

pub(crate) fn report(order_id: &str, status: ResultStatus) -> Report {
    Report {
        order_id: order_id.to_owned(),
        site: SITE.to_owned(),
        status,
        completed_at: None,
        title: Some(format!("Screening of {FAMILY}")),
        document_code: None,
        author: None,
    }
}

/// A stored PDF; another number is another content.
pub(crate) fn pdf(number: u8) -> StoredPdf {
    StoredPdf { name: format!("pdf-{number:02x}"), sha256: [number; 32], bytes: 300_000 }
}

pub(crate) fn organization(slug: &str) -> OrganizationFile {
    let price = r#"{"rate": [{"from": "2026-01-01", "fee_code": "direct", "amount": "0.25"}]}"#;
    let mut file: OrganizationFile =
        serde_json::from_str(&format!(r#"{{"slug": "{slug}", "name": "Organization {slug}"}}"#)).expect("an organization");
    file.sites.push(serde_json::from_str(&format!(r#"{{"local_id": "{SITE}"}}"#)).expect("a site"));
    file.price = Some(serde_json::from_str::<PriceList>(price).expect("prices"));
    file
}

/// One start of one process.
pub(crate) fn lease() -> Lease {
    Lease { owner: ProcessId::new(), length: Duration::from_mins(1) }
}

pub(crate) fn target(address: &str) -> Target {
    Target {
        address: address.parse::<DirectAddress>().expect("an address"),
        rule: Rule::OrderAddress,
        recipient: Some(IntendedRecipient::default()),
        own_site: false,
    }
}

/// A route to these addresses; held when there are none.
pub(crate) fn routing(org: OrgId, result: ResultId, lease: &Lease, addresses: &[&str]) -> Routing {
    let trace = addresses.iter().enumerate().map(|(place, address)| Candidate {
        origin: format!("deliver_to[{place}]"),
        rule: Rule::OrderAddress,
        address: address.parse().ok(),
        npi: None,
        verdict: Verdict::Taken,
        reason: None,
        note: "the order names it".to_owned(),
        snapshot: None,
        role: None,
        roster: None,
        score: None,
    });
    let decision = if addresses.is_empty() { Decision::Held(postern::domain::Reason::NoTarget) } else { Decision::Routed };
    Routing {
        org,
        result,
        owner: lease.owner,
        route: Route { targets: addresses.iter().map(|address| target(address)).collect(), trace: trace.collect(), decision },
        terms: Terms {
            from_domain: "direct.lab.example".to_owned(),
            fee_code: "direct".to_owned(),
            billed: postern::domain::prices::Billed::default(),
            test: false,
            billable: Billable::Accepted,
            when_unknown: WhenUnknown::Resend,
            lane: String::new(),
            retry_until: START.plus(Duration::from_hours(24)),
        },
        next_attempt_at: START,
        wait_until: None,
        earlier: None,
    }
}

/// What happened to a delivery, to the worker that holds this lease.
pub(crate) fn by(lease: &Lease, org: OrgId, id: postern::domain::DeliveryId, event: Event) -> Move {
    Move { owner: Some(lease.owner), ..Move::new(org, id, event) }
}

/// An instant, as RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse::<postern::domain::OffsetTime>().expect("a time").at
}
