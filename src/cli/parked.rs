//! `postern parked`: items of a feed that could not be taken, and what to do about them.

use std::io::{IsTerminal as _, stderr, stdin};

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Exit,
    assemble::assemble,
    block_on,
    context::{Context, Global, Output, Whose, scope, slugs, with_store},
    print, say, shell,
    table::{Rows, clean, print_json, time},
};
use crate::{
    config::Config,
    domain::{OrgScope, audit::Witness, id::ParkedId},
    observe::events::{ParkedItemDiscarded, ParkedItemRead},
    source::{Accepted, Intake, Kind, parked, wire::Unknown},
    store::{Store, feed::Parked},
};

/// Items of a feed that could not be taken: list them, show one, have it taken after all, or throw it away
///
/// A feed goes on past an item that cannot be taken. The item is kept here, encrypted, with what is wrong with it.
#[derive(Debug, Args)]
pub(crate) struct ParkedItems {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List parked items, oldest first
    List(List),
    /// Show what is wrong with one
    Show(Show),
    /// Have parked items taken, now that what was wrong is mended
    ///
    /// Each goes the way in once more, as its feed is configured now (`ignore_unknown`), and is parked no longer once it
    /// is durable. Exit code 1 when one is refused again: it stays, with what is wrong now.
    Replay(Replay),
    /// Throw parked items away, for good
    Discard(Discard),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: ParkedId,
    /// Show the item itself too: patient data, so that it is shown goes on record
    #[arg(long)]
    payload: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Replay {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Discard {
    #[command(flatten)]
    which: Which,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Debug, Args)]
struct Which {
    /// Their ids
    #[arg(required_unless_present = "all", conflicts_with = "all", value_name = "ID")]
    ids: Vec<ParkedId>,
    /// All that are parked
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    whose: Whose,
}

pub(crate) fn run(parked: &ParkedItems, global: &Global) -> anyhow::Result<Exit> {
    match &parked.command {
        Command::List(args) => list(args, global),
        Command::Show(args) => show(args, global),
        Command::Replay(args) => replay(args, global),
        Command::Discard(args) => discard(args, global),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (items, slugs) = with_store(global, async |_, store| {
        Ok((store.parked(scope(store, args.whose.organization.as_deref()).await?).await?, slugs(store).await?))
    })?;
    let slug = |item: &Parked| slugs.get(&item.org).cloned().unwrap_or_default();
    if args.output.json {
        print_json(&items.iter().map(|item| as_json(item, &slug(item))).collect::<Vec<_>>())?;
        return Ok(Exit::Good);
    }
    if items.is_empty() {
        say("nothing is parked");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["since", "organization", "id", "feed", "cursor", "problem"]);
    for item in &items {
        let problem = parked::problems(item).into_iter().next().unwrap_or_default();
        rows.push([time(item.at), slug(item), item.id.to_string(), item.source.clone(), item.cursor.clone(), problem]);
    }
    rows.print()?;
    say("\npostern parked show ID says more");
    Ok(Exit::Good)
}

fn as_json(item: &Parked, slug: &str) -> Value {
    json!({ "id": item.id, "organization": slug, "feed": item.source, "cursor": item.cursor, "since": item.at.to_string(),
            "problems": item.problems })
}

fn show(args: &Show, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs) = with_store(global, async |context, store| {
        let Some(item) = store.parked_item(OrgScope::All, args.id).await? else { return Ok((None, slugs(store).await?)) };
        let payload = if args.payload {
            context.start_log()?;
            let event = ParkedItemRead { org: item.org, item: item.id };
            Some(store.reveal(&shell::actor(), &event, async |store: &Store| store.open_parked(&item).await).await?)
        } else {
            None
        };
        Ok((Some((item, payload)), slugs(store).await?))
    })?;
    let Some((item, payload)) = found else { return Ok(unknown(args.id)) };
    let slug = slugs.get(&item.org).cloned().unwrap_or_default();
    let payload = payload.map(|octets| String::from_utf8_lossy(octets.shown()).into_owned());
    if args.output.json {
        let mut shown = as_json(&item, &slug);
        if let Some(payload) = payload {
            shown["payload"] = payload.into();
        }
        print_json(&shown)?;
        return Ok(Exit::Good);
    }
    let facts = [
        ("parked item", item.id.to_string()),
        ("organization", slug),
        ("feed", item.source.clone()),
        ("cursor", item.cursor.clone()),
        ("since", time(item.at)),
    ];
    for (label, fact) in facts {
        print(&format!("{label:<14}{}\n", clean(&fact)))?;
    }
    print("\n")?;
    for problem in parked::problems(&item) {
        print(&format!("{}\n", clean(&problem)))?;
    }
    print("\nto do: have the sender mend it in the feed, or mend what it depends on here, then\n")?;
    print(&format!("  postern parked replay {id}\n  postern parked discard {id}\n", id = item.id))?;
    if let Some(payload) = payload {
        print("\n")?;
        // A tab or a line end between the values of JSON means nothing; everything else could command the terminal.
        print(&format!("{}\n", payload.lines().map(clean).collect::<Vec<_>>().join("\n")))?;
    }
    Ok(Exit::Good)
}

fn unknown(id: ParkedId) -> Exit {
    say(&format!("there is no parked item {id}"));
    Exit::Bad
}

/// The items meant; those that are not there are said so.
async fn meant(store: &Store, which: &Which) -> anyhow::Result<(Vec<Parked>, Exit)> {
    let scope = scope(store, which.whose.organization.as_deref()).await?;
    if which.all {
        return Ok((store.parked(scope).await?, Exit::Good));
    }
    let (mut items, mut exit) = (Vec::new(), Exit::Good);
    for id in &which.ids {
        match store.parked_item(scope, *id).await? {
            Some(item) => items.push(item),
            None => exit = unknown(*id),
        }
    }
    Ok((items, exit))
}

fn replay(args: &Replay, global: &Global) -> anyhow::Result<Exit> {
    let context = Context::load(global)?;
    context.start_log()?;
    let config = context.config().clone();
    let master = context.master_key()?;
    let (told, mut exit) = block_on(async {
        let installation = assemble(&config, master, std::sync::Arc::clone(&context.clock)).await?;
        let (intake, store) = (installation.intake, &installation.gateway.store);
        let (items, exit) = meant(store, &args.which).await?;
        let mut told = Vec::new();
        for item in items {
            let outcome = replay_one(&config, &intake, &item).await?;
            told.push((item, outcome));
        }
        store.close().await;
        anyhow::Ok((told, exit))
    })??;
    if told.iter().any(|(_, outcome)| outcome.is_err()) {
        exit = Exit::Bad;
    }
    if args.output.json {
        let row = |(item, outcome): &(Parked, Result<Accepted, Value>)| match outcome {
            Ok(accepted) => json!({ "id": item.id, "taken": true, "result": accepted }),
            Err(problems) => json!({ "id": item.id, "taken": false, "problems": problems }),
        };
        print_json(&told.iter().map(row).collect::<Vec<_>>())?;
        return Ok(exit);
    }
    for (item, outcome) in &told {
        match outcome {
            Ok(accepted) => {
                let how = if accepted.kind == Kind::Same { "known already" } else { "taken" };
                say(&format!("{}: {how}, as result {} ({})", item.id, accepted.id, accepted.state));
            }
            Err(refused) => {
                say(&format!("{}: refused again, and stays parked", item.id));
                let now = Parked { problems: refused.clone(), ..item.clone() };
                for problem in parked::problems(&now) {
                    say(&format!("  {}", clean(&problem)));
                }
            }
        }
    }
    Ok(exit)
}

async fn replay_one(config: &Config, intake: &Intake, item: &Parked) -> anyhow::Result<Result<Accepted, Value>> {
    let feed = config.feed.iter().find(|feed| feed.name == item.source);
    let unknown = if feed.is_some_and(|feed| feed.ignore_unknown) { Unknown::Ignore } else { Unknown::Refuse };
    Ok(parked::replay(intake, item, unknown).await?)
}

fn discard(args: &Discard, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |context, store| {
        context.start_log()?;
        let (items, exit) = meant(store, &args.which).await?;
        if items.is_empty() {
            if exit == Exit::Good {
                say("nothing is parked");
            }
            return Ok(exit);
        }
        if !args.yes && !confirmed(items.len())? {
            say("nothing was thrown away");
            return Ok(Exit::Bad);
        }
        for item in &items {
            let event = ParkedItemDiscarded { org: item.org, item: item.id };
            if store.discard_parked(item, Witness::new(&shell::actor(), &event)).await? {
                say(&format!("{}: thrown away", item.id));
            }
        }
        Ok(exit)
    })
}

/// Asks the person at the terminal.
fn confirmed(items: usize) -> anyhow::Result<bool> {
    if !(stdin().is_terminal() && stderr().is_terminal()) {
        bail!("what is thrown away cannot be had back; say --yes if that is meant");
    }
    say(&format!("throw away {items} item(s) for good? The feed will not give them again. [y/N]"));
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
