//! The source's entries in key order.

use std::path::PathBuf;
use std::sync::Arc;

use datasync_endpoint::{
    DirCursor, EndpointError, EntryKind, EntryPath, ErrorKind, Handle, Key, Node, Source,
};
use datasync_model::Scope;
use tokio::sync::mpsc;

use crate::attempts::Attempts;
use crate::locate::locate;
use crate::sorter::{Item, Kept, SortError, SortedEntries, Sorter, Spill};

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
    /// An entry of which nothing but the name is known, or that cannot have a key.
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
    pub(crate) spill_directory: PathBuf,
    /// Where large directories outlive the process, if they may.
    pub(crate) kept: Option<Kept>,
    /// For sorting all directories that are open at once.
    pub(crate) memory_bytes: usize,
}

/// A directory that is being emitted.
struct Level {
    directory: SourceEntry,
    entries: SortedEntries,
    memory_bytes: usize,
}

/// The least memory that sorting one directory gets, in bytes.
const SORT_MEMORY_MIN: usize = 64 * 1024;
/// How often a directory that changes under the cursor is read anew.
const READ_DIR_STARTS: u32 = 3;

impl<S: Source> Walk<S> {
    /// Walks until the end or until the receiver is gone.
    pub(crate) async fn run(self, out: mpsc::Sender<Walked>) {
        let last = match self.walk(&out).await {
            Ok(()) => Walked::End,
            Err(error) => Walked::Broken(error),
        };
        // A receiver that is gone has no use for the end.
        drop(out.send(last).await);
    }

    async fn walk(&self, out: &mpsc::Sender<Walked>) -> Result<(), WalkError> {
        let node = self
            .attempts
            .run(|| self.source.root())
            .await
            .map_err(WalkError::Root)?;
        let root = SourceEntry {
            key: Key::default(),
            path: EntryPath::ROOT,
            node,
        };
        if self.has_root && self.scope.contains(b"/") && self.is_new(&root.key) {
            send(out, Walked::Entry(root.clone())).await;
        }
        let mut stack = Vec::new();
        self.enter(root, &mut stack, out).await?;
        while let Some(level) = stack.last_mut() {
            let Some(item) = level.entries.next().await? else {
                let duplicates = level.entries.duplicates();
                if duplicates > 0 {
                    let directory = &level.directory.path;
                    tracing::warn!(%directory, duplicates, "the server listed names twice");
                }
                if let (Some(level), Some(kept)) = (stack.pop(), &self.kept) {
                    kept.note_given(level.directory.key, level.entries);
                }
                continue;
            };
            let path = level.directory.path.child(&item.name);
            let key = level.directory.key.join(&item.segment);
            let Some(entry) = self.admit(item, key, path, out).await else {
                if out.is_closed() {
                    return Ok(());
                }
                continue;
            };
            if !self.is_to_be_entered(&entry) {
                continue;
            }
            if closes_cycle(&entry, &stack) {
                self.report_cycle(entry, out).await;
            } else {
                self.enter(entry, &mut stack, out).await?;
            }
        }
        Ok(())
    }

    /// Emits one entry; returns it if it is known and can have a key.
    async fn admit(
        &self,
        item: Item,
        key: Key,
        path: EntryPath,
        out: &mpsc::Sender<Walked>,
    ) -> Option<SourceEntry> {
        let absolute = path.to_absolute();
        let in_scope = self.scope.contains(&absolute);
        let node = match item.node {
            Ok(node) if key.as_str().len() <= self.key_max => node,
            Ok(_) => {
                if in_scope {
                    let error = Arc::new(key_too_long(&path, &key, self.key_max));
                    send(out, Walked::Unknown { path, key, error }).await;
                }
                return None;
            }
            Err(error) => {
                if in_scope {
                    send(out, Walked::Unknown { path, key, error }).await;
                }
                return None;
            }
        };
        let entry = SourceEntry { key, path, node };
        if in_scope && self.is_new(&entry.key) {
            send(out, Walked::Entry(entry.clone())).await;
        }
        Some(entry)
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

    async fn report_cycle(&self, directory: SourceEntry, out: &mpsc::Sender<Walked>) {
        let error = Arc::new(EndpointError::new(
            ErrorKind::Protocol,
            "walk",
            directory.path.to_string(),
            "the server says that this directory is one of those that contain it",
        ));
        send(out, Walked::Unread { directory, error }).await;
    }

    async fn enter(
        &self,
        directory: SourceEntry,
        stack: &mut Vec<Level>,
        out: &mpsc::Sender<Walked>,
    ) -> Result<(), WalkError> {
        let above = stack
            .last()
            .map_or(self.memory_bytes, |level| level.memory_bytes);
        let memory_bytes = (above / 2).max(SORT_MEMORY_MIN);
        if let Some(entries) = self.reopen(&directory).await? {
            stack.push(Level {
                directory,
                entries,
                memory_bytes,
            });
            return Ok(());
        }
        let mut handle = directory.node.handle.clone();
        let mut starts = 0;
        let spill = Spill {
            directory: self.spill_directory.clone(),
            keeps_names: self.kept.is_some(),
        };
        let (mut entries, error) = loop {
            starts += 1;
            let mut sorter = Sorter::new(spill.clone(), memory_bytes);
            let Err(error) = self.read_directory(&handle, &mut sorter).await? else {
                break (sorter.finish().await?, None);
            };
            let again = starts < READ_DIR_STARTS
                && match error.kind {
                    ErrorKind::BadCookie => true,
                    ErrorKind::Stale => match self.relocate(&directory.path).await {
                        Some(found) => {
                            handle = found;
                            true
                        }
                        None => false,
                    },
                    _ => false,
                };
            if !again {
                break (sorter.finish().await?, Some(error));
            }
            sorter.discard()?;
        };
        self.keep(&directory, &mut entries, error.is_none()).await?;
        if let Some(error) = error {
            let directory = directory.clone();
            send(
                out,
                Walked::Unread {
                    directory,
                    error: Arc::new(error),
                },
            )
            .await;
        }
        stack.push(Level {
            directory,
            entries,
            memory_bytes,
        });
        Ok(())
    }

    /// The entries of a directory that an earlier run of the process read, if it is what it was.
    async fn reopen(&self, directory: &SourceEntry) -> Result<Option<SortedEntries>, SortError> {
        let Some(kept) = self.kept.as_ref().filter(|k| k.may_have(&directory.key)) else {
            return Ok(None);
        };
        let handle = &directory.node.handle;
        match self.attempts.run(|| self.source.attributes(handle)).await {
            Ok(now) => kept.reopen(&directory.key, &now).await,
            // Reading it tells what is wrong.
            Err(_) => Ok(None),
        }
    }

    /// Lets the entries of a directory that was read to its end outlive the process.
    async fn keep(
        &self,
        directory: &SourceEntry,
        entries: &mut SortedEntries,
        is_whole: bool,
    ) -> Result<(), SortError> {
        match &self.kept {
            Some(kept) if is_whole => {
                let before = &directory.node.attributes;
                kept.keep(&directory.key, before, entries).await
            }
            _ => entries.forget(),
        }
    }

    async fn relocate(&self, path: &EntryPath) -> Option<Handle> {
        let node = locate(&*self.source, path, &self.attempts)
            .await
            .ok()
            .flatten()?;
        Some(node.handle)
    }

    /// Reads a directory into `sorter`; the inner error leaves there what was read before it.
    async fn read_directory(
        &self,
        handle: &Handle,
        sorter: &mut Sorter,
    ) -> Result<Result<(), EndpointError>, SortError> {
        let mut cursor: Option<DirCursor> = None;
        loop {
            let page = match self
                .attempts
                .run(|| self.source.read_dir(handle, cursor))
                .await
            {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            for entry in page.entries {
                let is_directory = entry
                    .node
                    .as_ref()
                    .is_ok_and(|node| node.attributes.kind == EntryKind::Directory);
                let segment = Key::sort_segment(&entry.name, is_directory);
                sorter
                    .push(Item {
                        segment,
                        name: entry.name,
                        node: entry.node,
                    })
                    .await?;
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(Ok(()));
            }
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

/// Whether a directory is one of those that lead to it.
fn closes_cycle(entry: &SourceEntry, stack: &[Level]) -> bool {
    let identity = |e: &SourceEntry| (e.node.attributes.fsid, e.node.attributes.file_id);
    stack
        .iter()
        .any(|level| identity(&level.directory) == identity(entry))
}

async fn send(out: &mpsc::Sender<Walked>, walked: Walked) {
    // The walk notices a receiver that is gone at its next entry.
    drop(out.send(walked).await);
}
