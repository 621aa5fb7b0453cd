//! Files beside the journal: frames that its records tell of.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};

use super::frame::read_frames;

/// Length and checksum of a frame, in bytes.
const HEADER: usize = 8;

/// Which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// Objects that may be to be deleted.
    Candidates,
    /// Names of files that have several.
    Names,
}

impl Beside {
    /// The file's name in the execution's directory.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Candidates => "delete-candidates",
            Self::Names => "names-of-files",
        }
    }
}

/// A file that is written along with the journal, and is made when something is in it.
#[derive(Debug)]
pub(super) struct BesideFile {
    path: PathBuf,
    file: Option<File>,
    buffer: Vec<u8>,
}

impl BesideFile {
    pub(super) fn new(directory: &Path, which: Beside) -> Self {
        Self {
            path: directory.join(which.file()),
            file: None,
            buffer: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, frame: &[u8]) {
        self.buffer.extend_from_slice(frame);
    }

    /// Brings everything to the disk.
    pub(super) async fn write(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut options = OpenOptions::new();
                let file = options.create(true).append(true).open(&self.path).await?;
                if let Some(directory) = self.path.parent() {
                    File::open(directory).await?.sync_all().await?;
                }
                self.file.insert(file)
            }
        };
        file.write_all(&self.buffer).await?;
        file.flush().await?;
        file.sync_data().await?;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads such a file.
#[derive(Debug)]
pub(crate) struct BesideReader {
    pub(crate) path: PathBuf,
    /// `None` if there is no such file.
    reader: Option<BufReader<File>>,
    /// The longest frame in bytes; a longer one means damage.
    frame_max: usize,
    /// The end of the last undamaged frame, in bytes.
    pub(crate) whole_bytes: u64,
}

impl BesideReader {
    pub(crate) async fn open(
        directory: &Path,
        which: Beside,
        frame_max: usize,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let path = directory.join(which.file());
        let reader = match File::open(&path).await {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err((path, error)),
        };
        Ok(Self {
            path,
            reader,
            frame_max,
            whole_bytes: 0,
        })
    }

    /// The next payload; `None` at the end. A damaged frame ends the file.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let mut frame = vec![0; HEADER];
        if !filled(reader, &mut frame).await? {
            return Ok(None);
        }
        let length = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
        if length > self.frame_max {
            return Ok(None);
        }
        frame.resize(HEADER + length, 0);
        if !filled(reader, &mut frame[HEADER..]).await? {
            return Ok(None);
        }
        let payload = read_frames(&frame)
            .next()
            .map(|(payload, _)| payload.to_vec());
        if payload.is_some() {
            self.whole_bytes += frame.len() as u64;
        }
        Ok(payload)
    }

    /// Cuts the file off after so many bytes.
    pub(crate) async fn cut(self, kept_bytes: u64) -> io::Result<()> {
        if self.reader.is_none() {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        let file = options.write(true).open(&self.path).await?;
        file.set_len(kept_bytes).await
    }
}

/// Whether `buffer` could be filled; false at the end of the file.
async fn filled(reader: &mut BufReader<File>, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
