//! The sorted entries of a directory, from memory or from runs on disk.

use std::collections::VecDeque;

use super::kept::OnDisk;
use super::merge::Merge;
use super::run::RunReader;
use super::{Item, SortError, Sortable, blocking};

/// Entries that a merge gives at a time.
const BATCH: usize = 256;

/// Entries that were left out since another one had their segment.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    count: u64,
    first: Option<String>,
}

impl Duplicates {
    pub(super) fn note(&mut self, segment: &str) {
        self.count += 1;
        if self.first.is_none() {
            self.first = Some(segment.to_owned());
        }
    }
}

/// Entries in order of their segments, each segment once.
pub(crate) struct SortedEntries<T = Item> {
    ready: VecDeque<T>,
    /// `None`: nothing was spilled, or it was given out.
    merge: Option<Merge<T>>,
    pub(super) on_disk: OnDisk,
    is_broken: bool,
    /// The last segment that the merge gave.
    last: Option<String>,
    duplicates: Duplicates,
    memory: usize,
}

impl<T: Sortable> SortedEntries<T> {
    /// Entries that are sorted already, each once.
    pub(super) fn of_items(items: Vec<T>, duplicates: Duplicates, memory: usize) -> Self {
        Self {
            ready: items.into(),
            merge: None,
            on_disk: OnDisk::default(),
            is_broken: false,
            last: None,
            duplicates,
            memory,
        }
    }

    /// Entries of sorted runs, of which `memory` bytes are held at a time.
    pub(super) async fn of_runs(
        runs: Vec<RunReader<T>>,
        on_disk: OnDisk,
        memory: usize,
    ) -> Result<Self, SortError> {
        match blocking(move || Merge::new(runs)).await {
            Ok(merge) => Ok(Self {
                ready: VecDeque::new(),
                merge: Some(merge),
                on_disk,
                is_broken: false,
                last: None,
                duplicates: Duplicates::default(),
                memory,
            }),
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
    pub(crate) async fn next(&mut self) -> Result<Option<T>, SortError> {
        // What comes next can be looked at: of spilled entries half a batch, at least.
        while self.ready.len() < BATCH / 2 && (self.merge.is_some() || self.is_broken) {
            self.refill().await?;
        }
        Ok(self.ready.pop_front())
    }

    /// The entry that comes after `index` others, as far as they are at hand.
    pub(crate) fn peek(&self, index: usize) -> Option<&T> {
        self.ready.get(index)
    }

    /// What they take at most, in bytes.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// Entries left out so far because the server listed their name twice.
    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates.count
    }

    /// The first segment that came more than once, as far as entries were given out.
    pub(crate) fn duplicate(&self) -> Option<&str> {
        self.duplicates.first.as_deref()
    }

    async fn refill(&mut self) -> Result<(), SortError> {
        if self.is_broken {
            return Err(SortError::BrokenOff);
        }
        let Some(mut merge) = self.merge.take() else {
            return Ok(());
        };
        self.is_broken = true;
        let mut items = std::mem::take(&mut self.ready);
        let mut last = self.last.take();
        let mut duplicates = std::mem::take(&mut self.duplicates);
        let refilled = blocking(move || {
            for _ in 0..BATCH {
                match merge.next()? {
                    Some(item) if last.as_deref() == Some(item.segment()) => {
                        duplicates.note(item.segment());
                    }
                    Some(item) => {
                        last = Some(item.segment().to_owned());
                        items.push_back(item);
                    }
                    None => return Ok((items, None, last, duplicates)),
                }
            }
            Ok((items, Some(merge), last, duplicates))
        });
        (self.ready, self.merge, self.last, self.duplicates) = refilled
            .await
            // What is damaged now is damaged after a restart too.
            .or_else(|error| self.forget().and(Err(error)))?;
        self.is_broken = false;
        Ok(())
    }
}
