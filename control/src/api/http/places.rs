//! The seats in use: every connection holds a [`Place`], and is told when it must yield it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::seats::{Decision, SeatLimits, Seats};
use crate::agent_port::source;

#[derive(Debug)]
struct Table {
    seats: Seats,
    /// To be cancelled where a seat is given to another connection.
    cuts: HashMap<u64, CancellationToken>,
}

/// The places of a server.
#[derive(Debug)]
pub(super) struct Places {
    table: Mutex<Table>,
    /// A busy connection became idle or left.
    changed: Notify,
}

/// Why a connection has no place.
#[derive(Debug)]
pub(super) enum NoPlace {
    /// Its address has too many.
    Refused,
    /// Ask again after [`Places::changed`].
    AllBusy,
}

impl Places {
    pub(super) fn new(limits: SeatLimits) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(Table {
                seats: Seats::new(limits),
                cuts: HashMap::new(),
            }),
            changed: Notify::new(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address`; another one may lose its own for it.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Place, NoPlace> {
        let mut table = self.table();
        let now = Instant::now().into_std();
        let (id, yielding) = match table.seats.enter(source(address), now) {
            Decision::Enter { id, yielding } => (id, yielding),
            Decision::Refuse => return Err(NoPlace::Refused),
            Decision::Wait => return Err(NoPlace::AllBusy),
        };
        if let Some(cut) = yielding.and_then(|id| table.cuts.remove(&id)) {
            cut.cancel();
        }
        let cut = CancellationToken::new();
        table.cuts.insert(id, cut.clone());
        Ok(Place {
            places: self.clone(),
            id,
            cut,
        })
    }

    /// Waits until [`Self::enter`] may answer otherwise.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// A connection's place, given back on drop.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    id: u64,
    cut: CancellationToken,
}

impl Place {
    /// Waits until another connection needs the place: this one must end.
    pub(super) async fn must_yield(&self) {
        self.cut.cancelled().await;
    }

    /// Keeps the place while a request is answered. `None` if it is another's already.
    pub(super) fn answering(self: &Arc<Self>) -> Option<Answering> {
        let is_ours = self.places.table().seats.set_busy(self.id);
        is_ours.then(|| Answering {
            place: self.clone(),
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.places.table();
        table.seats.leave(self.id);
        table.cuts.remove(&self.id);
        drop(table);
        self.places.changed.notify_one();
    }
}

/// A request is being answered until this is dropped.
#[derive(Debug)]
pub(super) struct Answering {
    place: Arc<Place>,
}

impl Drop for Answering {
    fn drop(&mut self) {
        let now = Instant::now().into_std();
        let places = &self.place.places;
        places.table().seats.set_idle(self.place.id, now);
        places.changed.notify_one();
    }
}
