//! From a directory file to a route.

use std::collections::HashMap;

use postern::{
    domain::{
        Order, Reason, Report,
        choice::{ChoiceRules, Known},
        organization::{Mode, RoutingRules},
        roster::RosterRules,
        route::DirectorySource,
        route::{Decision, Route},
        time::Span,
    },
    resolve::{Case, directory, explain, npis, route},
    source::wire::{self, Unknown},
    store::directory::NewSnapshot,
};
use serde_json::json;

use crate::support::counter::{Counter, order, result, with};

const DIRECTORY: &str = "npi,address,organization,organization_npi,status\n\
    1234567893,pcp@alpha.example,Alpha,,active\n\
    2000000010,p@alpha.example,Alpha,,active\n\
    2000000010,p@beta.example,Beta,,active\n\
    1245319599,,,,active\n";

async fn load(counter: &Counter, csv: &str) {
    let text = csv.to_owned();
    let new = NewSnapshot { source: DirectorySource::DirectTrust, org: None, file: "test" };
    let read = move |sink: directory::rows::Sink<'_>| {
        directory::drain(directory::CsvDirectory::new(text.as_bytes(), &directory::Mapping::default())?, sink)
    };
    directory::load(&counter.store, new, read, directory::Terms::default()).await.unwrap();
}

fn read(deliver_to: serde_json::Value) -> (Order, Report) {
    let today = "2026-11-21".parse().unwrap();
    let order = with(order("A1"), "deliver_to", deliver_to).to_string();
    let result = result("A1", "final").to_string();
    let order = wire::order(order.as_bytes(), Unknown::Refuse, today).unwrap().value.order().unwrap();
    (order, wire::result(result.as_bytes(), Unknown::Refuse, today).unwrap().value.report)
}

/// Asks the directory what the rules want to know, and routes.
async fn routed(counter: &Counter, deliver_to: serde_json::Value, max_age: Span) -> Route {
    let (order, report) = read(deliver_to);
    let mut answers = HashMap::new();
    let known = Known::default();
    for npi in npis(&order, &known) {
        let answer = counter.store.look_up(counter.org, &npi, max_age).await.unwrap();
        answers.insert(npi, answer);
    }
    route(&Case {
        order: &order,
        report: &report,
        rules: &RoutingRules::default(),
        choice: &ChoiceRules::default(),
        roster: &RosterRules::default(),
        known: &known,
        site_targets: &[],
        org_targets: &[],
        affiliations: &[],
        mode: Mode::Production,
        test_domains: &[],
        earlier: postern::resolve::Earlier::default(),
        answers: &answers,
        directory_wait_over: false,
    })
}

const YEAR: Span = Span::seconds(365 * 86_400);

#[tokio::test]
async fn an_npi_is_routed_through_the_directory_that_was_loaded() {
    let counter = Counter::open().await;
    load(&counter, DIRECTORY).await;
    let found = routed(&counter, json!([{ "role": "pcp", "npi": "1234567893" }]), YEAR).await;
    assert_eq!(found.targets[0].address.as_str(), "pcp@alpha.example");
    let snapshot = counter.store.active_snapshot(DirectorySource::DirectTrust, None).await.unwrap().unwrap().id;
    assert_eq!(found.trace[0].snapshot, Some(snapshot));
    assert!(explain::text(&found).contains("pcp@alpha.example (NPI 1234567893)"));
}

#[tokio::test]
async fn the_directorys_four_kinds_of_no_are_told_apart() {
    let counter = Counter::open().await;
    let ask = |npi: &'static str, max_age| routed(&counter, json!([{ "role": "pcp", "npi": npi }]), max_age);
    assert_eq!(ask("1234567893", YEAR).await.trace[0].reason, Some(Reason::NpiUnknown), "none is loaded");
    load(&counter, DIRECTORY).await;
    assert_eq!(ask("2000000044", YEAR).await.trace[0].reason, Some(Reason::NpiUnknown));
    assert_eq!(ask("1245319599", YEAR).await.trace[0].reason, Some(Reason::NoAddress));
    assert_eq!(ask("2000000010", YEAR).await.decision, Decision::Held(Reason::Ambiguous));
    let stale = ask("1234567893", Span::seconds(0)).await;
    assert_eq!(stale.decision, Decision::Waiting(Reason::DirectoryUnavailable));
}

#[tokio::test]
async fn an_address_marked_inactive_is_not_sent_to() {
    let counter = Counter::open().await;
    let ask = || routed(&counter, json!([{ "role": "pcp", "npi": "1234567893" }]), YEAR);
    load(&counter, "npi,address,status\n1234567893,old@alpha.example,deactivated\n").await;
    let found = ask().await;
    assert_eq!((found.targets.len(), found.trace[0].reason), (0, Some(Reason::NpiInactive)));
    load(&counter, "npi,address,status\n1234567893,old@alpha.example,inactive\n1234567893,new@alpha.example,active\n").await;
    assert_eq!(ask().await.targets[0].address.as_str(), "new@alpha.example");
}
