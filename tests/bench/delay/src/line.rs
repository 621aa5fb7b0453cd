//! Bytes on their way: each arrives a fixed time after it was sent, as many at once as fit.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One direction of a connection. The sender waits while `bytes_max` are on their way.
#[derive(Debug)]
pub(crate) struct Line {
    delay: Duration,
    bytes_max: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    on_the_way: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
}

impl Line {
    pub(crate) fn new(delay: Duration, bytes_max: usize) -> Self {
        Self {
            delay,
            bytes_max,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the condition is false, or the other side is gone.
    fn wait_while(&self, waits: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let state = self.state();
        self.changed
            .wait_while(state, |state| waits(state))
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends bytes off at `now`; `false` if nobody will take them.
    pub(crate) fn send(&self, now: Instant, bytes: Vec<u8>) -> bool {
        let full = |state: &State| state.bytes >= self.bytes_max && !state.receiver_gone;
        let mut state = self.wait_while(full);
        if state.receiver_gone {
            return false;
        }
        state.bytes += bytes.len();
        state.on_the_way.push_back((now + self.delay, bytes));
        self.changed.notify_all();
        true
    }

    /// The next bytes and when they are due; `None` once the sender is gone and all were taken.
    pub(crate) fn take(&self) -> Option<(Instant, Vec<u8>)> {
        let empty = |state: &State| state.on_the_way.is_empty() && !state.sender_gone;
        let mut state = self.wait_while(empty);
        let (due, bytes) = state.on_the_way.pop_front()?;
        state.bytes -= bytes.len();
        self.changed.notify_all();
        Some((due, bytes))
    }

    pub(crate) fn sender_gone(&self) {
        self.state().sender_gone = true;
        self.changed.notify_all();
    }

    pub(crate) fn receiver_gone(&self) {
        self.state().receiver_gone = true;
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(1);

    #[test]
    fn bytes_arrive_in_order_each_after_the_delay() {
        let line = Line::new(DELAY, 100);
        let start = Instant::now();
        let later = start + Duration::from_millis(1);
        assert!(line.send(start, b"first".to_vec()));
        assert!(line.send(later, b"second".to_vec()));
        line.sender_gone();
        assert_eq!(line.take(), Some((start + DELAY, b"first".to_vec())));
        assert_eq!(line.take(), Some((later + DELAY, b"second".to_vec())));
        assert_eq!(line.take(), None);
    }

    #[test]
    fn a_full_line_takes_more_once_something_has_arrived() {
        let line = Line::new(DELAY, 3);
        let now = Instant::now();
        assert!(line.send(now, b"abc".to_vec()));
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| line.send(now, b"d".to_vec()));
            assert_eq!(line.take(), Some((now + DELAY, b"abc".to_vec())));
            assert!(sent.join().unwrap());
        });
        assert_eq!(line.take(), Some((now + DELAY, b"d".to_vec())));
    }

    #[test]
    fn a_sender_does_not_wait_for_a_receiver_that_is_gone() {
        let line = Line::new(DELAY, 1);
        assert!(line.send(Instant::now(), b"x".to_vec()));
        line.receiver_gone();
        assert!(!line.send(Instant::now(), b"y".to_vec()));
    }
}
