//! The server, and a connection to it.

use std::collections::HashMap;
use std::future::poll_fn;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::{AsyncMessage, Client, Config, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::settings::Postgres;
use super::tls;
use crate::store::{Cause, StoreError};

/// For one address of the server, and for all of them.
const CONNECT_ONE_MAX: Duration = Duration::from_secs(5);
const CONNECT_MAX: Duration = Duration::from_secs(15);
/// For the answer to one statement. Longer than [`SETTINGS`] let the server work on it.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(30);
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);

/// A commit is durable before it is answered; no replica that is cut off holds up the others.
const SETTINGS: &str = "SET lock_timeout = '10s';
     SET statement_timeout = '25s';
     SET idle_in_transaction_session_timeout = '30s';
     SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off'";

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
            task,
        };
        within(ANSWER_MAX, link.client.batch_execute(SETTINGS)).await?;
        Ok(link)
    }
}

/// A connection and the task that carries it, which ends with it.
pub(super) struct Link {
    pub(super) client: Client,
    statements: HashMap<&'static str, Statement>,
    pub(super) task: JoinSet<()>,
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

impl Link {
    /// `sql` with its values as `?1`, prepared once.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn prepared(
        &mut self,
        sql: &'static str,
    ) -> Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(&sql.replace('?', "$")).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}
