//! The fold of the journal's records.

use std::collections::{BTreeMap, BTreeSet};

use datasync_endpoint::{Key, UploadId};
use datasync_model::{Counters, Failure};
use serde::{Deserialize, Serialize};

use super::{Begun, Elapsed, Filling, Record, Stage};
use crate::history::Root;

/// The announcement of a multipart upload.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    /// By our wall clock, in seconds since 1970.
    pub(crate) at_seconds: i64,
    /// Whether the call that begins the upload fills it too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) has_parts: bool,
    /// What the calls since then waited for their turn, in seconds, as far as they were answered.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) held_seconds: i64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(seconds: &i64) -> bool {
    *seconds == 0
}

/// A multipart upload of ours that may be open at the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Upload {
    /// Announced; whether it was created is unknown.
    Intended(Intent),
    /// Created.
    Open(UploadId),
}

/// An item that left the merge and is not finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pending {
    pub(crate) key: Key,
    /// Whether the destination had an object of this key.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) existed: bool,
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
    pub(crate) pending: BTreeMap<u64, Pending>,
    /// The number of the next item.
    pub(crate) next_number: u64,
    /// How many items that left the merge exist at the destination.
    pub(crate) matched: u64,
    /// Names of files that have several, beside the journal.
    #[serde(default)]
    pub(crate) deferred: u64,
    /// The number that the first of them has as an item, once their turn has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_name: Option<u64>,
    /// Directories that contain the greatest key and could not be read to their ends.
    #[serde(default)]
    pub(crate) unread: BTreeSet<Key>,
    /// Sums over all finished items.
    pub(crate) counters: Counters,
    /// Uploads that may be open, by key.
    pub(crate) uploads: BTreeMap<Key, Upload>,
    /// What is known of those that can be gone on with.
    #[serde(default)]
    pub(crate) fillings: BTreeMap<Key, Filling>,
    /// Time spent.
    pub(crate) elapsed: Elapsed,
    /// The source's root when the execution began.
    pub(crate) root: Option<Root>,
    /// Why the deletes were held back, if they were.
    pub(crate) withheld: Option<Failure>,
    /// The length of the report's file, in bytes: what it has beyond belongs to no record.
    #[serde(default)]
    pub(crate) report_bytes: u64,
    /// Why the report was given up, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) report_given_up: Option<Failure>,
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
                let pending = Pending {
                    key: key.clone(),
                    existed: exists,
                };
                self.pending.insert(n, pending);
                self.pass(key);
            }
            Record::Passed { key, add } => {
                self.matched += add.unchanged;
                self.counters.add(&add);
                self.pass(key);
            }
            Record::Deferred { key, exists } => self.defer(key, exists),
            Record::Kept { names, add } => {
                self.next_number += names;
                self.counters.add(&add);
            }
            Record::Final { n, add } => {
                if self.pending.remove(&n).is_some() {
                    self.counters.add(&add);
                }
            }
            Record::Unread { key, add } => {
                self.counters.add(&add);
                self.unread.insert(key.clone());
                self.pass(key);
            }
            Record::Counted { add } => self.counters.add(&add),
            Record::UploadIntent { key, intent } => {
                self.fillings.remove(&key);
                self.uploads.insert(key, Upload::Intended(intent));
            }
            Record::UploadOpen { key, upload, begun } => {
                self.begin_filling(&key, begun);
                self.uploads.insert(key, Upload::Open(upload));
            }
            Record::Part { key, number, mark } => {
                if let Some(filling) = self.fillings.get_mut(&key) {
                    filling.parts.insert(number, mark);
                }
            }
            Record::UploadClosed { key } => {
                self.fillings.remove(&key);
                self.uploads.remove(&key);
            }
            Record::Stage { stage } => self.begin(stage),
            Record::Root { root } => self.root = Some(root),
            Record::Withheld { failure } => self.withheld = Some(failure),
            Record::Elapsed { elapsed } => self.elapsed = elapsed,
            Record::ReportGivenUp { failure } => {
                self.report_bytes = 0;
                self.report_given_up = Some(failure);
            }
            Record::Told { record, bytes } => {
                self.report_bytes += bytes;
                self.apply(*record);
            }
            Record::Deleted { key, add } => {
                self.last_deleted = Some(key);
                self.counters.add(&add);
            }
        }
    }

    fn begin(&mut self, stage: Stage) {
        if stage == Stage::Link && self.first_name.is_none() {
            self.first_name = Some(self.next_number);
        }
        self.stage = stage;
    }

    fn defer(&mut self, key: Key, exists: bool) {
        self.matched += u64::from(exists);
        self.deferred += 1;
        self.pass(key);
    }

    /// The merge is past this key.
    fn pass(&mut self, key: Key) {
        self.unread
            .retain(|directory| key.as_str().starts_with(directory.as_str()));
        if self.last_handed.as_ref().is_none_or(|last| *last < key) {
            self.last_handed = Some(key);
        }
    }

    fn begin_filling(&mut self, key: &Key, begun: Option<Box<Begun>>) {
        match begun {
            Some(begun) => {
                let parts = BTreeMap::new();
                let begun = *begun;
                self.fillings.insert(key.clone(), Filling { begun, parts });
            }
            None => {
                self.fillings.remove(key);
            }
        }
    }
}
