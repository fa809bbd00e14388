//! The walk through the candidates: what a candidate becomes, and what follows from all of them.

use crate::domain::{
    DirectAddress, Npi, Reason,
    choice::{Corrections, Named},
    id::{RosterId, SnapshotId},
    order::Role,
    organization::When,
    report::ResultStatus,
    route::{Candidate, Decision, IntendedRecipient, Route, Rule, Score, Target, Verdict},
    text::Stated,
};

use super::{barred::barred, choice::Weighed, rules::Case};

/// A line of the trace before its verdict.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) origin: String,
    pub(super) rule: Rule,
    pub(super) npi: Option<Npi>,
    pub(super) snapshot: Option<SnapshotId>,
    pub(super) role: Option<Role>,
    pub(super) roster: Option<RosterId>,
    pub(super) score: Option<Score>,
    pub(super) note: String,
    /// Stands at the end of every note.
    pub(super) beside: String,
}

impl Line {
    pub(super) fn new(origin: impl Into<String>, rule: Rule, note: impl Into<String>) -> Self {
        Self {
            origin: origin.into(),
            rule,
            npi: None,
            snapshot: None,
            role: None,
            roster: None,
            score: None,
            note: note.into(),
            beside: String::new(),
        }
    }

    /// The same origin with another note.
    pub(super) fn again(&self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self.clone() }
    }

    /// The same about one of several addresses.
    pub(super) fn of(&self, weighed: &Weighed, note: impl Into<String>) -> Self {
        let snapshot = weighed.source.map(|(_, snapshot)| snapshot);
        Self { snapshot, score: Some(weighed.score.clone()), ..self.again(note) }
    }
}

pub(super) struct Walk<'a> {
    pub(super) case: &'a Case<'a>,
    targets: Vec<Target>,
    trace: Vec<Candidate>,
    /// Somebody's address hangs on a directory that cannot answer.
    pub(super) waits: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(case: &'a Case<'a>) -> Self {
        Self { case, targets: Vec::new(), trace: Vec::new(), waits: false }
    }

    pub(super) fn note(&mut self, line: Line, address: Option<DirectAddress>, verdict: Verdict, reason: Option<Reason>) {
        self.trace.push(Candidate {
            origin: line.origin,
            rule: line.rule,
            address,
            npi: line.npi.map(|npi| npi.to_string()),
            verdict,
            reason,
            note: line.note + &line.beside,
            snapshot: line.snapshot,
            role: line.role,
            roster: line.roster,
            score: line.score,
        });
    }

    pub(super) fn drop(&mut self, line: Line, reason: Reason) {
        self.note(line, None, Verdict::Dropped, Some(reason));
    }

    /// Makes `address` a target unless it already is one or the mode forbids it.
    pub(super) fn offer(&mut self, mut line: Line, address: DirectAddress, recipient: Option<IntendedRecipient>) {
        let same = |line: &&Candidate| {
            line.address.as_ref() == Some(&address)
                && (line.verdict == Verdict::Taken
                    || matches!(line.reason, Some(Reason::TestMode | Reason::TestAddress | Reason::DomainNotAllowed)
                        if line.verdict == Verdict::Held))
        };
        if let Some(first) = self.trace.iter().find(same) {
            line.note = format!("{}; the same address as {}, sent once as first written", line.note, first.origin);
            return self.note(line, Some(address), Verdict::Dropped, None);
        }
        let case = self.case;
        if let Some((reason, why)) = barred(&address, case.choice, case.known, case.mode, case.test_domains) {
            line.note.push_str(&why);
            // Somebody who got a wrong report is not just left with it: a person decides.
            let wronged = line.rule == Rule::EarlierRecipient && case.report.status == ResultStatus::Corrected;
            let verdict = if reason == Reason::Suppressed && !wronged { Verdict::Dropped } else { Verdict::Held };
            return self.note(line, Some(address), verdict, Some(reason));
        }
        let own_site = self.case.site_targets.iter().any(|target| target.direct == address);
        self.targets.push(Target { address: address.clone(), rule: line.rule, recipient, own_site });
        self.note(line, Some(address), Verdict::Taken, None);
    }

    /// What a person named for the order as a whole.
    pub(super) fn named(&mut self) {
        if let Some(address) = self.case.known.named("").and_then(|named| named.address.clone()) {
            self.offer(Line::new("worklist", Rule::Person, "a person named the address on the worklist"), address, None);
        }
    }

    /// Everyone who got the version that is corrected, or sent again.
    pub(super) fn earlier(&mut self) {
        let corrects = self.case.report.status == ResultStatus::Corrected;
        let got = match (self.case.earlier.again, corrects) {
            (false, _) => "received the version this one corrects",
            (true, false) => "received the version that is sent again",
            (true, true) => "received the version that is sent again, or the one it corrects",
        };
        for target in self.case.earlier.targets {
            let mut line = Line::new("earlier version", Rule::EarlierRecipient, got);
            line.npi = target.recipient.as_ref().and_then(|who| who.npi.clone());
            let known = self.targets.iter().any(|known| known.address == target.address);
            if corrects && self.case.choice.corrections == Corrections::Hold && !known {
                match self.case.known.named.iter().find(|named| named.origin == former(target)) {
                    Some(named) if named.address.is_none() => {
                        line.note.push_str("; a person left it out on the worklist");
                        self.note(line, Some(target.address.clone()), Verdict::Dropped, Some(Reason::Dismissed));
                        continue;
                    }
                    Some(Named { address: Some(address), .. }) => {
                        line.note.push_str("; a person named the address for it on the worklist");
                        self.offer(line, address.clone(), target.recipient.clone());
                        continue;
                    }
                    _ => {
                        line.origin = former(target);
                        line.note.push_str(" and is no longer on the route; a person decides");
                        self.note(line, Some(target.address.clone()), Verdict::Held, Some(Reason::FormerRecipient));
                        continue;
                    }
                }
            }
            self.offer(line, target.address.clone(), target.recipient.clone());
        }
    }

    /// The site's configured addresses, or the organization's when the site has none.
    pub(super) fn configured(&mut self) {
        let order_gave_one = !self.targets.is_empty();
        let shadowed = !self.case.site_targets.is_empty();
        let site = (format!("site {}", self.case.order.site), Rule::Site, self.case.site_targets, false);
        let organization = ("organization".to_owned(), Rule::Organization, self.case.org_targets, shadowed);
        for (origin, rule, targets, shadowed) in [site, organization] {
            for target in targets {
                let address = target.direct.clone();
                let note = if shadowed {
                    "configured on the organization; not used because the site has its own"
                } else if target.when == When::OnlyIfNone && order_gave_one {
                    "configured for results whose order gave no target; this one did"
                } else {
                    let note = match target.when {
                        When::Always => "configured for every result",
                        When::OnlyIfNone => "configured for results whose order gave no target",
                    };
                    self.offer(Line::new(&origin, rule, note), address, None);
                    continue;
                };
                self.note(Line::new(&origin, rule, note), Some(address), Verdict::Dropped, None);
            }
        }
    }

    pub(super) fn decide(mut self) -> Route {
        if self.waits {
            // All or nothing: a result goes out once its whole route is known. What is taken in the trace is a target.
            for line in self.trace.iter_mut().filter(|line| line.verdict == Verdict::Taken) {
                line.verdict = Verdict::Held;
                line.reason = Some(Reason::DirectoryUnavailable);
                line.note.push_str("; waits with the whole result for the directory");
            }
            let decision = Decision::Waiting(Reason::DirectoryUnavailable);
            return Route { targets: Vec::new(), trace: self.trace, decision };
        }
        let held = self.trace.iter().find(|line| line.verdict == Verdict::Held).and_then(|line| line.reason);
        let decision = if self.targets.is_empty() { Decision::Held(held.unwrap_or(Reason::NoTarget)) } else { Decision::Routed };
        Route { targets: self.targets, trace: self.trace, decision }
    }

    /// No rule is applied; every address that stood to receive the result is shown with the one reason.
    pub(super) fn nowhere(mut self, verdict: Verdict, reason: Reason, decision: Decision) -> Route {
        for (i, recipient) in self.case.order.deliver_to.iter().enumerate() {
            let address = recipient.direct.as_ref().and_then(Stated::valid).cloned();
            let rule = if recipient.direct.is_some() { Rule::OrderAddress } else { Rule::Directory };
            let mut line = Line::new(format!("deliver_to[{i}]"), rule, reason.meaning());
            line.npi = recipient.npi.as_ref().and_then(Stated::valid).cloned();
            self.note(line, address, verdict, Some(reason));
        }
        for (origin, rule, targets) in
            [("site", Rule::Site, self.case.site_targets), ("organization", Rule::Organization, self.case.org_targets)]
        {
            for target in targets {
                self.note(Line::new(origin, rule, reason.meaning()), Some(target.direct.clone()), verdict, Some(reason));
            }
        }
        Route { targets: Vec::new(), trace: self.trace, decision }
    }
}

/// What the trace calls somebody who got the version that is corrected.
fn former(target: &Target) -> String {
    format!("earlier version at {}", target.address)
}
