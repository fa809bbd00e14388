//! Filters that people keep for themselves.

use axum::{
    Form,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::Asked;
use crate::{
    domain::text::{FIELD_LIMIT, line},
    store::saved_filter::SavedFilter,
    web::{
        Problem, Web,
        auth::Person,
        console::{Page, told::told},
    },
};

/// The form: the filter as it is on the page, and what to call it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::console) struct Kept {
    called: String,
    #[serde(flatten)]
    asked: Asked,
}

pub(in crate::web::console) async fn keep(
    State(web): State<Web>,
    person: Person,
    Form(kept): Form<Kept>,
) -> Result<Response, Page> {
    let wrong = |detail: String| Page::from(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail));
    let name = line(&kept.called, FIELD_LIMIT.min(60))
        .map_err(|why| wrong(format!("What it is called {why}. Go back and correct it.")))?;
    // Only what a filter can say is kept.
    kept.asked.sought().map_err(wrong)?;
    let query = kept.asked.query(None);
    let filter = SavedFilter { name: name.to_owned(), query: query.clone() };
    let saved = web.intake.store().save_filter(person.known.id, &filter).await.map_err(Page::store)?;
    Ok(told(&format!("/deliveries?{query}"), if saved { "filter-saved" } else { "filters-full" }).into_response())
}

/// The form: which one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::web::console) struct Which {
    called: String,
}

pub(in crate::web::console) async fn forget(
    State(web): State<Web>,
    person: Person,
    Form(which): Form<Which>,
) -> Result<Response, Page> {
    web.intake.store().forget_filter(person.known.id, &which.called).await.map_err(Page::store)?;
    Ok(told("/deliveries", "filter-removed").into_response())
}
