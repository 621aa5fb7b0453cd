//! How many request bodies are under way at once: fewer at low rates.

use std::sync::Arc;

use datasync_model::BytesPerSecond;
use tokio::sync::{Mutex, watch};

/// The rate in bytes per second that a body under way is to have: a part of 8 MiB takes about half
/// a minute. Stores and the proxies before them end requests that are idle for 20 s, or that take
/// minutes.
const BODY_RATE: u64 = 256 * 1024;

/// A body that takes less than this share of a second is short: as many as may be in flight.
const SHORT_SHARE: u64 = 256;

/// Lets bodies begin in the order in which they came. One that has begun goes on, also where the
/// rate falls.
#[derive(Debug)]
pub(super) struct Gate {
    /// Held by the body that is next; tokio's mutex is first come, first served.
    next: Mutex<watch::Receiver<BytesPerSecond>>,
    rate: watch::Receiver<BytesPerSecond>,
    /// A rate that others use too, and that never changes.
    shared: Option<BytesPerSecond>,
    under_way: Arc<watch::Sender<usize>>,
}

/// A body's permission to be under way; given back on drop.
#[derive(Debug)]
pub(super) struct Admission(Arc<watch::Sender<usize>>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.send_modify(|under_way| *under_way -= 1);
    }
}

impl Gate {
    pub(super) fn new(
        rate: watch::Receiver<BytesPerSecond>,
        shared: Option<BytesPerSecond>,
    ) -> Self {
        Self {
            next: Mutex::new(rate.clone()),
            rate,
            shared,
            under_way: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Waits until one more body of `length` bytes may begin; one that is over in a moment needs no
    /// admission. Cancel-safe: a body that is dropped holds up nobody.
    pub(super) async fn admit(&self, length: u64) -> Option<Admission> {
        if self.is_short(length) {
            return None;
        }
        let mut rate = self.next.lock().await;
        let mut under_way = self.under_way.subscribe();
        let shared_max = self.shared.map_or(usize::MAX, bodies_max);
        while *under_way.borrow_and_update()
            >= bodies_max(*rate.borrow_and_update()).min(shared_max)
        {
            tokio::select! {
                biased;
                Ok(()) = under_way.changed() => {}
                Ok(()) = rate.changed() => {}
                // Neither can change any more.
                else => std::future::pending().await,
            }
        }
        self.under_way.send_modify(|under_way| *under_way += 1);
        Some(Admission(Arc::clone(&self.under_way)))
    }

    /// Whether a body holds up none even where hundreds like it are under way: together they take
    /// about a second.
    fn is_short(&self, length: u64) -> bool {
        let own = *self.rate.borrow();
        let lowest = [Some(own), self.shared].into_iter().flatten();
        let lowest = lowest.filter_map(BytesPerSecond::limit).min();
        lowest.is_some_and(|rate| length <= rate.get() / SHORT_SHARE)
    }
}

/// The most bodies that may begin at `rate`: at least one.
fn bodies_max(rate: BytesPerSecond) -> usize {
    rate.limit().map_or(usize::MAX, |rate| {
        usize::try_from(rate.get() / BODY_RATE)
            .unwrap_or(usize::MAX)
            .max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: i64 = 1024;
    const MIB: u64 = 1 << 20;

    fn rate(bytes: i64) -> BytesPerSecond {
        BytesPerSecond::try_from(bytes).unwrap()
    }

    fn gate(first: i64) -> (Gate, watch::Sender<BytesPerSecond>) {
        let (sender, receiver) = watch::channel(rate(first));
        (Gate::new(receiver, None), sender)
    }

    #[test]
    fn bodies_follow_the_rate() {
        for (bytes, bodies) in [
            (1, 1),
            (64 * KIB, 1),
            (512 * KIB - 1, 1),
            (512 * KIB, 2),
            (10 << 20, 40),
        ] {
            assert_eq!(bodies_max(rate(bytes)), bodies, "{bytes}");
        }
        assert_eq!(bodies_max(BytesPerSecond::UNLIMITED), usize::MAX);
    }

    #[tokio::test]
    async fn an_end_lets_the_next_one_begin_in_the_order_in_which_they_came() {
        let (gate, _rate) = gate(64 * KIB);
        let first = gate.admit(MIB).await;
        let (mut second, mut third) = (Box::pin(gate.admit(MIB)), Box::pin(gate.admit(MIB)));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        assert!(futures::poll!(&mut third).is_pending());
        drop(second.await);
        drop(third.await);
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_while_it_waits_holds_up_nobody() {
        let (gate, _rate) = gate(64 * KIB);
        let first = gate.admit(MIB).await;
        let mut second = Box::pin(gate.admit(MIB));
        assert!(futures::poll!(&mut second).is_pending());
        let mut third = Box::pin(gate.admit(MIB));
        assert!(futures::poll!(&mut third).is_pending());
        drop(second);
        drop(first);
        drop(third.await);
    }

    #[tokio::test]
    async fn a_rate_that_changes_counts_at_once() {
        let (gate, sender) = gate(64 * KIB);
        let first = gate.admit(MIB).await;
        let mut second = Box::pin(gate.admit(MIB));
        assert!(futures::poll!(&mut second).is_pending());
        sender.send_replace(rate(512 * KIB));
        let second = second.await;
        sender.send_replace(rate(64 * KIB));
        drop(first);
        let mut third = Box::pin(gate.admit(MIB));
        assert!(futures::poll!(&mut third).is_pending(), "one is under way");
        sender.send_replace(BytesPerSecond::UNLIMITED);
        drop((third.await, second));
        // The rate is for good now.
        drop(sender);
        let held = gate.admit(MIB).await;
        drop((gate.admit(MIB).await, held));
    }

    #[tokio::test]
    async fn a_short_body_needs_no_admission() {
        let (gate, sender) = gate(64 * KIB);
        let first = gate.admit(MIB).await;
        assert!(first.is_some());
        assert!(gate.admit(256).await.is_none());
        let mut longer = Box::pin(gate.admit(257));
        assert!(futures::poll!(&mut longer).is_pending());
        drop(longer);
        sender.send_replace(rate(8 << 20));
        assert!(gate.admit(32 << 10).await.is_none());
    }
}
