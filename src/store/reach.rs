//! Whether a database answers, without changing anything in it: what `postern doctor` asks before anybody migrates.

/// Keys and bundles that need somebody.
pub mod ends;

use std::{path::Path, str::FromStr as _, time::Duration};

use sqlx::{
    ConnectOptions as _, Connection as _,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{Doing as _, PG_NOW, Result};
use crate::domain::Timestamp;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// The SQLite file is a database.
    File,
    /// There is no file yet; the first start makes it.
    NoFileYet,
    /// The PostgreSQL server answers, and this is its time.
    Server(Timestamp),
}

/// Longest wait for a server.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the SQLite file `path`.
///
/// # Errors
/// When it is no database, is encrypted, or cannot be read.
pub async fn file(path: &Path) -> Result<Reached> {
    if !path.exists() {
        return Ok(Reached::NoFileYet);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection: SqliteConnection = options.connect().await.doing("open the SQLite file")?;
    // Opening reads nothing; this reads the header and the schema.
    sqlx::query("SELECT count(*) FROM sqlite_master").execute(&mut connection).await.doing("read the SQLite file")?;
    connection.close().await.doing("close the SQLite file")?;
    Ok(Reached::File)
}

/// Asks the PostgreSQL server at `url`.
///
/// # Errors
/// When it cannot be reached in ten seconds, or refuses the login.
pub async fn server(url: &str) -> Result<Reached> {
    let options = PgConnectOptions::from_str(url).doing("read the store URL")?;
    let late = |_| sqlx::Error::PoolTimedOut;
    let connected = tokio::time::timeout(PATIENCE, options.connect()).await.map_err(late).flatten();
    let mut connection = connected.doing("connect to PostgreSQL")?;
    let now: i64 = sqlx::query_scalar(PG_NOW).fetch_one(&mut connection).await.doing("ask the database for the time")?;
    connection.close().await.doing("close the connection to PostgreSQL")?;
    Ok(Reached::Server(Timestamp(now)))
}

/// Whether the database at `url` (SQLite file or PostgreSQL) has this version's schema, so that opening it changes nothing.
/// A database that cannot be asked has not.
pub async fn is_current(path: Option<&Path>, url: &str) -> bool {
    const APPLIED: &str = "SELECT count(*) FROM _sqlx_migrations WHERE success";
    let applied: std::result::Result<i64, sqlx::Error> = async {
        if let Some(path) = path {
            let options = SqliteConnectOptions::new().filename(path).read_only(true);
            let mut connection: SqliteConnection = options.connect().await?;
            let applied = sqlx::query_scalar(APPLIED).fetch_one(&mut connection).await;
            connection.close().await?;
            return applied;
        }
        let mut connection = PgConnectOptions::from_str(url)?.connect().await?;
        let applied = sqlx::query_scalar(APPLIED).fetch_one(&mut connection).await;
        connection.close().await?;
        applied
    }
    .await;
    applied.is_ok_and(|applied| usize::try_from(applied) == Ok(super::migrations::count()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_missing_file_is_not_made_and_a_file_that_is_no_database_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("postern.db");
        assert_eq!(file(&path).await.unwrap(), Reached::NoFileYet);
        assert!(!path.exists());
        std::fs::write(&path, "this is no database at all, whatever its name may say".repeat(100)).unwrap();
        assert!(file(&path).await.is_err());
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        assert!(server(&format!("postgres://u:p@127.0.0.1:{port}/x")).await.is_err());
    }
}
