//! The rate limit's grants, with the time that they take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use datasync_endpoint::{Grant, Pace};
use tokio::time::Instant;

use crate::limiter::Stream;
use crate::waits::{Wait, Waits};

/// A stream whose grants are counted among the waits.
#[derive(Debug)]
pub(super) struct Counted {
    stream: Arc<Stream>,
    waits: Arc<Waits>,
    held_us: AtomicU64,
}

impl Counted {
    pub(super) fn new(stream: Arc<Stream>, waits: Arc<Waits>) -> Self {
        Self {
            stream,
            waits,
            held_us: AtomicU64::new(0),
        }
    }
}

impl Pace for Counted {
    fn slice_max(&self) -> usize {
        self.stream.slice_max()
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        let grant = self.stream.clone().grant(bytes)?;
        Some(Box::pin(async move {
            let asked_at = Instant::now();
            let granted = self.waits.during(Wait::Grant, grant).await;
            let held_us = u64::try_from(asked_at.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.held_us.fetch_add(held_us, Ordering::Relaxed);
            granted
        }))
    }

    fn held(&self) -> Duration {
        Duration::from_micros(self.held_us.load(Ordering::Relaxed))
    }
}
