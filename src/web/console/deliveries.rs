//! Deliveries: a list to look through, page by page, and what is done to several of them.

/// Filters that people keep.
pub(super) mod filters;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Page, Told, delivery,
    words::{self, Badge, query},
};
use crate::{
    domain::{
        DeliveryId, OffsetTime, Reason, Timestamp,
        delivery::{Disposition, State as At},
        person::Right,
    },
    store::{
        browse::Sought,
        delivery_list::{DeliveryEntry, Wanted},
        saved_filter::SavedFilter,
    },
    web::{Problem, Web, auth::Person},
};

/// Lines of a page.
const LINES: u32 = 50;
/// Most that are done at once.
const AT_ONCE: usize = 200;

/// What the filter bar says; nothing about a patient, for it stands in the URL.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    disposition: String,
    reason: String,
    site: String,
    address: String,
    npi: String,
    since: String,
    until: String,
    after: String,
    organization: String,
    done: String,
}

/// One of several to choose from.
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) words: String,
    pub(super) chosen: bool,
}

/// One delivery of a list.
pub(super) struct Line {
    pub(super) id: DeliveryId,
    pub(super) link: String,
    pub(super) order: String,
    pub(super) version: u32,
    pub(super) site: String,
    pub(super) organization: String,
    pub(super) address: String,
    pub(super) whom: String,
    pub(super) state: Badge,
    pub(super) disposition: Option<Badge>,
    pub(super) reason: String,
    pub(super) meaning: String,
    pub(super) updated: String,
    pub(super) test: bool,
}

#[derive(Template)]
#[template(path = "console/deliveries.html")]
struct Deliveries<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    told: Option<Told>,
    asked: &'a Asked,
    problem: Option<String>,
    states: Vec<Choice>,
    dispositions: Vec<Choice>,
    reasons: Vec<Choice>,
    organizations: Vec<Choice>,
    lines: Vec<Line>,
    next: Option<String>,
    filtered: bool,
    suffix: String,
    saved: Vec<SavedFilter>,
    /// The filter, field by field.
    kept: Vec<(&'static str, String)>,
}

fn choices(all: &[&'static str], chosen: &str) -> Vec<Choice> {
    all.iter().map(|word| Choice { value: (*word).to_owned(), words: words::plain(word), chosen: *word == chosen }).collect()
}

impl Asked {
    fn sought(&self) -> Result<Sought, String> {
        fn word<T: std::str::FromStr>(what: &str, text: &str) -> Result<Option<T>, String> {
            let text = text.trim();
            if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| format!("{text:?} is not {what}.")) }
        }
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(Sought {
            wanted: Wanted {
                state: word("a state", &self.state)?,
                disposition: word("a disposition", &self.disposition)?,
                reason: word("a reason", &self.reason)?,
                site: text(&self.site),
                since: time(&self.since)?,
                until: time(&self.until)?,
                after: word("a place in this list", &self.after)?,
                ..Wanted::default()
            },
            address: word("a Direct address", &self.address)?,
            npi: word("an NPI: ten digits, the last of which checks the others", &self.npi)?,
            ..Sought::default()
        })
    }

    /// The filter as the query of a URL.
    fn query(&self, after: Option<DeliveryId>) -> String {
        let mut said: Vec<String> = self.fields().iter().map(|(name, value)| format!("{name}={}", query(value))).collect();
        said.extend(after.map(|after| format!("after={after}")));
        said.join("&")
    }

    /// What it says, field by field.
    fn fields(&self) -> Vec<(&'static str, &String)> {
        let fields = [
            ("organization", &self.organization),
            ("state", &self.state),
            ("disposition", &self.disposition),
            ("reason", &self.reason),
            ("site", &self.site),
            ("address", &self.address),
            ("npi", &self.npi),
            ("since", &self.since),
            ("until", &self.until),
        ];
        fields.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

/// A day or a minute, as a browser's field gives it (UTC), or a whole time with its offset.
pub(super) fn time(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    let whole = match text.len() {
        0 => return Ok(None),
        10 => format!("{text}T00:00:00+00:00"),
        16 => format!("{text}:00+00:00"),
        _ => text.to_owned(),
    };
    let at: OffsetTime = whole.parse().map_err(|_| format!("{text:?} is not a time like 2026-01-15T08:45."))?;
    Ok(Some(at.at))
}

pub(super) async fn list(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    let store = web.intake.store();
    let (mut status, mut problem, mut found) = (StatusCode::OK, None, Vec::new());
    match asked.sought() {
        Ok(sought) => found = store.browse(person.scope, &sought, LINES + 1).await.map_err(Page::store)?,
        Err(why) => (status, problem) = (StatusCode::UNPROCESSABLE_ENTITY, Some(why)),
    }
    let more = found.len() > LINES as usize;
    found.truncate(LINES as usize);
    let next = found.last().filter(|_| more).map(|last| format!("/deliveries?{}", asked.query(Some(last.id))));
    let page = Deliveries {
        person: Some(&person),
        here: &person,
        told: Told::of(&asked.done),
        problem,
        states: choices(&At::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>(), &asked.state),
        dispositions: choices(&Disposition::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>(), &asked.disposition),
        reasons: choices(&Reason::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>(), &asked.reason),
        organizations: organizations(&web, &person).await?,
        lines: lines(&web, &person, found).await?,
        next,
        filtered: !asked.query(None).is_empty(),
        saved: store.saved_filters(person.known.id).await.map_err(Page::store)?,
        kept: asked.fields().into_iter().map(|(name, value)| (name, value.clone())).collect(),
        suffix: person.chosen.map_or_else(String::new, |org| format!("?organization={org}")),
        asked: &asked,
    };
    Ok(Page::with(status, &page))
}

/// The organizations to choose from, when there are several.
pub(super) async fn organizations(web: &Web, person: &Person) -> Result<Vec<Choice>, Page> {
    let all = web.intake.store().slugs(crate::domain::OrgScope::All).await.map_err(Page::store)?;
    let mine = all.into_iter().filter(|(org, _)| person.known.reach.covers(*org));
    let mut choices: Vec<Choice> =
        mine.map(|(org, slug)| Choice { value: slug.clone(), words: slug, chosen: person.chosen == Some(org) }).collect();
    choices.sort_by(|a, b| a.words.cmp(&b.words));
    if choices.len() < 2 {
        choices.clear();
    }
    Ok(choices)
}

/// Deliveries as lines.
pub(super) async fn lines(web: &Web, person: &Person, found: Vec<DeliveryEntry>) -> Result<Vec<Line>, Page> {
    let slugs = web.intake.store().slugs(person.scope).await.map_err(Page::store)?;
    let line = |entry: DeliveryEntry| {
        let recipient = entry.target.recipient.as_ref();
        let npi = recipient.and_then(|recipient| recipient.npi.as_ref());
        let role = recipient.and_then(|recipient| recipient.role).map_or(entry.target.rule.as_str(), |role| role.as_str());
        Line {
            link: format!("/deliveries/{}{}", entry.id, person.about(entry.org)),
            organization: slugs.get(&entry.org).cloned().unwrap_or_default(),
            whom: npi.map_or_else(|| words::plain(role), |npi| format!("{} {npi}", words::plain(role))),
            address: entry.target.address.to_string(),
            state: words::state(entry.state),
            disposition: entry.disposition.map(words::disposition),
            reason: entry.reason.map_or_else(String::new, |reason| reason.to_string()),
            meaning: entry.reason.map_or_else(String::new, |reason| reason.meaning().to_owned()),
            updated: words::when(entry.updated_at),
            id: entry.id,
            order: entry.order_id,
            version: entry.version,
            site: entry.site,
            test: entry.test,
        }
    };
    Ok(found.into_iter().map(line).collect())
}

#[derive(Template)]
#[template(path = "console/deliveries_retry.html")]
struct Sure<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    lines: Vec<Line>,
    skipped: usize,
    suffix: String,
}

/// Several are tried again: first it is said which, then it is done.
pub(super) async fn retry(
    State(web): State<Web>,
    person: Person,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let suffix = person.chosen.map_or_else(String::new, |org| format!("?organization={org}"));
    let ids: Vec<DeliveryId> =
        fields.iter().filter(|(name, _)| name == "id").filter_map(|(_, id)| id.parse().ok()).take(AT_ONCE).collect();
    let sure = fields.iter().any(|(name, value)| name == "sure" && value == "yes");
    if ids.is_empty() {
        let detail = "Choose at least one delivery by the box at its left.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "none_chosen", detail).into());
    }
    if sure {
        let mut done = 0;
        for id in ids {
            done += u32::from(delivery::ask(&web, &person, id, delivery::Ask::Retry, "").await?);
        }
        let and = if suffix.is_empty() { "?" } else { "&" };
        return Ok(Redirect::to(&format!("/deliveries{suffix}{and}done=retried-{done}")).into_response());
    }
    let mut found = Vec::new();
    for id in &ids {
        found.extend(store.delivery_in(person.scope, *id).await.map_err(Page::store)?);
    }
    let chosen = found.len();
    found.retain(|entry| delivery::can_retry(entry.state));
    let page = Sure {
        person: Some(&person),
        here: &person,
        skipped: chosen - found.len(),
        lines: lines(&web, &person, found).await?,
        suffix,
    };
    Ok(Page::of(&page).into_response())
}

impl Deliveries<'_> {
    fn acts(&self) -> bool {
        self.here.may(Right::DeliveriesAct)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_for_a_day_or_a_minute_is_a_time_in_utc() {
        let at = |text: &str| time(text).unwrap().unwrap().to_string();
        assert_eq!(at("2026-01-15"), "2026-01-15T00:00:00Z");
        assert_eq!(at("2026-01-15T08:45"), "2026-01-15T08:45:00Z");
        assert!(time("yesterday").is_err() && time(" ").unwrap().is_none());
    }

    #[test]
    fn the_next_page_keeps_the_filter() {
        let asked = Asked { state: "held".into(), address: "a+b@direct.example.org".into(), ..Asked::default() };
        assert_eq!(asked.query(None), "state=held&address=a%2Bb%40direct.example.org");
    }
}
