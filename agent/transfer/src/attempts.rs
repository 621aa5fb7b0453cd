//! Calls that are tried again: the waits that [`crate::retry`] decides on.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datasync_endpoint::{EndpointError, ErrorKind};
use tokio::time::{Instant, sleep};

use crate::retry::{self, Failed, Retry, RetryLimits};
use crate::waits::{Wait, Waits};

/// Limits of retries, and the random numbers for their jitter.
#[derive(Debug)]
pub(crate) struct Attempts {
    limits: RetryLimits,
    random: AtomicU64,
    waits: Arc<Waits>,
    retries: AtomicU64,
    throttles: AtomicU64,
}

impl Attempts {
    pub(crate) fn new(limits: RetryLimits, seed: u64) -> Self {
        Self {
            limits,
            random: AtomicU64::new(seed),
            waits: Arc::new(Waits::new()),
            retries: AtomicU64::new(0),
            throttles: AtomicU64::new(0),
        }
    }

    /// What is waited for around the calls, and between them.
    pub(crate) fn waits(&self) -> &Arc<Waits> {
        &self.waits
    }

    /// Calls that were to be made again so far.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Answers so far that asked to come again later.
    pub(crate) fn throttles(&self) -> u64 {
        self.throttles.load(Ordering::Relaxed)
    }

    /// The longest time from the first attempt of a call to the start of the last, in seconds.
    pub(crate) fn seconds_max(&self) -> i64 {
        i64::try_from(self.limits.elapsed_max.as_secs()).unwrap_or(i64::MAX)
    }

    /// Calls until the answer is final: success, an error that no retry cures, or the limits. What a
    /// call waits for its own turn is not in their time.
    ///
    /// Cancel-safe as far as `call`'s future is.
    pub(crate) async fn run<T, F, C>(&self, mut call: C) -> Result<T, EndpointError>
    where
        F: Future<Output = Result<T, EndpointError>> + Send,
        C: FnMut() -> F + Send,
    {
        let mut started = Instant::now();
        let mut failed = Failed::default();
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            started += error.held;
            failed.add([error.kind]);
            match self.after(&error, failed, started) {
                Retry::GiveUp => return Err(error),
                Retry::After(wait) => {
                    tracing::debug!(%error, attempt = failed.all, ?wait, "will try again");
                    if error.kind == ErrorKind::Busy {
                        self.waits.during(Wait::Throttled, sleep(wait)).await;
                    } else {
                        sleep(wait).await;
                    }
                }
            }
        }
    }

    /// What to do after attempts of a call `failed`, the last one by `error`; `started` is when the first
    /// began, moved on by what the calls were held.
    pub(crate) fn after(&self, error: &EndpointError, failed: Failed, started: Instant) -> Retry {
        let decided = retry::decide(
            error.kind,
            error.retry_after,
            failed,
            started.elapsed(),
            self.random_unit(),
            &self.limits,
        );
        if error.kind == ErrorKind::Busy {
            self.throttles.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(decided, Retry::After(_)) {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
        decided
    }

    /// The next number in `0.0..1.0` (SplitMix64).
    fn random_unit(&self) -> f64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut z = self
            .random
            .fetch_add(GOLDEN, Ordering::Relaxed)
            .wrapping_add(GOLDEN);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        f64::from(u32::try_from(z >> 32).unwrap_or(0)) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Whether an error that outlived its retries concerns the whole endpoint, not one item.
pub(crate) fn is_endpoint_wide(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unreachable
            | ErrorKind::Credentials
            | ErrorKind::ContainerNotFound
            | ErrorKind::NoSpace
    )
}
