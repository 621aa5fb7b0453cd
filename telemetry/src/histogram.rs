//! Durations, counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds for what a client waits for, in seconds.
pub const LATENCY_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Counts durations; two additions each.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is above all of them.
    counts: Box<[AtomicU64]>,
    sum_microseconds: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Told {
    /// Upper bound in seconds, the last without an end, and how many are not above it.
    pub(crate) cumulative: Vec<(f64, u64)>,
    pub(crate) count: u64,
    pub(crate) sum_seconds: f64,
}

impl Histogram {
    /// With these upper bounds in seconds, which rise.
    #[must_use]
    pub fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum_microseconds: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.sum_microseconds
            .fetch_add(microseconds, Ordering::Relaxed);
    }

    pub(crate) fn look(&self) -> Told {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let mut count = 0;
        let cumulative = bounds.zip(&self.counts).map(|(bound, more)| {
            count += more.load(Ordering::Relaxed);
            (bound, count)
        });
        let cumulative = cumulative.collect();
        let sum = Duration::from_micros(self.sum_microseconds.load(Ordering::Relaxed));
        Told {
            cumulative,
            count,
            sum_seconds: sum.as_secs_f64(),
        }
    }
}

impl Default for Histogram {
    /// With [`LATENCY_SECONDS`].
    fn default() -> Self {
        Self::new(LATENCY_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_every_bound_is_counted_too() {
        let histogram = Histogram::new(&[0.1]);
        histogram.observe(Duration::from_millis(100));
        histogram.observe(Duration::from_secs(3600));
        let told = histogram.look();
        assert_eq!(told.cumulative, [(0.1, 1), (f64::INFINITY, 2)]);
        assert_eq!((told.count, told.sum_seconds), (2, 3600.1));
    }
}
