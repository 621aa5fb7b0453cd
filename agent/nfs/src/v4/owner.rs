//! Open owners of version 4.0 (RFC 7530 §9.1.5): each carries one OPEN after the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex as StdMutex, PoisonError};

use tokio::sync::Mutex;

/// Owners that wait for a next file: more are hardly ever in flight.
const IDLE_MAX: usize = 256;

/// Who opens a file.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) client: u64,
    pub(super) name: String,
    /// Of its next call.
    pub(super) number: u32,
}

/// The owners of a client, and what the server knows the client by.
#[derive(Debug, Default)]
pub(super) struct OpenOwners {
    /// `None` until it was asked for, and once the server has forgotten it.
    pub(super) client: Mutex<Option<u64>>,
    idle: StdMutex<Vec<Owner>>,
    /// Names given so far.
    named: AtomicU64,
}

impl OpenOwners {
    /// An owner that nobody uses: one that the server knows, or a new one.
    pub(super) fn take(&self, client: u64, identity: &str) -> Owner {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|owner| owner.client == client);
        let new = || Owner {
            client,
            name: format!("{identity} {}", self.named.fetch_add(1, Ordering::Relaxed)),
            number: 0,
        };
        idle.pop().unwrap_or_else(new)
    }

    /// For the next file. One whose last call was not answered is not given back: nobody knows what
    /// number the server expects of it.
    pub(super) fn give_back(&self, owner: Owner) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(owner);
        }
    }

    /// The server does not know the client any more.
    pub(super) async fn forget(&self, client: u64) {
        let mut known = self.client.lock().await;
        if *known == Some(client) {
            *known = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_goes_on_counting_and_is_of_one_client() {
        let owners = OpenOwners::default();
        let (mut one, two) = (owners.take(7, "agent"), owners.take(7, "agent"));
        assert_ne!(one.name, two.name);
        one.number = 3;
        let name = one.name.clone();
        owners.give_back(one);
        let again = owners.take(7, "agent");
        assert_eq!((again.name, again.number), (name, 3));
        owners.give_back(two);
        assert_eq!(owners.take(8, "agent").number, 0, "of another client");
        assert!(owners.idle.lock().unwrap().is_empty());
    }
}
