//! `postern token`: what senders and programs show to be let in.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{bail, ensure};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    context::{self, Global, Output, Whose, scope, slugs, with_store},
    print, say, shell,
    table::{Rows, print_json, time, word},
};
use crate::{
    domain::{
        OrgId, Timestamp,
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
    store::{
        Store,
        token::{NewToken, TokenView},
    },
};

/// API tokens: make, list, rotate and revoke them
///
/// A token speaks for one organization, or for the installation (--installation), and may do what its scopes say: the right
/// itself (results:read), everything of a noun (directory), or admin, which is everything a token can do. Without --scope it is
/// a sender's: orders:write, results:write, results:read.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Rotate(Rotate),
    Revoke(Revoke),
}

/// Whose tokens.
#[derive(Debug, Args)]
struct Owner {
    /// Whose orders, results and deliveries it is about
    #[arg(long, value_name = "SLUG", required_unless_present = "installation")]
    organization: Option<String>,
    /// It speaks for every organization; each request names one
    #[arg(long, conflicts_with = "organization")]
    installation: bool,
}

impl Owner {
    async fn org(&self, store: &Store) -> anyhow::Result<Option<OrgId>> {
        Ok(match &self.organization {
            Some(slug) => Some(context::organization(store, slug).await?.id),
            None => None,
        })
    }

    fn named(&self) -> &str {
        self.organization.as_deref().unwrap_or("the installation")
    }
}

/// Make a token and print it: this once, because only its hash is kept
#[derive(Debug, Args)]
struct Create {
    #[command(flatten)]
    owner: Owner,
    /// What to call it, to rotate and revoke it by
    #[arg(long, default_value = "default")]
    name: String,
    /// What it may do; may be given several times
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// It ends after so long, e.g. 90d; without it when somebody ends it
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// Let its sender use JSON fields we do not know, instead of refusing them
    #[arg(long)]
    ignore_unknown: bool,
    #[command(flatten)]
    output: Output,
}

/// List tokens, newest first: what they may do, when they end, when they were last used
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    /// Those that let nobody in any more, too
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
}

/// Make a token in the place of those of the same name, which go on for a while: time to exchange them
#[derive(Debug, Args)]
struct Rotate {
    #[command(flatten)]
    owner: Owner,
    /// What they are called
    #[arg(long)]
    name: String,
    /// How long the ones before go on
    #[arg(long, value_name = "TIME", default_value = "24h")]
    overlap: Span,
    /// The new one ends after so long
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    #[command(flatten)]
    output: Output,
}

/// Revoke every token of that name: from now on it lets nobody in
#[derive(Debug, Args)]
struct Revoke {
    #[command(flatten)]
    owner: Owner,
    /// What it was called
    #[arg(long)]
    name: String,
}

pub(crate) fn run(token: &Token, global: &Global) -> anyhow::Result<Exit> {
    match &token.command {
        Command::Create(args) => create(args, global),
        Command::List(args) => list(args, global),
        Command::Rotate(args) => rotate(args, global),
        Command::Revoke(args) => revoke(args, global),
    }
}

fn create(args: &Create, global: &Global) -> anyhow::Result<Exit> {
    let name = line(&args.name, FIELD_LIMIT).map_err(|problem| anyhow::anyhow!("--name {problem}"))?;
    let rights = rights(&args.scope, args.owner.installation)?;
    let token = with_store(global, async |context, store| {
        let (org, id) = (args.owner.org(store).await?, TokenId::new());
        let expires_at = ends(context.clock.now(), args.expires)?;
        let new = NewToken { id, org, name, rights: rights.clone(), ignore_unknown: args.ignore_unknown, expires_at };
        let event = TokenMade { org, token: id, name: Named(name), rights: rights.len() };
        Ok(store.make_token(&new, Witness::new(&shell::actor(), &event)).await?)
    })?;
    show(&args.owner, name, &token, args.output.json)
}

fn rotate(args: &Rotate, global: &Global) -> anyhow::Result<Exit> {
    let name = args.name.trim_matches(' ');
    let token = with_store(global, async |context, store| {
        let (org, id) = (args.owner.org(store).await?, TokenId::new());
        let expires_at = ends(context.clock.now(), args.expires)?;
        let new = NewToken { id, org, name, rights: BTreeSet::new(), ignore_unknown: false, expires_at };
        let event = TokenRotated { org, token: id, name: Named(name) };
        Ok(store.rotate_token(&new, args.overlap.0, Witness::new(&shell::actor(), &event)).await?)
    })?;
    let Some(token) = token else {
        say(&format!("{} has no token named {name:?} that lets anybody in", args.owner.named()));
        return Ok(Exit::Bad);
    };
    say(&format!("the tokens before go on for {}", args.overlap));
    show(&args.owner, name, &token, args.output.json)
}

fn show(owner: &Owner, name: &str, token: &str, as_json: bool) -> anyhow::Result<Exit> {
    if as_json {
        print_json(&json!({ "organization": owner.organization, "name": name, "token": token }))?;
    } else {
        print(&format!("{token}\n"))?;
    }
    say("keep it now: it is not shown again");
    Ok(Exit::Good)
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (tokens, slugs, now) = with_store(global, async |context, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.tokens(scope).await?, slugs(store).await?, context.clock.now()))
    })?;
    let tokens: Vec<&TokenView> = tokens.iter().filter(|token| args.all || state(token, now).is_empty()).collect();
    let owner = |token: &TokenView| token.org.and_then(|org| slugs.get(&org).cloned());
    if args.output.json {
        let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let all: Vec<_> = tokens
            .iter()
            .map(|token| {
                json!({ "id": token.id, "organization": owner(token), "name": token.name, "scopes": token.rights,
                        "created_at": token.created_at.to_string(), "expires_at": at(token.expires_at), "used_at": at(token.used_at),
                        "revoked_at": at(token.revoked_at) })
            })
            .collect();
        print_json(&all)?;
        return Ok(Exit::Good);
    }
    if tokens.is_empty() {
        say("there is no token: postern token create");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["organization", "name", "scopes", "made", "ends", "last used", "state"]);
    for token in tokens {
        let rights: Vec<&str> = token.rights.iter().map(|right| right.as_str()).collect();
        let owner = owner(token).unwrap_or_else(|| "(installation)".to_owned());
        let (ends, used) = (word(token.expires_at.map(time)), word(token.used_at.map(time)));
        let state = state(token, now).to_owned();
        rows.push([owner, token.name.clone(), rights.join(" "), time(token.created_at), ends, used, state]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn state(token: &TokenView, now: Timestamp) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if token.expires_at.is_some_and(|at| at <= now) {
        "ended"
    } else {
        ""
    }
}

fn revoke(args: &Revoke, global: &Global) -> anyhow::Result<Exit> {
    let name = args.name.trim_matches(' ');
    let revoked = with_store(global, async |_, store| {
        let org = args.owner.org(store).await?;
        let event = TokenRevoked { org, name: Named(name) };
        Ok(store.end_tokens(org, name, Witness::new(&shell::actor(), &event)).await?)
    })?;
    match revoked {
        0 => {
            say(&format!("{} has no token named {name:?} that lets anybody in", args.owner.named()));
            Ok(Exit::Bad)
        }
        1 => {
            say("revoked");
            Ok(Exit::Good)
        }
        several => {
            say(&format!("revoked {several} tokens of that name"));
            Ok(Exit::Good)
        }
    }
}

/// What the scopes mean.
fn rights(scopes: &[String], installation: bool) -> anyhow::Result<BTreeSet<Right>> {
    if scopes.is_empty() {
        return Ok(Right::of_a_sender());
    }
    let mut all = BTreeSet::new();
    for word in scopes.iter().flat_map(|word| word.split([',', ' '])).filter(|word| !word.is_empty()) {
        let meant = Right::meant_by(word);
        if meant.is_empty() {
            let known: Vec<&str> = Right::meant_by("admin").into_iter().map(Right::as_str).collect();
            bail!("--scope {word:?} is none of: admin, {}", known.join(", "));
        }
        // What is only for the installation is of no use to an organization's token.
        let useful: BTreeSet<Right> = meant.into_iter().filter(|right| installation || !right.of_the_installation()).collect();
        ensure!(!useful.is_empty(), "--scope {word}: only a token of the installation can have it (--installation)");
        all.extend(useful);
    }
    Ok(all)
}

fn ends(now: Timestamp, after: Option<Span>) -> anyhow::Result<Option<Timestamp>> {
    ensure!(after.is_none_or(|after| after.0 > Duration::ZERO), "--expires must be longer than nothing");
    Ok(after.map(|after| now.plus(after.0)))
}
