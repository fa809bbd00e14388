//! Brings a database to this version's schema. Both engines have the same files, tables and columns.

use std::time::Duration;

use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use super::{Db, Result, StoreError};

/// Version, what it does, SQLite text, PostgreSQL text.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[
    (1, "first", include_str!("migrations/sqlite/0001_first.sql"), include_str!("migrations/postgres/0001_first.sql")),
    (
        2,
        "discovery",
        include_str!("migrations/sqlite/0002_discovery.sql"),
        include_str!("migrations/postgres/0002_discovery.sql"),
    ),
    (
        3,
        "revocation",
        include_str!("migrations/sqlite/0003_revocation.sql"),
        include_str!("migrations/postgres/0003_revocation.sql"),
    ),
    (
        4,
        "identities",
        include_str!("migrations/sqlite/0004_identities.sql"),
        include_str!("migrations/postgres/0004_identities.sql"),
    ),
    (5, "tracking", include_str!("migrations/sqlite/0005_tracking.sql"), include_str!("migrations/postgres/0005_tracking.sql")),
    (7, "track", include_str!("migrations/sqlite/0007_track.sql"), include_str!("migrations/postgres/0007_track.sql")),
    (8, "events", include_str!("migrations/sqlite/0008_events.sql"), include_str!("migrations/postgres/0008_events.sql")),
    (9, "alerts", include_str!("migrations/sqlite/0009_alerts.sql"), include_str!("migrations/postgres/0009_alerts.sql")),
    (
        10,
        "directory",
        include_str!("migrations/sqlite/0010_directory.sql"),
        include_str!("migrations/postgres/0010_directory.sql"),
    ),
    (11, "choice", include_str!("migrations/sqlite/0011_choice.sql"), include_str!("migrations/postgres/0011_choice.sql")),
    (12, "billing", include_str!("migrations/sqlite/0012_billing.sql"), include_str!("migrations/postgres/0012_billing.sql")),
    (13, "people", include_str!("migrations/sqlite/0013_people.sql"), include_str!("migrations/postgres/0013_people.sql")),
    (
        16,
        "reconcile",
        include_str!("migrations/sqlite/0016_reconcile.sql"),
        include_str!("migrations/postgres/0016_reconcile.sql"),
    ),
    (17, "browsing", include_str!("migrations/sqlite/0017_browsing.sql"), include_str!("migrations/postgres/0017_browsing.sql")),
    (20, "console", include_str!("migrations/sqlite/0020_console.sql"), include_str!("migrations/postgres/0020_console.sql")),
    (21, "provider", include_str!("migrations/sqlite/0021_provider.sql"), include_str!("migrations/postgres/0021_provider.sql")),
];

/// How many there are.
pub(super) const fn count() -> usize {
    MIGRATIONS.len()
}

/// So often a migration that another process may be making is tried.
const MOST_TRIES: usize = 10;

pub(super) async fn run(db: &Db) -> Result<()> {
    let pick = |(version, what, sqlite, postgres): &(i64, &'static str, &'static str, &'static str)| {
        let sql = if matches!(db, Db::Sqlite(_)) { sqlite } else { postgres };
        Migration::new(*version, (*what).into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let migrator = Migrator::with_migrations(MIGRATIONS.iter().map(pick).collect());
    let migrated = match db {
        Db::Sqlite(pool) => {
            // SQLite has no lock to wait for: another process may have created the tables of a migration between our look and
            // our try, and that with each of them.
            let mut tries = 1;
            loop {
                match migrator.run(pool).await {
                    Err(_) if tries < MOST_TRIES => tries += 1,
                    done => break done,
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Db::Postgres(pool) => migrator.run(pool).await,
    };
    migrated.map_err(StoreError::Migrate)
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn both_engines_have_the_same_tables_and_columns() {
        for (version, _, sqlite, postgres) in MIGRATIONS {
            assert_eq!(
                // Without it SQLite would keep every row twice: in the table, and in the index of its key.
                sqlite.replace(" WITHOUT ROWID", ""),
                postgres.replace("BYTEA", "BLOB"),
                "migration {version}: only the name of the bytes type may differ, and how rows are laid out"
            );
        }
    }
}
