//! Who has a connection when there are many, decided from values: no clock and no socket here.
//!
//! A connection yields to a new one while it is idle (its handshake or its next head is awaited, its
//! answer is being taken) and while a request is on its way and nobody knows yet whose it is: so
//! whoever only holds connections, or trickles requests, keeps nobody out. Once a request is there
//! with a good signature, it is never cut off.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Instant;

/// Connections at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeatLimits {
    pub(crate) total: usize,
    /// From one address, or from one /64 network of IPv6.
    pub(crate) per_source: usize,
}

/// What becomes of a new connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It has a seat; another one that was idle has lost its own.
    Enter { id: u64, yielding: Option<u64> },
    /// Its address has as many as it may, and all of them are busy.
    Refuse,
    /// All are busy: it waits.
    Wait,
}

/// What a connection is doing. Whoever yields first is the lesser one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Doing {
    /// Nothing, since then.
    Idle(Instant),
    /// A request began to come then, and is not known to be of a client yet.
    Arriving(Instant),
    /// A client's request is being answered.
    Busy,
}

#[derive(Debug)]
struct Seat {
    source: IpAddr,
    doing: Doing,
}

impl Seat {
    fn may_yield(&self) -> bool {
        self.doing != Doing::Busy
    }
}

/// The connections that there are.
#[derive(Debug)]
pub(super) struct Seats {
    limits: SeatLimits,
    taken: BTreeMap<u64, Seat>,
    next: u64,
}

impl Seats {
    pub(super) fn new(limits: SeatLimits) -> Self {
        Self {
            limits,
            taken: BTreeMap::new(),
            next: 0,
        }
    }

    /// A new connection of `source`.
    pub(super) fn enter(&mut self, source: IpAddr, now: Instant) -> Decision {
        let of_source = self.taken.values().filter(|seat| seat.source == source);
        let yielding = if of_source.count() >= self.limits.per_source {
            match self.first_to_yield(source) {
                Some(id) => Some(id),
                None => return Decision::Refuse,
            }
        } else if self.taken.len() >= self.limits.total {
            match self
                .loudest()
                .and_then(|loudest| self.first_to_yield(loudest))
            {
                Some(id) => Some(id),
                None => return Decision::Wait,
            }
        } else {
            None
        };
        if let Some(id) = yielding {
            self.taken.remove(&id);
        }
        let id = self.next;
        self.next += 1;
        let seat = Seat {
            source,
            doing: Doing::Idle(now),
        };
        self.taken.insert(id, seat);
        Decision::Enter { id, yielding }
    }

    fn first_to_yield(&self, source: IpAddr) -> Option<u64> {
        let seats = self.taken.iter();
        let seats = seats.filter(|(_, seat)| seat.source == source && seat.may_yield());
        let first = seats.min_by_key(|(id, seat)| (seat.doing, **id));
        first.map(|(id, _)| *id)
    }

    /// The address with most connections that may yield.
    fn loudest(&self) -> Option<IpAddr> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for seat in self.taken.values().filter(|seat| seat.may_yield()) {
            *counts.entry(seat.source).or_default() += 1;
        }
        let loudest = counts
            .into_iter()
            .max_by_key(|(source, count)| (*count, *source));
        loudest.map(|(source, _)| source)
    }

    /// A request begins to come. `false` if the seat was given to another one: it must not be
    /// answered.
    pub(super) fn set_arriving(&mut self, id: u64, now: Instant) -> bool {
        self.set(id, Doing::Arriving(now))
    }

    /// The request is a client's. `false` as before.
    pub(super) fn set_busy(&mut self, id: u64) -> bool {
        self.set(id, Doing::Busy)
    }

    /// The request is answered.
    pub(super) fn set_idle(&mut self, id: u64, now: Instant) {
        self.set(id, Doing::Idle(now));
    }

    fn set(&mut self, id: u64, doing: Doing) -> bool {
        let seat = self.taken.get_mut(&id);
        seat.map(|seat| seat.doing = doing).is_some()
    }

    pub(super) fn leave(&mut self, id: u64) {
        self.taken.remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LIMITS: SeatLimits = SeatLimits {
        total: 4,
        per_source: 3,
    };

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    struct Room {
        seats: Seats,
        start: Instant,
        seconds: u64,
    }

    impl Room {
        fn new() -> Self {
            Self {
                seats: Seats::new(LIMITS),
                start: Instant::now(),
                seconds: 0,
            }
        }

        /// A second after what was last.
        fn now(&mut self) -> Instant {
            self.seconds += 1;
            self.start + Duration::from_secs(self.seconds)
        }

        fn enter(&mut self, last: u8) -> Decision {
            let now = self.now();
            self.seats.enter(source(last), now)
        }

        fn seated(&mut self, last: u8) -> u64 {
            match self.enter(last) {
                Decision::Enter { id, yielding: None } => id,
                other => panic!("{other:?}"),
            }
        }

        fn yielding(&mut self, last: u8) -> Option<u64> {
            match self.enter(last) {
                Decision::Enter { yielding, .. } => yielding,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_longest_idle_of_an_address_yields_to_its_next_one() {
        let mut room = Room::new();
        let [first, second, third] = [room.seated(1), room.seated(1), room.seated(1)];
        assert!(room.seats.set_busy(first));
        assert_eq!(room.yielding(1), Some(second));
        let now = room.now();
        room.seats.set_idle(first, now);
        assert_eq!(room.yielding(1), Some(third));
        assert!(!room.seats.set_busy(second), "its seat is another's");
    }

    #[test]
    fn busy_ones_are_left_alone() {
        let mut room = Room::new();
        let own: Vec<u64> = (0..3).map(|_| room.seated(1)).collect();
        let other = room.seated(2);
        for id in own.iter().chain([&other]) {
            assert!(room.seats.set_busy(*id));
        }
        assert_eq!(room.enter(1), Decision::Refuse);
        assert_eq!(room.enter(3), Decision::Wait);
        room.seats.leave(other);
        room.seated(3);
    }

    #[test]
    fn requests_on_their_way_yield_after_idle_ones_and_keep_nobody_out() {
        let mut room = Room::new();
        let slow: Vec<u64> = (0..2).map(|_| room.seated(1)).collect();
        for id in &slow {
            let now = room.now();
            assert!(room.seats.set_arriving(*id, now));
        }
        let idle = room.seated(1);
        let other = room.seated(2);
        let now = room.now();
        assert!(room.seats.set_arriving(other, now));
        assert_eq!(room.yielding(3), Some(idle), "of the loudest");
        assert_eq!(room.yielding(4), Some(slow[0]));
        assert!(!room.seats.set_busy(slow[0]), "its seat is another's");
        // A signature that is good.
        assert!(room.seats.set_busy(slow[1]));
        for last in 5..9 {
            assert_ne!(room.yielding(last), Some(slow[1]));
        }
    }

    #[test]
    fn the_address_with_most_idle_ones_makes_room_for_others() {
        let mut room = Room::new();
        let quiet = room.seated(2);
        let loud = [room.seated(1), room.seated(1), room.seated(1)];
        assert_eq!(room.yielding(3), Some(loud[0]));
        assert_eq!(room.yielding(4), Some(loud[1]));
        assert!(room.seats.set_busy(quiet));
    }

    #[test]
    fn whoever_leaves_makes_room_and_may_leave_twice() {
        let mut room = Room::new();
        let ids: Vec<u64> = (1..=4).map(|last| room.seated(last)).collect();
        room.seats.leave(ids[0]);
        room.seats.leave(ids[0]);
        room.seated(9);
        assert_eq!(room.seats.taken.len(), 4);
    }
}
