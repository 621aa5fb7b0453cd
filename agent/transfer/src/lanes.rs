//! Items in flight: small ones and large ones in lanes of their own, so that neither holds up the
//! other.

use std::collections::{HashMap, VecDeque};
use std::future::Future;

use crate::report::ItemFacts;
use datasync_endpoint::{EntryPath, Key};
use tokio::task::{Id, JoinError, JoinSet};

/// Small items in flight: enough for a store that takes 100 ms for each. How many requests of them
/// are in flight, the windows of the servers decide.
const SMALL_MAX: usize = 256;
/// Large files in flight.
const LARGE_MAX: usize = 4;
/// Large files that wait for their lane while small items go on.
const WAITING_MAX: usize = 256;

/// An item that left the merge.
#[derive(Debug, Clone)]
pub(crate) struct Ticket {
    pub(crate) number: u64,
    pub(crate) key: Key,
    pub(crate) path: EntryPath,
    /// For the report.
    pub(crate) facts: ItemFacts,
}

/// Which lane an item takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Small,
    Large,
}

/// The lanes; dropping them aborts every item.
pub(crate) struct Lanes<W, T> {
    set: JoinSet<T>,
    running: HashMap<Id, (Ticket, Lane)>,
    small: usize,
    large: usize,
    waiting: VecDeque<(Ticket, W)>,
}

impl<W, T: Send + 'static> Lanes<W, T> {
    pub(crate) fn new() -> Self {
        Self {
            set: JoinSet::new(),
            running: HashMap::new(),
            small: 0,
            large: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Whether one more item of either lane can be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.small < SMALL_MAX && self.waiting.len() < WAITING_MAX
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// Takes an item; `start` turns work into the future that does it.
    pub(crate) fn add<F>(&mut self, lane: Lane, ticket: Ticket, work: W, start: impl Fn(W) -> F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        match lane {
            Lane::Small => self.spawn(lane, ticket, start(work)),
            Lane::Large => {
                self.waiting.push_back((ticket, work));
                self.start_waiting(start);
            }
        }
    }

    /// Starts large items while their lane has room.
    pub(crate) fn start_waiting<F>(&mut self, start: impl Fn(W) -> F)
    where
        F: Future<Output = T> + Send + 'static,
    {
        while self.large < LARGE_MAX {
            let Some((ticket, work)) = self.waiting.pop_front() else {
                return;
            };
            self.spawn(Lane::Large, ticket, start(work));
        }
    }

    fn spawn(
        &mut self,
        lane: Lane,
        ticket: Ticket,
        work: impl Future<Output = T> + Send + 'static,
    ) {
        *self.count(lane) += 1;
        let id = self.set.spawn(work).id();
        self.running.insert(id, (ticket, lane));
    }

    fn count(&mut self, lane: Lane) -> &mut usize {
        match lane {
            Lane::Small => &mut self.small,
            Lane::Large => &mut self.large,
        }
    }

    /// The next item that ended; an error if it panicked. `None` if none is running. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<(Ticket, Result<T, JoinError>)> {
        let joined = self.set.join_next_with_id().await?;
        let (id, result) = match joined {
            Ok((id, value)) => (id, Ok(value)),
            Err(error) => (error.id(), Err(error)),
        };
        let (ticket, lane) = self.running.remove(&id)?;
        *self.count(lane) -= 1;
        Some((ticket, result))
    }
}
