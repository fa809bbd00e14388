//! `[store]`: where rows are kept.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

use super::{Secret, section::section};

section! {
    /// Where organizations, orders, results, deliveries and the fee ledger are kept.
    ["store"] StoreSection {
        /// `sqlite:FILE` for one machine, `postgres://USER:PASSWORD@HOST/DATABASE` for several.
        /// PostgreSQL: add `?sslmode=verify-full&sslrootcert=FILE` when it is on another machine.
        url: StoreUrl = StoreUrl::sqlite("postern.db"),
        /// Most connections to the database at a time.
        connections: u32 = 8,
    }
}

/// The URL of a database. It may hold a password, so it prints without one.
#[derive(Clone)]
pub struct StoreUrl {
    engine: Engine,
    url: Secret,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Sqlite,
    Postgres,
}

/// Not the URL of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not like sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE")]
pub struct BadStoreUrl;

impl StoreUrl {
    fn sqlite(file: &str) -> Self {
        Self { engine: Engine::Sqlite, url: Secret::from(format!("sqlite:{file}")) }
    }

    /// The whole URL, password and all: for the database driver.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.url.expose()
    }

    /// The database file, when it is SQLite.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<PathBuf> {
        (self.engine == Engine::Sqlite).then(|| PathBuf::from(self.sqlite_path()))
    }

    fn sqlite_path(&self) -> &str {
        let rest = self.expose().strip_prefix("sqlite:").unwrap_or_default();
        rest.strip_prefix("//").unwrap_or(rest)
    }

    /// The same database with its file counted from `folder`.
    pub(super) fn counted_from(&self, folder: &Path) -> Self {
        match self.engine {
            Engine::Postgres => self.clone(),
            Engine::Sqlite => {
                let path = folder.join(self.sqlite_path());
                Self { engine: self.engine, url: Secret::from(format!("sqlite:{}", path.display())) }
            }
        }
    }
}

impl FromStr for StoreUrl {
    type Err = BadStoreUrl;

    fn from_str(text: &str) -> Result<Self, BadStoreUrl> {
        let engine = if ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            Engine::Postgres
        } else if text.starts_with("sqlite:") {
            Engine::Sqlite
        } else {
            return Err(BadStoreUrl);
        };
        let url = Self { engine, url: Secret::from(text.to_owned()) };
        // What lives in memory alone would acknowledge results it cannot keep; options are ours to choose.
        let path = url.sqlite_path();
        if engine == Engine::Sqlite && (path.is_empty() || path.contains(":memory:") || path.contains('?')) {
            return Err(BadStoreUrl);
        }
        Ok(url)
    }
}

/// Without the password and without options, which may hold one too.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.expose().split_once('?').map_or(self.expose(), |(before, _)| before);
        match shown.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
            Some((scheme, Some((user, host)))) => {
                let user = user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:{}", Secret::SHOWN));
                write!(f, "{scheme}://{user}@{host}")
            }
            _ => f.write_str(shown),
        }
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

crate::domain::serde_as_text!(StoreUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_database_url_is_never_shown() {
        for url in ["postgres://u:hunter2@db/x", "postgres://u:hunt@er2@db/x", "postgresql://u@db/x?password=hunter2"] {
            let url: StoreUrl = url.parse().unwrap();
            let shown = format!("{url} {url:?} {}", serde_json::to_string(&url).unwrap());
            assert!(!shown.contains("er2") && shown.contains("db/x"), "{shown}");
            assert!(url.expose().contains("er2"));
        }
    }

    #[test]
    fn a_database_file_counts_from_the_folder_of_the_configuration() {
        let from = |url: &str| url.parse::<StoreUrl>().unwrap().counted_from(Path::new("/etc/postern")).expose().to_owned();
        assert_eq!(from("sqlite:postern.db"), "sqlite:/etc/postern/postern.db");
        assert_eq!(from("sqlite://data/postern.db"), "sqlite:/etc/postern/data/postern.db");
        assert_eq!(from("sqlite:///var/postern.db"), "sqlite:/var/postern.db");
        assert_eq!(from("postgres://db/x"), "postgres://db/x");
    }

    #[test]
    fn what_keeps_nothing_or_is_no_database_is_refused() {
        for url in ["sqlite:", "sqlite::memory:", "sqlite://x?mode=memory", "mysql://x", "postern.db", ""] {
            assert!(url.parse::<StoreUrl>().is_err(), "{url}");
        }
    }
}
