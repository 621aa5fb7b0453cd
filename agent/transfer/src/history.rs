//! What is remembered of a pair of locations from one execution to the next.

use std::io;
use std::path::Path;

use datasync_endpoint::Attributes;
use serde::{Deserialize, Serialize};
use tokio::fs;

/// The identity of the source's root at the last complete scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    fsid: u64,
    file_id: u64,
}

impl Root {
    pub(crate) fn of(attributes: &Attributes) -> Self {
        Self {
            fsid: attributes.fsid,
            file_id: attributes.file_id,
        }
    }

    /// The root that was remembered in `file`; `None` if there is none or it is damaged.
    pub(crate) async fn recall(file: &Path) -> io::Result<Option<Self>> {
        match fs::read(file).await {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Remembers this root in `file`.
    pub(crate) async fn remember(&self, file: &Path) -> io::Result<()> {
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).await?;
        }
        let next = file.with_extension("next");
        fs::write(&next, serde_json::to_vec(self)?).await?;
        fs::File::open(&next).await?.sync_all().await?;
        fs::rename(&next, file).await
    }
}
