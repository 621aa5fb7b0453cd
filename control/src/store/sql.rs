//! The narrow seam between transactions and the two databases: a statement with its values in,
//! rows of `id, version, body` or a count out.

use rusqlite::types::{ToSqlOutput, ValueRef};
use tokio_postgres::types::ToSql;

use super::rows::Raw;
use super::statements::Statements;
use super::{Cause, StoreError, postgres, sqlite};

/// One value of a statement, which names it `?1`, `?2`, and so on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Maybe(Option<&'a str>),
    Number(i64),
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Text(text) | Self::Maybe(Some(text)) => ValueRef::Text(text.as_bytes()),
            Self::Maybe(None) => ValueRef::Null,
            Self::Number(number) => ValueRef::Integer(*number),
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

impl<'a> Value<'a> {
    pub(super) fn as_postgres(&self) -> &(dyn ToSql + Sync + 'a) {
        match self {
            Self::Text(text) => text,
            Self::Maybe(text) => text,
            Self::Number(number) => number,
        }
    }
}

/// An open transaction of one of the databases.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sql<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a postgres::Session),
}

impl Sql<'_> {
    /// # Errors
    /// [`StoreError::Database`] of the statement.
    pub(super) fn select(
        &self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Raw>, StoreError> {
        match self {
            Self::Sqlite(connection) => sqlite_select(connection, sql, values).map_err(Cause::from),
            Self::Postgres(session) => session.select(sql, values),
        }
        .map_err(self.failed(doing))
    }

    /// How many rows `sql` has made, changed or deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`] of the statement.
    pub(super) fn change(
        &self,
        doing: &'static str,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, StoreError> {
        match self {
            Self::Sqlite(connection) => connection
                .prepare_cached(sql)
                .and_then(|mut statement| statement.execute(rusqlite::params_from_iter(values)))
                .map(|rows| rows as u64)
                .map_err(Cause::from),
            Self::Postgres(session) => session.change(sql, values),
        }
        .map_err(self.failed(doing))
    }

    /// What lists are asked by.
    pub(super) fn statements(&self) -> &'static Statements {
        match self {
            Self::Sqlite(_) => &sqlite::STATEMENTS,
            Self::Postgres(_) => &postgres::STATEMENTS,
        }
    }

    pub(super) fn failed(&self, doing: &'static str) -> impl Fn(Cause) -> StoreError + use<> {
        let place = match self {
            Self::Sqlite(connection) => connection.path().unwrap_or_default().to_owned(),
            Self::Postgres(session) => session.place().to_owned(),
        };
        StoreError::database(place, doing)
    }
}

fn sqlite_select(
    connection: &rusqlite::Connection,
    sql: &str,
    values: &[Value<'_>],
) -> rusqlite::Result<Vec<Raw>> {
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(rusqlite::params_from_iter(values), |row| {
        Ok(Raw {
            id: row.get(0)?,
            version: row.get(1)?,
            body: row.get(2)?,
        })
    })?;
    rows.collect()
}
