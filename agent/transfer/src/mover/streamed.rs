//! Parts that memory is not to hold: read while they are sent.
//!
//! A window is reserved as a whole before the first READ; the checksum is known after the last
//! byte. Another try reads the source again, in the same version.

use std::sync::{Arc, Mutex, PoisonError};

use datasync_endpoint::{
    BrokenOff, Crc64Hasher, Destination, EndpointError, ErrorKind, Pace, PartReceipt, PartStream,
    Source,
};
use datasync_model::ErrorCode;
use futures::{StreamExt, stream};

use super::large::Part;
use super::{Mover, TryError, destination_error};
use crate::outcome::ItemFailure;
use crate::plan;
use crate::read::{ReadError, STREAM_READS, stream_range};
use crate::waits::Wait;

/// Beside the READs in flight: the reply that is being sent, and one that the sender has buffered.
const REPLIES_IN_HAND: u64 = 2;

/// What is known of the bytes that went by.
#[derive(Debug, Default)]
struct Passed {
    hasher: Crc64Hasher,
    failure: Option<ReadError>,
}

impl<S: Source, D: Destination> Mover<S, D> {
    /// Bytes that a part of `length` needs in memory.
    pub(super) fn memory_of_part(&self, length: u64) -> u64 {
        if !plan::is_streamed(length, self.budget.total()) {
            return length;
        }
        self.stream_window()
    }

    pub(super) async fn stream_part(&self, part: &Part<'_, S>) -> Result<PartReceipt, TryError> {
        let reservation = self.reserve_part(part.length).await?;
        let read_failure = Mutex::new(None);
        let failed = &read_failure;
        let sent = self
            .send(part.length, |pace| async move {
                let passed = Arc::new(Mutex::new(Passed::default()));
                let body = self.body(part, Arc::clone(&passed), pace);
                let sent = self
                    .destination
                    .stream_part(part.key, part.upload, part.number, body)
                    .await;
                let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
                match (sent, passed.failure.take()) {
                    (Ok(receipt), None) => Ok((receipt, passed.hasher.finish())),
                    (Err(error), None) => Err(error),
                    (_, Some(failure)) => {
                        *failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
                        Err(not_read(part))
                    }
                }
            })
            .await;
        drop(reservation);
        let read_failure = read_failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = read_failure {
            return Err(self.read_error(failure));
        }
        let (receipt, crc64) = sent.map_err(|error| destination_error(&error))?;
        if (receipt.crc64, receipt.length) == (crc64, part.length) {
            return Ok(receipt);
        }
        Err(TryError::Failed(ItemFailure::new(
            ErrorCode::ChecksumMismatch,
            format!(
                "damaged on the way: part {}: {} bytes with CRC-64/NVME {:016x} were sent, {} bytes with {:016x} were read",
                part.number, receipt.length, receipt.crc64.0, part.length, crc64.0
            ),
        )))
    }

    /// What reading a part piece by piece holds at once, in bytes.
    pub(super) fn stream_window(&self) -> u64 {
        let read_max = u64::from(self.source.read_max().max(1));
        read_max.saturating_mul(STREAM_READS + REPLIES_IN_HAND)
    }

    fn body(
        &self,
        part: &Part<'_, S>,
        passed: Arc<Mutex<Passed>>,
        pace: Arc<dyn Pace>,
    ) -> PartStream {
        let chunks = stream_range(
            Arc::clone(&self.source),
            part.version.file.clone(),
            part.version.fingerprint,
            (part.offset, part.length),
            Arc::clone(&self.attempts),
        );
        let waits = self.waits().clone();
        let chunks = stream::unfold(Box::pin(chunks), move |mut chunks| {
            let waits = waits.clone();
            async move {
                let chunk = waits.during(Wait::SourceInBody, chunks.next()).await?;
                Some((chunk, chunks))
            }
        });
        let chunks = chunks.map(move |chunk| {
            let mut passed = passed.lock().unwrap_or_else(PoisonError::into_inner);
            match chunk {
                Ok(chunk) => {
                    passed.hasher.update(&chunk);
                    Ok(chunk)
                }
                Err(failure) => {
                    passed.failure = Some(failure);
                    Err(BrokenOff)
                }
            }
        });
        PartStream {
            chunks: Box::pin(chunks),
            length: part.length,
            pace,
        }
    }
}

/// Ends the attempts: the READs had their own.
fn not_read<S>(part: &Part<'_, S>) -> EndpointError {
    let target = format!("{} part {}", part.key.as_str().escape_debug(), part.number);
    EndpointError::new(ErrorKind::Invalid, "READ", target, BrokenOff.to_string())
}
