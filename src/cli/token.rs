//! `postern token`: what senders show to be let in.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    context::{self, Global, Output, with_store},
    print, say,
    table::print_json,
};
use crate::domain::text::{FIELD_LIMIT, line};

/// API tokens: create one for an organization, or revoke it
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    Revoke(Revoke),
}

/// Make a token and print it: this once, because only its hash is kept
#[derive(Debug, Args)]
struct Create {
    /// Whose orders and results it lets in
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// What to call it, to revoke it by
    #[arg(long, default_value = "default")]
    name: String,
    /// Let its sender use JSON fields we do not know, instead of refusing them
    #[arg(long)]
    ignore_unknown: bool,
    /// Let it change the organization's rules, prices and mode, and resolve its worklist; a sender needs none of that
    #[arg(long)]
    admin: bool,
    #[command(flatten)]
    output: Output,
}

/// Revoke every token of that name: from now on it lets nobody in
#[derive(Debug, Args)]
struct Revoke {
    /// Whose it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// What it was called
    #[arg(long)]
    name: String,
}

pub(crate) fn run(token: &Token, global: &Global) -> anyhow::Result<Exit> {
    match &token.command {
        Command::Create(create) => self::create(create, global),
        Command::Revoke(revoke) => self::revoke(revoke, global),
    }
}

fn create(create: &Create, global: &Global) -> anyhow::Result<Exit> {
    let name = line(&create.name, FIELD_LIMIT).map_err(|problem| anyhow::anyhow!("--name {problem}"))?;
    let token = with_store(global, async |_, store| {
        let organization = context::organization(store, &create.organization).await?;
        Ok(store.create_token_with(organization.id, name, create.ignore_unknown, create.admin).await?)
    })?;
    if create.output.json {
        print_json(&json!({ "organization": create.organization, "name": name, "admin": create.admin, "token": token }))?;
    } else {
        print(&format!("{token}\n"))?;
    }
    say("keep it now: it is not shown again");
    Ok(Exit::Good)
}

fn revoke(revoke: &Revoke, global: &Global) -> anyhow::Result<Exit> {
    let revoked = with_store(global, async |context, store| {
        let organization = context::organization(store, &revoke.organization).await?;
        Ok(store.revoke_token(organization.id, revoke.name.trim_matches(' '), context.clock.now()).await?)
    })?;
    match revoked {
        0 => {
            say(&format!("{} has no token named {:?} that lets anybody in", revoke.organization, revoke.name));
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
