//! The reference model of sync: tree, bucket and options give the bucket and the report that must
//! come of one execution.
//!
//! It is written from `docs/semantics.md` and shares no decision with the engine: no plan, no key
//! encoding, no comparison. Where the documents leave a choice (content that changed behind the same
//! size and time), the model allows each of its endings and the observation says which it was.

mod compare;
mod deletes;
mod items;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use datasync_endpoint::memory::{Stored, Tree};
use datasync_endpoint::{Key, PosixMetadata};
use datasync_model::{ErrorCode, Options, Scope};
use datasync_transfer::Verdict;

pub use compare::{Leniency, Observed, differences};
pub use names::{key_of, path_of};

/// The objects of a bucket by key.
pub type Bucket = BTreeMap<Key, Stored>;

/// What one execution meets.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The source, which stays as it is.
    pub tree: &'a Tree,
    /// The destination at the beginning.
    pub bucket: &'a Bucket,
    /// Of the execution.
    pub options: &'a Options,
    /// Its filters.
    pub scope: &'a Scope,
    /// Whether the root itself is an object.
    pub has_root: bool,
    /// The longest key in bytes.
    pub key_max: usize,
    /// What refuses to be read or written, from the beginning to the end.
    pub trouble: &'a Trouble,
    /// ETags of the objects that the agent knows for certain with their checksums.
    pub remembered: &'a BTreeMap<Key, String>,
    /// Whether the source's root is the one that the last execution accepted.
    pub same_root: bool,
    /// The largest share of deletes in percent.
    pub delete_share_max_percent: u64,
}

/// Everything that answers "permission denied". Paths have a leading `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Directories whose READDIR fails.
    pub unlistable: BTreeSet<Vec<u8>>,
    /// Entries whose attributes cannot be had.
    pub unknown: BTreeSet<Vec<u8>>,
    /// Files and links whose READ or READLINK fails.
    pub unreadable: BTreeSet<Vec<u8>>,
    /// Keys that cannot be written.
    pub unwritable: BTreeSet<Key>,
    /// Keys that cannot be deleted.
    pub undeletable: BTreeSet<Key>,
}

/// How an item is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The object was good.
    Unchanged,
    /// It was written: content, metadata or both.
    Transferred,
    /// Left out on purpose.
    Skipped,
    /// Not done.
    Failed,
}

/// What an execution does to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is as it was, or is still absent.
    Untouched,
    /// It was written.
    Written {
        /// Each content that is right.
        contents: Vec<Bytes>,
        /// Exactly; of the access time only whether there is one.
        metadata: PosixMetadata,
        /// In S3's words.
        class: String,
    },
}

/// What the end check says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// It does not look at it.
    None,
    /// It agrees.
    Good,
    /// It differs.
    Differs(ErrorCode),
}

/// One way for an item to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// How it is counted.
    pub outcome: Outcome,
    /// What becomes of its object.
    pub fate: Fate,
    /// Logical bytes that were written.
    pub bytes: u64,
    /// The end check's word.
    pub check: Check,
    /// The code of its line on the list, if it has one.
    pub code: Option<ErrorCode>,
}

impl Ending {
    /// Nothing was done, and nothing is said of it.
    pub(crate) fn unseen() -> Self {
        Self {
            outcome: Outcome::Unchanged,
            fate: Fate::Untouched,
            bytes: 0,
            check: Check::None,
            code: None,
        }
    }

    /// The line that this ending puts on the list.
    #[must_use]
    pub fn line(&self) -> Option<(Verdict, ErrorCode)> {
        match (self.outcome, self.code, self.check) {
            (Outcome::Failed, Some(code), _) => Some((Verdict::Failed, code)),
            (Outcome::Skipped, Some(code), _) => Some((Verdict::Skipped, code)),
            (_, _, Check::Differs(code)) => Some((Verdict::Mismatched, code)),
            _ => None,
        }
    }
}

/// An entry of the source inside the filters.
#[derive(Debug, Clone)]
pub struct Item {
    /// As it is shown.
    pub path: String,
    /// Its object's key.
    pub key: Key,
    /// Ways for it to end; never none.
    pub endings: Vec<Ending>,
    /// Ways to end for one that need not be written, and is because it cannot be compared.
    pub anew: Vec<Ending>,
}

/// What must come of an execution that nothing interrupts.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// The entries of the source, in key order.
    pub items: Vec<Item>,
    /// Directories that cannot be read, each a failure besides its item: path and key.
    pub unlistable: Vec<(String, Key)>,
    /// Objects to be deleted, and whether they can be.
    pub deletes: BTreeMap<Key, bool>,
    /// Whether a guard holds the deletes back.
    pub withheld: bool,
}

/// The model itself.
#[must_use]
pub fn expected(situation: &Situation<'_>) -> Expected {
    let (items, unlistable) = items::items(situation);
    let (deletes, withheld) = deletes::deletes(situation, &items);
    Expected {
        items,
        unlistable,
        deletes,
        withheld,
    }
}
