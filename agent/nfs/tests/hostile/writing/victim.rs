//! The destination that is deceived.

use std::sync::atomic::{AtomicU64, Ordering};

use datasync_endpoint::{Crc64, Destination, Key};
use datasync_model::NfsVersion;
use datasync_nfs::NfsDestination;
use tempfile::TempDir;

use super::changes::{Change, Trial};
use crate::server::{Server, config, server};

pub(crate) struct Writer {
    pub(crate) server: Server,
    pub(crate) destination: NfsDestination,
    trials: AtomicU64,
    _log: TempDir,
}

impl Writer {
    /// A destination that was opened while the server was honest.
    pub(crate) async fn open(version: NfsVersion) -> Self {
        Self::open_on(server(version).await, version).await
    }

    pub(crate) async fn open_on(server: Server, version: NfsVersion) -> Self {
        let log = tempfile::tempdir().unwrap();
        let config = config(&server, version);
        let path = log.path().join("times");
        let destination = Box::pin(NfsDestination::open(config, &path)).await.unwrap();
        Self {
            destination,
            server,
            trials: AtomicU64::default(),
            _log: log,
        }
    }

    /// A trial in a directory of its own, with what must be there before.
    pub(crate) async fn prepare(&self, change: Change) -> Trial {
        let number = self.trials.fetch_add(1, Ordering::Relaxed);
        Box::pin(Trial::prepare(change, &self.destination, number)).await
    }

    /// Whether reading back finds what was sent.
    pub(crate) async fn reads_back(&self, trial: &Trial) -> bool {
        let key = Key::from_listing(trial.path.clone());
        let content = trial.change.content();
        let read = Box::pin(self.destination.read_back(&key)).await.unwrap();
        (read.size, read.crc64) == (content.len() as u64, Crc64::of(&content))
    }

    /// Everything is as it was once the server is honest again.
    pub(crate) async fn assert_recovered(&self) {
        self.server.be_honest();
        self.server.disk().before = None;
        for change in Change::ALL {
            let trial = self.prepare(change).await;
            trial.run(&self.destination).await.unwrap();
            assert!(trial.is_kept(&self.server.disk()), "{change:?}");
        }
    }
}
