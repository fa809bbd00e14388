//! `postern hisp list`, `show`, `extract`: what has arrived in the practice mailboxes.

use std::{io::IsTerminal as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::Args;

use super::Folder;
use crate::{
    cli::{Exit, print, print_bytes, say},
    domain::DirectAddress,
    observe::SystemClock,
    sandbox::{Mailboxes, enclosed, mailbox::Entry, pdf},
    track::parsed,
};

/// List what has arrived, oldest first
#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    folder: Folder,
    /// Print as JSON
    #[arg(long)]
    json: bool,
    /// Only this mailbox
    address: Option<DirectAddress>,
}

/// Show one message in words: who, when, how, and its parts
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    folder: Folder,
    /// Print the message exactly as it arrived
    #[arg(long, conflicts_with = "inner")]
    raw: bool,
    /// Print the opened message
    #[arg(long)]
    inner: bool,
    /// Its id, or how the id begins
    id: String,
}

/// Take the PDF out of a message
#[derive(Debug, Args)]
pub(crate) struct Extract {
    #[command(flatten)]
    folder: Folder,
    /// Where to write it; without it, standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The message's id, or how the id begins
    id: String,
}

fn mailboxes(folder: &Folder) -> anyhow::Result<Mailboxes> {
    let root = folder.mail();
    anyhow::ensure!(root.is_dir(), "there are no mailboxes in {}: is this the folder of `hisp serve`?", folder.dir.display());
    Mailboxes::new(root, Arc::new(SystemClock)).context("opening the mailboxes")
}

pub(super) fn list(list: &List) -> anyhow::Result<Exit> {
    let entries = mailboxes(&list.folder)?.list(list.address.as_ref()).context("reading the mailboxes")?;
    if list.json {
        print(&format!("{}\n", serde_json::to_string_pretty(&entries)?))?;
        return Ok(Exit::Good);
    }
    if entries.is_empty() {
        say("nothing has arrived yet");
        return Ok(Exit::Good);
    }
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["RECEIVED", "TO", "FROM", "DOOR", "BYTES", "OPENED", "ID"]);
    for entry in &entries {
        table.add_row([
            entry.received_at.to_string(),
            entry.recipient.to_string(),
            entry.sender.as_ref().map_or_else(|| "<>".to_owned(), ToString::to_string),
            entry.door.to_string(),
            entry.size.to_string(),
            if entry.opened { "yes" } else { "no" }.to_owned(),
            entry.id.to_string(),
        ]);
    }
    print(&format!("{table}\n"))?;
    Ok(Exit::Good)
}

/// The message called `id`; says so when there is not exactly one.
fn find(mailboxes: &Mailboxes, id: &str) -> anyhow::Result<Option<Entry>> {
    let found = mailboxes.find(id).context("reading the mailboxes")?;
    if found.is_none() {
        say(&format!("no message, or more than one, has an id that begins with {id:?}; see `postern hisp list`"));
    }
    Ok(found)
}

pub(super) fn show(show: &Show) -> anyhow::Result<Exit> {
    let mailboxes = mailboxes(&show.folder)?;
    let Some(entry) = find(&mailboxes, &show.id)? else { return Ok(Exit::Bad) };
    if show.raw {
        print_bytes(&mailboxes.raw(&entry).context("reading the message")?)?;
        return Ok(Exit::Good);
    }
    if !entry.opened {
        print(&head(&entry))?;
        return Ok(Exit::Bad);
    }
    let inner = mailboxes.inner(&entry).context("reading the opened message")?;
    if show.inner {
        print_bytes(&inner)?;
    } else {
        print(&format!("{}{}", head(&entry), contents(&inner)))?;
    }
    Ok(Exit::Good)
}

fn head(entry: &Entry) -> String {
    let opened = match &entry.problem {
        None => "opened and verified".to_owned(),
        Some(problem) => format!("NOT opened: {problem}"),
    };
    let tls = entry.tls.as_deref().unwrap_or("in the clear");
    let from = entry.sender.as_ref().map_or("<>", DirectAddress::as_str);
    let Entry { id, recipient, received_at, door, size, .. } = entry;
    plain(&format!(
        "message   {id}\nto        {recipient}\nfrom      {from}\nreceived  {received_at} at the {door} door, {tls}, {size} bytes\n\
         {opened}\n"
    ))
}

/// Subject, parts and text.
fn contents(inner: &[u8]) -> String {
    let Some(message) = parsed::whole(inner) else { return "\nit cannot be read\n".to_owned() };
    let mut lines = vec![
        String::new(),
        format!("subject   {}", message.subject().unwrap_or("none")),
        format!("id        {}", message.message_id().unwrap_or("none")),
    ];
    for item in enclosed::list(inner) {
        let what = if item.package.is_some() { "  inside  " } else { "part      " };
        lines.push(format!("{what}{}", item.words()));
    }
    if let Some(body) = message.body_text(0) {
        lines.push(format!("\n{}", body.trim_end()));
    }
    lines.push(match pdf::extract(inner) {
        Ok(pdf) => format!("\nIt holds a PDF of {} bytes: postern hisp extract", pdf.len()),
        Err(none) => format!("\n{none}"),
    });
    plain(&(lines.join("\n") + "\n"))
}

/// Without what could command a terminal.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

pub(super) fn extract(extract: &Extract) -> anyhow::Result<Exit> {
    let mailboxes = mailboxes(&extract.folder)?;
    let Some(entry) = find(&mailboxes, &extract.id)? else { return Ok(Exit::Bad) };
    if !entry.opened {
        say(&format!("the message was not opened: {}", entry.problem.as_deref().unwrap_or("no reason was kept")));
        return Ok(Exit::Bad);
    }
    let pdf = match pdf::extract(&mailboxes.inner(&entry).context("reading the opened message")?) {
        Ok(pdf) => pdf,
        Err(none) => {
            say(&none.to_string());
            return Ok(Exit::Bad);
        }
    };
    if let Some(path) = &extract.output {
        std::fs::write(path, &pdf).with_context(|| format!("writing {}", path.display()))?;
        say(&format!("{} bytes written to {}", pdf.len(), path.display()));
    } else {
        anyhow::ensure!(!std::io::stdout().is_terminal(), "a PDF is not for a terminal: use --output FILE");
        print_bytes(&pdf)?;
    }
    Ok(Exit::Good)
}
