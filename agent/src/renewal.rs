//! When the certificate may be renewed.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that is wrong, or a control that refuses, must not make the agent renew in a circle.
const PAUSE: Duration = Duration::from_secs(600);

/// The same where control asks for it.
const ASKED_PAUSE: Duration = Duration::from_secs(5);

/// Keeps attempts apart, by a clock that nobody sets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    attempted: Option<Instant>,
    /// Control asked for a renewal that has not succeeded yet.
    asked: bool,
}

impl Pace {
    /// Whether to renew at `now` a certificate that should be renewed in `renewal_in`.
    pub(crate) fn is_due(self, renewal_in: Duration, now: Instant) -> bool {
        let pause = if self.asked {
            ASKED_PAUSE
        } else if renewal_in.is_zero() {
            PAUSE
        } else {
            return false;
        };
        self.attempted
            .is_none_or(|attempted| attempted + pause <= now)
    }

    /// An attempt was made at `now`: the next one waits.
    pub(crate) fn attempted(&mut self, now: Instant) {
        self.attempted = Some(now);
    }

    /// Control wants the certificate renewed, whatever is left of its life.
    pub(crate) fn ask(&mut self) {
        self.asked = true;
    }

    /// It was renewed at `now`.
    pub(crate) fn succeeded(&mut self, now: Instant) {
        self.attempted(now);
        self.asked = false;
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
        pace.attempted(start);
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
        pace.attempted(start);
        pace.ask();
        assert!(!pace.is_due(month, start + seconds(4)));
        assert!(pace.is_due(month, start + seconds(5)));
        pace.attempted(start + seconds(5));
        assert!(pace.is_due(month, start + seconds(10)));
        pace.succeeded(start + seconds(10));
        assert!(!pace.is_due(month, start + seconds(100_000)));
        assert!(!pace.is_due(Duration::ZERO, start + seconds(609)));
        assert!(pace.is_due(Duration::ZERO, start + seconds(610)));
    }
}
