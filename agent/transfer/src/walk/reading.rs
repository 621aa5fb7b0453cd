//! One directory, read and sorted in the memory that it may use.

use std::sync::Arc;

use datasync_endpoint::{DirCursor, EndpointError, EntryKind, ErrorKind, Handle, Key, Source};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{SourceEntry, Walk};
use crate::locate::locate;
use crate::sorter::{Item, SortError, SortedEntries, Sorter};

/// How often a directory that changes under the cursor is read anew.
const READ_DIR_STARTS: u32 = 3;
/// What the entries of one page take at most, in bytes: a READDIRPLUS reply of 256 KiB, in the form
/// in which they are sorted. One that takes more exceeds the memory by that.
pub(super) const PAGE_BYTES: u32 = 256 * 1024;

/// A directory that was read.
pub(super) struct Contents {
    pub(super) entries: SortedEntries,
    /// Why they are not all.
    pub(super) error: Option<EndpointError>,
    /// For the entries, if the directory was read ahead.
    pub(super) memory: Option<OwnedSemaphorePermit>,
}

/// Memory that directories have together which are read ahead of their turn.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// One permit per byte; first come, first served.
    free: Arc<Semaphore>,
    /// What one directory may hold. With more it waits for its turn.
    pub(super) each: u32,
}

impl Pool {
    pub(super) fn new(bytes: usize) -> Self {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX / 4);
        Self {
            free: Arc::new(Semaphore::new(bytes as usize)),
            each: bytes / 8,
        }
    }

    /// Memory for a page, if there is some.
    pub(super) fn try_page(&self) -> Option<OwnedSemaphorePermit> {
        self.free.clone().try_acquire_many_owned(PAGE_BYTES).ok()
    }

    /// Memory for a page; pends for ever once the pool is gone.
    async fn page(&self) -> OwnedSemaphorePermit {
        match self.free.clone().acquire_many_owned(PAGE_BYTES).await {
            Ok(page) => page,
            Err(_) => std::future::pending().await,
        }
    }
}

/// What a directory may use while it is read.
pub(super) enum Allowance {
    /// It is read ahead, with memory for its first page, until its turn comes with so many bytes.
    Ahead {
        pool: Pool,
        memory: OwnedSemaphorePermit,
        turn: oneshot::Receiver<usize>,
    },
    /// It is its turn: so many bytes, and the disk.
    Turn(usize),
}

impl Allowance {
    fn sort_bytes(&self) -> usize {
        match self {
            // Bounded page by page.
            Self::Ahead { .. } => usize::MAX,
            Self::Turn(bytes) => *bytes,
        }
    }

    /// Gives back what a page did not need, and waits until there is memory for the next one, or
    /// until the directory's turn comes, which it does whatever others do.
    async fn for_next_page(&mut self, sorter: &mut Sorter) {
        let Self::Ahead { pool, memory, turn } = self else {
            return;
        };
        settle(memory, sorter.memory());
        let goes_on = memory.num_permits() + PAGE_BYTES as usize <= pool.each as usize;
        let page = async {
            if goes_on {
                pool.page().await
            } else {
                std::future::pending().await
            }
        };
        tokio::select! {
            biased;
            Ok(bytes) = turn => {
                sorter.set_memory(bytes);
                *self = Self::Turn(bytes);
            }
            page = page => memory.merge(page),
        }
    }

    /// Gives back the memory and waits until the directory's turn comes; says with how many bytes.
    async fn for_turn(&mut self) -> usize {
        if let Self::Ahead { memory, turn, .. } = self {
            settle(memory, 0);
            let bytes = match turn.await {
                Ok(bytes) => bytes,
                // Nobody waits for the directory any more.
                Err(_) => std::future::pending().await,
            };
            *self = Self::Turn(bytes);
        }
        self.sort_bytes()
    }

    /// What is left for the entries once all are there.
    fn into_memory(self, entries: &SortedEntries) -> Option<OwnedSemaphorePermit> {
        match self {
            Self::Ahead { mut memory, .. } => {
                settle(&mut memory, entries.memory());
                Some(memory)
            }
            Self::Turn(_) => None,
        }
    }
}

/// Keeps what is used.
fn settle(memory: &mut OwnedSemaphorePermit, used: usize) {
    let spare = memory.num_permits().saturating_sub(used);
    drop(memory.split(spare));
}

/// Reads a directory to its end, or as far as it can be read.
pub(super) async fn read<S: Source>(
    walk: Arc<Walk<S>>,
    directory: SourceEntry,
    mut allowance: Allowance,
) -> Result<Contents, SortError> {
    if let Some(entries) = reopen(&walk, &directory, &mut allowance).await? {
        return Ok(Contents {
            memory: allowance.into_memory(&entries),
            entries,
            error: None,
        });
    }
    let mut handle = directory.node.handle.clone();
    let mut starts = 0;
    loop {
        starts += 1;
        let mut sorter = Sorter::new(walk.spill.clone(), allowance.sort_bytes());
        let read = read_pages(&walk, &handle, &mut sorter, &mut allowance).await?;
        let again = match &read {
            Err(error) if starts < READ_DIR_STARTS => match error.kind {
                ErrorKind::BadCookie => true,
                ErrorKind::Stale => match relocated(&walk, &directory).await {
                    Some(found) => {
                        handle = found;
                        true
                    }
                    None => false,
                },
                _ => false,
            },
            _ => false,
        };
        if !again {
            let mut entries = sorter.finish().await?;
            keep(&walk, &directory, &mut entries, read.is_ok()).await?;
            return Ok(Contents {
                memory: allowance.into_memory(&entries),
                entries,
                error: read.err(),
            });
        }
        sorter.discard()?;
    }
}

/// The entries of a directory that an earlier run of the process read, if it is what it was. They
/// need the memory of its turn.
async fn reopen<S: Source>(
    walk: &Walk<S>,
    directory: &SourceEntry,
    allowance: &mut Allowance,
) -> Result<Option<SortedEntries>, SortError> {
    let Some(kept) = walk.kept.as_ref().filter(|k| k.may_have(&directory.key)) else {
        return Ok(None);
    };
    let memory = allowance.for_turn().await;
    let handle = &directory.node.handle;
    match walk.attempts.run(|| walk.source.attributes(handle)).await {
        Ok(now) => kept.reopen(&directory.key, &now, memory).await,
        // Reading it tells what is wrong.
        Err(_) => Ok(None),
    }
}

/// Lets the entries of a directory that was read to its end outlive the process.
async fn keep<S: Source>(
    walk: &Walk<S>,
    directory: &SourceEntry,
    entries: &mut SortedEntries,
    is_whole: bool,
) -> Result<(), SortError> {
    match &walk.kept {
        Some(kept) if is_whole => {
            let before = &directory.node.attributes;
            kept.keep(&directory.key, before, entries).await
        }
        _ => entries.forget(),
    }
}

async fn relocated<S: Source>(walk: &Walk<S>, directory: &SourceEntry) -> Option<Handle> {
    let found = locate(&*walk.source, &directory.path, true, &walk.attempts).await;
    Some(found.ok().flatten()?.handle)
}

/// Reads into `sorter`; the inner error leaves there what was read before it.
async fn read_pages<S: Source>(
    walk: &Walk<S>,
    handle: &Handle,
    sorter: &mut Sorter,
    allowance: &mut Allowance,
) -> Result<Result<(), EndpointError>, SortError> {
    let mut cursor: Option<DirCursor> = None;
    loop {
        let page = walk
            .attempts
            .run(|| walk.source.read_dir(handle, cursor.clone()));
        let page = match page.await {
            Ok(page) => page,
            Err(error) => return Ok(Err(error)),
        };
        for entry in page.entries {
            let is_directory = entry
                .node
                .as_ref()
                .is_ok_and(|node| node.attributes.kind == EntryKind::Directory);
            let item = Item {
                segment: Key::sort_segment(&entry.name, is_directory),
                name: entry.name,
                node: entry.node,
            };
            sorter.push(item).await?;
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(Ok(()));
        }
        allowance.for_next_page(sorter).await;
    }
}
