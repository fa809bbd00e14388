//! The organization's file is changed as one document: what it would change is shown first, then done. Keys and passwords are
//! no part of it; they are brought on the machine.

use axum::{
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::find;
use crate::{
    domain::{choice::Decides, organization::OrganizationFile},
    observe::events::DecisionMade,
    resolve::decisions,
    store::{
        StoreError,
        changes::{self, Change},
        rules::Rules,
    },
    web::{
        Problem, Web,
        api::organization::{checked, payers},
        auth::{Fields, Person},
        console::{
            Page,
            form::{Form, Input},
            sheet::{Cell, Section, Sheet},
            told::told,
            whose,
            words::Badge,
        },
    },
};

/// What a new organization begins with.
const SAMPLE: &str = r#"slug = "new-clinics"
name = "New Clinics"
time_zone = "America/New_York"
mode = "test"                        # "production" once a test message has arrived

# [[site]]
# local_id = "RIVERSIDE01"
# name = "Riverside"

# [[target]]
# direct = "results@direct.newclinics.example"

# [price]
# currency = "USD"
# rate = [{ from = "2026-01-01", fee_code = "direct", amount = "0.25" }]
"#;

fn area(text: &str) -> Input {
    Input::area("file", "The organization file", 24).hint("TOML, without secrets").value(text).needed()
}

/// The file to change; `after` something else that stands out, it does not.
fn form(slug: &str, suffix: &str, text: &str, mark: &str, after: bool) -> Section {
    let form = Form::new(format!("/organizations/{slug}/edit{suffix}"), "Show what would change")
        .and(area(text))
        .hidden("mark", mark)
        .back(format!("/organizations/{slug}{suffix}"));
    let (heading, form) = if after { ("Or change it first", form.quiet()) } else { ("", form) };
    Section::form(heading, form).lead("Nothing is changed yet. What is left out is as by default; prices are never removed, only followed by others. Identities come with keys and stay as they are: postern org apply changes them.")
}

fn page(name: &str, slug: &str, suffix: &str) -> Sheet {
    Sheet::new(format!("Edit {name}"), "Its sites, addresses, rules and prices, as one file.")
        .under("/organizations", "Organizations")
        .under(format!("/organizations/{slug}{suffix}"), name)
}

pub(in crate::web::console) async fn show(
    State(web): State<Web>,
    person: Person,
    Path(slug): Path<String>,
) -> Result<Page, Page> {
    let one = find(&web, &person, &slug).await?;
    let Rules { file, mark } = web.intake.store().rules(one.id).await.map_err(Page::store)?;
    let text = toml::to_string_pretty(&file).map_err(|_| Page::from(Problem::internal()))?;
    let suffix = person.about(one.id);
    Ok(page(&file.name, &slug, &suffix).and(form(&slug, &suffix, &text, &mark, false)).show(&person))
}

/// What is wrong with the text, in lines.
fn read(text: &str) -> Result<OrganizationFile, String> {
    toml::from_str(text).map_err(|error: toml::de::Error| error.to_string())
}

fn said(problem: &Problem) -> String {
    let fields: Vec<String> = problem.errors().iter().map(|one| format!("{} {}", one.field, one.message)).collect();
    if fields.is_empty() { problem.detail().to_owned() } else { fields.join("\n") }
}

fn wrong(why: String) -> Section {
    Section::verbatim("It cannot be used as it is", why)
}

/// The changes, as a table.
fn table(changes: &[Change], kept: &[String]) -> Section {
    let row = |change: &Change| {
        let (tone, words) = match (&change.old, &change.new) {
            (None, _) => ("good", "new"),
            (_, None) => ("bad", "goes"),
            _ => ("warn", "changes"),
        };
        let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
        vec![
            Badge { tone, words: words.to_owned() }.into(),
            Cell::code(change.field.clone()),
            Cell::from(or_nothing(&change.old)),
            Cell::from(or_nothing(&change.new)),
        ]
    };
    let empty = ("Nothing would change", "The file says what is in force already.");
    let table = Section::table("What would change", &["Change", "Field", "Now", "Then"], empty);
    table.lead(kept.join(" ")).rows(changes.iter().map(row))
}

/// Shows what would change; once that was seen, changes it.
pub(in crate::web::console) async fn change(
    State(web): State<Web>,
    person: Person,
    Path(slug): Path<String>,
    fields: Fields,
) -> Result<Response, Page> {
    let store = web.intake.store();
    let one = find(&web, &person, &slug).await?;
    let Rules { file: before, mark } = store.rules(one.id).await.map_err(Page::store)?;
    let (text, suffix) = (fields.text("file"), person.about(one.id));
    let name = &before.name;
    let refused = |why: String| {
        let page = page(name, &slug, &suffix).and(wrong(why)).and(form(&slug, &suffix, text, fields.text("mark"), false));
        Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, &person).into_response())
    };
    let after = match read(text) {
        Ok(after) => after,
        Err(why) => return refused(why),
    };
    if let Err(problem) = checked(&after, &before) {
        return refused(said(&problem));
    }
    match payers(&web, &person.known.reach, one.id, &before, &after).await {
        Err(problem) if problem.errors().is_empty() => return Err(problem.into()),
        Err(problem) => return refused(said(&problem)),
        Ok(()) => {}
    }
    if fields.text("mark") != mark {
        return refused("Somebody has changed the file meanwhile: open it again and make the change on that.".to_owned());
    }
    let mut all = changes::of_files(Some(&before), &after);
    let prices = store.prices(one.id).await.map_err(Page::store)?;
    let terms = store.terms(one.id).await.map_err(Page::store)?;
    let (priced, kept) = changes::of_prices(&prices, &terms, after.price.as_ref());
    all.extend(priced);
    if fields.ticked("sure") {
        let done = if all.is_empty() { "unchanged" } else { "applied" };
        if !all.is_empty() {
            whose::on_record(&web, &person, Some(one.id), "organization", &slug).await?;
            let name = format!("{} {}", person.actor.kind, person.actor.name);
            let whom = decisions::whom(&name, "changed in the console").map_err(|_| Page::from(Problem::internal()))?;
            match store.change_rules(one.id, &mark, &after, whom).await {
                Ok(_) => DecisionMade { org: one.id, result: None, rerouted: 0, what: Decides::Rules }.emit(),
                Err(StoreError::Lost) => {
                    return refused(
                        "Somebody has changed the file meanwhile: open it again and make the change on that.".to_owned(),
                    );
                }
                Err(error) => return Err(Page::store(error)),
            }
        }
        return Ok(told(&format!("/organizations/{slug}{suffix}"), done).into_response());
    }
    let mut shown = page(name, &slug, &suffix).and(table(&all, &kept));
    if !all.is_empty() {
        let apply = Form::new(format!("/organizations/{slug}/edit{suffix}"), format!("Apply {}", counted(all.len())))
            .hidden("file", text)
            .hidden("mark", mark.clone())
            .hidden("sure", "yes")
            .back(format!("/organizations/{slug}{suffix}"));
        shown = shown.and(
            Section::form("Apply it?", apply).lead("A running gateway goes by it within seconds. Nothing has happened yet."),
        );
    }
    Ok(shown.and(form(&slug, &suffix, text, &mark, !all.is_empty())).show(&person).into_response())
}

fn counted(count: usize) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

fn new_page() -> Sheet {
    Sheet::new("A new organization", "A customer: its sites, addresses, rules and prices, as one file.")
        .under("/organizations", "Organizations")
}

fn new_form(text: &str, after: bool) -> Section {
    let form = Form::new("/new-organization", "Show what it would be").and(area(text)).back("/organizations");
    let (heading, form) = if after { ("Or change it first", form.quiet()) } else { ("", form) };
    Section::form(heading, form).lead("Begin in test mode. Its addresses to send from come with keys: postern org apply brings them on the machine; until then it sends from the installation's.")
}

pub(in crate::web::console) async fn begin(person: Person) -> Page {
    new_page().and(new_form(SAMPLE, false)).show(&person)
}

pub(in crate::web::console) async fn create(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let (store, text) = (web.intake.store(), fields.text("file"));
    let refused = |why: String| {
        let page = new_page().and(wrong(why)).and(new_form(text, false));
        Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, &person).into_response())
    };
    let file = match read(text) {
        Ok(file) => file,
        Err(why) => return refused(why),
    };
    if !file.identities.is_empty() {
        return refused(
            "[[identity]] comes with certificates and keys: leave it out here, and bring it with postern org apply.".to_owned(),
        );
    }
    let checked = checked(&file, &OrganizationFile { slug: file.slug.clone(), ..file.clone() });
    if let Err(problem) = checked {
        return refused(said(&problem));
    }
    if store.organization_by_slug(crate::domain::OrgScope::All, &file.slug).await.map_err(Page::store)?.is_some() {
        return refused(format!("There is an organization {:?} already: edit that one.", file.slug));
    }
    if fields.ticked("sure") {
        whose::on_record(&web, &person, None, "organization_added", &file.slug).await?;
        store.apply_organization(&file, &[]).await.map_err(Page::store)?;
        return Ok(told(&format!("/organizations/{}", file.slug), "applied").into_response());
    }
    let mut all = changes::of_files(None, &file);
    all.extend(changes::of_prices(&[], &[], file.price.as_ref()).0);
    let apply = Form::new("/new-organization", "Create it").hidden("file", text).hidden("sure", "yes").back("/organizations");
    let shown = new_page().and(table(&all, &[])).and(Section::form("Create it?", apply).lead("Nothing has happened yet."));
    Ok(shown.and(new_form(text, true)).show(&person).into_response())
}
