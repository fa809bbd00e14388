//! What a payer asks back: what reached which primary care provider, what could not be delivered and why, and for whom no
//! Direct address was found. Pure: the same outcomes give the same report. No patient's data but the sender's key of an order.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    domain::{
        DeliveryId, Reason, ResultId, Timestamp,
        delivery::{Disposition, State},
        order::Role,
        report::ResultState,
    },
    store::outcome::{DeliveryOutcome, Outcome},
};

/// As CSV.
pub mod csv;
/// Of a month.
mod month;

pub use month::of_month;

/// What became of one result for one provider. The better one counts, where there are several deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Delivered,
    Pending,
    Failed,
    NotSent,
    NoAddress,
}

/// What one provider was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ByPcp {
    /// The provider's NPI; empty when the order names an address without one.
    pub pcp_npi: String,
    /// Their name, when an order says.
    pub pcp_name: String,
    /// Where results went.
    pub addresses: BTreeSet<String>,
    /// Results for them: the sum of the next five.
    pub results: u64,
    /// Known to have arrived.
    pub delivered: u64,
    /// Under way, or not confirmed yet.
    pub pending: u64,
    /// Refused, failed, or held.
    pub failed: u64,
    /// Cancelled, replaced by a later version, preliminary, or dismissed.
    pub not_sent: u64,
    /// Never sent: no usable address was found.
    pub no_address: u64,
    /// Half of what was handed over took no longer than this from coming in, in minutes.
    pub median_minutes: Option<u64>,
    /// 95 of 100 took no longer than this.
    pub p95_minutes: Option<u64>,
    #[serde(skip)]
    minutes: Vec<u64>,
}

/// What could not be delivered to a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Undeliverable {
    /// The sender's key of the order.
    pub order_id: String,
    /// The result.
    pub result: ResultId,
    /// 1, 2, 3.
    pub version: u32,
    /// The delivery; absent when there was no address to deliver to.
    pub delivery: Option<DeliveryId>,
    /// The provider's NPI.
    pub pcp_npi: String,
    /// Where it was tried.
    pub address: String,
    /// Why.
    pub reason: Option<Reason>,
    /// Since when.
    pub since: Timestamp,
    /// Failed attempts.
    pub attempts: u32,
    /// What to do next.
    pub next_action: &'static str,
}

/// A provider without a usable Direct address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoAddress {
    /// The provider's NPI; empty when it cannot be read or the roster names nobody.
    pub pcp_npi: String,
    /// What is wrong.
    pub reason: Reason,
    /// Results that wait for an address.
    pub results: u64,
    /// Since when the oldest does.
    pub oldest: Timestamp,
}

/// What must tie.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Totals {
    /// Versions of results that came in: the sum over `by_state`.
    pub results: u64,
    /// By where they stand.
    pub by_state: BTreeMap<ResultState, u64>,
    /// Results with no primary care provider among their recipients.
    pub without_pcp: u64,
    /// Results times providers: the sum of the next five.
    pub pcp_results: u64,
    /// See [`ByPcp`].
    pub delivered: u64,
    /// See [`ByPcp`].
    pub pending: u64,
    /// See [`ByPcp`].
    pub failed: u64,
    /// See [`ByPcp`].
    pub not_sent: u64,
    /// See [`ByPcp`].
    pub no_address: u64,
    /// Deliveries of these results, to whomever: the sum over `deliveries_by_state`.
    pub deliveries: u64,
    /// By where they stand.
    pub deliveries_by_state: BTreeMap<State, u64>,
}

/// The report of a period, grown result by result.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// By provider.
    pub by_pcp: Vec<ByPcp>,
    /// What could not be delivered.
    pub undeliverable: Vec<Undeliverable>,
    /// Providers without an address.
    pub no_address: Vec<NoAddress>,
    /// What must tie.
    pub totals: Totals,
    #[serde(skip)]
    pcps: BTreeMap<String, ByPcp>,
    #[serde(skip)]
    missing: BTreeMap<(String, Reason), (u64, Timestamp)>,
}

impl Report {
    /// Takes one result in.
    pub fn add(&mut self, outcome: &Outcome) {
        self.totals.results += 1;
        *self.totals.by_state.entry(outcome.state).or_default() += 1;
        for delivery in &outcome.deliveries {
            self.totals.deliveries += 1;
            *self.totals.deliveries_by_state.entry(delivery.state).or_default() += 1;
        }
        let npis = providers(outcome);
        if npis.is_empty() {
            self.totals.without_pcp += 1;
        }
        for npi in npis {
            self.provider(outcome, &npi);
        }
    }

    fn provider(&mut self, outcome: &Outcome, npi: &str) {
        let deliveries = deliveries_to(outcome, npi);
        let best = deliveries.iter().min_by_key(|delivery| fate(delivery));
        let fate = best.map_or_else(|| undecided(outcome), |delivery| fate(delivery));
        let pcp = self.pcps.entry(npi.to_owned()).or_insert_with(|| ByPcp { pcp_npi: npi.to_owned(), ..ByPcp::default() });
        pcp.results += 1;
        self.totals.pcp_results += 1;
        let (own, all) = match fate {
            Fate::Delivered => (&mut pcp.delivered, &mut self.totals.delivered),
            Fate::Pending => (&mut pcp.pending, &mut self.totals.pending),
            Fate::Failed => (&mut pcp.failed, &mut self.totals.failed),
            Fate::NotSent => (&mut pcp.not_sent, &mut self.totals.not_sent),
            Fate::NoAddress => (&mut pcp.no_address, &mut self.totals.no_address),
        };
        (*own, *all) = (*own + 1, *all + 1);
        for delivery in &deliveries {
            pcp.addresses.insert(delivery.target.address.to_string());
            if let Some(name) =
                delivery.target.recipient.as_ref().and_then(|who| who.name.as_ref()).filter(|_| pcp.pcp_name.is_empty())
            {
                pcp.pcp_name = name.plain();
            }
        }
        if let Some(at) = best.and_then(|delivery| delivery.accepted_at) {
            pcp.minutes.push(at.since(outcome.received_at).as_secs() / 60);
        }
        let line = outcome.others.iter().find(|line| is_pcp(line.role) && of(line.npi.as_deref(), npi) && line.reason.is_some());
        match (fate, best) {
            (Fate::Failed, Some(delivery)) => self.undeliverable.push(Undeliverable {
                order_id: outcome.order_id.clone(),
                result: outcome.result,
                version: outcome.version,
                delivery: Some(delivery.id),
                pcp_npi: npi.to_owned(),
                address: delivery.target.address.to_string(),
                reason: reason(delivery),
                since: delivery.updated_at,
                attempts: delivery.attempts,
                next_action: reason(delivery).map_or("see the delivery's history", Reason::remedy),
            }),
            (Fate::NoAddress, _) => {
                let reason = line.and_then(|line| line.reason).or(outcome.reason).unwrap_or(Reason::NoTarget);
                self.undeliverable.push(Undeliverable {
                    order_id: outcome.order_id.clone(),
                    result: outcome.result,
                    version: outcome.version,
                    delivery: None,
                    pcp_npi: npi.to_owned(),
                    address: String::new(),
                    reason: Some(reason),
                    since: outcome.received_at,
                    attempts: 0,
                    next_action: reason.remedy(),
                });
                let (results, oldest) = self.missing.entry((npi.to_owned(), reason)).or_insert((0, outcome.received_at));
                (*results, *oldest) = (*results + 1, (*oldest).min(outcome.received_at));
            }
            _ => {}
        }
    }

    /// Adds up what can be added up only at the end.
    #[must_use]
    pub fn finished(mut self) -> Self {
        self.by_pcp = std::mem::take(&mut self.pcps).into_values().collect();
        for pcp in &mut self.by_pcp {
            pcp.minutes.sort_unstable();
            let part = |percent: usize| pcp.minutes.get((pcp.minutes.len() * percent).div_ceil(100).saturating_sub(1)).copied();
            (pcp.median_minutes, pcp.p95_minutes) = (part(50), part(95));
        }
        let missing = std::mem::take(&mut self.missing).into_iter();
        self.no_address =
            missing.map(|((pcp_npi, reason), (results, oldest))| NoAddress { pcp_npi, reason, results, oldest }).collect();
        self
    }
}

/// The providers a result is for; an empty NPI is one that is known by an address alone, or not at all.
fn providers(outcome: &Outcome) -> BTreeSet<String> {
    let of_deliveries = outcome.deliveries.iter().filter_map(|delivery| {
        let who = delivery.target.recipient.as_ref().filter(|who| is_pcp(who.role))?;
        Some(who.npi.as_ref().map_or_else(String::new, ToString::to_string))
    });
    let mut npis: BTreeSet<String> = of_deliveries.collect();
    // Each line of one recipient is about the same provider, whether or not it could be read.
    let lines = outcome.others.iter().filter(|line| is_pcp(line.role));
    let named: BTreeSet<&str> = lines.clone().filter(|line| line.npi.is_some()).map(|line| line.origin.as_str()).collect();
    for line in lines {
        match &line.npi {
            Some(npi) => drop(npis.insert(npi.clone())),
            None if !named.contains(line.origin.as_str()) && line.reason.is_some() && !npis.contains("") => {
                npis.insert(String::new());
            }
            None => {}
        }
    }
    npis
}

/// The deliveries that bring a result to a provider: those meant for it, and those to an address it shares with another.
fn deliveries_to<'a>(outcome: &'a Outcome, npi: &str) -> Vec<&'a DeliveryOutcome> {
    let meant = |delivery: &&DeliveryOutcome| {
        let who = delivery.target.recipient.as_ref().filter(|who| is_pcp(who.role));
        who.is_some_and(|who| who.npi.as_ref().map_or("", crate::domain::Npi::as_str) == npi)
    };
    let shared = |delivery: &&DeliveryOutcome| {
        let same = |line: &&crate::domain::route::Candidate| {
            is_pcp(line.role) && line.reason.is_none() && line.npi.as_deref().unwrap_or_default() == npi
        };
        outcome.others.iter().filter(same).any(|line| line.address.as_ref() == Some(&delivery.target.address))
    };
    outcome.deliveries.iter().filter(|delivery| meant(delivery) || shared(delivery)).collect()
}

/// What becomes of a result for somebody it has no delivery to.
const fn undecided(outcome: &Outcome) -> Fate {
    match outcome.state {
        ResultState::NotSent => Fate::NotSent,
        ResultState::Received | ResultState::Waiting => Fate::Pending,
        ResultState::Routed | ResultState::Held => Fate::NoAddress,
    }
}

fn fate(delivery: &DeliveryOutcome) -> Fate {
    match (delivery.state, delivery.disposition) {
        (State::Accepted, Some(Disposition::Failed | Disposition::Expired)) | (State::Refused | State::Held, _) => Fate::Failed,
        (
            State::Accepted,
            Some(Disposition::Processed | Disposition::Dispatched | Disposition::Unconfirmed | Disposition::NotExpected),
        ) => Fate::Delivered,
        (State::Cancelled | State::Superseded, _) => Fate::NotSent,
        _ => Fate::Pending,
    }
}

/// Why a delivery failed, in a code of ours.
fn reason(delivery: &DeliveryOutcome) -> Option<Reason> {
    delivery.reason.or_else(|| (delivery.disposition == Some(Disposition::Expired)).then_some(Reason::NoProcessed))
}

fn is_pcp(role: Option<Role>) -> bool {
    role == Some(Role::Pcp)
}

fn of(line: Option<&str>, npi: &str) -> bool {
    line.unwrap_or_default() == npi
}

#[cfg(test)]
mod tests;
