//! Rosters of payers: a file is read and compared with the roster in force first, and put into force as it was looked at.
//! By the same rules as the command's and the API's. Of the file nothing is kept but what a roster keeps: keyed hashes.

use std::collections::HashMap;

use axum::{
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{Asked, beginning::Beginning, eyes};
use crate::{
    domain::{audit::Witness, id::RosterId, person::Right, text::counted},
    observe::{
        chain,
        events::SettingChanged,
        facts::{Configured, Named},
    },
    resolve::roster::{self, Column, CsvRoster, Guard, Prepared, RosterError},
    store::{organization::Organization, roster::Roster},
    web::{
        Web,
        auth::{Fields, Person},
        console::{
            Page, Told,
            deliveries::organizations,
            form::{Form, Input},
            sheet::{Cell, Field, Section, Sheet},
            told::told,
            whose,
            words::{self, Badge},
        },
    },
};

/// Under which name somebody's roster waits to be loaded: one for each person and organization.
fn source(person: &Person) -> String {
    format!("console {}", person.known.login)
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    let one = eyes(&web, &person).await?;
    Ok(page(&web, &person, one.as_ref(), None).await?.told(Told::of(&asked.done)).show(&person))
}

fn place(one: &Organization) -> String {
    format!("/directory/rosters?organization={}", one.file.slug)
}

async fn page(web: &Web, person: &Person, one: Option<&Organization>, problem: Option<String>) -> Result<Sheet, Page> {
    let lead = "Which members have whom as their primary care provider. Where the organization's file says so, a result goes to the provider of its member.";
    let mut choices = organizations(web, person).await?;
    for choice in &mut choices {
        choice.chosen = one.is_some_and(|one| one.file.slug == choice.value);
    }
    let fields: Vec<Field> = Field::choice("organization", "Organization", choices).into_iter().collect();
    let mut sheet = Sheet::new("Rosters", lead).under("/directory", "Directory").wrong(problem);
    if !fields.is_empty() {
        sheet = sheet.filtered("/directory/rosters", fields, None);
    }
    let Some(one) = one else {
        return Ok(sheet.and(Section::table(
            "",
            &["Roster"],
            ("There is no organization yet", "A roster is an organization's."),
        )));
    };
    let all = web.intake.store().rosters(one.id).await.map_err(Page::store)?;
    let row = |roster: Roster| {
        let tone = if roster.state == "active" { "good" } else { "calm" };
        let words = if roster.state == "active" { "in force" } else { "replaced" };
        vec![
            Cell::time(words::when_in(roster.loaded_at, &one.file.time_zone)),
            Badge { tone, words: words.to_owned() }.into(),
            Cell::number(roster.members),
            Cell::number(roster.lines),
            roster.source.into(),
        ]
    };
    let empty = ("No roster was loaded", "Choose the payer's file below. Until then nobody is found by a member's number.");
    let columns = ["Loaded", "State", "#Members", "#Lines", "From"];
    let title = format!("Rosters of {}", one.file.slug);
    sheet = sheet.and(Section::table(&title, &columns, empty).rows(all.into_iter().map(row)));
    if person.may(Right::AddressesAct) {
        sheet = sheet.and(upload(web, one));
    }
    Ok(sheet)
}

fn upload(web: &Web, one: &Organization) -> Section {
    let most = words::octets(i64::try_from(web.settings.body_bytes).unwrap_or(i64::MAX));
    let form = Form::new("/directory/rosters", "Show what would change")
        .hidden("for", &one.file.slug)
        .and(
            Input::file("file", "The roster")
                .hint("CSV in UTF-8 with a header: the member's number and the provider's NPI")
                .needed(),
        )
        .and(
            Input::line("columns", "What its columns are called")
                .hint("as in npi=PCP,from=Start; empty: the usual names are looked for"),
        );
    let lead = format!(
        "Nothing changes by looking. Of a member only keyed hashes are kept. A file of more than {most} is loaded on the machine: postern roster import FILE --organization {}",
        one.file.slug
    );
    Section::form("Load a roster", form).lead(lead)
}

/// What is wrong, without the words of the command line.
fn said(error: &RosterError) -> String {
    match error {
        RosterError::Rejected { rejected, all, percent } => {
            format!("{rejected} of {} cannot be used, more than {percent} %", counted(*all, "row", "rows"))
        }
        RosterError::Moved { before, new, percent } => {
            format!("it has {}, more than {percent} % off the {before} in force", counted(*new, "member", "members"))
        }
        RosterError::Header { problem, found } => {
            let problem = problem.split(": name it").next().unwrap_or_default();
            format!("it has {problem}; its header names {found}. Say what its columns are called")
        }
        other => chain(other),
    }
}

async fn wrong(web: &Web, person: &Person, one: &Organization, status: StatusCode, why: String) -> Result<Response, Page> {
    let page = page(web, person, Some(one), Some(why)).await?;
    Ok(page.show_as(status, person).into_response())
}

/// Reads a file and shows what it would change.
pub(in crate::web::console) async fn read(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let refused = async |why: String| wrong(&web, &person, &one, StatusCode::UNPROCESSABLE_ENTITY, why).await;
    let Some(file) = fields.bytes("file") else { return refused("Choose the payer's file.".to_owned()).await };
    let Some(columns) = Column::mapped(fields.text("columns")) else {
        let why = "Columns are named as in npi=PCP,from=Start: member_id, npi, from, to, plan_id or birth_date, and the name it has here.";
        return refused(why.to_owned()).await;
    };
    whose::uploaded(&web, &person, Some(one.id), "roster", file).await?;
    let rejects = Beginning::default();
    match prepare(&web, &person, &one, file, &columns, rejects.clone()).await {
        Ok(prepared) => Ok(shown(&one, &prepared, &rejects.text()).show(&person).into_response()),
        Err(RosterError::Store(cause)) => Err(Page::store(cause)),
        Err(why) => refused(format!("It cannot be read: {}.", said(&why))).await,
    }
}

async fn prepare(
    web: &Web,
    person: &Person,
    one: &Organization,
    file: &[u8],
    columns: &HashMap<Column, String>,
    mut rejects: Beginning,
) -> Result<Prepared, RosterError> {
    let rows = CsvRoster::new(file, columns)?;
    let source = source(person);
    roster::prepare(web.intake.store(), one.id, &source, rows, &mut rejects, Guard::default(), &mut |_| {}).await
}

fn shown(one: &Organization, prepared: &Prepared, rejects: &str) -> Sheet {
    let Prepared { changes, progress, .. } = prepared;
    let facts = vec![
        ("Members", prepared.members.to_string()),
        ("In force now", prepared.before.map_or_else(|| "no roster".to_owned(), |before| before.to_string())),
        ("New members", changes.added.to_string()),
        ("Another provider, plan or day", changes.changed.to_string()),
        ("Members that go", changes.gone.to_string()),
        ("Lines taken", progress.taken.to_string()),
        ("Lines left out", progress.rejected.to_string()),
    ];
    let mut sheet = Sheet::new(format!("Load this roster of {}?", one.file.slug), "Nothing has happened yet.")
        .under("/directory", "Directory")
        .under(place(one), "Rosters")
        .and(Section::facts("What would change", facts));
    if progress.rejected > 0 {
        let heading = format!("{} left out", counted(progress.rejected, "line", "lines"));
        sheet = sheet.and(Section::verbatim(&heading, rejects.to_owned()));
    }
    let with = |form: Form| {
        form.hidden("for", &one.file.slug)
            .hidden("roster", prepared.roster.to_string())
            .hidden("rejected", progress.rejected.to_string())
    };
    let mut load = with(Form::new("/directory/rosters/load", "Put it into force"));
    let mut lead =
        "Routes are looked up in it from then on; the one before is kept, and the routes that followed from it name it."
            .to_owned();
    if let Some(why) = &prepared.refused {
        lead = format!("Half a file looks like this: {}. {lead}", said(why));
        load = load.and(Input::tick("force", "It is right all the same").needed()).bad();
    }
    let drop = with(Form::new("/directory/rosters/drop", "Throw it away").quiet());
    sheet.and(Section::form("Put it into force?", load).lead(lead).and(drop))
}

/// Puts what was looked at into force.
pub(in crate::web::console) async fn load(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    let Ok(id) = fields.text("roster").parse::<RosterId>() else { return Err(super::missing("roster")) };
    // That many of its lines cannot be used was judged, and said, when it was read.
    let rejected = fields.text("rejected").parse().unwrap_or(0);
    let guard = Guard { force: fields.ticked("force"), ..Guard::default() };
    let which = id.to_string();
    let event = SettingChanged { org: Some(one.id), what: Configured("roster"), which: Named(&which) };
    let source = source(&person);
    let witness = Witness::new(&person.actor, &event);
    match roster::put_into_force(web.intake.store(), one.id, (id, &source), rejected, guard, witness).await {
        Ok(_) => Ok(told(&place(&one), "roster-loaded").into_response()),
        Err(RosterError::Store(cause)) => Err(Page::store(cause)),
        // The same button pressed twice.
        Err(RosterError::Gone) if in_force(&web, &one, id).await? => Ok(told(&place(&one), "roster-loaded").into_response()),
        Err(why) => {
            let why = format!("It was not put into force: {}. Read the file again.", said(&why));
            wrong(&web, &person, &one, StatusCode::CONFLICT, why).await
        }
    }
}

async fn in_force(web: &Web, one: &Organization, id: RosterId) -> Result<bool, Page> {
    let all = web.intake.store().rosters(one.id).await.map_err(Page::store)?;
    Ok(all.iter().any(|roster| roster.id == id && roster.state == "active"))
}

/// Throws what was looked at away.
pub(in crate::web::console) async fn drop(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let one = whose::organization(&web, &person, fields.text("for")).await?;
    web.intake.store().drop_prepared_rosters(one.id, &source(&person)).await.map_err(Page::store)?;
    Ok(told(&place(&one), "roster-dropped").into_response())
}
