//! `postern alerts`: what people are told of, who cares for it, and whether they would be told.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Exit,
    assemble::assemble,
    block_on,
    context::{Context, Global, Output, Whose, scope, slugs, with_store},
    print, say,
    table::{Rows, clean, print_json, time},
};
use crate::{
    domain::{alert::Alert, id::AlertId},
    observe::events,
    pipeline::alerting::{Alerting, shown},
};

/// Alerts: list what is open, show one, say that you care, test whether anybody would be told
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List what is open, newest first
    List(List),
    /// Show one alert, what it means and what to do
    Show(Show),
    /// Say that you care for an alert: nobody else is told of it any more until it is over
    ///
    /// Exit code 1 when it is over, or somebody else cares already.
    Ack(Ack),
    /// Send a test to everybody who would be told, and say what came of it
    ///
    /// Every address and the webhook of [alerts], and the addresses that organizations name in theirs. Exit code 1 when one
    /// of them did not take it, or when nobody would be told at all.
    Test(Test),
}

#[derive(Debug, Args)]
struct List {
    /// What is over too
    #[arg(long)]
    all: bool,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Show {
    /// Its id
    id: AlertId,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct Ack {
    /// Its id
    id: AlertId,
    /// Who cares, as others should read it
    #[arg(long, value_name = "NAME", env = "USER", default_value = "somebody")]
    by: String,
}

#[derive(Debug, Args)]
struct Test {
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(alerts: &Alerts, global: &Global) -> anyhow::Result<Exit> {
    match &alerts.command {
        Command::List(asked) => list(asked, global),
        Command::Show(asked) => show(asked, global),
        Command::Ack(asked) => ack(asked, global),
        Command::Test(asked) => test(asked, global),
    }
}

fn list(asked: &List, global: &Global) -> anyhow::Result<Exit> {
    let (alerts, slugs) = with_store(global, async |_, store| {
        let scope = scope(store, asked.whose.organization.as_deref()).await?;
        Ok((store.alerts(scope, asked.all, asked.limit, None).await?, slugs(store).await?))
    })?;
    let slug = |alert: &Alert| alert.condition.org.and_then(|org| slugs.get(&org).cloned()).unwrap_or_default();
    if asked.output.json {
        print_json(&alerts.iter().map(|alert| shown(alert, &slug(alert))).collect::<Vec<_>>())?;
        return Ok(Exit::Good);
    }
    if alerts.is_empty() {
        say("nothing is wrong that people are told of");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["since", "severity", "kind", "organization", "what", "how", "state", "id"]);
    for alert in &alerts {
        let condition = &alert.condition;
        rows.push([
            time(alert.first_seen),
            condition.kind.severity().to_string(),
            condition.kind.to_string(),
            slug(alert),
            condition.subject.clone(),
            condition.measured(),
            state(alert),
            alert.id.to_string(),
        ]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

fn state(alert: &Alert) -> String {
    match (alert.resolved_at, &alert.acked_by, alert.escalated_at) {
        (Some(at), _, _) => format!("over {}", time(at)),
        (None, Some(by), _) => format!("{by} cares"),
        (None, None, Some(_)) => "escalated".to_owned(),
        (None, None, None) => "open".to_owned(),
    }
}

fn show(asked: &Show, global: &Global) -> anyhow::Result<Exit> {
    let (found, slugs) = with_store(global, async |_, store| Ok((store.alert(asked.id).await?, slugs(store).await?)))?;
    let Some(alert) = found else {
        say("there is no such alert; postern alerts list --all shows those there are");
        return Ok(Exit::Bad);
    };
    let slug = alert.condition.org.and_then(|org| slugs.get(&org).cloned()).unwrap_or_default();
    if asked.output.json {
        print_json(&shown(&alert, &slug))?;
        return Ok(Exit::Good);
    }
    let condition = &alert.condition;
    let kind = condition.kind;
    let at = |when: Option<crate::domain::Timestamp>| when.map(time).unwrap_or_default();
    let lines = [
        ("alert", alert.id.to_string()),
        ("kind", format!("{kind} ({})", kind.severity())),
        ("organization", slug),
        ("what", condition.subject.clone()),
        ("how", condition.measured()),
        ("more", condition.detail.clone()),
        ("state", state(&alert)),
        ("since", time(alert.first_seen)),
        ("opened", at(alert.opened_at)),
        ("escalated", at(alert.escalated_at)),
        ("cared for", at(alert.acked_at)),
        ("over", at(alert.resolved_at)),
        ("meaning", kind.meaning().to_owned()),
        ("to do", kind.remedy().to_owned()),
    ];
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        print(&format!("{name:13} {}\n", clean(value)))?;
    }
    Ok(Exit::Good)
}

fn ack(asked: &Ack, global: &Global) -> anyhow::Result<Exit> {
    let by = clean(asked.by.trim());
    let by: String = by.chars().take(100).collect();
    let acked = with_store(global, async |_, store| Ok(store.ack_alert(asked.id, &by, None).await?))?;
    if acked {
        events::AlertAcknowledged { alert: asked.id }.emit();
        say(&format!("{by} cares for it; nobody else is told until it is over"));
        return Ok(Exit::Good);
    }
    say("there is nothing to care for: it is over, somebody else cares already, or there is no such alert");
    Ok(Exit::Bad)
}

fn test(asked: &Test, global: &Global) -> anyhow::Result<Exit> {
    let context = Context::load(global)?;
    let config = context.config().clone();
    let master = context.master_key()?;
    let probed = block_on(async {
        let gateway = assemble(&config, master, context.clock).await?.gateway;
        let store = gateway.store.clone();
        let probed = Alerting::new(gateway, &config)?.probe().await?;
        store.close().await;
        anyhow::Ok(probed)
    })??;
    if asked.output.json {
        let rows: Vec<_> = probed
            .iter()
            .map(|one| {
                let (taken, says) = match &one.outcome {
                    Ok(says) => (true, says),
                    Err(says) => (false, says),
                };
                json!({ "channel": one.listener.channel, "target": one.listener.target, "organization_id": one.listener.org,
                        "taken": taken, "says": says })
            })
            .collect();
        print_json(&rows)?;
    } else {
        for one in &probed {
            let (verdict, says) = match &one.outcome {
                Ok(says) => ("good", says),
                Err(says) => ("bad ", says),
            };
            print(&format!("{verdict}  {} {}: {}\n", one.listener.channel, clean(&one.listener.target), clean(says)))?;
        }
    }
    if probed.is_empty() {
        say("nobody would be told of anything: set to, from and relay, or webhook, in [alerts]");
    }
    let all_taken = !probed.is_empty() && probed.iter().all(|one| one.outcome.is_ok());
    Ok(if all_taken { Exit::Good } else { Exit::Bad })
}
