//! How far the driver has come in looking at rows of which there may be very many.

use std::time::{Duration, Instant};

use super::rows::Walk;

/// Tasks that were tried before are looked at this often: they wait for the clock, or for an agent.
const WIDE_INTERVAL: Duration = Duration::from_secs(1);
/// Looks at the queue in a row, so that an agent with room finds what is far behind for it.
const QUEUE_LOOKS: u32 = 8;

/// Where the next round looks.
#[derive(Debug, Default)]
pub(super) struct Progress {
    walk: Walk,
    wide_at: Option<Instant>,
    queue_looks: u32,
}

impl Progress {
    pub(super) fn walk(&self) -> Walk {
        self.walk.clone()
    }

    /// Whether tasks that were tried before are due to be looked at; they count as looked at.
    pub(super) fn take_wide(&mut self, now: Instant) -> bool {
        let is_due = self
            .wide_at
            .is_none_or(|at| now.saturating_duration_since(at) >= WIDE_INTERVAL);
        if is_due {
            self.wide_at = Some(now);
        }
        is_due
    }

    /// The driver begins: it may look at several parts of the queue.
    pub(super) fn begin(&mut self) {
        self.queue_looks = 0;
    }

    /// Goes on at `next`; in the queue only if nothing was launched from what was looked at. Whether
    /// the next part of the queue is to be looked at without a pause.
    pub(super) fn advance(&mut self, next: Walk, has_launched: bool) -> bool {
        let queue = self.walk.queue.clone();
        self.walk = next;
        if has_launched {
            self.walk.queue = queue;
            return false;
        }
        self.queue_looks += 1;
        self.walk.queue.is_some() && self.queue_looks < QUEUE_LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: i64) -> Walk {
        Walk {
            queue: Some((number, String::new())),
            ..Walk::default()
        }
    }

    #[test]
    fn tried_tasks_are_looked_at_once_a_second() {
        let mut progress = Progress::default();
        let start = Instant::now();
        assert!(progress.take_wide(start));
        assert!(!progress.take_wide(start + WIDE_INTERVAL / 2));
        assert!(progress.take_wide(start + WIDE_INTERVAL));
    }

    #[test]
    fn the_queue_is_gone_through_part_by_part_and_not_for_ever() {
        let mut progress = Progress::default();
        progress.begin();
        assert!(progress.advance(at(1), false));
        assert!(!progress.advance(at(2), true));
        assert_eq!(progress.walk(), at(1), "there may be more of it");
        let goes_on = (0..).take_while(|number| progress.advance(at(*number), false));
        assert_eq!(goes_on.count(), QUEUE_LOOKS as usize - 2);
        progress.begin();
        assert!(progress.advance(at(9), false));
        assert!(!progress.advance(Walk::default(), false), "the end");
    }
}
