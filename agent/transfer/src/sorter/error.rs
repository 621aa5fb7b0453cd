//! Why a directory cannot be sorted.

use std::path::{Path, PathBuf};

use crate::disk::DiskError;

/// Why a directory cannot be sorted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SortError {
    #[error("no space is left for {path} while a large directory was sorted: free some", path = path.display())]
    NoSpace {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot use {path} for sorting a large directory", path = path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} was damaged after it was written: check the agent's disk", path = path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Budget(#[from] DiskError),
    #[error("the sorting of a directory was broken off")]
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
