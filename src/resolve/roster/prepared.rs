//! A roster is looked at before it is in force: it is read and stored where nobody is answered from it, compared with the one
//! in force, and then put into force as it was looked at, or thrown away.

use std::io::{Read, Write};

use super::{CsvRoster, Guard, Loaded, Progress, RosterError, fill, throw_away};
use crate::{
    domain::{OrgId, audit::Witness, id::RosterId},
    observe::events::RosterLoaded,
    store::{Store, StoreError, roster::Changes},
};

/// A roster that is stored and not in force.
#[derive(Debug)]
pub struct Prepared {
    /// Its version.
    pub roster: RosterId,
    /// How many members it has.
    pub members: u64,
    /// How many the one in force has.
    pub before: Option<u64>,
    /// What was read.
    pub progress: Progress,
    /// How it differs from the one in force.
    pub changes: Changes,
    /// Why it needs a word to be put into force.
    pub refused: Option<RosterError>,
}

async fn in_force(store: &Store, org: OrgId) -> Result<Option<u64>, StoreError> {
    Ok(store.rosters(org).await?.into_iter().find(|known| known.state == "active").map(|known| known.members))
}

/// Reads a roster and stores it under `source`, in the place of whatever was prepared under that name and forgotten. Rejected
/// rows go to `rejects` as with [`super::load`].
///
/// # Errors
/// [`RosterError`] when the file cannot be read; nothing is left of it then.
pub async fn prepare<R: Read + Send>(
    store: &Store,
    org: OrgId,
    source: &str,
    mut roster: CsvRoster<R>,
    rejects: &mut (dyn Write + Send),
    guard: Guard,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Prepared, RosterError> {
    store.drop_prepared_rosters(org, source).await?;
    let id = store.begin_roster(org, source).await?;
    let compared = async {
        let done = fill(store, org, id, &mut roster, rejects, progress).await?;
        let (before, members) = (in_force(store, org).await?, store.roster_members(org, id).await?);
        let refused = guard.judge(before, members, done).err();
        Ok(Prepared { roster: id, members, before, progress: done, changes: store.roster_changes(org, id).await?, refused })
    };
    match compared.await {
        Ok(prepared) => Ok(prepared),
        Err(error) => Err(throw_away(store, org, id, error).await),
    }
}

/// Only looks at a roster: nobody is answered from it, and nothing is left of it.
///
/// # Errors
/// As [`prepare`].
pub async fn look<R: Read + Send>(
    store: &Store,
    org: OrgId,
    roster: CsvRoster<R>,
    rejects: &mut (dyn Write + Send),
    guard: Guard,
    progress: &mut (dyn FnMut(Progress) + Send),
) -> Result<Prepared, RosterError> {
    let source = format!("dry run {}", RosterId::new());
    let prepared = prepare(store, org, &source, roster, rejects, guard, progress).await?;
    store.drop_roster(org, prepared.roster).await?;
    Ok(prepared)
}

/// Puts what was prepared under `source` into force, with its `rejected` rows; on record in the same step.
///
/// # Errors
/// [`RosterError::Gone`] when it is not there any more; as [`Guard::judge`], against what is in force by now.
pub async fn put_into_force(
    store: &Store,
    org: OrgId,
    (id, source): (RosterId, &str),
    rejected: u64,
    guard: Guard,
    witness: Witness<'_>,
) -> Result<Loaded, RosterError> {
    let taken = store.prepared_roster(org, id, source).await?.ok_or(RosterError::Gone)?;
    let (before, members) = (in_force(store, org).await?, store.roster_members(org, id).await?);
    let progress = Progress { taken, rejected, bytes: 0 };
    guard.judge(before, members, progress)?;
    match store.activate_roster_as(org, id, (taken, members), Some(witness)).await {
        Err(StoreError::Lost) => return Err(RosterError::Gone),
        done => done?,
    }
    RosterLoaded { org, roster: id, lines: taken, members }.emit();
    Ok(Loaded { roster: id, members, before, progress })
}
