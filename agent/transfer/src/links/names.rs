//! The names that were kept, as a file in the order of keys and sorted by their files.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use datasync_endpoint::Key;

use super::Name;
use crate::journal::{Beside, BesideReader};
use crate::sorter::{SortError, Sortable, SortedEntries, Sorter, Spill};

/// A frame has a key, a handle, an ETag and what is remembered of a name, in bytes; more means damage.
const FRAME_MAX: usize = 256 * 1024;
/// Names that are looked at ahead of the next one.
const AHEAD: usize = 64;

/// Every name that was kept, those of one file together.
pub(crate) struct Names {
    sorted: SortedEntries<Name>,
    ahead: VecDeque<Name>,
}

impl Names {
    /// Sorts the `count` names of an execution with this directory, in about `memory_bytes`.
    ///
    /// # Errors
    /// If they cannot be read or sorted; `Damaged` if some are missing.
    pub(crate) async fn sort(
        directory: &Path,
        count: u64,
        spill: Spill,
        memory_bytes: usize,
    ) -> Result<Self, SortError> {
        let mut reader = open(directory).await?;
        let mut sorter = Sorter::new(spill, memory_bytes);
        let mut found = 0;
        while let Some(name) = next(&mut reader).await? {
            sorter.push(name).await?;
            found += 1;
        }
        if found != count {
            let path = reader.path.clone();
            return Err(SortError::Damaged { path });
        }
        Self::of(sorter).await
    }

    /// What was given to a sorter.
    ///
    /// # Errors
    /// As [`Sorter::finish`].
    pub(crate) async fn of(sorter: Sorter<Name>) -> Result<Self, SortError> {
        Ok(Self {
            sorted: sorter.finish().await?,
            ahead: VecDeque::new(),
        })
    }

    /// The next name. Not cancel-safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Name>, SortError> {
        while self.ahead.len() <= AHEAD
            && let Some(name) = self.sorted.next().await?
        {
            self.ahead.push_back(name);
        }
        Ok(self.ahead.pop_front())
    }

    /// Those that follow, as far as they are at hand.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = &Name> {
        self.ahead.iter()
    }
}

/// Cuts off names beyond `last_handed`: the merge will meet them again.
///
/// # Errors
/// If the file cannot be read or cut.
pub(crate) async fn trim(directory: &Path, last_handed: Option<&Key>) -> Result<(), SortError> {
    let mut reader = open(directory).await?;
    let mut kept_bytes = 0;
    while let Some(name) = next(&mut reader).await? {
        if last_handed.is_none_or(|last| name.key() > last) {
            break;
        }
        kept_bytes = reader.whole_bytes;
    }
    let path = reader.path.clone();
    let cut = reader.cut(kept_bytes).await;
    cut.map_err(|error| SortError::io(&path, error))
}

async fn open(directory: &Path) -> Result<BesideReader, SortError> {
    let failed = |(path, error): (PathBuf, io::Error)| SortError::io(&path, error);
    let opened = BesideReader::open(directory, Beside::Names, FRAME_MAX).await;
    opened.map_err(failed)
}

async fn next(reader: &mut BesideReader) -> Result<Option<Name>, SortError> {
    let read = reader.next().await;
    let payload = read.map_err(|error| SortError::io(&reader.path, error))?;
    Ok(payload.and_then(|payload| Name::decode(&mut payload.as_slice())))
}
