//! Alerts: what is wrong is looked at again and again, and people are told of changes.
//!
//! Two loops that never wait for each other, nor the pipeline for them. One looks: it gathers the conditions that hold,
//! steps each alert's life (`domain::alert`, pure) and writes the change and what is to be said in one transaction. The
//! other tells: it takes what is to be said to one listener, all of it in one message, and keeps what cannot be said. Of
//! several processes one does each at a time; every process says about itself what the others cannot see.

mod look;
mod own;
mod tell;
mod voices;
mod words;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

pub use self::{
    voices::{Probed, Voices, VoicesError},
    words::shown,
};
use super::Gateway;
use crate::{
    config::{Config, alerts::AlertsSection, source},
    domain::{
        OrgScope,
        alert::{Alert, Condition, Listener, Listeners, Pace, digest_due, step},
    },
    observe::{chain, defect::contained, events, metrics},
    store::{StoreError, alert::AlertChange, lease::Lease, organization::Organization},
};

/// The lease of who looks.
const LOOKS: &str = "alerts:look";
/// The lease of who tells.
const TELLS: &str = "alerts:tell";
/// How often rules and what changes slowly are read.
const SLOW: Duration = Duration::from_mins(1);
/// How often old alerts are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);
/// What is open and has only another value is written down again after so long.
const STALE: Duration = Duration::from_mins(1);

/// The name of this machine, where a condition is of a machine.
#[must_use]
pub fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().filter(char::is_ascii_graphic).take(100).collect()
}

/// Looks and tells.
pub struct Alerting {
    gateway: Arc<Gateway>,
    rules: AlertsSection,
    voices: Voices,
    feeds: Vec<source::Feed>,
    /// Folders whose disks are watched.
    folders: Vec<PathBuf>,
    directory_max_age: Duration,
    slow: tokio::sync::Mutex<Slow>,
}

/// What is read once a minute.
#[derive(Default)]
struct Slow {
    read_at: Option<crate::domain::Timestamp>,
    organizations: Arc<Vec<Organization>>,
    conditions: Vec<Condition>,
    /// When a value was last written down.
    written_at: Option<crate::domain::Timestamp>,
}

impl Alerting {
    /// For this gateway, by this configuration.
    ///
    /// # Errors
    /// When the webhook's secret cannot be used.
    pub fn new(gateway: Arc<Gateway>, config: &Config) -> Result<Self, VoicesError> {
        let database = config.store.url.sqlite_file().and_then(|file| file.parent().map(std::path::Path::to_owned));
        let mut folders: Vec<PathBuf> = database.into_iter().chain([config.blobs.folder.clone()]).collect();
        folders.dedup();
        Ok(Self {
            voices: Voices::new(&config.alerts, &gateway)?,
            gateway,
            rules: config.alerts.clone(),
            feeds: config.feed.clone(),
            folders,
            directory_max_age: config.directory.max_age.0,
            slow: tokio::sync::Mutex::default(),
        })
    }

    /// Looks and tells until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(self.look_until(&stop), self.tell_until(&stop));
        for task in [LOOKS, TELLS] {
            if let Err(error) = self.gateway.store.give_back_task(task, &self.lease()).await {
                tracing::debug!(%error, "the lease of alerts runs out by itself");
            }
        }
    }

    async fn look_until(&self, stop: &CancellationToken) {
        let mut forgot: Option<Instant> = None;
        while !stop.is_cancelled() {
            if let Some(Err(error)) = contained(self.look_once()).await {
                tracing::warn!(error = chain(&error), "whether people have to be told of anything is looked at again later");
            }
            if forgot.is_none_or(|at| at.elapsed() >= FORGET_EVERY) {
                forgot = Some(Instant::now());
                let before = self.gateway.clock.now().minus(self.rules.keep.0);
                if let Err(error) = self.gateway.store.forget_alerts(before).await {
                    tracing::warn!(error = chain(&error), "old alerts are forgotten later");
                }
            }
            tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(self.rules.every.0) => {} }
        }
    }

    async fn tell_until(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            // A message that is under way at shutdown is sent again later, with the same id.
            let told = tokio::select! { () = stop.cancelled() => break, told = contained(self.tell_once()) => told };
            if let Some(Err(error)) = told {
                tracing::warn!(error = chain(&error), "people are told of alerts later");
            }
            tokio::select! { () = stop.cancelled() => {}, () = tokio::time::sleep(self.rules.every.0) => {} }
        }
    }

    fn lease(&self) -> Lease {
        Lease { length: (self.rules.every.0 * 4).max(Duration::from_mins(1)), ..self.gateway.lease() }
    }

    /// One look: this process says how it is, and if it is its turn, judges everything. Returns how many changes people
    /// are told of.
    ///
    /// # Errors
    /// When the store fails: then nothing has changed.
    pub async fn look_once(&self) -> Result<usize, StoreError> {
        let store = &self.gateway.store;
        store.say_signs(self.gateway.process, &self.own_signs().await, self.lease().length).await?;
        let changed = if store.take_task(LOOKS, &self.lease()).await? { self.judge().await? } else { 0 };
        metrics::alerts(&store.open_alert_counts().await?, store.untold().await?);
        Ok(changed)
    }

    async fn judge(&self) -> Result<usize, StoreError> {
        let store = &self.gateway.store;
        let now = store.now().await?;
        let mut slow = self.slow.lock().await;
        self.read_slow(&mut slow, now).await?;
        let mut known = store.unresolved_alerts().await?;
        let look::Seen { conditions, blind } = self.look(&slow, now).await?;
        let sides = self.sides(&slow.organizations);
        let write_values = slow.written_at.is_none_or(|at| now.since(at) >= STALE);
        if write_values {
            slow.written_at = Some(now);
        }
        let (mut changes, mut forgotten, mut told) = (Vec::new(), Vec::new(), Vec::new());
        let mut places: HashMap<_, usize> = HashMap::new();
        for (place, alert) in known.iter().enumerate() {
            let (kind, org, subject) = alert.condition.key();
            places.insert((kind, org, subject.to_owned()), place);
        }
        let mut before: Vec<Option<Alert>> = known.drain(..).map(Some).collect();
        let mut pairs: Vec<(Option<Alert>, Option<&Condition>)> = Vec::with_capacity(before.len() + conditions.len());
        for condition in &conditions {
            let (kind, org, subject) = condition.key();
            let place = places.get(&(kind, org, subject.to_owned()));
            pairs.push((place.and_then(|place| before[*place].take()), Some(condition)));
        }
        pairs.extend(before.into_iter().flatten().map(|alert| (Some(alert), None)));
        for (alert, seen) in pairs {
            let Some(kind) = seen.or(alert.as_ref().map(|alert| &alert.condition)).map(|condition| condition.kind) else {
                continue;
            };
            let old = alert.clone();
            let (new, happened) = step(alert, seen, blind.contains(&kind), &self.pace(kind), now);
            let said = happened.zip(new.as_ref()).map(|(happened, alert)| {
                told.push((alert.id, alert.condition.org, kind, happened));
                let listeners: Vec<Listener> = sides.iter().flat_map(|side| side.told(alert, happened.into())).collect();
                (happened.into(), listeners)
            });
            match (old, new) {
                (Some(old), None) => forgotten.push(old.id),
                (Some(old), Some(new)) if said.is_none() && same(&old, &new, write_values) => {}
                (_, Some(alert)) => changes.push(AlertChange { alert, said }),
                (None, None) => {}
            }
        }
        store.keep_alerts(changes, &forgotten).await?;
        for (alert, org, kind, happened) in &told {
            events::AlertChanged { alert: *alert, org: *org, kind: *kind, happened: *happened }.emit();
        }
        self.make_digests(&sides, now).await?;
        Ok(told.len())
    }

    async fn make_digests(&self, sides: &[Listeners], now: crate::domain::Timestamp) -> Result<(), StoreError> {
        let store = &self.gateway.store;
        if self.rules.digest.0.is_zero() {
            return Ok(());
        }
        let open: Vec<Alert> = store.unresolved_alerts().await?.into_iter().filter(Alert::is_open).collect();
        if open.is_empty() {
            return Ok(());
        }
        let states = store.alert_listeners().await?;
        for side in sides {
            let oldest = open.iter().filter(|alert| side.care_for(alert)).filter_map(|alert| alert.opened_at).min();
            for listener in side.everybody(false) {
                let last = states.get(&listener).and_then(|state| state.digest_at);
                if digest_due(last, oldest, self.rules.digest.0, now) {
                    store.make_digest(&listener, last).await?;
                }
            }
        }
        Ok(())
    }

    /// Who listens: the operators, then the organizations that name somebody.
    fn sides(&self, organizations: &[Organization]) -> Vec<Listeners> {
        let operators = Listeners {
            to: self.rules.to.clone(),
            escalate_to: self.rules.escalate_to.clone(),
            webhook: self.rules.webhook.is_some(),
            off: Vec::new(),
            org: None,
        };
        // Without a relay for alerts nobody's mail would ever leave.
        let mail = self.voices.has_mail();
        let theirs = organizations.iter().filter(|org| mail && !org.file.alerts.to.is_empty());
        std::iter::once(operators).chain(theirs.map(|org| Listeners::of(org.id, &org.file.alerts))).collect()
    }

    fn pace(&self, kind: crate::domain::alert::AlertKind) -> Pace {
        Pace {
            opens_after: kind.opens_after(self.rules.opens_after),
            resolves_after: kind.resolves_after(self.rules.resolves_after),
            escalates_after: kind.escalates().then_some(self.rules.escalate_after.0),
        }
    }

    async fn read_slow(&self, slow: &mut Slow, now: crate::domain::Timestamp) -> Result<(), StoreError> {
        if slow.read_at.is_some_and(|at| at <= now && now.since(at) < SLOW) {
            return Ok(());
        }
        slow.organizations = Arc::new(self.gateway.store.organizations(OrgScope::All).await?);
        slow.conditions = self.look_slowly(now).await?;
        slow.read_at = Some(now);
        Ok(())
    }
}

/// Whether nothing has to be written down: ages grow all the time, and once a minute is enough for them.
fn same(old: &Alert, new: &Alert, write_values: bool) -> bool {
    if write_values {
        return old == new;
    }
    let mut aged = new.clone();
    aged.condition.value = old.condition.value;
    aged.condition.detail.clone_from(&old.condition.detail);
    *old == aged
}
