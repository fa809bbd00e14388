//! Inbox: messages that are no notices, and one of them behind a look that is on record.

/// Mail that matches no organization.
pub(super) mod unmatched;

use askama::Template;
use axum::{
    Form,
    extract::{Path, State},
};

use super::{
    Page,
    sheet::{Cell, Section, Sheet},
    words,
};
use crate::{
    domain::{id::LetterId, person::Right},
    observe::events::LetterRead,
    source::Refusal,
    store::letter::LetterView,
    web::{Problem, Web, auth::Person},
};

const LINES: u32 = 100;
/// Most octets of a letter that a page shows.
const SHOWN: usize = 200_000;

#[derive(Template)]
#[template(path = "console/letter.html")]
struct Shown<'a> {
    person: Option<&'a Person>,
    here: &'a Person,
    letter: &'a LetterView,
    facts: Vec<(&'static str, String)>,
    content: Option<String>,
    reveals: bool,
    suffix: String,
}

pub(super) async fn list(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let store = web.intake.store();
    let slugs = store.slugs(person.scope).await.map_err(Page::store)?;
    let letters = store.letters(person.scope, LINES).await.map_err(Page::store)?;
    let row = |letter: LetterView| {
        vec![
            Cell::time(words::when(letter.received_at)).to(format!("/inbox/{}{}", letter.id, person.about(letter.org))),
            letter.sender.clone().into(),
            Cell::from(letter.identity.clone()).with(slugs.get(&letter.org).cloned().unwrap_or_default()),
            letter.answers.map_or_else(
                || Cell::from("-"),
                |id| Cell::from("the delivery").to(format!("/deliveries/{id}{}", person.about(letter.org))),
            ),
            Cell::number(words::octets(i64::try_from(letter.bytes).unwrap_or(i64::MAX))),
        ]
    };
    let empty = (
        "Nobody has written",
        "Replies and other messages to our addresses come here; notices do not: they stand with their delivery.",
    );
    let table =
        Section::table("", &["Received (UTC)", "From", "To", "Answers", "#Size"], empty).rows(letters.into_iter().map(row));
    let mut sheet = Sheet::new("Inbox", "Replies, the newest hundred. Reading one is put on record.");
    if person.may(Right::UnmatchedRead) {
        sheet = sheet.leading("/inbox/unmatched", "Mail that matches no organization");
    }
    Ok(sheet.and(table).show(&person))
}

async fn find(web: &Web, person: &Person, id: &str) -> Result<LetterView, Page> {
    let missing = || Page::from(Problem::from(Refusal::not_found("message")));
    let id: LetterId = id.parse().map_err(|_| missing())?;
    web.intake.store().letter(person.scope, id).await.map_err(Page::store)?.ok_or_else(missing)
}

pub(super) async fn show(State(web): State<Web>, person: Person, Path(id): Path<String>) -> Result<Page, Page> {
    let letter = find(&web, &person, &id).await?;
    Ok(page(&person, &letter, None))
}

pub(super) async fn reveal(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    Form(_): Form<Vec<(String, String)>>,
) -> Result<Page, Page> {
    let letter = find(&web, &person, &id).await?;
    let event = LetterRead { org: letter.org, letter: letter.id };
    let store = web.intake.store();
    let content = store.reveal_letter(&person.actor, &event, person.scope, letter.org, letter.id).await.map_err(Page::store)?;
    let octets = content.shown();
    let shown = octets.get(..SHOWN.min(octets.len())).unwrap_or_default();
    Ok(page(&person, &letter, Some(String::from_utf8_lossy(shown).into_owned())))
}

fn page(person: &Person, letter: &LetterView, content: Option<String>) -> Page {
    let facts = vec![
        ("From", letter.sender.clone()),
        ("To", letter.identity.clone()),
        ("Received", words::when(letter.received_at)),
        ("Message-ID", letter.message_id.clone().unwrap_or_else(|| "-".to_owned())),
        ("Vouched for by", letter.source.clone()),
    ];
    let reveals = person.may(Right::PatientsReveal);
    Page::of(&Shown { person: Some(person), here: person, letter, facts, content, reveals, suffix: person.about(letter.org) })
}
