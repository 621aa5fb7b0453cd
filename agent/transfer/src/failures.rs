//! The list of items that were not done, as JSON lines next to the journal.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use datasync_endpoint::{EntryPath, Key};
use datasync_model::{Counters, ErrorCode, Failure};
use serde::{Deserialize, Serialize};
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::disk::Disk;

/// The file's name in the execution's directory, unless [`crate::Settings`] say otherwise.
pub const FAILURES_FILE: &str = "failures.jsonl";

/// This many items on the list are remembered, as hashes of their keys (16 bytes each).
const REMEMBERED_MAX: usize = 500_000;

/// No more lines than this are kept; the counters go on.
const LINES_MAX: u64 = 1_000_000;

/// What became of the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It should have been written and was not.
    Failed,
    /// It was left out on purpose.
    Skipped,
    /// The verification found it to differ.
    Mismatched,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedItem {
    /// The path below the location's root, with a leading `/`; bytes that cannot be shown are
    /// written as `\xNN`.
    pub path: String,
    /// The object's key below the location's prefix.
    pub key: String,
    /// What became of it.
    pub outcome: Verdict,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
}

/// The first `count` items on the list at `path` that failed or did not match.
///
/// # Errors
/// If the list cannot be read, or holds a line that is none of ours.
pub async fn first_listed(path: &Path, count: usize) -> io::Result<Vec<ListedItem>> {
    let mut lines = BufReader::new(File::open(path).await?).lines();
    let mut items = Vec::new();
    while items.len() < count {
        let Some(line) = lines.next_line().await? else {
            break;
        };
        let item: ListedItem = serde_json::from_str(&line)?;
        if item.outcome != Verdict::Skipped {
            items.push(item);
        }
    }
    Ok(items)
}

/// The open list.
#[derive(Debug)]
pub(crate) struct FailureList {
    path: PathBuf,
    file: File,
    disk: Disk,
    lines: u64,
    first: Option<String>,
    /// Kinds of differences that the verification found, each once.
    differences: Vec<ErrorCode>,
    /// Secret, so that nobody can choose names of the same hash.
    hasher: RandomState,
    /// Hashes of the keys of the first [`REMEMBERED_MAX`] items.
    known: HashMap<u64, Verdict>,
}

impl FailureList {
    /// Opens the list of an execution, with what an earlier run wrote.
    pub(crate) async fn open(path: PathBuf, disk: Disk) -> io::Result<Self> {
        let parent = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent).await?;
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .await?;
        File::open(parent).await?.sync_all().await?;
        let mut list = Self {
            path,
            file,
            disk,
            lines: 0,
            first: None,
            differences: Vec::new(),
            hasher: RandomState::new(),
            known: HashMap::new(),
        };
        list.read_back().await?;
        Ok(list)
    }

    async fn read_back(&mut self) -> io::Result<()> {
        let mut reader = BufReader::new(File::open(&self.path).await?);
        let mut whole_bytes = 0;
        let mut text = Vec::new();
        while reader.read_until(b'\n', &mut text).await? > 0 {
            let Ok(line) = serde_json::from_slice::<ListedItem>(&text) else {
                break;
            };
            whole_bytes += text.len() as u64;
            text.clear();
            self.note(&line);
        }
        // A line that a crash cut short goes.
        if fs::metadata(&self.path).await?.len() > whole_bytes {
            let file = OpenOptions::new().write(true).open(&self.path).await?;
            file.set_len(whole_bytes).await?;
        }
        Ok(())
    }

    fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    fn note(&mut self, line: &ListedItem) {
        self.lines += 1;
        if self.known.len() < REMEMBERED_MAX {
            let hash = self.hash(&line.key);
            self.known.insert(hash, line.outcome);
        }
        let code = line.failure.code;
        if line.outcome == Verdict::Mismatched && !self.differences.contains(&code) {
            self.differences.push(code);
        }
        if line.outcome != Verdict::Skipped && self.first.is_none() {
            let ListedItem { path, failure, .. } = line;
            self.first = Some(format!("{path} ({}: {})", failure.code, failure.detail));
        }
    }

    /// What became of an item. Beyond 500,000 items on the list `None` says nothing.
    pub(crate) fn verdict(&self, key: &Key) -> Option<Verdict> {
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&self.hash(key.as_str())).copied()
    }

    /// The line of an item that is on the list.
    pub(crate) async fn line(&self, key: &Key) -> io::Result<Option<ListedItem>> {
        let mut lines = BufReader::new(File::open(&self.path).await?).lines();
        while let Some(line) = lines.next_line().await? {
            let item: ListedItem = serde_json::from_str(&line)?;
            if item.key == key.as_str() {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }

    /// Whether an item failed or was skipped, as far as [`FailureList::verdict`] tells.
    pub(crate) fn is_settled(&self, key: &Key) -> bool {
        matches!(self.verdict(key), Some(Verdict::Failed | Verdict::Skipped))
    }

    /// Adds an item, unless an earlier run of the process did; it is with the kernel on return. A
    /// directory that was left out and cannot be read besides is on the list twice.
    pub(crate) async fn add(
        &mut self,
        path: &EntryPath,
        key: &Key,
        outcome: Verdict,
        failure: &Failure,
    ) -> io::Result<()> {
        let known = self.verdict(key);
        let is_news = known == Some(Verdict::Skipped) && outcome != Verdict::Skipped;
        if known.is_some() && !is_news {
            return Ok(());
        }
        let line = ListedItem {
            path: path.to_string(),
            key: key.to_string(),
            outcome,
            failure: failure.clone(),
        };
        self.note(&line);
        if self.lines > LINES_MAX {
            return Ok(());
        }
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let taken = self.disk.take(text.len() as u64);
        taken.map_err(|error| io::Error::new(io::ErrorKind::QuotaExceeded, error))?;
        self.file.write_all(&text).await?;
        self.file.flush().await
    }

    /// Another handle on the file, to sync it by.
    pub(crate) async fn handle(&self) -> io::Result<File> {
        self.file.try_clone().await
    }

    /// Whether so many items failed or differ, of earlier runs of the process too, that the execution
    /// is to end. To be asked after each one.
    ///
    /// # Errors
    /// That they did, with the first and what to do.
    pub(crate) fn check(
        &self,
        counters: &Counters,
        max: Option<NonZeroU64>,
    ) -> Result<(), Failure> {
        let items = counters.failed.saturating_add(counters.mismatched);
        if max.is_none_or(|max| items < max.get()) {
            return Ok(());
        }
        Err(Failure::new(
            ErrorCode::TooManyFailures,
            format!(
                "stopped after {items} items that failed or differ; the first: {}. Remove the cause, \
                 or raise failures_max; 0 is no limit. The list is on the agent: {}",
                self.first().unwrap_or("see the list"),
                self.path().display()
            ),
        ))
    }

    /// The first item that failed or did not match, with its reason.
    pub(crate) fn first(&self) -> Option<&str> {
        self.first.as_deref()
    }

    /// Kinds of differences that the verification found, each once.
    pub(crate) fn differences(&self) -> &[ErrorCode] {
        &self.differences
    }

    /// Where the list is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_items_are_those_that_were_not_left_out_on_purpose() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("list.jsonl");
        let mut list = FailureList::open(path.clone(), Disk::unbounded())
            .await
            .unwrap();
        let failure = Failure::new(ErrorCode::SourceFault, "why");
        for (name, outcome) in [
            ("a", Verdict::Skipped),
            ("b", Verdict::Failed),
            ("c", Verdict::Mismatched),
            ("d", Verdict::Failed),
        ] {
            let entry = EntryPath::ROOT.child(name.as_bytes());
            let key = entry.key(false);
            list.add(&entry, &key, outcome, &failure).await.unwrap();
        }
        let found = first_listed(&path, 2).await.unwrap();
        let names: Vec<_> = found
            .iter()
            .map(|item| (&*item.path, item.outcome))
            .collect();
        assert_eq!(
            names,
            [("/b", Verdict::Failed), ("/c", Verdict::Mismatched)]
        );
        assert_eq!(found[0].failure, failure);
        std::fs::write(&path, "no line of ours\n").unwrap();
        assert!(first_listed(&path, 2).await.is_err());
    }
}
