//! The trace in words: the same for `postern explain`, the API and the result's page.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::domain::{
    Reason,
    report::ResultState,
    route::{Candidate, Decision, Route, Score, Target, Verdict},
    text::{counted, is_forbidden},
};

/// One sentence: what follows from the route.
#[must_use]
pub fn summary(route: &Route) -> String {
    match (route.decision, route.targets.len()) {
        (Decision::Routed, n) => format!("routed to {}", counted(n as u64, "address", "addresses")),
        (Decision::Held(reason), _) => format!("held ({reason}): {}", reason.meaning()),
        (Decision::Waiting(reason), _) => format!("waiting ({reason}): {}", reason.meaning()),
        (Decision::NotSent(reason), _) => format!("not sent ({reason}): {}", reason.meaning()),
    }
}

/// The route for people: the decision, what to do about it, and one aligned line for each candidate with its sentence
/// below.
#[must_use]
pub fn text(route: &Route) -> String {
    let mut out = summary(route);
    if let Decision::Held(reason) = route.decision {
        let _ = write!(out, "\nnext: {}", reason.remedy());
    }
    out.push('\n');
    if route.trace.is_empty() {
        out.push_str("\nthe order names no recipient, and neither its site nor its organization has an address\n");
        return out;
    }
    let rows: Vec<[String; 4]> = route.trace.iter().map(cells).collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for (row, line) in rows.iter().zip(&route.trace) {
        let mut head = String::new();
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(head, "{cell:width$}  ");
        }
        let _ = write!(out, "\n{}\n    {}\n", head.trim_end(), clean(&line.note));
        let from = line.snapshot.map(|snapshot| format!("directory {snapshot}"));
        let roster = line.roster.map(|roster| format!("roster {roster}"));
        let facts: Vec<String> = from.into_iter().chain(roster).chain(line.score.as_ref().and_then(spoke)).collect();
        if !facts.is_empty() {
            let _ = writeln!(out, "    {}", clean(&facts.join("; ")));
        }
    }
    out
}

/// The route for programs: the stored route with the sentences beside the codes.
#[must_use]
pub fn json(route: &Route) -> Value {
    let reason = match route.decision {
        Decision::Routed => None,
        Decision::Held(reason) | Decision::Waiting(reason) | Decision::NotSent(reason) => Some(reason),
    };
    json!({
        "decision": route.decision,
        "summary": summary(route),
        "remedy": reason.map(crate::domain::Reason::remedy),
        "targets": route.targets,
        "trace": route.trace,
    })
}

fn cells(line: &Candidate) -> [String; 4] {
    let verdict = match (line.verdict, line.reason) {
        (Verdict::Taken, _) => "taken".to_owned(),
        (verdict, Some(reason)) => format!("{verdict} ({reason})"),
        (verdict, None) => verdict.to_string(),
    };
    let to = match (&line.address, &line.npi) {
        (Some(address), Some(npi)) => format!("{address} (NPI {npi})"),
        (Some(address), None) => address.to_string(),
        (None, Some(npi)) => format!("NPI {npi}"),
        (None, None) => "-".to_owned(),
    };
    [verdict, clean(&line.origin), line.rule.to_string(), to]
}

/// The route as it was stored; `None` before it was found.
#[must_use]
pub fn stored(state: ResultState, reason: Option<Reason>, trace: Vec<Candidate>) -> Option<Route> {
    let because = |reason: Option<Reason>| reason.unwrap_or(Reason::NoTarget);
    let decision = match state {
        ResultState::Received => return None,
        ResultState::Routed => Decision::Routed,
        ResultState::Held => Decision::Held(because(reason)),
        ResultState::Waiting => Decision::Waiting(because(reason)),
        ResultState::NotSent => Decision::NotSent(because(reason)),
    };
    let taken = trace.iter().filter(|line| line.verdict == Verdict::Taken);
    let target =
        |line: &Candidate| Some(Target { address: line.address.clone()?, rule: line.rule, recipient: None, own_site: false });
    Some(Route { targets: taken.filter_map(target).collect(), trace, decision })
}

/// What spoke for an address, in the order in which it counts, and what against it; nothing when there is nothing to say.
fn spoke(score: &Score) -> Option<String> {
    let said = [
        score.pinned.then(|| "pinned".to_owned()),
        score.own_list.then(|| "on the organization's own list".to_owned()),
        score.stated.then(|| "at the organization the order names".to_owned()),
        score.affiliated.as_ref().map(|place| format!("affiliated with the order's {place}")),
        score.last_success.map(|at| format!("last delivered to {}", at.utc().plain())),
    ];
    let mut said: Vec<String> = said.into_iter().flatten().collect();
    if score.failures > 0 {
        said.push(format!("failed {} since it last succeeded", counted(score.failures.into(), "time", "times")));
    }
    (!said.is_empty()).then(|| said.join(", "))
}

/// A directory or a site may carry anything; a terminal must not be told to do anything.
fn clean(text: &str) -> String {
    text.chars().map(|c| if is_forbidden(c) { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::route::Rule;

    fn line(origin: &str, address: Option<&str>, verdict: Verdict, reason: Option<Reason>) -> Candidate {
        Candidate {
            origin: origin.into(),
            rule: Rule::OrderAddress,
            address: address.map(|a| a.parse().unwrap()),
            npi: None,
            verdict,
            reason,
            note: "because\u{1b}[2J".into(),
            snapshot: None,
            role: None,
            roster: None,
            score: None,
        }
    }

    #[test]
    fn the_columns_line_up_and_control_characters_do_not_reach_the_terminal() {
        let address = "a@d.example";
        let route = Route {
            targets: vec![Target {
                address: address.parse().unwrap(),
                rule: Rule::OrderAddress,
                recipient: None,
                own_site: false,
            }],
            trace: vec![
                line("deliver_to[0]", Some(address), Verdict::Taken, None),
                line("site R", None, Verdict::Dropped, Some(Reason::NoAddress)),
            ],
            decision: Decision::Routed,
        };
        let expected = "routed to 1 address\n\
            \ntaken                 deliver_to[0]  order_address  a@d.example\n    because?[2J\n\
            \ndropped (no_address)  site R         order_address  -\n    because?[2J\n";
        assert_eq!(text(&route), expected);
    }

    #[test]
    fn what_spoke_for_an_address_is_told_and_where_nothing_did_nothing_is_said() {
        let mut score = Score::default();
        assert_eq!(spoke(&score), None);
        score.failures = 1;
        assert_eq!(spoke(&score).as_deref(), Some("failed 1 time since it last succeeded"));
        (score.pinned, score.failures) = (true, 2);
        assert_eq!(spoke(&score).as_deref(), Some("pinned, failed 2 times since it last succeeded"));
    }

    #[test]
    fn a_held_result_says_what_to_do() {
        let route = Route { targets: vec![], trace: vec![], decision: Decision::Held(Reason::NoTarget) };
        assert!(text(&route).contains(Reason::NoTarget.remedy()));
        let json = json(&route);
        assert_eq!(json["decision"], serde_json::json!({"state": "held", "reason": "no_target"}));
        assert_eq!(json["remedy"], Reason::NoTarget.remedy());
    }
}
