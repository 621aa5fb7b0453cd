//! A place among the requests in flight.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::{Queue, Weight};
use super::window::{Ended, Sign};

/// Holds back requests for which the server has no room.
#[derive(Debug)]
pub(super) struct Gate(Mutex<Queue<oneshot::Sender<Turn>>>);

/// A place; given back on drop.
#[derive(Debug)]
pub(super) struct Turn {
    gate: Arc<Gate>,
    place: (u64, Weight),
    ended: Option<Ended>,
}

impl Turn {
    /// The request was answered, or not in time; its body was held back for `held`.
    pub(super) fn end(mut self, sent_at: Instant, held: Duration, bytes: u64, sign: Sign) {
        let amount = match self.place.1 {
            Weight::Small => 1,
            Weight::Bulky => bytes,
        };
        self.ended = Some(Ended {
            sent_at,
            held,
            amount,
            sign,
        });
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let ended = self.ended.take();
        let now = Instant::now();
        let window = self.gate.lock().ended(now, self.place, ended);
        if let Some(requests) = window {
            let weight = self.place.1;
            tracing::debug!(?weight, requests, "requests in flight follow the server");
        }
        self.gate.serve();
    }
}

impl Gate {
    pub(super) fn new(in_flight_max: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue::new(in_flight_max, Instant::now()))))
    }

    fn lock(&self) -> MutexGuard<'_, Queue<oneshot::Sender<Turn>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place. Cancel-safe: who is dropped takes none.
    pub(super) async fn turn(self: &Arc<Self>, execution: u64, weight: Weight) -> Turn {
        loop {
            if self.lock().enter(execution, weight) {
                return self.given(execution, weight);
            }
            let (sender, receiver) = oneshot::channel();
            self.lock().wait(execution, weight, sender);
            self.serve();
            // A sender goes nowhere else than to its end.
            if let Ok(turn) = receiver.await {
                return turn;
            }
        }
    }

    /// Places that are taken.
    pub(super) fn in_flight(&self) -> usize {
        self.lock().in_flight()
    }

    pub(super) fn was_refused(&self, now: Instant) -> bool {
        self.lock().was_refused(now)
    }

    /// Gives out the places that are free.
    fn serve(self: &Arc<Self>) {
        loop {
            // The lock is free again before a turn is given, which may come back at once.
            let next = self.lock().next(|waiting| !waiting.is_closed());
            let Some((execution, weight, waiting)) = next else {
                return;
            };
            drop(waiting.send(self.given(execution, weight)));
        }
    }

    fn given(self: &Arc<Self>, execution: u64, weight: Weight) -> Turn {
        Turn {
            gate: Arc::clone(self),
            place: (execution, weight),
            ended: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;
    use tokio::time::sleep;

    use super::*;

    #[tokio::test]
    async fn places_go_to_those_who_wait_in_their_order() {
        let gate = Gate::new(1);
        let first = gate.turn(0, Weight::Small).await;
        let mut second = Box::pin(gate.turn(0, Weight::Small));
        let mut third = Box::pin(gate.turn(0, Weight::Small));
        assert!(futures::poll!(&mut second).is_pending());
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        assert!(futures::poll!(&mut third).is_pending());
        drop(second.await);
        drop(third.await);
    }

    #[tokio::test]
    async fn a_place_that_was_given_to_one_who_is_dropped_goes_to_the_next() {
        let gate = Gate::new(1);
        let first = gate.turn(0, Weight::Small).await;
        let mut given = Box::pin(gate.turn(0, Weight::Bulky));
        let mut dropped = Box::pin(gate.turn(0, Weight::Bulky));
        let mut last = Box::pin(gate.turn(0, Weight::Bulky));
        for waiting in [&mut given, &mut dropped, &mut last] {
            assert!(futures::poll!(waiting).is_pending());
        }
        drop(dropped);
        drop(first);
        // It has its place and never learns of it.
        drop(given);
        drop(last.await);
        drop(gate.turn(1, Weight::Small).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_that_is_full_of_aborted_tasks_is_empty_again() {
        let gate = Gate::new(10);
        let mut tasks = JoinSet::new();
        for number in 0..100 {
            let gate = Arc::clone(&gate);
            tasks.spawn(async move {
                let _turn = gate.turn(number % 3, Weight::Small).await;
                sleep(Duration::from_secs(1000)).await;
            });
        }
        sleep(Duration::from_millis(1)).await;
        tasks.shutdown().await;
        for _ in 0..10 {
            std::mem::forget(gate.turn(0, Weight::Small).await);
        }
        let mut eleventh = Box::pin(gate.turn(0, Weight::Small));
        assert!(futures::poll!(&mut eleventh).is_pending());
    }
}
