//! What `postern doctor` asks about keys and bundles: read past the store, so that nothing is migrated or made.

use std::{path::Path, str::FromStr as _};

use sqlx::{
    ConnectOptions as _,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::super::{Doing as _, Result, read};
use crate::domain::{DirectAddress, Timestamp, identity::Term};

/// One of our own certificates.
#[derive(Debug, Clone)]
pub struct Own {
    /// Whose, by slug.
    pub organization: String,
    /// Of which address.
    pub address: DirectAddress,
    /// What it is for, and when it is good.
    pub term: Term,
}

/// A bundle that could not be refreshed.
#[derive(Debug, Clone)]
pub struct Failing {
    /// Whose, by slug.
    pub organization: String,
    /// What it is called.
    pub name: String,
    /// Why.
    pub error: String,
}

/// What is on record; nothing of a database that has no such tables yet.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Our own certificates.
    pub own: Vec<Own>,
    /// Bundles that could not be refreshed.
    pub failing: Vec<Failing>,
}

type OwnRow = (String, String, String, i64, i64);

const OWN: &str = "SELECT o.slug, k.address, k.used_for, k.not_before, k.not_after FROM identity_key k
    JOIN organization o ON o.id = k.org_id ORDER BY o.slug, k.address_key";
const FAILING: &str = "SELECT o.slug, b.name, b.error FROM trust_bundle b JOIN organization o ON o.id = b.org_id
    WHERE b.error IS NOT NULL ORDER BY o.slug, b.name";

/// Of the SQLite file `path`.
///
/// # Errors
/// When it cannot be opened.
pub async fn of_file(path: &Path) -> Result<Ends> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection: SqliteConnection = options.connect().await.doing("open the SQLite file")?;
    let own = sqlx::query_as(OWN).fetch_all(&mut connection).await.unwrap_or_default();
    ends(own, sqlx::query_as(FAILING).fetch_all(&mut connection).await.unwrap_or_default())
}

/// Of the PostgreSQL server at `url`.
///
/// # Errors
/// When it cannot be reached.
pub async fn of_server(url: &str) -> Result<Ends> {
    let options = PgConnectOptions::from_str(url).doing("read the store URL")?;
    let mut connection = options.connect().await.doing("connect to PostgreSQL")?;
    let own = sqlx::query_as(OWN).fetch_all(&mut connection).await.unwrap_or_default();
    ends(own, sqlx::query_as(FAILING).fetch_all(&mut connection).await.unwrap_or_default())
}

fn ends(own: Vec<OwnRow>, failing: Vec<(String, String, String)>) -> Result<Ends> {
    let own = own.into_iter().map(|(organization, address, used_for, from, until)| {
        let term = Term { used_for: read("key's use", &used_for)?, from: Timestamp(from), until: Timestamp(until) };
        Ok(Own { organization, address: read("address", &address)?, term })
    });
    let failing = failing.into_iter().map(|(organization, name, error)| Failing { organization, name, error });
    Ok(Ends { own: own.collect::<Result<_>>()?, failing: failing.collect() })
}
