//! Bodies on their way into the in-memory store.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::Instant;

use super::objects::{BodySpan, Objects, Transit};
use super::script::{Aftermath, error};
use super::source::flipped;
use super::{MemoryDestination, Operation};
use crate::{Checksum, Crc64, EndpointError, ErrorKind, Integrity, Key, Pace, PartStream, Payload};

/// A body that was taken.
pub(super) struct Received {
    pub(super) body: Bytes,
    /// Of what was sent.
    pub(super) crc64: Crc64,
    /// What a store of [`Integrity::Checksum`] computed as the body came.
    pub(super) checksum: Option<Checksum>,
}

/// Bytes of a body that are with the store but not acknowledged.
struct Held<'a> {
    objects: &'a Mutex<Objects>,
    bytes: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .held -= self.bytes;
    }
}

/// A body that is under way.
struct Open<'a> {
    objects: &'a Mutex<Objects>,
    opened: Instant,
    bytes: u64,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.bodies.push(BodySpan {
            opened: self.opened,
            closed: Instant::now(),
            bytes: self.bytes,
        });
    }
}

impl MemoryDestination {
    fn open(&self, bytes: u64) -> Open<'_> {
        Open {
            objects: &self.objects,
            opened: Instant::now(),
            bytes,
        }
    }

    fn hold(&self, bytes: u64) -> Held<'_> {
        let mut objects = self.lock();
        objects.held += bytes;
        objects.held_max = objects.held_max.max(objects.held);
        Held {
            objects: &self.objects,
            bytes,
        }
    }

    /// Takes a chunk as a socket would.
    async fn take(&self, chunk: &[u8], pace: &Arc<dyn Pace>, body: &mut BytesMut) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let wanted = rest.len().min(pace.slice_max().max(1));
            let length = match pace.clone().grant(wanted) {
                Some(grant) => grant.await.min(wanted),
                None => wanted,
            };
            let (slice, more) = rest.split_at(length);
            body.extend_from_slice(slice);
            rest = more;
            self.lock().transits.push(Transit {
                at: Instant::now(),
                bytes: length as u64,
            });
        }
    }

    /// Takes a body.
    pub(super) async fn receive(
        &self,
        operation: Operation,
        key: &Key,
        payload: &Payload,
        aftermath: &Aftermath,
    ) -> Result<Received, EndpointError> {
        let (open, held) = (self.open(payload.length), self.hold(payload.length));
        let mut body = BytesMut::new();
        for chunk in &payload.chunks {
            let chunk = aftermath.uncut(chunk, body.len(), payload.length);
            self.take(chunk, &payload.pace, &mut body).await;
        }
        drop((open, held));
        if aftermath.cut {
            return Err(error(operation, key.as_str(), ErrorKind::Unreachable));
        }
        if body.len() as u64 != payload.length {
            return Err(error(operation, key.as_str(), ErrorKind::Invalid));
        }
        let body = if aftermath.flip_sent {
            flipped(&body.freeze())
        } else {
            body.freeze()
        };
        self.checked((operation, key), body, payload.crc64, aftermath)
    }

    /// Takes a body that is read meanwhile.
    pub(super) async fn receive_stream(
        &self,
        key: &Key,
        part: PartStream,
        aftermath: &Aftermath,
    ) -> Result<Received, EndpointError> {
        let fail = |kind| error(Operation::UploadPart, key.as_str(), kind);
        let PartStream {
            mut chunks,
            length,
            pace,
        } = part;
        let open = self.open(length);
        let mut body = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| fail(ErrorKind::Unreachable))?;
            let held = self.hold(chunk.len() as u64);
            let chunk = aftermath.uncut(&chunk, body.len(), length);
            self.take(chunk, &pace, &mut body).await;
            drop(held);
        }
        drop(open);
        if aftermath.cut {
            return Err(fail(ErrorKind::Unreachable));
        }
        if body.len() as u64 != length {
            return Err(fail(ErrorKind::Invalid));
        }
        let body = if aftermath.flip_sent {
            flipped(&body.freeze())
        } else {
            body.freeze()
        };
        let sent = Crc64::of(&body);
        self.checked((Operation::UploadPart, key), body, sent, aftermath)
    }

    /// What is stored of a body, unless its checksum is refused.
    fn checked(
        &self,
        (operation, key): (Operation, &Key),
        mut body: Bytes,
        sent: Crc64,
        aftermath: &Aftermath,
    ) -> Result<Received, EndpointError> {
        if aftermath.flip {
            body = flipped(&body);
        }
        let crc64 = Crc64::of(&body);
        if crc64 != sent && self.abilities.integrity != Integrity::ReadBack {
            return Err(error(operation, key.as_str(), ErrorKind::ChecksumRefused));
        }
        let algorithm = self.abilities.integrity.algorithm();
        let checksum = algorithm.map(|algorithm| Checksum::of(algorithm, &body));
        if aftermath.flip_stored {
            body = flipped(&body);
        }
        Ok(Received {
            body,
            crc64: sent,
            checksum,
        })
    }
}
