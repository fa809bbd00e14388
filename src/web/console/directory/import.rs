//! A directory that is small enough for a browser: a flat file of a HISP's, or an organization's own list. It is read and judged
//! first, by the same rules as the command's, and loaded as it was looked at. National files do not pass a browser: the page
//! names the commands.

use std::{io::Cursor, sync::Arc};

use axum::{
    body::Bytes,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::{Asked, beginning::Beginning};
use crate::{
    crypto::{Hex, sha256},
    domain::{OrgId, route::DirectorySource, text::counted},
    observe::chain,
    resolve::directory::{CsvDirectory, DirectoryError, Guard, Loaded, Mapping, Terms, csv::Field, drain, load as loading},
    store::directory::{NewSnapshot, Snapshot},
    web::{
        Web,
        auth::{Fields, Person},
        console::{
            Page, Told,
            desk::Desk,
            form::{Form, Input},
            sheet::{Cell, Section, Sheet},
            told::told,
            whose, words,
        },
    },
};

/// So many files wait in memory to be loaded.
pub(in crate::web) const WAITING: usize = 4;

/// The file that each session has looked at last.
pub type Files = Desk<File>;

/// A file that was read, and how.
#[derive(Debug, Clone)]
pub struct File {
    content: Bytes,
    digest: String,
    mapping: Mapping,
    /// Whose own list it is; without one it answers for everybody.
    own: Option<(OrgId, String)>,
}

impl File {
    const fn source(&self) -> DirectorySource {
        if self.own.is_some() { DirectorySource::TenantList } else { DirectorySource::DirectTrust }
    }

    fn org(&self) -> Option<OrgId> {
        self.own.as_ref().map(|(org, _)| *org)
    }

    fn whose(&self) -> String {
        self.own.as_ref().map_or_else(|| "everybody".to_owned(), |(_, slug)| slug.clone())
    }
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Query(asked): Query<Asked>,
) -> Result<Page, Page> {
    Ok(page(&web, &person, None).await?.told(Told::of(&asked.done)).show(&person))
}

fn commands() -> Section {
    let lines = [
        "postern directory import nppes NPPES_Data_Dissemination.zip",
        "postern directory import npd FOLDER",
        "postern directory import fhir practitioners.ndjson endpoints.ndjson",
        "postern directory import csv hisp.csv",
    ];
    Section::verbatim("On the machine", lines.join("\n"))
        .lead("The files of NPPES, of the National Provider Directory and of a FHIR export are too large for a browser. Each command takes --dry-run.")
}

async fn page(web: &Web, person: &Person, problem: Option<String>) -> Result<Sheet, Page> {
    let most = words::octets(i64::try_from(web.settings.body_bytes).unwrap_or(i64::MAX));
    let mut whose = whose::all(web, person).await?;
    for choice in &mut whose {
        choice.chosen = false;
        choice.words = format!("{} alone: its own list", choice.words);
    }
    let everybody = super::super::deliveries::Choice {
        value: String::new(),
        words: "everybody: a HISP's directory".to_owned(),
        chosen: true,
    };
    whose.insert(0, everybody);
    let form = Form::new("/directory/import", "Show what it would load")
        .and(Input::choice("for", "It answers for", whose))
        .and(Input::file("file", "The directory").hint("CSV in UTF-8 with a header: an NPI and an address in each row").needed())
        .and(
            Input::line("columns", "What its columns are called")
                .hint("as in npi=PROV_NPI,address=Direct; empty: the usual names are looked for"),
        );
    let lead = format!(
        "Up to {most}. Nothing changes by looking; the file takes the place of the one loaded before from the same source."
    );
    Ok(Sheet::new("Load a directory", "Who has which Direct address, from a file.")
        .under("/directory", "Directory")
        .wrong(problem)
        .and(Section::form("A file", form).lead(lead))
        .and(commands()))
}

async fn wrong(web: &Web, person: &Person, status: StatusCode, why: String) -> Result<Response, Page> {
    Ok(page(web, person, Some(why)).await?.show_as(status, person).into_response())
}

/// `npi=PROV_NPI,address=Direct`.
fn mapping(text: &str) -> Option<Mapping> {
    let mut mapping = Mapping::default();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (field, column) = pair.split_once('=')?;
        mapping.set(field.trim().parse::<Field>().ok()?, column.trim());
    }
    Some(mapping)
}

/// Reads and judges a file; loads it unless it is only looked at.
async fn run(web: &Web, file: &File, terms: Terms) -> Result<Loaded, DirectoryError> {
    let name = format!("console {}", file.digest.get(..16).unwrap_or_default());
    let new = NewSnapshot { source: file.source(), org: file.org(), file: &name };
    let (content, mapping) = (file.content.clone(), file.mapping.clone());
    let read = move |sink: &mut dyn FnMut(_) -> _| drain(CsvDirectory::new(Cursor::new(content), &mapping)?, sink);
    loading(web.intake.store(), new, read, terms).await
}

/// What is wrong, without the words of the command line.
fn said(error: &DirectoryError) -> String {
    match error {
        DirectoryError::Shrunk { of, before, new, percent } => {
            format!("it has {new} rows of type {of}, more than {percent} % fewer than the {before} in force")
        }
        DirectoryError::Header { problem, found } => {
            format!("it has {}; its header names {found}", problem.replace("which --map names", "which was named here"))
        }
        other => chain(other),
    }
}

/// Reads a file and shows what it would load.
pub(in crate::web::console) async fn read(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let own = match fields.given("for") {
        Some(slug) => Some(whose::organization(&web, &person, slug).await?),
        None => None,
    };
    let refused = async |why: &str| wrong(&web, &person, StatusCode::UNPROCESSABLE_ENTITY, why.to_owned()).await;
    let Some(content) = fields.bytes("file").cloned() else { return refused("Choose a file.").await };
    let Some(mapping) = mapping(fields.text("columns")) else {
        return refused("Columns are named as in npi=PROV_NPI,address=Direct: npi, address, organization, organization_npi, state, postal_code, rank or status, and the name it has here.").await;
    };
    let own = own.map(|one| (one.id, one.file.slug));
    whose::uploaded(&web, &person, own.as_ref().map(|(org, _)| *org), "directory", &content).await?;
    let file = File { digest: Hex(&sha256(&content)).to_string(), content, mapping, own };
    let before = web.intake.store().active_snapshot(file.source(), file.org()).await.map_err(Page::store)?;
    let rejects = Beginning::default();
    // What is too small is shown, too, and needs a word to be loaded.
    let guard = Guard { force: true, ..Guard::default() };
    let terms = Terms { guard, dry_run: true, rejects: Box::new(rejects.clone()), watcher: Arc::new(|_| {}) };
    match run(&web, &file, terms).await {
        Ok(loaded) => {
            let sheet = shown(&file, &loaded, before.as_ref(), &rejects.text());
            web.files.lay(person.session, file);
            Ok(sheet.show(&person).into_response())
        }
        Err(DirectoryError::Store(cause)) => Err(Page::store(cause)),
        Err(why) => refused(&format!("It cannot be read: {}.", said(&why))).await,
    }
}

fn shown(file: &File, loaded: &Loaded, before: Option<&Snapshot>, rejects: &str) -> Sheet {
    let row = |(of, count): (&String, &crate::store::directory::TypeCount)| {
        let taken =
            before.and_then(|before| before.counts.get(of)).map_or_else(|| "-".to_owned(), |count| count.taken.to_string());
        vec![of.clone().into(), Cell::number(count.rows), Cell::number(count.taken), Cell::number(taken)]
    };
    let facts = vec![
        ("Answers for", file.whose()),
        ("Rows that would be in force", loaded.entries.to_string()),
        ("In force now", before.map_or_else(|| "nothing from this source".to_owned(), |before| before.entries.to_string())),
        ("Rows left out", loaded.rejected.to_string()),
        ("Rows that say again what another said", loaded.duplicates.to_string()),
        ("Addresses at mailbox providers for everybody", loaded.webmail.to_string()),
        ("The file, SHA-256", file.digest.clone()),
    ];
    let columns = ["Type", "#In the file", "#Taken", "#Taken before"];
    let mut sheet = Sheet::new("Load this directory?", "Nothing has happened yet.")
        .under("/directory", "Directory")
        .under("/directory/import", "Load a directory")
        .and(Section::facts("What would be loaded", facts))
        .and(Section::table("By type", &columns, ("No row", "There is nothing in it.")).rows(loaded.counts.iter().map(row)));
    if loaded.rejected > 0 {
        let heading = format!("{} left out", counted(loaded.rejected, "row", "rows"));
        sheet = sheet.and(Section::verbatim(&heading, rejects.to_owned()));
    }
    let mut load = Form::new("/directory/import/load", "Load it").hidden("digest", file.digest.clone()).back("/directory/import");
    let mut lead = "Answers come from it once it is loaded as a whole; the one before stays, and can answer again.".to_owned();
    let counts = before.map(|before| &before.counts);
    if let Err(why) = Guard::default().judge(counts, &loaded.counts, loaded.rejected) {
        lead = format!("Half a file looks like this: {}. {lead}", said(&why));
        load = load.and(Input::tick("force", "It is right all the same").needed()).bad();
    }
    sheet.and(Section::form("Load it?", load).lead(lead))
}

/// Loads what was looked at.
pub(in crate::web::console) async fn load(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let file = web.files.of(person.session).filter(|file| file.digest == fields.text("digest"));
    let Some(file) = file else {
        let why = "It is loaded already, or was looked at too long ago: choose the file again.".to_owned();
        return wrong(&web, &person, StatusCode::CONFLICT, why).await;
    };
    whose::on_record(&web, &person, file.org(), "directory", &file.digest).await?;
    let guard = Guard { force: fields.ticked("force"), ..Guard::default() };
    match run(&web, &file, Terms { guard, ..Terms::default() }).await {
        Ok(_) => {
            web.files.clear(person.session);
            Ok(told("/directory", "directory-loaded").into_response())
        }
        Err(DirectoryError::Store(cause)) => Err(Page::store(cause)),
        Err(why) => wrong(&web, &person, StatusCode::CONFLICT, format!("It was not loaded: {}.", said(&why))).await,
    }
}
