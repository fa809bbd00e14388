//! What holds now: gathered from the store and from what processes say about themselves.

use std::{collections::BTreeSet, time::Duration};

use super::{Alerting, Slow};
use crate::{
    domain::{
        OrgScope, Timestamp,
        alert::{AlertKind, Condition, quiet_for},
        directory::alarm_days,
        identity::{KeyUse, Nearness, Term},
        time::Span,
        webhook::OffBecause,
    },
    observe::chain,
    store::{Result, gauge::Late, organization::Organization},
    trust::{Certificate, identity::expiry::unreplaced},
};

/// Most urgent ones looked at: more than people can read.
const MOST_URGENT: u32 = 500;
/// Messages looked at for how much comes back.
const SAMPLE: u32 = 200;
/// Fewer say nothing about how much comes back.
const LEAST_SAMPLE: usize = 10;
/// What comes back is looked at over this time.
const WINDOW: Duration = Duration::from_hours(24);

/// What holds.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) conditions: Vec<Condition>,
    /// What could not be looked at whole: nothing of it is over only because it was not seen.
    pub(super) blind: BTreeSet<AlertKind>,
}

impl Alerting {
    /// Everything that is looked at each time. What nobody wants to hear of is not looked for.
    pub(super) async fn look(&self, slow: &Slow, now: Timestamp) -> Result<Seen> {
        let store = &self.gateway.store;
        let mut seen = Seen { conditions: store.signs().await?, ..Seen::default() };
        seen.conditions.extend(slow.conditions.iter().cloned());
        for (what, since) in store.oldest_waiting().await? {
            let (age, limit) = (now.since(since), self.rules.waiting);
            if age > limit.0 {
                seen.conditions.push(Condition::new(AlertKind::OldestWaiting, what, age.as_secs(), limit.0.as_secs()));
            }
        }
        self.look_for_urgent(slow, now, &mut seen).await?;
        for waiting in store.waiting_for_people().await? {
            let limit = rules(slow, waiting.org).and_then(|org| org.file.alerts.held).unwrap_or(self.rules.held);
            if waiting.count >= limit {
                // Ten times as many are worse.
                let level = u8::try_from((waiting.count / limit).checked_ilog10().unwrap_or(0)).unwrap_or(u8::MAX);
                seen.conditions
                    .push(Condition::new(AlertKind::Held, "worklist", waiting.count, limit).of(waiting.org).level(level));
            }
        }
        self.look_at_answers(now, &mut seen).await?;
        self.look_for_silence(slow, now, &mut seen).await?;
        seen.conditions.retain(|condition| !self.rules.off.contains(&condition.kind));
        Ok(seen)
    }

    async fn look_for_urgent(&self, slow: &Slow, now: Timestamp, seen: &mut Seen) -> Result<()> {
        let limits = |org: Option<&Organization>| {
            let own = org.map(|org| &org.file.alerts);
            let accepted = own.and_then(|own| own.urgent_accepted).unwrap_or(self.rules.urgent_accepted);
            let answered = own.and_then(|own| own.urgent_answered).unwrap_or(self.rules.urgent_answered);
            (accepted, answered)
        };
        let all = slow.organizations.iter().map(|org| limits(Some(org))).chain([limits(None)]);
        let least = all.map(|(accepted, answered)| accepted.min(answered)).min().unwrap_or(Span::seconds(60));
        let late = self.gateway.store.late_urgent(now.minus(least.0), MOST_URGENT).await?;
        if late.len() >= MOST_URGENT as usize {
            seen.blind.extend([AlertKind::UrgentNotAccepted, AlertKind::UrgentUnanswered]);
        }
        for Late { org, what, id, since, accepted } in late {
            let (to_accept, to_answer) = limits(rules(slow, org));
            let (kind, limit) =
                if accepted { (AlertKind::UrgentUnanswered, to_answer) } else { (AlertKind::UrgentNotAccepted, to_accept) };
            let age = now.since(since);
            if age >= limit.0 {
                seen.conditions.push(Condition::new(kind, format!("{what} {id}"), age.as_secs(), limit.0.as_secs()).of(org));
            }
        }
        Ok(())
    }

    async fn look_at_answers(&self, now: Timestamp, seen: &mut Seen) -> Result<()> {
        let ways = self.gateway.post.relays().map(|relay| relay.name().to_owned()).chain(["mx".to_owned()]);
        for way in ways {
            // What left just now has had no time to be answered.
            let until = now.minus(self.rules.urgent_answered.0);
            let answers = self.gateway.store.answers(&way, now.minus(WINDOW), until, SAMPLE).await?;
            let newest = &answers[..answers.len().min(self.rules.answers_in_a_row)];
            let answered = answers.iter().filter(|answered| **answered).count();
            if newest.len() >= self.rules.answers_in_a_row && !newest.contains(&true) {
                let count = answers.iter().take_while(|answered| !**answered).count() as u64;
                seen.conditions.push(
                    Condition::new(AlertKind::HispSilent, way, count, self.rules.answers_in_a_row as u64)
                        .saying("messages in a row were not answered"),
                );
            } else if answers.len() >= LEAST_SAMPLE {
                let percent = (answered * 100 / answers.len()) as u64;
                if percent < self.rules.answers {
                    let detail = format!("{answered} of the last {} were answered", answers.len());
                    seen.conditions.push(Condition::new(AlertKind::NoticeRate, way, percent, self.rules.answers).saying(detail));
                }
            }
        }
        Ok(())
    }

    async fn look_for_silence(&self, slow: &Slow, now: Timestamp, seen: &mut Seen) -> Result<()> {
        let store = &self.gateway.store;
        let mut silent = |org: &Organization, subject: String, last: Option<Timestamp>, within: Span| {
            // What has never come may not have begun.
            let Some(last) = last else { return };
            let quiet = quiet_for(last, now, &org.file.alerts.expect_days, &org.file.time_zone);
            if quiet > within.0 {
                let condition = Condition::new(AlertKind::SourceSilent, subject, quiet.as_secs(), within.0.as_secs());
                seen.conditions.push(condition.of(org.id).saying(format!("the last came at {}", last.utc().plain())));
            }
        };
        for org in slow.organizations.iter() {
            if let Some(within) = org.file.alerts.expect_within {
                silent(org, "results".to_owned(), store.last_result(org.id).await?, within);
            }
        }
        for feed in &self.feeds {
            let org = slow.organizations.iter().find(|org| org.file.slug == feed.organization);
            if let (Some(within), Some(org)) = (feed.expect_within, org) {
                silent(org, format!("feed {}", feed.name), store.feed_moved_at(&feed.name).await?, within);
            }
        }
        Ok(())
    }

    /// What changes slowly and costs more to look at.
    pub(super) async fn look_slowly(&self, now: Timestamp) -> Result<Vec<Condition>> {
        let store = &self.gateway.store;
        let mut conditions = Vec::new();
        let keys = store.identity_keys(OrgScope::All).await?;
        for key in unreplaced(&keys) {
            conditions
                .extend(certificate(&format!("{} {}", key.address, key.term.used_for), &key.term, now).map(|it| it.of(key.org)));
        }
        for identity in self.gateway.post.identities() {
            let pem = identity.certificate.as_deref().unwrap_or_default();
            match Certificate::read_all(pem.as_bytes()) {
                Ok(chain) => conditions.extend(chain.first().and_then(|own| {
                    let term = Term { used_for: KeyUse::Both, from: own.valid_from(), until: own.valid_until() };
                    certificate(&identity.address.to_string(), &term, now)
                })),
                Err(error) if !pem.is_empty() => {
                    tracing::warn!(error = chain(&error), "a certificate of the installation's own cannot be read");
                }
                Err(_) => {}
            }
        }
        for bundle in store.bundles(OrgScope::All).await?.into_iter().filter(|bundle| bundle.url.is_some()) {
            if let Some(left) = bundle.shrunk_to {
                let condition = Condition::new(AlertKind::BundleShrunk, &bundle.name, left, bundle.anchors).of(bundle.org);
                conditions.push(condition.saying(format!("{left} of {} anchors would be left", bundle.anchors)));
            }
            let age = now.since(bundle.refreshed_at.unwrap_or(now));
            let limit = self.rules.bundle_age.0.max(bundle.refresh * 2);
            if age > limit {
                let condition = Condition::new(AlertKind::BundleStale, &bundle.name, age.as_secs(), limit.as_secs());
                conditions.push(condition.of(bundle.org));
            }
        }
        for webhook in store.webhooks(OrgScope::All).await? {
            if let Some(because) = webhook.off.filter(|because| *because != OffBecause::Asked) {
                let condition = Condition::new(AlertKind::WebhookDisabled, &webhook.rules.name, 0, 0);
                conditions.push(condition.of(webhook.org).saying(because.to_string()));
            }
        }
        for (source, age) in store.directory_ages().await? {
            let limit = alarm_days(source).map(|days| days * 24 * 3600).filter(|limit| age.as_secs() > *limit);
            if let Some(limit) = limit {
                let level = u8::from(age > self.directory_max_age);
                conditions.push(Condition::new(AlertKind::DirectoryOld, source.as_str(), age.as_secs(), limit).level(level));
            }
        }
        Ok(conditions)
    }
}

fn rules(slow: &Slow, org: crate::domain::OrgId) -> Option<&Organization> {
    slow.organizations.iter().find(|known| known.id == org)
}

fn certificate(subject: &str, term: &Term, now: Timestamp) -> Option<Condition> {
    let level = match term.nearness(now)? {
        Nearness::Sixty => 0,
        Nearness::Thirty => 1,
        Nearness::Seven => 2,
        Nearness::Expired => 3,
    };
    Some(Condition::new(AlertKind::CertificateExpiry, subject, term.days_left(now), 60).level(level))
}
