//! What control counts while it works.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datasync_telemetry::{Histogram, Pulses};

/// Counted since control was started.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    pub(crate) calls: Calls,
    /// Connections of clients that were not let in, or did not get through TLS.
    pub(crate) api_refused: Arc<AtomicU64>,
    /// The same of agents.
    pub(crate) agents_refused: Arc<AtomicU64>,
    /// Of the loops that control lives by.
    pub(crate) pulses: Arc<Pulses>,
}

/// Calls of the API.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    by_kind: Mutex<BTreeMap<(String, &'static str), u64>>,
    pub(super) times: Histogram,
}

impl Calls {
    /// `operation` is one of a bounded number of texts, `status` that of HTTP.
    pub(crate) fn count(&self, operation: &str, status: u16, took: Duration) {
        let result = match status {
            0..400 => "answered",
            400..500 => "refused",
            _ => "failed",
        };
        *self
            .lock()
            .entry((operation.to_owned(), result))
            .or_default() += 1;
        self.times.observe(took);
    }

    /// Operation, result, and how many.
    pub(super) fn told(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.lock();
        let counts = counts.iter();
        counts
            .map(|((operation, result), count)| (operation.clone(), *result, *count))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), u64>> {
        self.by_kind.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_by_operation_and_result() {
        let calls = Calls::default();
        for status in [200, 400, 403, 500, 503, 200] {
            calls.count("ListTasks", status, Duration::from_millis(1));
        }
        let counted = |result: &'static str| ("ListTasks".to_owned(), result, 2);
        assert_eq!(calls.told(), ["answered", "failed", "refused"].map(counted));
    }
}
