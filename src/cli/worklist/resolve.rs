//! `postern worklist resolve` and `reroute`.

use clap::Args;
use serde_json::json;

use crate::{
    cli::{
        Exit,
        context::{Global, Output, Whose, scope, with_store},
        print, say,
        table::{clean, print_json},
    },
    domain::{DirectAddress, Reason, choice::Suppressed, text::counted},
    resolve::{
        decisions,
        worklist::{self, Ask, WorklistError},
    },
};

/// Say what is to be done about an item; what waited for it flows again
///
/// The ID is that of a result or of a delivery, as the worklist shows it. Results are routed again under the rules as they are,
/// and nothing goes a second time to a target that was served. Who decided what, and why, is on record:
/// `postern directory pins --history`.
///
/// Exit code 1 when nothing about it can be decided.
#[derive(Debug, Args)]
pub(super) struct Resolve {
    /// A result or a delivery
    id: String,
    #[command(flatten)]
    ask: Asked,
    /// Which recipient, as the worklist calls it, e.g. deliver_to[0]; needed when several wait
    #[arg(long)]
    recipient: Option<String>,
    /// Why, for whoever asks later; no patient's data
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
    /// Say what would come of it, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Asked {
    /// The address for the recipient's NPI, for this result and all to come
    #[arg(long, value_name = "ADDRESS")]
    pin: Option<DirectAddress>,
    /// The address for this recipient of this order only; a change of the order by its sender ends that
    #[arg(long, value_name = "ADDRESS")]
    address: Option<DirectAddress>,
    /// This address, NPI or domain is not to be used; without a value the delivery's address, or the recipient's NPI
    #[arg(long, value_name = "WHAT", num_args = 0..=1)]
    #[expect(clippy::option_option, reason = "the option may be given without a value")]
    suppress: Option<Option<Suppressed>>,
    /// Route it again, as things are now
    #[arg(long)]
    reroute: bool,
    /// It is not to be delivered
    #[arg(long)]
    dismiss: bool,
}

impl Asked {
    fn ask(&self) -> Ask {
        match self {
            Self { pin: Some(address), .. } => Ask::Pin(address.clone()),
            Self { address: Some(address), .. } => Ask::Address(address.clone()),
            Self { suppress: Some(what), .. } => Ask::Suppress(what.clone()),
            Self { reroute: true, .. } => Ask::Reroute,
            Self { .. } => Ask::Dismiss,
        }
    }
}

/// Route again everything that waits for one reason
///
/// After a directory or a roster was loaded, or the rules have changed. Nothing goes a second time to a target that was served.
#[derive(Debug, Args)]
pub(super) struct Reroute {
    /// Which: as the worklist names it, e.g. npi_unknown
    #[arg(long = "waiting-for", value_name = "REASON")]
    waiting_for: Reason,
    /// Why, for whoever asks later
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Who decides
    #[arg(long, value_name = "NAME", env = "USER")]
    by: String,
    /// Say how many that are, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    output: Output,
}

pub(super) fn resolve(args: &Resolve, global: &Global) -> anyhow::Result<Exit> {
    let whom = decisions::whom(&args.by, &args.reason)?;
    let settled = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        let (ask, recipient) = (args.ask.ask(), args.recipient.as_deref());
        Ok(if args.dry_run {
            worklist::foresee(store, scope, &args.id, recipient, &ask, whom).await
        } else {
            worklist::resolve(store, scope, &args.id, recipient, &ask, whom).await
        })
    })?;
    let settled = match settled {
        Ok(settled) => settled,
        Err(error @ WorklistError::Store(_)) => return Err(error.into()),
        Err(error) => {
            let hint = if matches!(error, WorklistError::Several(_)) { " (--recipient)" } else { "" };
            say(&format!("error: {}{hint}", clean(&error.to_string())));
            return Ok(Exit::Bad);
        }
    };
    if args.output.json {
        print_json(&settled)?;
    } else {
        print(&format!("{}\n", clean(&settled.told)))?;
        match (settled.rerouted.len(), args.dry_run) {
            (0, _) => {}
            (n, dry_run) => print(&again(n, dry_run))?,
        }
    }
    if args.dry_run {
        say("dry run: nothing was changed");
    }
    Ok(Exit::Good)
}

pub(super) fn reroute(args: &Reroute, global: &Global) -> anyhow::Result<Exit> {
    let whom = decisions::whom(&args.by, &args.reason)?;
    let results = with_store(global, async |_, store| {
        let scope = scope(store, args.whose.organization.as_deref()).await?;
        Ok(worklist::reroute_all(store, scope, args.waiting_for, args.dry_run, whom).await?)
    })?;
    if args.output.json {
        print_json(&json!({ "results": results, "dry_run": args.dry_run }))?;
    } else {
        print(&again(results.len(), args.dry_run))?;
    }
    if args.dry_run {
        say("dry run: nothing was changed");
    }
    Ok(Exit::Good)
}

fn again(results: usize, dry_run: bool) -> String {
    let verb = match (dry_run, results) {
        (true, _) => "would be",
        (false, 1) => "is",
        (false, _) => "are",
    };
    format!("{} {verb} routed again\n", counted(results as u64, "result", "results"))
}
