//! The file of one log: a head that names the execution, then one line of JSON for each line.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use datasync_model::{LogLine, TaskExecutionArn};
use serde::{Deserialize, Serialize};

use super::blocking;

/// What is sent at once: little enough for a slow line to take it between two heartbeats.
const BATCH_BYTES: u64 = 128 * 1024;
const BATCH_LINES: usize = 1000;
/// A line whose every character is escaped; longer means damage.
const STORED_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Head {
    execution: TaskExecutionArn,
    log_id: String,
}

/// A log that is written.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    head: Head,
    file: std::fs::File,
    lines: u64,
    /// By [`LogLine::size`].
    bytes: u64,
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Before the line of this number.
    Line(u64),
    /// The same, and the byte at which it begins.
    Byte { line: u64, offset: u64 },
}

impl Place {
    pub(super) fn line(self) -> u64 {
        match self {
            Self::Line(line) | Self::Byte { line, .. } => line,
        }
    }
}

/// Lines that belong together.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) first: u64,
    pub(super) lines: Vec<LogLine>,
    pub(super) end: Place,
}

impl LogFile {
    /// Makes the file, mode 0600, in place of one that is not known.
    pub(super) fn create(path: PathBuf, execution: TaskExecutionArn) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let head = Head {
            execution,
            log_id: hex::encode(random),
        };
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&json_line(&head)?)?;
        Ok(Self {
            path,
            head,
            file,
            lines: 0,
            bytes: 0,
        })
    }

    /// Opens a file to go on with it; what is not a whole line at its end is cut off.
    pub(super) fn reopen(path: &Path) -> io::Result<Self> {
        let mut file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)?;
        let mut reader = BufReader::new(&mut file);
        let head = next_line(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let (mut end, mut lines, mut bytes) = (head.len() as u64, 0, 0);
        let head = serde_json::from_slice(&head)?;
        while let Some(line) = next_line(&mut reader)? {
            let Ok(parsed) = serde_json::from_slice::<LogLine>(&line) else {
                break;
            };
            end += line.len() as u64;
            lines += 1;
            bytes += parsed.size();
        }
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self {
            path: path.to_owned(),
            head,
            file,
            lines,
            bytes,
        })
    }

    /// Appends lines, all or none of them. Blocks on the disk; a power cut may cost them until they are
    /// read to be sent.
    pub(super) fn append(&mut self, lines: &[LogLine]) -> io::Result<()> {
        let mut text = Vec::with_capacity(lines.len() * 128);
        for line in lines {
            text.extend(json_line(line)?);
        }
        let before = self.file.stream_position()?;
        if let Err(error) = self.file.write_all(&text) {
            self.file.set_len(before)?;
            self.file.seek(SeekFrom::Start(before))?;
            return Err(error);
        }
        self.lines += lines.len() as u64;
        self.bytes += lines.iter().map(LogLine::size).sum::<u64>();
        Ok(())
    }

    pub(super) fn execution(&self) -> &TaskExecutionArn {
        &self.head.execution
    }

    pub(super) fn log_id(&self) -> &str {
        &self.head.log_id
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn json_line<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The next whole line with its end; `None` where there is none.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    reader.take(STORED_BYTES_MAX).read_until(b'\n', &mut line)?;
    Ok(line.ends_with(b"\n").then_some(line))
}

/// Makes what a file has outlive a power cut.
pub(super) type Flush = fn(&std::fs::File) -> io::Result<()>;

/// The lines from `at` on, of the first `written` ones, as many as are sent at once. They outlive a
/// power cut from now on: others must never have their numbers.
pub(super) async fn read(path: &Path, at: Place, written: u64, flush: Flush) -> io::Result<Batch> {
    let path = path.to_owned();
    blocking(move || read_blocking(&path, at, written, flush)).await
}

fn read_blocking(path: &Path, at: Place, written: u64, flush: Flush) -> io::Result<Batch> {
    let file = std::fs::File::open(path)?;
    flush(&file)?;
    let mut reader = BufReader::new(file);
    let mut offset = match at {
        Place::Byte { offset, .. } => reader.seek(SeekFrom::Start(offset))?,
        Place::Line(lines) => {
            let mut offset = 0;
            // The head is before the first line.
            for _ in 0..=lines {
                let line = next_line(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                offset += line.len() as u64;
            }
            offset
        }
    };
    let (first, begin) = (at.line(), offset);
    let mut lines = Vec::new();
    while lines.len() < BATCH_LINES
        && offset - begin < BATCH_BYTES
        && first + (lines.len() as u64) < written
    {
        let line = next_line(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        lines.push(serde_json::from_slice(&line)?);
        offset += line.len() as u64;
    }
    let line = first + lines.len() as u64;
    let end = Place::Byte { line, offset };
    Ok(Batch { first, lines, end })
}
