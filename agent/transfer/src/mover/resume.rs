//! Items that an earlier run of the process was at: what is there may be what it wrote.

use std::time::Duration;

use datasync_endpoint::{
    Destination, EntryKind, ListedObject, ObjectState, SharedFile, Source, Timestamp,
};
use datasync_model::{OverwriteMode, TransferMode};

use super::asking::without;
use super::{Mover, Written, skip_failure};
use crate::extended;
use crate::journal::JournalError;
use crate::outcome::{ItemFailure, Outcome};
use crate::plan::{self, SINGLE_PUT_MAX, SkipReason};
use crate::walk::SourceEntry;

/// An item that left the merge in an earlier run of the process and was not finished.
#[derive(Debug, Clone)]
pub(crate) struct Resumed {
    pub(crate) entry: SourceEntry,
    /// Whether the destination had an object of its key when it left the merge.
    pub(crate) existed: bool,
    /// Whether an upload of it is known to have been begun.
    pub(crate) was_uploading: bool,
}

impl<S: Source, D: Destination> Mover<S, D> {
    /// As [`Mover::handle`], but goes on with an upload that was left open. An object that agrees with the entry and may be ours was perhaps
    /// never confirmed: its content is compared before it counts.
    pub(crate) async fn resume(
        &self,
        item: &Resumed,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let entry = &item.entry;
        if let Some(done) = self.go_on(entry).await? {
            return Ok(self.without_what_was_left_out(entry, done).await);
        }
        let found = match self.stat(&entry.key).await {
            Ok(Some(found)) => found,
            Ok(None) => return self.handle(entry, None, None).await,
            Err(error) => return Ok((Outcome::Failed(ItemFailure::of_destination(&error)), None)),
        };
        if self.is_of_others(entry, &found) {
            let copy = plan::Copy {
                storage_class: found.storage_class,
                ..plan::Copy::default()
            };
            return self.copy(entry, copy).await;
        }
        if self.may_be_ours(item, &found) && self.is_extended(entry, &found).await {
            let done = self.recognise(item, &found).await?;
            Ok(self.without_what_was_left_out(entry, done).await)
        } else {
            self.handle(entry, Some(&listed(entry, &found)), None).await
        }
    }

    /// Whether the object is a file that has other names too, which the source's file has not: it began
    /// since something was to be done about it, and memory of what that was is not at hand any more.
    fn is_of_others(&self, entry: &SourceEntry, found: &ObjectState) -> bool {
        let is_single = entry.node.attributes.nlink == 1;
        let may_replace = self.options.overwrite_mode == OverwriteMode::Always;
        is_single && may_replace && SharedFile::of_etag(&found.etag).is_some()
    }

    /// Whether an object that is as it should be, as far as HEAD tells, may be what was written
    /// before.
    fn may_be_ours(&self, item: &Resumed, found: &ObjectState) -> bool {
        let attributes = &item.entry.node.attributes;
        let is_file = attributes.kind == EntryKind::File;
        let was_written =
            !item.existed || item.was_uploading || !(is_file && attributes.size > SINGLE_PUT_MAX);
        let counts = match self.options.overwrite_mode {
            OverwriteMode::Never => !item.existed,
            OverwriteMode::Always => self.options.transfer_mode == TransferMode::Changed,
        };
        let agrees = self.wanted(attributes).agrees_with(&found.metadata)
            && (!is_file || found.size == attributes.size);
        was_written && counts && agrees
    }

    /// Whether an object has what its entry has beyond POSIX metadata.
    async fn is_extended(&self, entry: &SourceEntry, found: &ObjectState) -> bool {
        // What cannot be asked now is asked and reported by the copy.
        self.kept(entry).await.is_ok_and(|kept| {
            let (kinds, abilities) = (self.source.extended_kinds(), self.destination.abilities());
            let (wanted, found) = (kept.extended.as_deref(), found.extended.as_deref());
            extended::agrees(wanted, found, kinds, abilities)
        })
    }

    /// The end of an item that an earlier run of the process wrote, perhaps without all that it has.
    async fn without_what_was_left_out(
        &self,
        entry: &SourceEntry,
        done: (Outcome, Option<u64>),
    ) -> (Outcome, Option<u64>) {
        let left_out = match self.kept(entry).await {
            Ok(kept) => kept.left_out,
            Err(error) => Some(ItemFailure::of_source(&error)),
        };
        without(done, left_out)
    }

    async fn recognise(
        &self,
        item: &Resumed,
        found: &ObjectState,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let entry = &item.entry;
        let compared = match self.verifier.source_like(entry, found.checksum).await {
            Ok(source) => self
                .holds(&entry.key, found, &source)
                .await
                .map(|is_same| is_same.then_some(source.read)),
            Err(failure) => Err(failure),
        };
        let is_protected = self.options.overwrite_mode == OverwriteMode::Never;
        match compared {
            Ok(Some(_)) if item.existed => Ok((Outcome::Unchanged { learned: None }, None)),
            Ok(Some(content)) => {
                self.progress.recover(content.size);
                let written = Written {
                    content,
                    receipt: None,
                    took: Duration::ZERO,
                };
                let done = self.transferred(entry, written);
                Ok((done, Some(content.size)))
            }
            Ok(None) if is_protected => {
                let reason = skip_failure(SkipReason::OverwriteProtected);
                Ok((Outcome::Skipped(reason), None))
            }
            Err(failure) if is_protected => Ok((Outcome::Failed(failure), None)),
            Ok(None) | Err(_) => {
                let copy = plan::Copy {
                    storage_class: found.storage_class.clone(),
                    ..plan::Copy::default()
                };
                self.copy(entry, copy).await
            }
        }
    }
}

/// HEAD's answer as a listing's. Its date is unknown: the object counts as older than any file.
fn listed(entry: &SourceEntry, found: &ObjectState) -> ListedObject {
    ListedObject {
        key: entry.key.clone(),
        size: found.size,
        etag: found.etag.clone(),
        last_modified: Timestamp::default(),
        storage_class: found.storage_class.clone(),
    }
}
