//! The bandwidth limiter: bodies wait for their admission, then for grants; one task owns the
//! bucket.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasync_endpoint::{Grant, Pace};
use datasync_model::BytesPerSecond;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

mod bucket;
mod dispatcher;
mod gate;
mod queue;
mod shared;

use dispatcher::{Dispatcher, Request};
use gate::{Admission, Gate};

pub(crate) use bucket::TokioClock;
pub use shared::SharedRate;

/// The largest slice in bytes, at any rate.
const SLICE_MAX: u64 = 1024 * 1024;
/// The smallest limit on a slice in bytes: below it the cost of a grant outweighs its precision.
const SLICE_MIN: u64 = 1024;
/// Slices per second at rates between the two: half of the bucket, so that a timer that fires
/// late does not let the bucket overflow.
const SLICES_PER_SECOND: u64 = 80;
/// Requests on their way to the dispatcher.
const REQUESTS_MAX: usize = 256;

/// Gives out bytes of request bodies at a rate that may change at any time.
#[derive(Debug, Clone)]
pub(crate) struct Limiter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rate: watch::Receiver<BytesPerSecond>,
    shared: Option<SharedRate>,
    gate: Gate,
    requests: mpsc::Sender<Request>,
    ledger: Arc<Ledger>,
    streams: AtomicU64,
    /// Grants that are waited for.
    waiting: AtomicU64,
}

/// A grant that is waited for, until it is dropped.
struct Waiting<'a>(&'a AtomicU64);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What was given out.
#[derive(Debug, Default)]
struct Ledger {
    /// Bytes that were taken.
    granted: AtomicU64,
    /// Bytes that were paid for but not taken.
    returned: AtomicU64,
}

impl Limiter {
    /// Starts the dispatcher on `tasks`; it ends when the limiter and its streams are dropped.
    /// Grants are within `rate` and within what `shared` has left for it.
    pub(crate) fn start(
        rate: watch::Receiver<BytesPerSecond>,
        shared: Option<SharedRate>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (requests, queue) = mpsc::channel(REQUESTS_MAX);
        let ledger = Arc::new(Ledger::default());
        let account = shared.as_ref().map(SharedRate::account);
        let dispatcher = Dispatcher::new(rate.clone(), account, queue, Arc::clone(&ledger));
        tasks.spawn(dispatcher.run());
        Self(Arc::new(Shared {
            gate: Gate::new(rate.clone(), shared.as_ref().map(SharedRate::rate)),
            rate,
            shared,
            requests,
            ledger,
            streams: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
        }))
    }

    /// The stream of a body of `length` bytes, served as fairly as every other.
    #[must_use]
    pub(crate) fn stream(&self, length: u64) -> Arc<Stream> {
        let id = self.0.streams.fetch_add(1, Ordering::Relaxed);
        Arc::new(Stream {
            id,
            shared: Arc::clone(&self.0),
            length,
            state: Mutex::default(),
        })
    }

    /// Whether bodies wait for grants now.
    #[must_use]
    pub(crate) fn holds_back(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Bytes given out since the start, retries included.
    #[must_use]
    pub(crate) fn granted_bytes(&self) -> u64 {
        self.0.ledger.granted.load(Ordering::Relaxed)
    }
}

/// One request body, also where it is sent again.
#[derive(Debug)]
pub(crate) struct Stream {
    id: u64,
    shared: Arc<Shared>,
    /// Bytes of the body.
    length: u64,
    state: Mutex<StreamState>,
}

#[derive(Debug, Default)]
struct StreamState {
    /// Bytes of this try that are not granted yet.
    left: u64,
    /// Held from before the request to the last grant.
    admission: Option<Admission>,
}

impl Stream {
    /// Waits until the body may be sent, once more from its beginning; to be called before each
    /// request. The admission ends with the last grant of the body, or with the stream.
    ///
    /// Cancel-safe.
    pub(crate) async fn admit(&self) {
        let is_admitted = self.state().admission.is_some();
        if self.length > 0 && !is_admitted {
            let admission = self.shared.gate.admit(self.length).await;
            self.state().admission = admission;
        }
        self.state().left = self.length;
    }

    fn granted(&self, bytes: u64) {
        let mut state = self.state();
        state.left = state.left.saturating_sub(bytes);
        if state.left == 0 {
            state.admission = None;
        }
    }

    fn state(&self) -> MutexGuard<'_, StreamState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace for Stream {
    fn slice_max(&self) -> usize {
        let shared = self.shared.shared.as_ref().map(SharedRate::rate);
        let own = slice_max(*self.shared.rate.borrow());
        let slice = shared.map_or(own, |shared| own.min(slice_max(shared)));
        usize::try_from(slice).unwrap_or(usize::MAX)
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        let bytes = bytes as u64;
        if self.shared.rate.borrow().limit().is_none() && self.shared.shared.is_none() {
            self.shared
                .ledger
                .granted
                .fetch_add(bytes, Ordering::Relaxed);
            self.granted(bytes);
            return None;
        }
        Some(Box::pin(async move {
            let _waiting = Waiting::begin(&self.shared.waiting);
            let (reply, answer) = oneshot::channel();
            let request = Request {
                stream: self.id,
                bytes,
                reply,
            };
            if self.shared.requests.send(request).await.is_ok()
                && let Ok(paid) = answer.await
            {
                let bytes = paid.take();
                self.granted(bytes);
                return usize::try_from(bytes).unwrap_or(usize::MAX);
            }
            // The dispatcher was aborted with the run: nothing may be sent any more.
            std::future::pending().await
        }))
    }
}

/// The largest slice at `rate` in bytes. Without a limit it is bounded too, so that a limit set
/// later takes effect within a slice.
fn slice_max(rate: BytesPerSecond) -> u64 {
    rate.limit().map_or(SLICE_MAX, |rate| {
        (rate.get() / SLICES_PER_SECOND).clamp(SLICE_MIN, SLICE_MAX)
    })
}

#[cfg(test)]
mod tests;
