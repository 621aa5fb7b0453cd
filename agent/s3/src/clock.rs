//! The clock that requests are signed with: ours, corrected by what the store said of its own.
//!
//! The SDK corrects skew only between its own attempts, and those are switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;

/// A difference that the store would not refuse needs no correction, in seconds.
const TOLERATED: i64 = 60;

/// Local time plus a correction that all clones share.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreClock {
    ahead_seconds: Arc<AtomicI64>,
}

impl StoreClock {
    /// Takes over the store's time; whether that changed the clock.
    pub(crate) fn learn(&self, store_now: SystemTime, now: SystemTime) -> bool {
        let ahead = match store_now.duration_since(now) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(0),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or(0),
        };
        let before = self.ahead_seconds.swap(ahead, Ordering::Relaxed);
        before.abs_diff(ahead) > TOLERATED.unsigned_abs()
    }
}

impl TimeSource for StoreClock {
    fn now(&self) -> SystemTime {
        let ahead = self.ahead_seconds.load(Ordering::Relaxed);
        let shift = Duration::from_secs(ahead.unsigned_abs());
        let now = SystemTime::now();
        if ahead < 0 {
            now.checked_sub(shift).unwrap_or(now)
        } else {
            now.checked_add(shift).unwrap_or(now)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_learned_once() {
        let clock = StoreClock::default();
        let now = SystemTime::now();
        let hour = Duration::from_secs(3600);
        assert!(clock.learn(now - hour, now));
        assert!(!clock.learn(now - hour, now));
        let told = now.duration_since(clock.now()).unwrap();
        assert!(told > hour - Duration::from_secs(60) && told <= hour);
        assert!(clock.learn(now, now));
    }
}
