//! `governor` with cells of many bytes under tokio's clock.

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// Cells per second. A cell of one byte would be truncated to whole nanoseconds, which is 42 % off
/// at 700 MB/s.
const CELLS_PER_SECOND: u64 = 50_000;
/// What an idle limiter saves up.
const BURST: Duration = Duration::from_millis(25);
const NANOSECONDS: u128 = 1_000_000_000;

/// Time since the bucket was made; follows a paused tokio clock.
#[derive(Debug, Clone)]
pub(crate) struct TokioClock(Instant);

impl TokioClock {
    /// A clock that begins at this instant.
    pub(crate) fn starting(at: Instant) -> Self {
        Self(at)
    }
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A token bucket for one rate.
pub(super) struct Bucket {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>,
    clock: TokioClock,
    /// Bytes per cell.
    cell: u64,
    /// The most cells that are taken at once: half of the burst.
    portion: NonZeroU32,
    burst: NonZeroU32,
}

impl Bucket {
    /// A full bucket for `rate` bytes per second.
    pub(super) fn full(rate: NonZeroU64) -> Self {
        let cell = rate.get().div_ceil(CELLS_PER_SECOND);
        let period = u128::from(cell) * NANOSECONDS / u128::from(rate.get());
        let period = Duration::from_nanos(u64::try_from(period).unwrap_or(u64::MAX).max(1));
        let burst = u32::try_from(BURST.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
        let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let portion = NonZeroU32::new(burst.get() / 2).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(period)
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst);
        let clock = TokioClock::starting(Instant::now());
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self {
            limiter,
            clock,
            cell,
            portion,
            burst,
        }
    }

    /// An empty bucket for `rate`: a change of the rate earns no burst.
    pub(super) fn empty(rate: NonZeroU64) -> Self {
        let bucket = Self::full(rate);
        // A full bucket holds its burst.
        drop(bucket.limiter.check_n(bucket.burst));
        bucket
    }

    /// What the bucket holds when it is full, in bytes.
    pub(super) fn burst_bytes(&self) -> u64 {
        self.cell.saturating_mul(u64::from(self.burst.get()))
    }

    /// Takes bytes towards `wanted` (more than 0): as many as were taken, or how long to wait.
    pub(super) fn take(&self, wanted: u64) -> Result<u64, Duration> {
        let cells = u32::try_from(wanted.div_ceil(self.cell)).unwrap_or(u32::MAX);
        let cells = NonZeroU32::new(cells)
            .unwrap_or(NonZeroU32::MIN)
            .min(self.portion);
        match self.limiter.check_n(cells) {
            Ok(Ok(())) => Ok(self.cell.saturating_mul(u64::from(cells.get()))),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            // A portion is at most the burst; were it not, waiting a burst would still be safe.
            Err(_) => Err(BURST),
        }
    }
}
