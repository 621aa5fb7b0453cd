//! The calls of an execution that are not answered yet.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Calls that move a whole object: they may take hours, and their endpoints watch them.
const LONG: [&str; 2] = ["GetObject", "CopyObject"];

/// Calls in flight, and how many were answered.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    begun: AtomicU64,
    answered: AtomicU64,
    bytes_read: AtomicU64,
    open: Mutex<BTreeMap<u64, (&'static str, Instant)>>,
}

/// A call in flight; it ends on drop.
#[derive(Debug)]
pub(super) struct OpenCall<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Drop for OpenCall<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.number);
    }
}

impl Calls {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (&'static str, Instant)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, operation: &'static str) -> OpenCall<'_> {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, (operation, Instant::now()));
        OpenCall {
            calls: self,
            number,
        }
    }

    /// A call was answered, be it by a refusal.
    pub(super) fn count_answer(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls that were answered so far.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// An answer brought so many bytes of content.
    pub(super) fn count_read(&self, bytes: u64) {
        self.bytes_read.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of content that answers have brought so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes_read.load(Ordering::Relaxed)
    }

    /// Whether one that may take hours is in flight.
    pub(crate) fn has_long(&self) -> bool {
        self.lock()
            .values()
            .any(|(operation, _)| LONG.contains(operation))
    }

    /// The call that is in flight for longest, and for how long.
    pub(crate) fn oldest(&self, now: Instant) -> Option<(&'static str, Duration)> {
        let open = self.lock();
        let (_, (operation, since)) = open.first_key_value()?;
        Some((operation, now.saturating_duration_since(*since)))
    }
}
