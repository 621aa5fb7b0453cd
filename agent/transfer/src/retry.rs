//! Whether and when a failed call is tried again. Pure.

use std::time::Duration;

use datasync_endpoint::ErrorKind;

/// Bounds of the retries of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryLimits {
    /// The most attempts, the first included.
    pub attempts_max: u32,
    /// The longest time from the first attempt to the start of the last, less what they waited for
    /// their turn.
    pub elapsed_max: Duration,
    /// The longest wait before the second attempt; it doubles from attempt to attempt.
    pub wait_base: Duration,
    /// The longest wait of ours; a server may ask for longer.
    pub wait_max: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            attempts_max: 10,
            elapsed_max: Duration::from_secs(300),
            wait_base: Duration::from_millis(200),
            wait_max: Duration::from_secs(30),
        }
    }
}

/// Answers to a call that break the protocol: damage on the way does that once, a server that does not
/// keep to the protocol always. Attempts that fail otherwise do not count.
const PROTOCOL_ATTEMPTS_MAX: u32 = 3;

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Try again after this wait.
    After(Duration),
    /// The error is final.
    GiveUp,
}

/// Attempts of one call that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Failed {
    /// The number of the last.
    pub(crate) all: u32,
    /// Those whose answer broke the protocol.
    of_protocol: u32,
}

impl Failed {
    /// One more attempt failed: with one error, or with one for each of its objects.
    pub(crate) fn add(&mut self, kinds: impl IntoIterator<Item = ErrorKind>) {
        let mut kinds = kinds.into_iter();
        self.all += 1;
        self.of_protocol += u32::from(kinds.any(|kind| kind == ErrorKind::Protocol));
    }
}

/// Decides after attempts `failed`, the last one by an error of `kind`, `elapsed` after the first began.
///
/// The wait is a random share (`random_unit`, 0 to 1) of an exponentially growing bound ("full
/// jitter"), or what the server asked for if that is longer.
pub(crate) fn decide(
    kind: ErrorKind,
    retry_after: Option<Duration>,
    failed: Failed,
    elapsed: Duration,
    random_unit: f64,
    limits: &RetryLimits,
) -> Retry {
    let may_help = match kind {
        ErrorKind::Protocol => failed.of_protocol < PROTOCOL_ATTEMPTS_MAX,
        kind => kind.is_transient(),
    };
    if !may_help || failed.all >= limits.attempts_max {
        return Retry::GiveUp;
    }
    let doublings = failed.all.saturating_sub(1).min(31);
    let bound = limits
        .wait_base
        .saturating_mul(1 << doublings)
        .min(limits.wait_max);
    let share = if random_unit.is_finite() {
        random_unit.clamp(0.0, 1.0)
    } else {
        1.0
    };
    let wait = bound.mul_f64(share).max(retry_after.unwrap_or_default());
    if elapsed.saturating_add(wait) > limits.elapsed_max {
        return Retry::GiveUp;
    }
    Retry::After(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: RetryLimits = RetryLimits {
        attempts_max: 10,
        elapsed_max: Duration::from_secs(300),
        wait_base: Duration::from_millis(200),
        wait_max: Duration::from_secs(30),
    };

    #[test]
    fn the_table() {
        let ms = Duration::from_millis;
        let after = |n| Retry::After(ms(n));
        for (kind, hint, attempt, elapsed, random, expected) in [
            (ErrorKind::Busy, None, 1, 0, 1.0, after(200)),
            (ErrorKind::Busy, None, 1, 0, 0.5, after(100)),
            (ErrorKind::Timeout, None, 2, 0, 1.0, after(400)),
            (ErrorKind::Unreachable, None, 9, 0, 1.0, after(30_000)),
            (ErrorKind::ServerFault, None, 10, 0, 1.0, Retry::GiveUp),
            (ErrorKind::ChecksumRefused, None, 3, 0, 0.0, after(0)),
            (ErrorKind::Busy, Some(45_000), 1, 0, 0.0, after(45_000)),
            (ErrorKind::Busy, Some(1), 1, 0, 1.0, after(200)),
            (ErrorKind::Busy, Some(300_001), 1, 0, 0.0, Retry::GiveUp),
            (ErrorKind::Busy, None, 1, 299_900, 1.0, Retry::GiveUp),
            (ErrorKind::Busy, None, 1, 299_900, 0.5, after(100)),
            (ErrorKind::NotFound, None, 1, 0, 0.0, Retry::GiveUp),
            (ErrorKind::Stale, None, 1, 0, 0.0, Retry::GiveUp),
            (ErrorKind::Protocol, None, 2, 0, 1.0, after(400)),
            (ErrorKind::Protocol, None, 3, 0, 1.0, Retry::GiveUp),
            (ErrorKind::Precondition, Some(1), 1, 0, 0.0, Retry::GiveUp),
            (ErrorKind::Busy, None, 1, 0, f64::NAN, after(200)),
        ] {
            let is_protocol = kind == ErrorKind::Protocol;
            let failed = Failed {
                all: attempt,
                of_protocol: if is_protocol { attempt } else { 0 },
            };
            let decided = decide(kind, hint.map(ms), failed, ms(elapsed), random, &LIMITS);
            assert_eq!(
                decided, expected,
                "{kind:?} {hint:?} {attempt} {elapsed} {random}"
            );
        }
    }

    #[test]
    fn only_answers_that_break_the_protocol_count_as_such() {
        let mut failed = Failed::default();
        let mut next = |kind| {
            failed.add([kind]);
            decide(kind, None, failed, Duration::ZERO, 0.0, &LIMITS)
        };
        let again = Retry::After(Duration::ZERO);
        let (busy, broken) = (ErrorKind::Busy, ErrorKind::Protocol);
        for kind in [busy, busy, busy, broken, busy, broken, busy] {
            assert_eq!(next(kind), again);
        }
        assert_eq!(next(broken), Retry::GiveUp);
    }

    proptest! {
        #[test]
        fn retries_end_in_time(randoms in proptest::collection::vec(0.0f64..=1.0, 40), cost in 0u64..60_000) {
            let mut elapsed = Duration::ZERO;
            for (attempt, random) in (1..).zip(randoms) {
                elapsed += Duration::from_millis(cost);
                let failed = Failed { all: attempt, of_protocol: 0 };
                match decide(ErrorKind::Busy, None, failed, elapsed, random, &LIMITS) {
                    Retry::After(wait) => {
                        prop_assert!(wait <= LIMITS.wait_max && attempt < LIMITS.attempts_max);
                        elapsed += wait;
                        prop_assert!(elapsed <= LIMITS.elapsed_max);
                    }
                    Retry::GiveUp => return Ok(()),
                }
            }
            prop_assert!(false, "never gave up");
        }
    }
}
