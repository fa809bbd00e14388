//! One version of a result: its route, its deliveries, and the document with who the patient is, behind a look that is on record.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    Page, Told,
    deliveries::Line,
    delivery::{Considered, considered},
    whose,
    words::{self, Badge},
    worklist::{Waits, waits},
};
use crate::{
    domain::{Order, ResultId, person::Right, report::ResultState},
    observe::events::{DocumentRevealed, PatientRevealed},
    source::Refusal,
    store::survey::ResultView,
    web::{Problem, Web, auth::Person},
};

#[derive(Template)]
#[template(path = "console/result.html")]
struct Shown<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    told: Option<Told>,
    view: &'a ResultView,
    slug: String,
    state: Badge,
    received: String,
    meaning: Option<(&'static str, &'static str)>,
    trace: Vec<Considered>,
    lines: Vec<Line>,
    waits: Vec<Waits>,
    decide: bool,
    suffix: String,
    decisions: Vec<(String, String, String, String)>,
    patient: Option<Vec<(&'static str, String)>>,
}

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    done: String,
}

fn missing() -> Page {
    Problem::from(Refusal::not_found("result")).into()
}

async fn find(web: &Web, person: &Person, id: &str) -> Result<ResultView, Page> {
    let id: ResultId = id.parse().map_err(|_| missing())?;
    web.intake.store().result_view(person.scope, id).await.map_err(Page::store)?.ok_or_else(missing)
}

pub(super) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Page, Page> {
    let view = find(&web, &person, &id).await?;
    page(&web, &person, &view, Told::of(&done), None).await
}

async fn page(
    web: &Web,
    person: &Person,
    view: &ResultView,
    told: Option<Told>,
    patient: Option<Vec<(&'static str, String)>>,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let trace = store.trace(view.org, view.id).await.map_err(Page::store)?;
    let decisions = store.decisions(view.org, Some(view.id), 50).await.map_err(Page::store)?;
    let slug = store.slugs(person.scope).await.map_err(Page::store)?.remove(&view.org).unwrap_or_default();
    let zone = whose::zone(web, view.org).await?;
    let deliveries = view.deliveries.iter().map(|one| Line {
        link: format!("/deliveries/{}{}", one.id, person.about(one.org)),
        id: one.id,
        order: String::new(),
        version: view.version,
        site: view.site.clone(),
        organization: String::new(),
        address: one.address.clone(),
        whom: String::new(),
        state: words::state(one.state),
        disposition: one.disposition.map(words::disposition),
        reason: one.reason.map_or_else(String::new, |reason| reason.to_string()),
        meaning: one.reason.map_or_else(String::new, |reason| reason.meaning().to_owned()),
        updated: words::when_in(one.updated_at, &zone),
        test: false,
    });
    Ok(Page::of(&Shown {
        person: Some(person),
        here: person,
        told,
        slug,
        state: words::result_state(view.state),
        received: words::when_in(view.received_at, &zone),
        meaning: view.reason.map(|reason| (reason.meaning(), reason.remedy())),
        waits: waits(view.state, &trace),
        decide: person.may(Right::DeliveriesAct)
            && (matches!(view.state, ResultState::Held | ResultState::Waiting)
                || (view.state == ResultState::Routed && !waits(view.state, &trace).is_empty())),
        trace: considered(&trace),
        lines: deliveries.collect(),
        suffix: person.about(view.org),
        decisions: decisions
            .into_iter()
            .map(|one| {
                (
                    words::when_in(one.decided.at, &zone),
                    format!("{} {}", words::plain(one.what.as_str()), one.detail),
                    one.decided.by,
                    one.decided.why,
                )
            })
            .collect(),
        patient,
        view,
    }))
}

/// Shows who the patient is, with the document beside it. On record before anything is opened.
pub(super) async fn reveal(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Form(_): Form<Vec<(String, String)>>,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let view = find(&web, &person, &id).await?;
    let shelf = store.shelf(person.scope, view.id).await.map_err(Page::store)?.ok_or_else(missing)?;
    let Some(key) = shelf.order else {
        let detail = "Its order has not come, so nothing is known about the patient.";
        return Err(Problem::new(StatusCode::CONFLICT, "waiting_for_order", detail).into());
    };
    let event = PatientRevealed { org: view.org, order: key };
    let order = store.reveal_order(&person.actor, &event, person.scope, view.org, key).await.map_err(Page::store)?;
    page(&web, &person, &view, None, Some(patient(order.shown()))).await
}

fn patient(order: &Order) -> Vec<(&'static str, String)> {
    let who = &order.patient;
    let name = |name: &crate::domain::order::PersonName| format!("{}, {}", name.family, name.given.join(" "));
    let mut facts = vec![("Name", name(&who.name)), ("Born", who.birth_date.to_string()), ("Gender", who.gender.sent.clone())];
    let mut say = |what, value: Option<String>| facts.extend(value.filter(|value| !value.is_empty()).map(|value| (what, value)));
    say("Site's identifier", who.local_id.clone());
    say("Telephone", who.phone.clone());
    say(
        "Address",
        who.address.as_ref().map(|place| {
            let rest = [&place.city, &place.state, &place.postal_code].into_iter().flatten().cloned();
            place.lines.iter().cloned().chain(rest).collect::<Vec<_>>().join(", ")
        }),
    );
    let plan = order.health_plan.as_ref();
    say("Health plan", plan.and_then(|plan| plan.name.clone().or_else(|| plan.id.clone())));
    say("Member", plan.and_then(|plan| plan.member_id.clone()));
    say("Exam", order.procedure.as_ref().map(|exam| exam.display.clone().unwrap_or_else(|| exam.code.clone())));
    say("Encounter", order.encounter.clone());
    say("Ordered by", order.ordering_provider.as_ref().and_then(|provider| provider.name.as_ref()).map(name));
    facts
}

/// A document runs nothing, fetches nothing, and may be shown within a page of ours alone.
const DOCUMENT_POLICY: &str = "default-src 'none'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'";

/// The PDF, in an answer of its own. Each look is on record.
pub(super) async fn document(State(web): State<Web>, person: Person, Path(id): Path<String>) -> Result<Response, Page> {
    let store = web.intake.store();
    let id: ResultId = id.parse().map_err(|_| missing())?;
    let shelf = store.shelf(person.scope, id).await.map_err(Page::store)?.ok_or_else(missing)?;
    let event = DocumentRevealed { org: shelf.org, result: id };
    let key = store.key(shelf.org).await.map_err(Page::store)?;
    store.witness(&person.actor, &event).await.map_err(Page::store)?;
    let pdf = web.intake.blobs().get(shelf.org, &key, &shelf.pdf).await.map_err(|error| {
        tracing::error!(error = crate::observe::chain(&error), "a document could not be read");
        Page::from(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "document_unavailable",
            "the stored document is missing or damaged",
        ))
    })?;
    let headers = [
        (header::CONTENT_TYPE, "application/pdf"),
        (header::CONTENT_DISPOSITION, "inline; filename=\"result.pdf\""),
        (header::CONTENT_SECURITY_POLICY, DOCUMENT_POLICY),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ];
    Ok((headers, pdf).into_response())
}
