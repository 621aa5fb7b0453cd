//! When the certificate may be renewed.

use std::time::Duration;

use tokio::time::Instant;

use crate::backoff::Backoff;

/// A clock that is wrong, or a control that refuses, must not make the agent renew in a circle.
const PAUSE: Duration = Duration::from_secs(600);

/// The same where control asks for it.
const ASKED_PAUSE: Duration = Duration::from_secs(5);

/// What failures of it add to the pause.
const ASKED_BACKOFF: Backoff = Backoff {
    base: ASKED_PAUSE,
    cap: PAUSE,
};

/// Keeps attempts apart, by a clock that nobody sets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    attempted: Option<Instant>,
    /// Control asked for a renewal that has not succeeded yet.
    asked: bool,
    /// Attempts in a row that failed.
    failures: u32,
    /// What they add to the pause of a renewal that is asked for.
    added: Duration,
}

impl Pace {
    /// Whether to renew at `now` a certificate that should be renewed in `renewal_in`.
    pub(crate) fn is_due(self, renewal_in: Duration, now: Instant) -> bool {
        let pause = if self.asked {
            ASKED_PAUSE + self.added
        } else if renewal_in.is_zero() {
            PAUSE
        } else {
            return false;
        };
        self.attempted
            .is_none_or(|attempted| attempted + pause <= now)
    }

    /// An attempt failed at `now`: the next one waits, the longer the more have failed. `random` is
    /// uniform over all `u32`.
    pub(crate) fn failed(&mut self, now: Instant, random: u32) {
        self.attempted = Some(now);
        self.failures = self.failures.saturating_add(1);
        self.added = ASKED_BACKOFF.delay(self.failures, random);
    }

    /// Control wants the certificate renewed, whatever is left of its life.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
    }

    /// It was renewed at `now`.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        *self = Self {
            attempted: Some(now),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_ten_minutes_apart() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert!(pace.is_due(Duration::ZERO, start));
        assert!(!pace.is_due(Duration::from_secs(1), start));
        pace.failed(start, u32::MAX);
        assert!(!pace.is_due(Duration::ZERO, start));
        let later = start + Duration::from_secs(599);
        assert!(!pace.is_due(Duration::ZERO, later));
        let later = start + Duration::from_secs(600);
        assert!(pace.is_due(Duration::ZERO, later));
        assert!(!pace.is_due(Duration::from_secs(1), later));
    }

    #[test]
    fn control_may_ask_before_it_is_time_and_a_failure_is_tried_again_soon() {
        let start = Instant::now();
        let (month, seconds) = (Duration::from_secs(30 * 86_400), Duration::from_secs);
        let mut pace = Pace::default();
        pace.failed(start, 0);
        pace.ask();
        assert!(!pace.is_due(month, start + seconds(4)));
        assert!(pace.is_due(month, start + seconds(5)));
        pace.failed(start + seconds(5), 0);
        assert!(pace.is_due(month, start + seconds(10)));
        pace.succeeded(start + seconds(10));
        assert!(!pace.is_due(month, start + seconds(100_000)));
        assert!(!pace.is_due(Duration::ZERO, start + seconds(609)));
        assert!(pace.is_due(Duration::ZERO, start + seconds(610)));
    }

    #[test]
    fn what_control_asks_for_and_fails_is_tried_more_and_more_rarely() {
        let (month, mut now) = (Duration::from_secs(30 * 86_400), Instant::now());
        let mut pace = Pace::default();
        pace.ask();
        for pause in [10, 15, 25, 45, 85, 165, 325, 605, 605] {
            pace.failed(now, u32::MAX);
            // Asked again in each session.
            pace.ask();
            assert!(!pace.is_due(month, now + Duration::from_secs(pause - 1)));
            now += Duration::from_secs(pause);
            assert!(pace.is_due(month, now), "{pause}");
        }
    }
}
