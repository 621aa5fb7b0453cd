//! The source's entries in key order.
//!
//! One directory after the other is emitted, depth first; those that come next in this order are
//! read ahead of their turn, many at a time ([`ahead`]), so that a server's answers are waited for
//! together. The directory whose turn it is never waits for memory that others hold.

mod ahead;
mod reading;

use std::sync::Arc;

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, ErrorKind, Key, Node, Source};
use datasync_model::Scope;
use tokio::sync::mpsc;

use crate::attempts::Attempts;
use crate::sorter::{Item, Kept, SortError, Spill};
use ahead::{Directory, ReadAhead};

/// What the walk meets, in key order.
#[derive(Debug)]
pub(crate) enum Walked {
    /// An entry inside the scope.
    Entry(SourceEntry),
    /// The directory before could not be read to its end: nothing below it may be deleted. The
    /// entries that were read follow.
    Unread {
        directory: SourceEntry,
        error: Arc<EndpointError>,
    },
    /// An entry of which nothing but the name is known, or that cannot have a key: in scope, or
    /// perhaps on the way to what is.
    Unknown {
        path: EntryPath,
        key: Key,
        error: Arc<EndpointError>,
    },
    /// The walk itself cannot go on.
    Broken(WalkError),
    /// Every directory in the scope was met.
    End,
}

/// An entry of the source with its key.
#[derive(Debug, Clone)]
pub(crate) struct SourceEntry {
    pub(crate) key: Key,
    pub(crate) path: EntryPath,
    pub(crate) node: Node,
}

/// Why a walk cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WalkError {
    #[error("the root of the source cannot be read")]
    Root(#[source] EndpointError),
    #[error(transparent)]
    Sort(#[from] SortError),
}

/// How to walk.
pub(crate) struct Walk<S> {
    pub(crate) source: Arc<S>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) attempts: Arc<Attempts>,
    /// Emit only keys greater than this.
    pub(crate) resume_after: Option<Key>,
    pub(crate) has_root: bool,
    /// The longest key in bytes.
    pub(crate) key_max: usize,
    pub(crate) spill: Spill,
    /// Where large directories outlive the process, if they may.
    pub(crate) kept: Option<Kept>,
    /// For entries of directories, in bytes. Half is for the directories that lead to the present
    /// one: each gets half of what those above it left, at least 64 KiB, and spills the rest to disk.
    /// The other half is for directories that are read ahead.
    pub(crate) memory_bytes: usize,
    /// Directories that are read at once ahead of the one whose turn it is.
    pub(crate) streams: usize,
}

/// Directories that are read at once ahead of their turn: at a round trip of 2 ms they give 16,000 a
/// second. With the least `memory_target` of 64 MiB there is room for half as many.
pub(crate) const STREAMS: usize = 32;
/// The least memory that sorting one directory gets, in bytes.
const SORT_MEMORY_MIN: usize = 64 * 1024;
/// What is met is passed on this many at a time.
const BATCH: usize = 128;

impl<S: Source> Walk<S> {
    /// Walks until the end or until the receiver is gone.
    pub(crate) async fn run(self, out: mpsc::Sender<Vec<Walked>>) {
        let walk = Arc::new(self);
        let mut walker = Walker {
            ahead: ReadAhead::new(walk.clone()),
            walk,
            stack: Vec::new(),
            batch: Vec::with_capacity(BATCH),
            out,
        };
        let last = match walker.run().await {
            Ok(()) => Walked::End,
            Err(error) => Walked::Broken(error),
        };
        walker.batch.push(last);
        walker.flush().await;
    }

    fn is_new(&self, key: &Key) -> bool {
        self.resume_after.as_ref().is_none_or(|after| key > after)
    }

    fn is_to_be_entered(&self, entry: &SourceEntry) -> bool {
        let passed = self.resume_after.as_ref().is_some_and(|after| {
            entry.key <= *after && !after.as_str().starts_with(entry.key.as_str())
        });
        entry.node.attributes.kind == EntryKind::Directory
            && !passed
            && self.scope.descends(&entry.path.to_absolute())
    }
}

/// A walk on its way.
struct Walker<S> {
    walk: Arc<Walk<S>>,
    ahead: ReadAhead<S>,
    /// The directories that lead to the present one, and it.
    stack: Vec<Directory>,
    batch: Vec<Walked>,
    out: mpsc::Sender<Vec<Walked>>,
}

impl<S: Source> Walker<S> {
    async fn run(&mut self) -> Result<(), WalkError> {
        let walk = self.walk.clone();
        let root = walk.attempts.run(|| walk.source.root()).await;
        let root = SourceEntry {
            key: Key::default(),
            path: EntryPath::ROOT,
            node: root.map_err(WalkError::Root)?,
        };
        let is_item = walk.has_root && walk.source.is_item(&root.node);
        if is_item && walk.scope.contains(b"/") && walk.is_new(&root.key) {
            self.emit(Walked::Entry(root.clone())).await;
        }
        self.enter(root).await?;
        while let Some(level) = self.stack.last_mut() {
            let Some(item) = level.next().await? else {
                let duplicates = level.duplicates();
                if duplicates > 0 {
                    let directory = &level.entry.path;
                    tracing::warn!(%directory, duplicates, "the server listed names twice");
                }
                if let (Some(left), Some(kept)) = (self.stack.pop(), &walk.kept) {
                    left.note_given(kept);
                }
                continue;
            };
            let (key, path) = level.child(&item);
            if let Some(entry) = self.admit(item, key, path).await {
                self.enter(entry).await?;
            }
            if self.out.is_closed() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Emits one entry; returns it if it is to be entered.
    async fn admit(&mut self, item: Item, key: Key, path: EntryPath) -> Option<SourceEntry> {
        let walk = self.walk.clone();
        let absolute = path.to_absolute();
        let in_scope = walk.scope.contains(&absolute);
        let may_be_directory = match &item.node {
            Ok(node) => node.attributes.kind == EntryKind::Directory,
            Err(_) => true,
        };
        let node = match item.node {
            Ok(node) if key.as_str().len() <= walk.key_max => Ok(node),
            Ok(_) => Err(Arc::new(key_too_long(&path, &key, walk.key_max))),
            Err(error) => Err(error),
        };
        let node = match node {
            Ok(node) => node,
            Err(error) => {
                // A directory may lead to what is in scope.
                if in_scope || (may_be_directory && walk.scope.descends(&absolute)) {
                    self.emit(Walked::Unknown { path, key, error }).await;
                }
                return None;
            }
        };
        let entry = SourceEntry { key, path, node };
        let is_emitted = in_scope && walk.is_new(&entry.key) && walk.source.is_item(&entry.node);
        if !walk.is_to_be_entered(&entry) {
            if is_emitted {
                self.emit(Walked::Entry(entry)).await;
            }
            return None;
        }
        if is_emitted {
            self.emit(Walked::Entry(entry.clone())).await;
        }
        if self.stack.iter().any(|above| above.is_same(&entry)) {
            self.report_cycle(entry).await;
            return None;
        }
        Some(entry)
    }

    async fn report_cycle(&mut self, directory: SourceEntry) {
        let error = Arc::new(EndpointError::new(
            ErrorKind::Protocol,
            "walk",
            directory.path.to_string(),
            "the server says that this directory is one of those that contain it",
        ));
        self.emit(Walked::Unread { directory, error }).await;
    }

    /// Makes a directory the present one.
    async fn enter(&mut self, entry: SourceEntry) -> Result<(), WalkError> {
        let memory_bytes = self.free_memory();
        let begun = self.stack.last_mut();
        let mut directory = match begun.and_then(|above| above.take_begun(&entry)) {
            Some(mut directory) => {
                self.ahead.take_over(&mut directory, memory_bytes);
                directory
            }
            None => self.ahead.begin(entry, memory_bytes),
        };
        while !self.ahead.is_read(&mut directory, memory_bytes) {
            // What is known so far is not to wait for this directory.
            self.flush().await;
            self.ahead.ended().await?;
            self.ahead.look_below(&mut self.stack);
        }
        if let Some(error) = directory.take_error() {
            let directory = directory.entry.clone();
            let error = Arc::new(error);
            self.emit(Walked::Unread { directory, error }).await;
        }
        self.stack.push(directory);
        self.ahead.look_below(&mut self.stack);
        Ok(())
    }

    /// For the entries of one more directory on the way: half of what those above it left.
    fn free_memory(&self) -> usize {
        let used = self.stack.iter().map(|level| level.memory_bytes);
        let left = (self.walk.memory_bytes / 2).saturating_sub(used.sum());
        (left / 2).max(SORT_MEMORY_MIN)
    }

    async fn emit(&mut self, walked: Walked) {
        self.batch.push(walked);
        if self.batch.len() >= BATCH {
            self.flush().await;
        }
    }

    async fn flush(&mut self) {
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
            // The walk notices a receiver that is gone at its next entry.
            drop(self.out.send(batch).await);
        }
    }
}

/// Why an item whose key the store does not take cannot be copied.
pub(crate) fn key_too_long(path: &EntryPath, key: &Key, key_max: usize) -> EndpointError {
    let detail = format!(
        "its key would have {} bytes; the store allows {key_max} below this location: shorten the path",
        key.as_str().len(),
    );
    EndpointError::new(ErrorKind::InvalidName, "walk", path.to_string(), detail)
}

#[cfg(test)]
mod tests;
