//! `postern inbox`: messages for people that came for our addresses.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Exit,
    context::{Global, Output, Whose, scope, slugs, with_store},
    print, print_bytes, say, shell,
    table::{Rows, clean, print_json, time, word},
};
use crate::{
    domain::{OrgScope, id::LetterId},
    observe::events,
    store::letter::LetterView,
};

/// Messages for people that came for our addresses: a clinician's reply, say
///
/// Only what was opened and trusted is here. Notices are not; see postern delivery show.
#[derive(Debug, Args)]
pub(crate) struct Inbox {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List messages, newest first
    List(List),
    /// Show one message; its content, which is about a patient, only when asked for
    Show(Show),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    whose: Whose,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: LetterId,
    /// Show the message itself as it was written. It is about a patient; that you read it is recorded
    #[arg(long)]
    phi: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(inbox: &Inbox, global: &Global) -> anyhow::Result<Exit> {
    match &inbox.command {
        Command::List(args) => list(args, global),
        Command::Show(args) => show(args, global),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (letters, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.letters(scope, args.limit).await?, slugs(store).await?))
    })?;
    let slug = |letter: &LetterView| slugs.get(&letter.org).cloned().unwrap_or_default();
    if args.output.json {
        print_json(&letters.iter().map(|letter| as_json(letter, &slug(letter))).collect::<Vec<_>>())?;
        return Ok(Exit::Good);
    }
    if letters.is_empty() {
        say("the inbox is empty");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["received", "organization", "from", "to", "id", "answers delivery"]);
    for letter in &letters {
        let (from, to) = (letter.sender.clone(), letter.identity.clone());
        rows.push([time(letter.received_at), slug(letter), from, to, letter.id.to_string(), word(letter.answers)]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn as_json(letter: &LetterView, slug: &str) -> Value {
    json!({
        "id": letter.id, "organization": slug, "received_at": letter.received_at.to_string(), "from": letter.sender, "to": letter.identity,
        "message_id": letter.message_id, "answers": letter.answers, "vouched_for_by": letter.source, "bytes": letter.bytes,
    })
}

fn show(args: &Show, global: &Global) -> anyhow::Result<Exit> {
    let found = with_store(global, async |context, store| {
        let Some(letter) = store.letter(OrgScope::All, args.id).await? else { return Ok(None) };
        let content = if args.phi {
            context.start_log()?;
            let event = events::LetterRead { org: letter.org, letter: letter.id };
            Some(store.reveal_letter(&shell::actor(), &event, OrgScope::All, letter.org, letter.id).await?)
        } else {
            None
        };
        Ok(Some((letter, content, slugs(store).await?)))
    })?;
    let Some((letter, content, slugs)) = found else {
        say(&format!("there is no message {}", args.id));
        return Ok(Exit::Bad);
    };
    let slug = slugs.get(&letter.org).cloned().unwrap_or_default();
    if args.output.json {
        let mut shown = as_json(&letter, &slug);
        shown["content"] = content.map(|octets| String::from_utf8_lossy(octets.shown()).into_owned()).into();
        print_json(&shown)?;
        return Ok(Exit::Good);
    }
    if let Some(octets) = content {
        print_bytes(octets.shown())?;
        return Ok(Exit::Good);
    }
    let facts = [
        ("message", letter.id.to_string()),
        ("organization", slug),
        ("received", time(letter.received_at)),
        ("from", letter.sender.clone()),
        ("to", letter.identity.clone()),
        ("message id", letter.message_id.clone().unwrap_or_default()),
        ("answers", letter.answers.map_or_else(String::new, |id| format!("delivery {id}"))),
        ("vouched by", letter.source.clone()),
        ("octets", letter.bytes.to_string()),
    ];
    for (label, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        print(&format!("{label:<14}{}\n", clean(fact)))?;
    }
    say("its content is shown with --phi");
    Ok(Exit::Good)
}
