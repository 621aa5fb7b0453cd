//! The room that large bodies share: whoever reads one holds a [`Room`], and is told when another
//! body needs it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::SHARED_BYTES;
use super::shares::{Decision, Shares};
use crate::agent_port::source;

#[derive(Debug)]
struct Table {
    shares: Shares,
    /// To be cancelled where room is given to another body.
    cuts: HashMap<u64, CancellationToken>,
}

impl Table {
    fn cut(&mut self, yielding: Vec<u64>) {
        for id in yielding {
            if let Some(cut) = self.cuts.remove(&id) {
                cut.cancel();
            }
        }
    }
}

#[derive(Debug)]
struct Shared {
    table: Mutex<Table>,
    freed: Notify,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The room of a server.
#[derive(Debug, Clone)]
pub(crate) struct BodyRoom(Arc<Shared>);

impl BodyRoom {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            table: Mutex::new(Table {
                shares: Shares::new(SHARED_BYTES),
                cuts: HashMap::new(),
            }),
            freed: Notify::new(),
        }))
    }

    /// Waits until there is room for a body of `bytes`, no more than there are in all.
    pub(super) async fn enter(&self, address: IpAddr, bytes: usize) -> Room {
        loop {
            let mut freed = std::pin::pin!(self.0.freed.notified());
            // What is freed from here on is heard of.
            freed.as_mut().enable();
            if let Some(room) = self.try_enter(address, bytes) {
                return room;
            }
            freed.await;
        }
    }

    fn try_enter(&self, address: IpAddr, bytes: usize) -> Option<Room> {
        let mut table = self.0.table();
        match table.shares.enter(source(address), bytes) {
            Decision::Wait { yielding } => {
                table.cut(yielding);
                None
            }
            Decision::Enter { id, yielding } => {
                table.cut(yielding);
                let cut = CancellationToken::new();
                table.cuts.insert(id, cut.clone());
                Some(Room {
                    shared: self.0.clone(),
                    id,
                    cut,
                })
            }
        }
    }
}

/// A body's room, given back on drop.
#[derive(Debug)]
pub(super) struct Room {
    shared: Arc<Shared>,
    id: u64,
    cut: CancellationToken,
}

impl Room {
    /// Waits until another body needs the room: this one must be given up.
    pub(super) async fn must_yield(&self) {
        self.cut.cancelled().await;
    }

    /// The body is there, and keeps its room. `false` if that is another's already.
    pub(super) fn keep(&self) -> bool {
        self.shared.table().shares.keep(self.id)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut table = self.shared.table();
        table.shares.leave(self.id);
        table.cuts.remove(&self.id);
        drop(table);
        self.shared.freed.notify_waiters();
    }
}
