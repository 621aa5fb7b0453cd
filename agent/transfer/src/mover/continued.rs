//! Uploads that an earlier run of the process began: only what is missing is sent.

use std::sync::Arc;
use std::time::Duration;

use datasync_endpoint::{
    ChecksumHasher, Crc64Hasher, Destination, ErrorKind, PartReceipt, ReadBack, Source, StoredPart,
    UploadId,
};
use futures::{TryStreamExt, pin_mut};
use tokio::time::Instant;

use super::large::{Filled, Part, checksum_of_whole, whole};
use super::recovered::{all_receipts, recovered};
use super::{Mover, TryError, Written, destination_error, skip_failure};
use crate::journal::{Begun, Filling, JournalError};
use crate::outcome::Outcome;
use crate::plan::{PartLayout, SkipReason};
use crate::progress::InFlight;
use crate::read::stream_range;
use crate::verify::SourceContent;
use crate::waits::Wait;
use crate::walk::SourceEntry;

/// An upload of an earlier run.
struct Earlier {
    id: UploadId,
    filling: Filling,
    layout: PartLayout,
}

impl<S: Source, D: Destination> Mover<S, D> {
    /// Goes on with the upload that was left open of an item. `None`: the item is to be begun
    /// anew, and the upload, if there was one, is aborted.
    pub(super) async fn go_on(
        &self,
        entry: &SourceEntry,
    ) -> Result<Option<(Outcome, Option<u64>)>, JournalError> {
        let earlier = self
            .uploads
            .take_filling(&entry.key)
            .filter(|(_, filling)| self.is_of(entry, &filling.begun));
        let Some((id, filling)) = earlier else {
            self.abandon_upload(&entry.key).await?;
            return Ok(None);
        };
        let layout = PartLayout {
            size: filling.begun.version.size,
            part: filling.begun.part.max(1),
        };
        let earlier = Earlier {
            id,
            filling,
            layout,
        };
        let in_flight = self.progress.begin(layout.size);
        let done = match self.complete_earlier(entry, earlier, &in_flight).await {
            Ok(Some(written)) => {
                self.end_upload(&entry.key, written.receipt.as_ref())
                    .await?;
                let done = self.transferred(entry, written);
                return Ok(Some((done, Some(layout.size))));
            }
            Err(TryError::Journal(error)) => return Err(error),
            Err(TryError::Failed(failure)) => Some(Outcome::Failed(failure)),
            Err(TryError::Exists) => {
                let reason = SkipReason::OverwriteProtected;
                Some(Outcome::Skipped(skip_failure(reason)))
            }
            Ok(None) | Err(TryError::Changed | TryError::Stale | TryError::Conflict(_)) => None,
        };
        in_flight.restart();
        self.abandon_upload(&entry.key).await?;
        Ok(done.map(|outcome| (outcome, Some(layout.size))))
    }

    /// Whether an upload is of the version of the file that is there now.
    fn is_of(&self, entry: &SourceEntry, begun: &Begun) -> bool {
        let attributes = &entry.node.attributes;
        attributes.fingerprint() == begun.version
            && self.wanted(attributes).agrees_with(&begun.header.metadata)
    }

    /// `None` if the upload is gone and its object is not there either.
    async fn complete_earlier(
        &self,
        entry: &SourceEntry,
        earlier: Earlier,
        in_flight: &InFlight,
    ) -> Result<Option<Written>, TryError> {
        let began = Instant::now();
        let listing = self
            .attempts
            .run(|| self.destination.parts(&entry.key, &earlier.id));
        let stored = match self.waits().during(Wait::Destination, listing).await {
            Ok(stored) => stored,
            Err(error) if error.kind == ErrorKind::NotFound => {
                let written = self.completed_before(entry, &earlier).await?;
                if let Some(written) = &written {
                    in_flight.recover(written.content.size);
                }
                return Ok(written);
            }
            Err(error) => return Err(destination_error(&error)),
        };
        let Earlier {
            id,
            filling,
            layout,
        } = earlier;
        let filled = Filled {
            parts: recovered(layout, &filling.parts, &stored),
            begun: filling.begun,
            id,
            is_earlier: true,
        };
        let (content, receipt) = self.fill_upload(entry, &filled, in_flight).await?;
        Ok(Some(Written {
            content,
            receipt,
            took: began.elapsed(),
        }))
    }

    /// The upload is gone: perhaps it was completed just before the process ended. Its receipts
    /// tell what the object has to be.
    async fn completed_before(
        &self,
        entry: &SourceEntry,
        earlier: &Earlier,
    ) -> Result<Option<Written>, TryError> {
        let Some(receipts) = all_receipts(earlier.layout, &earlier.filling.parts) else {
            return Ok(None);
        };
        let read = ReadBack {
            size: earlier.layout.size,
            crc64: whole(&receipts),
        };
        let content = SourceContent {
            read,
            checksum: checksum_of_whole(&receipts),
        };
        let found = self.stat(&entry.key).await;
        let metadata = earlier.filling.begun.header.metadata;
        let alike = found
            .map_err(|error| destination_error(&error))?
            .filter(|found| found.size == read.size && metadata.agrees_with(&found.metadata));
        let Some(found) = alike else {
            return Ok(None);
        };
        // What is not proven here is compared with its source next.
        let is_ours = matches!(self.holds(&entry.key, &found, &content).await, Ok(true));
        Ok(is_ours.then_some(Written {
            content: read,
            receipt: None,
            took: Duration::ZERO,
        }))
    }

    /// The receipt of a part that the store has, if its checksum is that of the source's bytes,
    /// which are read again.
    pub(super) async fn recognise_part(
        &self,
        part: &Part<'_, S>,
        told: &StoredPart,
    ) -> Result<Option<PartReceipt>, TryError> {
        let reservation = self.reserve(self.stream_window()).await?;
        let chunks = stream_range(
            Arc::clone(&self.source),
            part.version.file.clone(),
            part.version.fingerprint,
            (part.offset, part.length),
            Arc::clone(&self.attempts),
        );
        pin_mut!(chunks);
        let mut hasher = Crc64Hasher::default();
        let mut of_algorithm = told
            .checksum
            .map(|told| ChecksumHasher::new(told.algorithm()));
        let read = async {
            while let Some(chunk) = chunks.try_next().await? {
                hasher.update(&chunk);
                if let Some(hasher) = &mut of_algorithm {
                    hasher.update(&chunk);
                }
            }
            Ok(())
        };
        let read = self.waits().during(Wait::Source, read).await;
        read.map_err(|error| self.read_error(error))?;
        drop(reservation);
        let crc64 = hasher.finish();
        let checksum = of_algorithm.map(ChecksumHasher::finish);
        let receipt = PartReceipt {
            number: part.number,
            etag: told.etag.clone(),
            crc64,
            checksum,
            length: part.length,
        };
        let is_told = told.crc64.is_some() || told.checksum.is_some();
        let is_same = told.crc64.is_none_or(|told| told == crc64) && told.checksum == checksum;
        Ok((is_told && is_same).then_some(receipt))
    }
}
