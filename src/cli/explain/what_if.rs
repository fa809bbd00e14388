//! The route of an order nobody has stored: the same rules, the same directory, and nothing left behind.

use std::path::Path;

use super::Explain;
use crate::{
    cli::{
        Exit,
        context::{self, Context},
        print, read, say,
        table::{clean, print_json},
    },
    domain::{Order, Report, route::Route},
    pipeline::knowledge::{final_report, what_if},
    resolve::{directory::Live, explain},
    source::wire::{self, FieldProblem, Parsed, Unknown},
    store::{Store, organization::Organization},
};

pub(super) async fn run(args: &Explain, order: &Path, slug: &str, context: &Context, store: &Store) -> anyhow::Result<Exit> {
    let organization = context::organization(store, slug).await?;
    let today = organization.file.time_zone.date_at(context.clock.now());
    let Some(message) = taken(order, wire::order(&read(order)?, Unknown::Refuse, today)) else { return Ok(Exit::Bad) };
    let Some(order) = message.order() else {
        say("the file cancels an order: nothing would be sent");
        return Ok(Exit::Bad);
    };
    let report = match &args.result {
        Some(file) => match taken(file, wire::result(&read(file)?, Unknown::Refuse, today)) {
            Some(message) => message.report,
            None => return Ok(Exit::Bad),
        },
        None => final_report(&order),
    };
    if (&report.order_id, &report.site) != (&order.order_id, &order.site) {
        say("the result is of another order or site than the order");
        return Ok(Exit::Bad);
    }
    if organization.site(&order.site).is_none() {
        say(&format!("warning: {slug} has no site {:?}", clean(&order.site)));
    }
    let route = route(&organization, &order, &report, context, store).await?;
    show(args, &route)?;
    Ok(Exit::Good)
}

/// What was read, or every problem said.
fn taken<T>(file: &Path, parsed: Result<Parsed<T>, Vec<FieldProblem>>) -> Option<T> {
    let told = |level: &str, problems: &[FieldProblem]| {
        for problem in problems {
            say(&format!("{level}: {}: {}", file.display(), clean(&problem.to_string())));
        }
    };
    match parsed {
        Ok(parsed) => {
            told("warning", &parsed.warnings);
            Some(parsed.value)
        }
        Err(problems) => {
            told("error", &problems);
            None
        }
    }
}

pub(super) async fn route(
    organization: &Organization,
    order: &Order,
    report: &Report,
    context: &Context,
    store: &Store,
) -> anyhow::Result<Route> {
    let config = context.config();
    let live = Live::new(&config.live_directory, store.clone());
    Ok(what_if(store, &live, organization, order, report, config.directory.max_age, &config.test.test_domains).await?)
}

pub(super) fn show(args: &Explain, route: &Route) -> anyhow::Result<()> {
    if args.output.json { print_json(&explain::json(route)) } else { print(&explain::text(route)) }
}
