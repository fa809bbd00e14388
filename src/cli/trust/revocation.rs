//! What issuers published about their certificates: shown with its age, and asked for anew.

use std::time::Duration;

use serde_json::json;

use super::{ListStatements, RefreshStatements};
use crate::{
    cli::{
        Exit,
        context::{Global, with_store},
        say,
        table::{Rows, clean, print_json, time},
    },
    domain::{Timestamp, statement::StatementKind},
    store::statement::Statement,
    trust::Inquirer,
};

/// It holds.
pub(in crate::cli) const CURRENT: &str = "current";
/// It could not be had yet.
const NEVER: &str = "never_had";
/// A list that nobody needed for this long is not kept fresh, and an answer runs out when nobody asks again.
pub(in crate::cli) const IN_USE: Duration = Duration::from_hours(24);

pub(super) fn list(args: &ListStatements, global: &Global) -> anyhow::Result<Exit> {
    let (all, now) = with_store(global, async |context, store| Ok((store.statements().await?, context.clock.now())))?;
    let missing =
        |one: &Statement| one.key.kind == StatementKind::List && now.since(one.used_at) < IN_USE && state(one, now) != CURRENT;
    let bad = all.iter().any(missing);
    if args.output.json {
        let rows: Vec<_> = all
            .iter()
            .map(|one| {
                let had = state(one, now) != NEVER;
                let at = |at: Timestamp| had.then(|| at.to_string());
                json!({ "kind": one.key.kind.as_str(), "url": one.key.url, "about": one.key.about, "issuer": one.issuer,
                        "state": state(one, now), "issued_at": at(one.this_update), "valid_until": at(one.next_update),
                        "fetched_at": at(one.fetched_at), "refresh_at": one.refresh_at.to_string(), "problem": one.problem })
            })
            .collect();
        print_json(&rows)?;
    } else if all.is_empty() {
        say("nothing was fetched yet: lists are fetched when a certificate that names them is judged");
    } else {
        let mut rows = Rows::new(&["kind", "state", "issued", "until", "fetched", "from", "issuer"]);
        for one in &all {
            let state = state(one, now);
            let when = |at: Timestamp| if state == NEVER { String::new() } else { time(at) };
            let kind = one.key.kind.to_string();
            let (issued, until, fetched) = (when(one.this_update), when(one.next_update), when(one.fetched_at));
            rows.push([kind, state.to_owned(), issued, until, fetched, one.key.url.clone(), one.issuer.clone()]);
        }
        rows.print()?;
        for one in &all {
            if let Some(problem) = &one.problem {
                say(&format!("{}: {}", clean(&one.key.url), clean(problem)));
            }
        }
    }
    Ok(if bad { Exit::Bad } else { Exit::Good })
}

pub(super) fn refresh(args: &RefreshStatements, global: &Global) -> anyhow::Result<Exit> {
    let mut refreshed = with_store(global, async |context, store| {
        Ok(Inquirer::new(store.clone(), &context.config().revocation).refresh_all().await?)
    })?;
    refreshed.sort_by(|one, other| one.key.cmp(&other.key));
    if args.output.json {
        let rows: Vec<_> = refreshed
            .iter()
            .map(|one| json!({ "kind": one.key.kind.as_str(), "url": one.key.url, "problem": one.problem }))
            .collect();
        print_json(&rows)?;
    } else if refreshed.is_empty() {
        say("no revocation list is known yet: lists are fetched when a certificate that names them is judged");
    } else {
        let mut rows = Rows::new(&["outcome", "from"]);
        for one in &refreshed {
            rows.push([one.problem.clone().unwrap_or_else(|| "fetched".to_owned()), one.key.url.clone()]);
        }
        rows.print()?;
    }
    Ok(if refreshed.iter().all(|one| one.problem.is_none()) { Exit::Good } else { Exit::Bad })
}

/// How things stand with a statement.
pub(in crate::cli) fn state(one: &Statement, now: Timestamp) -> &'static str {
    match one {
        one if one.fetched_at == Timestamp(0) => NEVER,
        // An issuer's certificate is looked at for what it is wherever it is used.
        one if one.key.kind != StatementKind::Issuer && one.next_update <= now => "out_of_date",
        _ => CURRENT,
    }
}
