//! Rosters of payers. A version becomes visible as a whole or not at all; earlier ones are kept, since routes name them.
//! A member number is stored as a keyed hash only.

/// Versions that are not in force yet.
mod prepared;

pub use prepared::Changes;

use std::collections::BTreeSet;

use super::{
    Doing as _, Result, Store, StoreError, audit, read,
    rows::{self, Cell},
};
use crate::domain::{
    Npi, Order, OrgId, Timestamp,
    audit::Witness,
    id::RosterId,
    roster::{Attribution, RosterRow, Says},
    time::Date,
};

/// So many versions keep their lines; of older ones it stays known that they were.
const KEPT: i64 = 3;
/// A load that has said nothing for so long was given up (microseconds).
const GIVEN_UP: i64 = 24 * 3_600 * 1_000_000;

/// A version of a roster.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Roster {
    /// Its id, which routes name.
    pub id: RosterId,
    /// The file it came from.
    pub source: String,
    /// `active` or `retired`.
    pub state: String,
    /// How many lines.
    pub lines: u64,
    /// How many members.
    pub members: u64,
    /// When.
    pub loaded_at: Timestamp,
}

/// Plan, birth date, NPI, from, to.
type LineRow = (Option<String>, Option<String>, String, String, String);

impl Store {
    /// The versions of an organization's roster, the latest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn rosters(&self, org: OrgId) -> Result<Vec<Roster>> {
        let rows: Vec<(String, String, String, i64, i64, i64)> = on!(&self.db, pool => sqlx::query_as(
            "SELECT id, source, state, lines, members, loaded_at FROM roster WHERE org_id = $1 AND state <> 'loading' ORDER BY loaded_at DESC, id DESC")
            .bind(org.to_string()).fetch_all(pool).await)
        .doing("list rosters")?;
        let count = |number: i64| u64::try_from(number).unwrap_or(0);
        rows.into_iter()
            .map(|(id, source, state, lines, members, loaded_at)| {
                let id = read("roster id", &id)?;
                Ok(Roster { id, source, state, lines: count(lines), members: count(members), loaded_at: Timestamp(loaded_at) })
            })
            .collect()
    }

    /// Begins a new version, not visible yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin_roster(&self, org: OrgId, source: &str) -> Result<RosterId> {
        let now = self.clock.now().micros();
        let mut tx = self.begin().await?;
        // What an import that crashed has left behind nobody else would remove.
        within!(&mut tx, c => sqlx::query(
            "DELETE FROM roster_line WHERE org_id = $1 AND roster IN (SELECT id FROM roster WHERE org_id = $1 AND state = 'loading' AND loaded_at < $2)")
            .bind(org.to_string()).bind(now.saturating_sub(GIVEN_UP)).execute(c).await.map(drop))
        .doing("remove lines of a roster that was not loaded")?;
        within!(&mut tx, c => sqlx::query("DELETE FROM roster WHERE org_id = $1 AND state = 'loading' AND loaded_at < $2")
            .bind(org.to_string()).bind(now.saturating_sub(GIVEN_UP)).execute(c).await.map(drop))
        .doing("remove a roster that was not loaded")?;
        let id = RosterId::new();
        within!(&mut tx, c => sqlx::query(
            "INSERT INTO roster (org_id, id, source, state, lines, members, loaded_at) VALUES ($1, $2, $3, 'loading', 0, 0, $4)")
            .bind(org.to_string()).bind(id.to_string()).bind(source).bind(now).execute(c).await.map(drop))
        .doing("begin a roster")?;
        tx.commit().await?;
        Ok(id)
    }

    /// Adds rows; `first` is the place of the first among all of the version.
    ///
    /// # Errors
    /// When they cannot be stored.
    pub async fn add_to_roster(&self, org: OrgId, roster: RosterId, first: u64, rows: &[RosterRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let key = self.key(org).await?;
        let mut cells: Vec<[Cell; 9]> = Vec::with_capacity(rows.len());
        for (place, row) in (i64::try_from(first).unwrap_or(i64::MAX)..).zip(rows) {
            let birth = row.birth.as_ref().map(|birth| key.search_hash("birth_date", birth.as_str())).transpose()?;
            cells.push([
                org.to_string().into(),
                roster.to_string().into(),
                key.search_hash("member_id", &row.member)?.into(),
                place.into(),
                row.plan.clone().into(),
                birth.into(),
                row.npi.as_str().into(),
                row.from.map_or_else(String::new, |day| day.to_string()).into(),
                row.to.map_or_else(|| "~".to_owned(), |day| day.to_string()).into(),
            ]);
        }
        let mut tx = self.begin().await?;
        rows::execute(
            &mut tx,
            "INSERT INTO roster_line (org_id, roster, member, position, plan, birth, npi, from_day, to_day) ",
            cells,
            "",
        )
        .await
        .doing("store lines of a roster")?;
        // Shows that somebody is still loading it.
        within!(&mut tx, c => sqlx::query("UPDATE roster SET loaded_at = $1 WHERE org_id = $2 AND id = $3 AND state = 'loading'")
            .bind(self.clock.now().micros()).bind(org.to_string()).bind(roster.to_string()).execute(c).await.map(drop))
        .doing("note how far a roster is loaded")?;
        tx.commit().await
    }

    /// How many members a version has.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn roster_members(&self, org: OrgId, roster: RosterId) -> Result<u64> {
        let members: i64 = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT COUNT(*) FROM (SELECT DISTINCT member FROM roster_line WHERE org_id = $1 AND roster = $2) AS m")
            .bind(org.to_string()).bind(roster.to_string()).fetch_one(pool).await)
        .doing("count the members of a roster")?;
        Ok(u64::try_from(members).unwrap_or(0))
    }

    /// Makes a version the one that answers, in one step; the one before is kept, retired.
    ///
    /// # Errors
    /// When it cannot be stored, [`StoreError::Lost`] when it is not being loaded: then the old one still answers.
    pub async fn activate_roster(&self, org: OrgId, roster: RosterId, lines: u64, members: u64) -> Result<()> {
        self.activate_roster_as(org, roster, (lines, members), None).await
    }

    /// The same, on record in the same transaction.
    ///
    /// # Errors
    /// As [`Self::activate_roster`].
    pub async fn activate_roster_as(
        &self,
        org: OrgId,
        roster: RosterId,
        (lines, members): (u64, u64),
        witness: Option<Witness<'_>>,
    ) -> Result<()> {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let mut tx = self.begin().await?;
        within!(&mut tx, c => sqlx::query("UPDATE roster SET state = 'retired' WHERE org_id = $1 AND state = 'active'")
            .bind(org.to_string()).execute(c).await.map(drop))
        .doing("retire the roster before")?;
        let activated = within!(&mut tx, c => sqlx::query(
            "UPDATE roster SET state = 'active', lines = $1, members = $2, loaded_at = $3 WHERE org_id = $4 AND id = $5 AND state = 'loading'")
            .bind(number(lines)).bind(number(members)).bind(self.clock.now().micros()).bind(org.to_string()).bind(roster.to_string())
            .execute(c).await.map(|done| done.rows_affected()))
        .doing("activate a roster")?;
        if activated != 1 {
            return Err(StoreError::Lost);
        }
        within!(&mut tx, c => sqlx::query(
            "DELETE FROM roster_line WHERE org_id = $1 AND roster IN
                (SELECT id FROM roster WHERE org_id = $1 AND state = 'retired' ORDER BY loaded_at DESC, id DESC LIMIT 1000 OFFSET $2)")
            .bind(org.to_string()).bind(KEPT).execute(c).await.map(drop))
        .doing("drop the lines of old rosters")?;
        match witness {
            Some(witness) => {
                let now = self.now_within(&mut tx).await?;
                audit::commit(tx, witness, now).await
            }
            None => tx.commit().await,
        }
    }

    /// Throws away a version that was not activated.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_roster(&self, org: OrgId, roster: RosterId) -> Result<()> {
        let mut tx = self.begin().await?;
        within!(&mut tx, c => sqlx::query(
            "DELETE FROM roster_line WHERE org_id = $1 AND roster = (SELECT id FROM roster WHERE org_id = $1 AND id = $2 AND state = 'loading')")
            .bind(org.to_string()).bind(roster.to_string()).execute(c).await.map(drop))
        .doing("drop lines of a roster")?;
        within!(&mut tx, c => sqlx::query("DELETE FROM roster WHERE org_id = $1 AND id = $2 AND state = 'loading'")
            .bind(org.to_string()).bind(roster.to_string()).execute(c).await.map(drop))
        .doing("drop a roster")?;
        tx.commit().await
    }

    /// What the roster in force says about the patient of an order on a day; `None` without a roster or a member number.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn attribution(&self, org: OrgId, order: &Order, day: Date) -> Result<Option<Attribution>> {
        let Some(plan) = &order.health_plan else { return Ok(None) };
        let Some(member) = &plan.member_id else { return Ok(None) };
        let active: Option<String> =
            on!(&self.db, pool => sqlx::query_scalar("SELECT id FROM roster WHERE org_id = $1 AND state = 'active'")
            .bind(org.to_string()).fetch_optional(pool).await)
            .doing("look for a roster")?;
        let Some(active) = active else { return Ok(None) };
        let key = self.key(org).await?;
        let rows: Vec<LineRow> = on!(&self.db, pool => sqlx::query_as(
            "SELECT plan, birth, npi, from_day, to_day FROM roster_line WHERE org_id = $1 AND roster = $2 AND member = $3 ORDER BY position")
            .bind(org.to_string()).bind(&active).bind(key.search_hash("member_id", member)?).fetch_all(pool).await)
        .doing("ask a roster")?;
        // Where both name the plan it must be the same: two plans may give out the same member number.
        let same_plan = |row: &&LineRow| match (&row.0, &plan.id) {
            (Some(theirs), Some(own)) => theirs.trim().eq_ignore_ascii_case(own.trim()),
            _ => true,
        };
        let rows: Vec<&LineRow> = rows.iter().filter(same_plan).collect();
        let birth = key.search_hash("birth_date", order.patient.birth_date.as_str())?;
        let of_day = day.to_string();
        let mut npis = BTreeSet::<Npi>::new();
        for row in rows.iter().filter(|row| row.3 <= of_day && of_day <= row.4) {
            npis.insert(read("npi", &row.2)?);
        }
        let says = if rows.is_empty() {
            Says::NoMember
        } else if rows.iter().any(|row| row.1.as_ref().is_some_and(|theirs| *theirs != birth)) {
            Says::OtherPerson
        } else {
            let mut npis: Vec<Npi> = npis.into_iter().collect();
            match npis.len() {
                0 => Says::Nobody,
                1 => npis.pop().map_or(Says::Nobody, Says::Pcp),
                _ => Says::Overlap(npis),
            }
        };
        Ok(Some(Attribution { roster: read("roster id", &active)?, day, says }))
    }
}
