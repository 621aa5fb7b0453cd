//! The file of delete candidates: frames of JSON in key order.

use std::io;
use std::path::{Path, PathBuf};

use datasync_endpoint::{Key, ObjectIdentifier};
use datasync_model::Counters;
use serde::{Deserialize, Serialize};

use crate::journal::{Beside, BesideReader, write_frame};
use crate::outcome::counted;

/// A frame is a header and the JSON of a key and an ETag, in bytes; longer means damage.
const FRAME_MAX: usize = 64 * 1024;

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
    frames: BesideReader,
}

impl Candidates {
    pub(crate) async fn open(directory: &Path) -> Result<Self, CandidatesError> {
        let opened = BesideReader::open(directory, Beside::Candidates, FRAME_MAX).await;
        match opened {
            Ok(frames) => Ok(Self { frames }),
            Err((path, source)) => Err(CandidatesError { path, source }),
        }
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
                        path: self.frames.path.clone(),
                        source,
                    });
                }
            }
        }
        Ok(chunk)
    }

    async fn next(&mut self) -> io::Result<Option<Candidate>> {
        let payload = self.frames.next().await?;
        Ok(payload.and_then(|payload| serde_json::from_slice(&payload).ok()))
    }
}

/// Cuts off candidates beyond `last_handed`: the merge will meet them again. Gives the counts
/// of those that stay.
pub(crate) async fn trim(
    directory: &Path,
    last_handed: Option<&Key>,
) -> Result<Counters, CandidatesError> {
    let mut candidates = Candidates::open(directory).await?;
    let path = candidates.frames.path.clone();
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
        kept_bytes = candidates.frames.whole_bytes;
    }
    candidates.frames.cut(kept_bytes).await.map_err(fault)?;
    Ok(kept)
}
