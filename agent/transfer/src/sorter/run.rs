//! Sorted runs on disk: blocks of entries, each with its length and checksum, and an end marker
//! with the number of entries, so that a run that lost whole blocks is told from a short one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use datasync_endpoint::Crc64;

use super::{Item, SortError, Sortable, Spill};
use crate::disk::{Disk, Share};

/// The largest block that is read, in bytes: a bound on what a damaged file can ask for.
const BLOCK_MAX: u64 = 64 * 1024 * 1024;

/// Length and checksum of a block, in bytes.
const HEAD: u64 = 16;

static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A run that is being written.
pub(crate) struct RunWriter {
    file: File,
    path: PathBuf,
    block: Vec<u8>,
    block_bytes: usize,
    entries: u64,
    share: Share,
}

impl RunWriter {
    /// Creates a file in the spill directory, which is made if it is absent. A name that is not to
    /// be kept is removed at once, so that the file goes with its last handle however the process
    /// ends.
    pub(crate) fn create(spill: &Spill, block_bytes: usize) -> Result<Self, SortError> {
        let directory = &spill.directory;
        std::fs::create_dir_all(directory).map_err(|error| SortError::io(directory, error))?;
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("sort-{}-{number}.run", std::process::id()));
            let mut options = OpenOptions::new();
            let created = options
                .read(true)
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path);
            match created {
                Ok(file) => {
                    if !spill.keeps_names {
                        std::fs::remove_file(&path).map_err(|error| SortError::io(&path, error))?;
                    }
                    return Ok(Self {
                        file,
                        path,
                        block: Vec::new(),
                        block_bytes,
                        entries: 0,
                        share: spill.disk.share(),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(SortError::io(&path, error)),
            }
        }
    }

    /// Adds an entry; entries come in order.
    pub(crate) fn write<T: Sortable>(&mut self, item: &T) -> Result<(), SortError> {
        item.encode(&mut self.block);
        self.entries += 1;
        if self.block.len() >= self.block_bytes {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), SortError> {
        self.share.grow(HEAD + self.block.len() as u64)?;
        let length = (self.block.len() as u64).to_le_bytes();
        let checksum = Crc64::of(&self.block).0.to_le_bytes();
        for bytes in [&length[..], &checksum[..], &self.block[..]] {
            self.file
                .write_all(bytes)
                .map_err(|error| SortError::io(&self.path, error))?;
        }
        self.block.clear();
        Ok(())
    }

    /// Removes what was written.
    pub(crate) fn discard(self) -> Result<(), SortError> {
        std::fs::remove_file(&self.path).map_err(|error| SortError::io(&self.path, error))
    }

    /// Writes the end; the entries can be read.
    pub(crate) fn finish<T: Sortable>(mut self) -> Result<RunReader<T>, SortError> {
        if !self.block.is_empty() {
            self.flush()?;
        }
        self.share.grow(HEAD)?;
        let end = u128::from(self.entries) << 64;
        self.file
            .write_all(&end.to_le_bytes())
            .map_err(|error| SortError::io(&self.path, error))?;
        self.file
            .rewind()
            .map_err(|error| SortError::io(&self.path, error))?;
        Ok(RunReader::new(self.file, self.path, Some(self.share)))
    }
}

/// A run that is being read.
pub(crate) struct RunReader<T = Item> {
    pub(crate) file: File,
    pub(crate) path: PathBuf,
    block: Vec<u8>,
    at: usize,
    /// Given out so far.
    entries: u64,
    is_ended: bool,
    /// Of the disk, as long as the run is there; `None` if whoever keeps its name has it.
    pub(super) share: Option<Share>,
    entry: PhantomData<fn() -> T>,
}

impl<T: Sortable> RunReader<T> {
    fn new(file: File, path: PathBuf, share: Option<Share>) -> Self {
        Self {
            file,
            path,
            block: Vec::new(),
            at: 0,
            entries: 0,
            is_ended: false,
            share,
            entry: PhantomData,
        }
    }

    /// A run under a name of its own, which the budget of the disk knows of already.
    pub(crate) fn of_kept(path: &Path) -> Result<Self, SortError> {
        let file = File::open(path).map_err(|error| SortError::io(path, error))?;
        Ok(Self::new(file, path.to_path_buf(), None))
    }

    /// A run of an earlier run of the process.
    pub(super) fn open(path: &Path, disk: &Disk) -> Result<Self, SortError> {
        let failed = |error| SortError::io(path, error);
        let file = File::open(path).map_err(failed)?;
        let mut share = disk.share();
        share.grow(file.metadata().map_err(failed)?.len())?;
        Ok(Self::new(file, path.to_path_buf(), Some(share)))
    }

    /// The next entry, in order.
    pub(crate) fn next(&mut self) -> Result<Option<T>, SortError> {
        if self.is_ended || (self.at == self.block.len() && !self.next_block()?) {
            return Ok(None);
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let item = T::decode(&mut rest).ok_or_else(|| self.damaged())?;
        self.at = self.block.len() - rest.len();
        self.entries += 1;
        Ok(Some(item))
    }

    fn next_block(&mut self) -> Result<bool, SortError> {
        let mut head = [0; 16];
        self.read_exact(&mut head)?;
        let number = u128::from_le_bytes(head);
        let length = u64::try_from(number & u128::from(u64::MAX)).unwrap_or(u64::MAX);
        let checksum = u64::try_from(number >> 64).unwrap_or(0);
        if length == 0 && checksum == self.entries {
            self.block = Vec::new();
            self.at = 0;
            self.is_ended = true;
            return Ok(false);
        }
        if length == 0 || length > BLOCK_MAX {
            return Err(self.damaged());
        }
        let mut block = std::mem::take(&mut self.block);
        block.resize(usize::try_from(length).map_err(|_| self.damaged())?, 0);
        self.read_exact(&mut block)?;
        if Crc64::of(&block).0 != checksum {
            return Err(self.damaged());
        }
        self.block = block;
        self.at = 0;
        Ok(true)
    }

    fn read_exact(&mut self, into: &mut [u8]) -> Result<(), SortError> {
        self.file
            .read_exact(into)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.damaged(),
                _ => SortError::io(&self.path, error),
            })
    }

    fn damaged(&self) -> SortError {
        SortError::Damaged {
            path: self.path.clone(),
        }
    }
}
