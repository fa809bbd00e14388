//! The worklist: what needs a person, oldest first, and what a person does about it.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Page, Told,
    deliveries::{Choice, organizations},
    form::Form as FormOf,
    sheet::{Section, Sheet},
    told::told,
    whose, words,
};
use crate::{
    domain::{DeliveryId, Reason, ResultId, audit::Witness, person::Right, report::ResultState, route::Candidate},
    observe::{
        events::SettingChanged,
        facts::{Configured, Named},
    },
    resolve::{
        decisions,
        worklist::{self, Ask, Open, WorklistError, open},
    },
    store::worklist::{WorkCursor, WorkFilter, WorkItem, WorkKind},
    web::{Problem, Web, auth::Person},
};

const LINES: u32 = 50;

/// A recipient that waits for a person.
pub(super) struct Waits {
    pub(super) recipient: String,
    pub(super) npi: String,
    pub(super) reason: String,
    pub(super) note: String,
    pub(super) addresses: Vec<String>,
}

pub(super) fn waits(state: ResultState, trace: &[Candidate]) -> Vec<Waits> {
    let one = |open: Open| Waits {
        recipient: open.recipient,
        npi: open.npi.unwrap_or_default(),
        reason: open.reason.map_or_else(String::new, |reason| reason.to_string()),
        note: open.note,
        addresses: open.addresses,
    };
    open(state, trace).into_iter().map(one).collect()
}

/// The filter bar.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    kind: String,
    reason: String,
    after: String,
    organization: String,
    done: String,
}

struct Line {
    link: Option<String>,
    kind: &'static str,
    order: String,
    organization: String,
    reason: String,
    meaning: &'static str,
    remedy: &'static str,
    since: String,
    age: String,
}

#[derive(Template)]
#[template(path = "console/worklist.html")]
struct Worklist<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    /// Everything that waits for this reason can be routed again at once.
    again: Option<Reason>,
    suffix: String,
    told: Option<Told>,
    kinds: Vec<Choice>,
    reasons: Vec<Choice>,
    organizations: Vec<Choice>,
    lines: Vec<Line>,
    next: Option<String>,
    filtered: bool,
}

pub(super) async fn list(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    let store = web.intake.store();
    let bad =
        |what: &str| Page::from(Problem::new(StatusCode::BAD_REQUEST, "malformed", format!("that is no {what} of the worklist")));
    let (mut kind, mut reason, mut after) = (None, None, None);
    if !asked.kind.is_empty() {
        kind = Some(asked.kind.parse::<WorkKind>().map_err(|_| bad("kind"))?);
    }
    if !asked.reason.is_empty() {
        reason = Some(asked.reason.parse::<Reason>().map_err(|_| bad("reason"))?);
    }
    if !asked.after.is_empty() {
        after = Some(asked.after.parse::<WorkCursor>().map_err(|_| bad("place"))?);
    }
    let filter = WorkFilter { kind, reason, after, limit: Some(LINES + 1) };
    let mut items = store.work_items(person.scope, &filter).await.map_err(Page::store)?;
    let more = items.len() > LINES as usize;
    items.truncate(LINES as usize);
    let said = [("organization", &asked.organization), ("kind", &asked.kind), ("reason", &asked.reason)];
    let said = words::said(&said);
    let next =
        items.last().filter(|_| more).map(|last| format!("/worklist?{said}after={}", words::query(&last.cursor().to_string())));
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let now = store.clock().now();
    let line = |item: WorkItem| Line {
        link: match item.kind {
            WorkKind::Result | WorkKind::Recipient => Some(format!("/results/{}{}", item.id, person.about(item.org))),
            WorkKind::Delivery => Some(format!("/deliveries/{}{}", item.id, person.about(item.org))),
            WorkKind::Parked => Some(format!("/parked/{}{}", item.id, person.about(item.org))),
        },
        kind: item.kind.as_str(),
        organization: slugs.get(&item.org).cloned().unwrap_or_default(),
        order: item.order_id,
        reason: item.reason.map_or_else(String::new, |reason| reason.to_string()),
        meaning: item.reason.map_or("could not be taken from its feed", Reason::meaning),
        remedy: item.reason.map_or("", Reason::remedy),
        since: words::when(item.since),
        age: words::age(now.since(item.since)),
    };
    let choice =
        |word: &'static str, chosen: &str| Choice { value: word.to_owned(), words: words::plain(word), chosen: word == chosen };
    Ok(Page::of(&Worklist {
        person: Some(&person),
        here: &person,
        again: reason.filter(|_| person.may(Right::DeliveriesAct) && !items.is_empty()),
        suffix: person.chosen.map_or_else(String::new, |org| format!("?organization={org}")),
        told: Told::of(&asked.done),
        kinds: WorkKind::ALL.iter().map(|kind| choice(kind.as_str(), &asked.kind)).collect(),
        reasons: Reason::ALL.iter().map(|reason| choice(reason.as_str(), &asked.reason)).collect(),
        organizations: organizations(&web, &person).await?,
        lines: items.into_iter().map(line).collect(),
        next,
        filtered: !said.is_empty(),
    }))
}

/// What is decided.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Decided {
    action: String,
    recipient: String,
    address: String,
    why: String,
}

/// Does what a person decided about a result or a delivery.
pub(super) async fn decide(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Form(decided): Form<Decided>,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let wrong = |detail: String| Page::from(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail));
    let address = || {
        let text = decided.address.trim();
        text.parse().map_err(|_| wrong(format!("{text:?} is not a Direct address: go back and correct it.")))
    };
    let ask = match decided.action.as_str() {
        "pin" => Ask::Pin(address()?),
        "address" => Ask::Address(address()?),
        "suppress" => Ask::Suppress(None),
        "reroute" => Ask::Reroute,
        "dismiss" => Ask::Dismiss,
        _ => return Err(wrong("Choose what is to be done.".to_owned())),
    };
    let name = format!("{} {}", person.actor.kind, person.actor.name);
    let whom =
        decisions::whom(&name, &decided.why).map_err(|error| wrong(format!("The reason: {error}. Go back and say why.")))?;
    // What goes on record is an id of ours, not whatever the path said.
    let result: ResultId = id.parse().map_err(|_| problem(WorklistError::NotFound))?;
    let id = result.to_string();
    let mut org = store.result_view(person.scope, result).await.map_err(Page::store)?.map(|view| view.org);
    if let (None, Ok(delivery)) = (org, id.parse::<DeliveryId>()) {
        org = store.delivery_in(person.scope, delivery).await.map_err(Page::store)?.map(|entry| entry.org);
    }
    let event = SettingChanged { org: org.or(person.scope.org()), what: Configured("worklist"), which: Named(&id) };
    let witness = Witness::new(&person.actor, &event);
    store.witness(witness.actor, witness.event).await.map_err(Page::store)?;
    let recipient = Some(decided.recipient.as_str()).filter(|recipient| !recipient.is_empty());
    worklist::resolve(store, person.scope, &id, recipient, &ask, whom).await.map_err(problem)?;
    let suffix = org.map_or_else(String::new, |org| person.about(org));
    let and = if suffix.is_empty() { "?" } else { "&" };
    Ok(Redirect::to(&format!("/worklist{suffix}{and}done=decided")).into_response())
}

/// The form that routes many again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Again {
    reason: String,
    why: String,
    sure: String,
}

/// Everything that waits for one reason is routed again: first it is said how many that are.
pub(super) async fn reroute(State(web): State<Web>, person: Person, Form(again): Form<Again>) -> Result<Response, Page> {
    let store = web.intake.store();
    let wrong = |detail: String| Page::from(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail));
    let reason: Reason = again.reason.parse().map_err(|_| wrong("Choose a reason in the filter first.".to_owned()))?;
    let name = format!("{} {}", person.actor.kind, person.actor.name);
    let whom = decisions::whom(&name, &again.why).map_err(|error| wrong(format!("The reason: {error}. Go back and say why.")))?;
    let suffix = person.chosen.map_or_else(String::new, |org| format!("?organization={org}"));
    let sure = again.sure == "yes";
    if sure {
        whose::on_record(&web, &person, person.scope.org(), "worklist_rerouted", reason.as_str()).await?;
    }
    let done = worklist::reroute_all(store, person.scope, reason, !sure, whom).await.map_err(problem)?.len();
    if sure {
        return Ok(told(&format!("/worklist{suffix}"), &format!("rerouted-{done}")).into_response());
    }
    let words = if done == 1 { "1 result".to_owned() } else { format!("{done} results") };
    let form = FormOf::new(format!("/worklist/reroute{suffix}"), format!("Route {words} again"))
        .hidden("reason", reason.as_str())
        .hidden("why", again.why.clone())
        .hidden("sure", "yes")
        .back(format!("/worklist{suffix}"));
    let lead = format!("{words} wait for {reason}: {}. Nothing has happened yet.", reason.meaning());
    let sheet = Sheet::new("Route them again?", lead).under("/worklist", "Worklist");
    Ok(sheet.and(Section::form("", form)).show(&person).into_response())
}

fn problem(error: WorklistError) -> Page {
    let (status, code) = match error {
        WorklistError::Store(cause) => return Page::store(cause),
        WorklistError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        WorklistError::NotOpen => (StatusCode::CONFLICT, "not_open"),
        WorklistError::Several(_) => (StatusCode::CONFLICT, "several_recipients"),
        WorklistError::NoRecipient(_) => (StatusCode::CONFLICT, "no_such_recipient"),
        WorklistError::NoNpi => (StatusCode::CONFLICT, "no_npi"),
    };
    Problem::new(status, code, error.to_string()).into()
}
