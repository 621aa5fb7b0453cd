//! When the certificate may be renewed.

use std::time::Duration;

use tokio::time::Instant;

/// A clock that is wrong, or a control that refuses, must not make the agent renew in a circle.
const PAUSE: Duration = Duration::from_secs(600);

/// Keeps attempts apart, by a clock that nobody sets.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    not_before: Option<Instant>,
}

impl Pace {
    /// Whether to renew at `now` a certificate that should be renewed in `renewal_in`.
    pub(crate) fn is_due(self, renewal_in: Duration, now: Instant) -> bool {
        renewal_in.is_zero() && self.not_before.is_none_or(|not_before| not_before <= now)
    }

    /// An attempt was made at `now`: the next one waits.
    pub(crate) fn attempted(&mut self, now: Instant) {
        self.not_before = Some(now + PAUSE);
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
}
