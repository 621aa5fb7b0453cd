//! New metadata for an object whose content is as it should be.

use datasync_endpoint::{
    Destination, ExtendedMetadata, ObjectState, PosixMetadata, ReadBack, Receipt, Source,
    WithoutExtended,
};

use tokio::time::Instant;

use super::Mover;
use crate::catalog::Entry;
use crate::journal::JournalError;
use crate::outcome::{ItemFailure, Outcome, Write};
use crate::plan;
use crate::uploads::UploadError;
use crate::waits::Wait;
use crate::walk::SourceEntry;

/// What became of new metadata.
enum Replaced {
    Done(Receipt),
    /// The item must be copied anew.
    Anew,
    /// The destination does not take it, and would not by a copy either.
    Failed(ItemFailure),
}

impl<S: Source, D: Destination> Mover<S, D> {
    /// Gives an object the entry's metadata, or copies the entry anew where that does not do.
    pub(super) async fn renew(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<(Outcome, Option<u64>), JournalError> {
        let attributes = &entry.node.attributes;
        let wanted = self.wanted(attributes);
        let in_flight = self.progress.begin(0);
        let began = Instant::now();
        let replacing = self.replace_metadata(entry, found, (&wanted, extended));
        let replaced = replacing.await?;
        drop(in_flight);
        let receipt = match replaced {
            Replaced::Done(receipt) => receipt,
            Replaced::Failed(failure) => return Ok((Outcome::Failed(failure), Some(0))),
            Replaced::Anew => {
                let copy = plan::Copy {
                    storage_class: found.storage_class.clone(),
                    ..plan::Copy::default()
                };
                return self.copy(entry, copy).await;
            }
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

    /// Replaces the metadata, and makes sure that the content is what it was.
    async fn replace_metadata(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
        wanted: (&PosixMetadata, Option<&ExtendedMetadata>),
    ) -> Result<Replaced, JournalError> {
        let setting = self.set_metadata(entry, found, wanted);
        let receipt = match self.waits().during(Wait::Destination, setting).await {
            Ok(receipt) => receipt,
            Err(UploadError::Journal(error)) => return Err(error),
            Err(UploadError::Destination(error)) if WithoutExtended::receipt(&error).is_some() => {
                return Ok(Replaced::Failed(ItemFailure::of_destination(&error)));
            }
            Err(UploadError::Destination(error)) => {
                tracing::info!(%error, "metadata cannot be replaced alone: copying anew");
                return Ok(Replaced::Anew);
            }
        };
        if let Err(unproven) = self.confirm_copy(entry, found, &receipt).await {
            let failure = unproven.failure;
            tracing::warn!(%failure, "content is not proven after new metadata: copying anew");
            return Ok(Replaced::Anew);
        }
        Ok(Replaced::Done(receipt))
    }

    async fn set_metadata(
        &self,
        entry: &SourceEntry,
        found: &ObjectState,
        (wanted, extended): (&PosixMetadata, Option<&ExtendedMetadata>),
    ) -> Result<Receipt, UploadError> {
        let (key, destination) = (&entry.key, &*self.destination);
        let set = || destination.set_metadata(key, found, wanted, extended);
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
