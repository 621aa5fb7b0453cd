//! A request body, over buffers in memory or read as it goes, that asks for a grant before each slice.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::{
    BrokenOff, ChecksumHasher, Chunks, Crc64Hasher, Grant, Pace, PartStream, Payload,
};
use http_body::{Body, Frame, SizeHint};
use md5::{Digest as _, Md5};
use tokio::time::Instant;

use crate::sums::{Proof, Sum};

/// No slice is larger, so that progress shows on slow links, in bytes.
const SLICE_MAX: usize = 256 * 1024;

/// When a body last moved.
#[derive(Debug)]
pub(crate) struct Progress {
    started: Instant,
    moved_ms: AtomicU64,
    waits_for_grant: AtomicBool,
}

impl Progress {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            started: Instant::now(),
            moved_ms: AtomicU64::new(0),
            waits_for_grant: AtomicBool::new(false),
        })
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn moved(&self) {
        self.moved_ms.store(self.elapsed_ms(), Ordering::Relaxed);
        self.waits_for_grant.store(false, Ordering::Relaxed);
    }

    fn waits(&self) {
        self.waits_for_grant.store(true, Ordering::Relaxed);
    }

    /// Resolves once nothing has moved for `limit`. Waiting for a grant is no stall.
    pub(crate) async fn stalled(&self, limit: Duration) {
        loop {
            let idle = if self.waits_for_grant.load(Ordering::Relaxed) {
                Duration::ZERO
            } else {
                let moved = self.moved_ms.load(Ordering::Relaxed);
                Duration::from_millis(self.elapsed_ms().saturating_sub(moved))
            };
            if idle >= limit {
                return;
            }
            tokio::time::sleep(limit.saturating_sub(idle)).await;
        }
    }
}

/// Digests of the bytes that were taken from a stream.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    pub(crate) crc64: Crc64Hasher,
    /// By which the part is proven, where it is not CRC-64/NVME.
    pub(crate) other: Option<ChecksumHasher>,
    /// Only for stores that prove nothing else: MD5 is slow.
    pub(crate) md5: Option<Md5>,
}

impl Digests {
    /// Of no bytes yet, for a part that is proven by `proof`.
    pub(crate) fn of(proof: Option<Proof>) -> Self {
        let other = match proof {
            Some(Proof::Other(algorithm)) => Some(ChecksumHasher::new(algorithm)),
            Some(Proof::Crc64) | None => None,
        };
        Self {
            other,
            ..Self::default()
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        if let Some(other) = &mut self.other {
            other.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// The checksum that proves the bytes so far.
    pub(crate) fn sum(&self) -> Sum {
        match &self.other {
            Some(other) => other.clone().finish().into(),
            None => Sum::Crc64(self.crc64.finish()),
        }
    }
}

/// Chunks that are still to come. The mutex is never waited for: it makes them `Sync`.
struct Coming {
    chunks: Mutex<Chunks>,
    digests: Arc<Mutex<Digests>>,
}

impl Coming {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        let chunks = self.chunks.get_mut();
        let chunks = chunks.unwrap_or_else(PoisonError::into_inner);
        let next = ready!(chunks.as_mut().poll_next(context));
        if let Some(Ok(chunk)) = &next {
            let mut digests = self.digests.lock().unwrap_or_else(PoisonError::into_inner);
            digests.update(chunk);
        }
        Poll::Ready(next)
    }
}

/// Yields the source's own buffers, sliced.
pub(crate) struct PacedBody {
    chunks: VecDeque<Bytes>,
    coming: Option<Coming>,
    remaining: u64,
    pace: Arc<dyn Pace>,
    progress: Arc<Progress>,
    /// The mutex is never locked: it makes the future `Sync`, as the SDK asks of bodies.
    waiting: Option<(Mutex<Grant>, Bytes)>,
}

impl PacedBody {
    pub(crate) fn new(payload: &Payload, progress: Arc<Progress>) -> Self {
        Self {
            chunks: payload.chunks.iter().cloned().collect(),
            coming: None,
            remaining: payload.length,
            pace: Arc::clone(&payload.pace),
            progress,
            waiting: None,
        }
    }

    pub(crate) fn streamed(
        part: PartStream,
        digests: Arc<Mutex<Digests>>,
        progress: Arc<Progress>,
    ) -> Self {
        let coming = Coming {
            chunks: Mutex::new(part.chunks),
            digests,
        };
        Self {
            chunks: VecDeque::new(),
            coming: Some(coming),
            remaining: part.length,
            pace: part.pace,
            progress,
            waiting: None,
        }
    }

    fn poll_slice(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            if let Some(front) = self.chunks.front_mut() {
                if front.is_empty() {
                    self.chunks.pop_front();
                    continue;
                }
                let length = front.len().min(self.pace.slice_max().clamp(1, SLICE_MAX));
                return Poll::Ready(Some(Ok(front.split_to(length))));
            }
            let Some(coming) = &mut self.coming else {
                return Poll::Ready(None);
            };
            // Waiting for the source is no stall of the store; READs have their own limits.
            self.progress.waits();
            match ready!(coming.poll_next(context)) {
                Some(Ok(chunk)) => self.chunks.push_back(chunk),
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => {
                    self.coming = None;
                    // From here on it is the store that is waited for.
                    self.progress.moved();
                }
            }
        }
    }

    fn emit(&mut self, slice: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.remaining = self.remaining.saturating_sub(slice.len() as u64);
        self.progress.moved();
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            let slice = match ready!(this.poll_slice(context)) {
                Some(Ok(slice)) => slice,
                Some(Err(broken)) => return Poll::Ready(Some(Err(broken))),
                None => return Poll::Ready(None),
            };
            match Arc::clone(&this.pace).grant(slice.len()) {
                None => return this.emit(slice),
                Some(grant) => {
                    this.progress.waits();
                    this.waiting = Some((Mutex::new(grant), slice));
                }
            }
        }
        let Some((grant, slice)) = &mut this.waiting else {
            return Poll::Ready(None);
        };
        let grant = grant.get_mut().unwrap_or_else(PoisonError::into_inner);
        let granted = ready!(grant.as_mut().poll(context));
        let mut slice = std::mem::take(slice);
        this.waiting = None;
        let rest = slice.split_off(granted.min(slice.len()));
        if !rest.is_empty() {
            this.chunks.push_front(rest);
        }
        this.emit(slice)
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

#[cfg(test)]
mod tests;
