//! Webhooks and events: which programs are told what happens, how far each has been told, and telling one again from a moment.

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{
    Page, Told,
    deliveries::{organizations, time},
    form::{Form, Input},
    sheet::{Cell, Field, Section, Sheet},
    told::told,
    whose,
    words::{self, Badge},
};
use crate::{
    domain::{OrgId, OrgScope, audit::Witness, event::Cursor, person::Right},
    observe::chain,
    pipeline::trying::{Tried, TryError, try_out},
    source::Refusal,
    store::{
        StoreError,
        event::{EventView, FeedError},
        organization::Organization,
        webhook::{Again, OVERLAP, WebhookView},
    },
    track::webhook::SigningSecret,
    web::{
        Problem, Web,
        auth::{Fields, Person},
        record::changed,
    },
};

/// Events of the page.
const EVENTS: u32 = 50;

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    done: String,
}

pub(super) async fn show(State(web): State<Web>, person: Person, Query(asked): Query<Asked>) -> Result<Page, Page> {
    Ok(page(&web, &person, None).await?.told(Told::of(&asked.done)).show(&person))
}

async fn page(web: &Web, person: &Person, problem: Option<String>) -> Result<Sheet, Page> {
    let store = web.intake.store();
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let hooks = store.webhooks(person.scope).await.map_err(Page::store)?;
    let acts = person.may(Right::OrganizationsAct);
    let row = |one: WebhookView| {
        let slug = slugs.get(&one.org).cloned().unwrap_or_default();
        let state = match (one.off, one.attempts) {
            (Some(why), _) => Cell::from(Badge { tone: "bad", words: "off".into() }).with(why.to_string()),
            (None, 0) => Cell::from(Badge { tone: "good", words: "on".into() }),
            (None, count) => Cell::from(Badge { tone: "warn", words: "failing".into() })
                .with(format!("{count} times: {}", one.problem.clone().unwrap_or_default())),
        };
        let named = |form: Form| form.about(one.rules.name.clone()).hidden("for", &slug).hidden("name", &one.rules.name);
        let switch = if one.off.is_some() {
            Form::new("/webhooks/enable", "Switch it on").folded("Enable").lead("It is told from where it stood.").quiet()
        } else {
            Form::new("/webhooks/disable", "Switch it off")
                .folded("Disable")
                .lead("It is told nothing until it is switched on.")
                .bad()
        };
        let replay = Form::new("/webhooks/replay", "Show how many")
            .folded("Replay")
            .quiet()
            .lead("It is told again what happened, under the same ids.")
            .and(Input::time("since", "Everything since (UTC)").needed());
        let rotate = Form::new("/webhooks/rotate", "Make a new secret")
            .folded("New secret")
            .lead("It is shown once. The old one goes on signing beside it for a day.");
        let test = Form::new("/webhooks/test", "Send it")
            .folded("Test")
            .quiet()
            .lead("A test event is sent now, signed, also when it is off; what was answered is shown.");
        let forms = if acts { vec![named(test), named(replay), named(switch), named(rotate)] } else { Vec::new() };
        vec![
            Cell::from(one.rules.name.clone()).with(slug.clone()),
            Cell::code(one.rules.url.clone()),
            state,
            Cell::number(one.told).with(format!("{} wait", one.newest.saturating_sub(one.told))),
            Cell::time(words::when_if(one.taken_at)),
            Cell::doing(forms),
        ]
    };
    let empty =
        ("No webhook", "Write [[webhook]] with name and url into the organization's file: edit it on the organization's page.");
    let columns = ["Name", "Where", "State", "#Told", "Last taken (UTC)", ""];
    let choices = organizations(web, person).await?;
    let several = !choices.is_empty();
    let fields: Vec<Field> = Field::choice("organization", "Organization", choices).into_iter().collect();
    let lead = "Programs that are told what happens, each in its own place of the feed.";
    let mut sheet = Sheet::new("Webhooks and events", lead).wrong(problem);
    if several {
        sheet = sheet.filtered("/webhooks", fields, None);
    }
    sheet = sheet.and(Section::table("Webhooks", &columns, empty).rows(hooks.into_iter().map(row)));
    // An event names an order; whoever may not see deliveries is not told of one here either.
    if person.may(Right::DeliveriesRead) {
        let org = person.scope.org().or_else(|| slugs.keys().next().copied().filter(|_| slugs.len() == 1));
        sheet = sheet.and(match org {
            Some(org) => events(web, person, org).await?,
            None => {
                Section::lines("The latest events", vec!["Choose an organization above to see what happened there.".to_owned()])
            }
        });
    }
    Ok(sheet)
}

async fn events(web: &Web, person: &Person, org: OrgId) -> Result<Section, Page> {
    let store = web.intake.store();
    let head = store.event_head(org).await.map_err(Page::store)?;
    let from = head.seq.saturating_sub(u64::from(EVENTS)).max(head.forgotten);
    let mut all = match store.events_after(org, Cursor { seq: from, mark: None }, EVENTS).await {
        Ok(all) => all,
        Err(FeedError::Store(error)) => return Err(Page::store(error)),
        Err(_) => Vec::new(),
    };
    all.reverse();
    let about = person.about(org);
    let row = |one: EventView| {
        let order = one.order_id.clone().unwrap_or_default();
        let order = match (one.delivery, one.result) {
            (Some(id), _) => Cell::from(order).to(format!("/deliveries/{id}{about}")),
            (None, Some(id)) if person.may(Right::ResultsRead) => Cell::from(order).to(format!("/results/{id}{about}")),
            _ => Cell::from(order),
        };
        vec![
            Cell::number(one.seq),
            Cell::time(words::when(one.at)),
            Cell::code(one.kind.to_string()),
            order,
            Cell::from(one.site.unwrap_or_default()),
            Cell::from(one.reason.map(|reason| reason.to_string()).unwrap_or_default()),
        ]
    };
    let empty = ("Nothing has happened yet", "Every change of a result or delivery is an event.");
    let columns = ["#Number", "When (UTC)", "What", "Order", "Site", "Reason"];
    Ok(Section::table("The latest events", &columns, empty).rows(all.into_iter().map(row)))
}

/// The webhook that a form is about.
async fn find(web: &Web, person: &Person, fields: &Fields) -> Result<(Organization, WebhookView), Page> {
    let one = whose::organization(web, person, fields.text("for")).await?;
    let all = web.intake.store().webhooks(OrgScope::One(one.id)).await.map_err(Page::store)?;
    let found = all.into_iter().find(|known| known.rules.name == fields.text("name"));
    Ok((one, found.ok_or_else(missing)?))
}

fn missing() -> Page {
    Problem::from(Refusal::not_found("webhook")).into()
}

async fn switch(web: &Web, person: &Person, fields: &Fields, on: bool) -> Result<Response, Page> {
    let (one, hook) = find(web, person, fields).await?;
    let event = changed(Some(one.id), if on { "webhook_enabled" } else { "webhook_disabled" }, &hook.rules.name);
    let witness = Some(Witness::new(&person.actor, &event));
    web.intake.store().switch_webhook(one.id, &hook.rules.name, on, witness).await.map_err(Page::store)?;
    Ok(told(&format!("/webhooks?organization={}", one.file.slug), if on { "webhook-on" } else { "webhook-off" }).into_response())
}

pub(super) async fn enable(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    switch(&web, &person, &fields, true).await
}

pub(super) async fn disable(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    switch(&web, &person, &fields, false).await
}

/// How many events it would be told again; once that was seen, it is told.
pub(super) async fn replay(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let (one, hook) = find(&web, &person, &fields).await?;
    let (slug, name) = (&one.file.slug, &hook.rules.name);
    let since = match time(fields.text("since")) {
        Ok(Some(at)) => at,
        Ok(None) => return wrong(&web, &person, "Say since when.".to_owned()).await,
        Err(why) => return wrong(&web, &person, why).await,
    };
    let failed = |error: FeedError| match error {
        FeedError::Store(error) => Page::store(error),
        other => Problem::new(StatusCode::CONFLICT, "no_such_place", other.to_string()).into(),
    };
    if fields.ticked("sure") {
        let event = changed(Some(one.id), "webhook_replayed", name);
        let witness = Some(Witness::new(&person.actor, &event));
        store.replay_webhook(one.id, name, Again::Since(since), witness).await.map_err(failed)?.ok_or_else(missing)?;
        return Ok(told(&format!("/webhooks?organization={slug}"), "replayed").into_response());
    }
    let replayed = store.look_at_replay(one.id, Again::Since(since)).await.map_err(failed)?;
    let words = if replayed.waiting == 1 { "1 event".to_owned() } else { format!("{} events", replayed.waiting) };
    let mut lead = format!("{words} from {} on. Nothing has happened yet.", words::when(since));
    if hook.off.is_some() {
        lead += " It is off: it is told once it is switched on.";
    }
    let form = Form::new("/webhooks/replay", format!("Tell it {words}"))
        .hidden("for", slug)
        .hidden("name", name)
        .hidden("since", fields.text("since"))
        .hidden("sure", "yes")
        .back(format!("/webhooks?organization={slug}"));
    let sheet = Sheet::new(format!("Tell {name} again?"), lead).under("/webhooks", "Webhooks and events");
    Ok(sheet.and(Section::form("", form)).show(&person).into_response())
}

pub(super) async fn rotate(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let (one, hook) = find(&web, &person, &fields).await?;
    let name = &hook.rules.name;
    let event = changed(Some(one.id), "webhook_secret_rotated", name);
    let witness = Some(Witness::new(&person.actor, &event));
    let secret = web.intake.store().rotate_webhook_secret(one.id, name, OVERLAP, witness).await.map_err(Page::store)?;
    let secret = SigningSecret::from_octets(secret.ok_or_else(missing)?).map_err(|_| Page::store(StoreError::Lost))?;
    let lead = "Copy it now: it is not shown again. The old one goes on signing for a day.";
    Ok(Sheet::new(format!("The secret of {name}"), lead)
        .under("/webhooks", "Webhooks and events")
        .and(Section::table("", &["Secret"], ("", "")).rows([vec![Cell::code(secret.reveal().to_string())]]))
        .show(&person)
        .into_response())
}

/// Sends a test event and shows what was answered. On record before it is sent, and again with what came of it.
pub(super) async fn test(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let (one, hook) = find(&web, &person, &fields).await?;
    let (org, name) = (Some(one.id), &hook.rules.name);
    whose::on_record(&web, &person, org, "webhook_test_asked", name).await?;
    let _turn = web.turns.take(one.id).await.map_err(Page::from)?;
    let tried = try_out(&web.events, web.intake.store(), one.id, &one.file.slug, name).await;
    let tried = tried.map_err(|error| match error {
        TryError::Store(error) => Page::store(error),
        error => {
            tracing::error!(error = chain(&error), "a webhook could not be tried out");
            Problem::internal().into()
        }
    })?;
    let Tried { url, taken, answer } = tried.ok_or_else(missing)?;
    let (came, title) = if taken {
        ("webhook_test_taken", format!("{name} took the test event"))
    } else {
        ("webhook_test_not_taken", format!("{name} did not take the test event"))
    };
    whose::on_record(&web, &person, org, came, name).await?;
    let facts = vec![("Sent to", url), ("Answered", answer)];
    Ok(Sheet::new(title, "Its place in the feed is where it was.")
        .under("/webhooks", "Webhooks and events")
        .and(Section::facts("", facts))
        .leading(format!("/webhooks?organization={}", one.file.slug), "Back to the webhooks")
        .show(&person)
        .into_response())
}

async fn wrong(web: &Web, person: &Person, why: String) -> Result<Response, Page> {
    let page = page(web, person, Some(why)).await?;
    Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, person).into_response())
}
