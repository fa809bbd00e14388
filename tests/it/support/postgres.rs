//! A real PostgreSQL, with a database for each test.

use std::{
    env,
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    sync::OnceLock,
};

use uuid::Uuid;

/// An empty database that belongs to one test and goes with it.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    /// How to reach it, as `store.url` takes it.
    pub(crate) url: String,
    name: String,
}

impl TestDatabase {
    /// Makes an empty database on the server of this run.
    pub(crate) fn fresh() -> Self {
        let name = format!("test_{}", Uuid::now_v7().simple());
        // template0: nobody can be connected to it, so that tests can clone it at the same time.
        psql(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        Self { url: beside(server(), &name), name }
    }

    /// Runs one statement by another connection than the test's and gives what it prints: rows on lines, fields apart by `|`.
    pub(crate) fn query(&self, sql: &str) -> String {
        run_psql(&self.url, sql)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // Not `psql()`: a second panic while the first unwinds would abort the run and hide why.
        let _ = command(server(), &format!("DROP DATABASE {} WITH (FORCE)", self.name)).output();
    }
}

/// The server of this run, as the URL of its database `postgres`: the one `scripts/test` started, else one of our own.
fn server() -> &'static str {
    static SERVER: OnceLock<(String, Option<Child>)> = OnceLock::new();
    &SERVER.get_or_init(|| env::var("POSTERN_TEST_POSTGRES").map_or_else(|_| start(), |url| (url, None))).0
}

/// Starts `scripts/postgres`. It stops when its input closes: when this process ends, however it ends.
fn start() -> (String, Option<Child>) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres");
    let mut child = Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start scripts/postgres");
    let mut url = String::new();
    BufReader::new(child.stdout.take().expect("its output")).read_line(&mut url).expect("read its URL");
    assert!(url.starts_with("postgres://"), "scripts/postgres did not start; its reason is above");
    (url.trim_end().to_owned(), Some(child))
}

/// The URL of another database on the same server.
fn beside(server: &str, name: &str) -> String {
    let (before, query) = server.split_once('?').map_or((server, String::new()), |(b, q)| (b, format!("?{q}")));
    let (host, _) = before.rsplit_once('/').expect("a URL with a database");
    format!("{host}/{name}{query}")
}

fn psql(sql: &str) {
    run_psql(server(), sql);
}

fn run_psql(url: &str, sql: &str) -> String {
    let output = command(url, sql).output().expect("psql, from Debian's postgresql-client");
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
}

fn command(url: &str, sql: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args([
        "--no-psqlrc",
        "--quiet",
        "--no-align",
        "--tuples-only",
        "--set=ON_ERROR_STOP=1",
        "--dbname",
        url,
        "--command",
        sql,
    ]);
    psql
}

#[test]
fn each_test_database_is_empty_and_its_own() {
    let (one, other) = (TestDatabase::fresh(), TestDatabase::fresh());
    one.query("CREATE TABLE mine (a INT)");
    assert_eq!(one.query("SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "1");
    assert_eq!(other.query("SELECT count(*) FROM pg_tables WHERE tablename = 'mine'"), "0");
}

#[test]
fn a_test_database_goes_with_its_test() {
    let database = TestDatabase::fresh();
    let count = format!("SELECT count(*) FROM pg_database WHERE datname = '{}'", database.name);
    assert_eq!(run_psql(server(), &count), "1");
    drop(database);
    assert_eq!(run_psql(server(), &count), "0");
}

#[test]
fn the_url_of_a_database_keeps_what_the_server_needs() {
    assert_eq!(beside("postgres://u@h:5/postgres", "t"), "postgres://u@h:5/t");
    assert_eq!(beside("postgres://u@localhost/postgres?host=/tmp/x", "t"), "postgres://u@localhost/t?host=/tmp/x");
}
