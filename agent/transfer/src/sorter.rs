//! Sorts the entries of one directory in bounded memory.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{EndpointError, Node};
use tokio::task::JoinSet;

mod codec;
mod kept;
mod merge;
mod run;

use kept::OnDisk;
use merge::Merge;
use run::{RunReader, RunWriter};

pub(crate) use kept::Kept;

/// The most runs that are merged, and so open, at once.
const RUNS_MAX: usize = 64;
/// Entries that a merge gives at a time.
const BATCH: usize = 256;
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

impl Item {
    fn memory(&self) -> usize {
        let rest = match &self.node {
            Ok(node) => node.handle.0.len(),
            Err(error) => size_of::<EndpointError>() + error.target.len() + error.detail.len(),
        };
        size_of::<Self>() + OVERHEAD + self.segment.capacity() + self.name.len() + rest
    }
}

/// Why a directory cannot be sorted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SortError {
    #[error("no space is left for {path} while a large directory was sorted: free some", path = path.display())]
    NoSpace {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use {path} for sorting a large directory", path = path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} was damaged after it was written: check the agent's disk", path = path.display())]
    Damaged { path: PathBuf },
    #[error("the sorting of a directory was broken off")]
    BrokenOff,
}

impl SortError {
    fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, source }
            }
            _ => Self::Io { path, source },
        }
    }
}

/// Where entries go that do not fit the memory.
#[derive(Debug, Clone)]
pub(crate) struct Spill {
    pub(crate) directory: PathBuf,
    /// Whether the files keep their names, to be found after a restart; otherwise they go with the
    /// process.
    pub(crate) keeps_names: bool,
}

/// Takes entries in any order.
#[derive(Debug)]
pub(crate) struct Sorter {
    spill: Spill,
    memory_bytes: usize,
    items: Vec<Item>,
    used: usize,
    /// Levels and runs; the levels fall. A run of level n was merged n times.
    runs: Vec<(u32, RunReader)>,
}

impl std::fmt::Debug for RunReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RunReader")
    }
}

impl Sorter {
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

    /// Adds an entry. After an error or a drop half-way the sorter is of no use.
    pub(crate) async fn push(&mut self, item: Item) -> Result<(), SortError> {
        self.used += item.memory();
        self.items.push(item);
        // The vector may have twice the room that it uses, and a run is written block by block.
        if self.used > self.memory_bytes / 2 {
            self.spill().await
        } else {
            Ok(())
        }
    }

    /// Gives up what was pushed.
    pub(crate) fn discard(self) -> Result<(), SortError> {
        let runs: Vec<_> = self.runs.into_iter().map(|(_, run)| run).collect();
        on_disk(&self.spill, &runs).remove()
    }

    /// Everything that was pushed, in order.
    pub(crate) async fn finish(mut self) -> Result<SortedEntries, SortError> {
        if self.runs.is_empty() {
            let items = sorted(self.items).await?;
            return Ok(SortedEntries::new(items.into(), None, OnDisk::default()));
        }
        if !self.items.is_empty() {
            self.spill().await?;
        }
        while self.runs.len() > RUNS_MAX {
            self.merge_last(RUNS_MAX).await?;
        }
        let runs: Vec<_> = self.runs.into_iter().map(|(_, run)| run).collect();
        let on_disk = on_disk(&self.spill, &runs);
        SortedEntries::of_runs(runs, on_disk).await
    }

    async fn spill(&mut self) -> Result<(), SortError> {
        let items = std::mem::take(&mut self.items);
        self.used = 0;
        let (spill, block) = (self.spill.clone(), self.block_bytes());
        let run = blocking(move || {
            let mut items = items;
            items.sort_by(|a, b| a.segment.cmp(&b.segment));
            let mut writer = RunWriter::create(&spill, block)?;
            for item in &items {
                writer.write(item)?;
            }
            writer.finish()
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
            let last: Vec<_> = last.into_iter().map(|(_, run)| run).collect();
            let merged = on_disk(&spill, &last);
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

/// The names that runs have.
fn on_disk(spill: &Spill, runs: &[RunReader]) -> OnDisk {
    let named = runs.iter().filter(|_| spill.keeps_names);
    OnDisk {
        note: None,
        files: named.map(|run| run.path.clone()).collect(),
    }
}

/// Entries in order of their segments, each segment once.
pub(crate) struct SortedEntries {
    ready: VecDeque<Item>,
    /// `None`: nothing was spilled, or it was given out.
    merge: Option<Merge>,
    on_disk: OnDisk,
    is_broken: bool,
    last: Option<String>,
    duplicates: u64,
}

impl SortedEntries {
    fn new(ready: VecDeque<Item>, merge: Option<Merge>, on_disk: OnDisk) -> Self {
        Self {
            ready,
            merge,
            on_disk,
            is_broken: false,
            last: None,
            duplicates: 0,
        }
    }

    async fn of_runs(runs: Vec<RunReader>, on_disk: OnDisk) -> Result<Self, SortError> {
        match blocking(move || Merge::new(runs)).await {
            Ok(merge) => Ok(Self::new(VecDeque::new(), Some(merge), on_disk)),
            Err(error) => {
                on_disk.remove()?;
                Err(error)
            }
        }
    }

    /// Takes the names of the files away: a restart does not find them.
    pub(crate) fn forget(&mut self) -> Result<(), SortError> {
        std::mem::take(&mut self.on_disk).remove()
    }

    /// The next entry. If a call is dropped half-way, the next says that it was broken off.
    pub(crate) async fn next(&mut self) -> Result<Option<Item>, SortError> {
        loop {
            let Some(item) = self.ready.pop_front() else {
                if !self.refill().await? {
                    return Ok(None);
                }
                continue;
            };
            if self.last.as_ref() == Some(&item.segment) {
                self.duplicates += 1;
                continue;
            }
            self.last = Some(item.segment.clone());
            return Ok(Some(item));
        }
    }

    /// Entries left out so far because the server listed their name twice.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    async fn refill(&mut self) -> Result<bool, SortError> {
        if self.is_broken {
            return Err(SortError::BrokenOff);
        }
        let Some(mut merge) = self.merge.take() else {
            return Ok(false);
        };
        self.is_broken = true;
        let (items, merge) = blocking(move || {
            let mut items = VecDeque::with_capacity(BATCH);
            while items.len() < BATCH {
                match merge.next()? {
                    Some(item) => items.push_back(item),
                    None => return Ok((items, None)),
                }
            }
            Ok((items, Some(merge)))
        })
        .await
        // What is damaged now is damaged after a restart too.
        .or_else(|error| self.forget().and(Err(error)))?;
        self.is_broken = false;
        self.ready = items;
        self.merge = merge;
        Ok(!self.ready.is_empty())
    }
}

async fn sorted(mut items: Vec<Item>) -> Result<Vec<Item>, SortError> {
    if items.len() <= SORTED_INLINE_MAX {
        items.sort_by(|a, b| a.segment.cmp(&b.segment));
        return Ok(items);
    }
    blocking(move || {
        items.sort_by(|a, b| a.segment.cmp(&b.segment));
        Ok(items)
    })
    .await
}

/// Runs file I/O and long sorts off the runtime's threads.
async fn blocking<T: Send + 'static>(
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
