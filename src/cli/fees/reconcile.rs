//! `postern fees reconcile`: what the HISP has counted, held against what was handed over.

use std::{
    io::{BufReader, Read, Seek as _, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::super::{
    Exit,
    context::{self, Global, with_store},
    print, say, shell,
    table::{Rows, print_json, time},
};
use super::who;
use crate::{
    bill::{
        BillError,
        reconcile::{
            Compared, Comparison, Difference, DifferenceWriter,
            mapping::{Mapped, Separator},
            reconcile,
        },
        summary::Costs,
    },
    crypto::{Hex, Sha256},
    domain::{Money, Month, OrgScope, audit::Witness, text},
    observe::{events::ReconciliationSigned, facts::Configured},
    store::reconciliation::Signed,
};

/// So many differences are shown to people; a file has them all.
const SHOWN: usize = 50;

/// Compare a month with what the HISP has counted
///
/// The HISP's usage file is CSV with a header; commas, semicolons or tabs part its columns. --map says which column is what:
/// `message_id`, or `date` and `recipient`, and if it has them `price` and `outcome`. Without --map the usual names are looked
/// for. Prices are compared with the cost in the section [fees]; what customers pay has nothing to do with it. Who uses several
/// HISPs names the relay the file is about: --relay.
///
/// Each difference says why it may be and what to do. Exit code 1 says that there are some. --sign-off records that you have
/// looked at them and stand for it; that is never changed again.
#[derive(Debug, Args)]
pub(super) struct ReconcileArgs {
    /// Whose messages
    #[arg(long, visible_alias = "org", value_name = "SLUG")]
    organization: String,
    /// The month, e.g. 2026-01
    #[arg(long, value_name = "MONTH")]
    month: Month,
    /// The HISP's usage file; without it, show who has signed for the month
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Which column says what, e.g. `message_id=Message-ID,price=Charge`
    #[arg(long, value_name = "FIELD=HEADER", value_delimiter = ',')]
    map: Vec<Mapped>,
    /// What parts the columns: comma, semicolon or tab; without it the header shows
    #[arg(long, value_name = "WORD")]
    separator: Option<Separator>,
    /// Only messages that were handed to this relay, or to mx
    #[arg(long, value_name = "NAME")]
    relay: Option<String>,
    /// Prices may differ by so much for one message; without it what [fees] says, which is nothing unless it is set
    #[arg(long, value_name = "AMOUNT")]
    tolerance: Option<Money>,
    /// Record that you stand for this comparison
    #[arg(long, requires = "file", requires = "note")]
    sign_off: bool,
    /// What to write beside it; nothing about patients
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// Who signs; without it the user of this shell
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Write all differences to this file
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print the data as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ReconcileArgs, global: &Global) -> anyhow::Result<Exit> {
    let Some(path) = &args.file else { return signed(args, global) };
    let note = match &args.note {
        Some(note) => text::line(note, 500).context("--note")?,
        None => "",
    };
    let mut file = std::fs::File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let sha256 = digest(&mut file).with_context(|| format!("cannot read {}", path.display()))?;
    file.rewind().with_context(|| format!("cannot read {}", path.display()))?;
    let mut writer = match &args.csv {
        Some(path) => {
            let made = std::fs::File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
            Some(DifferenceWriter::begin(made)?)
        }
        None => None,
    };
    let mut shown: Vec<Difference> = Vec::new();
    let mut json = JsonList::default();
    let (compared, signed_at) = with_store(global, async |context, store| {
        let organization = context::organization(store, &args.organization).await?;
        let period = store.period(OrgScope::All, organization.id, args.month).await?;
        let period = period.with_context(|| format!("{} has no month {}", args.organization, args.month))?;
        let fees = &context.config().fees;
        let costs = Costs::of(fees);
        let comparison = Comparison {
            org: organization.id,
            bounds: period.bounds,
            zone: &period.zone,
            mapping: &args.map,
            costs: costs.as_ref(),
            tolerance: args.tolerance.unwrap_or(fees.tolerance),
            separator: args.separator,
            relay: args.relay.as_deref(),
        };
        let tell = |difference: Difference| {
            if let Some(writer) = &mut writer {
                writer.write(&difference)?;
            }
            if args.json {
                // One after the other: there may be as many as messages.
                json.next(&difference).map_err(|error| BillError::Write(error.into()))?;
            } else if shown.len() < SHOWN {
                shown.push(difference);
            }
            Ok(())
        };
        let compared = reconcile(store, comparison, BufReader::new(&file), tell).await?;
        let mut signed_at = None;
        if args.sign_off {
            let signed = Signed {
                month: args.month,
                file_sha256: sha256.clone(),
                counts: compared.counts.clone(),
                signed_by: who(args.by.as_deref()),
                note: note.to_owned(),
                signed_at: store.now().await?,
            };
            let month = args.month.to_string();
            let (matched, differences) = (signed.counts.matched, signed.counts.differences());
            let event = ReconciliationSigned { org: organization.id, month: Configured(&month), matched, differences };
            signed_at = Some(store.sign_reconciliation(organization.id, &signed, Witness::new(&shell::actor(), &event)).await?);
        }
        Ok((compared, signed_at))
    })?;
    if let Some(writer) = writer {
        writer.end()?;
    }
    if args.json {
        let told = json!({ "organization": args.organization, "month": args.month, "file_sha256": sha256, "totals": compared,
            "signed_at": signed_at.map(|at| at.to_string()) });
        json.end(&told)?;
    } else {
        show(&compared, &shown)?;
    }
    if let Some(at) = signed_at {
        say(&format!("signed off by {} at {}", who(args.by.as_deref()), time(at)));
    }
    Ok(if compared.counts.differences() == 0 { Exit::Good } else { Exit::Bad })
}

/// `{"differences":[...],...}` on stdout, written as it comes.
#[derive(Default)]
struct JsonList {
    begun: bool,
}

impl JsonList {
    fn next(&mut self, difference: &Difference) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(if self.begun { b",\n" } else { b"{\"differences\":[\n" })?;
        self.begun = true;
        serde_json::to_writer(&mut out, difference).map_err(Into::into)
    }

    /// The end of the list, and what else is told.
    fn end(self, told: &serde_json::Value) -> anyhow::Result<()> {
        let begun = if self.begun { "" } else { "{\"differences\":[" };
        let rest = serde_json::to_string(told)?;
        print(&format!("{begun}],\n{}\n", rest.trim_start_matches('{')))
    }
}

/// SHA-256 of a file, however long it is.
fn digest(file: &mut impl Read) -> std::io::Result<String> {
    let (mut hash, mut chunk) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(Hex(&hash.finish()).to_string());
        }
        hash.update(&chunk[..count]);
    }
}

fn show(compared: &Compared, shown: &[Difference]) -> anyhow::Result<()> {
    let counts = &compared.counts;
    let mut rows = Rows::new(&["what", "count"]);
    rows.right(&[1]);
    let mut add = |name: &str, count: u64| rows.push([name.to_owned(), count.to_string()]);
    add("rows of the file", counts.rows);
    add("messages handed over in the month", counts.messages);
    add("  matched", counts.matched);
    add("  ours only", counts.ours_only);
    add("  theirs only", counts.theirs_only);
    add("  price differs", counts.price_differs);
    add("  outcome differs", counts.outcome_differs);
    rows.print()?;
    say(&format!("the columns of the file are parted by: {}", compared.separator));
    if compared.prices_compared && counts.tolerance > Money::ZERO {
        say(&format!("prices that differ by no more than {} are not counted as differing", counts.tolerance));
    }
    if !compared.prices_compared {
        say("prices were not compared: the file has none that was mapped, or [fees] does not say what a message costs");
    }
    if !compared.outcomes_compared {
        say("outcomes were not compared: the file has none that was mapped");
    }
    for difference in shown {
        let Difference { bucket, row, message_id, delivery, ours, theirs, why, what_to_do } = difference;
        let row = row.map_or_else(String::new, |row| format!(" row {row}"));
        let which = delivery.map_or_else(|| message_id.clone().unwrap_or_default(), |id| id.to_string());
        let both: Vec<String> = [("ours", ours), ("theirs", theirs)]
            .into_iter()
            .filter(|(_, said)| !said.is_empty())
            .map(|(side, said)| format!("{side}: {said}"))
            .collect();
        let head = format!("{}{row} {which} ({})", bucket.as_str().replace('_', " "), both.join(", "));
        print(&format!("\n{}\n  {why}\n  -> {what_to_do}\n", super::super::table::clean(&head)))?;
    }
    let more = counts.differences().saturating_sub(u64::try_from(shown.len()).unwrap_or(u64::MAX));
    if more > 0 {
        say(&format!("{more} more; --csv FILE writes them all"));
    }
    Ok(())
}

/// Who has signed.
fn signed(args: &ReconcileArgs, global: &Global) -> anyhow::Result<Exit> {
    let all = with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        Ok(store.reconciliations(OrgScope::All, organization.id, args.month).await?)
    })?;
    if args.json {
        print_json(&all)?;
        return Ok(Exit::Good);
    }
    if all.is_empty() {
        say("nobody has signed for this month");
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["when", "who", "matched", "differences", "note"]);
    rows.right(&[2, 3]);
    for signed in &all {
        let (matched, differences) = (signed.counts.matched.to_string(), signed.counts.differences().to_string());
        rows.push([time(signed.signed_at), signed.signed_by.clone(), matched, differences, signed.note.clone()]);
    }
    rows.print()?;
    Ok(Exit::Good)
}
