//! Uploads that must not stay open.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use datasync_endpoint::{Destination, Key, Source};
use datasync_model::Failure;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::{Ended, Engine, name_owed};
use crate::journal::{self, JournalError, State, Upload};
use crate::owed::{self, OwedAbort};
use crate::uploads::UploadError;

const ABORTS_IN_FLIGHT: usize = 8;
/// How long the beginning of an execution may take to abort uploads of earlier ones.
const EARLIER_TIME: Duration = Duration::from_secs(5);

impl<S: Source, D: Destination> Engine<S, D> {
    /// Tries to abort what earlier runs of the process and earlier executions of the pair left
    /// open, for at most [`EARLIER_TIME`] each. The uploads of pending items are theirs.
    pub(super) async fn abort_earlier(&mut self, state: &State) -> Result<(), Ended> {
        let pending: BTreeSet<Key> = state.pending.values().map(|p| p.key.clone()).collect();
        self.abort_leftovers(&pending).await?;
        self.abort_owed(&pending).await;
        Ok(())
    }

    async fn abort_leftovers(&self, pending: &BTreeSet<Key>) -> Result<(), Ended> {
        let open = self.uploads.list();
        let left = open.into_iter().filter(|(key, _)| !pending.contains(key));
        let aborts = stream::iter(left)
            .map(|(key, _)| async move {
                let aborted = self
                    .uploads
                    .abort(&key, &*self.destination, &self.attempts)
                    .await;
                match aborted {
                    Err(UploadError::Destination(error)) => {
                        tracing::warn!(%error, "an upload of an earlier run stays open for now");
                        Ok(())
                    }
                    Err(UploadError::Journal(error)) => Err(Ended::from(error)),
                    Ok(()) => Ok(()),
                }
            })
            .buffer_unordered(ABORTS_IN_FLIGHT)
            .try_collect();
        timeout(EARLIER_TIME, aborts).await.unwrap_or_else(|_| {
            tracing::warn!("aborting uploads of earlier runs took too long");
            Ok(())
        })
    }

    async fn abort_owed(&mut self, pending: &BTreeSet<Key>) {
        let Some(file) = &self.settings.owed_aborts_file else {
            return;
        };
        match owed::claim(file, &self.directory.join(owed::CLAIMED_FILE)).await {
            Ok(claimed) => self.owed = claimed,
            Err(error) => {
                tracing::warn!(%error, "uploads of earlier executions stay open for now");
                return;
            }
        }
        self.uploads
            .note_earlier(self.owed.iter().map(|entry| &entry.upload));
        self.retry_owed(pending, EARLIER_TIME).await;
    }

    /// Tries to abort what earlier executions left open, for at most `time`. What was away at the
    /// beginning may answer at the end.
    pub(super) async fn retry_owed(&mut self, pending: &BTreeSet<Key>, time: Duration) {
        let gone = Mutex::new(BTreeSet::new());
        let (engine, gone_now) = (&*self, &gone);
        let entries: Vec<_> = engine.owed.iter().cloned().enumerate().collect();
        let aborts = stream::iter(entries).for_each_concurrent(
            ABORTS_IN_FLIGHT,
            |(index, OwedAbort { key, upload })| async move {
                // Of two uploads of a key, one without a known id could be taken for the other.
                if engine.uploads.is_open(&key) || pending.contains(&key) {
                    return;
                }
                let aborted = engine
                    .uploads
                    .abort_upload(&key, upload, &*engine.destination, &engine.attempts)
                    .await;
                match aborted {
                    Ok(()) => {
                        let mut gone = gone_now.lock().unwrap_or_else(PoisonError::into_inner);
                        gone.insert(index);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an upload of an earlier execution stays open");
                    }
                }
            },
        );
        if timeout(time, aborts).await.is_err() {
            tracing::warn!("aborting uploads of earlier executions took too long");
        }
        let gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut index = 0..;
        self.owed
            .retain(|_| index.next().is_none_or(|index| !gone.contains(&index)));
    }

    /// Aborts every upload that may be open, for at most `time`; gives those that could not be
    /// aborted.
    pub(super) async fn abort_open(&self, time: Duration) -> Vec<OwedAbort> {
        let open = self.uploads.list();
        let aborts =
            stream::iter(open).for_each_concurrent(ABORTS_IN_FLIGHT, |(key, _)| async move {
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
        owed_of(self.uploads.list())
    }

    /// Leaves what could not be aborted to the next execution of the pair.
    pub(super) async fn pass_on(&self, new: Vec<OwedAbort>) {
        let Some(file) = &self.settings.owed_aborts_file else {
            return;
        };
        remember(file, &[&self.owed[..], &new[..]].concat()).await;
    }
}

fn owed_of(uploads: impl IntoIterator<Item = (Key, Upload)>) -> Vec<OwedAbort> {
    let uploads = uploads.into_iter();
    uploads
        .map(|(key, upload)| OwedAbort { key, upload })
        .collect()
}

fn keys_of(owed: &[OwedAbort]) -> Vec<String> {
    owed.iter().map(|entry| entry.key.to_string()).collect()
}

fn log_forgotten(error: &io::Error, file: &Path, owed: &[OwedAbort]) {
    tracing::error!(
        %error,
        file = %file.display(),
        keys = ?keys_of(owed),
        "uploads may stay open that no later execution will abort"
    );
}

/// The failure of an execution that ends without another [`run`](super::run): it names the uploads
/// that are open by the journal in `directory`, which is only read, and leaves them to the next
/// execution of the pair in `owed_aborts_file`.
pub async fn with_open_uploads(
    failure: Failure,
    directory: &Path,
    owed_aborts_file: Option<&Path>,
) -> Failure {
    match journal::replay(directory).await {
        Ok(state) => {
            let owed = owed_of(state.uploads);
            if let Some(file) = owed_aborts_file {
                remember(file, &all_owed(directory, &owed).await).await;
            }
            name_owed(Some(failure.clone()), &owed).unwrap_or(failure)
        }
        Err(error) => unread(&failure, &error),
    }
}

/// The same for an execution that somebody else carries out from now on, at the same keys: an upload
/// whose id was never learnt cannot be told from one of theirs. Nobody aborts it; the log names it.
pub async fn let_go(failure: Failure, directory: &Path, owed_aborts_file: &Path) -> Failure {
    let began = match journal::replay(directory).await {
        Ok(state) => owed_of(state.uploads),
        Err(error) => return unread(&failure, &error),
    };
    let (known, unknown): (Vec<_>, Vec<_>) = all_owed(directory, &began)
        .await
        .into_iter()
        .partition(|owed| matches!(owed.upload, Upload::Open(_)));
    if !unknown.is_empty() {
        tracing::warn!(
            keys = ?keys_of(&unknown),
            "an upload of each key may stay open: its id is not known, and it cannot be told from \
             one of the agent that has the execution now"
        );
    }
    remember(owed_aborts_file, &known).await;
    name_owed(Some(failure.clone()), &began).unwrap_or(failure)
}

/// `failure` of an execution whose journal cannot be read.
fn unread(failure: &Failure, error: &JournalError) -> Failure {
    let note = "multipart uploads that it began may still be open at the store";
    Failure::new(failure.code, format!("{}; {note}: {error}", failure.detail))
}

/// What the execution of `directory` `began`, after what it had claimed.
async fn all_owed(directory: &Path, began: &[OwedAbort]) -> Vec<OwedAbort> {
    let claimed = directory.join(owed::CLAIMED_FILE);
    let mut all = match owed::claimed(&claimed).await {
        Ok(claimed) => claimed,
        Err(error) => {
            log_forgotten(&error, &claimed, &[]);
            Vec::new()
        }
    };
    all.extend_from_slice(began);
    all
}

async fn remember(file: &Path, owed: &[OwedAbort]) {
    if let Err(error) = owed::remember(file, owed).await {
        log_forgotten(&error, file, owed);
    }
}
