//! Who has a connection when there are many, decided from values: no clock and no socket here.
//!
//! A connection on which no request is being answered (its handshake or its next head is awaited,
//! its answer is being taken) yields to a new one, so that whoever only holds connections keeps
//! nobody out. What is being answered is never cut off.

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

#[derive(Debug)]
struct Seat {
    source: IpAddr,
    /// `None` while a request is being answered.
    idle_since: Option<Instant>,
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
            match self.longest_idle(|seat| seat.source == source) {
                Some(id) => Some(id),
                None => return Decision::Refuse,
            }
        } else if self.taken.len() >= self.limits.total {
            match self.longest_idle_of_the_loudest() {
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
            idle_since: Some(now),
        };
        self.taken.insert(id, seat);
        Decision::Enter { id, yielding }
    }

    fn longest_idle(&self, may_yield: impl Fn(&Seat) -> bool) -> Option<u64> {
        let idle = self.taken.iter().filter(|(_, seat)| may_yield(seat));
        idle.filter_map(|(id, seat)| Some((seat.idle_since?, *id)))
            .min()
            .map(|(_, id)| id)
    }

    /// Of the address with most idle connections.
    fn longest_idle_of_the_loudest(&self) -> Option<u64> {
        let mut idle: HashMap<IpAddr, usize> = HashMap::new();
        for seat in self.taken.values().filter(|seat| seat.idle_since.is_some()) {
            *idle.entry(seat.source).or_default() += 1;
        }
        let loudest = idle
            .into_iter()
            .max_by_key(|(source, count)| (*count, *source));
        let (source, _) = loudest?;
        self.longest_idle(|seat| seat.source == source)
    }

    /// A request came. `false` if the seat was given to another one: it must not be answered.
    pub(super) fn set_busy(&mut self, id: u64) -> bool {
        let seat = self.taken.get_mut(&id);
        seat.map(|seat| seat.idle_since = None).is_some()
    }

    /// The request is answered.
    pub(super) fn set_idle(&mut self, id: u64, now: Instant) {
        if let Some(seat) = self.taken.get_mut(&id) {
            seat.idle_since = Some(now);
        }
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
