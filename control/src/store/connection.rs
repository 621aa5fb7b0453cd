//! A connection to one of the databases, and a transaction that is open on it.

use rusqlite::TransactionBehavior;

use super::postgres::{Begun, Session};
use super::sql::Sql;
use super::{Cause, StoreError};

#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(Box<Session>),
}

/// What transactions may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// See one state of the rows.
    Read,
    /// See one state of the rows and change it, alone among all writers of all processes.
    Write,
}

/// Rolled back if it is dropped.
#[derive(Debug)]
pub(super) enum Open<'a> {
    Sqlite(rusqlite::Transaction<'a>),
    Postgres(Begun<'a>),
}

impl Connection {
    /// # Errors
    /// [`StoreError::Database`]; nothing has been done then.
    pub(super) fn begin(&mut self, access: Access) -> Result<Open<'_>, StoreError> {
        let doing = "beginning a transaction";
        match self {
            Self::Sqlite(connection) => {
                let behavior = match access {
                    Access::Read => TransactionBehavior::Deferred,
                    Access::Write => TransactionBehavior::Immediate,
                };
                let failed = Sql::Sqlite(connection).failed(doing);
                let begun = connection.transaction_with_behavior(behavior);
                begun
                    .map(Open::Sqlite)
                    .map_err(|error| failed(error.into()))
            }
            Self::Postgres(session) => {
                let failed = Sql::Postgres(session).failed(doing);
                session.begin(access).map(Open::Postgres).map_err(failed)
            }
        }
    }
}

impl Open<'_> {
    pub(super) fn sql(&self) -> Sql<'_> {
        match self {
            Self::Sqlite(transaction) => Sql::Sqlite(transaction),
            Self::Postgres(begun) => Sql::Postgres(begun.session()),
        }
    }

    /// # Errors
    /// [`StoreError::Database`]; the outcome is unknown then.
    pub(super) fn commit(self) -> Result<(), StoreError> {
        let failed = self.sql().failed("committing a transaction");
        match self {
            Self::Sqlite(transaction) => transaction.commit().map_err(Cause::from),
            Self::Postgres(begun) => begun.commit(),
        }
        .map_err(failed)
    }
}
