//! A database for one test, of either kind.

use tempfile::TempDir;

use crate::store::test_server::{Server, settings};
use crate::store::{DATABASE_FILE, Store, StoreError};

pub(crate) struct Bed<'a> {
    directory: TempDir,
    server: Option<(&'a Server, String)>,
}

impl<'a> Bed<'a> {
    pub(crate) fn sqlite() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            server: None,
        }
    }

    pub(crate) fn postgres(server: &'a Server) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            server: Some((server, server.new_database())),
        }
    }

    pub(crate) fn open(&self) -> Store {
        self.open_as("incarnation-1").unwrap()
    }

    pub(crate) fn open_as(&self, incarnation: &str) -> Result<Store, StoreError> {
        match &self.server {
            None => Store::open(self.directory.path(), incarnation),
            Some((_, url)) => {
                let opened =
                    Store::connect(&settings(url), incarnation, |_| Ok::<_, StoreError>(()));
                opened.map(|(store, ())| store)
            }
        }
    }

    /// Statements by hand, past the store.
    pub(crate) fn sql(&self, statements: &str) {
        match &self.server {
            None => {
                let file = self.directory.path().join(DATABASE_FILE);
                let sql = rusqlite::Connection::open(file).unwrap();
                sql.execute_batch(statements).unwrap();
            }
            Some((server, url)) => {
                let name = url.trim_start_matches("postgresql:///");
                let (name, _) = name.split_once('?').unwrap();
                server.psql(name, statements);
            }
        }
    }

    /// Says that a newer release has been here.
    pub(crate) fn raise_schema(&self) {
        self.sql(match self.server {
            None => "PRAGMA user_version = 99",
            Some(_) => "UPDATE datasync_schema SET version = 99",
        });
    }
}

/// One test each on SQLite; all of them with one server on PostgreSQL.
macro_rules! contract {
    ($($name:ident),+ $(,)?) => {
        mod on_sqlite {
            use super::Bed;
            $(#[tokio::test]
            async fn $name() {
                Box::pin(super::$name(&Bed::sqlite())).await;
            })+
        }

        #[tokio::test]
        async fn on_postgresql_all_of_it() {
            let server = $crate::store::test_server::Server::start();
            $(Box::pin($name(&Bed::postgres(&server))).await;)+
        }
    };
}
pub(crate) use contract;
