//! The directory: loads of several sources beside each other, and look-ups in all of them. A load becomes visible as a
//! whole or not at all.

mod answers;
mod load;
mod rows;

use std::{collections::BTreeMap, time::Duration};

pub use answers::KeptAnswer;
pub use load::{Loading, NewSnapshot};
pub use rows::{bit_of, fingerprint};

use super::{Doing as _, Result, Store, read, read_json};
use crate::domain::{
    DirectAddress, Npi, OrgId, Timestamp,
    directory::{Finding, Says, answer},
    id::SnapshotId,
    route::{AffiliatedWith, DirectoryAnswer, DirectoryEntry, DirectorySource},
    time::Span,
    words,
};

words! {
    /// Whether a load answers.
    pub enum SnapshotState {
        /// Being loaded: nobody sees it.
        Loading = "loading",
        /// It answers.
        Active = "active",
        /// It answered before the active one, and can again.
        Retired = "retired",
        /// Its rows have been removed; it is kept because traces name it.
        Gone = "gone",
    }
}

/// How many rows of one type a file had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct TypeCount {
    /// In the file.
    pub rows: u64,
    /// Of these in force.
    pub taken: u64,
}

/// Rows by type, as the source calls it.
pub type Counts = BTreeMap<String, TypeCount>;

/// A load of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its id.
    pub id: SnapshotId,
    /// Where it came from.
    pub source: DirectorySource,
    /// Whose list it is; everybody's without one.
    pub org: Option<OrgId>,
    /// The name of the file.
    pub file: String,
    /// Whether it answers.
    pub state: SnapshotState,
    /// How many rows.
    pub entries: u64,
    /// How many of each type.
    pub counts: Counts,
    /// When it was put into force.
    pub loaded_at: Timestamp,
}

impl Snapshot {
    /// Whole days since it was put into force.
    #[must_use]
    pub fn age_days(&self, now: Timestamp) -> u64 {
        now.since(self.loaded_at).as_secs() / 86_400
    }

    /// Whether it is older than it should ever get; see [`crate::domain::directory::alarm_days`].
    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        crate::domain::directory::alarm_days(self.source).is_some_and(|days| self.age_days(now) >= days)
    }
}

type SnapshotRow = (String, String, Option<String>, String, String, i64, String, i64);

/// One row of a look-up: an active load and, where it has any, one of its entries.
#[derive(sqlx::FromRow)]
struct Hit {
    id: String,
    source: String,
    file: String,
    loaded_at: i64,
    issued: Option<Vec<u8>>,
    inactive: Option<Vec<u8>>,
    npi: Option<String>,
    address: Option<String>,
    kind: Option<String>,
    rank: Option<i64>,
    organization: Option<String>,
    organization_npi: Option<String>,
    state: Option<String>,
    postal_code: Option<String>,
    active: Option<bool>,
    first_seen: Option<i64>,
}

impl Store {
    /// Loads that answer or did before, newest first; of one organization (its own lists and everybody's) or all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn snapshots(&self, org: Option<OrgId>) -> Result<Vec<Snapshot>> {
        let rows: Vec<SnapshotRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, source, org_id, file, state, entries, counts, loaded_at FROM directory_snapshot
             WHERE state IN ('active', 'retired') AND ($1 IS NULL OR org_id IS NULL OR org_id = $1) ORDER BY loaded_at DESC, id DESC")
            .bind(org.map(|org| org.to_string())).fetch_all(pool).await)
        .doing("list the loads of the directory")?;
        rows.into_iter().map(snapshot).collect()
    }

    /// How long ago the load of each source that answers everybody was put into force: for alarms.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn directory_ages(&self) -> Result<Vec<(DirectorySource, Duration)>> {
        let now = self.clock.now();
        let active =
            self.snapshots(None).await?.into_iter().filter(|load| load.state == SnapshotState::Active && load.org.is_none());
        Ok(active.map(|load| (load.source, now.since(load.loaded_at))).collect())
    }

    /// The load of a source that answers: the organization's own list with `org`, everybody's without.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn active_snapshot(&self, source: DirectorySource, org: Option<OrgId>) -> Result<Option<Snapshot>> {
        let row: Option<SnapshotRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, source, org_id, file, state, entries, counts, loaded_at FROM directory_snapshot
             WHERE state = 'active' AND source = $1 AND COALESCE(org_id, '') = $2")
            .bind(source.as_str()).bind(org.map_or_else(String::new, |org| org.to_string())).fetch_optional(pool).await)
        .doing("read a load of the directory")?;
        row.map(snapshot).transpose()
    }

    /// What each load says about an NPI, most trusted source first, with this organization's own experience of each address.
    ///
    /// # Errors
    /// When the database does not answer. A load that is too old is a finding: unavailable.
    pub async fn directory_findings(&self, org: OrgId, npi: &Npi, max_age: Span) -> Result<Vec<Finding>> {
        let (block, bit) = bit_of(npi);
        let hits: Vec<Hit> = on!(&self.db, pool => sqlx::query_as(
            "SELECT s.id, s.source, s.file, s.loaded_at, b.issued, b.inactive, e.npi, e.address, e.kind, e.rank, e.organization,
                    e.organization_npi, e.state, e.postal_code, e.active, e.first_seen
             FROM directory_snapshot s
             LEFT JOIN directory_entry e ON e.snapshot = s.number AND e.npi = $1
             LEFT JOIN directory_npi_block b ON b.snapshot = s.number AND b.block = $2
             WHERE s.state = 'active' AND (s.org_id IS NULL OR s.org_id = $3)")
            .bind(npi.as_str()).bind(block).bind(org.to_string()).fetch_all(pool).await)
        .doing("ask the directory")?;
        let mut by_load: BTreeMap<(DirectorySource, String), Vec<Hit>> = BTreeMap::new();
        for hit in hits {
            by_load.entry((read("directory source", &hit.source)?, hit.id.clone())).or_default().push(hit);
        }
        let mut findings = Vec::with_capacity(by_load.len());
        let mut experience = BTreeMap::new();
        for ((source, id), hits) in by_load {
            let Some(first) = hits.first() else { continue };
            let (name, as_of, snapshot) = (first.file.clone(), Timestamp(first.loaded_at), read("snapshot id", &id)?);
            let says = if source == DirectorySource::Registry {
                registry_says(first, bit)
            } else {
                self.entries(org, npi, (source, snapshot, as_of), hits, &mut experience).await?
            };
            let says = believed(says, source, self.clock.now(), as_of, max_age);
            findings.push(Finding { source, name, snapshot, as_of, says });
        }
        Ok(findings)
    }

    /// What all loads together answer for an NPI.
    ///
    /// # Errors
    /// As [`Store::directory_findings`].
    pub async fn look_up(&self, org: OrgId, npi: &Npi, max_age: Span) -> Result<DirectoryAnswer> {
        Ok(answer(self.directory_findings(org, npi, max_age).await?))
    }

    async fn entries(
        &self,
        org: OrgId,
        npi: &Npi,
        (source, snapshot, as_of): (DirectorySource, SnapshotId, Timestamp),
        hits: Vec<Hit>,
        experience: &mut BTreeMap<String, Option<i64>>,
    ) -> Result<Says> {
        let hits: Vec<Hit> = hits.into_iter().filter(|hit| hit.npi.is_some()).collect();
        if hits.is_empty() {
            return Ok(Says::Unknown);
        }
        if hits.iter().all(|hit| hit.active == Some(false)) {
            return Ok(Says::Inactive);
        }
        let mut entries = Vec::new();
        for hit in hits {
            let (Some(address), Some(true)) = (hit.address, hit.active) else { continue };
            let address: DirectAddress = read("address", &address)?;
            let last_success = if let Some(known) = experience.get(&address.key()) {
                *known
            } else {
                let found = self.last_success(org, &address).await?.map(Timestamp::micros);
                experience.insert(address.key(), found);
                found
            };
            entries.push(DirectoryEntry {
                npi: npi.clone(),
                address,
                source,
                snapshot,
                rank: hit.rank,
                kind: hit.kind.as_deref().map(|kind| read("kind of address", kind)).transpose()?,
                affiliation: AffiliatedWith {
                    npi: hit.organization_npi.as_deref().map(|npi| read("npi", npi)).transpose()?,
                    name: hit.organization,
                    state: hit.state,
                    postal_code: hit.postal_code,
                },
                first_seen: hit.first_seen.unwrap_or(as_of.micros()),
                last_seen: as_of.micros(),
                pinned: false,
                last_success,
            });
        }
        Ok(if entries.is_empty() { Says::Known } else { Says::Addresses(entries) })
    }
}

/// Whether what a load says still counts. A deactivation does at any age: it is hardly ever undone, and taking it for undone
/// would send to somebody who has left.
fn believed(says: Says, source: DirectorySource, now: Timestamp, as_of: Timestamp, max_age: Span) -> Says {
    let age = now.since(as_of);
    // An organization keeps its own list; nobody else knows when it is out of date.
    if source == DirectorySource::TenantList || says == Says::Inactive || age <= max_age.0 {
        return says;
    }
    let days = age.as_secs() / 86_400;
    Says::Unavailable(format!("the {source} directory was loaded {days} days ago, longer than {max_age} allow"))
}

fn registry_says(hit: &Hit, bit: usize) -> Says {
    let is_set = |bits: &Option<Vec<u8>>| {
        bits.as_ref().and_then(|bits| bits.get(bit / 8)).is_some_and(|octet| octet & (1 << (bit % 8)) != 0)
    };
    match (is_set(&hit.inactive), is_set(&hit.issued)) {
        (true, _) => Says::Inactive,
        (false, true) => Says::Known,
        (false, false) => Says::Unknown,
    }
}

fn snapshot((id, source, org, file, state, entries, counts, loaded_at): SnapshotRow) -> Result<Snapshot> {
    Ok(Snapshot {
        id: read("snapshot id", &id)?,
        source: read("directory source", &source)?,
        org: org.as_deref().map(|org| read("organization id", org)).transpose()?,
        file,
        state: read("state of a directory load", &state)?,
        entries: u64::try_from(entries).unwrap_or(0),
        counts: read_json("counts of a directory load", counts.as_bytes())?,
        loaded_at: Timestamp(loaded_at),
    })
}
