//! `postern fees add-up`: the kept sums made again.

use clap::Args;

use super::super::{
    Exit,
    context::{Global, Whose, scope, with_store},
    say,
};
use crate::domain::text::counted;

/// Add every line of the ledger up again
///
/// Reports and pages are read from sums that are kept as a ledger grows. They are made from its lines and nothing else, so that they
/// can be made again at any time; do it when postern verify says that they differ. The ledger itself is not touched.
#[derive(Debug, Args)]
pub(super) struct AddUpArgs {
    #[command(flatten)]
    whose: Whose,
}

pub(super) fn run(args: &AddUpArgs, global: &Global) -> anyhow::Result<Exit> {
    let ledgers = with_store(global, async |_, store| {
        let organizations = store.organizations(scope(store, args.whose.organization.as_deref()).await?).await?;
        for organization in &organizations {
            store.add_up_anew(organization.id).await?;
        }
        Ok(organizations.len())
    })?;
    say(&format!("{} added up", counted(ledgers as u64, "ledger is", "ledgers are")));
    Ok(Exit::Good)
}
