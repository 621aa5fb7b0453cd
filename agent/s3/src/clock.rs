//! The clock that requests are signed with: ours, corrected by what the store said of its own.
//!
//! It is the only correction. The SDK has one of its own, which each answer's `Date` renews and which
//! it adds to the time that it is given: it does not reach requests that go without the SDK, and on
//! top of ours it would correct twice. It is switched off.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;

/// A difference that the store would not refuse needs no correction, in seconds.
const TOLERATED: u64 = 60;
/// Stores refuse signatures that are 15 minutes off; this far off, in seconds, the clock may be why.
const SUSPECT: u64 = 300;
/// So long, in seconds, answers may still come to requests that were signed before a correction.
const UNDER_WAY: u64 = 60;

/// Local time plus a correction that all clones share.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoreClock(Arc<Correction>);

#[derive(Debug, Default)]
struct Correction {
    ahead_seconds: AtomicI64,
    /// When the correction last changed, in local seconds since 1970.
    changed_at: AtomicI64,
}

/// Seconds from `now` to `then`; negative if that was before.
fn seconds_to(then: SystemTime, now: SystemTime) -> i64 {
    match then.duration_since(now) {
        Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(0),
        Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or(0),
    }
}

impl StoreClock {
    /// Takes over the store's time.
    pub(crate) fn learn(&self, store_now: SystemTime, now: SystemTime) {
        let ahead = seconds_to(store_now, now);
        let before = self.0.ahead_seconds.swap(ahead, Ordering::Relaxed);
        if before.abs_diff(ahead) > TOLERATED {
            let at = seconds_to(now, SystemTime::UNIX_EPOCH);
            self.0.changed_at.store(at, Ordering::Relaxed);
        }
    }

    /// Whether a refusal without a reason, at which it was `store_now` at the store, may be one of
    /// the clock: it is far from the store's, or was until a moment ago.
    pub(crate) fn is_suspect(&self, store_now: SystemTime, now: SystemTime) -> bool {
        let ahead = self.0.ahead_seconds.load(Ordering::Relaxed);
        let changed_at = self.0.changed_at.load(Ordering::Relaxed);
        seconds_to(store_now, now).abs_diff(ahead) > SUSPECT
            || seconds_to(now, SystemTime::UNIX_EPOCH).abs_diff(changed_at) < UNDER_WAY
    }
}

impl TimeSource for StoreClock {
    fn now(&self) -> SystemTime {
        let ahead = self.0.ahead_seconds.load(Ordering::Relaxed);
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
    fn a_clock_is_suspect_while_it_is_off_and_a_moment_longer() {
        let clock = StoreClock::default();
        let now = SystemTime::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        assert!(!clock.is_suspect(after(250), now));
        assert!(clock.is_suspect(after(3600), now));
        clock.learn(after(3600), now);
        let told = clock.now().duration_since(now).unwrap();
        assert!(told >= Duration::from_secs(3600) && told < Duration::from_secs(3660));
        assert!(clock.is_suspect(after(3630), after(30)));
        assert!(!clock.is_suspect(after(3661), after(61)));
        clock.learn(after(3662), after(62));
        assert!(!clock.is_suspect(after(3663), after(63)), "nothing changed");
        assert!(clock.is_suspect(after(63), after(63)), "it was set back");
    }
}
