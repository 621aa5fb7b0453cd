//! Sorts in bounded memory: the entries of one directory, the lines of a manifest, the names of files.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{EndpointError, Node};
use tokio::task::JoinSet;

mod codec;
mod entries;
mod error;
mod kept;
mod merge;
mod run;

use crate::disk::Disk;
use entries::Duplicates;
use kept::OnDisk;
use merge::Merge;

pub(crate) use codec::{
    attributes as take_attributes, bytes as take_bytes, put_attributes, put_bytes,
    text as take_text,
};
pub(crate) use entries::SortedEntries;
pub(crate) use error::SortError;
pub(crate) use kept::Kept;
pub(crate) use run::{RunReader, RunWriter};

/// The most runs that are merged, and so open, at once.
const RUNS_MAX: usize = 64;
/// What an entry costs beside its texts: allocator and reference counts, in bytes.
const OVERHEAD: usize = 64;
/// Entries that are sorted without a thread of their own.
const SORTED_INLINE_MAX: usize = 8192;

/// An entry of a directory.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// What is sorted by ([`datasync_endpoint::Key::sort_segment`]).
    pub(crate) segment: String,
    pub(crate) name: Bytes,
    pub(crate) node: Result<Node, Arc<EndpointError>>,
}

/// What can be sorted.
pub(crate) trait Sortable: Sized + Send + 'static {
    /// What is sorted by; of equal ones the first stays.
    fn segment(&self) -> &str;

    /// What it takes, in bytes.
    fn memory(&self) -> usize;

    /// Appends it as [`Sortable::decode`] takes it.
    fn encode(&self, out: &mut Vec<u8>);

    /// Takes the next one off `input`; `None` if that is none.
    fn decode(input: &mut &[u8]) -> Option<Self>;
}

impl Sortable for Item {
    fn segment(&self) -> &str {
        &self.segment
    }

    fn encode(&self, out: &mut Vec<u8>) {
        codec::encode(self, out);
    }

    fn decode(input: &mut &[u8]) -> Option<Self> {
        codec::decode(input)
    }

    fn memory(&self) -> usize {
        let rest = match &self.node {
            Ok(node) => node.handle.0.len(),
            Err(error) => size_of::<EndpointError>() + error.target.len() + error.detail.len(),
        };
        size_of::<Self>() + OVERHEAD + self.segment.capacity() + self.name.len() + rest
    }
}

/// Where entries go that do not fit the memory.
#[derive(Debug, Clone)]
pub(crate) struct Spill {
    pub(crate) directory: PathBuf,
    pub(crate) disk: Disk,
    /// Whether the files keep their names, to be found after a restart; otherwise they go with the
    /// process.
    pub(crate) keeps_names: bool,
}

/// Takes entries in any order.
#[derive(Debug)]
pub(crate) struct Sorter<T = Item> {
    spill: Spill,
    memory_bytes: usize,
    items: Vec<T>,
    used: usize,
    /// Levels and runs; the levels fall. A run of level n was merged n times.
    runs: Vec<(u32, RunReader<T>)>,
}

impl<T> std::fmt::Debug for RunReader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunReader")
    }
}

impl<T: Sortable> Sorter<T> {
    /// Holds at most about `memory_bytes`; the rest is spilled.
    pub(crate) fn new(spill: Spill, memory_bytes: usize) -> Self {
        Self {
            spill,
            memory_bytes,
            items: Vec::new(),
            used: 0,
            runs: Vec::new(),
        }
    }

    /// What the entries take that are not on disk, in bytes. The vector may have twice the room that
    /// it uses.
    pub(crate) fn memory(&self) -> usize {
        2 * self.used
    }

    /// From the next entry on holds at most about so many bytes.
    pub(crate) fn set_memory(&mut self, bytes: usize) {
        self.memory_bytes = bytes;
    }

    /// Adds an entry. After an error or a drop half-way the sorter is of no use.
    pub(crate) async fn push(&mut self, item: T) -> Result<(), SortError> {
        self.used += item.memory();
        self.items.push(item);
        if self.memory() > self.memory_bytes {
            self.spill().await
        } else {
            Ok(())
        }
    }

    /// Gives up what was pushed.
    pub(crate) fn discard(self) -> Result<(), SortError> {
        let mut runs: Vec<_> = self.runs.into_iter().map(|(_, run)| run).collect();
        on_disk(&self.spill, &mut runs).remove()
    }

    /// Everything that was pushed, in order.
    pub(crate) async fn finish(mut self) -> Result<SortedEntries<T>, SortError> {
        if self.runs.is_empty() {
            let memory = self.memory();
            let mut items = sorted(self.items).await?;
            let mut duplicates = Duplicates::default();
            items.dedup_by(|later, first| {
                let is_same = later.segment() == first.segment();
                if is_same {
                    duplicates.note(first.segment());
                }
                is_same
            });
            return Ok(SortedEntries::of_items(items, duplicates, memory));
        }
        if !self.items.is_empty() {
            self.spill().await?;
        }
        while self.runs.len() > RUNS_MAX {
            self.merge_last(RUNS_MAX).await?;
        }
        let mut runs: Vec<_> = self.runs.into_iter().map(|(_, run)| run).collect();
        let on_disk = on_disk(&self.spill, &mut runs);
        SortedEntries::of_runs(runs, on_disk, self.memory_bytes).await
    }

    async fn spill(&mut self) -> Result<(), SortError> {
        let items = std::mem::take(&mut self.items);
        self.used = 0;
        let (spill, block) = (self.spill.clone(), self.block_bytes());
        let run = blocking(move || {
            let mut items = items;
            items.sort_by(|a, b| a.segment().cmp(b.segment()));
            let mut writer = RunWriter::create(&spill, block)?;
            for item in &items {
                writer.write(item)?;
            }
            writer.finish::<T>()
        })
        .await?;
        self.runs.push((0, run));
        while let Some((level, _)) = self.runs.last()
            && self
                .runs
                .iter()
                .rev()
                .take_while(|(other, _)| other == level)
                .count()
                == RUNS_MAX
        {
            self.merge_last(RUNS_MAX).await?;
        }
        Ok(())
    }

    /// Merges the last `count` runs into one.
    async fn merge_last(&mut self, count: usize) -> Result<(), SortError> {
        let last = self.runs.split_off(self.runs.len().saturating_sub(count));
        let level = last.first().map_or(0, |(level, _)| level + 1);
        let (spill, block) = (self.spill.clone(), self.block_bytes());
        let run = blocking(move || {
            let mut last: Vec<_> = last.into_iter().map(|(_, run)| run).collect();
            let merged = on_disk(&spill, &mut last);
            let mut merge = Merge::new(last)?;
            let mut writer = RunWriter::create(&spill, block)?;
            while let Some(item) = merge.next()? {
                writer.write(&item)?;
            }
            merged.remove()?;
            writer.finish()
        })
        .await?;
        self.runs.push((level, run));
        Ok(())
    }

    /// Bytes per block, so that a block of every run fits the memory together.
    fn block_bytes(&self) -> usize {
        (self.memory_bytes / (2 * RUNS_MAX)).clamp(512, 64 * 1024)
    }
}

/// The names that runs have; with them goes what the files take of the disk.
fn on_disk<T>(spill: &Spill, runs: &mut [RunReader<T>]) -> OnDisk {
    let mut on_disk = OnDisk::default();
    for run in runs.iter_mut().filter(|_| spill.keeps_names) {
        on_disk.files.push(run.path.clone());
        on_disk.shares.extend(run.share.take());
    }
    on_disk
}

async fn sorted<T: Sortable>(mut items: Vec<T>) -> Result<Vec<T>, SortError> {
    if items.len() <= SORTED_INLINE_MAX {
        items.sort_by(|a, b| a.segment().cmp(b.segment()));
        return Ok(items);
    }
    blocking(move || {
        items.sort_by(|a, b| a.segment().cmp(b.segment()));
        Ok(items)
    })
    .await
}

/// Runs file I/O and long sorts off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SortError> + Send + 'static,
) -> Result<T, SortError> {
    let mut task = JoinSet::new();
    task.spawn_blocking(work);
    match task.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(_)) | None => Err(SortError::BrokenOff),
    }
}

#[cfg(test)]
mod tests;
