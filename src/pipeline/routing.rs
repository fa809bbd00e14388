//! One result, from claim to its deliveries.

use std::{sync::Arc, time::Duration};

use super::{
    Gateway,
    knowledge::{About, Knowledge, gather},
};
use crate::{
    domain::{
        Order, OrderKey, Reason, Report, Timestamp,
        order::Priority,
        organization::{Billable, Mode},
        prices::{Billed, Channel, payer_key},
        report::ResultStatus,
        route::{Decision, Route},
    },
    observe::{events, failpoint},
    resolve::{Affiliation, Case, Earlier, route},
    store::{
        StoreError,
        organization::Organization,
        result::{ResultWork, Routing, Terms},
    },
};

/// How long a result waits for a directory that does not answer, before the next rule applies.
const DIRECTORY_PATIENCE: Duration = Duration::from_hours(24);
/// How often a directory that does not answer is asked again.
const DIRECTORY_AGAIN: Duration = Duration::from_mins(1);
/// How often a route is found anew because an earlier version reached somebody meanwhile, before the result waits a little.
const OVERTAKEN: usize = 5;
/// Urgent results are retried no longer than this.
const URGENT_PATIENCE: Duration = Duration::from_hours(2);

impl Gateway {
    /// Routes one claimed result and records the route with its deliveries.
    ///
    /// # Errors
    /// When the store fails; the result is free again once its lease runs out.
    pub async fn route_result(self: &Arc<Self>, work: ResultWork) -> Result<(), StoreError> {
        let organization = self.organization(work.org).await?;
        let (org, result) = (work.org, work.id);
        let mut tries = 0;
        let (decision, routed) = loop {
            let now = self.store.now().await?;
            let routing = match &work.order {
                Some((key, order)) => self.routing(&work, *key, order, &organization, now).await?,
                None => still_waiting(&work, &organization, now),
            };
            let decision = routing.route.decision;
            failpoint::reach("routing_before_commit");
            match self.committer.route(routing).await {
                // The order was changed or cancelled at this moment: whoever did that has seen to the result.
                Err(StoreError::Lost) => return Ok(()),
                Ok(routed) if routed.overtaken && tries < OVERTAKEN => tries += 1,
                Ok(routed) if routed.overtaken => {
                    self.put_back(org, result, work.owner).await;
                    return Ok(());
                }
                routed => break (decision, routed?),
            }
        };
        failpoint::reach("routing_after_commit");
        match decision {
            Decision::Routed => events::ResultRouted { org, result, deliveries: routed.deliveries.len() }.emit(),
            Decision::Held(reason) => events::ResultHeld { org, result, reason }.emit(),
            Decision::Waiting(reason) => events::ResultWaiting { org, result, reason }.emit(),
            Decision::NotSent(reason) => events::ResultNotSent { org, result, reason }.emit(),
        }
        Ok(())
    }

    async fn routing(
        &self,
        work: &ResultWork,
        key: OrderKey,
        order: &Order,
        organization: &Organization,
        now: Timestamp,
    ) -> Result<Routing, StoreError> {
        let resend = work.resend_of.is_some();
        // A correction and a resend also go to whoever got what they repeat or replace.
        let asks = resend || work.report.status == ResultStatus::Corrected;
        let earlier = if asks { self.store.earlier_targets(work.org, key, work.version).await? } else { Vec::new() };
        let known = asks.then(|| earlier.iter().map(|target| target.address.key()).collect());
        let began = work.wait_until.unwrap_or_else(|| now.plus(DIRECTORY_PATIENCE));
        let about = About { order: Some(key), result: Some(work.id) };
        let max_age = self.settings.directory.max_age;
        let knowledge = gather(&self.store, &self.live, organization, order, &work.report, about, max_age).await?;
        let test_domains = &self.settings.test.test_domains;
        let before = Earlier { targets: &earlier, again: resend };
        let route = decide(organization, order, &work.report, before, &knowledge, now >= began, test_domains);
        let waiting = matches!(route.decision, Decision::Waiting(_));
        let rules = &organization.file.routing;
        let fee_code = if resend { "direct_resend" } else { "direct" };
        let identity = organization.identity(&order.site);
        let billed = Billed {
            channel: Channel::Direct,
            status: work.report.status,
            payer: payer_key(order.health_plan.as_ref().and_then(|plan| plan.id.as_deref())),
        };
        Ok(Routing {
            org: work.org,
            result: work.id,
            owner: work.owner,
            terms: Terms {
                from_domain: identity.map_or_else(|| "postern.invalid".to_owned(), |own| own.address.domain_key()),
                fee_code: fee_code.to_owned(),
                test: organization.mode(&order.site) == Mode::Test,
                billable: self.billable(organization, fee_code, &billed, now).await?,
                billed,
                when_unknown: rules.unknown,
                lane: identity.map(super::PostOffice::way).unwrap_or_default(),
                retry_until: now.plus(patience(organization, work.priority)),
            },
            next_attempt_at: if waiting { now.plus(DIRECTORY_AGAIN) } else { now },
            wait_until: waiting.then_some(began),
            route,
            earlier: known,
        })
    }

    /// The billable moment of the price in force on this day in the organization's zone; acceptance without one.
    pub(super) async fn billable(
        &self,
        organization: &Organization,
        fee_code: &str,
        billed: &Billed,
        now: Timestamp,
    ) -> Result<Billable, StoreError> {
        let day = organization.file.time_zone.date_at(now);
        let price = self.store.price_on(organization.id, fee_code, billed, day).await?;
        Ok(price.map_or(Billable::Accepted, |price| price.rate.billable))
    }
}

/// The route of a report under an organization's rules. Pure: routing and `postern explain` call it alike.
#[must_use]
pub fn decide(
    organization: &Organization,
    order: &Order,
    report: &Report,
    earlier: Earlier<'_>,
    knowledge: &Knowledge,
    directory_wait_over: bool,
    test_domains: &[String],
) -> Route {
    let site = organization.site(&order.site);
    let file = &organization.file;
    let affiliations = [
        Affiliation { npi: site.and_then(|site| site.npi.as_ref()), name: site.and_then(|site| site.name.as_deref()) },
        Affiliation { npi: file.npi.as_ref(), name: Some(&file.name) },
    ];
    route(&Case {
        order,
        report,
        rules: &file.routing,
        choice: &file.choice,
        roster: &file.roster,
        known: &knowledge.known,
        site_targets: site.map_or(&[], |site| &site.targets),
        org_targets: &file.targets,
        affiliations: &affiliations,
        mode: organization.mode(&order.site),
        test_domains,
        earlier,
        answers: &knowledge.answers,
        directory_wait_over,
    })
}

/// The result's order has not come.
fn still_waiting(work: &ResultWork, organization: &Organization, now: Timestamp) -> Routing {
    let until = work.wait_until.unwrap_or(now);
    let decision =
        if now >= until { Decision::Held(Reason::WaitingForOrder) } else { Decision::Waiting(Reason::WaitingForOrder) };
    Routing {
        org: work.org,
        result: work.id,
        owner: work.owner,
        route: Route { targets: Vec::new(), trace: Vec::new(), decision },
        terms: Terms {
            from_domain: String::new(),
            fee_code: String::new(),
            billed: Billed::default(),
            test: false,
            billable: Billable::Accepted,
            when_unknown: organization.file.routing.unknown,
            lane: String::new(),
            retry_until: now,
        },
        earlier: None,
        next_attempt_at: until,
        wait_until: Some(until),
    }
}

/// How long transport errors are retried.
pub(super) fn patience(organization: &Organization, priority: Priority) -> Duration {
    let patience = organization.file.routing.retry_for.0;
    if priority == Priority::Urgent { patience.min(URGENT_PATIENCE) } else { patience }
}
