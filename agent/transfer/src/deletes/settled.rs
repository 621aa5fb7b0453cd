//! What became of a batch of candidates.

use datasync_endpoint::Key;
use datasync_model::{Counters, Failure};

use crate::outcome::ItemFailure;

#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The last candidate that was looked at.
    pub(super) last: Option<Key>,
    pub(super) deleted: Counters,
    pub(super) deleted_keys: Vec<Key>,
    /// In the order of keys.
    pub(super) failed: Vec<(Key, Failure)>,
    /// The endpoint that is gone.
    pub(super) broken: Option<ItemFailure>,
}

impl Settled {
    pub(super) fn fail(&mut self, key: Key, failure: ItemFailure) {
        self.failed.push((key, failure.failure.clone()));
        if failure.endpoint_wide {
            self.broken.get_or_insert(failure);
        }
    }
}
