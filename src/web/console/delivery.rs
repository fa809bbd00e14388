//! One delivery: what happened to it, why it went there, what is kept as evidence, and what can be done.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use serde::Deserialize;

/// What the document says, and the path of the certificate: each when somebody asks.
pub(super) mod open;

use super::{
    Page, Told,
    told::told,
    whose,
    words::{self, Badge},
};
use crate::{
    domain::{
        DeliveryId,
        audit::Witness,
        delivery::{Disposition, Event, State as At},
        inbound::NoticeVerdict,
        person::Right,
        route::{Candidate, Verdict},
        text,
        time::TimeZone,
    },
    observe::{
        events::DeliveryAsked,
        facts::{Configured, Door},
    },
    resolve::explain,
    source::{Refusal, Sender, wire::Unknown},
    store::{StoreError, browse::Kept, delivery_list::DeliveryEntry, notice::NoticeView, survey::HistoryLine},
    web::{Problem, Web, auth::Person},
};

/// One thing that happened.
pub(super) struct Step {
    pub(super) tone: &'static str,
    pub(super) at: String,
    pub(super) words: String,
    pub(super) more: String,
}

/// One line of a trace.
pub(super) struct Considered {
    pub(super) tone: &'static str,
    pub(super) verdict: &'static str,
    pub(super) origin: String,
    pub(super) rule: String,
    pub(super) address: String,
    pub(super) npi: String,
    pub(super) reason: String,
    pub(super) note: String,
    pub(super) from: String,
}

#[derive(Template)]
#[template(path = "console/delivery.html")]
struct Delivery<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    told: Option<Told>,
    entry: &'a DeliveryEntry,
    state: Badge,
    disposition: Option<Badge>,
    meaning: Option<(&'static str, &'static str)>,
    facts: Vec<(&'static str, String)>,
    evidence: Vec<(&'static str, String)>,
    reply: Option<String>,
    steps: Vec<Step>,
    trace: Vec<Considered>,
    notices: Vec<NoticeLine>,
    suffix: String,
    retry: bool,
    cancel: bool,
    resend: bool,
    /// The route in one sentence.
    summary: String,
    /// Its waiting recipient, when a person can decide about it.
    decide: bool,
    waits: Vec<super::worklist::Waits>,
    reveals: bool,
    draws: bool,
    document: Option<&'a [crate::document::shown::Part]>,
    /// Names this showing of the page, so that two clicks ask for one resend.
    mark: String,
}

struct NoticeLine {
    at: String,
    tone: &'static str,
    said: String,
    to: String,
    from: String,
    verdict: String,
    words: Vec<String>,
}

/// What the page was asked to say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Done {
    done: String,
}

/// What somebody asks about a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Retry,
    Cancel,
}

/// Whether trying again can be asked for.
pub(super) const fn can_retry(state: At) -> bool {
    matches!(state, At::Refused | At::Held)
}

fn missing() -> Page {
    Problem::from(Refusal::not_found("delivery")).into()
}

pub(super) async fn find(web: &Web, person: &Person, id: &str) -> Result<DeliveryEntry, Page> {
    let id: DeliveryId = id.parse().map_err(|_| missing())?;
    web.intake.store().delivery_in(person.scope, id).await.map_err(Page::store)?.ok_or_else(missing)
}

pub(super) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Query(Done { done }): Query<Done>,
) -> Result<Page, Page> {
    let entry = find(&web, &person, &id).await?;
    page(&web, &person, &entry, Told::of(&done), None).await
}

async fn page(
    web: &Web,
    person: &Person,
    entry: &DeliveryEntry,
    told: Option<Told>,
    document: Option<&[crate::document::shown::Part]>,
) -> Result<Page, Page> {
    let store = web.intake.store();
    let kept = store.kept_about(entry.org, entry.id).await.map_err(Page::store)?;
    let (_, history) = store.delivery_view(person.scope, entry.id).await.map_err(Page::store)?.ok_or_else(missing)?;
    let notices = store.notices(person.scope, entry.id).await.map_err(Page::store)?;
    let trace = store.trace(entry.org, entry.result).await.map_err(Page::store)?;
    let result = store.result_view(person.scope, entry.result).await.map_err(Page::store)?.ok_or_else(missing)?;
    let slug = store.slugs(person.scope).await.map_err(Page::store)?.remove(&entry.org).unwrap_or_default();
    let zone = whose::zone(web, entry.org).await?;
    let route = explain::stored(result.state, result.reason, trace.clone());
    let acts = person.may(Right::DeliveriesAct);
    let failed = matches!(entry.disposition, Some(Disposition::Failed | Disposition::Expired));
    Ok(Page::of(&Delivery {
        person: Some(person),
        here: person,
        told,
        state: badges(entry).0,
        disposition: badges(entry).1,
        meaning: entry.reason.map(|reason| (reason.meaning(), reason.remedy())),
        facts: facts(entry, &kept, slug, &zone),
        evidence: evidence(entry, &kept, &zone),
        steps: steps(&history, &notices, &zone),
        trace: considered(&trace),
        summary: route.map_or_else(String::new, |route| explain::summary(&route)),
        notices: notices.into_iter().map(|one| notice(one, &zone)).collect(),
        suffix: person.about(entry.org),
        retry: acts && can_retry(entry.state),
        cancel: acts && matches!(entry.state, At::Queued | At::Claimed | At::OnWire | At::Unknown | At::Held),
        resend: acts && person.may(Right::ResultsWrite) && matches!(entry.state, At::Accepted | At::Cancelled),
        decide: acts && (matches!(entry.state, At::Held | At::Refused) || failed),
        waits: Vec::new(),
        reveals: person.may(Right::PatientsReveal) && document.is_none(),
        draws: person.may(Right::TrustRead),
        document,
        reply: kept.reply,
        mark: DeliveryId::new().0.simple().to_string(),
        entry,
    }))
}

/// How it stands on our side and on theirs.
pub(super) fn badges(entry: &DeliveryEntry) -> (Badge, Option<Badge>) {
    (words::state(entry.state), entry.disposition.map(words::disposition))
}

fn facts(entry: &DeliveryEntry, kept: &Kept, slug: String, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let recipient = entry.target.recipient.as_ref();
    let npi = recipient.and_then(|recipient| recipient.npi.as_ref()).map(ToString::to_string);
    let whom = recipient.and_then(|recipient| recipient.organization.clone());
    let mut facts = vec![
        ("Address", entry.target.address.to_string()),
        ("Chosen by", words::plain(entry.target.rule.as_str())),
        ("Organization", slug),
        ("Site", entry.site.clone()),
        ("Order", entry.order_id.clone()),
        ("Version", entry.version.to_string()),
        ("Priority", kept.priority.to_string()),
        ("Fee", entry.fee.to_string()),
        ("Message-ID", entry.message_id.clone()),
        ("Made", words::when_in(entry.created_at, zone)),
        ("Handed over", entry.accepted_at.map_or_else(|| "-".to_owned(), |at| words::when_in(at, zone))),
    ];
    facts.extend(npi.map(|npi| ("Recipient's NPI", npi)));
    facts.extend(whom.map(|whom| ("Recipient's organization", whom)));
    if entry.attempts > 0 {
        facts.push(("Attempts", entry.attempts.to_string()));
    }
    if matches!(entry.state, At::Queued | At::Claimed) {
        facts.push(("Next attempt", words::when_in(kept.next_attempt_at, zone)));
        facts.push(("Tried until", words::when_in(kept.retry_until, zone)));
    }
    facts.extend(kept.resend_of.map(|other| ("Sends again", other.to_string())));
    facts.extend(kept.fallback_of.map(|other| ("Takes the place of", other.to_string())));
    facts
}

fn evidence(entry: &DeliveryEntry, kept: &Kept, zone: &TimeZone) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut say = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    // Where we seal it is of the CMS object, which the recipient has as an attachment; where the HISP seals, of what it was given.
    let digest = if kept.profile.is_some() { "The sealed part (smime.p7m), SHA-256" } else { "The message handed over, SHA-256" };
    say(digest, kept.sealed_sha256.clone());
    say("Size of the whole message", kept.sealed_bytes.map(words::octets));
    say("Sealed with", kept.profile.clone());
    say("Recipient's certificate, SHA-256", kept.certificate.clone());
    say("From", kept.sent_from.clone());
    say(
        "Mode",
        kept.sent_mode.as_deref().map(|mode| mode.parse().map_or_else(|_| mode.to_owned(), |mode| words::sends(mode).to_owned())),
    );
    say("Way", kept.relay.clone());
    say("Handed over", entry.accepted_at.map(|at| words::when_in(at, zone)));
    say("PDF, SHA-256", Some(kept.pdf_sha256.clone()));
    say("PDF, size", Some(words::octets(kept.pdf_bytes)));
    facts
}

/// What happened and what came back, in the order in which it did.
pub(super) fn steps(history: &[HistoryLine], notices: &[NoticeView], zone: &TimeZone) -> Vec<Step> {
    let mut steps: Vec<(i64, Step)> = history
        .iter()
        .map(|line| {
            let (event, state) = (words::plain(&line.event), words::plain(line.state.as_str()));
            let words = if event == state { event } else { format!("{event}: {state}") };
            let more = line.detail.as_deref().map(words::detail).unwrap_or_default();
            (line.at.micros(), Step { tone: words::tone_of_state(line.state), at: words::when_in(line.at, zone), words, more })
        })
        .collect();
    // One that counted has moved the delivery, so it stands there already.
    steps.extend(notices.iter().filter(|notice| notice.verdict != NoticeVerdict::Applied).map(|notice| {
        let tone = match notice.stated.parse::<Disposition>() {
            Ok(disposition) => words::tone_of_disposition(disposition),
            Err(_) => "calm",
        };
        let words = format!("Notice: {} ({})", words::plain(&notice.stated), words::plain(notice.verdict.as_str()));
        let more = notice.why.clone().unwrap_or_default();
        (notice.received_at.micros(), Step { tone, at: words::when_in(notice.received_at, zone), words, more })
    }));
    steps.sort_by_key(|(at, _)| *at);
    steps.into_iter().map(|(_, step)| step).collect()
}

pub(super) fn considered(trace: &[Candidate]) -> Vec<Considered> {
    let text = |value: Option<String>| value.unwrap_or_default();
    trace
        .iter()
        .map(|line| Considered {
            tone: match line.verdict {
                Verdict::Taken => "good",
                Verdict::Held => "warn",
                Verdict::Dropped => "calm",
            },
            verdict: line.verdict.as_str(),
            origin: words::origin(&line.origin),
            rule: words::plain(line.rule.as_str()),
            address: text(line.address.as_ref().map(ToString::to_string)),
            npi: text(line.npi.clone()),
            reason: text(line.reason.map(|reason| reason.to_string())),
            note: line.note.clone(),
            from: from(line),
        })
        .collect()
}

/// Which load of the directory, or version of a roster, said so.
fn from(line: &Candidate) -> String {
    let snapshot = line.snapshot.map(|snapshot| format!("directory {snapshot}"));
    let roster = line.roster.map(|roster| format!("roster {roster}"));
    snapshot.into_iter().chain(roster).collect::<Vec<_>>().join("; ")
}

fn notice(notice: NoticeView, zone: &TimeZone) -> NoticeLine {
    let said = |what: &str, text: Option<String>| text.filter(|text| !text.is_empty()).map(|text| format!("{what}: {text}"));
    let words = [said("It says", notice.cause), said("Status", notice.status), said("Why it does not count", notice.why)];
    NoticeLine {
        at: words::when_in(notice.received_at, zone),
        tone: match (notice.verdict, notice.stated.parse::<Disposition>()) {
            (NoticeVerdict::Applied, Ok(disposition)) => words::tone_of_disposition(disposition),
            _ => "calm",
        },
        said: format!("{} {}", notice.form.to_uppercase(), words::plain(&notice.stated)),
        to: notice.final_recipient.unwrap_or_default(),
        from: notice.source,
        verdict: words::plain(notice.verdict.as_str()),
        words: words.into_iter().flatten().collect(),
    }
}

/// The form.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wish {
    what: String,
    repeat: String,
    why: String,
}

/// Tries one again, cancels it, or has the result sent once more.
pub(super) async fn act(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Form(wish): Form<Wish>,
) -> Result<Response, Page> {
    let entry = find(&web, &person, &id).await?;
    let why = &wish.why;
    let done = match wish.what.as_str() {
        "retry" => {
            if ask(&web, &person, entry.id, Ask::Retry, why).await? {
                "retried-1"
            } else {
                "not-retried"
            }
        }
        "cancel" => {
            if ask(&web, &person, entry.id, Ask::Cancel, why).await? {
                "cancelled"
            } else {
                "not-cancelled"
            }
        }
        "resend" => {
            resend(&web, &person, &entry, &wish.repeat).await?;
            "resent"
        }
        _ => {
            return Err(
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", "The form says nothing that can be done.").into()
            );
        }
    };
    Ok(told(&format!("/deliveries/{}{}", entry.id, person.about(entry.org)), done).into_response())
}

/// Asks one thing, on record; `false` when the rules refuse it.
pub(super) async fn ask(web: &Web, person: &Person, id: DeliveryId, ask: Ask, why: &str) -> Result<bool, Page> {
    let store = web.intake.store();
    let Some(entry) = store.delivery_in(person.scope, id).await.map_err(Page::store)? else { return Ok(false) };
    let (event, asked) = match ask {
        Ask::Retry => (Event::Retry, "retry"),
        Ask::Cancel => (Event::Cancel, "cancel"),
    };
    let record = DeliveryAsked { org: entry.org, delivery: id, asked: Configured(asked) };
    let bad = |problem: text::BadText| {
        let detail = format!("The reason {problem}. Go back and say it in one line.");
        Page::from(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "malformed", detail))
    };
    let note = match why.trim() {
        "" => format!("{} asked for it in the console", person.known.login),
        why => {
            format!("{} asked for it in the console: {}", person.known.login, text::line(why, text::FIELD_LIMIT).map_err(bad)?)
        }
    };
    match store.ask_delivery_as(person.scope, id, event, &note, Witness::new(&person.actor, &record)).await {
        Ok(_) => Ok(true),
        Err(StoreError::Illegal(_) | StoreError::Lost) => Ok(false),
        Err(error) => Err(Page::store(error)),
    }
}

/// The latest version of the result goes out once more; the form's mark makes two clicks one.
async fn resend(web: &Web, person: &Person, entry: &DeliveryEntry, repeat: &str) -> Result<(), Page> {
    let event = DeliveryAsked { org: entry.org, delivery: entry.id, asked: Configured("resend") };
    web.intake.store().witness(&person.actor, &event).await.map_err(Page::store)?;
    let sender = Sender { org: entry.org, unknown: Unknown::Refuse, door: Door::Api };
    let wish = serde_json::json!({ "order_id": entry.order_id, "site": entry.site, "status": "resend" });
    let repeat = Some(repeat).filter(|repeat| !repeat.is_empty() && repeat.len() <= 64);
    web.intake
        .result(&sender, Bytes::from(wish.to_string()), None, repeat)
        .await
        .map_err(|error| Page::from(Problem::from(error)))?;
    Ok(())
}
