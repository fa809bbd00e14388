//! API tokens: made, rotated and revoked; each shown once. A form carries the id its token will have, so that a form that is
//! sent twice makes one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};

use super::page;
use crate::{
    domain::{
        OrgId, OrgScope, Timestamp,
        audit::Witness,
        id::TokenId,
        person::Right,
        text::{FIELD_LIMIT, line},
        time::Span,
    },
    observe::{
        events::{TokenMade, TokenRevoked, TokenRotated},
        facts::Named,
    },
    store::token::{NewToken, TokenView},
    web::{
        Web,
        auth::{Fields, Person},
        console::{
            Page,
            deliveries::Choice,
            form::{Form, Input},
            overview,
            sheet::{Cell, Section, Sheet},
            told::told,
            whose,
            words::{self, Badge},
        },
    },
};

/// How long the tokens before go on when one is rotated.
const OVERLAP: Duration = Duration::from_hours(24);

fn good(token: &TokenView, now: Timestamp) -> bool {
    token.revoked_at.is_none() && token.expires_at.is_none_or(|at| at > now)
}

pub(super) async fn section(web: &Web, person: &Person, slugs: &BTreeMap<OrgId, String>) -> Result<Section, Page> {
    let store = web.intake.store();
    let now = store.clock().now();
    let acts = person.may(Right::PeopleAct);
    let tokens = store.tokens(person.scope).await.map_err(Page::store)?;
    let row = |one: TokenView| {
        let state = match (one.revoked_at, one.expires_at) {
            (Some(_), _) => Badge { tone: "calm", words: "revoked".into() },
            (None, Some(at)) if at <= now => Badge { tone: "calm", words: "expired".into() },
            (None, Some(at)) => overview::until(at, now),
            (None, None) => Badge { tone: "good", words: "no end".into() },
        };
        let rights: Vec<&str> = one.rights.iter().map(|right| right.as_str()).collect();
        let slug = one.org.and_then(|org| slugs.get(&org).cloned()).unwrap_or_default();
        let whose = if slug.is_empty() { "installation".to_owned() } else { slug.clone() };
        let named = |form: Form| form.about(one.name.clone()).hidden("for", &slug).hidden("name", &one.name);
        let rotate = Form::new("/tokens/rotate", "Make the next one")
            .folded("Rotate")
            .lead("The new one may do the same; those of its name go on for a day: time to exchange them.")
            .hidden("once", TokenId::new().to_string())
            .and(Input::line("expires", "Ends after").hint("as in 90d; empty: when somebody ends it"));
        let revoke = Form::new("/tokens/revoke", "Revoke")
            .folded("Revoke")
            .lead("Every token of that name lets nobody in from now on.")
            .bad();
        let forms = if acts && good(&one, now) { vec![named(rotate), named(revoke)] } else { Vec::new() };
        vec![
            Cell::from(one.name.clone()).with(whose),
            Cell::from("").with(rights.join(" ")),
            state.into(),
            Cell::time(words::when(one.created_at)),
            Cell::time(words::when_if(one.used_at)),
            Cell::doing(forms),
        ]
    };
    let none = ("No token", "A program needs one: make it below.");
    let columns = ["Name", "May", "State", "Made (UTC)", "Used (UTC)", ""];
    let mut section = Section::table("Tokens", &columns, none).rows(tokens.into_iter().map(row));
    if acts {
        let mut choices: Vec<Choice> =
            slugs.values().map(|slug| Choice { value: slug.clone(), words: slug.clone(), chosen: false }).collect();
        choices.push(Choice { value: String::new(), words: "the installation".to_owned(), chosen: choices.is_empty() });
        section = section.and(
            Form::new("/tokens", "Make the token")
                .folded("Make a token")
                .lead("It is shown once; only its hash is kept.")
                .hidden("once", TokenId::new().to_string())
                .and(Input::choice("for", "It speaks for", choices))
                .and(Input::line("name", "What to call it").needed())
                .and(
                    Input::line("scopes", "What it may do")
                        .hint("empty: a sender's. Rights as in results:read, nouns as in fees, or admin"),
                )
                .and(Input::line("expires", "Ends after").hint("as in 90d; empty: when somebody ends it"))
                .and(Input::tick("ignore", "Let its sender use fields we do not know")),
        );
    }
    Ok(section)
}

/// Whose: an organization's, or with nothing said the installation's.
async fn org(web: &Web, person: &Person, fields: &Fields) -> Result<Option<OrgId>, Page> {
    match fields.given("for") {
        Some(slug) => Ok(Some(whose::organization(web, person, slug).await?.id)),
        None => Ok(None),
    }
}

fn ends(now: Timestamp, fields: &Fields) -> Result<Option<Timestamp>, String> {
    let Some(text) = fields.given("expires") else { return Ok(None) };
    let span: Span = text.parse().map_err(|_| "A length of time is written as in 90d.".to_owned())?;
    if span.0.is_zero() { Err("It must end after longer than nothing.".to_owned()) } else { Ok(Some(now.plus(span.0))) }
}

/// What the words mean.
fn rights(words: &str, installation: bool) -> Result<BTreeSet<Right>, String> {
    let mut all = BTreeSet::new();
    for word in words.split([',', ' ']).filter(|word| !word.is_empty()) {
        let meant = Right::meant_by(word);
        if meant.is_empty() {
            return Err(format!("{word:?} is no right, no noun of rights, and not admin."));
        }
        let useful: BTreeSet<Right> = meant.into_iter().filter(|right| installation || !right.of_the_installation()).collect();
        if useful.is_empty() {
            return Err(format!("{word}: only a token of the installation can have it."));
        }
        all.extend(useful);
    }
    Ok(if words.trim().is_empty() { Right::of_a_sender() } else { all })
}

async fn wrong(web: &Web, person: &Person, why: &str) -> Result<Response, Page> {
    let page = page(web, person, Some(format!("No token was made. {why}"))).await?;
    Ok(page.show_as(StatusCode::UNPROCESSABLE_ENTITY, person).into_response())
}

/// The page with a secret on it: this once.
fn once(name: &str, token: String, person: &Person) -> Response {
    let lead = "Copy it now: it is not shown again. Programs send it as Authorization: Bearer.";
    Sheet::new(format!("The token {name}"), lead)
        .under("/people", "People and tokens")
        .and(Section::table("", &["Token"], ("", "")).rows([vec![Cell::code(token)]]))
        .show(person)
        .into_response()
}

/// The id of a form that was not sent before.
async fn fresh(web: &Web, fields: &Fields) -> Result<Result<TokenId, &'static str>, Page> {
    let Ok(id) = fields.text("once").parse::<TokenId>() else { return Ok(Err("The page is too old: load it again.")) };
    let known = web.intake.store().tokens(OrgScope::All).await.map_err(Page::store)?.iter().any(|token| token.id == id);
    Ok(if known { Err("This form was sent before, and its token was shown then; make another if it is lost.") } else { Ok(id) })
}

pub(in crate::web::console) async fn create(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let org = org(&web, &person, &fields).await?;
    let id = match fresh(&web, &fields).await? {
        Ok(id) => id,
        Err(why) => return wrong(&web, &person, why).await,
    };
    let Ok(name) = line(fields.text("name"), FIELD_LIMIT) else {
        return wrong(&web, &person, "It needs a name, in one line.").await;
    };
    let told = rights(fields.text("scopes"), org.is_none()).and_then(|rights| Ok((rights, ends(store.clock().now(), &fields)?)));
    let (rights, expires_at) = match told {
        Ok(both) => both,
        Err(why) => return wrong(&web, &person, &why).await,
    };
    let event = TokenMade { org, token: id, name: Named(name), rights: rights.len() };
    let new = NewToken { id, org, name, rights, ignore_unknown: fields.ticked("ignore"), expires_at };
    let token = store.make_token(&new, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    Ok(once(name, token, &person))
}

pub(in crate::web::console) async fn rotate(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let store = web.intake.store();
    let org = org(&web, &person, &fields).await?;
    let id = match fresh(&web, &fields).await? {
        Ok(id) => id,
        Err(why) => return wrong(&web, &person, why).await,
    };
    let expires_at = match ends(store.clock().now(), &fields) {
        Ok(at) => at,
        Err(why) => return wrong(&web, &person, &why).await,
    };
    let name = fields.text("name");
    let event = TokenRotated { org, token: id, name: Named(name) };
    let new = NewToken { id, org, name, rights: BTreeSet::new(), ignore_unknown: false, expires_at };
    let token = store.rotate_token(&new, OVERLAP, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    match token {
        Some(token) => Ok(once(name, token, &person)),
        None => Ok(told("/people", "token-gone").into_response()),
    }
}

pub(in crate::web::console) async fn revoke(State(web): State<Web>, person: Person, fields: Fields) -> Result<Response, Page> {
    let org = org(&web, &person, &fields).await?;
    let name = fields.text("name");
    let event = TokenRevoked { org, name: Named(name) };
    let ended = web.intake.store().end_tokens(org, name, Witness::new(&person.actor, &event)).await.map_err(Page::store)?;
    Ok(told("/people", if ended == 0 { "token-gone" } else { "token-revoked" }).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_of_an_organization_has_nothing_of_the_installation() {
        assert_eq!(rights("", false).unwrap(), Right::of_a_sender());
        assert!(rights("admin", true).unwrap().contains(&Right::PeopleAct));
        let own = rights("admin", false).unwrap();
        assert!(own.contains(&Right::FeesAct) && own.iter().all(|right| !right.of_the_installation()));
        assert!(rights("people:act", false).is_err() && rights("everything", true).is_err());
        assert_eq!(rights("fees:read, results:read", false).unwrap().len(), 2);
    }
}
