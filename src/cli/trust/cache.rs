//! `postern trust cache`: what DNS and LDAP said lately, and from when it is.

use clap::{Args, Subcommand};
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{Global, Output, with_store},
        say,
        table::{Rows, print_json, time},
    },
    domain::DirectAddress,
    trust::discovery::names,
};

#[derive(Debug, Subcommand)]
pub(super) enum Cache {
    /// List what is kept, who said it and how old it is
    List(List),
    /// Forget what is kept about an address and its domain, or about a domain; the next delivery asks again
    Forget(Forget),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// About this address or domain only
    #[arg(value_name = "ADDRESS|DOMAIN")]
    about: Option<String>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(super) struct Forget {
    /// An address, with its domain; or a domain
    #[arg(value_name = "ADDRESS|DOMAIN")]
    about: String,
}

pub(super) fn run(cache: &Cache, global: &Global) -> anyhow::Result<Exit> {
    match cache {
        Cache::List(args) => list(args, global),
        Cache::Forget(args) => forget(args, global),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let about = args.about.as_ref().map(|about| about.to_ascii_lowercase());
    let (kept, now) =
        with_store(global, async |context, store| Ok((store.all_kept(about.as_deref()).await?, context.clock.now())))?;
    if args.output.json {
        let rows: Vec<_> = kept
            .iter()
            .map(|one| {
                json!({ "about": one.about, "question": one.question, "outcome": if one.found { "found" } else { "none" },
                        "asked_of": one.asked_of, "asked_at": one.asked_at.to_string(),
                        "age_seconds": now.since(one.asked_at).as_secs(), "expires_at": one.expires_at.to_string() })
            })
            .collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if kept.is_empty() {
        say("nothing is kept");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["question", "outcome", "answered by", "asked at", "until"]);
    for one in kept {
        let outcome = if one.found { "found" } else { "none" };
        rows.push([one.question, outcome.to_owned(), one.asked_of, time(one.asked_at), time(one.expires_at)]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn forget(args: &Forget, global: &Global) -> anyhow::Result<Exit> {
    let about = match args.about.parse::<DirectAddress>() {
        Ok(address) => names(&address),
        Err(_) => vec![args.about.to_ascii_lowercase()],
    };
    let forgotten = with_store(global, async |context, store| Ok(store.forget(&about, context.clock.now()).await?))?;
    say(&format!("{forgotten} answers forgotten"));
    Ok(if forgotten > 0 { Exit::Good } else { Exit::Bad })
}
