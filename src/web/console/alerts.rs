//! Alerts: what is wrong, since when, and who cares for it.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{Page, Told, words};
use crate::{
    domain::{
        alert::{Alert, Severity},
        audit::Witness,
        id::AlertId,
        person::Right,
    },
    source::Refusal,
    web::{Problem, Web, auth::Person, record::changed},
};

pub(super) const fn tone(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "bad",
        Severity::Warning => "warn",
    }
}

struct Line {
    id: AlertId,
    tone: &'static str,
    title: &'static str,
    meaning: &'static str,
    remedy: &'static str,
    subject: String,
    measured: String,
    detail: String,
    opened: String,
    ended: String,
    acked: String,
}

#[derive(Template)]
#[template(path = "console/alerts.html")]
struct Alerts<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    told: Option<Told>,
    open: Vec<Line>,
    over: Vec<Line>,
}

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    done: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(Done { done }): Query<Done>) -> Result<Page, Page> {
    let all = web.intake.store().alerts(person.scope, true, 200, None).await.map_err(Page::store)?;
    let (open, over): (Vec<Alert>, Vec<Alert>) = all.into_iter().partition(Alert::is_open);
    let lines = |alerts: Vec<Alert>| alerts.into_iter().map(line).collect();
    Ok(Page::of(&Alerts { person: Some(&person), here: &person, told: Told::of(&done), open: lines(open), over: lines(over) }))
}

fn line(alert: Alert) -> Line {
    let kind = alert.condition.kind;
    Line {
        id: alert.id,
        tone: tone(kind.severity()),
        title: kind.title(),
        meaning: kind.meaning(),
        remedy: kind.remedy(),
        measured: alert.condition.measured(),
        subject: alert.condition.subject,
        detail: alert.condition.detail,
        opened: words::when_if(alert.opened_at),
        ended: words::when_if(alert.resolved_at),
        acked: alert.acked_by.unwrap_or_default(),
    }
}

/// Somebody says that they care for it.
pub(super) async fn care(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Form(_): Form<Vec<(String, String)>>,
) -> Result<Response, Page> {
    let missing = || Page::from(Problem::from(Refusal::not_found("alert")));
    let store = web.intake.store();
    let alert: AlertId = id.parse().map_err(|_| missing())?;
    // Alerts are of the whole installation: whoever is confined to some organizations sees none.
    let seen = store.alert(alert).await.map_err(Page::store)?.filter(|_| person.may(Right::HealthRead));
    seen.ok_or_else(missing)?;
    let (text, login) = (alert.to_string(), &person.known.login);
    let event = changed(None, "alert_cared_for", &text);
    let cared = store.ack_alert(alert, login, Some(Witness::new(&person.actor, &event))).await.map_err(Page::store)?;
    let done = if cared { "cared" } else { "not-cared" };
    Ok(Redirect::to(&format!("/alerts?done={done}")).into_response())
}
