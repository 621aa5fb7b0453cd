//! Multipart uploads of ours: announced before they exist, remembered until they are gone.

mod stray;

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use datasync_endpoint::{Destination, Effect, EndpointError, Key, PartReceipt, UploadId};

use crate::attempts::Attempts;
use crate::journal::{
    Begun, Filling, Intent, Journal, JournalError, PartMark, Record, State, Upload,
};
use stray::stray;

/// The uploads that may be open at the store, mirrored in the journal.
#[derive(Debug)]
pub(crate) struct Uploads {
    journal: Journal,
    open: Mutex<BTreeMap<Key, Upload>>,
    /// Those of an earlier run of the process that nobody went on with yet.
    fillings: Mutex<BTreeMap<Key, Filling>>,
    /// Those of earlier executions that may be open, as far as their ids are known.
    earlier: Mutex<HashSet<UploadId>>,
}

impl Uploads {
    /// Takes what the state tells of uploads that can be gone on with.
    pub(crate) fn new(journal: Journal, state: &mut State) -> Self {
        Self {
            journal,
            open: Mutex::new(state.uploads.clone()),
            fillings: Mutex::new(std::mem::take(&mut state.fillings)),
            earlier: Mutex::default(),
        }
    }

    /// Takes what earlier executions left open: none of these is taken for one whose id is not known.
    pub(crate) fn note_earlier<'a>(&self, owed: impl IntoIterator<Item = &'a Upload>) {
        let ids = owed.into_iter().filter_map(|upload| match upload {
            Upload::Open(id) => Some(id.clone()),
            Upload::Intended(_) => None,
        });
        let mut earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
        earlier.extend(ids);
    }

    /// The upload of `key` that was announced and whose id is not known, if there is one.
    async fn stray<D: Destination>(
        &self,
        key: &Key,
        intent: Intent,
        destination: &D,
        attempts: &Attempts,
    ) -> Result<Option<UploadId>, EndpointError> {
        let is_known = |id: &UploadId| {
            let earlier = self.earlier.lock().unwrap_or_else(PoisonError::into_inner);
            earlier.contains(id)
        };
        stray(key, intent, is_known, destination, attempts).await
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut BTreeMap<Key, Upload>) -> T) -> T {
        edit(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Announces and creates an upload; what an earlier one of the same key left open is aborted
    /// first.
    pub(crate) async fn create<D: Destination>(
        &self,
        key: &Key,
        begun: &Begun,
        at_seconds: i64,
        destination: &D,
        attempts: &Attempts,
    ) -> Result<UploadId, UploadError> {
        let intent = Intent {
            at_seconds,
            ..Intent::default()
        };
        let create = || destination.create_upload(key, &begun.header, begun.version.size);
        let upload = self
            .announced(key, intent, destination, attempts, create)
            .await?;
        self.opened(key, &upload, begun).await?;
        Ok(upload)
    }

    /// Announces `copy`, a call that makes an upload of its own, fills it and completes it. What it may
    /// have left open where it failed is aborted.
    pub(crate) async fn copy<D, T, F>(
        &self,
        key: &Key,
        at_seconds: i64,
        destination: &D,
        attempts: &Attempts,
        copy: impl Fn() -> F + Send + Sync,
    ) -> Result<T, UploadError>
    where
        D: Destination,
        F: Future<Output = Result<T, EndpointError>> + Send,
    {
        let intent = Intent {
            at_seconds,
            has_parts: true,
            ..Intent::default()
        };
        let copied = self
            .announced(key, intent, destination, attempts, copy)
            .await?;
        self.closed(key).await?;
        Ok(copied)
    }

    /// Makes a call that begins an upload. Before it is made again, and after the last failure,
    /// what an unanswered one may have left open is aborted: at any time at most one upload of
    /// a key is ours and has no known id.
    async fn announced<D, T, F>(
        &self,
        key: &Key,
        intent: Intent,
        destination: &D,
        attempts: &Attempts,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T, UploadError>
    where
        D: Destination,
        F: Future<Output = Result<T, EndpointError>> + Send,
    {
        self.abort(key, destination, attempts).await?;
        self.intend(key, intent).await?;
        let may_be_open = AtomicBool::new(false);
        let held = AtomicI64::new(0);
        let intent_by_now = || Intent {
            held_seconds: held.load(Ordering::Relaxed),
            ..intent
        };
        let called = attempts.run(|| async {
            let called = async {
                if may_be_open.load(Ordering::Relaxed) {
                    let stray = self.stray(key, intent_by_now(), destination, attempts);
                    if let Some(stray) = stray.await? {
                        destination.abort_upload(key, &stray).await?;
                    }
                    may_be_open.store(false, Ordering::Relaxed);
                }
                let called = call().await;
                if let Err(error) = &called
                    && (intent.has_parts || error.effect == Effect::Unknown)
                {
                    may_be_open.store(true, Ordering::Relaxed);
                }
                called
            };
            let called = called.await;
            if let Err(error) = &called {
                held.fetch_add(whole_seconds(error.held), Ordering::Relaxed);
            }
            called
        });
        let error = match called.await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !may_be_open.load(Ordering::Relaxed) {
            self.closed(key).await?;
            return Err(error.into());
        }
        if intent_by_now() != intent {
            // Whoever aborts it, also in a later execution, has to know.
            self.intend(key, intent_by_now()).await?;
        }
        if let Err(owed) = self.abort(key, destination, attempts).await {
            tracing::warn!(error = %owed, "an upload of ours may stay open for now");
        }
        Err(error.into())
    }

    /// Announces an upload; durable when it returns.
    async fn intend(&self, key: &Key, intent: Intent) -> Result<(), JournalError> {
        self.edit(|open| open.insert(key.clone(), Upload::Intended(intent)));
        self.journal
            .commit(Record::UploadIntent {
                key: key.clone(),
                intent,
            })
            .await
    }

    /// Remembers the id of an announced upload; durable when it returns.
    async fn opened(
        &self,
        key: &Key,
        upload: &UploadId,
        begun: &Begun,
    ) -> Result<(), JournalError> {
        self.edit(|open| open.insert(key.clone(), Upload::Open(upload.clone())));
        let record = Record::UploadOpen {
            key: key.clone(),
            upload: upload.clone(),
            begun: Some(Box::new(begun.clone())),
        };
        self.journal.commit(record).await
    }

    /// Remembers that the store has a part; a killed process does not send it again.
    pub(crate) async fn has_part(
        &self,
        key: &Key,
        receipt: &PartReceipt,
    ) -> Result<(), JournalError> {
        let Some(mark) = PartMark::of(receipt) else {
            return Ok(());
        };
        let record = Record::Part {
            key: key.clone(),
            number: receipt.number,
            mark,
        };
        self.journal.hand_over(record).await
    }

    /// The upload of `key` that an earlier run of the process left open, to go on with it. It is
    /// given once.
    pub(crate) fn take_filling(&self, key: &Key) -> Option<(UploadId, Filling)> {
        let mut fillings = self.fillings.lock().unwrap_or_else(PoisonError::into_inner);
        let filling = fillings.remove(key)?;
        match self.edit(|open| open.get(key).cloned())? {
            Upload::Open(id) => Some((id, filling)),
            Upload::Intended(_) => None,
        }
    }

    /// Forgets the parts of an upload that is only to be aborted.
    pub(crate) async fn give_up(&self, key: &Key) -> Result<(), JournalError> {
        let upload = self.edit(|open| open.get(key).cloned());
        let Some(Upload::Open(upload)) = upload else {
            return Ok(());
        };
        let key = key.clone();
        let begun = None;
        let record = Record::UploadOpen { key, upload, begun };
        self.journal.append(record).await
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

    /// Whether an upload of `key` may be open.
    pub(crate) fn is_open(&self, key: &Key) -> bool {
        self.edit(|open| open.contains_key(key))
    }

    /// Aborts the upload of `key`, if one may be open.
    pub(crate) async fn abort<D: Destination>(
        &self,
        key: &Key,
        destination: &D,
        attempts: &Attempts,
    ) -> Result<(), UploadError> {
        let upload = self.edit(|open| open.get(key).cloned());
        let Some(upload) = upload else {
            return Ok(());
        };
        self.abort_upload(key, upload, destination, attempts)
            .await?;
        Ok(self.closed(key).await?)
    }

    /// Aborts an upload that may be open, of this execution or an earlier one.
    pub(crate) async fn abort_upload<D: Destination>(
        &self,
        key: &Key,
        upload: Upload,
        destination: &D,
        attempts: &Attempts,
    ) -> Result<(), EndpointError> {
        let id = match upload {
            Upload::Open(id) => Some(id),
            Upload::Intended(intent) => {
                attempts
                    .run(|| self.stray(key, intent, destination, attempts))
                    .await?
            }
        };
        match id {
            Some(id) => attempts.run(|| destination.abort_upload(key, &id)).await,
            None => Ok(()),
        }
    }
}

/// Rounded up; nothing for less than one, which the tolerances cover.
fn whole_seconds(time: Duration) -> i64 {
    let seconds = if time < Duration::from_secs(1) {
        0
    } else {
        time.as_millis().div_ceil(1000)
    };
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum UploadError {
    #[error(transparent)]
    Destination(#[from] EndpointError),
    #[error(transparent)]
    Journal(#[from] JournalError),
}

#[cfg(test)]
mod tests;
