//! Overview: what is stuck, how much went through, and what needs somebody.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use askama::Template;
use axum::{
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use tokio::sync::Mutex;

use super::{
    Page, chart,
    words::{self, Badge},
};
use crate::{
    domain::{
        OrgId, OrgScope, Reason, Timestamp,
        delivery::{Disposition, State as At},
        person::{Duty, Right},
    },
    store::{Store, StoreError, figures::Standing, worklist::WorkFilter},
    web::{Web, auth::Person},
};

/// How long figures are shown before they are counted again.
const FRESH: Duration = Duration::from_secs(15);
/// More items than this are "more than".
pub(in crate::web) const COUNTED: u32 = 1_000;
/// Ends of certificates that are worth a line.
pub(in crate::web) const SOON: Duration = Duration::from_hours(24 * 60);

/// The figures of each scope as they were counted last: people who look at the same time look at the same ones.
#[derive(Debug, Default)]
pub struct Figures(Mutex<HashMap<Option<OrgId>, Kept>>);

/// Figures, and when they were counted.
type Kept = (Instant, Arc<Counted>);

/// What there is of everything, as it was counted.
#[derive(Debug)]
pub(in crate::web) struct Counted {
    /// When.
    pub(in crate::web) at: Timestamp,
    /// What is on its way.
    pub(in crate::web) standing: Vec<Standing>,
    /// What was made in the last day, by hour.
    pub(in crate::web) hours: Vec<crate::store::figures::Hour>,
    /// When that day began.
    pub(in crate::web) from: Timestamp,
    /// How much waits for a person, up to [`COUNTED`].
    pub(in crate::web) work: usize,
    /// Since when the oldest of it does.
    pub(in crate::web) oldest_work: Option<Timestamp>,
}

impl Figures {
    /// Those of `scope`, counted anew when they are old.
    pub(in crate::web) async fn of(&self, store: &Store, scope: OrgScope) -> Result<Arc<Counted>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((at, counted)) = kept.get(&scope.org())
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(counted));
        }
        let from = store.a_day_ago();
        let filter = WorkFilter { limit: Some(COUNTED), ..WorkFilter::default() };
        let work = store.work_items(scope, &filter).await?;
        let counted = Arc::new(Counted {
            at: store.clock().now(),
            standing: store.standing(scope).await?,
            hours: store.hours(scope, from).await?,
            from,
            work: work.len(),
            oldest_work: work.first().map(|item| item.since),
        });
        kept.retain(|_, (at, _)| at.elapsed() < FRESH);
        kept.insert(scope.org(), (Instant::now(), Arc::clone(&counted)));
        Ok(counted)
    }
}

#[derive(Template)]
#[template(path = "console/overview.html")]
struct Overview<'a> {
    person: Option<&'a Person>,
    at: String,
    /// The organization that is looked at, for what follows it.
    suffix: String,
    tiles: Vec<Tile>,
    bars: chart::Bars,
    outcomes: Vec<Outcome>,
    alerts: Option<Vec<AlertLine>>,
    expiries: Option<Vec<Expiry>>,
}

pub(super) struct Tile {
    pub(super) tone: &'static str,
    pub(super) label: &'static str,
    pub(super) figure: String,
    pub(super) note: String,
    pub(super) link: &'static str,
}

struct Outcome {
    badge: Badge,
    reason: String,
    meaning: String,
    link: String,
    count: u64,
    share: u64,
}

struct AlertLine {
    tone: &'static str,
    title: &'static str,
    subject: String,
    measured: String,
    since: String,
}

struct Expiry {
    badge: Badge,
    address: String,
    until: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person) -> Result<Response, Page> {
    match person.duty {
        Some(Duty::Password) => return Ok(Redirect::to("/account/password").into_response()),
        Some(Duty::Codes) => return Ok(Redirect::to("/account/codes").into_response()),
        None => {}
    }
    if !person.may(Right::DeliveriesRead) {
        let place = if person.may(Right::FeesRead) { "/fees" } else { "/account" };
        return Ok(Redirect::to(place).into_response());
    }
    let store = web.intake.store();
    let counted = web.figures.of(store, person.scope).await.map_err(Page::store)?;
    let now = store.clock().now();
    let alerts = if person.may(Right::HealthRead) {
        Some(store.alerts(person.scope, false, 8, None).await.map_err(Page::store)?)
    } else {
        None
    };
    let expiries =
        if person.may(Right::TrustRead) { Some(expiries(store, person.scope, now).await.map_err(Page::store)?) } else { None };
    let made = counted.hours.iter().map(|hour| hour.count).sum();
    Ok(Page::of(&Overview {
        person: Some(&person),
        at: words::when(counted.at),
        suffix: person.chosen.map_or_else(String::new, |org| format!("?organization={org}")),
        tiles: tiles(&counted, now),
        bars: bars(&counted),
        outcomes: outcomes(&counted, made),
        alerts: alerts.map(|all| {
            all.into_iter()
                .map(|alert| AlertLine {
                    tone: super::alerts::tone(alert.condition.kind.severity()),
                    title: alert.condition.kind.title(),
                    measured: alert.condition.measured(),
                    since: alert.opened_at.map_or_else(String::new, |at| words::age(now.since(at))),
                    subject: alert.condition.subject,
                })
                .collect()
        }),
        expiries,
    })
    .into_response())
}

/// The figures as they are now, for a page that follows them.
pub(super) async fn tiles_now(web: &Web, person: &Person) -> Result<Vec<Tile>, StoreError> {
    let store = web.intake.store();
    let counted = web.figures.of(store, person.scope).await?;
    // Ages are of the moment of counting: otherwise every second would be news.
    Ok(tiles(&counted, counted.at))
}

fn tiles(counted: &Counted, now: Timestamp) -> Vec<Tile> {
    let of = |states: &[At]| {
        let all: Vec<&Standing> = counted.standing.iter().filter(|level| states.contains(&level.state)).collect();
        (all.iter().map(|level| level.count).sum::<u64>(), all.iter().filter_map(|level| level.oldest).min())
    };
    let oldest =
        |at: Option<Timestamp>| at.map_or_else(|| "nothing".to_owned(), |at| format!("oldest {}", words::age(now.since(at))));
    let (moving, moving_since) = of(&[At::Queued, At::Claimed, At::OnWire]);
    let (unknown, unknown_since) = of(&[At::Unknown]);
    let late = moving_since.is_some_and(|at| now.since(at) > Duration::from_mins(15));
    let accepted = counted.hours.iter().filter(|hour| hour.state == At::Accepted).map(|hour| hour.count).sum::<u64>();
    let work = if counted.work >= COUNTED as usize { format!("{COUNTED}+") } else { counted.work.to_string() };
    vec![
        Tile {
            tone: if counted.work > 0 { "warn" } else { "good" },
            label: "Waiting for a person",
            figure: work,
            note: oldest(counted.oldest_work),
            link: "/worklist",
        },
        Tile {
            tone: if late { "warn" } else { "info" },
            label: "On their way",
            figure: moving.to_string(),
            note: oldest(moving_since),
            link: "/deliveries?state=queued",
        },
        Tile {
            tone: if unknown > 0 { "warn" } else { "good" },
            label: "May have arrived",
            figure: unknown.to_string(),
            note: oldest(unknown_since),
            link: "/deliveries?state=unknown",
        },
        Tile {
            tone: "good",
            label: "Handed over, last 24 h",
            figure: accepted.to_string(),
            note: "of those made in that time".to_owned(),
            link: "/deliveries?state=accepted",
        },
    ]
}

/// A day in hours: handed over, on its way, and what went wrong.
fn bars(counted: &Counted) -> chart::Bars {
    let mut bars = chart::Bars::new(&[
        ("good", "delivered or handed over"),
        ("info", "on its way"),
        ("warn", "needs a person"),
        ("bad", "failed"),
    ]);
    for hour in 0..24 {
        let at = counted.from.plus(Duration::from_hours(hour));
        let mut sums = [0; 4];
        for line in counted.hours.iter().filter(|line| line.at == at) {
            let place = match (line.state, line.disposition) {
                (At::Refused, _) | (At::Accepted, Some(Disposition::Failed | Disposition::Expired)) => 3,
                (At::Held | At::Unknown, _) => 2,
                (At::Queued | At::Claimed | At::OnWire, _) => 1,
                (At::Accepted, _) => 0,
                (At::Cancelled | At::Superseded, _) => continue,
            };
            sums[place] += line.count;
        }
        bars.add(words::when(at).get(11..16).unwrap_or_default(), &sums);
    }
    bars
}

fn outcomes(counted: &Counted, made: u64) -> Vec<Outcome> {
    let mut sums: BTreeMap<(At, Option<Disposition>, Option<Reason>), u64> = BTreeMap::new();
    for hour in &counted.hours {
        *sums.entry((hour.state, hour.disposition, hour.reason)).or_default() += hour.count;
    }
    let mut all: Vec<Outcome> = sums
        .into_iter()
        .map(|((state, disposition, reason), count)| {
            let mut link = format!("/deliveries?state={state}");
            if let Some(disposition) = disposition {
                link += &format!("&disposition={disposition}");
            }
            if let Some(reason) = reason {
                link += &format!("&reason={reason}");
            }
            Outcome {
                badge: match (state, disposition) {
                    (At::Accepted, Some(disposition)) => words::disposition(disposition),
                    _ => words::state(state),
                },
                reason: reason.map_or_else(String::new, |reason| reason.to_string()),
                meaning: reason.map_or_else(String::new, |reason| reason.meaning().to_owned()),
                link,
                count,
                share: (count * 100).checked_div(made).unwrap_or(0),
            }
        })
        .collect();
    all.sort_by_key(|outcome| std::cmp::Reverse(outcome.count));
    all
}

async fn expiries(store: &Store, scope: OrgScope, now: Timestamp) -> Result<Vec<Expiry>, StoreError> {
    let mut keys = store.identity_keys(scope).await?;
    keys.sort_by_key(|key| key.term.until);
    let soon = keys.into_iter().take_while(|key| key.term.until < now.plus(SOON)).take(8);
    Ok(soon
        .map(|key| Expiry {
            badge: until(key.term.until, now),
            address: key.address.to_string(),
            until: words::when(key.term.until),
        })
        .collect())
}

/// How near an end is.
pub(super) fn until(end: Timestamp, now: Timestamp) -> Badge {
    let left = end.since(now);
    let (tone, words) = match left.as_secs() / 86_400 {
        _ if end <= now => ("bad", "ended".to_owned()),
        days @ 0..14 => ("bad", format!("{days} days left")),
        days @ 14..60 => ("warn", format!("{days} days left")),
        days => ("good", format!("{days} days left")),
    };
    Badge { tone, words }
}
