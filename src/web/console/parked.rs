//! An item of a feed that could not be taken: what is wrong with it, taking it after all, throwing it away.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    Page, Told,
    form::{Form, Input},
    sheet::{Section, Sheet},
    told::told,
    whose, words,
};
use crate::{
    domain::{audit::Witness, id::ParkedId, person::Right},
    observe::events::{ParkedItemDiscarded, ParkedItemRead},
    source::{Refusal, parked, wire::Unknown},
    store::{Store, feed::Parked},
    web::{
        Problem, Web,
        auth::{Fields, Person},
    },
};

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
}

async fn find(web: &Web, person: &Person, id: &str) -> Result<Parked, Page> {
    let missing = || Page::from(Problem::from(Refusal::not_found("item")));
    let id: ParkedId = id.parse().map_err(|_| missing())?;
    web.intake.store().parked_item(person.scope, id).await.map_err(Page::store)?.ok_or_else(missing)
}

pub(super) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let item = find(&web, &person, &id).await?;
    Ok(page(&web, &person, &item, None).await?.told(Told::of(&asked.done)).show(&person))
}

async fn page(web: &Web, person: &Person, item: &Parked, content: Option<String>) -> Result<Sheet, Page> {
    let slug = web.intake.store().slugs(person.scope).await.map_err(Page::store)?.remove(&item.org).unwrap_or_default();
    let about = person.about(item.org);
    let facts = vec![
        ("Organization", slug),
        ("Feed", item.source.clone()),
        ("Its place there", item.cursor.clone()),
        ("Since", words::when(item.at)),
    ];
    let mut sheet = Sheet::new("An item that could not be taken", "Its feed went on without it; nothing is lost.")
        .under("/worklist", "Worklist")
        .and(Section::lines("What is wrong with it", parked::problems(item)))
        .and(Section::facts("Facts", facts));
    let here = format!("/parked/{}", item.id);
    if person.may(Right::ResultsWrite) {
        let again = Form::new(format!("{here}/replay{about}"), "Take it now");
        let lead =
            "Have the sender mend it in the feed, or mend what it depends on here; then take it. It goes the way in once more.";
        let discard = Form::new(format!("{here}/discard{about}"), "Throw it away")
            .bad()
            .and(Input::tick("sure", "For good: the feed will not give it again").needed());
        sheet = sheet.and(Section::form("Take it after all", again).lead(lead)).and(Section::form("Throw it away", discard));
    }
    match content {
        Some(content) => sheet = sheet.and(Section::verbatim("The item, as it came", content)),
        None if person.may(Right::PatientsReveal) => {
            let read = Form::new(format!("{here}/read{about}"), "Read it").quiet();
            sheet = sheet.and(
                Section::form("Read it", read)
                    .lead("It is about a patient. That you read it is put on record, with your name and the time."),
            );
        }
        None => {}
    }
    Ok(sheet)
}

pub(super) async fn read(State(web): State<Web>, person: Person, Path(id): Path<String>, _: Fields) -> Result<Page, Page> {
    let item = find(&web, &person, &id).await?;
    let event = ParkedItemRead { org: item.org, item: item.id };
    let opened = web.intake.store().reveal(&person.actor, &event, async |store: &Store| store.open_parked(&item).await).await;
    let opened = opened.map_err(Page::store)?;
    let text = String::from_utf8_lossy(opened.shown()).into_owned();
    Ok(page(&web, &person, &item, Some(text)).await?.show(&person))
}

pub(super) async fn replay(State(web): State<Web>, person: Person, Path(id): Path<String>, _: Fields) -> Result<Response, Page> {
    let item = find(&web, &person, &id).await?;
    let (org, text) = (Some(item.org), item.id.to_string());
    whose::on_record(&web, &person, org, "parked_item_replay_asked", &text).await?;
    let unknown = if web.lenient.contains(&item.source) { Unknown::Ignore } else { Unknown::Refuse };
    let came = parked::replay(&web.intake, &item, unknown).await.map_err(|error| Page::from(Problem::from(error)))?;
    let outcome = if came.is_ok() { "parked_item_taken" } else { "parked_item_refused" };
    whose::on_record(&web, &person, org, outcome, &text).await?;
    let about = person.about(item.org);
    Ok(match came {
        Ok(accepted) => told(&format!("/results/{}{about}", accepted.id), "parked-taken").into_response(),
        Err(_) => told(&format!("/parked/{}{about}", item.id), "parked-refused").into_response(),
    })
}

pub(super) async fn discard(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Response, Page> {
    let item = find(&web, &person, &id).await?;
    if !fields.ticked("sure") {
        let detail = "Tick the box: what is thrown away cannot be had back.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail).into());
    }
    let event = ParkedItemDiscarded { org: item.org, item: item.id };
    let gone = web.intake.store().discard_parked(&item, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    Ok(told("/worklist", if gone { "discarded" } else { "gone" }).into_response())
}
