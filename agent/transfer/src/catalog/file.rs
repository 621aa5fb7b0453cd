//! The one form of every file of a catalog: frames as in the journal (length, CRC-32C, payload).
//!
//! The first frame names the format, its version and the pair of locations; then come blocks of
//! records, and last the count of all records. The catalog itself and sorted runs have their keys in
//! order and a count; the log of a running execution has neither.

use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};

use datasync_endpoint::Key;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};

use super::Entry;
use super::codec::{Previous, Record};
use crate::disk::DiskError;
use crate::journal::{read_frames, write_frame};

/// A block is written once it has this many bytes.
const BLOCK: usize = 32 * 1024;
/// The longest payload of a frame, in bytes: a block and one record more, or a header.
const PAYLOAD_MAX: usize = 2 * BLOCK;
const FRAME_HEADER: usize = 8;

/// With the version of the format at its end.
const MAGIC: &[u8] = b"datasync catalog 1\n";
const RECORDS: u8 = b'r';
const COUNT: u8 = b'c';

/// Why a file cannot be written or read on.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}", path = path.display())]
pub(super) struct FileError {
    path: PathBuf,
    reason: Reason,
}

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    #[error("it is of another version or another pair of locations")]
    Foreign,
    #[error(transparent)]
    Budget(DiskError),
}

impl FileError {
    pub(super) fn budget(path: &Path, error: DiskError) -> Self {
        Self {
            path: path.to_owned(),
            reason: Reason::Budget(error),
        }
    }

    pub(super) fn new(path: &Path, error: io::Error) -> Self {
        Self {
            path: path.to_owned(),
            reason: Reason::Io(error),
        }
    }
}

/// Writes a file from its beginning.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: File,
    previous: Previous,
    block: Vec<u8>,
    count: u64,
    bytes: u64,
}

impl Writer {
    /// Makes a file that must not exist.
    pub(super) async fn create(path: PathBuf, identity: &str) -> Result<Self, FileError> {
        let mut options = OpenOptions::new();
        let created = options.write(true).create_new(true).open(&path).await;
        let mut writer = Self {
            file: created.map_err(|error| FileError::new(&path, error))?,
            path,
            previous: Previous::default(),
            block: Vec::new(),
            count: 0,
            bytes: 0,
        };
        writer.frame(&[MAGIC, identity.as_bytes()].concat()).await?;
        Ok(writer)
    }

    /// Adds a record. Whether it is with the kernel only [`Writer::flush`] tells.
    pub(super) async fn push(&mut self, key: &Key, entry: Option<&Entry>) -> Result<(), FileError> {
        if self.block.is_empty() {
            self.block.push(RECORDS);
        }
        self.previous.encode(key, entry, &mut self.block);
        self.count += 1;
        if self.block.len() >= BLOCK {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Given to the kernel so far.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Gives everything to the kernel.
    pub(super) async fn flush(&mut self) -> Result<(), FileError> {
        if !self.block.is_empty() {
            let block = std::mem::take(&mut self.block);
            self.previous = Previous::default();
            self.frame(&block).await?;
        }
        Ok(())
    }

    async fn frame(&mut self, payload: &[u8]) -> Result<(), FileError> {
        let mut frame = Vec::with_capacity(FRAME_HEADER + payload.len());
        write_frame(payload, &mut frame);
        self.bytes += frame.len() as u64;
        let written = async {
            self.file.write_all(&frame).await?;
            self.file.flush().await
        };
        written
            .await
            .map_err(|error| FileError::new(&self.path, error))
    }

    /// Ends the file and brings it to the disk; gives the number of its records.
    pub(super) async fn finish(mut self) -> Result<u64, FileError> {
        self.flush().await?;
        let mut end = vec![COUNT];
        end.extend(self.count.to_le_bytes());
        self.frame(&end).await?;
        let synced = self.file.sync_all().await;
        synced.map_err(|error| FileError::new(&self.path, error))?;
        Ok(self.count)
    }
}

/// The number of records of the sorted file at `path`, by its end; `None` if it has none.
pub(super) async fn count(path: &Path) -> Option<u64> {
    let mut file = File::open(path).await.ok()?;
    let mut frame = [0; FRAME_HEADER + 1 + size_of::<u64>()];
    let back = i64::try_from(frame.len()).ok()?;
    file.seek(SeekFrom::End(-back)).await.ok()?;
    file.read_exact(&mut frame).await.ok()?;
    let (payload, _) = read_frames(&frame).next()?;
    let count = payload.strip_prefix(&[COUNT])?;
    Some(u64::from_le_bytes(count.try_into().ok()?))
}

/// What a file promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Keys in order, each once, and a count at the end.
    Sorted,
    /// Records as they came; a torn end is where a process ended.
    Log,
}

/// Reads a file block by block.
#[derive(Debug)]
pub(super) struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    form: Form,
    previous: Previous,
    block: Vec<u8>,
    at: usize,
    last: Option<Key>,
    count: u64,
    is_ended: bool,
}

impl Reader {
    /// Opens a file; `None` if there is none.
    pub(super) async fn open(
        path: &Path,
        identity: &str,
        form: Form,
    ) -> Result<Option<Self>, FileError> {
        let file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(FileError::new(path, error)),
        };
        let mut reader = Self {
            path: path.to_owned(),
            file: BufReader::with_capacity(PAYLOAD_MAX, file),
            form,
            previous: Previous::default(),
            block: Vec::new(),
            at: 0,
            last: None,
            count: 0,
            is_ended: false,
        };
        let header = reader.frame().await?;
        match header
            .as_deref()
            .and_then(|header| header.strip_prefix(MAGIC))
        {
            Some(found) if found == identity.as_bytes() => Ok(Some(reader)),
            _ => Err(reader.error(Reason::Foreign)),
        }
    }

    /// The next record; `None` at the end. Not cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Record>, FileError> {
        if self.at == self.block.len() && !self.next_block().await? {
            return Ok(None);
        }
        let mut rest = self.block.get(self.at..).unwrap_or_default();
        let record = self.previous.decode(&mut rest);
        let Some((key, entry)) = record else {
            return Err(self.error(Reason::Damaged("a record is nonsense")));
        };
        self.at = self.block.len() - rest.len();
        self.count += 1;
        if self.form == Form::Sorted {
            if self.last.as_ref().is_some_and(|last| *last >= key) {
                return Err(self.error(Reason::Damaged("its keys are out of order")));
            }
            self.last = Some(key.clone());
        }
        Ok(Some((key, entry)))
    }

    /// Reads the next block; false at the end.
    async fn next_block(&mut self) -> Result<bool, FileError> {
        if self.is_ended {
            return Ok(false);
        }
        let Some(block) = self.frame().await? else {
            self.is_ended = true;
            return match self.form {
                Form::Log => Ok(false),
                Form::Sorted => Err(self.error(Reason::Damaged("it is cut off"))),
            };
        };
        match block.split_first() {
            Some((&RECORDS, records)) if !records.is_empty() => {
                self.previous = Previous::default();
                self.block = block;
                self.at = 1;
                Ok(true)
            }
            Some((&COUNT, count)) if count == self.count.to_le_bytes() => {
                self.is_ended = true;
                Ok(false)
            }
            _ => Err(self.error(Reason::Damaged("a block is nonsense"))),
        }
    }

    /// The payload of the next frame; `None` at the end of the file, whole or torn.
    async fn frame(&mut self) -> Result<Option<Vec<u8>>, FileError> {
        let mut frame = vec![0; FRAME_HEADER];
        if !self.fill(&mut frame).await? {
            return Ok(None);
        }
        let length = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
        if length > PAYLOAD_MAX {
            return Err(self.error(Reason::Damaged("a block has an impossible length")));
        }
        frame.resize(FRAME_HEADER + length, 0);
        if !self.fill(&mut frame[FRAME_HEADER..]).await? {
            return Ok(None);
        }
        if read_frames(&frame).next().is_none() {
            return Err(self.error(Reason::Damaged("a checksum is wrong")));
        }
        Ok(Some(frame.split_off(FRAME_HEADER)))
    }

    /// Whether `buffer` could be filled; false at the end of the file.
    async fn fill(&mut self, buffer: &mut [u8]) -> Result<bool, FileError> {
        match self.file.read_exact(buffer).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(FileError::new(&self.path, error)),
        }
    }

    fn error(&self, reason: Reason) -> FileError {
        FileError {
            path: self.path.clone(),
            reason,
        }
    }
}
