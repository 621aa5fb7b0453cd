//! What items wait for, and how long, in sum over all of them.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::Instant;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// A reservation of the byte budget.
    Memory,
    /// A body's turn under the rate limit.
    Admission,
    /// Grants of the rate limit, while a request to the destination is under way.
    Grant,
    /// Answers of the source about an item.
    Source,
    /// Answers of the source, while a request to the destination is under way.
    SourceInBody,
    /// Answers of the destination about an item; holds what is waited for meanwhile.
    Destination,
    /// The time after an answer that asked to come again; part of the waits for answers.
    Throttled,
    /// The merge waits for entries of the source.
    Walk,
    /// The merge waits for the listing of the destination.
    Listing,
}

const KINDS: usize = 9;

/// Sums over all items, by [`Wait`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums([Duration; KINDS]);

impl Sums {
    pub(crate) fn of(&self, wait: Wait) -> Duration {
        self.0[wait as usize]
    }

    /// What was added since `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let mut sums = *self;
        for (sum, before) in sums.0.iter_mut().zip(before.0) {
            *sum = sum.saturating_sub(before);
        }
        sums
    }

    #[cfg(test)]
    pub(crate) fn with(mut self, wait: Wait, time: Duration) -> Self {
        self.0[wait as usize] = time;
        self
    }
}

/// The waits of one execution.
#[derive(Debug)]
pub(crate) struct Waits([Mutex<Gauge>; KINDS]);

#[derive(Debug)]
struct Gauge {
    waiting: u32,
    sum: Duration,
    /// Up to when `sum` counts.
    counted_to: Instant,
}

impl Gauge {
    fn count(&mut self, now: Instant) -> Duration {
        let spent = now.saturating_duration_since(self.counted_to);
        self.sum = self.sum.saturating_add(spent.saturating_mul(self.waiting));
        self.counted_to = now;
        self.sum
    }
}

/// Somebody waits; until it is dropped.
#[derive(Debug)]
struct Waiting<'a>(&'a Mutex<Gauge>);

impl<'a> Waiting<'a> {
    fn begin(gauge: &'a Mutex<Gauge>) -> Self {
        let mut now = gauge.lock().unwrap_or_else(PoisonError::into_inner);
        now.count(Instant::now());
        now.waiting += 1;
        drop(now);
        Self(gauge)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        now.count(Instant::now());
        now.waiting -= 1;
    }
}

pin_project! {
    /// A future whose time is counted. No `async fn`: it would hold the future twice.
    #[derive(Debug)]
    pub(crate) struct During<'a, F> {
        gauge: &'a Mutex<Gauge>,
        waiting: Option<Waiting<'a>>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for During<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.future.poll(context);
        if polled.is_ready() {
            *this.waiting = None;
        } else if this.waiting.is_none() {
            *this.waiting = Some(Waiting::begin(this.gauge));
        }
        polled
    }
}

impl Waits {
    pub(crate) fn new() -> Self {
        let counted_to = Instant::now();
        Self(std::array::from_fn(|_| {
            Mutex::new(Gauge {
                waiting: 0,
                sum: Duration::ZERO,
                counted_to,
            })
        }))
    }

    /// Counts the time until `future` is ready. What is ready at once costs nothing.
    ///
    /// Cancel-safe as far as `future` is.
    pub(crate) fn during<F: Future>(&self, wait: Wait, future: F) -> During<'_, F> {
        During {
            gauge: &self.0[wait as usize],
            waiting: None,
            future,
        }
    }

    /// The sums up to now, waits that go on included.
    pub(crate) fn sums(&self) -> Sums {
        let now = Instant::now();
        Sums(std::array::from_fn(|wait| {
            let mut gauge = self.0[wait].lock().unwrap_or_else(PoisonError::into_inner);
            gauge.count(now)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn waits_add_up_also_those_that_go_on_or_were_dropped() {
        let waits = Waits::new();
        waits.during(Wait::Source, std::future::ready(())).await;
        assert_eq!(waits.sums(), Sums::default());
        let long = waits.during(Wait::Source, sleep(3 * SECOND));
        let short = waits.during(Wait::Source, sleep(SECOND));
        let dropped = async {
            let endless = waits.during(Wait::Memory, std::future::pending::<()>());
            tokio::select! {
                () = endless => {}
                () = sleep(2 * SECOND) => {
                    assert_eq!(waits.sums().of(Wait::Source), 3 * SECOND);
                }
            }
        };
        tokio::join!(long, short, dropped);
        sleep(SECOND).await;
        let sums = waits.sums();
        assert_eq!(sums.of(Wait::Source), 4 * SECOND);
        assert_eq!(sums.of(Wait::Memory), 2 * SECOND);
        assert_eq!(sums.since(&sums), Sums::default());
    }
}
