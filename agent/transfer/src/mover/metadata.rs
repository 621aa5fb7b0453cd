//! New metadata for an object whose content is as it should be.

use datasync_endpoint::{Destination, ObjectState, PosixMetadata, ReadBack, Receipt, Source};

use tokio::time::Instant;

use super::Mover;
use crate::catalog::Entry;
use crate::journal::JournalError;
use crate::outcome::{ItemFailure, Outcome, Write};
use crate::plan;
use crate::uploads::UploadError;
use crate::waits::Wait;
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Mover<S, D> {
    /// Gives an object the entry's metadata, or copies the entry anew where that does not do.
    pub(super) async fn renew(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let attributes = &entry.node.attributes;
        let wanted = self.wanted(attributes);
        let in_flight = self.progress.begin(0);
        let began = Instant::now();
        let replaced = self.replace_metadata(entry, found, &wanted).await?;
        drop(in_flight);
        let Some(receipt) = replaced else {
            let copy = plan::Copy {
                only_if_absent: false,
                storage_class: found.storage_class.clone(),
            };
            return self.copy(entry, copy).await;
        };
        let content = (found.size, found.crc64);
        let took = began.elapsed();
        let learned = Entry::written(attributes, &wanted, content, &receipt, took);
        let write = Write {
            attributes: *attributes,
            size: found.size,
            is_content: false,
            crc64: found.crc64,
            checksum: receipt.checksum,
            version_id: receipt.version_id,
        };
        let done = Outcome::Transferred {
            bytes: 0,
            learned: learned.map(Box::new),
            write: Box::new(write),
        };
        Ok((done, Some(0)))
    }

    /// The receipt, if the metadata was replaced and the content is proven to be what it was;
    /// `None` if the item must be copied anew.
    async fn replace_metadata(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
        wanted: &PosixMetadata,
    ) -> Result<Option<Receipt>, JournalError> {
        let setting = self.set_metadata(entry, found, wanted);
        let receipt = match self.waits().during(Wait::Destination, setting).await {
            Ok(receipt) => receipt,
            Err(UploadError::Journal(error)) => return Err(error),
            Err(UploadError::Destination(error)) => {
                tracing::info!(%error, "metadata cannot be replaced alone: copying anew");
                return Ok(None);
            }
        };
        if let Err(unproven) = self.confirm_copy(entry, found, &receipt).await {
            let failure = unproven.failure;
            tracing::warn!(%failure, "content is not proven after new metadata: copying anew");
            return Ok(None);
        }
        Ok(Some(receipt))
    }

    async fn set_metadata(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
        wanted: &PosixMetadata,
    ) -> Result<Receipt, UploadError> {
        let (key, destination) = (&entry.key, &*self.destination);
        let set = || destination.set_metadata(key, found, wanted);
        if found.size <= destination.abilities().put_max {
            return Ok(self.attempts.run(set).await?);
        }
        let at_seconds = (self.now_seconds)();
        self.uploads
            .copy(key, at_seconds, destination, &self.attempts, set)
            .await
    }

    /// What is there now is compared with what was there, or with the source where the store has
    /// no checksum of that.
    async fn confirm_copy(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
        receipt: &Receipt,
    ) -> Result<(), ItemFailure> {
        if self.is_proof(receipt) {
            return Ok(());
        }
        let before = match found.crc64 {
            Some(crc64) => ReadBack {
                size: found.size,
                crc64,
            },
            None => self.verifier.source_content(entry).await?,
        };
        self.confirm(&entry.key, receipt, before).await
    }
}
