//! A request body over buffers in memory that asks for a grant before each slice.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::{Pace, Payload};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

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

type Grant = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Yields the payload's own buffers, sliced.
pub(crate) struct PacedBody {
    chunks: VecDeque<Bytes>,
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
            remaining: payload.length,
            pace: Arc::clone(&payload.pace),
            progress,
            waiting: None,
        }
    }

    fn next_slice(&mut self) -> Option<Bytes> {
        loop {
            let front = self.chunks.front_mut()?;
            if front.is_empty() {
                self.chunks.pop_front();
                continue;
            }
            let length = front.len().min(self.pace.slice_max().clamp(1, SLICE_MAX));
            return Some(front.split_to(length));
        }
    }

    fn emit(&mut self, slice: Bytes) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.remaining = self.remaining.saturating_sub(slice.len() as u64);
        self.progress.moved();
        Poll::Ready(Some(Ok(Frame::data(slice))))
    }
}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            let Some(slice) = this.next_slice() else {
                return Poll::Ready(None);
            };
            match Arc::clone(&this.pace).grant(slice.len()) {
                None => return this.emit(slice),
                Some(grant) => {
                    this.progress.waits();
                    this.waiting = Some((Mutex::new(grant), slice));
                }
            }
        }
        if let Some((grant, _)) = &mut this.waiting {
            let grant = grant
                .get_mut()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            ready!(grant.as_mut().poll(context));
        }
        match this.waiting.take() {
            Some((_, slice)) => this.emit(slice),
            None => Poll::Ready(None),
        }
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
