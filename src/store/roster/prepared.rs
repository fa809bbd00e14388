//! A version of a roster that is stored and not in force: what it would change, and what becomes of it.

use crate::{
    domain::{OrgId, id::RosterId},
    store::{Doing as _, Result, Store},
};

/// How a version differs from the one in force, by members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Changes {
    /// In the new one alone.
    pub added: u64,
    /// In both, with another provider, plan, day or date of birth.
    pub changed: u64,
    /// In the one in force alone.
    pub gone: u64,
}

/// Members of roster `$2` that are not members of roster `$3`.
const APART: &str = "SELECT COUNT(*) FROM (
    SELECT member FROM roster_line WHERE org_id = $1 AND roster = $2 EXCEPT
    SELECT member FROM roster_line WHERE org_id = $1 AND roster = $3) AS apart";

/// Members of either of whom one says what the other does not. EXCEPT takes what is unknown for the same.
const DIFFER: &str = "SELECT COUNT(DISTINCT member) FROM (
    SELECT * FROM (SELECT member, plan, birth, npi, from_day, to_day FROM roster_line WHERE org_id = $1 AND roster = $2 EXCEPT
                   SELECT member, plan, birth, npi, from_day, to_day FROM roster_line WHERE org_id = $1 AND roster = $3) AS here
    UNION ALL
    SELECT * FROM (SELECT member, plan, birth, npi, from_day, to_day FROM roster_line WHERE org_id = $1 AND roster = $3 EXCEPT
                   SELECT member, plan, birth, npi, from_day, to_day FROM roster_line WHERE org_id = $1 AND roster = $2) AS there
    ) AS differ";

impl Store {
    /// How a version differs from the one in force. Without one in force every member is new.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn roster_changes(&self, org: OrgId, roster: RosterId) -> Result<Changes> {
        let (org, new) = (org.to_string(), roster.to_string());
        let mut tx = self.begin_reading().await?;
        let active: Option<String> = within!(&mut tx, c =>
            sqlx::query_scalar("SELECT id FROM roster WHERE org_id = $1 AND state = 'active'").bind(&org).fetch_optional(c).await)
        .doing("look for a roster")?;
        let active = active.unwrap_or_default();
        let mut counts = [0_u64; 3];
        let asked = [(APART, &new, &active), (APART, &active, &new), (DIFFER, &new, &active)];
        for (count, (sql, of, without)) in counts.iter_mut().zip(asked) {
            let found: i64 = within!(&mut tx, c =>
                sqlx::query_scalar(sql).bind(&org).bind(of).bind(without).fetch_one(c).await)
            .doing("compare two rosters")?;
            *count = u64::try_from(found).unwrap_or(0);
        }
        let [added, gone, differ] = counts;
        Ok(Changes { added, changed: differ.saturating_sub(added + gone), gone })
    }

    /// How many lines a version has that is stored under `source` and not in force; `None` when there is none.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn prepared_roster(&self, org: OrgId, roster: RosterId, source: &str) -> Result<Option<u64>> {
        let lines: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT (SELECT COUNT(*) FROM roster_line l WHERE l.org_id = r.org_id AND l.roster = r.id) FROM roster r
             WHERE r.org_id = $1 AND r.id = $2 AND r.source = $3 AND r.state = 'loading'")
            .bind(org.to_string()).bind(roster.to_string()).bind(source).fetch_optional(pool).await)
        .doing("look for a roster that is not in force")?;
        Ok(lines.map(|lines| u64::try_from(lines).unwrap_or(0)))
    }

    /// Throws the versions away that are stored under `source` and not in force.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn drop_prepared_rosters(&self, org: OrgId, source: &str) -> Result<()> {
        let mut tx = self.begin().await?;
        within!(&mut tx, c => sqlx::query(
            "DELETE FROM roster_line WHERE org_id = $1 AND roster IN
                (SELECT id FROM roster WHERE org_id = $1 AND source = $2 AND state = 'loading')")
            .bind(org.to_string()).bind(source).execute(c).await.map(drop))
        .doing("drop lines of a roster")?;
        within!(&mut tx, c => sqlx::query("DELETE FROM roster WHERE org_id = $1 AND source = $2 AND state = 'loading'")
            .bind(org.to_string()).bind(source).execute(c).await.map(drop))
        .doing("drop a roster")?;
        tx.commit().await
    }
}
