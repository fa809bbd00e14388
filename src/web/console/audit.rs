//! Audit: who did what, chained so that a missing line shows.

use axum::extract::{Query, State};
use serde::Deserialize;

use super::{
    Page,
    deliveries::organizations,
    sheet::{Cell, Field, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    domain::{OrgId, audit::Outcome},
    store::audit::{AuditEvent, AuditFilter},
    web::{Web, auth::Person},
};

const LINES: u32 = 100;

/// The filter bar.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    actor: String,
    action: String,
    object: String,
    before: String,
    organization: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    let store = web.intake.store();
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let filter = AuditFilter {
        from: None,
        to: None,
        actor: text(&asked.actor),
        // As it is read, or as it is written.
        action: text(&asked.action).map(|action| action.to_lowercase().replace(' ', "_")),
        object: text(&asked.object),
        before: asked.before.parse().ok(),
        limit: LINES + 1,
    };
    let mut events = store.audit_events(person.scope, &filter).await.map_err(Page::store)?;
    let more = events.len() > LINES as usize;
    events.truncate(LINES as usize);
    let fields =
        [("organization", &asked.organization), ("actor", &asked.actor), ("action", &asked.action), ("object", &asked.object)];
    let said = words::said(&fields);
    let next = events.last().filter(|_| more).map(|last| format!("/audit?{said}before={}", last.id));
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let row = |event: AuditEvent| {
        let outcome =
            Badge { tone: if event.outcome == Outcome::Done { "good" } else { "bad" }, words: event.outcome.to_string() };
        let facts = event.facts.as_object().into_iter().flatten();
        let facts = facts.map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)));
        // What it was done to stands there already; an organization is called by its name.
        let facts = facts.filter(|(_, value)| event.object.is_empty() || *value != event.object);
        let said = |(name, value): (&String, String)| match value
            .parse()
            .ok()
            .filter(|_| name == "org")
            .and_then(|org: OrgId| slugs.get(&org))
        {
            Some(slug) => format!("organization {slug}"),
            None => format!("{} {value}", words::plain(name)),
        };
        let facts = facts.map(said).collect::<Vec<_>>().join("; ");
        vec![
            Cell::time(words::when(event.at)),
            Cell::from(if event.actor_name.is_empty() { event.actor_kind.to_string() } else { event.actor_name })
                .with(format!("{} {}", event.actor_kind, event.address)),
            Cell::from(words::plain(&event.action)).to(format!("/audit?action={}", words::query(&event.action))),
            Cell::from(event.object_kind).with(event.object),
            outcome.into(),
            facts.into(),
        ]
    };
    let empty = (
        "Nothing on record is like that",
        "Who is somebody's name or id; what is done is a word like signed_in; to what, an id. Clear the filter to see all.",
    );
    let table = Section::table("", &["When (UTC)", "Who", "What", "To what", "Outcome", "Facts"], empty)
        .rows(events.into_iter().map(row));
    let mut fields: Vec<Field> =
        Field::choice("organization", "Organization", organizations(&web, &person).await?).into_iter().collect();
    fields.extend([
        Field::word("actor", "Who", &asked.actor),
        Field::word("action", "What", &asked.action),
        Field::word("object", "To what", &asked.object),
    ]);
    Ok(Sheet::new("Audit", "Every sign-in, look at a patient, change and export, the newest first. Lines are chained: postern audit verify shows whether one is missing.")
        .filtered("/audit", fields, None)
        .and(table)
        .next(next)
        .show(&person))
}
