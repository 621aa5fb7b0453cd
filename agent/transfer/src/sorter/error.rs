//! Why something cannot be sorted.

use std::path::{Path, PathBuf};

use crate::disk::DiskError;

/// Why a directory, or the names of files, cannot be sorted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SortError {
    #[error("no space is left for {path} while a large directory or hard links were sorted: free some", path = path.display())]
    NoSpace {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use {path} for sorting a large directory or hard links", path = path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} was damaged after it was written: check the agent's disk", path = path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Budget(#[from] DiskError),
    #[error("sorting was broken off")]
    BrokenOff,
}

impl SortError {
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::NoSpace { path, source }
            }
            _ => Self::Io { path, source },
        }
    }
}
