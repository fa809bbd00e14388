//! What a person does about an item of the worklist: which recipient is meant, what is decided, and what flows again.

use crate::{
    domain::{
        Class, DeliveryId, DirectAddress, Npi, OrgId, OrgScope, Reason, ResultId,
        choice::{Decides, Suppressed},
        delivery::Event,
        person::Right,
        report::ResultState,
        route::{Candidate, Verdict},
    },
    observe::events::DecisionMade,
    store::{
        Store, StoreError,
        decision::Whom,
        survey::{DeliveryView, ResultView},
        worklist::{Act, WorkFilter, WorkKind},
    },
};

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// This address for the recipient's NPI, now and from now on.
    Pin(DirectAddress),
    /// This address for this recipient of this order.
    Address(DirectAddress),
    /// This is not to be used; without a word the delivery's address, or the recipient's NPI.
    Suppress(Option<Suppressed>),
    /// Route it again.
    Reroute,
    /// It is not to be delivered: the result, the recipient, or the delivery.
    Dismiss,
}

impl Ask {
    /// What somebody needs besides the right to act on deliveries: what is decided about an address for all results to come
    /// needs the same right here as in the directory.
    #[must_use]
    pub const fn needs(&self) -> Option<Right> {
        match self {
            Self::Pin(_) | Self::Suppress(_) => Some(Right::AddressesAct),
            Self::Address(_) | Self::Reroute | Self::Dismiss => None,
        }
    }
}

/// What came of it, or would.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Settled {
    /// Results that are routed again.
    pub rerouted: Vec<ResultId>,
    /// One sentence for people.
    pub told: String,
    /// Whether it was only tried: nothing has changed.
    pub dry_run: bool,
}

/// A recipient that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Open {
    /// As the trace calls it.
    pub recipient: String,
    /// Its NPI.
    pub npi: Option<String>,
    /// What is wrong.
    pub reason: Option<Reason>,
    /// The addresses there are to choose from.
    pub addresses: Vec<String>,
    /// In words.
    pub note: String,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum WorklistError {
    /// There is no such result or delivery, or it is another organization's.
    #[error("there is no such result or delivery")]
    NotFound,
    /// It is settled, replaced, or its order is cancelled or has not come.
    #[error(
        "nothing about it can be decided: it is settled, was replaced by a later version, or its order is cancelled or has not come"
    )]
    NotOpen,
    /// It is not clear whom it is about.
    #[error("several recipients wait for a decision ({}): say which", .0.join(", "))]
    Several(Vec<String>),
    /// The named recipient is none of those that wait.
    #[error("no recipient {0:?} waits for a decision")]
    NoRecipient(String),
    /// A pin or suppression goes by the NPI, and there is none.
    #[error("the recipient has no valid NPI to go by: name an address for it instead")]
    NoNpi,
    /// The store.
    #[error("the decision could not be stored")]
    Store(#[source] StoreError),
}

impl WorklistError {
    /// Whether trying again can help.
    #[must_use]
    pub const fn class(&self) -> Class {
        match self {
            Self::Store(cause) => cause.class(),
            _ => Class::Permanent,
        }
    }
}

impl From<StoreError> for WorklistError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Lost | StoreError::Illegal(_) => Self::NotOpen,
            error => Self::Store(error),
        }
    }
}

/// A result, and the delivery of it that the item is about.
struct Item {
    org: OrgId,
    result: ResultView,
    delivery: Option<DeliveryView>,
    trace: Vec<Candidate>,
}

/// The recipients of a result that wait for a person.
#[must_use]
pub fn open(state: ResultState, trace: &[Candidate]) -> Vec<Open> {
    let counts = |line: &&Candidate| match (state, line.verdict) {
        (ResultState::Routed, Verdict::Held) => true,
        (ResultState::Held | ResultState::Waiting, Verdict::Held | Verdict::Dropped) => line.reason.is_some(),
        _ => false,
    };
    let recipient = |line: &&Candidate| {
        line.origin.starts_with("deliver_to") || line.origin == "roster" || line.reason == Some(Reason::FormerRecipient)
    };
    let mut found: Vec<Open> = Vec::new();
    for line in trace.iter().filter(counts).filter(recipient) {
        let address = line.address.as_ref().map(ToString::to_string);
        match found.iter_mut().find(|known| known.recipient == line.origin) {
            Some(known) => {
                known.addresses.extend(address);
                known.npi = known.npi.take().or_else(|| line.npi.clone());
            }
            None => found.push(Open {
                recipient: line.origin.clone(),
                npi: line.npi.clone(),
                reason: line.reason,
                addresses: address.into_iter().collect(),
                note: line.note.clone(),
            }),
        }
    }
    found
}

/// Does what a person asks about the result or delivery `id`, for the recipient the trace calls `recipient`, or the only one
/// that waits. What is served already is never sent to again.
///
/// # Errors
/// [`WorklistError`]; then nothing has changed.
pub async fn resolve(
    store: &Store,
    scope: OrgScope,
    id: &str,
    recipient: Option<&str>,
    ask: &Ask,
    whom: Whom<'_>,
) -> Result<Settled, WorklistError> {
    let item = find(store, scope, id).await?;
    let (org, result) = (item.org, item.result.id);
    if let (Ask::Dismiss, Some(delivery), None) = (ask, &item.delivery, recipient) {
        return dismiss_delivery(store, org, result, delivery, whom).await;
    }
    let act = item.act(recipient, ask)?;
    let told = told(&act);
    let decides = match &act {
        Act::Pin(..) => Decides::Pin,
        Act::Name(..) => Decides::Name,
        Act::LeaveOut(_) => Decides::LeaveOut,
        Act::Suppress(_) => Decides::Suppress,
        Act::Reroute => Decides::Reroute,
        Act::Dismiss => Decides::Dismiss,
    };
    let rerouted = store.act(org, result, &act, whom).await?;
    DecisionMade { org, result: Some(result), rerouted: rerouted.len(), what: decides }.emit();
    Ok(Settled { rerouted, told, dry_run: false })
}

/// What [`resolve`] would do, without doing it.
///
/// # Errors
/// [`WorklistError`], for the same reasons.
pub async fn foresee(
    store: &Store,
    scope: OrgScope,
    id: &str,
    recipient: Option<&str>,
    ask: &Ask,
    whom: Whom<'_>,
) -> Result<Settled, WorklistError> {
    let item = find(store, scope, id).await?;
    if let (Ask::Dismiss, Some(delivery), None) = (ask, &item.delivery, recipient) {
        let seen = store.foresee_dismissal(OrgScope::One(item.org), delivery.id).await?;
        return Ok(Settled { rerouted: Vec::new(), told: dismissed(seen), dry_run: true });
    }
    let act = item.act(recipient, ask)?;
    let rerouted = store.foresee_act(item.org, item.result.id, &act, whom).await?;
    Ok(Settled { rerouted, told: told(&act), dry_run: true })
}

/// Routes everything again that waits for this reason. Gives the results; with `dry_run` those it would be.
///
/// # Errors
/// [`WorklistError::Store`]; what was done before stays done.
pub async fn reroute_all(
    store: &Store,
    scope: OrgScope,
    reason: Reason,
    dry_run: bool,
    whom: Whom<'_>,
) -> Result<Vec<ResultId>, WorklistError> {
    let (mut done, mut after) = (Vec::new(), None);
    loop {
        let filter = WorkFilter { reason: Some(reason), after: after.take(), limit: Some(500), ..WorkFilter::default() };
        let page = store.work_items(scope, &filter).await?;
        let Some(last) = page.last() else { return Ok(done) };
        after = Some(last.cursor());
        for item in page {
            let result = match item.kind {
                WorkKind::Result | WorkKind::Recipient => item.id.parse().ok(),
                WorkKind::Delivery => delivery(store, scope, &item.id).await?.map(|delivery| delivery.result),
                WorkKind::Parked => None,
            };
            let Some(result) = result.filter(|result| !done.contains(result)) else { continue };
            if !dry_run {
                match store.act(item.org, result, &Act::Reroute, whom).await {
                    Ok(_) => DecisionMade { org: item.org, result: Some(result), rerouted: 1, what: Decides::Reroute }.emit(),
                    // Somebody was faster, or it waits for its order.
                    Err(StoreError::Lost) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
            done.push(result);
        }
    }
}

async fn delivery(store: &Store, scope: OrgScope, id: &str) -> Result<Option<DeliveryView>, WorklistError> {
    let Ok(id) = id.parse::<DeliveryId>() else { return Ok(None) };
    Ok(store.delivery_view(scope, id).await?.map(|(view, _)| view))
}

async fn find(store: &Store, scope: OrgScope, id: &str) -> Result<Item, WorklistError> {
    let by_result: ResultId = id.parse().map_err(|_| WorklistError::NotFound)?;
    let (result, delivery) = if let Some(result) = store.result_view(scope, by_result).await? {
        (result, None)
    } else {
        let delivery = delivery(store, scope, id).await?.ok_or(WorklistError::NotFound)?;
        (store.result_view(scope, delivery.result).await?.ok_or(WorklistError::NotFound)?, Some(delivery))
    };
    let trace = store.trace(result.org, result.id).await?;
    Ok(Item { org: result.org, result, delivery, trace })
}

/// A delivery leaves the worklist: it is closed, or somebody has seen to its failure.
async fn dismiss_delivery(
    store: &Store,
    org: OrgId,
    result: ResultId,
    delivery: &DeliveryView,
    whom: Whom<'_>,
) -> Result<Settled, WorklistError> {
    let (scope, note) = (OrgScope::One(org), format!("{}: {}", whom.by, whom.why));
    let seen = store.seen_to(scope, delivery.id, &note).await?;
    if !seen {
        store.ask_delivery(scope, delivery.id, Event::Cancel, &note).await?;
    }
    store.note_decision(org, Decides::Dismiss, &delivery.id.to_string(), result, whom).await?;
    DecisionMade { org, result: Some(result), rerouted: 0, what: Decides::Dismiss }.emit();
    Ok(Settled { rerouted: Vec::new(), told: dismissed(seen), dry_run: false })
}

fn dismissed(seen: bool) -> String {
    let told = if seen { "it leaves the worklist as seen to" } else { "the delivery is closed: nothing is sent for it any more" };
    told.to_owned()
}

impl Item {
    fn act(&self, recipient: Option<&str>, ask: &Ask) -> Result<Act, WorklistError> {
        Ok(match ask {
            Ask::Reroute => Act::Reroute,
            Ask::Pin(address) => {
                let npi = self.the_one(recipient)?.and_then(|open| open.npi).ok_or(WorklistError::NoNpi)?;
                Act::Pin(npi.parse().map_err(|_| WorklistError::NoNpi)?, address.clone())
            }
            Ask::Address(address) => {
                let origin = self.the_one(recipient)?.map_or_else(String::new, |open| open.recipient);
                Act::Name(origin, address.clone())
            }
            Ask::Suppress(Some(what)) => Act::Suppress(what.clone()),
            Ask::Suppress(None) => Act::Suppress(if let Some(delivery) = &self.delivery {
                Suppressed::Address(delivery.address.parse().map_err(|_| WorklistError::NoNpi)?)
            } else {
                let npi = self.the_one(recipient)?.and_then(|open| open.npi).ok_or(WorklistError::NoNpi)?;
                Suppressed::Npi(npi.parse::<Npi>().map_err(|_| WorklistError::NoNpi)?)
            }),
            Ask::Dismiss if recipient.is_none() && self.result.state != ResultState::Routed => Act::Dismiss,
            Ask::Dismiss => {
                let origins: Vec<String> = match recipient {
                    Some(_) => self.the_one(recipient)?.map(|open| open.recipient).into_iter().collect(),
                    None => open(self.result.state, &self.trace).into_iter().map(|open| open.recipient).collect(),
                };
                if origins.is_empty() {
                    return Err(WorklistError::NotOpen);
                }
                Act::LeaveOut(origins)
            }
        })
    }

    /// The recipient that is meant: the named one, that of the delivery, or the only one that waits. `None` when none waits.
    fn the_one(&self, recipient: Option<&str>) -> Result<Option<Open>, WorklistError> {
        if let Some(delivery) = &self.delivery {
            let line = self.trace.iter().find(|line| {
                line.verdict == Verdict::Taken
                    && line.address.as_ref().is_some_and(|address| address.as_str() == delivery.address)
            });
            return Ok(line.map(|line| Open {
                recipient: line.origin.clone(),
                npi: line.npi.clone(),
                reason: delivery.reason,
                addresses: vec![delivery.address.clone()],
                note: line.note.clone(),
            }));
        }
        let mut all = open(self.result.state, &self.trace);
        match recipient {
            Some(name) => match all.iter().position(|open| open.recipient == name) {
                Some(place) => Ok(Some(all.swap_remove(place))),
                None => Err(WorklistError::NoRecipient(name.to_owned())),
            },
            None if all.len() > 1 => Err(WorklistError::Several(all.into_iter().map(|open| open.recipient).collect())),
            None => Ok(all.pop()),
        }
    }
}

fn told(act: &Act) -> String {
    match act {
        Act::Pin(npi, address) => format!("{npi} is pinned to {address}"),
        Act::Name(origin, address) if origin.is_empty() => format!("results of the order go to {address} too"),
        Act::Name(origin, address) => format!("{origin} of the order is served at {address}"),
        Act::LeaveOut(origins) => format!("left out: {}", origins.join(", ")),
        Act::Suppress(what) => format!("the {} {what} is not used any more", what.kind()),
        Act::Reroute => "it is routed again".to_owned(),
        Act::Dismiss => "the result is not delivered".to_owned(),
    }
}
