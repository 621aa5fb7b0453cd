//! Files that go out as a multipart upload.

use std::collections::BTreeMap;

use datasync_endpoint::{
    Crc64, Destination, Effect, EndpointError, ErrorKind, Key, ObjectChecksum, PartReceipt,
    Payload, ReadBack, Receipt, Source, UploadId, WithoutExtended,
};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;

use super::recovered::Recovered;
use super::{Mover, TryError, Written, destination_error, source_error};
use crate::journal::{Begun, JournalError};
use crate::outcome::ItemFailure;
use crate::plan::{self, PartLayout};
use crate::progress::InFlight;
use crate::read::Version;
use crate::uploads::UploadError;
use crate::verify::SourceContent;
use crate::waits::Wait;
use crate::walk::SourceEntry;

/// Parts of one file in flight at most; how many requests are, the windows of the servers decide.
const PARTS_MAX: u64 = 64;

/// Parts of one file that are begun: what `memory` bytes hold, and one that waits for its place. A
/// file that is alone so has all of the memory for parts.
fn parts_in_flight(memory: u64, reserved_for_a_part: u64) -> usize {
    let held = memory / reserved_for_a_part.max(1);
    usize::try_from((held + 1).min(PARTS_MAX)).unwrap_or(1)
}

/// One part of one upload.
pub(super) struct Part<'a, S> {
    pub(super) key: &'a Key,
    pub(super) version: &'a Version<'a, S>,
    pub(super) upload: &'a UploadId,
    pub(super) number: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// An upload that is to be filled and completed.
pub(super) struct Filled {
    pub(super) id: UploadId,
    pub(super) begun: Begun,
    /// Parts that are there already, perhaps, by number.
    pub(super) parts: BTreeMap<u32, Recovered>,
    /// Whether an earlier run of the process began it.
    pub(super) is_earlier: bool,
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
        let limits = self.destination.abilities();
        let layout = PartLayout::of(attributes.size, limits.parts_max);
        let begun = Begun {
            version: attributes.fingerprint(),
            header: self.header(entry, &attributes, copy).await?,
            part: layout.part.min(limits.part_max),
        };
        let began = Instant::now();
        let upload = Filled {
            id: self.create_upload(key, &begun).await?,
            begun,
            parts: BTreeMap::new(),
            is_earlier: false,
        };
        match self.fill_upload(entry, &upload, in_flight).await {
            Ok((content, receipt)) => {
                let took = began.elapsed();
                self.end_upload(key, receipt.as_ref()).await?;
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

    /// Forgets an upload that was completed. Where what is there decided on that, and no answer, it may
    /// have been there before, and the upload be open still.
    pub(super) async fn end_upload(
        &self,
        key: &Key,
        receipt: Option<&Receipt>,
    ) -> Result<(), JournalError> {
        match receipt {
            Some(_) => self.uploads.closed(key).await,
            None => self.abandon_upload(key).await,
        }
    }

    /// Aborts an upload; one that cannot be aborted now stays on the list of those that are owed.
    pub(super) async fn abandon_upload(&self, key: &Key) -> Result<(), JournalError> {
        match self
            .uploads
            .abort(key, &*self.destination, &self.attempts)
            .await
        {
            Ok(()) => Ok(()),
            Err(UploadError::Journal(error)) => Err(error),
            Err(UploadError::Destination(error)) => {
                tracing::warn!(%error, "an upload of ours stays open for now");
                self.uploads.give_up(key).await
            }
        }
    }

    async fn create_upload(&self, key: &Key, begun: &Begun) -> Result<UploadId, TryError> {
        let at_seconds = (self.now_seconds)();
        let creating =
            self.uploads
                .create(key, begun, at_seconds, &*self.destination, &self.attempts);
        let created = self.waits().during(Wait::Destination, creating).await;
        created.map_err(|error| match error {
            UploadError::Journal(error) => TryError::Journal(error),
            UploadError::Destination(error) => destination_error(&error),
        })
    }

    /// Sends what is missing of an upload, and completes it.
    pub(super) async fn fill_upload(
        &self,
        entry: &SourceEntry,
        upload: &Filled,
        in_flight: &InFlight,
    ) -> Result<(ReadBack, Option<Receipt>), TryError> {
        let size = upload.begun.version.size;
        let layout = PartLayout {
            size,
            part: upload.begun.part,
        };
        let version = self.version(&entry.node.handle, upload.begun.version);
        let uploads = layout.parts().map(|(number, offset, length)| {
            let part = Part {
                key: &entry.key,
                version: &version,
                upload: &upload.id,
                number,
                offset,
                length,
            };
            self.settle_part(part, upload.parts.get(&number), in_flight)
        });
        let at_once = parts_in_flight(self.parts.total(), self.memory_of_part(layout.part));
        let mut parts: Vec<PartReceipt> = stream::iter(uploads)
            .buffer_unordered(at_once)
            .try_collect()
            .await?;
        parts.sort_by_key(|part| part.number);
        let stable = version.is_current(None).await;
        if !stable.map_err(|error| source_error(&error))? {
            return Err(TryError::Changed);
        }
        let sent = ReadBack {
            size,
            crc64: whole(&parts),
        };
        let receipt = self.complete(&entry.key, upload, &parts, sent).await?;
        Ok((sent, receipt))
    }

    /// Sees to it that a part is with the store and its receipt with the journal.
    async fn settle_part(
        &self,
        part: Part<'_, S>,
        recovered: Option<&Recovered>,
        in_flight: &InFlight,
    ) -> Result<PartReceipt, TryError> {
        let found = match recovered {
            Some(Recovered::Proven(receipt)) => Some(receipt.clone()),
            Some(Recovered::Told(told)) => match self.recognise_part(&part, told).await? {
                Some(receipt) => Some(self.keep_receipt(&part, receipt).await?),
                None => None,
            },
            None => None,
        };
        if let Some(receipt) = found {
            in_flight.recover(part.length);
            return Ok(receipt);
        }
        let receipt = self.move_part(&part).await?;
        in_flight.advance(part.length);
        Ok(receipt)
    }

    async fn move_part(&self, part: &Part<'_, S>) -> Result<PartReceipt, TryError> {
        let receipt = if plan::is_streamed(part.length, self.budget.total()) {
            self.stream_part(part).await?
        } else {
            self.send_part(part).await?
        };
        self.keep_receipt(part, receipt).await
    }

    async fn keep_receipt(
        &self,
        part: &Part<'_, S>,
        receipt: PartReceipt,
    ) -> Result<PartReceipt, TryError> {
        self.uploads.has_part(part.key, &receipt).await?;
        Ok(receipt)
    }

    async fn send_part(&self, part: &Part<'_, S>) -> Result<PartReceipt, TryError> {
        let reservation = self.reserve_part(part.length).await?;
        let range = part.version.range(part.offset, part.length);
        let range = self
            .waits()
            .during(Wait::Source, range)
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
        upload: &Filled,
        parts: &[PartReceipt],
        sent: ReadBack,
    ) -> Result<Option<Receipt>, TryError> {
        let header = &upload.begun.header;
        let completing = self.attempts.run(|| {
            self.destination
                .complete_upload(key, &upload.id, header, parts, sent.crc64)
        });
        let completed = self.waits().during(Wait::Destination, completing).await;
        match completed {
            Ok(receipt) => {
                self.confirm_written(key, &receipt, sent).await?;
                Ok(Some(receipt))
            }
            Err(error) if is_to_be_settled(&error, header.only_if_absent) => {
                let sent = SourceContent {
                    read: sent,
                    checksum: checksum_of_whole(parts),
                };
                self.settle(key, header, &sent, &error).await?;
                Ok(None)
            }
            // A part that the earlier process had sent may have come after the others were listed.
            Err(error) if upload.is_earlier && is_refused(&error) => {
                Err(TryError::Conflict(ItemFailure::of_destination(&error)))
            }
            Err(error) => Err(Box::pin(self.not_whole(key, &error, sent)).await),
        }
    }
}

/// The checksum of a file from those of its parts, which are in order.
pub(super) fn whole(parts: &[PartReceipt]) -> Crc64 {
    parts.iter().fold(Crc64::EMPTY, |whole, part| {
        whole.followed_by(part.crc64, part.length)
    })
}

/// The same of the checksums by which they were proven, where the store computes one of those.
pub(super) fn checksum_of_whole(parts: &[PartReceipt]) -> Option<ObjectChecksum> {
    ObjectChecksum::of_parts(parts.iter().filter_map(|part| part.checksum))
}

/// Whether the destination does not take the parts, so that nothing was put in its place.
fn is_refused(error: &EndpointError) -> bool {
    error.kind == ErrorKind::Invalid && WithoutExtended::receipt(error).is_none()
}

/// Whether what is there decides on a completion that failed. An upload that does not exist any
/// more may be one that an earlier, unanswered try completed; after a conflict S3 wants a new one.
fn is_to_be_settled(error: &EndpointError, only_if_absent: bool) -> bool {
    let is_conflict = matches!(error.kind, ErrorKind::Precondition | ErrorKind::Busy);
    error.effect == Effect::Unknown
        || error.kind == ErrorKind::NotFound
        || (only_if_absent && is_conflict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_as_many_parts_in_flight_as_memory_holds() {
        let part = 8 << 20;
        for (memory, parts) in [
            (0, 1),
            (part, 2),
            (3 * part, 4),
            (12 * part, 13),
            (1 << 40, 64),
        ] {
            assert_eq!(parts_in_flight(memory, part), parts, "{memory}");
        }
    }
}
