//! `postern delivery`: what became of each message, and one more try.

use clap::{Args, Subcommand, builder::PossibleValuesParser, builder::TypedValueParser as _};
use serde_json::{Value, json};

use super::{
    Exit,
    context::{Global, Output, Whose, scope, slugs, with_store},
    print, say, shell,
    table::{Rows, clean, print_json, short, time, word},
};
use crate::{
    domain::{
        DeliveryId, OrgScope, Reason,
        audit::Witness,
        delivery::{Event, State},
    },
    observe::{events::DeliveryAsked, facts::Configured},
    store::{
        Store, StoreError,
        delivery::Moved,
        notice::NoticeView,
        survey::{DeliveryFilter, DeliveryView, HistoryLine},
    },
};

/// Deliveries: list them, show one, try one again, cancel one
#[derive(Debug, Args)]
pub(crate) struct Delivery {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List deliveries, newest first
    List(List),
    /// Show one delivery, its history, and what to do about it
    Show(Show),
    /// Put a refused or held delivery back into the queue
    ///
    /// It keeps its Message-ID, and is charged for once at most. Exit code 1 when its state does not allow it.
    Retry(One),
    /// Stop a delivery that has not left yet
    ///
    /// Exit code 1 when it cannot be called back; no further attempt is made then. A held delivery that may have arrived
    /// is closed.
    Cancel(One),
    /// Take a failed delivery off the worklist: somebody has seen to it
    ///
    /// For deliveries that were handed over and then failed, or were never answered, and that have no other way left.
    Done(One),
}

#[derive(Debug, Args)]
struct List {
    /// In this state only
    #[arg(long, value_parser = states())]
    state: Option<State>,
    /// With this reason only, e.g. no_cert
    #[arg(long)]
    reason: Option<Reason>,
    #[command(flatten)]
    whose: Whose,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    output: Output,
}

fn states() -> impl clap::builder::TypedValueParser<Value = State> {
    PossibleValuesParser::new(State::ALL.iter().map(|state| state.as_str())).try_map(|text| text.parse::<State>())
}

#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: DeliveryId,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct One {
    /// Its id
    id: DeliveryId,
}

pub(crate) fn run(delivery: &Delivery, global: &Global) -> anyhow::Result<Exit> {
    match &delivery.command {
        Command::List(args) => list(args, global),
        Command::Show(args) => show(args, global),
        Command::Retry(One { id }) => with_store(global, async |_, store| retry(store, *id).await),
        Command::Cancel(One { id }) => with_store(global, async |_, store| cancel(store, *id).await),
        Command::Done(One { id }) => with_store(global, async |_, store| done(store, *id).await),
    }
}

fn list(args: &List, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        let filter = DeliveryFilter { state: args.state, reason: args.reason, limit: args.limit };
        Ok((store.deliveries(scope, filter).await?, slugs(store).await?))
    })?;
    let slug = |view: &DeliveryView| slugs.get(&view.org).cloned().unwrap_or_default();
    if args.output.json {
        let rows: Vec<Value> = found.iter().map(|view| as_json(view, &slug(view))).collect();
        print_json(&rows)?;
        return Ok(Exit::Good);
    }
    if found.is_empty() {
        say("there is no such delivery");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["id", "organization", "address", "state", "reason", "disposition", "fee", "tries", "last moved"]);
    for view in &found {
        rows.push([
            view.id.to_string(),
            slug(view),
            view.address.clone(),
            view.state.to_string(),
            word(view.reason),
            word(view.disposition),
            view.fee.to_string(),
            view.attempts.to_string(),
            time(view.updated_at),
        ]);
    }
    rows.print()?;
    if found.len() as u64 == u64::from(args.limit) {
        say(&format!("there may be more than these {}; see --limit", args.limit));
    }
    Ok(Exit::Good)
}

fn as_json(view: &DeliveryView, slug: &str) -> Value {
    json!({
        "id": view.id, "organization": slug, "result": view.result, "address": view.address, "message_id": view.message_id,
        "state": view.state, "reason": view.reason, "disposition": view.disposition, "fee": view.fee, "attempts": view.attempts,
        "created_at": view.created_at.to_string(), "updated_at": view.updated_at.to_string(), "reply": view.reply,
    })
}

fn show(args: &Show, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs) = with_store(global, async |_, store| {
        let Some((view, history)) = store.delivery_view(OrgScope::All, args.id).await? else {
            return Ok((None, slugs(store).await?));
        };
        let waiting = store.waiting(view.org, view.id).await?;
        let notices = store.notices(OrgScope::All, view.id).await?;
        let sealed_with = store.sealed_with(OrgScope::All, args.id).await?;
        Ok((Some((view, history, waiting, notices, sealed_with)), slugs(store).await?))
    })?;
    let Some((view, history, waiting, notices, sealed_with)) = found else { return Ok(unknown(args.id)) };
    let slug = slugs.get(&view.org).cloned().unwrap_or_default();
    if args.output.json {
        let mut shown = as_json(&view, &slug);
        let lines = history
            .iter()
            .map(|line| json!({ "at": line.at.to_string(), "event": line.event, "state": line.state, "detail": line.detail }));
        shown["history"] = lines.collect();
        shown["sealed_with"] = json!(sealed_with);
        shown["accepted_at"] = waiting.accepted_at.map(|at| at.to_string()).into();
        shown["notice_until"] = waiting.until.map(|at| at.to_string()).into();
        shown["asked_dispatched"] = waiting.asked_dispatched.into();
        shown["sent_from"] = waiting.sent_from.clone().into();
        shown["sent_mode"] = waiting.sent_mode.clone().into();
        shown["fallback"] = waiting.fallback.clone().into();
        shown["fallback_of"] = waiting.fallback_of.clone().into();
        shown["notices"] = notices.iter().map(notice_json).collect();
        shown["meaning"] = view.reason.map(Reason::meaning).into();
        shown["remedy"] = view.reason.map(Reason::remedy).into();
        print_json(&shown)?;
        return Ok(Exit::Good);
    }
    let facts = [
        ("delivery", view.id.to_string()),
        ("organization", slug),
        ("result", view.result.to_string()),
        ("address", view.address.clone()),
        ("sent from", waiting.sent_from.clone().unwrap_or_default()),
        ("message id", view.message_id.clone()),
        ("state", view.state.to_string()),
        ("reason", view.reason.map_or_else(String::new, |reason| format!("{reason}: {}", reason.meaning()))),
        ("to do", view.reason.map_or("", Reason::remedy).to_owned()),
        ("disposition", word(view.disposition)),
        ("answer until", waiting.until.map_or_else(String::new, time)),
        ("asked", if waiting.asked_dispatched { "processed, dispatched".to_owned() } else { "processed".to_owned() }),
        ("fallback", waiting.fallback.clone().unwrap_or_default()),
        ("instead of", waiting.fallback_of.clone().unwrap_or_default()),
        ("fee", view.fee.to_string()),
        ("tries", view.attempts.to_string()),
        ("sealed with", word(sealed_with)),
        ("last reply", view.reply.clone().unwrap_or_default()),
    ];
    for (label, fact) in facts.iter().filter(|(_, fact)| !fact.is_empty()) {
        print(&format!("{label:<14}{}\n", clean(fact.trim_end())))?;
    }
    print("\n")?;
    let mut rows = Rows::new(&["when", "what", "then", "more"]);
    for HistoryLine { at, event, state, detail } in &history {
        rows.push([time(*at), event.clone(), state.to_string(), detail.as_deref().map_or_else(String::new, short)]);
    }
    rows.print()?;
    if !notices.is_empty() {
        print("\n")?;
        let mut rows = Rows::new(&["received", "notice", "says", "about", "vouched for by", "came to", "more"]);
        for notice in &notices {
            let more = notice.why.clone().or_else(|| notice.cause.clone()).unwrap_or_default();
            rows.push([
                time(notice.received_at),
                notice.form.clone(),
                notice.stated.clone(),
                notice.final_recipient.clone().unwrap_or_default(),
                short(&notice.source),
                notice.verdict.to_string(),
                more,
            ]);
        }
        rows.print()?;
    }
    Ok(Exit::Good)
}

fn notice_json(notice: &NoticeView) -> Value {
    json!({
        "received_at": notice.received_at.to_string(), "form": notice.form, "stated": notice.stated,
        "final_recipient": notice.final_recipient, "source": notice.source, "verdict": notice.verdict, "why": notice.why,
        "status": notice.status, "cause": notice.cause,
    })
}

/// Asks something of a delivery: which one and by whom stands in its organization's audit trail.
async fn ask(store: &Store, id: DeliveryId, event: Event, word: &'static str, note: &str) -> Result<Moved, StoreError> {
    let Some((view, _)) = store.delivery_view(OrgScope::All, id).await? else { return Err(StoreError::Lost) };
    let record = DeliveryAsked { org: view.org, delivery: id, asked: Configured(word) };
    store.ask_delivery_as(OrgScope::All, id, event, note, Witness::new(&shell::actor(), &record)).await
}

async fn done(store: &Store, id: DeliveryId) -> anyhow::Result<Exit> {
    if let Some((view, _)) = store.delivery_view(OrgScope::All, id).await? {
        let record = DeliveryAsked { org: view.org, delivery: id, asked: Configured("done") };
        store.witness(&shell::actor(), &record).await?;
    }
    match store.seen_to(OrgScope::All, id, "an operator has seen to it").await {
        Ok(true) => {
            say("off the worklist");
            Ok(Exit::Good)
        }
        Ok(false) => {
            say("it does not wait for a person as a failed delivery; see postern delivery show");
            Ok(Exit::Bad)
        }
        Err(StoreError::Lost) => Ok(unknown(id)),
        Err(error) => Err(error.into()),
    }
}

fn unknown(id: DeliveryId) -> Exit {
    say(&format!("there is no delivery {id}"));
    Exit::Bad
}

async fn retry(store: &Store, id: DeliveryId) -> anyhow::Result<Exit> {
    match ask(store, id, Event::Retry, "retry", "an operator had it tried again").await {
        Ok(moved) => {
            if moved.delivery.unknown_attempts > 0 {
                say("it may have arrived before: the recipient may get a second copy, with the same Message-ID");
            }
            say("back in the queue; a running gateway takes it within seconds");
            Ok(Exit::Good)
        }
        Err(StoreError::Lost) => Ok(unknown(id)),
        Err(StoreError::Illegal(illegal)) => {
            say(match illegal.from {
                State::Accepted => "it was accepted; to send it once more, submit the result with status resend",
                State::Queued | State::Claimed | State::OnWire => "it is on its way already",
                State::Unknown => "it may have arrived; wait until that is settled",
                State::Cancelled | State::Superseded => "it was stopped, and stays so; submit the result with status resend",
                State::Refused | State::Held => "it was closed, or a newer version exists: it is not sent any more",
            });
            Ok(Exit::Bad)
        }
        Err(error) => Err(error.into()),
    }
}

async fn cancel(store: &Store, id: DeliveryId) -> anyhow::Result<Exit> {
    match ask(store, id, Event::Cancel, "cancel", "an operator cancelled it").await {
        Ok(moved) => match moved.delivery.state {
            State::Cancelled => {
                say("cancelled; nothing was sent");
                Ok(Exit::Good)
            }
            State::Held => {
                say("closed; it may have arrived, so it stays held as such, and no further attempt is made");
                Ok(Exit::Good)
            }
            State::Refused => {
                say("closed; it was refused and never accepted, and no further attempt is made");
                Ok(Exit::Good)
            }
            _ => {
                say("it cannot be called back: it may have been handed over already. No further attempt is made");
                Ok(Exit::Bad)
            }
        },
        Err(StoreError::Lost) => Ok(unknown(id)),
        Err(StoreError::Illegal(illegal)) => {
            say(match illegal.from {
                State::Accepted => "it cannot be called back: it was handed over",
                _ => "there is nothing to cancel: it is not being sent",
            });
            Ok(Exit::Bad)
        }
        Err(error) => Err(error.into()),
    }
}
