//! Who has how much of the room for large bodies, decided from values: no clock and no socket here.
//!
//! Where there is none left, whoever has most of it makes way: a body that is still on its way is
//! given up for one of an address that would have less. So an address that trickles large bodies
//! keeps others out no longer than these need to ask; its own wait.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

/// What becomes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It has room; others have lost theirs.
    Enter { id: u64, yielding: Vec<u64> },
    /// It waits; others may have lost theirs all the same.
    Wait { yielding: Vec<u64> },
}

#[derive(Debug)]
struct Share {
    source: IpAddr,
    bytes: usize,
    /// Whether the body is still on its way.
    is_arriving: bool,
}

/// The room and its shares, oldest first.
#[derive(Debug)]
pub(super) struct Shares {
    free: usize,
    taken: BTreeMap<u64, Share>,
    next: u64,
}

impl Shares {
    /// `bytes` in all.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            free: bytes,
            taken: BTreeMap::new(),
            next: 0,
        }
    }

    /// A body of `bytes` at most, which are no more than there are in all, begins to come from
    /// `source`.
    pub(super) fn enter(&mut self, source: IpAddr, bytes: usize) -> Decision {
        let mut yielding = Vec::new();
        while self.free < bytes {
            let Some(id) = self.yielding(source, bytes) else {
                return Decision::Wait { yielding };
            };
            self.leave(id);
            yielding.push(id);
        }
        self.free -= bytes;
        let id = self.next;
        self.next += 1;
        let share = Share {
            source,
            bytes,
            is_arriving: true,
        };
        self.taken.insert(id, share);
        Decision::Enter { id, yielding }
    }

    /// The oldest body on its way of the address that has most, if that is more than `source` would
    /// have with `bytes` more.
    fn yielding(&self, source: IpAddr, bytes: usize) -> Option<u64> {
        let mut held: HashMap<IpAddr, usize> = HashMap::new();
        for share in self.taken.values() {
            *held.entry(share.source).or_default() += share.bytes;
        }
        let would_have = held.get(&source).copied().unwrap_or_default() + bytes;
        let arriving = self.taken.iter().filter(|(_, share)| share.is_arriving);
        let loudest = arriving
            .filter_map(|(id, share)| Some((*held.get(&share.source)?, share.source, *id)))
            .max_by_key(|(held, source, id)| (*held, *source, std::cmp::Reverse(*id)));
        let (most, _, id) = loudest?;
        (most > would_have).then_some(id)
    }

    /// The body is there. `false` if its room is another's already.
    pub(super) fn keep(&mut self, id: u64) -> bool {
        let share = self.taken.get_mut(&id);
        share.map(|share| share.is_arriving = false).is_some()
    }

    /// May be called twice.
    pub(super) fn leave(&mut self, id: u64) {
        if let Some(share) = self.taken.remove(&id) {
            self.free += share.bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn entered(shares: &mut Shares, last: u8, bytes: usize) -> u64 {
        match shares.enter(source(last), bytes) {
            Decision::Enter { id, yielding } if yielding.is_empty() => id,
            other => panic!("{other:?}"),
        }
    }

    fn yielding(shares: &mut Shares, last: u8, bytes: usize) -> Vec<u64> {
        match shares.enter(source(last), bytes) {
            Decision::Enter { yielding, .. } => yielding,
            other @ Decision::Wait { .. } => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_address_that_has_all_makes_way_for_others_and_not_for_itself() {
        let mut shares = Shares::new(100);
        let slow: Vec<u64> = (0..5).map(|_| entered(&mut shares, 1, 20)).collect();
        let waits = Decision::Wait { yielding: vec![] };
        assert_eq!(shares.enter(source(1), 20), waits);
        assert!(shares.keep(slow[0]), "it is there");
        assert_eq!(yielding(&mut shares, 2, 30), slow[1..3]);
        assert!(!shares.keep(slow[1]), "its room is another's");
        shares.leave(slow[1]);
        assert_eq!(shares.free, 10);
    }

    #[test]
    fn addresses_that_have_as_much_wait_for_each_other() {
        let mut shares = Shares::new(100);
        let first = entered(&mut shares, 1, 50);
        entered(&mut shares, 2, 50);
        let waits = Decision::Wait { yielding: vec![] };
        assert_eq!(shares.enter(source(3), 50), waits);
        assert_eq!(yielding(&mut shares, 3, 49).len(), 1);
        assert_eq!(shares.enter(source(3), 20), waits);
        shares.leave(first);
        entered(&mut shares, 3, 1);
    }

    #[test]
    fn bodies_that_are_there_are_left_alone() {
        let mut shares = Shares::new(100);
        for _ in 0..5 {
            let id = entered(&mut shares, 1, 20);
            assert!(shares.keep(id));
        }
        let waits = Decision::Wait { yielding: vec![] };
        assert_eq!(shares.enter(source(3), 20), waits);
    }
}
