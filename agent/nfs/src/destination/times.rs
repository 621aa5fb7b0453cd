//! The times that directories are to have at the end, on the agent's disk.
//!
//! A line for each directory that is written to get its own times, and one for each that is changed
//! by what is written or removed in it, with its times of before. Of the former the last counts, of
//! the latter the first, and the former before the latter. A killed process loses no line; a machine
//! that loses its power may: the next execution then finds the directory's time to differ.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use datasync_endpoint::{Attributes, Key, PosixMetadata, Timestamp};
use serde::{Deserialize, Serialize};

/// Lines that are read at a time.
const CHUNK_LINES: usize = 256;
/// A key, and numbers; longer means damage.
const LINE_MAX: u64 = 64 << 10;

/// Times of a directory; those that are absent are left as they are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Times {
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    pub(super) mtime: Option<Timestamp>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    pub(super) atime: Option<Timestamp>,
}

impl Times {
    pub(super) fn of(attributes: &Attributes) -> Self {
        Self {
            mtime: Some(attributes.mtime),
            atime: Some(attributes.atime),
        }
    }

    pub(super) fn wanted(metadata: &PosixMetadata) -> Self {
        Self {
            mtime: metadata.mtime,
            atime: metadata.atime,
        }
    }
}

/// Why a directory has a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Why {
    /// It was written itself: its times are those of the source.
    #[serde(rename = "w")]
    Written,
    /// Something in it was changed.
    #[serde(rename = "c")]
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    #[serde(rename = "k")]
    key: Key,
    #[serde(rename = "y")]
    why: Why,
    #[serde(flatten)]
    times: Times,
}

/// The first line: what the names of the execution's temporary files have in common.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Heading {
    tag: u64,
}

/// The log, appended to.
#[derive(Debug)]
pub(super) struct TimesLog {
    file: Mutex<File>,
    tag: u64,
}

impl TimesLog {
    /// Opens the log, or begins it with `new_tag`. A line that was cut off by a crash is ended.
    pub(super) fn open(path: &Path, new_tag: u64) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let mut file = options.open(path)?;
        let mut first = Vec::new();
        BufReader::new(&file)
            .take(LINE_MAX)
            .read_until(b'\n', &mut first)?;
        let heading = serde_json::from_slice::<Heading>(&first);
        let length = file.metadata()?.len();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(length - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
            }
        } else {
            let mut text = serde_json::to_vec(&Heading { tag: new_tag })?;
            text.push(b'\n');
            file.write_all(&text)?;
        }
        Ok(Self {
            file: Mutex::new(file),
            tag: heading.map_or(new_tag, |heading| heading.tag),
        })
    }

    /// Of the execution's temporary files, from its first process on.
    pub(super) fn tag(&self) -> u64 {
        self.tag
    }

    pub(super) fn add(&self, key: &Key, why: Why, times: Times) -> io::Result<()> {
        let line = Line {
            key: key.clone(),
            why,
            times,
        };
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&text)
    }

    /// Where the chunks of the log begin, and where the last one ends: eight bytes for every 256
    /// directories.
    pub(super) fn chunks(path: &Path) -> io::Result<Vec<u64>> {
        let mut reader = BufReader::new(File::open(path)?);
        let (mut starts, mut at, mut lines) = (vec![0], 0, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader
                .by_ref()
                .take(LINE_MAX)
                .read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            at += read as u64;
            lines += 1;
            if lines % CHUNK_LINES == 0 {
                starts.push(at);
            }
        }
        if starts.last() != Some(&at) {
            starts.push(at);
        }
        Ok(starts)
    }

    /// What a chunk says of directories for this reason.
    pub(super) fn read(
        path: &Path,
        (start, end): (u64, u64),
        why: Why,
    ) -> io::Result<Vec<(Key, Times)>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(end.saturating_sub(start))
            .read_to_end(&mut bytes)?;
        // A line that a crash cut off says nothing: what it was written for had not begun.
        let lines = bytes.split(|byte| *byte == b'\n');
        let lines = lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok());
        let mut times = BTreeMap::new();
        for line in lines.filter(|line| line.why == why) {
            match why {
                Why::Written => {
                    times.insert(line.key, line.times);
                }
                Why::Changed => {
                    times.entry(line.key).or_insert(line.times);
                }
            }
        }
        Ok(times.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(seconds: i64) -> Times {
        let time = Timestamp {
            seconds,
            nanoseconds: 1,
        };
        Times {
            mtime: Some(time),
            atime: None,
        }
    }

    fn key(text: &str) -> Key {
        Key::from_listing(text.to_owned())
    }

    #[test]
    fn the_last_word_counts_of_what_was_written_and_the_first_of_what_was_changed() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let log = TimesLog::open(&path, 7).unwrap();
        for (text, why, seconds) in [
            ("a/", Why::Changed, 1),
            ("a/", Why::Written, 2),
            ("a/", Why::Written, 3),
            ("", Why::Changed, 4),
            ("a/", Why::Changed, 5),
        ] {
            log.add(&key(text), why, times(seconds)).unwrap();
        }
        let chunks = TimesLog::chunks(&path).unwrap();
        assert_eq!(chunks.len(), 2);
        let read = |why| TimesLog::read(&path, (chunks[0], chunks[1]), why).unwrap();
        assert_eq!(read(Why::Written), [(key("a/"), times(3))]);
        assert_eq!(
            read(Why::Changed),
            [(key(""), times(4)), (key("a/"), times(1))]
        );
    }

    #[test]
    fn a_line_that_was_cut_off_takes_no_other_with_it() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        std::fs::write(&path, b"{\"k\":\"a/\",\"y").unwrap();
        let log = TimesLog::open(&path, 7).unwrap();
        log.add(&key("b/"), Why::Written, times(1)).unwrap();
        let chunks = TimesLog::chunks(&path).unwrap();
        let read = TimesLog::read(&path, (chunks[0], chunks[1]), Why::Written).unwrap();
        assert_eq!(read, [(key("b/"), times(1))]);
    }

    #[test]
    fn a_long_log_is_read_in_chunks() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("log");
        let log = TimesLog::open(&path, 7).unwrap();
        let heading = TimesLog::chunks(&path).unwrap();
        let read = TimesLog::read(&path, (heading[0], heading[1]), Why::Written);
        assert_eq!(read.unwrap(), []);
        assert_eq!(
            TimesLog::open(&path, 8).unwrap().tag(),
            7,
            "of the first process"
        );
        for number in 0..600 {
            let key = key(&format!("{number:03}/"));
            log.add(&key, Why::Written, times(number)).unwrap();
        }
        let chunks = TimesLog::chunks(&path).unwrap();
        assert_eq!(chunks.len(), 4);
        let all = chunks
            .windows(2)
            .flat_map(|ends| TimesLog::read(&path, (ends[0], ends[1]), Why::Written).unwrap());
        assert_eq!(all.count(), 600);
    }
}
