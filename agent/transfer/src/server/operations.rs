//! The cap on requests per second.

use std::num::NonZeroU32;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::limiter::TokioClock;

/// A second's requests are saved up for a fortieth of it, 25 ms.
const BURST_SHARE: u32 = 40;

type Governor =
    RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<std::time::Duration>>;

/// Lets so many requests begin in a second, in the order in which they came.
#[derive(Debug)]
pub(super) struct Operations {
    /// Held by the request that is next; tokio's mutex is first come, first served.
    next: Mutex<Governor>,
    clock: TokioClock,
}

impl Operations {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let burst = NonZeroU32::new(per_second.get() / BURST_SHARE).unwrap_or(NonZeroU32::MIN);
        let clock = TokioClock::starting(Instant::now());
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            next: Mutex::new(RateLimiter::direct_with_clock(quota, clock.clone())),
            clock,
        }
    }

    /// Waits until one more request may begin. Cancel-safe: one that is dropped costs nothing.
    pub(super) async fn begin(&self) {
        let governor = self.next.lock().await;
        while let Err(not_until) = governor.check() {
            sleep(not_until.wait_time_from(self.clock.now())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_holds_more_than_the_cap_and_all_of_it_is_used() {
        for per_second in [1, 7, 100, 10_000] {
            let cap = Arc::new(Operations::new(NonZeroU32::new(per_second).unwrap()));
            let mut workers = JoinSet::new();
            let begun = Instant::now();
            for _ in 0..8 {
                let cap = Arc::clone(&cap);
                workers.spawn(async move {
                    let mut at = Vec::new();
                    while begun.elapsed() < Duration::from_secs(4) {
                        cap.begin().await;
                        at.push(begun.elapsed());
                    }
                    at
                });
            }
            let mut at: Vec<Duration> = workers.join_all().await.into_iter().flatten().collect();
            at.sort_unstable();
            let wanted = 4 * per_second as usize;
            assert!(at.len() >= wanted, "{} of {wanted}", at.len());
            let most = per_second as usize + per_second as usize / 40 + 2;
            for (first, from) in at.iter().enumerate() {
                let end = at.partition_point(|begun| *begun < *from + Duration::from_secs(1));
                assert!(end - first <= most, "{} at {per_second}", end - first);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_dropped_costs_nothing() {
        let cap = Operations::new(NonZeroU32::new(1).unwrap());
        cap.begin().await;
        for _ in 0..9 {
            let waited = timeout(Duration::from_millis(100), cap.begin()).await;
            assert!(waited.is_err());
        }
        let waited = timeout(Duration::from_millis(101), cap.begin()).await;
        assert!(waited.is_ok());
    }
}
