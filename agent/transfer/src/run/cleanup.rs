//! Uploads that must not stay open.

use std::path::Path;
use std::time::Duration;

use datasync_endpoint::{Destination, Source};
use datasync_model::Failure;
use futures::{StreamExt, stream};
use tokio::time::timeout;

use super::{Ended, Engine, name_owed};
use crate::journal;
use crate::uploads::UploadError;

const ABORTS_IN_FLIGHT: usize = 8;

impl<S: Source, D: Destination> Engine<S, D> {
    /// Aborts what an earlier run of the process left open.
    pub(super) async fn abort_leftovers(&self) -> Result<(), Ended> {
        for (key, _) in self.uploads.list() {
            match self
                .uploads
                .abort(&key, &*self.destination, &self.attempts)
                .await
            {
                Ok(()) => {}
                Err(UploadError::Journal(error)) => return Err(error.into()),
                Err(UploadError::Destination(error)) => {
                    tracing::warn!(%error, "an upload of an earlier run stays open for now");
                }
            }
        }
        Ok(())
    }

    /// Aborts every upload that may be open, for at most `time`; gives the keys of those that
    /// could not be aborted.
    pub(super) async fn abort_within(&self, time: Duration) -> Vec<String> {
        let keys: Vec<_> = self
            .uploads
            .list()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let aborts = stream::iter(keys).for_each_concurrent(ABORTS_IN_FLIGHT, |key| async move {
            if let Err(error) = self
                .uploads
                .abort(&key, &*self.destination, &self.attempts)
                .await
            {
                tracing::warn!(%error, %key, "an upload cannot be aborted");
            }
        });
        if timeout(time, aborts).await.is_err() {
            tracing::warn!("aborting uploads took too long");
        }
        self.uploads
            .list()
            .into_iter()
            .map(|(key, _)| key.to_string())
            .collect()
    }
}

/// The failure of an execution that ends without another [`run`](super::run): it names the uploads
/// that are open by the journal in `directory`, which is only read.
pub async fn with_open_uploads(failure: Failure, directory: &Path) -> Failure {
    match journal::replay(directory).await {
        Ok(state) => {
            let owed: Vec<_> = state.uploads.keys().map(ToString::to_string).collect();
            name_owed(Some(failure.clone()), &owed).unwrap_or(failure)
        }
        Err(error) => {
            let note = "multipart uploads that it began may still be open at the store";
            Failure::new(failure.code, format!("{}; {note}: {error}", failure.detail))
        }
    }
}
