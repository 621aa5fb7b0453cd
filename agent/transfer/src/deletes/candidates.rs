//! The file of delete candidates: frames of JSON in key order.

use std::io;
use std::path::{Path, PathBuf};

use datasync_endpoint::{Key, ObjectIdentifier};
use datasync_model::Counters;
use serde::{Deserialize, Serialize};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, BufReader};

use crate::journal::{read_frames, write_frame};
use crate::outcome::counted;

/// The file's name in the execution's directory.
pub(crate) const CANDIDATES_FILE: &str = "delete-candidates";

/// A frame is a header and the JSON of a key and an ETag, in bytes; longer means damage.
const FRAME_MAX: usize = 64 * 1024;
const HEADER: usize = 8;

/// An object that no entry of the source has the key of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Candidate {
    #[serde(rename = "k")]
    pub(crate) key: Key,
    #[serde(rename = "t")]
    pub(crate) etag: String,
}

impl Candidate {
    /// What the candidate adds to the counters.
    pub(crate) fn counted(&self) -> Counters {
        let add = Counters {
            to_delete: 1,
            ..Counters::default()
        };
        counted(&self.key, add)
    }

    pub(super) fn into_identifier(self) -> ObjectIdentifier {
        ObjectIdentifier {
            key: self.key,
            etag: self.etag,
        }
    }

    /// The frame of this candidate.
    pub(crate) fn to_frame(&self) -> serde_json::Result<Vec<u8>> {
        let mut frame = Vec::new();
        write_frame(&serde_json::to_vec(self)?, &mut frame);
        Ok(frame)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the delete candidates in {path} cannot be read", path = path.display())]
pub(crate) struct CandidatesError {
    path: PathBuf,
    source: io::Error,
}

/// Reads candidates from their file.
#[derive(Debug)]
pub(crate) struct Candidates {
    path: PathBuf,
    reader: Option<BufReader<File>>,
    /// The end of the last undamaged frame, in bytes.
    whole_bytes: u64,
}

impl Candidates {
    pub(crate) async fn open(directory: &Path) -> Result<Self, CandidatesError> {
        let path = directory.join(CANDIDATES_FILE);
        let reader = match File::open(&path).await {
            Ok(file) => Some(BufReader::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(CandidatesError { path, source }),
        };
        Ok(Self {
            path,
            reader,
            whole_bytes: 0,
        })
    }

    /// At most `limit` more; none at the end. A damaged frame ends the file.
    pub(crate) async fn next_chunk(
        &mut self,
        limit: usize,
    ) -> Result<Vec<Candidate>, CandidatesError> {
        let mut chunk = Vec::new();
        while chunk.len() < limit {
            match self.next().await {
                Ok(Some(candidate)) => chunk.push(candidate),
                Ok(None) => break,
                Err(source) => {
                    return Err(CandidatesError {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
        Ok(chunk)
    }

    async fn next(&mut self) -> io::Result<Option<Candidate>> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let mut frame = vec![0; HEADER];
        if !filled(reader, &mut frame).await? {
            return Ok(None);
        }
        let length = u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]) as usize;
        if length > FRAME_MAX {
            return Ok(None);
        }
        frame.resize(HEADER + length, 0);
        if !filled(reader, &mut frame[HEADER..]).await? {
            return Ok(None);
        }
        let candidate = read_frames(&frame)
            .next()
            .and_then(|(payload, _)| serde_json::from_slice(payload).ok());
        if candidate.is_some() {
            self.whole_bytes += frame.len() as u64;
        }
        Ok(candidate)
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

/// Cuts off candidates beyond `last_handed`: the merge will meet them again. Gives the counts
/// of those that stay.
pub(crate) async fn trim(
    directory: &Path,
    last_handed: Option<&Key>,
) -> Result<Counters, CandidatesError> {
    let mut candidates = Candidates::open(directory).await?;
    let path = candidates.path.clone();
    if candidates.reader.is_none() {
        return Ok(Counters::default());
    }
    let fault = |source| CandidatesError {
        path: path.clone(),
        source,
    };
    let mut kept = Counters::default();
    let mut kept_bytes = 0;
    while let Some(candidate) = candidates.next().await.map_err(fault)? {
        if last_handed.is_none_or(|last| candidate.key > *last) {
            break;
        }
        kept.add(&candidate.counted());
        kept_bytes = candidates.whole_bytes;
    }
    let file = OpenOptions::new()
        .write(true)
        .open(&path)
        .await
        .map_err(fault)?;
    file.set_len(kept_bytes).await.map_err(fault)?;
    Ok(kept)
}
