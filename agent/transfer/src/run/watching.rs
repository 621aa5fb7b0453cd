//! Whether a run moves at all.

use std::sync::Arc;
use std::time::Duration;

use datasync_model::{Counters, ErrorCode, Failure};
use tokio::time::{Instant, sleep};

use crate::limiter::Limiter;
use crate::progress::Progress;
use crate::server::Calls;

/// What moves when a run does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Signs {
    finished: Counters,
    granted_bytes: u64,
    answers: u64,
}

/// Remembers since when nothing has moved. Pure.
#[derive(Debug)]
struct Stillness {
    signs: Signs,
    since: Instant,
}

impl Stillness {
    /// How long nothing has moved; what `is_explained` counts as a move.
    fn look(&mut self, now: Instant, signs: Signs, is_explained: bool) -> Duration {
        if signs != self.signs || is_explained {
            self.signs = signs;
            self.since = now;
        }
        now.saturating_duration_since(self.since)
    }
}

/// Watches a run.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) stalled_after: Option<Duration>,
    pub(super) progress: Arc<Progress>,
    pub(super) limiter: Limiter,
    pub(super) source: Arc<Calls>,
    pub(super) destination: Arc<Calls>,
}

impl Watch {
    /// Resolves if nothing moves for too long, with what is waited for.
    pub(super) async fn stalled(&self) -> Failure {
        let Some(limit) = self.stalled_after else {
            return std::future::pending().await;
        };
        let mut stillness = Stillness {
            signs: self.signs(),
            since: Instant::now(),
        };
        loop {
            sleep(limit / 16).await;
            let still_for = stillness.look(Instant::now(), self.signs(), self.is_explained());
            if still_for >= limit {
                return self.stall(still_for);
            }
        }
    }

    fn signs(&self) -> Signs {
        Signs {
            finished: self.progress.finished(),
            granted_bytes: self.limiter.granted_bytes(),
            answers: self.source.answered() + self.destination.answered(),
        }
    }

    /// A low rate may hold a slice back for long; some calls, and work on our own disk, take long.
    fn is_explained(&self) -> bool {
        self.limiter.holds_back()
            || self.source.has_long()
            || self.destination.has_long()
            || self.progress.works_locally()
    }

    fn stall(&self, still_for: Duration) -> Failure {
        let now = Instant::now();
        let oldest = |side: &str, calls: &Calls| {
            let (operation, since) = calls.oldest(now)?;
            Some(format!(
                "{operation} at the {side} for {} s",
                since.as_secs()
            ))
        };
        let waits = [
            oldest("source", &self.source),
            oldest("destination", &self.destination),
        ];
        let waits: Vec<String> = waits.into_iter().flatten().collect();
        let waits = if waits.is_empty() {
            "no call is in flight".to_owned()
        } else {
            format!("waiting for {}", waits.join(" and "))
        };
        Failure::new(
            ErrorCode::Internal,
            format!(
                "nothing has moved for {} s in the stage {:?}; {waits}",
                still_for.as_secs(),
                self.progress.stage()
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stillness_begins_anew_with_every_sign_and_every_explanation() {
        let begin = Instant::now();
        let second = |n: u64| begin + Duration::from_secs(n);
        let mut signs = Signs {
            finished: Counters::default(),
            granted_bytes: 0,
            answers: 0,
        };
        let mut stillness = Stillness {
            signs,
            since: begin,
        };
        assert_eq!(stillness.look(second(9), signs, false).as_secs(), 9);
        signs.answers = 1;
        assert_eq!(stillness.look(second(10), signs, false).as_secs(), 0);
        assert_eq!(stillness.look(second(12), signs, false).as_secs(), 2);
        assert_eq!(stillness.look(second(20), signs, true).as_secs(), 0);
        assert_eq!(stillness.look(second(25), signs, false).as_secs(), 5);
        signs.finished.failed = 1;
        assert_eq!(stillness.look(second(30), signs, false).as_secs(), 0);
    }
}
