//! `postern directory pin`, `unpin`, `suppress`, `unsuppress` and `pins`: what an organization has decided about addresses.

use clap::Args;

use crate::{
    cli::{
        Exit,
        context::{self, Global, Output, with_store},
        print, say,
        table::{Rows, print_json, time, word},
    },
    domain::{
        DirectAddress, Npi,
        choice::{Pin, Suppressed, Suppression},
        time::Span,
    },
    resolve::{
        deciding::{Ask, Came, carry_out, in_force},
        decisions,
    },
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

/// Carries out what is asked for the organization somebody named, and tells what came of it.
fn decide(deciding: &Deciding, global: &Global, ask: &Ask) -> anyhow::Result<Exit> {
    let whom = decisions::whom(&deciding.by, &deciding.reason)?;
    let came = with_store(global, async |_, store| {
        let organization = context::organization(store, &deciding.organization).await?;
        Ok(carry_out(store, &organization, ask, deciding.dry_run, whom).await?)
    })?;
    let (words, exit) = in_words(&came);
    if deciding.output.json {
        let mut data = serde_json::to_value(&came)?;
        data["dry_run"] = deciding.dry_run.into();
        print_json(&data)?;
    } else {
        print(&words)?;
    }
    if deciding.dry_run {
        say("dry run: nothing was changed");
    }
    Ok(exit)
}

fn in_words(came: &Came) -> (String, Exit) {
    match came {
        Came::Pinned { npi, address, before, rerouted } => {
            let first = match before {
                Some(before) if before == address.as_str() => format!("{npi} stays pinned to {address}"),
                Some(before) => format!("{npi}: {before} -> {address}"),
                None => format!("{npi} -> {address}"),
            };
            let results = if *rerouted == 1 { "result that waited for it is" } else { "results that waited for it are" };
            (format!("{first}\n{rerouted} {results} routed again\n"), Exit::Good)
        }
        Came::Unpinned { npi, before: Some(before) } => {
            (format!("{npi} is no longer pinned to {before}: the directory decides\n"), Exit::Good)
        }
        Came::Unpinned { npi, before: None } => (format!("{npi} is not pinned\n"), Exit::Bad),
        Came::Suppressed { kind, what, until } => {
            let lasting = until.as_ref().map_or_else(String::new, |until| format!(" until {}", time(*until)));
            (format!("the {kind} {what} is not used any more{lasting}\n"), Exit::Good)
        }
        Came::Lifted { kind, what, lifted: true, in_file: false } => {
            (format!("the {kind} {what} may be used again\n"), Exit::Good)
        }
        Came::Lifted { kind, what, in_file: true, .. } => {
            (format!("the {kind} {what} is suppressed in the organization's file: change it there\n"), Exit::Bad)
        }
        Came::Lifted { kind, what, .. } => (format!("the {kind} {what} is not suppressed\n"), Exit::Bad),
    }
}

pub(super) fn pin(args: &PinArgs, global: &Global) -> anyhow::Result<Exit> {
    decide(&args.deciding, global, &Ask::Pin(args.npi.clone(), args.address.clone()))
}

pub(super) fn unpin(args: &Unpin, global: &Global) -> anyhow::Result<Exit> {
    decide(&args.deciding, global, &Ask::Unpin(args.npi.clone()))
}

pub(super) fn suppress(args: &Suppress, global: &Global) -> anyhow::Result<Exit> {
    decide(&args.deciding, global, &Ask::Suppress(args.what.clone(), args.lasting))
}

pub(super) fn unsuppress(args: &Unsuppress, global: &Global) -> anyhow::Result<Exit> {
    decide(&args.deciding, global, &Ask::Unsuppress(args.what.clone()))
}

pub(super) fn pins(args: &Pins, global: &Global) -> anyhow::Result<Exit> {
    let (organization, pins, suppressions, history, mut data) = with_store(global, async |_, store| {
        let organization = context::organization(store, &args.organization).await?;
        let history = if args.history { store.decisions(organization.id, None, 200).await? } else { Vec::new() };
        let (pins, suppressions) = (store.pins(organization.id, None).await?, store.suppressions(organization.id).await?);
        let data = in_force(store, &organization).await?;
        Ok((organization, pins, suppressions, history, data))
    })?;
    let of_file = &organization.file.choice.suppress;
    if args.output.json {
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
