//! One field that finds what people remember. It is a form that is posted: what they type may be about a patient.

use askama::Template;
use axum::{
    Form,
    extract::State,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Page,
    deliveries::{Line, lines},
    words,
};
use crate::{
    domain::{DeliveryId, DirectAddress, Npi, ResultId, audit::Witness, person::Right},
    observe::{events::DataExported, facts::Configured},
    store::{browse::Sought, survey::ResultView},
    web::{Web, auth::Person},
};

/// The form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    q: String,
}

#[derive(Template)]
#[template(path = "console/search.html")]
struct Search<'a> {
    person: Option<&'a Person>,
    results: Vec<ResultLine>,
    lines: Vec<Line>,
    how: &'static str,
}

struct ResultLine {
    link: String,
    order: String,
    version: u32,
    status: String,
    state: words::Badge,
    received: String,
}

pub(super) async fn find(State(web): State<Web>, person: Person, Form(Wanted { q }): Form<Wanted>) -> Result<Response, Page> {
    let store = web.intake.store();
    let word = q.trim();
    let to = |path: String| Ok(Redirect::to(&path).into_response());
    if word.is_empty() || word.len() > 320 {
        return to("/deliveries".to_owned());
    }
    if let Ok(id) = word.parse::<DeliveryId>()
        && let Some((view, _)) = store.delivery_view(person.scope, id).await.map_err(Page::store)?
    {
        return to(format!("/deliveries/{id}{}", person.about(view.org)));
    }
    if let Ok(id) = word.parse::<ResultId>()
        && let Some(view) = store.result_view(person.scope, id).await.map_err(Page::store)?
    {
        return to(format!("/results/{id}{}", person.about(view.org)));
    }
    let message = if word.starts_with('<') { word.to_owned() } else { format!("<{word}>") };
    let sought = Sought { message_id: Some(message), ..Sought::default() };
    let found = if word.contains('@') { store.browse(person.scope, &sought, 1).await.map_err(Page::store)? } else { Vec::new() };
    if let Some(one) = found.first() {
        return to(format!("/deliveries/{}{}", one.id, person.about(one.org)));
    }
    if word.parse::<DirectAddress>().is_ok() {
        return to(format!("/deliveries?address={}", words::query(word)));
    }
    let results = store.results_of_order(person.scope, word).await.map_err(Page::store)?;
    if let [only] = results.as_slice() {
        return to(format!("/results/{}{}", only.id, person.about(only.org)));
    }
    if results.is_empty() && word.parse::<Npi>().is_ok() {
        return to(format!("/deliveries?npi={word}"));
    }
    let mut how = "order";
    let mut found = Vec::new();
    // Whoever may not see a patient may not find out either whether there is one.
    if results.is_empty() && person.may(Right::PatientsReveal) {
        let event = DataExported { org: person.scope.org(), what: Configured("search_by_patient_key") };
        let witness = Witness::new(&person.actor, &event);
        store.witness(witness.actor, witness.event).await.map_err(Page::store)?;
        let orders = store.orders_of_patient(person.scope, word).await.map_err(Page::store)?;
        if !orders.is_empty() {
            let sought = Sought { orders: Some(orders), ..Sought::default() };
            found = store.browse(person.scope, &sought, 100).await.map_err(Page::store)?;
            how = "patient";
        }
    }
    let page = Search {
        person: Some(&person),
        results: results.into_iter().map(|view| line(&person, view)).collect(),
        lines: lines(&web, &person, found).await?,
        how,
    };
    Ok(Page::of(&page).into_response())
}

fn line(person: &Person, view: ResultView) -> ResultLine {
    ResultLine {
        link: format!("/results/{}{}", view.id, person.about(view.org)),
        version: view.version,
        status: view.status.to_string(),
        state: words::result_state(view.state),
        received: words::when(view.received_at),
        order: view.order_id,
    }
}
