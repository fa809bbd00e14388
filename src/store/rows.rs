//! Many rows as the arguments of one statement.
//!
//! SQLite gets them as a list of VALUES, PostgreSQL as one array for each column: there the text stays the same however many
//! rows there are, and so does the prepared statement.

use sqlx::{FromRow, Postgres, QueryBuilder, Sqlite, postgres::PgRow, sqlite::SqliteRow};

use super::{Db, Tx};

/// One value. A column has the same kind in every row.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
    Flag(bool),
    Octets(Option<Vec<u8>>),
}

macro_rules! cells {
    ($($given:ty => |$value:ident| $cell:expr),+ $(,)?) => {$(
        impl From<$given> for Cell {
            fn from($value: $given) -> Self {
                $cell
            }
        }
    )+};
}

cells! {
    String => |text| Self::Text(Some(text)),
    &str => |text| Self::Text(Some(text.to_owned())),
    Option<String> => |text| Self::Text(text),
    Option<&str> => |text| Self::Text(text.map(str::to_owned)),
    i64 => |number| Self::Number(Some(number)),
    Option<i64> => |number| Self::Number(number),
    bool => |flag| Self::Flag(flag),
    Option<[u8; 32]> => |octets| Self::Octets(octets.map(|octets| octets.to_vec())),
}

/// Runs `before`, the rows, `after`: one statement. At least one row.
pub(super) async fn execute<const N: usize>(
    tx: &mut Tx,
    before: &'static str,
    rows: Vec<[Cell; N]>,
    after: &'static str,
) -> Result<(), sqlx::Error> {
    match tx {
        Tx::Sqlite(tx) => sqlite(before, rows).push(after).build().execute(&mut **tx).await.map(drop),
        Tx::Postgres(tx) => postgres(before, rows).push(after).build().execute(&mut **tx).await.map(drop),
    }
}

/// What such a statement returns. On PostgreSQL `lock` stands at its end.
pub(super) async fn fetch<const N: usize, T>(
    tx: &mut Tx,
    before: &'static str,
    rows: Vec<[Cell; N]>,
    after: &'static str,
    lock: &'static str,
) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    match tx {
        Tx::Sqlite(tx) => sqlite(before, rows).push(after).build_query_as().fetch_all(&mut **tx).await,
        Tx::Postgres(tx) => postgres(before, rows).push(after).push(lock).build_query_as().fetch_all(&mut **tx).await,
    }
}

/// A statement put together from fixed parts, with its arguments in their order.
pub(super) async fn ask<T>(tx: &mut Tx, sql: String, arguments: Vec<Cell>) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    macro_rules! asked {
        ($tx:expr) => {{
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(sql));
            for cell in arguments {
                query = match cell {
                    Cell::Text(text) => query.bind(text),
                    Cell::Number(number) => query.bind(number),
                    Cell::Flag(flag) => query.bind(flag),
                    Cell::Octets(octets) => query.bind(octets),
                };
            }
            query.fetch_all(&mut **$tx).await
        }};
    }
    match tx {
        Tx::Sqlite(tx) => asked!(tx),
        Tx::Postgres(tx) => asked!(tx),
    }
}

/// The same outside a transaction.
pub(super) async fn read<const N: usize, T>(
    db: &Db,
    before: &'static str,
    rows: Vec<[Cell; N]>,
    after: &'static str,
) -> Result<Vec<T>, sqlx::Error>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    match db {
        Db::Sqlite(pool) => sqlite(before, rows).push(after).build_query_as().fetch_all(pool).await,
        Db::Postgres(pool) => postgres(before, rows).push(after).build_query_as().fetch_all(pool).await,
    }
}

fn sqlite<const N: usize>(before: &'static str, rows: Vec<[Cell; N]>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(before);
    query.push_values(rows, |mut row, cells| {
        for cell in cells {
            match cell {
                Cell::Text(text) => row.push_bind(text),
                Cell::Number(number) => row.push_bind(number),
                Cell::Flag(flag) => row.push_bind(flag),
                Cell::Octets(octets) => row.push_bind(octets),
            };
        }
    });
    query
}

fn postgres<const N: usize>(before: &'static str, rows: Vec<[Cell; N]>) -> QueryBuilder<Postgres> {
    let mut columns: Vec<Vec<Cell>> = (0..N).map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    let mut query = QueryBuilder::new(before);
    let mut list = query.push("SELECT * FROM unnest(").separated(", ");
    for column in columns {
        match column.first() {
            Some(Cell::Number(_)) => {
                list.push_bind(all(column, |cell| if let Cell::Number(it) = cell { Some(it) } else { None }))
            }
            Some(Cell::Flag(_)) => list.push_bind(all(column, |cell| if let Cell::Flag(it) = cell { Some(it) } else { None })),
            Some(Cell::Octets(_)) => {
                list.push_bind(all(column, |cell| if let Cell::Octets(it) = cell { Some(it) } else { None }))
            }
            _ => list.push_bind(all(column, |cell| if let Cell::Text(it) = cell { Some(it) } else { None })),
        };
    }
    query.push(")");
    query
}

fn all<T>(column: Vec<Cell>, kind: impl FnMut(Cell) -> Option<T>) -> Vec<T> {
    column.into_iter().filter_map(kind).collect()
}
