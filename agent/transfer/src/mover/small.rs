//! Objects that go out in one request: small files, links, directories.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, Crc64, Destination, EndpointError, ErrorKind, ObjectHasher, Pace, Payload,
    ReadBack, Source,
};
use datasync_model::ErrorCode;
use tokio::time::Instant;

use super::pace::Counted;
use super::{Mover, TryError, Written, source_error};
use crate::budget::{Budget, Reservation};
use crate::outcome::ItemFailure;
use crate::plan;
use crate::verify::{SourceContent, hashed};
use crate::waits::Wait;
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Mover<S, D> {
    pub(super) async fn copy_small(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
    ) -> Result<Written, TryError> {
        let attributes = entry.node.attributes;
        let size = attributes.size;
        let reservation = self.reserve(size).await?;
        let version = self.version(&entry.node.handle, attributes.fingerprint());
        let range = self
            .waits()
            .during(Wait::Source, version.range(0, size))
            .await
            .map_err(|error| self.read_error(error))?;
        let stable = version
            .is_current(range.attributes)
            .await
            .map_err(|error| source_error(&error))?;
        if !stable {
            return Err(TryError::Changed);
        }
        let written = self
            .put(entry, &attributes, copy, range.chunks, range.crc64)
            .await?;
        drop(reservation);
        Ok(written)
    }

    pub(super) async fn copy_link(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
    ) -> Result<Written, TryError> {
        let read = self
            .attempts
            .run(|| self.source.read_link(&entry.node.handle));
        let target = self
            .waits()
            .during(Wait::Source, read)
            .await
            .map_err(|error| source_error(&error))?;
        let crc64 = Crc64::of(&target);
        let chunks = if target.is_empty() {
            Vec::new()
        } else {
            vec![target]
        };
        self.put(entry, &entry.node.attributes, copy, chunks, crc64)
            .await
    }

    pub(super) async fn put_empty(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
    ) -> Result<Written, TryError> {
        self.put(
            entry,
            &entry.node.attributes,
            copy,
            Vec::new(),
            Crc64::EMPTY,
        )
        .await
    }

    async fn put(
        &self,
        entry: &SourceEntry,
        attributes: &Attributes,
        copy: &plan::Copy,
        chunks: Vec<Bytes>,
        crc64: Crc64,
    ) -> Result<Written, TryError> {
        let header = self.header(entry, attributes, copy).await?;
        let length = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        let key = &entry.key;
        let content = ReadBack {
            size: length,
            crc64,
        };
        let began = Instant::now();
        let put = self
            .send(length, |pace| {
                let payload = Payload {
                    chunks: chunks.clone(),
                    length,
                    crc64,
                    pace,
                };
                self.destination.put(key, &header, payload)
            })
            .await;
        let took = began.elapsed();
        let receipt = match put {
            Ok(receipt) => {
                if !self.is_proof(&receipt) {
                    Box::pin(self.confirm_written(key, &receipt, content)).await?;
                }
                Some(receipt)
            }
            // What is there may be our own object: an earlier try that was not answered.
            Err(error) if header.only_if_absent && error.kind == ErrorKind::Precondition => {
                let sent = self.sent(content, &chunks).await;
                Box::pin(self.settle(key, &header, &sent, &error)).await?;
                None
            }
            Err(error) => return Err(Box::pin(self.not_whole(key, &error, content)).await),
        };
        Ok(Written {
            content,
            receipt,
            took,
        })
    }

    /// A content that was sent in one request, with the checksum that the store proves it by.
    async fn sent(&self, read: ReadBack, chunks: &[Bytes]) -> SourceContent {
        let algorithm = self.destination.abilities().integrity.algorithm();
        let hasher = algorithm.map(|algorithm| ObjectHasher::new(algorithm, None));
        let checksum = match hasher {
            Some(hasher) => Some(hashed(hasher, chunks).await.finish()),
            None => None,
        };
        SourceContent { read, checksum }
    }

    /// Makes a request with a body of `length` bytes, when it is the body's turn. Memory is
    /// reserved before: who waits for memory holds up no body.
    pub(super) async fn send<T, F>(
        &self,
        length: u64,
        request: impl Fn(Arc<dyn Pace>) -> F + Send + Sync,
    ) -> Result<T, EndpointError>
    where
        F: Future<Output = Result<T, EndpointError>> + Send,
    {
        let stream = self.limiter.stream(length);
        // Not in the time of the attempts: no request has been made yet.
        self.waits().during(Wait::Admission, stream.admit()).await;
        let pace: Arc<dyn Pace> = Arc::new(Counted::new(stream.clone(), self.waits().clone()));
        let sent = self.attempts.run(|| async {
            let asked_at = Instant::now();
            self.waits().during(Wait::Grant, stream.admit()).await;
            let waited = asked_at.elapsed();
            let answer = request(pace.clone()).await;
            answer.map_err(|error| error.held_for(waited))
        });
        self.waits().during(Wait::Destination, sent).await
    }

    /// Reserves memory for bytes that are about to be read.
    pub(super) async fn reserve(&self, bytes: u64) -> Result<Reservation, TryError> {
        let reserving = reserved(&self.budget, bytes);
        self.waits().during(Wait::Memory, reserving).await
    }

    /// Reserves memory for a part of `length` bytes: first of what parts may have, so that those
    /// that wait do not stand before small files.
    pub(super) async fn reserve_part(
        &self,
        length: u64,
    ) -> Result<(Reservation, Reservation), TryError> {
        let bytes = self.memory_of_part(length);
        let sharing = reserved(&self.parts, bytes);
        let share = self.waits().during(Wait::Memory, sharing).await?;
        Ok((share, self.reserve(bytes).await?))
    }
}

async fn reserved(budget: &Budget, bytes: u64) -> Result<Reservation, TryError> {
    budget.reserve(bytes).await.map_err(|error| {
        TryError::Failed(ItemFailure::new(
            ErrorCode::NotSupported,
            format!("{error}: give the agent a larger memory_target"),
        ))
    })
}
