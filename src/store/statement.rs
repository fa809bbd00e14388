//! What issuers publish about their certificates, fetched once for every worker. Shared by all organizations: it is about
//! authorities and says nothing about who asked.

use super::{Doing as _, Result, Store, read};
use crate::domain::{Timestamp, statement::StatementKind};

/// Which statement: two issuers may publish at one place, and a responder answers about many certificates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StatementKey {
    /// What it is.
    pub kind: StatementKind,
    /// Where it is fetched.
    pub url: String,
    /// The fingerprint of the issuer (a list) or of the certificate asked about (an answer); empty for an issuer's own.
    pub about: String,
}

/// A statement as it was fetched. Whoever reads it verifies it again.
#[derive(Debug, Clone)]
pub struct Statement {
    /// Which one.
    pub key: StatementKey,
    /// The issuer's name, for people.
    pub issuer: String,
    /// The issuer's certificate in DER, to verify the next one with.
    pub signer: Vec<u8>,
    /// Its bytes; empty when it could not be had yet.
    pub body: Vec<u8>,
    /// When it was issued.
    pub this_update: Timestamp,
    /// When the next one is promised.
    pub next_update: Timestamp,
    /// When it was fetched.
    pub fetched_at: Timestamp,
    /// When to ask for the next one.
    pub refresh_at: Timestamp,
    /// When it was last of use.
    pub used_at: Timestamp,
    /// What the latest try brought, when it did not go well.
    pub problem: Option<String>,
}

type Row = (String, String, String, String, Vec<u8>, Vec<u8>, i64, i64, i64, i64, i64, Option<String>);

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT kind, url, about, issuer, signer, body, this_update, next_update, fetched_at, refresh_at, used_at, problem
             FROM issuer_statement ",
            $rest
        )
    };
}

fn statement(row: Row) -> Result<Statement> {
    let (kind, url, about, issuer, signer, body, this_update, next_update, fetched_at, refresh_at, used_at, problem) = row;
    Ok(Statement {
        key: StatementKey { kind: read("statement kind", &kind)?, url, about },
        issuer,
        signer,
        body,
        this_update: Timestamp(this_update),
        next_update: Timestamp(next_update),
        fetched_at: Timestamp(fetched_at),
        refresh_at: Timestamp(refresh_at),
        used_at: Timestamp(used_at),
        problem,
    })
}

impl Store {
    /// Keeps a statement. An older one never takes the place of a newer one: whoever can replay yesterday's list could
    /// otherwise undo a revocation.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn keep_statement(&self, statement: &Statement) -> Result<()> {
        let key = &statement.key;
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO issuer_statement (kind, url, about, issuer, signer, body, this_update, next_update, fetched_at, refresh_at, used_at, problem)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, NULL)
             ON CONFLICT (kind, url, about) DO UPDATE SET issuer = excluded.issuer, signer = excluded.signer, body = excluded.body,
               this_update = excluded.this_update, next_update = excluded.next_update, fetched_at = excluded.fetched_at,
               refresh_at = excluded.refresh_at, used_at = excluded.used_at, problem = NULL
             WHERE issuer_statement.this_update <= excluded.this_update")
            .bind(key.kind.as_str()).bind(&key.url).bind(&key.about).bind(&statement.issuer).bind(&statement.signer).bind(&statement.body)
            .bind(statement.this_update.micros()).bind(statement.next_update.micros()).bind(statement.fetched_at.micros())
            .bind(statement.refresh_at.micros()).bind(statement.used_at.micros()).execute(pool).await.map(drop))
        .doing("keep an issuer's statement")
    }

    /// Notes that the latest try did not go well; what was had before stays.
    ///
    /// # Errors
    /// When it cannot be stored.
    pub async fn note_statement_problem(&self, statement: &Statement, problem: &str) -> Result<()> {
        let key = &statement.key;
        on!(&self.db, pool => sqlx::query(
            "INSERT INTO issuer_statement (kind, url, about, issuer, signer, body, this_update, next_update, fetched_at, refresh_at, used_at, problem)
             VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, $7, $8, $9)
             ON CONFLICT (kind, url, about) DO UPDATE SET refresh_at = excluded.refresh_at, problem = excluded.problem")
            .bind(key.kind.as_str()).bind(&key.url).bind(&key.about).bind(&statement.issuer).bind(&statement.signer).bind(Vec::<u8>::new())
            .bind(statement.refresh_at.micros()).bind(statement.used_at.micros()).bind(problem).execute(pool).await.map(drop))
        .doing("note what an issuer's server did")
    }

    /// A statement that was fetched; also one that could not be had yet.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn statement(&self, key: &StatementKey) -> Result<Option<Statement>> {
        let row: Option<Row> = on!(&self.db, pool => sqlx::query_as(columns!("WHERE kind = $1 AND url = $2 AND about = $3"))
            .bind(key.kind.as_str()).bind(&key.url).bind(&key.about).fetch_optional(pool).await)
        .doing("look for an issuer's statement")?;
        row.map(statement).transpose()
    }

    /// When a statement was fetched, without its bytes: whether there is a newer one than ours.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn statement_age(&self, key: &StatementKey) -> Result<Option<Timestamp>> {
        let at: Option<i64> = on!(&self.db, pool => sqlx::query_scalar(
            "SELECT fetched_at FROM issuer_statement WHERE kind = $1 AND url = $2 AND about = $3")
            .bind(key.kind.as_str()).bind(&key.url).bind(&key.about).fetch_optional(pool).await)
        .doing("ask how old an issuer's statement is")?;
        Ok(at.map(Timestamp))
    }

    /// Notes that a statement is still of use.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn statement_used(&self, key: &StatementKey, at: Timestamp) -> Result<()> {
        on!(&self.db, pool => sqlx::query("UPDATE issuer_statement SET used_at = $4 WHERE kind = $1 AND url = $2 AND about = $3")
            .bind(key.kind.as_str()).bind(&key.url).bind(&key.about).bind(at.micros()).execute(pool).await.map(drop))
        .doing("note the use of an issuer's statement")
    }

    /// Every statement, without its bytes: to be shown.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn statements(&self) -> Result<Vec<Statement>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            "SELECT kind, url, about, issuer, signer, substr(body, 1, 0), this_update, next_update, fetched_at, refresh_at, used_at, problem
             FROM issuer_statement ORDER BY kind, url, about").fetch_all(pool).await)
        .doing("list issuers' statements")?;
        rows.into_iter().map(statement).collect()
    }

    /// Revocation lists used since `used`, whose successor is to be asked for at `at`; the longest due first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn statements_due(&self, at: Timestamp, used: Timestamp, most: u32) -> Result<Vec<Statement>> {
        let rows: Vec<Row> = on!(&self.db, pool => sqlx::query_as(
            columns!("WHERE kind = 'list' AND refresh_at <= $1 AND used_at >= $2 ORDER BY refresh_at, url, about LIMIT $3"))
            .bind(at.micros()).bind(used.micros()).bind(i64::from(most)).fetch_all(pool).await)
        .doing("look for issuers' statements that are due")?;
        rows.into_iter().map(statement).collect()
    }

    /// Throws away what was of no use since `used`; returns how many.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_statements(&self, used: Timestamp) -> Result<u64> {
        on!(&self.db, pool => sqlx::query("DELETE FROM issuer_statement WHERE used_at < $1").bind(used.micros()).execute(pool).await
            .map(|done| done.rows_affected()))
        .doing("throw old statements of issuers away")
    }
}
