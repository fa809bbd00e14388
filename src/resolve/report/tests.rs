//! What a payer is told, case by case.

use super::csv::{Part, write};
use super::*;
use crate::domain::route::{Candidate, IntendedRecipient, Rule, Target, Verdict};

const NPI: &str = "1234567893";

fn outcome(state: ResultState) -> Outcome {
    Outcome {
        result: ResultId::new(),
        order_id: "=A1".into(),
        version: 1,
        state,
        reason: None,
        received_at: Timestamp(0),
        deliveries: vec![],
        others: vec![],
    }
}

fn delivery(address: &str, role: Role, npi: Option<&str>, state: State, disposition: Option<Disposition>) -> DeliveryOutcome {
    let npi = npi.map(|npi| npi.parse().unwrap());
    let recipient = Some(IntendedRecipient { role: Some(role), npi, ..IntendedRecipient::default() });
    DeliveryOutcome {
        id: DeliveryId::new(),
        target: Target { address: address.parse().unwrap(), rule: Rule::Directory, recipient, own_site: false },
        state,
        disposition,
        reason: (state == State::Refused).then_some(Reason::NoCert),
        attempts: 1,
        accepted_at: (state == State::Accepted).then_some(Timestamp(600_000_000)),
        updated_at: Timestamp(600_000_000),
    }
}

fn line(npi: Option<&str>, verdict: Verdict, reason: Option<Reason>, address: Option<&str>) -> Candidate {
    Candidate {
        origin: "deliver_to[0]".into(),
        rule: Rule::Directory,
        address: address.map(|a| a.parse().unwrap()),
        npi: npi.map(str::to_owned),
        verdict,
        reason,
        note: "so".into(),
        snapshot: None,
        role: Some(Role::Pcp),
        roster: None,
        score: None,
    }
}

fn report(outcomes: &[Outcome]) -> Report {
    let mut report = Report::default();
    for outcome in outcomes {
        report.add(outcome);
    }
    report.finished()
}

/// Everything ties: results are the sum of their states, what is for providers the sum of its fates, row by row and in all.
fn ties(report: &Report) {
    let totals = &report.totals;
    assert_eq!(totals.results, totals.by_state.values().sum::<u64>());
    assert_eq!(totals.deliveries, totals.deliveries_by_state.values().sum::<u64>());
    let sum = |row: &ByPcp| row.delivered + row.pending + row.failed + row.not_sent + row.no_address;
    assert!(report.by_pcp.iter().all(|row| row.results == sum(row)), "{report:?}");
    assert_eq!(totals.pcp_results, report.by_pcp.iter().map(|row| row.results).sum::<u64>());
    assert_eq!(totals.pcp_results, totals.delivered + totals.pending + totals.failed + totals.not_sent + totals.no_address);
    let undelivered = u64::try_from(report.undeliverable.len()).unwrap();
    assert_eq!(undelivered, totals.failed + totals.no_address, "what failed or has no address is listed, and nothing else");
    assert_eq!(totals.no_address, report.no_address.iter().map(|row| row.results).sum::<u64>());
}

#[test]
fn what_reached_a_provider_what_is_under_way_and_what_failed_tie_to_the_results() {
    let mut outcomes = Vec::new();
    for (state, disposition) in [
        (State::Accepted, Some(Disposition::Dispatched)),
        (State::Accepted, Some(Disposition::Awaited)),
        (State::Accepted, Some(Disposition::Expired)),
        (State::Refused, None),
        (State::Superseded, None),
    ] {
        let mut one = outcome(ResultState::Routed);
        one.deliveries = vec![delivery("p@d.example", Role::Pcp, Some(NPI), state, disposition)];
        outcomes.push(one);
    }
    for (state, reason) in [(ResultState::Held, Reason::NpiUnknown), (ResultState::Waiting, Reason::DirectoryUnavailable)] {
        let mut one = outcome(state);
        one.others = vec![line(Some(NPI), Verdict::Dropped, Some(reason), None)];
        outcomes.push(one);
    }
    outcomes.push(outcome(ResultState::Routed));
    let report = report(&outcomes);
    ties(&report);
    let row = &report.by_pcp[0];
    assert_eq!((row.results, row.delivered, row.pending, row.failed, row.not_sent, row.no_address), (7, 1, 2, 2, 1, 1));
    assert_eq!((row.median_minutes, row.p95_minutes, report.totals.without_pcp), (Some(10), Some(10), 1));
    let reasons: Vec<_> = report.undeliverable.iter().map(|row| row.reason.unwrap()).collect();
    assert_eq!(reasons, [Reason::NoProcessed, Reason::NoCert, Reason::NpiUnknown]);
    assert_eq!((report.no_address[0].pcp_npi.as_str(), report.no_address[0].reason), (NPI, Reason::NpiUnknown));
}

#[test]
fn a_failed_delivery_whose_fallback_arrived_is_delivered() {
    let mut one = outcome(ResultState::Routed);
    one.deliveries = vec![
        delivery("p@d.example", Role::Pcp, Some(NPI), State::Refused, None),
        delivery("site@d.example", Role::Pcp, Some(NPI), State::Accepted, Some(Disposition::Processed)),
    ];
    let report = report(&[one]);
    ties(&report);
    assert_eq!((report.totals.delivered, report.undeliverable.len()), (1, 0));
    assert_eq!(report.by_pcp[0].addresses.len(), 2);
}

#[test]
fn a_provider_who_shares_the_address_of_another_recipient_is_served_by_its_delivery() {
    let mut one = outcome(ResultState::Routed);
    one.deliveries = vec![delivery("same@d.example", Role::Ordering, None, State::Accepted, Some(Disposition::Processed))];
    one.others = vec![line(Some(NPI), Verdict::Dropped, None, Some("SAME@d.example"))];
    let report = report(&[one]);
    ties(&report);
    assert_eq!((report.totals.delivered, report.by_pcp[0].pcp_npi.as_str()), (1, NPI));
}

#[test]
fn a_provider_whose_npi_cannot_be_read_counts_once_and_by_its_reason() {
    let mut one = outcome(ResultState::Held);
    one.others = vec![
        line(None, Verdict::Dropped, Some(Reason::AddressInvalid), None),
        line(None, Verdict::Dropped, Some(Reason::NpiInvalid), None),
    ];
    let report = report(&[one]);
    ties(&report);
    assert_eq!((report.totals.no_address, report.no_address[0].pcp_npi.as_str()), (1, ""));
}

#[test]
fn nothing_in_the_rows_is_a_formula_to_a_spreadsheet() {
    let mut one = outcome(ResultState::Routed);
    one.deliveries = vec![delivery("+p@d.example", Role::Pcp, Some(NPI), State::Refused, None)];
    let report = report(&[one]);
    for part in [Part::Delivered, Part::Undeliverable, Part::NoAddress] {
        let mut out = Vec::new();
        write(&report, part, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let cells = || text.lines().skip(1).flat_map(|line| line.split(','));
        assert!(cells().all(|cell| !cell.starts_with(['=', '+', '@', '-'])), "{text}");
        assert_eq!(text.contains("'+p@d.example"), part != Part::NoAddress, "{text}");
    }
}
