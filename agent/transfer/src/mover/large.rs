//! Files that go out as a multipart upload.

use datasync_endpoint::{
    Attributes, Crc64, Destination, Effect, EndpointError, ErrorKind, Key, ObjectHeader,
    PartReceipt, Payload, ReadBack, Receipt, Source, UploadId,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::{Mover, TryError, Written, destination_error, source_error};
use crate::plan::{self, PartLayout};
use crate::progress::InFlight;
use crate::read::Version;
use crate::uploads::UploadError;
use crate::walk::SourceEntry;

/// Parts of one file in flight; memory may allow fewer.
const PARTS_IN_FLIGHT: usize = 8;

/// One part of one upload.
pub(super) struct Part<'a, S> {
    pub(super) key: &'a Key,
    pub(super) version: &'a Version<'a, S>,
    pub(super) upload: &'a UploadId,
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl<S: Source, D: Destination> Mover<S, D> {
    pub(super) async fn copy_large(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
        in_flight: &InFlight,
    ) -> Result<Written, TryError> {
        let attributes = self
            .attempts
            .run(|| self.source.attributes(&entry.node.handle))
            .await
            .map_err(|error| source_error(&error))?;
        if attributes.fingerprint() != entry.node.attributes.fingerprint() {
            return Err(TryError::Changed);
        }
        let key = &entry.key;
        let header = self.header(&attributes, copy);
        let began = Instant::now();
        let upload = self.create_upload(key, &header, attributes.size).await?;
        match self
            .fill_upload(entry, &attributes, &header, &upload, in_flight)
            .await
        {
            Ok((content, receipt)) => {
                let took = began.elapsed();
                self.uploads.closed(key).await?;
                Ok(Written {
                    content,
                    receipt,
                    took,
                })
            }
            Err(error) => {
                self.abandon_upload(key).await?;
                Err(error)
            }
        }
    }

    /// Aborts an upload; one that cannot be aborted now stays on the list of those that are owed.
    async fn abandon_upload(&self, key: &Key) -> Result<(), TryError> {
        match self
            .uploads
            .abort(key, &*self.destination, &self.attempts)
            .await
        {
            Ok(()) => Ok(()),
            Err(UploadError::Journal(error)) => Err(TryError::Journal(error)),
            Err(UploadError::Destination(error)) => {
                tracing::warn!(%error, "an upload of ours stays open for now");
                Ok(())
            }
        }
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, TryError> {
        let at_seconds = (self.now_seconds)();
        let created = self
            .uploads
            .create(
                key,
                (header, size),
                at_seconds,
                &*self.destination,
                &self.attempts,
            )
            .await;
        created.map_err(|error| match error {
            UploadError::Journal(error) => TryError::Journal(error),
            UploadError::Destination(error) => destination_error(&error),
        })
    }

    async fn fill_upload(
        &self,
        entry: &SourceEntry,
        attributes: &Attributes,
        header: &ObjectHeader,
        upload: &UploadId,
        in_flight: &InFlight,
    ) -> Result<(ReadBack, Option<Receipt>), TryError> {
        let limits = self.destination.abilities();
        let layout = PartLayout::of(attributes.size, limits.parts_max);
        let version = self.version(&entry.node.handle, attributes.fingerprint());
        let uploads = layout.parts().map(|(number, offset, length)| {
            let part = Part {
                key: &entry.key,
                version: &version,
                upload,
                number,
                offset,
                length,
            };
            self.move_part(part, in_flight)
        });
        let mut parts: Vec<PartReceipt> = stream::iter(uploads)
            .buffer_unordered(PARTS_IN_FLIGHT)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.number);
        let stable = version.is_current(None).await;
        if !stable.map_err(|error| source_error(&error))? {
            return Err(TryError::Changed);
        }
        let whole = parts.iter().fold(Crc64::EMPTY, |whole, part| {
            whole.followed_by(part.crc64, part.length)
        });
        let sent = ReadBack {
            size: attributes.size,
            crc64: whole,
        };
        let receipt = self
            .complete(&entry.key, upload, header, &parts, sent)
            .await?;
        Ok((sent, receipt))
    }

    async fn move_part(
        &self,
        part: Part<'_, S>,
        in_flight: &InFlight,
    ) -> Result<PartReceipt, TryError> {
        let receipt = if plan::is_streamed(part.length, self.budget.total()) {
            self.stream_part(&part).await?
        } else {
            self.send_part(&part).await?
        };
        in_flight.advance(part.length);
        Ok(receipt)
    }

    async fn send_part(&self, part: &Part<'_, S>) -> Result<PartReceipt, TryError> {
        let reservation = self.reserve(part.length).await?;
        let range = part
            .version
            .range(part.offset, part.length)
            .await
            .map_err(|error| self.read_error(error))?;
        let receipt = self
            .send(part.length, |pace| {
                let payload = Payload {
                    chunks: range.chunks.clone(),
                    length: part.length,
                    crc64: range.crc64,
                    pace,
                };
                self.destination
                    .upload_part(part.key, part.upload, part.number, payload)
            })
            .await
            .map_err(|error| destination_error(&error))?;
        drop(reservation);
        // What the whole is compared with comes from the bytes that were read, not from the store.
        Ok(PartReceipt {
            crc64: range.crc64,
            length: part.length,
            ..receipt
        })
    }

    /// Completes an upload; where that was refused or not answered, what is there decides.
    async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        sent: ReadBack,
    ) -> Result<Option<Receipt>, TryError> {
        let completed = self
            .attempts
            .run(|| {
                self.destination
                    .complete_upload(key, upload, header, parts, sent.crc64)
            })
            .await;
        match completed {
            Ok(receipt) => {
                self.confirm_written(key, &receipt, sent).await?;
                Ok(Some(receipt))
            }
            Err(error) if is_to_be_settled(&error, header.only_if_absent) => {
                self.settle(key, header, sent, &error).await?;
                Ok(None)
            }
            Err(error) => Err(destination_error(&error)),
        }
    }
}

/// Whether what is there decides on a completion that failed. An upload that does not exist any
/// more may be one that an earlier, unanswered try completed; after a conflict S3 wants a new one.
fn is_to_be_settled(error: &EndpointError, only_if_absent: bool) -> bool {
    let is_conflict = matches!(error.kind, ErrorKind::Precondition | ErrorKind::Busy);
    error.effect == Effect::Unknown
        || error.kind == ErrorKind::NotFound
        || (only_if_absent && is_conflict)
}
