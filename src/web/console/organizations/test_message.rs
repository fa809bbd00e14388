//! A test message: a made-up patient's report, taken in and sent as every other is.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::find;
use crate::{
    domain::{
        DirectAddress,
        organization::{Mode, When},
    },
    source::test_message::{self, TestMessage},
    store::organization::Organization,
    web::{
        Problem, Web,
        auth::{Fields, Person},
        console::{
            Page,
            form::{Form, Input},
            sheet::Section,
            told::told,
            whose,
        },
    },
};

/// The form, with what it will do.
pub(super) fn section(one: &Organization, suffix: &str) -> Section {
    let file = &one.file;
    if file.sites.is_empty() {
        let why = "An order is of a site: add [[site]] to the file first.".to_owned();
        return Section::lines("Send a test message", vec![why]);
    }
    let sites: Vec<(&str, String)> = file
        .sites
        .iter()
        .map(|site| {
            let name = site.name.clone().unwrap_or_default();
            (site.local_id.as_str(), format!("{} {name} ({})", site.local_id, one.mode(&site.local_id)))
        })
        .collect();
    let options: Vec<(&str, &str)> = sites.iter().map(|(id, words)| (*id, words.as_str())).collect();
    let mut lead = "A made-up patient's report is taken in and sent as every other is; it says that it is no result. ".to_owned();
    lead += match file.mode {
        Mode::Test => "In test mode only test domains get it, and it costs nothing.",
        Mode::Production => "At a site in production it is a real message and is charged as one.",
    };
    let also: Vec<String> =
        file.targets.iter().filter(|target| target.when == When::Always).map(|target| target.direct.to_string()).collect();
    if !also.is_empty() {
        lead += &format!(" It also goes where every result goes: {}.", also.join(", "));
    }
    let form = Form::new(format!("/organizations/{}/test{suffix}", file.slug), "Send it")
        .quiet()
        .and(Input::words("site", "From the site", &options, "").needed())
        .and(Input::line("address", "To the Direct address").needed());
    Section::form("Send a test message", form).lead(lead)
}

pub(in crate::web::console) async fn send(
    State(web): State<Web>,
    person: Person,
    Path(slug): Path<String>,
    fields: Fields,
) -> Result<Response, Page> {
    let one = find(&web, &person, &slug).await?;
    let wrong = |detail: String| Page::from(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail));
    let text = fields.text("address");
    let address: DirectAddress =
        text.parse().map_err(|_| wrong(format!("{text:?} is not a Direct address: go back and correct it.")))?;
    let site = one.site(fields.text("site")).ok_or_else(|| wrong("Choose one of its sites.".to_owned()))?;
    whose::on_record(&web, &person, Some(one.id), "test_message", &slug).await?;
    let message = TestMessage { site: &site.local_id, address: &address, repeat: None };
    let taken = test_message::take(&web.intake, one.id, &message).await;
    let taken = taken.map_err(|error| Page::from(Problem::from(error)))?;
    let place = format!("/results/{}{}", taken.id, person.about(one.id));
    Ok(told(&place, "sent-test").into_response())
}
