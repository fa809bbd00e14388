//! `postern fees periods` and `postern fees close`: a month from open to closed.

use clap::Args;
use serde_json::json;

use super::{
    super::{
        Exit,
        context::{self, Global, Output, Whose, scope, slugs, with_store},
        say,
        table::{Rows, print_json, time, word},
    },
    who,
};
use crate::{
    bill,
    domain::{Month, prices::closing::Row},
    store::ledger::close::{Close, Closing, Controls},
};

/// The months of the ledger: open, in grace or closed
#[derive(Debug, Args)]
pub(super) struct PeriodsArgs {
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

/// Close a month: nothing is written into it any more
///
/// Shows the control totals first: what was charged, what tiers, minimum, cap and rounding add, and that every delivery is
/// charged once or says why not. A month closes after its end and three days of grace, in which credits that belong to it
/// still find it open, and when none of its deliveries is on its way any more; --force closes it all the same once it has
/// ended. Months close in their order. A closed month never opens again: what comes later goes into the open one and names
/// the month it belongs to.
#[derive(Debug, Args)]
pub(super) struct CloseArgs {
    /// The month, e.g. 2026-01
    #[arg(value_name = "MONTH")]
    month: Month,
    /// Whose
    #[arg(long, visible_alias = "org", value_name = "SLUG")]
    organization: String,
    /// Show what it would write, and write nothing
    #[arg(long)]
    dry_run: bool,
    /// Close it within its grace, or with deliveries still on their way
    #[arg(long)]
    force: bool,
    /// Who closes it; without it the user of this shell
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    output: Output,
}

pub(super) fn periods(args: &PeriodsArgs, global: &Global) -> anyhow::Result<Exit> {
    let (periods, names, now) = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok((store.periods(scope).await?, slugs(store).await?, store.now().await?))
    })?;
    let slug = |org| names.get(&org).cloned().unwrap_or_default();
    if args.output.json {
        let shown: Vec<_> = periods
            .iter()
            .map(|period| {
                json!({ "organization": slug(period.org), "month": period.bounds.month, "state": period.state(now), "time_zone": period.zone,
                        "from": period.bounds.starts_at.in_zone(&period.zone), "to": period.bounds.ends_at.in_zone(&period.zone),
                        "closed_at": period.closed_at.map(|at| at.in_zone(&period.zone)), "closed_by": period.closed_by,
                        "forced": period.forced, "last_line": period.last_seq })
            })
            .collect();
        print_json(&shown)?;
        return Ok(Exit::Good);
    }
    if periods.is_empty() {
        say("no month has begun: the first one does with the first charge");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["organization", "month", "state", "from", "until before", "closed", "by"]);
    for period in &periods {
        let local = |at: crate::domain::Timestamp| at.in_zone(&period.zone).plain();
        let (from, to) = (local(period.bounds.starts_at), local(period.bounds.ends_at));
        let by = period.closed_by.clone().unwrap_or_default();
        let closed = word(period.closed_at.map(time));
        rows.push([slug(period.org), period.bounds.month.to_string(), period.state(now).to_string(), from, to, closed, by]);
    }
    rows.print()?;
    Ok(Exit::Good)
}

pub(super) fn run(args: &CloseArgs, global: &Global) -> anyhow::Result<Exit> {
    let close = Close { dry_run: args.dry_run, force: args.force, by: who(args.by.as_deref()) };
    let closed = with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        Ok(bill::closing::close(store, &organization, args.month, &close).await?)
    })?;
    let closing = match closed {
        Ok(closing) => closing,
        Err(refusal) => {
            say(&format!("{} of {} is not closed: {refusal}", args.month, args.organization));
            return Ok(Exit::Bad);
        }
    };
    if args.output.json {
        let rows = |rows: &[Row]| rows.iter().map(shown).collect::<Vec<_>>();
        let refusals: Vec<String> = closing.refusals.iter().map(ToString::to_string).collect();
        print_json(
            &json!({ "organization": args.organization, "month": args.month, "closed": closing.closed, "rows": rows(&closing.rows),
            "added": rows(&closing.added), "controls": closing.controls, "ties": closing.controls.tie(), "refusals": refusals }),
        )?;
    } else {
        show(&closing)?;
    }
    let stands: Vec<_> = closing.refusals.iter().filter(|refusal| !(args.force && refusal.gives_way())).collect();
    for refusal in &closing.refusals {
        let how = if stands.contains(&refusal) { "not closed" } else { "by force" };
        say(&format!("{how}: {refusal}"));
    }
    if closing.closed {
        say(&format!("closed; postern fees statement {} --organization {} shows what to send", args.month, args.organization));
        return Ok(Exit::Good);
    }
    if args.dry_run {
        say("dry run: nothing was written");
    }
    Ok(if stands.is_empty() { Exit::Good } else { Exit::Bad })
}

fn shown(row: &Row) -> serde_json::Value {
    let group = &row.group;
    json!({ "bill_to": group.bill_to, "site": group.site, "cost_center": group.cost_center, "channel": group.channel, "status": group.status,
        "entry_type": group.entry_type, "fee_code": group.fee_code, "note": group.note, "relates_to": group.relates_to,
        "quantity": row.quantity, "unit_price": group.unit_price, "amount": row.amount, "currency": group.currency })
}

fn show(closing: &Closing) -> anyhow::Result<()> {
    let mut rows = Rows::new(&["", "site", "entry", "fee code", "note", "quantity", "unit price", "amount", "currency"]);
    rows.right(&[5, 6, 7]);
    for (new, row) in closing.rows.iter().map(|row| ("", row)).chain(closing.added.iter().map(|row| ("added", row))) {
        let group = &row.group;
        let note = group.relates_to.map_or_else(|| group.note.clone(), |month| format!("{} of {month}", group.note));
        rows.push([
            new.to_owned(),
            group.site.clone(),
            group.entry_type.to_string(),
            group.fee_code.clone(),
            note,
            row.quantity.to_string(),
            group.unit_price.to_string(),
            row.amount.to_string(),
            group.currency.to_string(),
        ]);
    }
    if closing.rows.is_empty() && closing.added.is_empty() {
        say("nothing was charged in this month");
    } else {
        rows.print()?;
    }
    let Controls { deliveries, charged, charged_later, not_charged, from_before, charges, unpriced, test, unsettled } =
        &closing.controls;
    super::super::print("\n")?;
    let mut totals = Rows::new(&["control total", "count"]);
    totals.right(&[1]);
    let mut add = |name: &str, count: u64| totals.push([name.to_owned(), count.to_string()]);
    add("deliveries made in this month", *deliveries);
    add("  charged in it", *charged);
    add("  charged in a later month", *charged_later);
    for (reason, count) in not_charged {
        add(&format!("  not charged: {reason}"), *count);
    }
    add("charges in this month", *charges);
    add("  of deliveries made before it", *from_before);
    add("  at no price: test traffic", *test);
    add("  at no price: none was in force", *unpriced);
    add("deliveries still on their way", *unsettled);
    totals.print()
}
