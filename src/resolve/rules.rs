//! The routing rules: one pure function from what is known to where it goes and why.

use std::collections::HashMap;

use crate::domain::{
    DirectAddress, Npi, Order, Reason, Report,
    choice::{ChoiceRules, Known},
    organization::{ConfiguredTarget, Mode, RoutingRules},
    report::ResultStatus,
    roster::RosterRules,
    route::{Decision, DirectoryAnswer, DirectoryEntry, Route, Target, Verdict},
};

use super::{choice::same_name, walk::Walk};

/// Everything the route of one result version depends on.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    /// The order with its delivery instructions.
    pub order: &'a Order,
    /// The result.
    pub report: &'a Report,
    /// The organization's rules.
    pub rules: &'a RoutingRules,
    /// Which addresses are used.
    pub choice: &'a ChoiceRules,
    /// How the payer's roster is used.
    pub roster: &'a RosterRules,
    /// Pins, suppressions, what people said, where the result is already, how deliveries went.
    pub known: &'a Known,
    /// The addresses configured on the order's site. When there are any, the organization's are not used.
    pub site_targets: &'a [ConfiguredTarget],
    /// The addresses configured on the organization.
    pub org_targets: &'a [ConfiguredTarget],
    /// Who the order's site and organization are, nearest first: tells the practice's address of a clinician from others.
    pub affiliations: &'a [Affiliation<'a>],
    /// Production or test.
    pub mode: Mode,
    /// Domains that take test traffic; each includes its sub-domains.
    pub test_domains: &'a [String],
    /// Who got the order's result before.
    pub earlier: Earlier<'a>,
    /// What the directory said to each of [`npis`]. A missing answer counts as unavailable.
    pub answers: &'a HashMap<Npi, DirectoryAnswer>,
    /// Whether the time for waiting on the directory is over.
    pub directory_wait_over: bool,
}

/// Who got the order's result before. A correction goes to them too, and so does a version that is sent again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Earlier<'a> {
    /// Where to.
    pub targets: &'a [Target],
    /// Whether the latest version is sent again.
    pub again: bool,
}

/// A site or an organization, as far as a directory entry can be matched with it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Affiliation<'a> {
    /// Its own NPI.
    pub npi: Option<&'a Npi>,
    /// Its legal name.
    pub name: Option<&'a str>,
}

impl Affiliation<'_> {
    /// Whether `entry` belongs here: by NPI where both have one, else by exact name.
    pub(super) fn is_of(&self, entry: &DirectoryEntry) -> bool {
        match (self.npi, &entry.affiliation.npi) {
            (Some(own), Some(theirs)) => own == theirs,
            _ => matches!((self.name, &entry.affiliation.name), (Some(own), Some(theirs)) if same_name(own, theirs)),
        }
    }
}

/// The NPIs to ask the directory about before [`route`]: valid ones only, each once, those of the order first, then the one
/// a roster names.
#[must_use]
pub fn npis(order: &Order, known: &Known) -> Vec<Npi> {
    let mut found = Vec::new();
    let of_roster = known.attribution.iter().filter_map(|attribution| attribution.says.pcp());
    for npi in order.deliver_to.iter().filter_map(|recipient| recipient.npi.as_ref()?.valid()).chain(of_roster) {
        if !found.contains(npi) {
            found.push(npi.clone());
        }
    }
    found
}

/// Finds who must get the result, and why. The same case has the same route, always.
#[must_use]
pub fn route(case: &Case<'_>) -> Route {
    let mut walk = Walk::new(case);
    // The result itself may not be for sending; what it would have met is still shown.
    if case.report.status == ResultStatus::Preliminary && !case.rules.send_preliminary {
        return walk.nowhere(Verdict::Dropped, Reason::Preliminary, Decision::NotSent(Reason::Preliminary));
    }
    if case.order.do_not_deliver {
        return walk.nowhere(Verdict::Held, Reason::DoNotDeliver, Decision::Held(Reason::DoNotDeliver));
    }
    for (i, recipient) in case.order.deliver_to.iter().enumerate() {
        walk.recipient(&format!("deliver_to[{i}]"), recipient);
    }
    walk.attributed();
    walk.named();
    walk.configured();
    if case.earlier.again || case.report.status == ResultStatus::Corrected {
        walk.earlier();
    }
    walk.decide()
}

/// Whether the address lies in one of `domains` or in a sub-domain of one.
#[must_use]
pub fn in_domains(address: &DirectAddress, domains: &[String]) -> bool {
    let own = address.domain_key();
    domains.iter().any(|domain| {
        let domain = domain.trim().trim_start_matches(['@', '.']).to_ascii_lowercase();
        !domain.is_empty() && own.strip_suffix(&domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod decided;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod scenarios;
