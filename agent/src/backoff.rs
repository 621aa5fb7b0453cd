//! How long to wait before the next attempt.

use std::time::Duration;

/// Exponential growth between two bounds, with full jitter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    /// The bound of the first wait.
    pub(crate) base: Duration,
    /// The bound that no wait exceeds.
    pub(crate) cap: Duration,
}

/// Towards control: for ever, so the cap is what an operator waits at most after a repair.
pub(crate) const CONTROL: Backoff = Backoff {
    base: Duration::from_millis(250),
    cap: Duration::from_secs(30),
};

/// Towards a storage server that is being opened.
pub(crate) const STORAGE: Backoff = Backoff {
    base: Duration::from_millis(500),
    cap: Duration::from_secs(10),
};

impl Backoff {
    /// The wait after `failures` failed attempts (at least 1): uniform between 0 and
    /// `base * 2^(failures - 1)`, the latter at most `cap`. `random` is uniform over all `u32`.
    pub(crate) fn delay(self, failures: u32, random: u32) -> Duration {
        let growth = 1_u32
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let bound = self.base.saturating_mul(growth).min(self.cap);
        bound.mul_f64(f64::from(random) / f64::from(u32::MAX))
    }

    /// [`Backoff::delay`] with randomness of this machine.
    pub(crate) fn random_delay(self, failures: u32) -> Duration {
        // Without randomness the whole bound is the safe answer.
        self.delay(failures, getrandom::u32().unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bounds_double_until_the_cap() {
        let bounds: Vec<_> = (1..=9)
            .map(|failures| CONTROL.delay(failures, u32::MAX).as_millis())
            .collect();
        assert_eq!(
            bounds,
            [250, 500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]
        );
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_cap(failures: u32, random: u32) {
            prop_assert!(CONTROL.delay(failures, random) <= CONTROL.cap);
            prop_assert_eq!(CONTROL.delay(failures, 0), Duration::ZERO);
        }
    }
}
