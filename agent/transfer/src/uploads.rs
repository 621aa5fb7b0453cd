//! Multipart uploads of ours: announced before they exist, remembered until they are gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use datasync_endpoint::{Destination, Effect, EndpointError, Key, ObjectHeader, UploadId};

use crate::attempts::Attempts;
use crate::journal::{Journal, JournalError, Record, Upload};

/// The uploads that may be open at the store, mirrored in the journal.
#[derive(Debug)]
pub(crate) struct Uploads {
    journal: Journal,
    open: Mutex<BTreeMap<Key, Upload>>,
}

impl Uploads {
    pub(crate) fn new(journal: Journal, open: BTreeMap<Key, Upload>) -> Self {
        Self {
            journal,
            open: Mutex::new(open),
        }
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut BTreeMap<Key, Upload>) -> T) -> T {
        edit(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Announces and creates an upload of `size` bytes; what an earlier one of the same key left
    /// open is aborted first.
    pub(crate) async fn create<D: Destination>(
        &self,
        key: &Key,
        (header, size): (&ObjectHeader, u64),
        at_seconds: i64,
        destination: &D,
        attempts: &Attempts,
    ) -> Result<UploadId, UploadError> {
        self.abort(key, destination, attempts).await?;
        self.intend(key, at_seconds).await?;
        let unanswered = AtomicBool::new(false);
        let created = attempts.run(|| async {
            if unanswered.load(Ordering::Relaxed) {
                for stray in ours(key, at_seconds, destination).await? {
                    destination.abort_upload(key, &stray).await?;
                }
                unanswered.store(false, Ordering::Relaxed);
            }
            let created = destination.create_upload(key, header, size).await;
            if created
                .as_ref()
                .is_err_and(|error| error.effect == Effect::Unknown)
            {
                unanswered.store(true, Ordering::Relaxed);
            }
            created
        });
        match created.await {
            Ok(upload) => {
                self.opened(key, &upload).await?;
                Ok(upload)
            }
            Err(error) => {
                if !unanswered.load(Ordering::Relaxed) {
                    self.closed(key).await?;
                } else if let Err(owed) = self.abort(key, destination, attempts).await {
                    tracing::warn!(error = %owed, "an upload of ours may stay open for now");
                }
                Err(error.into())
            }
        }
    }

    /// Announces an upload; durable when it returns.
    async fn intend(&self, key: &Key, at_seconds: i64) -> Result<(), JournalError> {
        self.edit(|open| open.insert(key.clone(), Upload::Intended { at_seconds }));
        self.journal
            .commit(Record::UploadIntent {
                key: key.clone(),
                at_seconds,
            })
            .await
    }

    /// Remembers the id of an announced upload; durable when it returns.
    async fn opened(&self, key: &Key, upload: &UploadId) -> Result<(), JournalError> {
        self.edit(|open| open.insert(key.clone(), Upload::Open(upload.clone())));
        let record = Record::UploadOpen {
            key: key.clone(),
            upload: upload.clone(),
        };
        self.journal.commit(record).await
    }

    /// Forgets an upload that is completed or aborted.
    pub(crate) async fn closed(&self, key: &Key) -> Result<(), JournalError> {
        self.edit(|open| open.remove(key));
        self.journal
            .append(Record::UploadClosed { key: key.clone() })
            .await
    }

    /// The uploads that may be open.
    pub(crate) fn list(&self) -> Vec<(Key, Upload)> {
        self.edit(|open| {
            open.iter()
                .map(|(key, upload)| (key.clone(), upload.clone()))
                .collect()
        })
    }

    /// Aborts the upload of `key`, if one may be open. Of uploads whose id is not known, those of
    /// exactly this key that began after the announcement are ours.
    pub(crate) async fn abort<D: Destination>(
        &self,
        key: &Key,
        destination: &D,
        attempts: &Attempts,
    ) -> Result<(), UploadError> {
        let upload = self.edit(|open| open.get(key).cloned());
        let ids = match upload {
            None => return Ok(()),
            Some(Upload::Open(id)) => vec![id],
            Some(Upload::Intended { at_seconds }) => {
                attempts.run(|| ours(key, at_seconds, destination)).await?
            }
        };
        for id in ids {
            attempts.run(|| destination.abort_upload(key, &id)).await?;
        }
        Ok(self.closed(key).await?)
    }
}

/// The open uploads of exactly this key that began after the announcement.
async fn ours<D: Destination>(
    key: &Key,
    at_seconds: i64,
    destination: &D,
) -> Result<Vec<UploadId>, EndpointError> {
    let open = destination.open_uploads(key).await?.into_iter();
    Ok(open
        .filter(|found| found.initiated.seconds >= at_seconds - CLOCK_TOLERANCE_SECONDS)
        .map(|found| found.id)
        .collect())
}

/// How far the store's clock may be behind ours, in seconds.
const CLOCK_TOLERANCE_SECONDS: i64 = 300;

#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Destination(#[from] EndpointError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}
