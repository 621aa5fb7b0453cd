//! One connection to the server, for one thread: made anew when it breaks, bounded in every wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::error::{Severity, SqlState};
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::schema::migrate;
use super::settings::Postgres;
use super::tls;
use crate::store::connection::Access;
use crate::store::rows::Raw;
use crate::store::sql::Value;
use crate::store::{Cause, StoreError};

/// For one address of the server, and for all of them.
const CONNECT_ONE_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// After a failure nobody tries again so soon: whoever asks meanwhile hears of it at once.
const CONNECT_PAUSE: Duration = Duration::from_secs(1);
/// For the answer to one statement. Longer than [`SETTINGS`] let the server work on it.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const MIGRATION_MAX: Duration = Duration::from_secs(3600);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// A commit is durable before it is answered; no replica that is cut off holds up the others.
const SETTINGS: &str = "SET lock_timeout = '10s';
     SET statement_timeout = '25s';
     SET idle_in_transaction_session_timeout = '30s';
     SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off'";

const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Each statement after the lock sees what was committed before it.
const BEGIN_WRITE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
     SELECT version FROM records WHERE kind = 'meta' AND id = 'meta' FOR UPDATE";

const COMMIT: &str = "NOTIFY datasync_control; COMMIT";
/// Those who listen on it are told of commits of other processes.
pub(super) const CHANNEL: &str = "datasync_control";

/// The server, ready to be connected to.
pub(in crate::store) struct Target {
    config: Config,
    tls: MakeRustlsConnect,
    place: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// # Errors
    /// [`StoreError::Database`]: certificates that cannot be used.
    pub(in crate::store) fn new(settings: &Postgres) -> Result<Self, StoreError> {
        let place = settings.place();
        let tls = tls::connector(settings.ca())
            .map_err(StoreError::database(place.clone(), "setting up TLS"))?;
        let mut config = settings.config().clone();
        config
            .application_name("datasync-control")
            .connect_timeout(CONNECT_ONE_MAX)
            .keepalives_idle(KEEPALIVE_IDLE)
            .tcp_user_timeout(ANSWER_MAX)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(Self { config, tls, place })
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// `heard` is called for each notification.
    pub(super) async fn connect(&self, heard: impl Fn() + Send + 'static) -> Result<Link, Cause> {
        let connecting = self.config.connect(self.tls.clone());
        let connected = tokio::time::timeout(CONNECT_MAX, connecting).await;
        let (client, mut connection) = connected.map_err(|_| Cause::Silent(CONNECT_MAX))??;
        let encoding = connection.parameter("server_encoding").unwrap_or_default();
        if encoding != "UTF8" {
            return Err(Cause::Unsuitable(format!(
                "the database has the encoding {encoding}: make one with ENCODING 'UTF8'"
            )));
        }
        let mut task = JoinSet::new();
        task.spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(_) = message {
                    heard();
                }
            }
        });
        let link = Link {
            client,
            statements: HashMap::new(),
            _task: task,
        };
        within(ANSWER_MAX, link.client.batch_execute(SETTINGS)).await?;
        Ok(link)
    }
}

/// A connection and the task that carries it, which ends with it.
pub(super) struct Link {
    pub(super) client: Client,
    statements: HashMap<&'static str, Statement>,
    _task: JoinSet<()>,
}

pub(super) async fn within<T>(
    limit: Duration,
    question: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Cause> {
    match tokio::time::timeout(limit, question).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Cause::Silent(limit)),
    }
}

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
        let failed = StoreError::database(target.place.clone(), "connecting");
        let link = runtime.block_on(target.connect(|| {})).map_err(failed)?;
        if let Some(incarnation) = incarnation {
            let migrating = async {
                let migrated = migrate(&link.client, incarnation);
                tokio::time::timeout(MIGRATION_MAX, migrated).await
            };
            match runtime.block_on(migrating) {
                Ok(migrated) => migrated.map_err(|error| error.at(&target.place))?,
                Err(_) => {
                    let doing = "bringing the schema up to date";
                    let cause = Cause::Silent(MIGRATION_MAX);
                    return Err(StoreError::database(target.place.clone(), doing)(cause));
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
        &self.target.place
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

impl Link {
    async fn prepared(&mut self, sql: &'static str) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&sql.replace('?', "$")).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
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
