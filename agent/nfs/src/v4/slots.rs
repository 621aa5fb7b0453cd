//! The slots of a session (RFC 8881 §2.10.6): how many calls may be in flight, and the number that
//! each of them carries. No I/O.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    /// Of the last call that was sent in it.
    number: u32,
    is_taken: bool,
    /// Nobody saw what became of that call.
    is_doubtful: bool,
}

#[derive(Debug)]
struct Table {
    slots: Vec<Slot>,
    /// How many of them the server wants to be used.
    limit: usize,
    /// Places that are to be given up as calls end.
    owed: usize,
}

/// All slots of a session.
#[derive(Debug)]
pub(super) struct Slots {
    places: Arc<Semaphore>,
    table: Mutex<Table>,
}

/// A slot in use. One that is dropped in the middle of a call is doubtful from then on.
#[derive(Debug)]
pub(super) struct Taken {
    slots: Arc<Slots>,
    index: usize,
    number: u32,
    is_doubtful: bool,
    place: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        let count = count.max(1) as usize;
        Self {
            places: Arc::new(Semaphore::new(count)),
            table: Mutex::new(Table {
                slots: vec![Slot::default(); count],
                limit: count,
                owed: 0,
            }),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The highest slot that may be in use.
    pub(super) fn highest(&self) -> u32 {
        u32::try_from(self.table().limit - 1).unwrap_or(u32::MAX)
    }

    /// Waits for the lowest free slot.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Taken, AcquireError> {
        let place = Arc::clone(&self.places).acquire_owned().await?;
        let mut table = self.table();
        let free = table.slots.iter().position(|slot| !slot.is_taken);
        // There are never more places than free slots.
        let index = free.unwrap_or_default();
        let slot = &mut table.slots[index];
        slot.is_taken = true;
        Ok(Taken {
            slots: Arc::clone(self),
            index,
            number: slot.number,
            is_doubtful: slot.is_doubtful,
            place: Some(place),
        })
    }

    /// The server wants slots up to `highest` to be used from now on.
    pub(super) fn heed(&self, highest: u32) {
        let mut table = self.table();
        let limit = (highest as usize).saturating_add(1).min(table.slots.len());
        let before = std::mem::replace(&mut table.limit, limit);
        let (fewer, mut more) = (before.saturating_sub(limit), limit.saturating_sub(before));
        table.owed += fewer - self.places.forget_permits(fewer);
        let paid = more.min(table.owed);
        table.owed -= paid;
        more -= paid;
        self.places.add_permits(more);
    }
}

impl Taken {
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    pub(super) fn index(&self) -> u32 {
        u32::try_from(self.index).unwrap_or(u32::MAX)
    }

    /// The number of a new call, which is in doubt until it was answered.
    pub(super) fn begin(&mut self) -> u32 {
        self.number = self.number.wrapping_add(1);
        self.is_doubtful = true;
        self.number
    }

    /// The number of the call that is in doubt.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// The server counts the call.
    pub(super) fn answered(&mut self) {
        self.is_doubtful = false;
    }

    /// The server refused the call before it counted it.
    pub(super) fn refused(&mut self) {
        self.number = self.number.wrapping_sub(1);
        self.is_doubtful = false;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let mut table = self.slots.table();
        table.slots[self.index] = Slot {
            number: self.number,
            is_taken: false,
            is_doubtful: self.is_doubtful,
        };
        if table.owed > 0
            && let Some(place) = self.place.take()
        {
            table.owed -= 1;
            place.forget();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(slots: &Slots) -> usize {
        slots.places.available_permits()
    }

    #[tokio::test]
    async fn numbers_count_the_calls_of_a_slot() {
        let slots = Arc::new(Slots::new(2));
        let mut one = slots.take().await.unwrap();
        let mut two = slots.take().await.unwrap();
        assert_eq!((one.index(), two.index()), (0, 1));
        assert_eq!((one.begin(), two.begin()), (1, 1));
        one.answered();
        two.refused();
        drop(two);
        let mut two = slots.take().await.unwrap();
        assert_eq!((two.index(), two.begin()), (1, 1), "it was not counted");
        drop(one);
        let mut one = slots.take().await.unwrap();
        assert_eq!((one.index(), one.begin()), (0, 2));
    }

    #[tokio::test]
    async fn a_call_that_nobody_waited_for_leaves_its_slot_in_doubt() {
        let slots = Arc::new(Slots::new(1));
        let mut slot = slots.take().await.unwrap();
        assert!(!slot.is_doubtful());
        slot.begin();
        drop(slot);
        let mut slot = slots.take().await.unwrap();
        assert!(slot.is_doubtful());
        assert_eq!(slot.number(), 1);
        slot.answered();
        drop(slot);
        assert!(!slots.take().await.unwrap().is_doubtful());
    }

    #[tokio::test]
    async fn the_server_says_how_many_are_used() {
        let slots = Arc::new(Slots::new(4));
        let mut taken = Vec::new();
        for _ in 0..3 {
            taken.push(slots.take().await.unwrap());
        }
        slots.heed(0);
        assert_eq!((free(&slots), slots.highest()), (0, 0));
        // Two of the three places go, and the last one stays.
        taken.truncate(1);
        assert_eq!(free(&slots), 0);
        taken.clear();
        assert_eq!(free(&slots), 1);
        slots.heed(u32::MAX);
        assert_eq!((free(&slots), slots.highest()), (4, 3));
        slots.heed(1);
        slots.heed(2);
        assert_eq!(free(&slots), 3);
    }

    #[tokio::test]
    async fn places_that_are_owed_are_kept_when_the_server_wants_more_again() {
        let slots = Arc::new(Slots::new(2));
        let taken = [slots.take().await.unwrap(), slots.take().await.unwrap()];
        slots.heed(0);
        slots.heed(1);
        drop(taken);
        assert_eq!(free(&slots), 2);
    }
}
