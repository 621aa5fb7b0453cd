//! Who sends next: windows for small and for bulky requests, fair among executions. Pure.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use super::window::{Bounds, Ended, Window};

/// Requests that move more bytes than this are bulky.
const BULKY: u64 = 256 * 1024;

/// What a request weighs. Each weight has a window of its own, so that neither holds up the other
/// and latencies compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Small,
    Bulky,
}

impl Weight {
    /// Of a request that moves so many bytes of content.
    pub(super) fn of(bytes: u64) -> Self {
        if bytes > BULKY {
            Self::Bulky
        } else {
            Self::Small
        }
    }

    fn bounds(self, in_flight_max: usize) -> Bounds {
        let (floor, start, ceiling) = match self {
            Self::Small => (4, 64, 256),
            Self::Bulky => (2, 16, 64),
        };
        Bounds {
            floor,
            start,
            ceiling: in_flight_max.min(ceiling),
        }
    }
}

/// The requests of one execution.
#[derive(Debug)]
struct Line<T> {
    in_flight: usize,
    waiting: VecDeque<T>,
}

#[derive(Debug)]
struct Lane<T> {
    window: Window,
    in_flight: usize,
    lines: BTreeMap<u64, Line<T>>,
}

impl<T> Lane<T> {
    /// The line of an execution; a new one takes the place of those that are empty.
    fn line(&mut self, execution: u64) -> &mut Line<T> {
        if !self.lines.contains_key(&execution) {
            self.lines
                .retain(|_, line| line.in_flight > 0 || !line.waiting.is_empty());
        }
        self.lines.entry(execution).or_insert_with(|| Line {
            in_flight: 0,
            waiting: VecDeque::new(),
        })
    }

    fn has_room(&self) -> bool {
        self.in_flight < self.window.size()
    }

    fn enter(&mut self, execution: u64) {
        self.line(execution).in_flight += 1;
        self.in_flight += 1;
    }

    /// Drops those at the head of each line that nobody waits for any more; gives how many.
    fn forget(&mut self, is_wanted: impl Fn(&T) -> bool) -> usize {
        let mut forgotten = 0;
        for line in self.lines.values_mut() {
            while line.waiting.front().is_some_and(|first| !is_wanted(first)) {
                line.waiting.pop_front();
                forgotten += 1;
            }
        }
        forgotten
    }

    fn take(&mut self) -> Option<(u64, T)> {
        if !self.has_room() {
            return None;
        }
        let waiting = self
            .lines
            .iter_mut()
            .filter(|(_, line)| !line.waiting.is_empty());
        let (execution, line) = waiting.min_by_key(|(_, line)| line.in_flight)?;
        let request = line.waiting.pop_front()?;
        line.in_flight += 1;
        self.in_flight += 1;
        Some((*execution, request))
    }
}

/// Requests in flight and those that wait for a place.
#[derive(Debug)]
pub(super) struct Queue<T> {
    in_flight_max: usize,
    /// Those in the lines.
    waiting: usize,
    small: Lane<T>,
    bulky: Lane<T>,
}

impl<T> Queue<T> {
    /// At most `in_flight_max` requests are in flight, whatever they weigh.
    pub(super) fn new(in_flight_max: usize, now: Instant) -> Self {
        let lane = |weight: Weight| Lane {
            window: Window::new(weight.bounds(in_flight_max), now),
            in_flight: 0,
            lines: BTreeMap::new(),
        };
        Self {
            in_flight_max: in_flight_max.max(1),
            waiting: 0,
            small: lane(Weight::Small),
            bulky: lane(Weight::Bulky),
        }
    }

    /// Requests that have a place.
    pub(super) fn in_flight(&self) -> usize {
        self.small.in_flight + self.bulky.in_flight
    }

    fn lane(&mut self, weight: Weight) -> &mut Lane<T> {
        match weight {
            Weight::Small => &mut self.small,
            Weight::Bulky => &mut self.bulky,
        }
    }

    /// The present windows of small and of bulky requests.
    #[cfg(test)]
    pub(super) fn windows(&self) -> (usize, usize) {
        (self.small.window.size(), self.bulky.window.size())
    }

    /// Whether a request of either weight was refused lately.
    pub(super) fn was_refused(&self, now: Instant) -> bool {
        let mut lanes = [&self.small, &self.bulky].into_iter();
        lanes.any(|lane| lane.window.was_refused(now))
    }

    /// Takes a place, if there is one and nobody waits.
    pub(super) fn enter(&mut self, execution: u64, weight: Weight) -> bool {
        if self.waiting > 0 || !self.has_room() || !self.lane(weight).has_room() {
            return false;
        }
        self.lane(weight).enter(execution);
        true
    }

    pub(super) fn wait(&mut self, execution: u64, weight: Weight, request: T) {
        self.lane(weight).line(execution).waiting.push_back(request);
        self.waiting += 1;
    }

    fn has_room(&self) -> bool {
        self.small.in_flight + self.bulky.in_flight < self.in_flight_max
    }

    /// The next request that may be sent; those that nobody waits for any more are dropped. Of the
    /// two weights, and of the executions, it is the one that has fewer in flight.
    pub(super) fn next(&mut self, is_wanted: impl Fn(&T) -> bool) -> Option<(u64, Weight, T)> {
        if self.waiting == 0 {
            return None;
        }
        for lane in [&mut self.small, &mut self.bulky] {
            self.waiting -= lane.forget(&is_wanted);
        }
        if !self.has_room() {
            return None;
        }
        let mut weights = [Weight::Small, Weight::Bulky];
        weights.sort_by_key(|weight| self.lane(*weight).in_flight);
        let (execution, weight, request) = weights.into_iter().find_map(|weight| {
            let (execution, request) = self.lane(weight).take()?;
            Some((execution, weight, request))
        })?;
        self.waiting -= 1;
        Some((execution, weight, request))
    }

    /// A request is not in flight any more; `ended` unless nobody waited for its answer. Gives the
    /// window of its weight where that is another now.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        (execution, weight): (u64, Weight),
        ended: Option<Ended>,
    ) -> Option<usize> {
        let lane = self.lane(weight);
        lane.in_flight -= 1;
        lane.line(execution).in_flight -= 1;
        let before = lane.window.size();
        if let Some(ended) = ended {
            lane.window.ended(now, ended);
        }
        let window = lane.window.size();
        (window != before).then_some(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn taken(queue: &mut Queue<u32>) -> Vec<(u64, Weight)> {
        let next = || queue.next(|_| true).map(|(line, weight, _)| (line, weight));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn both_weights_and_all_executions_get_the_same_where_room_is_short() {
        let mut queue = Queue::new(12, Instant::now());
        for execution in 0..3 {
            for request in 0..100 {
                queue.wait(execution, Weight::Small, request);
                queue.wait(execution, Weight::Bulky, request);
            }
        }
        let taken = taken(&mut queue);
        for execution in 0..3 {
            for weight in [Weight::Small, Weight::Bulky] {
                let count = taken.iter().filter(|one| **one == (execution, weight));
                assert_eq!(count.count(), 2, "{execution} {weight:?}");
            }
        }
    }

    #[test]
    fn who_is_alone_has_all_of_the_room() {
        let mut queue = Queue::new(12, Instant::now());
        (0..100).for_each(|request| queue.wait(7, Weight::Small, request));
        assert_eq!(taken(&mut queue).len(), 12);
    }

    #[test]
    fn requests_that_nobody_waits_for_take_no_place() {
        let mut queue = Queue::new(1000, Instant::now());
        (0..100).for_each(|request| queue.wait(7, Weight::Bulky, request));
        let wanted = |request: &u32| *request >= 90;
        let mut found = 0;
        while queue.next(wanted).is_some() {
            found += 1;
        }
        assert_eq!(found, 10);
    }

    proptest! {
        #[test]
        fn no_more_are_in_flight_than_the_windows_and_the_maximum_allow(
            most in 1usize..100,
            steps in proptest::collection::vec((0u64..3, any::<bool>(), 0usize..4), 1..300),
        ) {
            let mut queue = Queue::new(most, Instant::now());
            let mut in_flight: Vec<(u64, Weight)> = Vec::new();
            for (execution, is_bulky, ends) in steps {
                let weight = if is_bulky { Weight::Bulky } else { Weight::Small };
                queue.wait(execution, weight, 0);
                for _ in 0..ends.min(in_flight.len()) {
                    queue.ended(Instant::now(), in_flight.remove(0), None);
                }
                in_flight.extend(taken(&mut queue));
                let small = in_flight.iter().filter(|one| one.1 == Weight::Small).count();
                let (small_max, bulky_max) = queue.windows();
                prop_assert!(in_flight.len() <= most);
                prop_assert!(small <= small_max && in_flight.len() - small <= bulky_max);
            }
        }
    }
}
