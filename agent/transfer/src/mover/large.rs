//! Files that go out as a multipart upload.

use datasync_endpoint::{
    Attributes, Crc64, Destination, Effect, EndpointError, ErrorKind, Key, ObjectHeader,
    PartReceipt, Payload, ReadBack, Receipt, Source, UploadId,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::streamed::StreamedPart;
use super::{Mover, TryError, Written, destination_error, source_error};
use crate::plan::{self, PartLayout};
use crate::progress::InFlight;
use crate::read::{is_unchanged, read_range};
use crate::uploads::UploadError;
use crate::walk::SourceEntry;

/// Parts of one file in flight; memory may allow fewer.
const PARTS_IN_FLIGHT: usize = 8;

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
        let uploads = layout.parts().map(|(number, offset, length)| {
            self.move_part(entry, attributes, upload, number, offset, length, in_flight)
        });
        let mut parts: Vec<PartReceipt> = stream::iter(uploads)
            .buffer_unordered(PARTS_IN_FLIGHT)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.number);
        let fingerprint = attributes.fingerprint();
        let file = &entry.node.handle;
        if !is_unchanged(&*self.source, file, &fingerprint, None, &self.attempts)
            .await
            .map_err(|error| source_error(&error))?
        {
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
        self.confirm(&entry.key, &receipt, sent).await?;
        Ok((sent, Some(receipt)))
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one part is described by all of these"
    )]
    async fn move_part(
        &self,
        entry: &SourceEntry,
        attributes: &Attributes,
        upload: &UploadId,
        number: u32,
        offset: u64,
        length: u64,
        in_flight: &InFlight,
    ) -> Result<PartReceipt, TryError> {
        let fingerprint = attributes.fingerprint();
        let file = &entry.node.handle;
        if plan::is_streamed(length, self.budget.total()) {
            let part = StreamedPart {
                key: &entry.key,
                file,
                fingerprint,
                upload,
                number,
                range: (offset, length),
            };
            let receipt = self.stream_part(&part).await?;
            in_flight.advance(length);
            return Ok(receipt);
        }
        let reservation = self.reserve(length).await?;
        let range = read_range(
            &*self.source,
            file,
            &fingerprint,
            offset,
            length,
            &self.attempts,
        )
        .await
        .map_err(|error| self.read_error(error))?;
        let crc64 = range.crc64;
        let payload = Payload {
            chunks: range.chunks,
            length,
            crc64,
            pace: self.pace(),
        };
        let receipt = self
            .attempts
            .run(|| {
                self.destination
                    .upload_part(&entry.key, upload, number, payload.clone())
            })
            .await
            .map_err(|error| destination_error(&error))?;
        drop(reservation);
        in_flight.advance(length);
        // What the whole is compared with comes from the bytes that were read, not from the store.
        Ok(PartReceipt {
            crc64,
            length,
            ..receipt
        })
    }

    /// Completes an upload; where the reply was lost, the store is asked what became of it.
    async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        sent: ReadBack,
    ) -> Result<Receipt, TryError> {
        let completed = self
            .attempts
            .run(|| {
                self.destination
                    .complete_upload(key, upload, header, parts, sent.crc64)
            })
            .await;
        let error = match completed {
            Ok(receipt) => return Ok(receipt),
            Err(error) => error,
        };
        // What is there may be our own object: an earlier try that was not answered.
        let refused = header.only_if_absent && error.kind == ErrorKind::Precondition;
        if !refused && !is_uncertain(&error) {
            return Err(destination_error(&error));
        }
        let found = self
            .attempts
            .run(|| self.destination.stat(key))
            .await
            .map_err(|error| destination_error(&error))?;
        match found {
            Some(found)
                if found.size == sent.size
                    && header.metadata.agrees_with(&found.metadata)
                    && (!refused || found.crc64 == Some(sent.crc64)) =>
            {
                let vouched = found.crc64 == Some(sent.crc64);
                Ok(Receipt {
                    etag: found.etag,
                    version_id: None,
                    vouched,
                    date: None,
                })
            }
            _ if refused => Err(TryError::Exists),
            _ => Err(destination_error(&error)),
        }
    }
}

/// An upload that does not exist any more may be one that an earlier, unanswered try completed.
fn is_uncertain(error: &EndpointError) -> bool {
    error.effect == Effect::Unknown || error.kind == ErrorKind::NotFound
}
