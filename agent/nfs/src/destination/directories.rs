//! Directories that were found lately, so that an entry costs no LOOKUP for each of those above it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use datasync_endpoint::Key;

use super::times::Times;

/// Directories that are remembered, at most.
const KNOWN_MAX: usize = 8192;

/// A directory of the destination.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    pub(super) handle: Bytes,
    /// Before we changed anything in it.
    pub(super) times: Times,
    /// Whether the times are in the log.
    pub(super) is_noted: bool,
    /// Made for what is in it, and not yet for itself.
    pub(super) is_implied: bool,
}

/// What was used lately is in the young half; the old half goes when that is full.
#[derive(Debug, Default)]
struct Halves {
    young: HashMap<Key, Directory>,
    old: HashMap<Key, Directory>,
}

#[derive(Debug, Default)]
pub(super) struct Directories(Mutex<Halves>);

impl Directories {
    fn lock(&self) -> MutexGuard<'_, Halves> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: &Key) -> Option<Directory> {
        let mut halves = self.lock();
        if let Some(found) = halves.young.get(key) {
            return Some(found.clone());
        }
        let found = halves.old.remove(key)?;
        halves.insert(key.clone(), found.clone());
        Some(found)
    }

    /// Remembers a directory; what is known of it already stays. Gives what is known.
    pub(super) fn keep(&self, key: &Key, found: Directory) -> Directory {
        if let Some(known) = self.get(key) {
            return known;
        }
        self.lock().insert(key.clone(), found.clone());
        found
    }

    /// Changes what is known of a directory.
    pub(super) fn edit(&self, key: &Key, edit: impl FnOnce(&mut Directory)) {
        let mut halves = self.lock();
        if let Some(known) = halves.young.get_mut(key) {
            edit(known);
        } else if let Some(known) = halves.old.get_mut(key) {
            edit(known);
        }
    }

    /// A handle was of no use: none is trusted.
    pub(super) fn clear(&self) {
        *self.lock() = Halves::default();
    }

    /// A directory was removed.
    pub(super) fn forget(&self, key: &Key) {
        let mut halves = self.lock();
        halves.young.remove(key);
        halves.old.remove(key);
    }
}

impl Halves {
    fn insert(&mut self, key: Key, directory: Directory) {
        if self.young.len() >= KNOWN_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> Directory {
        Directory {
            handle: Bytes::copy_from_slice(name.as_bytes()),
            times: Times::default(),
            is_noted: false,
            is_implied: false,
        }
    }

    fn key(number: usize) -> Key {
        Key::from_listing(format!("{number}/"))
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let known = Directories::default();
        for number in 0..3 * KNOWN_MAX {
            known.keep(&key(number), directory("x"));
            assert!(known.get(&key(0)).is_some(), "{number}");
        }
        assert!(known.get(&key(1)).is_none());
        let halves = known.lock();
        assert!(halves.young.len() + halves.old.len() <= KNOWN_MAX + 1);
    }

    #[test]
    fn the_first_word_on_a_directory_stays_until_it_is_forgotten() {
        let known = Directories::default();
        known.keep(&key(1), directory("one"));
        known.edit(&key(1), |known| known.is_noted = true);
        let kept = known.keep(&key(1), directory("two"));
        assert!(kept.is_noted && kept.handle == "one");
        known.forget(&key(1));
        assert!(known.get(&key(1)).is_none());
        known.keep(&key(1), directory("three"));
        known.clear();
        assert!(known.get(&key(1)).is_none());
    }
}
