//! One connection to the server, for one thread: made anew when it breaks, bounded in every wait.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;

use super::schema::migrate;
use super::target::{ANSWER_MAX, Link, Target, within};
use crate::store::connection::Access;
use crate::store::rows::Raw;
use crate::store::sql::Value;
use crate::store::{Cause, StoreError};

/// After a failure nobody tries again so soon: whoever asks meanwhile hears of it at once.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);
const MIGRATION_MAX: Duration = Duration::from_secs(3600);
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Each statement after the lock sees what was committed before it.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
     SELECT version FROM records WHERE kind = 'meta' AND id = 'meta' FOR UPDATE";

/// Those who listen on [`CHANNEL`](super::target::CHANNEL) are told.
const COMMIT: &str = "NOTIFY datasync_control; COMMIT";

/// A connection as one thread uses it.
pub(in crate::store) struct Session {
    // Before the runtime that its task runs on.
    link: RefCell<Option<Link>>,
    runtime: Runtime,
    target: Arc<Target>,
    failed: Option<(Instant, String)>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// Connects; with an `incarnation`, brings the schema up to date as well.
    ///
    /// # Errors
    /// [`StoreError`] with the server's words.
    pub(in crate::store) fn open(
        target: Arc<Target>,
        incarnation: Option<&str>,
    ) -> Result<Self, StoreError> {
        let runtime = runtime()?;
        let failed = StoreError::database(target.place().to_owned(), "connecting");
        let link = runtime.block_on(target.connect(|| {})).map_err(failed)?;
        if let Some(incarnation) = incarnation {
            let migrating = async {
                let migrated = migrate(&link.client, incarnation);
                tokio::time::timeout(MIGRATION_MAX, migrated).await
            };
            match runtime.block_on(migrating) {
                Ok(migrated) => migrated.map_err(|error| error.at(target.place()))?,
                Err(_) => {
                    let doing = "bringing the schema up to date";
                    let cause = Cause::Silent(MIGRATION_MAX);
                    return Err(StoreError::database(target.place().to_owned(), doing)(
                        cause,
                    ));
                }
            }
        }
        Ok(Self {
            link: RefCell::new(Some(link)),
            runtime,
            target,
            failed: None,
        })
    }

    pub(in crate::store) fn place(&self) -> &str {
        self.target.place()
    }

    /// A connection that broke since it was used last is replaced first: nothing was under way.
    ///
    /// # Errors
    /// [`Cause`]; no transaction is open then.
    pub(in crate::store) fn begin(&mut self, access: Access) -> Result<Begun<'_>, Cause> {
        if self.link.borrow().is_some() {
            match self.try_begin(access) {
                Err(_) if self.link.borrow().is_none() => {}
                tried => return tried.map(|()| Begun::new(self)),
            }
        }
        self.reconnect()?;
        self.try_begin(access).map(|()| Begun::new(self))
    }

    fn try_begin(&self, access: Access) -> Result<(), Cause> {
        let begin = match access {
            Access::Read => BEGIN_READ,
            Access::Write => BEGIN_WRITE,
        };
        self.execute(begin).inspect_err(|_| self.roll_back())
    }

    fn reconnect(&mut self) -> Result<(), Cause> {
        if let Some((at, why)) = &self.failed
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(Cause::Away(why.clone()));
        }
        match self.runtime.block_on(self.target.connect(|| {})) {
            Ok(link) => {
                self.failed = None;
                *self.link.borrow_mut() = Some(link);
                Ok(())
            }
            Err(cause) => {
                self.failed = Some((Instant::now(), cause.to_string()));
                Err(cause)
            }
        }
    }

    fn execute(&self, statements: &'static str) -> Result<(), Cause> {
        self.ask(async |link: &mut Link| link.client.batch_execute(statements).await)
    }

    pub(in crate::store) fn select(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Raw>, Cause> {
        let values = parameters(values);
        self.ask(async |link: &mut Link| {
            let statement = link.prepared(sql).await?;
            let rows = link.client.query(&statement, &values).await?;
            let raw = |row: tokio_postgres::Row| {
                Ok(Raw {
                    id: row.try_get(0)?,
                    version: row.try_get(1)?,
                    body: row.try_get(2)?,
                })
            };
            rows.into_iter().map(raw).collect()
        })
    }

    pub(in crate::store) fn change(
        &self,
        sql: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, Cause> {
        let values = parameters(values);
        self.ask(async |link: &mut Link| {
            let statement = link.prepared(sql).await?;
            link.client.execute(&statement, &values).await
        })
    }

    /// A connection that does not answer, or that the server ends, is given up.
    fn ask<T>(
        &self,
        question: impl AsyncFnOnce(&mut Link) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Cause> {
        let mut place = self.link.borrow_mut();
        let link = place.as_mut().ok_or(Cause::Lost)?;
        let answer = self
            .runtime
            .block_on(async { within(ANSWER_MAX, question(link)).await });
        if answer.as_ref().is_err_and(breaks) {
            *place = None;
        }
        answer
    }

    fn roll_back(&self) {
        if self.link.borrow().is_some() && self.execute("ROLLBACK").is_err() {
            // The server rolls back what was open on a connection that ends.
            *self.link.borrow_mut() = None;
        }
    }
}

fn parameters<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(Value::as_postgres).collect()
}

/// Whether the connection is of no more use.
fn breaks(cause: &Cause) -> bool {
    let Cause::Postgres(error) = cause else {
        return true;
    };
    match error.as_db_error() {
        None => true,
        Some(error) => {
            matches!(
                error.parsed_severity(),
                Some(Severity::Fatal | Severity::Panic) | None
            ) || *error.code() == SqlState::READ_ONLY_SQL_TRANSACTION
        }
    }
}

pub(super) fn runtime() -> Result<Runtime, StoreError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StoreError::Thread)
}

/// An open transaction. Rolled back if it is dropped.
#[derive(Debug)]
pub(in crate::store) struct Begun<'a> {
    session: &'a Session,
    open: bool,
}

impl<'a> Begun<'a> {
    fn new(session: &'a Session) -> Self {
        Self {
            session,
            open: true,
        }
    }

    pub(in crate::store) fn session(&self) -> &'a Session {
        self.session
    }

    /// # Errors
    /// [`Cause`]; the outcome is unknown then.
    pub(in crate::store) fn commit(mut self) -> Result<(), Cause> {
        // A commit after a failed statement would roll back and say nothing; but raising the
        // generation has just succeeded.
        self.session.execute(COMMIT)?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if self.open {
            self.session.roll_back();
        }
    }
}
