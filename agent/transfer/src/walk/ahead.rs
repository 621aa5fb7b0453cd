//! Directories that are read before their turn comes.
//!
//! They form a tree below the directories that lead to the present one, and are begun in the order in
//! which their turns will come, as far as there is room: for [`Walk::streams`] that are being read,
//! for [`BEGUN_MAX`] that are not entered yet, and for their entries in the [`Pool`].
//!
//! Nothing waits for a directory that comes later: one that has not enough memory to be read to its
//! end holds what it has, at most an eighth of the pool, until its turn comes. Then it goes on with
//! memory of its own and the disk.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, Key, Source};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::reading::{Allowance, Contents, Pool, read};
use super::{SourceEntry, Walk};
use crate::sorter::{Item, Kept, SortError};

/// Directories that are begun and not entered, at most: about 1 KiB each, beside their entries.
const BEGUN_MAX: usize = 128;

/// A directory that is read, or was.
pub(super) struct Directory {
    pub(super) entry: SourceEntry,
    /// What its entries take that are not in the pool, in bytes.
    pub(super) memory_bytes: usize,
    number: u64,
    /// Says that its turn has come.
    turn: Option<oneshot::Sender<usize>>,
    /// `None` while it is read.
    contents: Option<Contents>,
    /// How many of the entries that come next were looked at.
    looked_at: usize,
    /// Those of them that are to be entered.
    below: VecDeque<Directory>,
}

type Identity = (u64, u64);

fn identity(entry: &SourceEntry) -> Identity {
    let attributes = &entry.node.attributes;
    (attributes.fsid, attributes.file_id)
}

impl Directory {
    fn begun(entry: SourceEntry, number: u64, turn: Option<oneshot::Sender<usize>>) -> Self {
        Self {
            entry,
            memory_bytes: 0,
            number,
            turn,
            contents: None,
            looked_at: 0,
            below: VecDeque::new(),
        }
    }

    /// The next entry.
    pub(super) async fn next(&mut self) -> Result<Option<Item>, SortError> {
        self.looked_at = self.looked_at.saturating_sub(1);
        match &mut self.contents {
            Some(contents) => contents.entries.next().await,
            None => Ok(None),
        }
    }

    /// Entries left out so far because the server listed their name twice.
    pub(super) fn duplicates(&self) -> u64 {
        let contents = self.contents.as_ref();
        contents.map_or(0, |contents| contents.entries.duplicates())
    }

    /// All of its entries were given.
    pub(super) fn note_given(self, kept: &Kept) {
        if let Some(contents) = self.contents {
            kept.note_given(self.entry.key, contents.entries);
        }
    }

    /// Key and path of an entry in it.
    pub(super) fn child(&self, item: &Item) -> (Key, EntryPath) {
        let key = self.entry.key.join(&item.segment);
        (key, self.entry.path.child(&item.name))
    }

    /// Whether `entry` is this directory, by the server's word.
    pub(super) fn is_same(&self, entry: &SourceEntry) -> bool {
        identity(&self.entry) == identity(entry)
    }

    /// The directory of an entry that comes next, if it was begun.
    pub(super) fn take_begun(&mut self, entry: &SourceEntry) -> Option<Self> {
        self.below
            .pop_front_if(|below| below.entry.key == entry.key)
    }

    /// Why its entries are not all.
    pub(super) fn take_error(&mut self) -> Option<EndpointError> {
        self.contents.as_mut()?.error.take()
    }
}

/// The reading of directories.
pub(super) struct ReadAhead<S> {
    walk: Arc<Walk<S>>,
    pool: Pool,
    reads: JoinSet<(u64, Result<Contents, SortError>)>,
    /// Read, and not yet met in the tree; by number.
    ended: BTreeMap<u64, Contents>,
    next_number: u64,
    /// Begun before their turn and not entered.
    begun: usize,
}

impl<S: Source> ReadAhead<S> {
    pub(super) fn new(walk: Arc<Walk<S>>) -> Self {
        Self {
            pool: Pool::new(walk.memory_bytes / 2),
            walk,
            reads: JoinSet::new(),
            ended: BTreeMap::new(),
            next_number: 0,
            begun: 0,
        }
    }

    /// Reads a directory whose turn it is.
    pub(super) fn begin(&mut self, entry: SourceEntry, memory_bytes: usize) -> Directory {
        let number = self.read(entry.clone(), Allowance::Turn(memory_bytes));
        Directory::begun(entry, number, None)
    }

    /// The turn of a directory that was begun has come, with so many bytes.
    pub(super) fn take_over(&mut self, directory: &mut Directory, memory_bytes: usize) {
        self.begun = self.begun.saturating_sub(1);
        if let Some(turn) = directory.turn.take() {
            // A read that has ended needs nothing more.
            turn.send(memory_bytes).ok();
        }
    }

    /// Whether a directory whose turn has come with so many bytes is read. If they are enough for
    /// its entries, they leave the pool.
    pub(super) fn is_read(&mut self, directory: &mut Directory, memory_bytes: usize) -> bool {
        self.settle(directory);
        let Some(contents) = &mut directory.contents else {
            return false;
        };
        let used = contents.entries.memory();
        contents.memory.take_if(|_| used <= memory_bytes);
        directory.memory_bytes = if contents.memory.is_some() { 0 } else { used };
        true
    }

    fn read(&mut self, entry: SourceEntry, allowance: Allowance) -> u64 {
        let (walk, number) = (self.walk.clone(), self.next_number);
        self.next_number += 1;
        self.reads
            .spawn(async move { (number, read(walk, entry, allowance).await) });
        number
    }

    /// Waits until one more directory is read.
    pub(super) async fn ended(&mut self) -> Result<(), SortError> {
        if let Some(ended) = self.reads.join_next().await {
            self.note(ended)?;
        }
        while let Some(ended) = self.reads.try_join_next() {
            self.note(ended)?;
        }
        Ok(())
    }

    fn note(
        &mut self,
        ended: Result<(u64, Result<Contents, SortError>), tokio::task::JoinError>,
    ) -> Result<(), SortError> {
        let (number, contents) = match ended {
            Ok(ended) => ended,
            Err(panicked) if panicked.is_panic() => {
                std::panic::resume_unwind(panicked.into_panic())
            }
            Err(_) => return Err(SortError::BrokenOff),
        };
        self.ended.insert(number, contents?);
        Ok(())
    }

    fn settle(&mut self, directory: &mut Directory) {
        if directory.contents.is_none() {
            directory.contents = self.ended.remove(&directory.number);
        }
    }

    /// Begins the directories that come next below those on the way to the present one.
    pub(super) fn look_below(&mut self, stack: &mut [Directory]) {
        let mut above: Vec<_> = stack.iter().map(|level| identity(&level.entry)).collect();
        for level in stack.iter_mut().rev() {
            above.pop();
            if !self.look_into(level, &mut above) {
                return;
            }
        }
    }

    /// Begins what is to be entered in a directory, in order; false once there is no room.
    /// Recurs at most [`BEGUN_MAX`] times.
    fn look_into(&mut self, directory: &mut Directory, above: &mut Vec<Identity>) -> bool {
        self.settle(directory);
        let Some(contents) = &directory.contents else {
            return true;
        };
        above.push(identity(&directory.entry));
        for below in &mut directory.below {
            if !self.look_into(below, above) {
                return false;
            }
        }
        while let Some(item) = contents.entries.peek(directory.looked_at) {
            if let Some(entry) = self.to_be_entered(&directory.entry, item, above) {
                let Some(begun) = self.try_begin(entry) else {
                    return false;
                };
                directory.below.push_back(begun);
            }
            directory.looked_at += 1;
        }
        above.pop();
        true
    }

    /// The sub-directory that this item is, if its turn will come.
    fn to_be_entered(
        &self,
        directory: &SourceEntry,
        item: &Item,
        above: &[Identity],
    ) -> Option<SourceEntry> {
        let node = item.node.as_ref().ok()?;
        if node.attributes.kind != EntryKind::Directory {
            return None;
        }
        let entry = SourceEntry {
            key: directory.key.join(&item.segment),
            path: directory.path.child(&item.name),
            node: node.clone(),
        };
        let enters = entry.key.as_str().len() <= self.walk.key_max
            && self.walk.is_to_be_entered(&entry)
            && !above.contains(&identity(&entry));
        enters.then_some(entry)
    }

    fn try_begin(&mut self, entry: SourceEntry) -> Option<Directory> {
        let has_room = self.begun < BEGUN_MAX && self.reads.len() < self.walk.streams;
        let memory = self.pool.try_page().filter(|_| has_room)?;
        let (sender, turn) = oneshot::channel();
        let pool = self.pool.clone();
        let number = self.read(entry.clone(), Allowance::Ahead { pool, memory, turn });
        self.begun += 1;
        Some(Directory::begun(entry, number, Some(sender)))
    }
}
