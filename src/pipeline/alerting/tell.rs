//! Telling: all that is to be said to one listener leaves in one message. What cannot be said is kept.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use super::{
    Alerting, TELLS,
    voices::{LONGEST, Probed},
    words::{Material, Message},
};
use crate::{
    domain::{
        OrgId, OrgScope, Timestamp,
        alert::{Alert, Listener, Listeners},
        id::AlertId,
    },
    observe::{chain, events},
    store::{Result, StoreError, alert::Telling, lease::Lease},
};

/// Most tellings of one message.
const MOST: u32 = 5_000;
/// The first wait after a failure; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_mins(30);
/// Least time between two messages to one listener when something critical is in them.
const LEAST_GAP: Duration = Duration::from_secs(30);

impl Alerting {
    /// Tells everybody what is to be said to them now, if it is this process's turn. Returns how many messages were taken.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tell_once(&self) -> Result<usize> {
        let store = &self.gateway.store;
        let untold = store.untold_listeners().await?;
        // The lease outlives the longest message, so that nobody begins beside us.
        if untold.is_empty() || !store.take_task(TELLS, &Lease { length: LONGEST * 2, ..self.lease() }).await? {
            return Ok(0);
        }
        let now = store.now().await?;
        let states = store.alert_listeners().await?;
        let sides = self.sides(&store.organizations(OrgScope::All).await?);
        let known: BTreeSet<Listener> = sides.iter().flat_map(|side| side.everybody(true)).collect();
        let open: Vec<Alert> = store.unresolved_alerts().await?.into_iter().filter(Alert::is_open).collect();
        let slugs: HashMap<OrgId, String> =
            store.organizations(OrgScope::All).await?.into_iter().map(|org| (org.id, org.file.slug)).collect();
        let due = untold.into_iter().filter(|(listener, critical)| {
            let state = states.get(listener).cloned().unwrap_or_default();
            let gap = if *critical { LEAST_GAP.min(self.rules.gap.0) } else { self.rules.gap.0 };
            state.next_at.is_none_or(|at| at <= now) && state.sent_at.is_none_or(|at| now.since(at) >= gap)
        });
        let telling = due.map(|(listener, _)| {
            let (known, sides, open, slugs) = (&known, &sides, &open, &slugs);
            let attempts = states.get(&listener).map_or(0, |state| state.attempts);
            async move {
                let wanted = known.contains(&listener);
                let told = self.tell(&listener, wanted, sides, open, slugs, attempts).await;
                told.unwrap_or_else(|error| {
                    tracing::error!(error = chain(&error), "who was told of alerts could not be noted");
                    false
                })
            }
        });
        let told = join_all(telling).await;
        Ok(told.into_iter().filter(|told| *told).count())
    }

    /// Tells one listener; whether a message was taken.
    async fn tell(
        &self,
        listener: &Listener,
        wanted: bool,
        sides: &[Listeners],
        open: &[Alert],
        slugs: &HashMap<OrgId, String>,
        attempts: u32,
    ) -> Result<bool, StoreError> {
        let store = &self.gateway.store;
        let lease = Lease { length: LONGEST * 2, ..self.lease() };
        let tellings = store.claim_tellings(listener, &lease, MOST).await?;
        let Some(first) = tellings.first() else { return Ok(false) };
        // What was tried in one message is tried in one again, or its id would name two different ones.
        let id = first.message.unwrap_or(first.id);
        let theirs: Vec<Alert> = open
            .iter()
            .filter(|alert| sides.iter().any(|side| side.org == listener.org && side.care_for(alert)))
            .cloned()
            .collect();
        let now = store.now().await?;
        let message = if wanted { self.message(listener, &tellings, &theirs, slugs, now).await? } else { None };
        let Some(message) = message else {
            // Nobody listens there any more, or what was to be said is not so any more.
            store.told(listener, &tellings, false).await?;
            return Ok(false);
        };
        let (began, count, org, channel) = (Instant::now(), tellings.len(), listener.org, listener.channel);
        match self.voices.say(listener, id, &message).await {
            Ok(_) => {
                store.told(listener, &tellings, true).await?;
                events::AlertsTold { org, tellings: count, channel, took: began.elapsed() }.emit();
                Ok(true)
            }
            Err(why) => {
                let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(attempts).unwrap_or(u32::MAX)).min(LONGEST_WAIT);
                store.not_told(listener, &tellings, now.plus(wait), &why).await?;
                events::AlertsNotTold { org, tellings: count, wait, channel }.emit();
                Ok(false)
            }
        }
    }

    async fn message(
        &self,
        listener: &Listener,
        tellings: &[Telling],
        open: &[Alert],
        slugs: &HashMap<OrgId, String>,
        now: Timestamp,
    ) -> Result<Option<Message>, StoreError> {
        let mut alerts: HashMap<AlertId, Alert> = HashMap::new();
        for id in tellings.iter().filter_map(|telling| telling.alert).collect::<BTreeSet<_>>() {
            match open.iter().find(|alert| alert.id == id).cloned() {
                Some(alert) => drop(alerts.insert(id, alert)),
                None => alerts.extend(self.gateway.store.alert(id).await?.map(|alert| (id, alert))),
            }
        }
        let material = Material { name: &self.rules.name, to: listener.org, tellings, alerts: &alerts, open, slugs, now };
        Ok(material.message())
    }

    /// Sends a probe to everybody the installation's `[alerts]` names, and to those of organizations that do; what came of
    /// each. Nothing is written down.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn probe(&self) -> Result<Vec<Probed>, StoreError> {
        let store = &self.gateway.store;
        let now = store.now().await?;
        let sides = self.sides(&store.organizations(OrgScope::All).await?);
        let listeners: BTreeSet<Listener> = sides.iter().flat_map(|side| side.everybody(true)).collect();
        let name = &self.rules.name;
        let message = Message {
            subject: format!("[{name}] test"),
            text: format!(
                "This is a test of the alerts of {name}, sent at {} because somebody ran: postern alerts test\n\n\
                 Nothing is wrong. Real alerts come the same way.\n",
                now.utc().plain()
            ),
            json: json!({ "type": "alerts.test", "timestamp": now.to_string(), "data": { "installation": name } }),
        };
        let message = &message;
        let probed = listeners.into_iter().map(|listener| async move {
            let outcome = self.voices.say(&listener, Uuid::now_v7(), message).await;
            Probed { listener, outcome }
        });
        Ok(join_all(probed).await)
    }
}
