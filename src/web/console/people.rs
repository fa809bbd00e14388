//! People and tokens: who has access.

use axum::extract::State;

use super::{
    Page,
    sheet::{Cell, Section, Sheet},
    words::{self, Badge},
};
use crate::{
    domain::OrgScope,
    store::{person, token::TokenView},
    web::{Web, auth::Person},
};

pub(super) async fn show(State(web): State<Web>, person: Person) -> Result<Page, Page> {
    let store = web.intake.store();
    let slugs = store.slugs(OrgScope::All).await.map_err(Page::store)?;
    let now = store.clock().now();
    let people = store.people().await.map_err(Page::store)?;
    let tokens = store.tokens(person.scope).await.map_err(Page::store)?;
    let row = |one: person::Person| {
        let state = match (one.disabled_at, one.first_until) {
            (Some(_), _) => Badge { tone: "bad", words: "disabled".into() },
            (None, Some(_)) => Badge { tone: "warn", words: "first password".into() },
            (None, None) => Badge { tone: "good", words: "active".into() },
        };
        let reach = one.known.reach.organizations();
        let reach: Vec<String> = reach.iter().map(|org| slugs.get(org).cloned().unwrap_or_default()).collect();
        vec![
            Cell::from(one.known.login.clone()).with(one.known.name.clone()),
            one.known.role.to_string().into(),
            if reach.is_empty() { "everything".to_owned() } else { reach.join(", ") }.into(),
            if one.codes { "set up" } else { "-" }.into(),
            state.into(),
            Cell::time(words::when_if(one.signed_in_at)),
        ]
    };
    let token = |one: TokenView| {
        let state = match (one.revoked_at, one.expires_at) {
            (Some(_), _) => Badge { tone: "calm", words: "revoked".into() },
            (None, Some(at)) if at <= now => Badge { tone: "calm", words: "expired".into() },
            (None, Some(at)) => super::overview::until(at, now),
            (None, None) => Badge { tone: "good", words: "no end".into() },
        };
        let rights: Vec<&str> = one.rights.iter().map(|right| right.as_str()).collect();
        let whose = one.org.and_then(|org| slugs.get(&org).cloned()).unwrap_or_else(|| "installation".to_owned());
        vec![
            Cell::from(one.name).with(whose),
            rights.join(" ").into(),
            state.into(),
            Cell::time(words::when(one.created_at)),
            Cell::time(words::when_if(one.used_at)),
        ]
    };
    let nobody = ("Nobody", "Let somebody in: postern user add LOGIN --role operator");
    let none = ("No token", "A program needs one: postern token create --organization SLUG");
    Ok(Sheet::new(
        "People and tokens",
        "Who may sign in, and which programs may call. Changed with postern user and postern token.",
    )
    .and(
        Section::table("People", &["Signs in as", "Role", "Sees", "Codes", "State", "Signed in (UTC)"], nobody)
            .rows(people.into_iter().map(row)),
    )
    .and(
        Section::table("Tokens", &["Name", "May", "State", "Made (UTC)", "Used (UTC)"], none).rows(tokens.into_iter().map(token)),
    )
    .show(&person))
}
