//! `postern webhook`: the programs that are told what happens.

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Exit,
    context::{self, Global, Output, Whose, scope, slugs, with_store},
    print, say,
    table::{Rows, clean, print_json, time, word},
};
use crate::{
    domain::{OffsetTime, OrgId, event::Cursor, time::Span},
    pipeline::trying::{Tried, try_out},
    store::{
        Store,
        webhook::{Again, OVERLAP, Replayed, WebhookView},
    },
    track::webhook::SigningSecret,
};

/// Webhooks: see how far each has been told, try one out, tell one again
///
/// They stand in the organization file, as [[webhook]]. Each is told in order from its own place in the organization's feed; one
/// that fails waits by itself and is tried for days. What it has missed is not lost: it goes on from its place.
#[derive(Debug, Args)]
pub(crate) struct Webhook {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List webhooks: whether each is on, how many events wait for it, what its last failure was
    List(List),
    /// Send one a test event, signed, now, and show what it answered
    ///
    /// It is asked at once, from this machine, also when it is off. Exit code 1 when it did not take it.
    Test(One),
    /// Tell one everything again since a time, or from a place in the feed on
    ///
    /// The same events under the same ids: a program that remembers ids will not act twice. With --from it can also be sent
    /// forward, past events it cannot digest.
    Replay(Replay),
    /// Switch one on; it goes on from where it stood
    Enable(One),
    /// Switch one off; its place is kept
    Disable(One),
    /// Make a new secret and show it: this once
    ///
    /// The old one goes on signing beside it, so that the other end can change over in its own time.
    RotateSecret(Rotate),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct One {
    /// What it is called in the organization file
    name: String,
    /// Whose it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Replay {
    /// What it is called in the organization file
    name: String,
    /// Whose it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Everything that happened from this time on, e.g. 2026-01-15T08:45:00-05:00
    #[arg(long, value_name = "TIME", conflicts_with = "from", required_unless_present = "from")]
    since: Option<OffsetTime>,
    /// Everything behind this cursor, as events and lists show it; 0 for all that is kept
    #[arg(long, value_name = "CURSOR")]
    from: Option<Cursor>,
    /// Show how many events that would be, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Rotate {
    /// What it is called in the organization file
    name: String,
    /// Whose it is
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// How long the old secret goes on signing
    #[arg(long, value_name = "TIME", default_value_t = Span(OVERLAP))]
    keep: Span,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(webhook: &Webhook, global: &Global) -> anyhow::Result<Exit> {
    match &webhook.command {
        Command::List(args) => list(args, global),
        Command::Test(args) => test(args, global),
        Command::Replay(args) => replay(args, global),
        Command::Enable(args) => switch(args, true, global),
        Command::Disable(args) => switch(args, false, global),
        Command::RotateSecret(args) => rotate(args, global),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.webhooks(scope).await?, slugs(store).await?))
    })?;
    let slug = |view: &WebhookView| slugs.get(&view.org).cloned().unwrap_or_default();
    if args.output.json {
        print_json(&found.iter().map(|view| as_json(view, &slug(view))).collect::<Vec<_>>())?;
        return Ok(Exit::Good);
    }
    if found.is_empty() {
        say("there is no webhook; write [[webhook]] with name and url into an organization file and apply it");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["organization", "name", "state", "told", "waiting", "last taken", "problem"]);
    rows.right(&[3, 4]);
    for view in &found {
        let problem = view.problem.as_deref().filter(|_| view.attempts > 0 || view.off.is_some());
        let problem = problem.map(|why| match view.failing_since {
            Some(since) if view.off.is_none() => format!("{why}; failing since {}", time(since)),
            _ => why.to_owned(),
        });
        rows.push([
            slug(view),
            view.rules.name.clone(),
            view.off.map_or_else(|| "on".to_owned(), |why| format!("off ({why})")),
            view.told.to_string(),
            view.newest.saturating_sub(view.told).to_string(),
            view.taken_at.map_or_else(String::new, time),
            word(problem),
        ]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn as_json(view: &WebhookView, slug: &str) -> Value {
    json!({
        "organization": slug, "name": view.rules.name, "id": view.id, "url": view.rules.url, "events": view.rules.events,
        "format": view.rules.format, "on": view.off.is_none(), "off_because": view.off, "told": view.told,
        "waiting": view.newest.saturating_sub(view.told), "failures": view.attempts,
        "failing_since": view.failing_since.map(|at| at.to_string()), "problem": view.problem,
        "last_taken_at": view.taken_at.map(|at| at.to_string()), "next_attempt_at": view.next_attempt_at.to_string(),
    })
}

/// The organization and its webhook of that name.
async fn find(store: &Store, organization: &str, name: &str) -> anyhow::Result<(OrgId, WebhookView)> {
    let org = context::organization(store, organization).await?.id;
    let all = store.webhooks(crate::domain::OrgScope::One(org)).await?;
    let found = all.into_iter().find(|view| view.rules.name == name);
    Ok((
        org,
        found.with_context(|| format!("{organization} has no webhook {name:?}; postern webhook list shows those there are"))?,
    ))
}

fn test(args: &One, global: &Global) -> anyhow::Result<Exit> {
    let Tried { url, taken, answer } = with_store(global, async |context, store| {
        let (org, _) = find(store, &args.organization, &args.name).await?;
        let tried = try_out(&context.config().events, store, org, &args.organization, &args.name).await?;
        tried.context("the webhook is gone")
    })?;
    if args.output.json {
        print_json(&json!({ "webhook": args.name, "url": url, "taken": taken, "answer": answer }))?;
    } else {
        print(&format!("{}: {}\n", clean(&args.name), clean(&answer)))?;
    }
    Ok(if taken { Exit::Good } else { Exit::Bad })
}

fn replay(args: &Replay, global: &Global) -> anyhow::Result<Exit> {
    let (Replayed { told, waiting: count }, off) = with_store(global, async |_, store| {
        let (org, view) = find(store, &args.organization, &args.name).await?;
        let again = match (args.from, args.since) {
            (Some(from), _) => Again::Behind(from),
            (None, Some(since)) => Again::Since(since.at),
            (None, None) => anyhow::bail!("say --since or --from"),
        };
        let replayed = if args.dry_run {
            store.look_at_replay(org, again).await.map(Some)
        } else {
            store.replay_webhook(org, &args.name, again, None).await
        };
        let replayed = replayed.with_context(|| format!("telling {} again", args.name))?;
        Ok((replayed.context("the webhook is gone")?, view.off))
    })?;
    if args.output.json {
        print_json(&json!({ "webhook": args.name, "told": told, "waiting": count, "applied": !args.dry_run }))?;
    } else {
        print(&format!("{}: {count} events behind {told}\n", clean(&args.name)))?;
    }
    if args.dry_run {
        say("dry run: nothing was changed");
    } else if off.is_some() {
        say("it is off: postern webhook enable begins to tell it");
    }
    Ok(Exit::Good)
}

fn switch(args: &One, on: bool, global: &Global) -> anyhow::Result<Exit> {
    let view = with_store(global, async |_, store| {
        let (org, _) = find(store, &args.organization, &args.name).await?;
        store.switch_webhook(org, &args.name, on, None).await?;
        Ok(find(store, &args.organization, &args.name).await?.1)
    })?;
    if args.output.json {
        print_json(&as_json(&view, &args.organization))?;
    } else {
        let waiting = view.newest.saturating_sub(view.told);
        print(&format!("{}: {}, {waiting} events wait for it\n", clean(&args.name), if on { "on" } else { "off" }))?;
    }
    Ok(Exit::Good)
}

fn rotate(args: &Rotate, global: &Global) -> anyhow::Result<Exit> {
    let secret = with_store(global, async |_, store| {
        let (org, _) = find(store, &args.organization, &args.name).await?;
        let secret = store.rotate_webhook_secret(org, &args.name, args.keep.0, None).await?;
        Ok(SigningSecret::from_octets(secret.context("the webhook is gone")?)?)
    })?;
    if args.output.json {
        print_json(&json!({ "webhook": args.name, "secret": &*secret.reveal(), "old_signs_for": args.keep.to_string() }))?;
    } else {
        print(&format!("{}\n", *secret.reveal()))?;
    }
    say(&format!("keep it now: it is not shown again; the old one goes on signing for {}", args.keep));
    Ok(Exit::Good)
}
