//! `postern explain`: where a result goes, or would go, and why.

/// The route of an order nobody has stored.
mod what_if;

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{
    Exit,
    context::{Context, Global, Output, scope, slugs, with_store},
    print, say,
    table::{clean, print_json, time},
};
use crate::{
    domain::{OrgScope, ResultId, route::Route},
    pipeline::knowledge::final_report,
    resolve::explain,
    store::{Store, survey::ResultView},
};

/// Explain where a result goes and why, or where it would go
///
/// With an ORDER or RESULT: the stored route of every version, with each candidate and why it was taken, held or dropped.
/// An order whose result has not come yet is explained as things are. With --order: what would happen to this order; nothing
/// is stored or sent.
///
/// Exit code 1 when there is no such order or result, or when a file given is not valid.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The sender's key of an order, or the id of a result
    #[arg(value_name = "ORDER|RESULT", required_unless_present = "order", conflicts_with = "order")]
    what: Option<String>,
    /// What if this order (JSON, as for the API) had a final result; - is standard input
    #[arg(long, value_name = "FILE", requires = "organization")]
    order: Option<PathBuf>,
    /// What if its result were this one (JSON, as for the API; its PDF is not needed)
    #[arg(long, value_name = "FILE", requires = "order")]
    result: Option<PathBuf>,
    /// Whose order it is: needed with --order; otherwise only this organization's are looked at
    #[arg(long, value_name = "SLUG")]
    organization: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn run(args: &Explain, global: &Global) -> anyhow::Result<Exit> {
    with_store(global, async |context, store| match (&args.what, &args.order, &args.organization) {
        (Some(what), _, _) => stored(args, what, context, store).await,
        (None, Some(order), Some(slug)) => what_if::run(args, order, slug, context, store).await,
        _ => anyhow::bail!("name an order, a result, or --order FILE with --organization"),
    })
}

async fn stored(args: &Explain, what: &str, context: &Context, store: &Store) -> anyhow::Result<Exit> {
    let scope = scope(store, args.organization.as_deref()).await?;
    let by_id = match what.parse::<ResultId>() {
        Ok(id) => store.result_view(scope, id).await?,
        Err(_) => None,
    };
    let views = match by_id {
        Some(view) => vec![view],
        None => store.results_of_order(scope, what).await?,
    };
    if views.is_empty() {
        return before_its_result(args, what, scope, context, store).await;
    }
    let slugs = slugs(store).await?;
    let mut shown = Vec::new();
    for view in &views {
        let slug = slugs.get(&view.org).cloned().unwrap_or_default();
        let route = explain::stored(view.state, view.reason, store.trace(view.org, view.id).await?);
        if args.output.json {
            shown.push(as_json(view, &slug, route.as_ref()));
        } else {
            show(view, &slug, route.as_ref())?;
        }
    }
    if args.output.json {
        print_json(&shown)?;
    }
    Ok(Exit::Good)
}

/// An order that waits for its exam to be finished.
async fn before_its_result(
    args: &Explain,
    what: &str,
    scope: OrgScope,
    context: &Context,
    store: &Store,
) -> anyhow::Result<Exit> {
    let mut found = false;
    for organization in store.organizations(scope).await? {
        if let Some((_, order)) = store.find_order(organization.id, what).await? {
            found = true;
            say(&format!(
                "{} has the order and no result of it yet; as things are, a final one would be",
                organization.file.slug
            ));
            let report = final_report(&order);
            let route = what_if::route(&organization, &order, &report, context, store).await?;
            what_if::show(args, &route)?;
        }
    }
    if !found {
        say(&format!("there is no order or result {:?}", clean(what)));
        return Ok(Exit::Bad);
    }
    Ok(Exit::Good)
}

fn show(view: &ResultView, slug: &str, route: Option<&Route>) -> anyhow::Result<()> {
    let about = format!(
        "result {}, version {} ({}) of order {}\nof {slug}, site {}, received {}\n\n",
        view.id,
        view.version,
        view.status,
        clean(&view.order_id),
        clean(&view.site),
        time(view.received_at)
    );
    print(&about)?;
    match route {
        Some(route) => print(&explain::text(route))?,
        None => print("it has just come in and is not routed yet\n")?,
    }
    if !view.deliveries.is_empty() {
        print("\ndeliveries\n")?;
    }
    for delivery in &view.deliveries {
        let reason = delivery.reason.map_or_else(String::new, |reason| format!(" ({reason})"));
        print(&format!("  {}  {}  {}{reason}\n", delivery.id, clean(&delivery.address), delivery.state))?;
    }
    print("\n")
}

fn as_json(view: &ResultView, slug: &str, route: Option<&Route>) -> Value {
    let deliveries: Vec<Value> = view
        .deliveries
        .iter()
        .map(|delivery| {
            json!({ "id": delivery.id, "address": delivery.address, "state": delivery.state, "reason": delivery.reason })
        })
        .collect();
    json!({
        "result": view.id, "organization": slug, "order_id": view.order_id, "site": view.site, "version": view.version,
        "status": view.status, "state": view.state, "reason": view.reason, "route": route.map(explain::json), "deliveries": deliveries,
    })
}
