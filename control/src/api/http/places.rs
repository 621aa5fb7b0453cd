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

    /// A request begins to come. `None` if the place is another's already.
    pub(super) fn answering(self: &Arc<Self>) -> Option<Answering> {
        let now = Instant::now().into_std();
        let is_ours = self.places.table().seats.set_arriving(self.id, now);
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

/// A request comes and is being answered until this is dropped.
#[derive(Debug)]
pub(in crate::api) struct Answering {
    place: Arc<Place>,
}

impl Answering {
    /// The request is a client's: it keeps the place from now on. `false` if that is another's
    /// already; then nothing must be done for it.
    pub(in crate::api) fn keep(&self) -> bool {
        self.place.places.table().seats.set_busy(self.place.id)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let now = Instant::now().into_std();
        let places = &self.place.places;
        places.table().seats.set_idle(self.place.id, now);
        places.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_place_is_kept_once_a_request_is_a_clients() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let limits = SeatLimits {
            total: 4,
            per_source: 2,
        };
        let places = Places::new(limits);
        let enter = || places.enter(address).map(Arc::new);
        let [first, second] = [enter().unwrap(), enter().unwrap()];
        let client = first.answering().unwrap();
        assert!(client.keep());
        let slow = second.answering().unwrap();
        let third = enter().unwrap();
        assert!(second.must_yield().now_or_never().is_some());
        assert!(!slow.keep(), "its place is another's");
        let other = third.answering().unwrap();
        assert!(other.keep());
        assert!(matches!(enter(), Err(NoPlace::Refused)));
        drop(client);
        assert!(enter().is_ok());
        assert!(first.must_yield().now_or_never().is_some());
    }
}
