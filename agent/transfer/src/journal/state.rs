//! The fold of the journal's records.

use std::collections::BTreeMap;

use datasync_endpoint::{Key, UploadId};
use datasync_model::{Counters, Failure};
use serde::{Deserialize, Serialize};

use super::{Elapsed, Record, Stage};

/// A multipart upload of ours that may be open at the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Upload {
    /// Announced at this wall-clock second; whether it was created is unknown.
    Intended { at_seconds: i64 },
    /// Created.
    Open(UploadId),
}

/// Where an execution stands.
///
/// Items with keys up to `last_handed` that are not in `pending` are finished.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The stage that was begun last.
    pub(crate) stage: Stage,
    /// The greatest key that left the merge.
    pub(crate) last_handed: Option<Key>,
    /// Items that left the merge and are not finished, by number.
    pub(crate) pending: BTreeMap<u64, Key>,
    /// The number of the next item.
    pub(crate) next_number: u64,
    /// How many items that left the merge exist at the destination.
    pub(crate) matched: u64,
    /// Sums over all finished items.
    pub(crate) counters: Counters,
    /// Uploads that may be open, by key.
    pub(crate) uploads: BTreeMap<Key, Upload>,
    /// Time spent.
    pub(crate) elapsed: Elapsed,
    /// Why the deletes were held back, if they were.
    pub(crate) withheld: Option<Failure>,
    /// The last delete candidate that was dealt with.
    pub(crate) last_deleted: Option<Key>,
}

impl State {
    /// The state after one more record. Records that contradict the state change nothing.
    pub(crate) fn apply(&mut self, record: Record) {
        match record {
            Record::Snapshot(state) => *self = *state,
            Record::Handed { n, key, exists } => {
                self.matched += u64::from(exists);
                self.next_number = self.next_number.max(n + 1);
                self.pending.insert(n, key.clone());
                if self.last_handed.as_ref().is_none_or(|last| *last < key) {
                    self.last_handed = Some(key);
                }
            }
            Record::Final { n, add } => {
                if self.pending.remove(&n).is_some() {
                    self.counters.add(&add);
                }
            }
            Record::Counted { add } => self.counters.add(&add),
            Record::UploadIntent { key, at_seconds } => {
                self.uploads.insert(key, Upload::Intended { at_seconds });
            }
            Record::UploadOpen { key, upload } => {
                self.uploads.insert(key, Upload::Open(upload));
            }
            Record::UploadClosed { key } => {
                self.uploads.remove(&key);
            }
            Record::Stage { stage } => self.stage = stage,
            Record::Withheld { failure } => self.withheld = Some(failure),
            Record::Elapsed { elapsed } => self.elapsed = elapsed,
            Record::Deleted { key, add } => {
                self.last_deleted = Some(key);
                self.counters.add(&add);
            }
        }
    }
}
