//! `postern fees adjust`: a correction by hand.

use clap::Args;
use serde_json::json;

use super::{
    super::{
        Exit,
        context::{Global, Output, with_store},
        say,
        table::{Rows, print_json, word},
    },
    who,
};
use crate::{
    domain::{DeliveryId, Money, OrgScope, id::LedgerLineId},
    store::ledger::{
        LedgerLine,
        adjust::{AdjustError, Corrected, Correction},
    },
};

/// Correct a fee: take what stands back and enter it again at another amount
///
/// No line is ever changed. Two are added: one takes back what stands, one enters what it should have cost; with --amount 0
/// only the first. They go into the month of the fee as long as that is open, and otherwise into the open one, naming the
/// month they belong to. Who did it and why stands on both, for everybody who reads the ledger: never name a patient.
#[derive(Debug, Args)]
pub(super) struct AdjustArgs {
    /// Correct what stands of this delivery's fee
    #[arg(long, value_name = "ID", required_unless_present = "line", conflicts_with = "line")]
    delivery: Option<DeliveryId>,
    /// Correct this ledger line
    #[arg(long, value_name = "ID")]
    line: Option<LedgerLineId>,
    /// What it should have cost, e.g. 0.10
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    amount: Money,
    /// Why, in one line; never about a patient
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who says so; without it the user of this shell
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Show what it would write, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

pub(super) fn run(args: &AdjustArgs, global: &Global) -> anyhow::Result<Exit> {
    let of = match (args.delivery, args.line) {
        (Some(delivery), _) => Corrected::Delivery(delivery),
        (None, Some(line)) => Corrected::Line(line),
        (None, None) => anyhow::bail!("say what to correct: --delivery ID or --line ID"),
    };
    let (amount, reason, by) = (args.amount, args.reason.clone(), who(args.by.as_deref()));
    let correction = Correction { of, amount, reason, by, paid_by: None, dry_run: args.dry_run };
    let made = with_store(global, async |_, store| Ok(store.adjust(OrgScope::All, &correction).await))?;
    let lines = match made {
        Ok(lines) => lines,
        Err(AdjustError::Store(error)) => return Err(error.into()),
        Err(refused) => {
            say(&format!("nothing is corrected: {refused}"));
            return Ok(Exit::Bad);
        }
    };
    if args.output.json {
        print_json(&json!({ "written": !args.dry_run, "lines": lines.iter().map(shown).collect::<Vec<_>>() }))?;
    } else {
        let mut rows = Rows::new(&["line", "entry", "fee code", "amount", "currency", "month", "belongs to", "takes back"]);
        rows.right(&[3]);
        for line in &lines {
            rows.push([
                line.id.to_string(),
                line.entry_type.to_string(),
                line.fee_code.clone(),
                line.amount.to_string(),
                line.currency.to_string(),
                line.period.to_string(),
                word(line.relates_to),
                word(line.reverses),
            ]);
        }
        rows.print()?;
    }
    if args.dry_run {
        say("dry run: nothing was written");
    }
    Ok(Exit::Good)
}

fn shown(line: &LedgerLine) -> serde_json::Value {
    json!({ "id": line.id, "line": line.seq, "entry_type": line.entry_type, "fee_code": line.fee_code, "delivery": line.delivery,
        "amount": line.amount, "currency": line.currency, "month": line.period, "relates_to": line.relates_to,
        "reverses": line.reverses, "reason": line.reason, "entered_by": line.entered_by })
}
