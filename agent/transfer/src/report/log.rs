//! The entries of a report on the agent's own disk, until the execution has ended: frames of a byte
//! for the kind and the entry's JSON.

use std::io;
use std::path::{Path, PathBuf};

use datasync_model::ReportKind;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, BufReader};

use crate::journal::{read_frames, write_frame};

/// Entries that go along with records of the journal.
pub(crate) const REPORT_FILE: &str = "report";
/// Entries of the end check, which begins anew after a restart.
pub(crate) const VERIFIED_FILE: &str = "report-verified";

/// A path of 4 KiB whose every byte is escaped, and a detail: longer means damage, in bytes.
const FRAME_MAX: usize = 256 * 1024;
const HEADER: usize = 8;
const BUFFER: usize = 64 * 1024;

fn code(kind: ReportKind) -> u8 {
    match kind {
        ReportKind::Transferred => b'T',
        ReportKind::Verified => b'V',
        ReportKind::Skipped => b'S',
        ReportKind::Deleted => b'D',
    }
}

/// Appends an entry to `frames`.
pub(crate) fn put_entry(kind: ReportKind, json: &[u8], frames: &mut Vec<u8>) {
    let mut payload = Vec::with_capacity(1 + json.len());
    payload.push(code(kind));
    payload.extend_from_slice(json);
    write_frame(&payload, frames);
}

/// Reads the entries of one kind, one after the other, in the order in which they came about.
#[derive(Debug)]
pub struct ReportEntries {
    kind: ReportKind,
    /// Those that are still to be opened.
    files: Vec<PathBuf>,
    open: Option<(PathBuf, BufReader<File>)>,
}

impl ReportEntries {
    /// The entries of the execution with this directory.
    #[must_use]
    pub fn of(directory: &Path, kind: ReportKind) -> Self {
        let mut files = vec![directory.join(REPORT_FILE)];
        if kind == ReportKind::Verified {
            files.insert(0, directory.join(VERIFIED_FILE));
        }
        Self {
            kind,
            files,
            open: None,
        }
    }

    /// The JSON of the next entry; `None` at the end.
    ///
    /// # Errors
    /// If a file cannot be read, or was damaged after it was written.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let Some((path, reader)) = &mut self.open else {
                let Some(path) = self.files.pop() else {
                    return Ok(None);
                };
                match File::open(&path).await {
                    Ok(file) => {
                        self.open = Some((path, BufReader::with_capacity(BUFFER, file)));
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(error),
                }
                continue;
            };
            match frame(reader).await? {
                None => self.open = None,
                Some(frame) => {
                    let payload = read_frames(&frame).next().map(|(payload, _)| payload);
                    match payload.and_then(<[u8]>::split_first) {
                        Some((found, json)) if *found == code(self.kind) => {
                            return Ok(Some(json.to_vec()));
                        }
                        Some(_) => {}
                        None => return Err(damaged(path)),
                    }
                }
            }
        }
    }
}

/// The next frame as it is; `None` at the end of the file.
async fn frame(reader: &mut BufReader<File>) -> io::Result<Option<Vec<u8>>> {
    let mut frame = vec![0; HEADER];
    let begun = reader.read(&mut frame[..1]).await?;
    if begun == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut frame[1..]).await?;
    let length = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
    if length > FRAME_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "an entry of the report is longer than any",
        ));
    }
    frame.resize(HEADER + length, 0);
    reader.read_exact(&mut frame[HEADER..]).await?;
    Ok(Some(frame))
}

fn damaged(path: &Path) -> io::Error {
    let detail = format!("{} was damaged after it was written", path.display());
    io::Error::new(io::ErrorKind::InvalidData, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(directory: &Path, kind: ReportKind) -> io::Result<Vec<String>> {
        let (mut entries, mut found) = (ReportEntries::of(directory, kind), Vec::new());
        while let Some(json) = entries.next().await? {
            found.push(String::from_utf8(json).unwrap());
        }
        Ok(found)
    }

    #[tokio::test]
    async fn entries_are_read_by_kind_and_damage_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path();
        assert!(
            read(directory, ReportKind::Deleted)
                .await
                .unwrap()
                .is_empty()
        );
        let (mut frames, mut verified) = (Vec::new(), Vec::new());
        put_entry(ReportKind::Transferred, b"1", &mut frames);
        put_entry(ReportKind::Verified, b"2", &mut frames);
        put_entry(ReportKind::Transferred, b"3", &mut frames);
        put_entry(ReportKind::Verified, b"4", &mut verified);
        std::fs::write(directory.join(REPORT_FILE), &frames).unwrap();
        std::fs::write(directory.join(VERIFIED_FILE), &verified).unwrap();
        assert_eq!(
            read(directory, ReportKind::Transferred).await.unwrap(),
            ["1", "3"]
        );
        assert_eq!(
            read(directory, ReportKind::Verified).await.unwrap(),
            ["2", "4"]
        );
        assert!(
            read(directory, ReportKind::Skipped)
                .await
                .unwrap()
                .is_empty()
        );
        for cut in [1, 8, frames.len() - 1] {
            std::fs::write(directory.join(REPORT_FILE), &frames[..cut]).unwrap();
            assert!(read(directory, ReportKind::Skipped).await.is_err(), "{cut}");
        }
        frames[8] ^= 1;
        std::fs::write(directory.join(REPORT_FILE), &frames).unwrap();
        assert!(read(directory, ReportKind::Skipped).await.is_err());
    }
}
