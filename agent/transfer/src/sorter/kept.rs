//! Sorted runs that outlive the process: a large directory that was read to its end is not read
//! again after a restart, if it is what it was.
//!
//! Beside the runs of a directory lies a note of what they are; both go once an item beyond it has
//! begun. What a killed process left without a note goes when the next walk begins.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasync_endpoint::{Attributes, Crc64, Fingerprint, Key};
use serde::{Deserialize, Serialize};

use super::run::RunReader;
use super::{SortError, SortedEntries, blocking};
use crate::disk::{Disk, Share};

/// How long after it was read a directory may be reused, in seconds: what is known of its files is
/// as old as that.
const AGE_MAX_SECONDS: i64 = 24 * 3600;
/// Ends the name of every note.
const NOTE: &str = "note";

/// What runs are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    directory: Key,
    fsid: u64,
    /// Before the directory was read.
    version: Fingerprint,
    /// By our wall clock, since 1970.
    read_at_seconds: i64,
    /// Names of files in the same place.
    runs: Vec<String>,
}

impl Note {
    fn is_of(&self, directory: &Key, now: &Attributes, now_seconds: i64) -> bool {
        let age = now_seconds.saturating_sub(self.read_at_seconds);
        self.directory == *directory
            && self.fsid == now.fsid
            && self.version == now.fingerprint()
            && (0..=AGE_MAX_SECONDS).contains(&age)
    }
}

/// Where runs are kept.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    directory: PathBuf,
    disk: Disk,
    /// Wall clock in seconds since 1970.
    now_seconds: fn() -> i64,
    /// Directories whose entries were all given, and that a restart may still need.
    given: Arc<Mutex<Vec<(Key, OnDisk)>>>,
}

impl Kept {
    pub(crate) fn new(directory: PathBuf, disk: Disk, now_seconds: fn() -> i64) -> Self {
        Self {
            directory,
            disk,
            now_seconds,
            given: Arc::default(),
        }
    }

    /// The entries of a directory were all given.
    pub(crate) fn note_given(&self, directory: Key, mut entries: SortedEntries) {
        let on_disk = std::mem::take(&mut entries.on_disk);
        if !on_disk.files.is_empty() {
            self.lock().push((directory, on_disk));
        }
    }

    /// Removes the runs of directories that no restart needs, since an item that is in none of them
    /// has begun; of all directories, if that was the last.
    pub(crate) async fn pass(&self, begun: Option<&Key>) -> Result<(), SortError> {
        let is_needed = |directory: &Key| {
            begun.is_some_and(|begun| begun.as_str().starts_with(directory.as_str()))
        };
        let passed: Vec<_> = self
            .lock()
            .extract_if(.., |(directory, _)| !is_needed(directory))
            .collect();
        if passed.is_empty() {
            return Ok(());
        }
        blocking(move || passed.into_iter().try_for_each(|(_, runs)| runs.remove())).await
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Key, OnDisk)>> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes what an earlier run of the process left and no note tells of, and the directories
    /// that a walk which goes on `after` this key does not enter.
    pub(crate) async fn sweep(&self, after: Option<&Key>) -> Result<(), SortError> {
        let (place, after) = (self.directory.clone(), after.cloned());
        let swept =
            move || sweep(&place, after.as_ref()).map_err(|error| SortError::io(&place, error));
        blocking(swept).await
    }

    /// Whether there may be runs of this directory.
    pub(crate) fn may_have(&self, directory: &Key) -> bool {
        self.note(directory).exists()
    }

    /// The entries of a directory, in `memory` bytes, whose attributes are these `now`, if its runs are there. Runs
    /// that are of no use are removed.
    pub(crate) async fn reopen(
        &self,
        directory: &Key,
        now: &Attributes,
        memory: usize,
    ) -> Result<Option<SortedEntries>, SortError> {
        let (path, place) = (self.note(directory), self.directory.clone());
        let (directory, now, now_seconds) = (directory.clone(), *now, (self.now_seconds)());
        let disk = self.disk.clone();
        let opened = blocking(move || {
            let Some(note) = read(&path) else {
                return Ok(None);
            };
            let files: Vec<_> = note.runs.iter().map(|name| place.join(name)).collect();
            let mut shares = Vec::new();
            let runs = if note.is_of(&directory, &now, now_seconds) {
                let opened = files.iter().map(|file| {
                    let mut run = RunReader::open(file, &disk)?;
                    shares.extend(run.share.take());
                    Ok(run)
                });
                opened.collect::<Result<Vec<_>, SortError>>().ok()
            } else {
                None
            };
            let on_disk = OnDisk {
                note: Some(path),
                files,
                shares,
            };
            match runs {
                Some(runs) => Ok(Some((runs, on_disk))),
                None => on_disk.remove().map(|()| None),
            }
        });
        match opened.await? {
            None => Ok(None),
            Some((runs, on_disk)) => match SortedEntries::of_runs(runs, on_disk, memory).await {
                Ok(entries) => Ok(Some(entries)),
                // Its note is gone with that: the directory is read again.
                Err(SortError::Damaged { .. }) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// Keeps the runs of a directory that was read to its end, and that was like `before` before;
    /// durable when it returns.
    pub(crate) async fn keep(
        &self,
        directory: &Key,
        before: &Attributes,
        entries: &mut SortedEntries,
    ) -> Result<(), SortError> {
        if entries.on_disk.files.is_empty() {
            return Ok(());
        }
        let files = entries.on_disk.files.clone();
        let names = files.iter().filter_map(|file| file.file_name()?.to_str());
        let note = Note {
            directory: directory.clone(),
            fsid: before.fsid,
            version: before.fingerprint(),
            read_at_seconds: (self.now_seconds)(),
            runs: names.map(str::to_owned).collect(),
        };
        let path = self.note(directory);
        entries.on_disk.note = Some(path.clone());
        blocking(move || {
            for file in &files {
                let synced = File::open(file).and_then(|run| run.sync_all());
                synced.map_err(|error| SortError::io(file, error))?;
            }
            write(&path, &note).map_err(|error| SortError::io(&path, error))
        })
        .await
    }

    fn note(&self, directory: &Key) -> PathBuf {
        let hash = Crc64::of(directory.as_str().as_bytes()).0;
        self.directory.join(format!("{hash:016x}.{NOTE}"))
    }
}

/// The files of a directory's runs, as long as they have names.
#[derive(Debug, Default)]
pub(super) struct OnDisk {
    pub(super) note: Option<PathBuf>,
    pub(super) files: Vec<PathBuf>,
    /// What the files take; given back with this.
    pub(super) shares: Vec<Share>,
}

impl OnDisk {
    /// Takes the names away, the note's first; what is open stays readable.
    pub(super) fn remove(self) -> Result<(), SortError> {
        for path in self.note.into_iter().chain(self.files) {
            remove(&path).map_err(|error| SortError::io(&path, error))?;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// A note that can be understood.
fn read(path: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write(path: &Path, note: &Note) -> io::Result<()> {
    let next = path.with_extension("next");
    let mut file = File::create(&next)?;
    file.write_all(&serde_json::to_vec(note)?)?;
    file.sync_all()?;
    fs::rename(&next, path)?;
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn is_entered(directory: &Key, after: Option<&Key>) -> bool {
    after.is_none_or(|after| directory > after || after.as_str().starts_with(directory.as_str()))
}

fn sweep(place: &Path, after: Option<&Key>) -> io::Result<()> {
    let listed = match fs::read_dir(place) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed?,
    };
    let paths: Vec<PathBuf> = listed
        .map(|file| Ok(file?.path()))
        .collect::<io::Result<_>>()?;
    let is_note = |path: &Path| path.extension().is_some_and(|end| end == NOTE);
    let mut told: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths.iter().filter(|path| is_note(path)) {
        if let Some(note) = read(path).filter(|note| is_entered(&note.directory, after)) {
            told.extend(note.runs.iter().map(|run| place.join(run)));
            told.insert(path.clone());
        }
    }
    for path in paths.iter().filter(|path| !told.contains(*path)) {
        remove(path)?;
    }
    Ok(())
}
