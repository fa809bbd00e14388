//! `postern directory pin`, `unpin`, `suppress`, `unsuppress` and `pins`: what an organization has decided about addresses.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{self, Global, Output, with_store},
        print, say,
        table::{Rows, print_json, time, word},
    },
    domain::{
        DirectAddress, Npi, Timestamp,
        choice::{Pin, Suppressed, Suppression},
        time::Span,
    },
    resolve::decisions,
    store::{Store, organization::Organization},
};

/// Whose decision it is, and why.
#[derive(Debug, Args)]
pub(in crate::cli) struct Deciding {
    /// Whose directory
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Why, for whoever asks later; no patient's data
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// Choose the address for an NPI, whatever the directory says
///
/// It goes before everything but an address on the order itself, a suppression, and an NPI that has been deactivated. Results
/// that are held because nobody knew which address was meant, or whether there is one, are routed again.
#[derive(Debug, Args)]
pub(super) struct PinArgs {
    /// Ten digits
    npi: Npi,
    /// The Direct address
    address: DirectAddress,
    #[command(flatten)]
    deciding: Deciding,
}

/// Take a pin back: the directory decides again
///
/// Exit code 1 when there is none.
#[derive(Debug, Args)]
pub(super) struct Unpin {
    /// Ten digits
    npi: Npi,
    #[command(flatten)]
    deciding: Deciding,
}

/// Say that an address, an NPI or a domain is not to be used
///
/// Nothing is sent there any more, whoever names it; the next rule applies. What is queued already is not called back:
/// `postern worklist resolve ID --suppress` does both for one delivery. Rules that should stand in the organization's file
/// belong under [choice] suppress instead.
#[derive(Debug, Args)]
pub(super) struct Suppress {
    /// An address, ten digits, or a domain (with its sub-domains)
    what: Suppressed,
    /// For so long, e.g. 30d; without it until it is lifted
    #[arg(long = "for", value_name = "SPAN")]
    lasting: Option<Span>,
    #[command(flatten)]
    deciding: Deciding,
}

/// Lift a suppression
///
/// Exit code 1 when there is none.
#[derive(Debug, Args)]
pub(super) struct Unsuppress {
    /// An address, ten digits, or a domain
    what: Suppressed,
    #[command(flatten)]
    deciding: Deciding,
}

/// Show the pins and suppressions of an organization, and who decided them
#[derive(Debug, Args)]
pub(super) struct Pins {
    /// Whose
    #[arg(long, value_name = "SLUG")]
    organization: String,
    /// Show the latest decisions too, those no longer in force among them
    #[arg(long)]
    history: bool,
    #[command(flatten)]
    output: Output,
}

/// What is told about a decision, and whether it was one.
struct Told {
    data: serde_json::Value,
    words: String,
    exit: Exit,
}

/// Runs `work` for the organization somebody named, and tells what came of it.
fn decide(
    deciding: &Deciding,
    global: &Global,
    work: impl AsyncFnOnce(&Store, &Organization) -> anyhow::Result<Told>,
) -> anyhow::Result<Exit> {
    decisions::whom(&deciding.by, &deciding.reason)?;
    let mut told = with_store(global, async |_, store| {
        let organization = context::organization(store, &deciding.organization).await?;
        work(store, &organization).await
    })?;
    if deciding.output.json {
        told.data["dry_run"] = deciding.dry_run.into();
        print_json(&told.data)?;
    } else {
        print(&told.words)?;
    }
    if deciding.dry_run {
        say("dry run: nothing was changed");
    }
    Ok(told.exit)
}

pub(super) fn pin(args: &PinArgs, global: &Global) -> anyhow::Result<Exit> {
    let PinArgs { npi, address, deciding } = args;
    decide(deciding, global, async |store, organization| {
        let whom = decisions::whom(&deciding.by, &deciding.reason)?;
        let before = store.pins(organization.id, Some(npi)).await?.pop().map(|pin| pin.address.to_string());
        let waiting = store.undecided(organization.id, npi).await?.len();
        let rerouted = if deciding.dry_run {
            waiting
        } else {
            decisions::pin(store, organization.id, npi, address, whom).await?.rerouted.len()
        };
        let mut words = match &before {
            Some(before) if before == address.as_str() => format!("{npi} stays pinned to {address}\n"),
            Some(before) => format!("{npi}: {before} -> {address}\n"),
            None => format!("{npi} -> {address}\n"),
        };
        words.push_str(&format!("{rerouted} results that waited for it are routed again\n"));
        Ok(Told {
            data: json!({ "npi": npi, "address": address, "before": before, "rerouted": rerouted }),
            words,
            exit: Exit::Good,
        })
    })
}

pub(super) fn unpin(args: &Unpin, global: &Global) -> anyhow::Result<Exit> {
    let Unpin { npi, deciding } = args;
    decide(deciding, global, async |store, organization| {
        let whom = decisions::whom(&deciding.by, &deciding.reason)?;
        let before = if deciding.dry_run {
            store.pins(organization.id, Some(npi)).await?.pop().map(|pin| pin.address.to_string())
        } else {
            decisions::unpin(store, organization.id, npi, whom).await?
        };
        let (words, exit) = match &before {
            Some(before) => (format!("{npi} is no longer pinned to {before}: the directory decides\n"), Exit::Good),
            None => (format!("{npi} is not pinned\n"), Exit::Bad),
        };
        Ok(Told { data: json!({ "npi": npi, "before": before }), words, exit })
    })
}

pub(super) fn suppress(args: &Suppress, global: &Global) -> anyhow::Result<Exit> {
    let Suppress { what, lasting, deciding } = args;
    decide(deciding, global, async |store, organization| {
        let whom = decisions::whom(&deciding.by, &deciding.reason)?;
        let until = lasting.map(|span| store.clock().now().plus(span.0));
        if !deciding.dry_run {
            decisions::suppress(store, organization.id, what, until, whom).await?;
        }
        let lasting = until.map_or_else(String::new, |until| format!(" until {}", time(until)));
        let words = format!("the {} {what} is not used any more{lasting}\n", what.kind());
        let data = json!({ "kind": what.kind(), "what": what, "until": until.map(|until| until.to_string()) });
        Ok(Told { data, words, exit: Exit::Good })
    })
}

pub(super) fn unsuppress(args: &Unsuppress, global: &Global) -> anyhow::Result<Exit> {
    let Unsuppress { what, deciding } = args;
    decide(deciding, global, async |store, organization| {
        let whom = decisions::whom(&deciding.by, &deciding.reason)?;
        let known = store.suppressions(organization.id).await?.iter().any(|known| known.what == *what);
        let lifted = if deciding.dry_run { known } else { decisions::unsuppress(store, organization.id, what, whom).await? };
        let (words, exit) = if lifted {
            (format!("the {} {what} may be used again\n", what.kind()), Exit::Good)
        } else if organization.file.choice.suppress.contains(what) {
            (format!("the {} {what} is suppressed in the organization's file: change it there\n", what.kind()), Exit::Bad)
        } else {
            (format!("the {} {what} is not suppressed\n", what.kind()), Exit::Bad)
        };
        Ok(Told { data: json!({ "kind": what.kind(), "what": what, "lifted": lifted }), words, exit })
    })
}

pub(super) fn pins(args: &Pins, global: &Global) -> anyhow::Result<Exit> {
    let (organization, pins, suppressions, history) = with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        let history = if args.history { store.decisions(organization.id, None, 200).await? } else { Vec::new() };
        let (pins, suppressions) = (store.pins(organization.id, None).await?, store.suppressions(organization.id).await?);
        Ok((organization, pins, suppressions, history))
    })?;
    let of_file = &organization.file.choice.suppress;
    if args.output.json {
        let mut data = json!({ "pins": pins.iter().map(pin_json).collect::<Vec<_>>(),
            "suppressions": suppressions.iter().map(suppression_json).collect::<Vec<_>>(), "suppressed_in_file": of_file });
        if args.history {
            data["history"] = serde_json::to_value(&history)?;
        }
        print_json(&data)?;
        return Ok(Exit::Good);
    }
    let mut rows = Rows::new(&["what", "", "until", "decided by", "at", "why"]);
    for Pin { npi, address, decided } in &pins {
        rows.push([
            format!("pin {npi}"),
            address.to_string(),
            String::new(),
            decided.by.clone(),
            time(decided.at),
            decided.why.clone(),
        ]);
    }
    for Suppression { what, until, decided } in &suppressions {
        let until = word(until.map(time));
        rows.push([
            format!("suppress {}", what.kind()),
            what.to_string(),
            until,
            decided.by.clone(),
            time(decided.at),
            decided.why.clone(),
        ]);
    }
    for what in of_file {
        rows.push([
            format!("suppress {}", what.kind()),
            what.to_string(),
            String::new(),
            "the organization's file".into(),
            String::new(),
            String::new(),
        ]);
    }
    if pins.is_empty() && suppressions.is_empty() && of_file.is_empty() {
        say("nothing is pinned or suppressed");
    } else {
        rows.print()?;
    }
    if !history.is_empty() {
        print("\n")?;
        let mut rows = Rows::new(&["at", "what", "about", "detail", "by", "why"]);
        for decision in history {
            let decided = decision.decided;
            rows.push([time(decided.at), decision.what.to_string(), decision.about, decision.detail, decided.by, decided.why]);
        }
        rows.print()?;
    }
    Ok(Exit::Good)
}

fn pin_json(pin: &Pin) -> serde_json::Value {
    json!({ "npi": pin.npi, "address": pin.address, "by": pin.decided.by, "why": pin.decided.why, "at": pin.decided.at.to_string() })
}

fn suppression_json(suppression: &Suppression) -> serde_json::Value {
    json!({ "kind": suppression.what.kind(), "what": suppression.what, "until": suppression.until.map(|until: Timestamp| until.to_string()),
            "by": suppression.decided.by, "why": suppression.decided.why, "at": suppression.decided.at.to_string() })
}
