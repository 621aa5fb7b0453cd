//! A token bucket: how many activation requests are answered.

use std::time::{Duration, Instant};

/// Requests that may come at once.
const CAPACITY: u32 = 10;
/// One more is allowed each time this has passed.
const REFILL: Duration = Duration::from_secs(2);

/// Tokens left, as of a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bucket {
    tokens: u32,
    filled_at: Instant,
}

impl Bucket {
    pub(super) fn full(now: Instant) -> Self {
        Self {
            tokens: CAPACITY,
            filled_at: now,
        }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// If there is none: how long until there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.filled_at);
        let periods = u32::try_from(elapsed.as_nanos() / REFILL.as_nanos()).unwrap_or(u32::MAX);
        if self.tokens.saturating_add(periods) >= CAPACITY {
            *self = Self::full(now);
        } else {
            self.tokens += periods;
            self.filled_at += REFILL * periods;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => {
                self.tokens = left;
                Ok(())
            }
            None => Err((self.filled_at + REFILL).saturating_duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_burst_empties_it_and_time_fills_it() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        for _ in 0..CAPACITY {
            assert_eq!(bucket.take(start), Ok(()));
        }
        assert_eq!(bucket.take(start), Err(REFILL));
        assert_eq!(bucket.take(start + REFILL / 2), Err(REFILL / 2));
        assert_eq!(bucket.take(start + REFILL), Ok(()));
        assert!(bucket.take(start + REFILL).is_err());
        let later = start + REFILL * 1_000_000;
        let granted = (0..100).filter(|_| bucket.take(later).is_ok()).count();
        assert_eq!(granted, CAPACITY as usize);
    }

    proptest! {
        #[test]
        fn grants_never_exceed_burst_and_rate(steps in proptest::collection::vec(0_u64..3000, 1..200)) {
            let start = Instant::now();
            let (mut bucket, mut now, mut granted) = (Bucket::full(start), start, 0_u128);
            for step in steps {
                now += Duration::from_millis(step);
                granted += u128::from(bucket.take(now).is_ok());
            }
            let allowed = u128::from(CAPACITY) + (now - start).as_nanos() / REFILL.as_nanos();
            prop_assert!(granted <= allowed);
        }
    }
}
