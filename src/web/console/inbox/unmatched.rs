//! Mail that matches no organization: admins alone see that it came, and reading it is on record.

use axum::extract::{Path, State};

use crate::{
    domain::id::InboundId,
    observe::events::UnmatchedRead,
    source::Refusal,
    store::{Store, StoreError, unmatched::UnmatchedView},
    web::{
        Problem, Web,
        auth::{Fields, Person},
        console::{
            Page,
            form::Form,
            sheet::{Cell, Section, Sheet},
            words,
        },
    },
};

const LINES: u32 = 100;
/// Most octets of a message that a page shows.
const SHOWN: usize = 200_000;

pub(in crate::web::console) async fn list(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let all = web.intake.store().unmatched(None, LINES).await.map_err(Page::store)?;
    let row = |one: UnmatchedView| {
        let read = Form::new(format!("/inbox/unmatched/{}/read", one.id), "Read")
            .folded("Read it")
            .about(format!("of {}", words::when(one.received_at)))
            .lead("That you read it is put on record, with your name and the time.")
            .quiet();
        vec![
            Cell::time(words::when(one.received_at)),
            Cell::code(one.from.unwrap_or_else(|| "-".to_owned())),
            Cell::code(one.to),
            Cell::from(one.verdict.map_or_else(|| "not looked at yet".to_owned(), |word| words::plain(&word)))
                .with(one.detail.unwrap_or_default()),
            Cell::number(words::octets(i64::try_from(one.bytes).unwrap_or(i64::MAX))),
            if one.kept { Cell::doing([read]) } else { Cell::from("").with("no longer kept") },
        ]
    };
    let empty = (
        "Nothing came that matches no organization",
        "Mail for an address of the installation itself that no delivery explains stands here.",
    );
    let columns = ["Received (UTC)", "From", "To", "What came of it", "#Size", ""];
    Ok(Sheet::new("Mail that matches no organization", "For admins alone. The newest hundred; reading one is put on record.")
        .under("/inbox", "Inbox")
        .and(Section::table("", &columns, empty).rows(all.into_iter().map(row)))
        .show(&person))
}

pub(in crate::web::console) async fn read(
    State(web): State<Web>,
    person: Person,
    Path(id): Path<String>,
    _: Fields,
) -> Result<Page, Page> {
    let missing = || Page::from(Problem::from(Refusal::not_found("message")));
    let id: InboundId = id.parse().map_err(|_| missing())?;
    let store = web.intake.store();
    store.unmatched_message(id).await.map_err(Page::store)?.filter(|known| known.kept).ok_or_else(missing)?;
    let opened =
        store.reveal(&person.actor, &UnmatchedRead { inbound: id }, async |store: &Store| store.open_unmatched(id).await).await;
    let opened = opened.map_err(|error| if matches!(error, StoreError::Lost) { missing() } else { Page::store(error) })?;
    let octets = opened.shown();
    let text = String::from_utf8_lossy(octets.get(..SHOWN.min(octets.len())).unwrap_or_default()).into_owned();
    Ok(Sheet::new("A message that matches no organization", "On record that you read it. Leave this page when you are done.")
        .under("/inbox", "Inbox")
        .under("/inbox/unmatched", "Mail that matches no organization")
        .and(Section::verbatim("As it came", text))
        .show(&person))
}
