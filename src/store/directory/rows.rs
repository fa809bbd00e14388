//! How rows of a directory are told apart and written, many at a time.

use std::fmt::Write as _;

use sqlx::AssertSqlSafe;

use super::{
    super::{Doing as _, Result, Tx},
    load::Loading,
};
use crate::{
    crypto::sha256::Sha256,
    domain::{DirectAddress, Npi, Timestamp, route::DirectoryRow},
};

/// NPIs in one block of the registry, without their check digit.
const BLOCK: i64 = 8192;
/// Rows of one statement: SQLite takes 32,766 values in one, and a row has ten.
pub(super) const ROWS: usize = 1_000;

/// The block of the registry an NPI is in, and its bit there. The last digit is a check digit and says nothing.
#[must_use]
pub fn bit_of(npi: &Npi) -> (i64, usize) {
    let number = npi.as_str().bytes().take(9).fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    (number / BLOCK, usize::try_from(number % BLOCK).unwrap_or(0))
}

/// What makes two rows of an NPI the same: address (in any case), affiliation and state. Rows are written in the order of
/// NPI and fingerprint, because a table that grows at its end is written many times faster.
#[must_use]
pub fn fingerprint(row: &DirectoryRow) -> i64 {
    let mut hash = Sha256::new();
    let mut take = |text: Option<&str>| {
        hash.update(text.unwrap_or_default().as_bytes()).update(&[0]);
    };
    let key = row.address.as_ref().map(DirectAddress::key);
    let at = &row.affiliation;
    take(key.as_deref());
    take(at.npi.as_ref().map(Npi::as_str));
    take(at.name.as_deref());
    take(at.state.as_deref());
    take(at.postal_code.as_deref());
    take(Some(if row.active { "1" } else { "0" }));
    let whole = hash.finish();
    i64::from_be_bytes(std::array::from_fn(|place| whole[place]))
}

/// Writes rows in one statement; tells how many were new.
pub(super) async fn write(tx: &mut Tx, loading: &Loading, now: Timestamp, rows: &[DirectoryRow]) -> Result<u64> {
    match tx {
        Tx::Sqlite(tx) => {
            // Question marks without a number: the engine looks named ones up one by one, each time.
            let mut sql = String::with_capacity(700 + rows.len() * 22);
            sql.push_str("INSERT INTO directory_entry (snapshot, npi, fingerprint, address, kind, rank, organization, organization_npi,\n                     state, postal_code, active, first_seen)\n                 SELECT ?, n.column1, n.column2, n.column3, n.column4, n.column5, n.column6, n.column7, n.column8, n.column9,\n                     n.column10, COALESCE(o.first_seen, ?) FROM (VALUES ");
            for i in 0..rows.len() {
                let _ = write!(sql, "{}(?,?,?,?,?,?,?,?,?,?)", if i == 0 { "" } else { "," });
            }
            sql.push_str(
                ") n LEFT JOIN directory_entry o ON o.snapshot = ? AND o.npi = n.column1 AND o.fingerprint = n.column2
                 WHERE true ON CONFLICT DO NOTHING",
            );
            let mut query = sqlx::query(AssertSqlSafe(sql)).bind(loading.number).bind(now.micros());
            for row in rows {
                let at = &row.affiliation;
                query = query
                    .bind(row.npi.as_str())
                    .bind(fingerprint(row))
                    .bind(row.address.as_ref().map(DirectAddress::as_str))
                    .bind(row.kind.map(crate::domain::route::AddressKind::as_str))
                    .bind(row.rank)
                    .bind(at.name.as_deref())
                    .bind(at.npi.as_ref().map(Npi::as_str))
                    .bind(at.state.as_deref())
                    .bind(at.postal_code.as_deref())
                    .bind(row.active);
            }
            query.bind(loading.previous).execute(&mut **tx).await.map(|done| done.rows_affected())
        }
        Tx::Postgres(tx) => {
            let texts = |of: &dyn Fn(&DirectoryRow) -> Option<&str>| -> Vec<Option<String>> {
                rows.iter().map(|row| of(row).map(str::to_owned)).collect()
            };
            sqlx::query(
                "INSERT INTO directory_entry (snapshot, npi, fingerprint, address, kind, rank, organization, organization_npi,
                     state, postal_code, active, first_seen)
                 SELECT $1, n.npi, n.fingerprint, n.address, n.kind, n.rank, n.organization, n.organization_npi, n.state,
                     n.postal_code, n.active, COALESCE(o.first_seen, $2)
                 FROM UNNEST($3::text[], $4::bigint[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[],
                     $11::text[], $12::boolean[])
                     AS n (npi, fingerprint, address, kind, rank, organization, organization_npi, state, postal_code, active)
                 LEFT JOIN directory_entry o ON o.snapshot = $13 AND o.npi = n.npi AND o.fingerprint = n.fingerprint
                 ON CONFLICT DO NOTHING",
            )
            .bind(loading.number)
            .bind(now.micros())
            .bind(texts(&|row| Some(row.npi.as_str())))
            .bind(rows.iter().map(fingerprint).collect::<Vec<i64>>())
            .bind(texts(&|row| row.address.as_ref().map(DirectAddress::as_str)))
            .bind(texts(&|row| row.kind.map(crate::domain::route::AddressKind::as_str)))
            .bind(rows.iter().map(|row| row.rank).collect::<Vec<Option<i64>>>())
            .bind(texts(&|row| row.affiliation.name.as_deref()))
            .bind(texts(&|row| row.affiliation.npi.as_ref().map(Npi::as_str)))
            .bind(texts(&|row| row.affiliation.state.as_deref()))
            .bind(texts(&|row| row.affiliation.postal_code.as_deref()))
            .bind(rows.iter().map(|row| row.active).collect::<Vec<bool>>())
            .bind(loading.previous)
            .execute(&mut **tx)
            .await
            .map(|done| done.rows_affected())
        }
    }
    .doing("store directory rows")
}
