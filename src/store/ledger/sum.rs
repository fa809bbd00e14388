//! Adding lines up. A ledger only grows, so what was added up once stays true: sums are kept up to some line, and whoever asks adds
//! the few lines behind it. They are made from the lines and nothing else; closing a month and `postern verify` read the lines.

use std::collections::HashMap;

use super::read::{LineQuery, PaidRow, added_up, sums};
use crate::{
    domain::{OrgId, OrgScope},
    store::{Doing as _, Result, Store, Tx, rows::Cell},
};

/// Most lines that are added up in one transaction: SQLite has one writer, and nobody shall wait for long.
const A_STEP: i64 = 20_000;

/// What lines that are added up have in common, as `ledger_sum` has it.
macro_rules! group {
    () => {
        "l.period, l.bill_to_org, l.currency, l.site, l.cost_center, l.payer, l.channel, l.status, l.entry_type, l.fee_code, l.note,
            l.relates_to, l.unit_price, l.price_id"
    };
}

/// The same of lines.
macro_rules! of_line {
    () => {
        "l.period, l.bill_to_org, l.currency, l.site, l.cost_center, l.payer, l.channel, l.status, l.entry_type, l.fee_code, l.note,
            COALESCE(l.relates_to, '') AS relates_to, l.unit_price, COALESCE(l.price_id, '') AS price_id"
    };
}

/// The columns by their places, which both engines understand although some are expressions.
const PLACES: &str = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15";
/// PostgreSQL adds BIGINTs up as NUMERIC. A sum that does not fit is an error on both.
const ADDED: &str = "CAST(SUM(l.quantity) AS BIGINT) AS quantity, CAST(SUM(l.amount) AS BIGINT) AS amount";

/// The statement that adds up each line, and its arguments.
pub(super) fn of_lines(scope: OrgScope, query: &LineQuery<'_>) -> (String, Vec<Cell>) {
    let (conditions, arguments) = query.conditions(scope);
    let (relay, join) = if query.relays {
        ("COALESCE(d.relay, '')", " LEFT JOIN delivery d ON d.org_id = l.org_id AND d.id = l.delivery_id")
    } else {
        ("''", "")
    };
    let columns = of_line!();
    let sql = format!(
        "SELECT {columns}, {relay} AS relay, {ADDED}, COUNT(*) AS lines, MIN(l.seq) AS first
         FROM ledger_line l{join}{conditions} GROUP BY {PLACES}"
    );
    (sql, arguments)
}

/// Adds lines up inside a transaction that sees one instant; takes what was added up before as it is, where it can.
pub(super) async fn quickly(tx: &mut Tx, scope: OrgScope, query: &LineQuery<'_>) -> Result<Vec<PaidRow>> {
    let summed: Option<i64> = within!(tx, c =>
        sqlx::query_scalar("SELECT seq FROM ledger_summed WHERE org_id = $1").bind(query.org.to_string()).fetch_optional(c).await)
    .doing("read how far a ledger is added up")?;
    let (sql, arguments) = of_query(scope, query, summed.unwrap_or(0));
    added_up(tx, sql, arguments).await
}

/// The statement that adds what was added up before, to the line `summed`, and the lines behind it. Where that is must be a value: from a
/// question within the statement PostgreSQL takes it that a third of all lines are behind it.
fn of_query(scope: OrgScope, query: &LineQuery<'_>, summed: i64) -> (String, Vec<Cell>) {
    let one = query.delivery.is_some() || query.line.is_some() || query.reverses.is_some();
    if query.from.is_some() || query.to.is_some() || one || query.relays {
        return of_lines(scope, query);
    }
    let (conditions, mut arguments) = query.conditions(scope);
    arguments.push(summed.into());
    let behind = arguments.len();
    let (kept, lines) = (group!(), of_line!());
    let sql = format!(
        "SELECT {kept}, '' AS relay, {ADDED}, CAST(SUM(l.lines) AS BIGINT) AS lines, MIN(l.first) AS first FROM (
             SELECT {kept}, l.quantity, l.amount, l.lines, l.first FROM ledger_sum l{conditions}
             UNION ALL SELECT {lines}, l.quantity, l.amount, 1 AS lines, l.seq AS first FROM ledger_line l{conditions}
                AND l.seq > ${behind}
         ) AS l GROUP BY {PLACES}"
    );
    (sql, arguments)
}

impl Store {
    /// Adds up the lines that came since it was done last, of every ledger with at least `worth` of them.
    ///
    /// # Errors
    /// When the database does not answer, or a sum does not fit.
    pub async fn add_up(&self, worth: i64) -> Result<()> {
        let due: Vec<String> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT h.org_id FROM ledger_head h LEFT JOIN ledger_summed s ON s.org_id = h.org_id
             WHERE h.seq - COALESCE(s.seq, 0) >= $1 ORDER BY h.org_id")
            .bind(worth).fetch_all(pool).await)
        .doing("look for lines to add up")?;
        for org in due {
            while insist!(self.add_up_some(&org))? >= worth {}
        }
        Ok(())
    }

    /// Throws away what was added up of an organization's ledger, and adds every line up again.
    ///
    /// # Errors
    /// As [`Self::add_up`].
    pub async fn add_up_anew(&self, org: OrgId) -> Result<()> {
        let org = org.to_string();
        let mut tx = self.begin().await?;
        summed(&mut tx, &org).await?;
        within!(&mut tx, c => sqlx::query("DELETE FROM ledger_sum WHERE org_id = $1").bind(&org).execute(c).await.map(drop))
            .doing("throw sums of the ledger away")?;
        note(&mut tx, &org, 0).await?;
        tx.commit().await?;
        while insist!(self.add_up_some(&org))? > 0 {}
        Ok(())
    }

    /// Takes one step; gives how many lines are left.
    async fn add_up_some(&self, org: &str) -> Result<i64> {
        let mut tx = self.begin().await?;
        let from = summed(&mut tx, org).await?;
        let head: i64 = within!(&mut tx, c =>
            sqlx::query_scalar("SELECT seq FROM ledger_head WHERE org_id = $1").bind(org).fetch_one(c).await)
        .doing("read the ledger's head")?;
        let to = head.min(from.saturating_add(A_STEP));
        within!(&mut tx, c => sqlx::query(concat!(
            "INSERT INTO ledger_sum (org_id, period, bill_to_org, currency, site, cost_center, payer, channel, status, entry_type, fee_code,
                note, relates_to, unit_price, price_id, quantity, amount, lines, first)
             SELECT l.org_id, ", of_line!(), ", CAST(SUM(l.quantity) AS BIGINT), CAST(SUM(l.amount) AS BIGINT), COUNT(*), MIN(l.seq)
             FROM ledger_line l WHERE l.org_id = $1 AND l.seq > $2 AND l.seq <= $3
             GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
             ON CONFLICT (org_id, period, bill_to_org, currency, site, cost_center, payer, channel, status, entry_type, fee_code, note,
                relates_to, unit_price, price_id)
             DO UPDATE SET quantity = ledger_sum.quantity + excluded.quantity, amount = ledger_sum.amount + excluded.amount,
                lines = ledger_sum.lines + excluded.lines"))
            .bind(org).bind(from).bind(to).execute(c).await.map(drop))
        .doing("add up the ledger")?;
        note(&mut tx, org, to).await?;
        tx.commit().await?;
        Ok(head - to)
    }

    /// Whether what was added up before is what the lines are.
    pub(super) async fn sums_are_true(&self, org: OrgId) -> Result<bool> {
        let mut tx = self.begin_reading().await?;
        let all = LineQuery::of(org);
        let kept = by_group(quickly(&mut tx, OrgScope::All, &all).await?);
        Ok(kept == by_group(sums(&mut tx, OrgScope::All, &all).await?))
    }
}

fn by_group(rows: Vec<PaidRow>) -> HashMap<String, PaidRow> {
    rows.into_iter().map(|paid| (format!("{} {} {:?}", paid.period, paid.payer, paid.row.group), paid)).collect()
}

/// Up to which line it was added up; whoever has asked is the only one to go on.
async fn summed(tx: &mut Tx, org: &str) -> Result<i64> {
    within!(tx, c => sqlx::query("INSERT INTO ledger_summed (org_id, seq) VALUES ($1, 0) ON CONFLICT (org_id) DO NOTHING")
        .bind(org).execute(c).await.map(drop))
    .doing("begin to add up a ledger")?;
    locked!(tx, query_scalar("SELECT seq FROM ledger_summed WHERE org_id = $1").bind(org).fetch_one)
        .doing("read how far a ledger is added up")
}

async fn note(tx: &mut Tx, org: &str, seq: i64) -> Result<()> {
    within!(tx, c => sqlx::query("UPDATE ledger_summed SET seq = $1 WHERE org_id = $2").bind(seq).bind(org).execute(c).await.map(drop))
        .doing("note how far a ledger is added up")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Db, migrations};

    #[tokio::test]
    async fn on_sqlite_only_the_lines_behind_the_sums_are_read() {
        let pool = sqlx::SqlitePool::connect("sqlite::memory:").await.unwrap();
        migrations::run(&Db::Sqlite(pool.clone())).await.unwrap();
        let org = OrgId::new();
        let month = LineQuery { period: Some("2026-01".parse().unwrap()), ..LineQuery::of(org) };
        for (scope, query) in
            [OrgScope::All, OrgScope::One(org)].into_iter().flat_map(|scope| [(scope, month), (scope, LineQuery::of(org))])
        {
            let (sql, _) = of_query(scope, &query, 1);
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"))).fetch_all(&pool).await.unwrap();
            let plan: String = steps.into_iter().map(|(_, _, _, step)| step + "\n").collect();
            assert!(plan.contains("seq>?"), "{plan}");
        }
    }
}
