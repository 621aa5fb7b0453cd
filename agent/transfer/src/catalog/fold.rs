//! The next catalog: the present one and what an execution learned, newest last.
//!
//! An execution's log is in the order in which items ended. Where that is the order of their keys, as
//! over an unchanged tree, it is merged with the present catalog as it is; else it is cut into sorted
//! runs of bounded size first.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::path::{Path, PathBuf};

use datasync_endpoint::Key;
use tokio::fs;

use super::Entry;
use super::codec::Record;
use super::file::{FileError, Form, Reader, Writer};

/// The most runs that are merged, and so open, at once.
const RUNS_MAX: usize = 32;
/// What a record costs beside its key: the entry, tree and allocator, in bytes.
const OVERHEAD: usize = size_of::<Record>() + 64;

const RUNS_DIRECTORY: &str = "catalog-runs";
const NEXT_FILE: &str = "catalog.next";

/// Where a catalog is folded.
#[derive(Debug)]
pub(super) struct Fold<'a> {
    /// The execution's directory.
    pub(super) directory: &'a Path,
    pub(super) identity: &'a str,
    /// For the records of one run.
    pub(super) memory_bytes: usize,
}

/// Sorted runs of a log, the oldest first.
#[derive(Debug, Default)]
struct Runs {
    /// With their levels, which fall: a run of level n was merged n times.
    files: Vec<(u32, PathBuf)>,
    made: u64,
}

impl Fold<'_> {
    /// Puts a catalog in the place of `catalog` that knows what the logs say, the last word of each
    /// key; gives the number of its entries, or `None` if the logs say nothing.
    ///
    /// # Errors
    /// The present catalog is as it was.
    pub(super) async fn adopt(
        &self,
        logs: &[PathBuf],
        catalog: &Path,
    ) -> Result<Option<u64>, FileError> {
        let directory = self.directory.join(RUNS_DIRECTORY);
        remove_directory(&directory).await?;
        made(&directory).await?;
        let runs = self.sort(logs, &directory).await?;
        let count = if runs.files.is_empty() {
            None
        } else {
            Some(self.replace(self.open(&runs.files).await?, catalog).await?)
        };
        remove_directory(&directory).await?;
        Ok(count)
    }

    /// Like [`Fold::adopt`], with one log whose keys are in order, each once.
    ///
    /// # Errors
    /// The present catalog is as it was.
    pub(super) async fn adopt_ordered(&self, log: &Path, catalog: &Path) -> Result<u64, FileError> {
        let log = Source::lenient(Reader::open(log, self.identity, Form::Log).await);
        self.replace(vec![log], catalog).await
    }

    async fn sort(&self, logs: &[PathBuf], directory: &Path) -> Result<Runs, FileError> {
        let mut runs = Runs::default();
        let mut records = BTreeMap::new();
        let mut used = 0;
        for log in logs {
            let mut log = Source::lenient(Reader::open(log, self.identity, Form::Log).await);
            while let Some((key, entry)) = log.next().await? {
                used += OVERHEAD + key.as_str().len();
                records.insert(key, entry);
                if used > self.memory_bytes {
                    used = 0;
                    self.spill(std::mem::take(&mut records), &mut runs, directory)
                        .await?;
                }
            }
        }
        if !records.is_empty() {
            self.spill(records, &mut runs, directory).await?;
        }
        Ok(runs)
    }

    async fn spill(
        &self,
        records: BTreeMap<Key, Option<Entry>>,
        runs: &mut Runs,
        directory: &Path,
    ) -> Result<(), FileError> {
        let path = runs.next_path(directory);
        let mut writer = Writer::create(path.clone(), self.identity).await?;
        for (key, entry) in &records {
            writer.push(key, entry.as_ref()).await?;
        }
        writer.finish().await?;
        runs.files.push((0, path));
        while let Some(level) = runs.full_level() {
            let last = runs.files.split_off(runs.files.len() - RUNS_MAX);
            let path = runs.next_path(directory);
            let mut merge = Merge::new(self.open(&last).await?).await?;
            let mut writer = Writer::create(path.clone(), self.identity).await?;
            while let Some((key, entry)) = merge.next().await? {
                writer.push(&key, entry.as_ref()).await?;
            }
            writer.finish().await?;
            for (_, path) in last {
                removed(&path).await?;
            }
            runs.files.push((level + 1, path));
        }
        Ok(())
    }

    /// The newest run first.
    async fn open(&self, runs: &[(u32, PathBuf)]) -> Result<Vec<Source>, FileError> {
        let mut sources = Vec::with_capacity(runs.len() + 1);
        for (_, path) in runs.iter().rev() {
            let reader = Reader::open(path, self.identity, Form::Sorted).await?;
            sources.push(Source::strict(reader));
        }
        Ok(sources)
    }

    /// `sources` count before the present catalog, the first of them before the others.
    async fn replace(&self, mut sources: Vec<Source>, catalog: &Path) -> Result<u64, FileError> {
        let present = Reader::open(catalog, self.identity, Form::Sorted).await;
        sources.push(Source::lenient(present));
        let mut merge = Merge::new(sources).await?;
        let next = self.directory.join(NEXT_FILE);
        removed(&next).await?;
        let mut writer = Writer::create(next.clone(), self.identity).await?;
        while let Some((key, entry)) = merge.next().await? {
            if entry.is_some() {
                writer.push(&key, entry.as_ref()).await?;
            }
        }
        let count = writer.finish().await?;
        let parent = catalog.parent().unwrap_or(Path::new("."));
        made(parent).await?;
        let adopted = async {
            fs::rename(&next, catalog).await?;
            fs::File::open(parent).await?.sync_all().await
        };
        adopted
            .await
            .map_err(|error| FileError::new(catalog, error))?;
        Ok(count)
    }
}

impl Runs {
    fn next_path(&mut self, directory: &Path) -> PathBuf {
        self.made += 1;
        directory.join(self.made.to_string())
    }

    /// The level of the last runs, if it has as many as are merged at once.
    fn full_level(&self) -> Option<u32> {
        let (level, _) = self.files.last()?;
        let same = self.files.iter().rev().take_while(|run| run.0 == *level);
        (same.count() == RUNS_MAX).then_some(*level)
    }
}

async fn made(directory: &Path) -> Result<(), FileError> {
    let made = fs::create_dir_all(directory).await;
    made.map_err(|error| FileError::new(directory, error))
}

async fn remove_directory(directory: &Path) -> Result<(), FileError> {
    gone(directory, fs::remove_dir_all(directory).await)
}

/// Removes a file that may be absent.
pub(super) async fn removed(path: &Path) -> Result<(), FileError> {
    gone(path, fs::remove_file(path).await)
}

fn gone(path: &Path, result: std::io::Result<()>) -> Result<(), FileError> {
    match result {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::new(path, error))
        }
        _ => Ok(()),
    }
}

/// Records of one file.
#[derive(Debug)]
pub(super) struct Source {
    reader: Option<Reader>,
    /// Damage ends the records instead of the reading.
    is_lenient: bool,
}

impl Source {
    fn strict(reader: Option<Reader>) -> Self {
        Self {
            reader,
            is_lenient: false,
        }
    }

    /// What is damaged, of another version or another pair counts as absent from there on.
    pub(super) fn lenient(opened: Result<Option<Reader>, FileError>) -> Self {
        let reader = opened.unwrap_or_else(|error| {
            tracing::warn!(%error, "a catalog cannot be used; it costs requests, nothing else");
            None
        });
        Self {
            reader,
            is_lenient: true,
        }
    }

    /// The next record; `None` at the end. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Record>, FileError> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        match reader.next().await {
            Err(error) if self.is_lenient => {
                tracing::warn!(%error, "a catalog ends early; it costs requests, nothing else");
                self.reader = None;
                Ok(None)
            }
            result => result,
        }
    }
}

/// Merges sorted files; of equal keys only the record of the first file counts.
struct Merge {
    sources: Vec<Source>,
    heads: Vec<Option<Entry>>,
    /// Key of a head, index of its file.
    order: BinaryHeap<Reverse<(Key, usize)>>,
}

impl Merge {
    async fn new(sources: Vec<Source>) -> Result<Self, FileError> {
        let mut merge = Self {
            heads: sources.iter().map(|_| None).collect(),
            order: BinaryHeap::new(),
            sources,
        };
        for index in 0..merge.sources.len() {
            merge.advance(index).await?;
        }
        Ok(merge)
    }

    async fn next(&mut self) -> Result<Option<Record>, FileError> {
        let Some((key, entry)) = self.pop().await? else {
            return Ok(None);
        };
        while let Some(Reverse((next, _))) = self.order.peek()
            && *next == key
        {
            self.pop().await?;
        }
        Ok(Some((key, entry)))
    }

    async fn pop(&mut self) -> Result<Option<Record>, FileError> {
        let Some(Reverse((key, index))) = self.order.pop() else {
            return Ok(None);
        };
        let entry = self.heads.get_mut(index).and_then(Option::take);
        self.advance(index).await?;
        Ok(Some((key, entry)))
    }

    async fn advance(&mut self, index: usize) -> Result<(), FileError> {
        let (Some(source), Some(head)) = (self.sources.get_mut(index), self.heads.get_mut(index))
        else {
            return Ok(());
        };
        if let Some((key, entry)) = source.next().await? {
            *head = entry;
            self.order.push(Reverse((key, index)));
        }
        Ok(())
    }
}
