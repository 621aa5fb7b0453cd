//! What a database says when it does not do as it is told.

use std::error::Error;
use std::time::Duration;

/// Why a statement or a connection failed. Holds no password: neither driver repeats one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// SQLite's own words.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// PostgreSQL's, or its driver's.
    #[error("{}", with_sources(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// The server took the question and gave no answer.
    #[error("the server gave no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The connection was lost while it was in use.
    #[error("the connection was lost")]
    Lost,
    /// It could not be reached a moment ago, and it is too early to try again.
    #[error("{0}")]
    Away(String),
    /// It cannot hold control's rows.
    #[error("{0}")]
    Unsuitable(String),
    /// A defect of ours.
    #[error("a transaction that only reads cannot change a record")]
    ReadOnly,
}

/// The driver's texts leave out what lies beneath them.
fn with_sources(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text.replace('\n', "; ")
}
