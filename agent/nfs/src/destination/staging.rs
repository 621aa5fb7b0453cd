//! The directory where everything is written before it gets its name.
//!
//! `.aws-datasync` at the location's root is left out of every transfer, so that nobody takes what
//! lies there for a file. It goes at the end of an execution, unless another one is using it.

use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use datasync_endpoint::{
    DirEntry, EndpointError, EntryKind, ErrorKind, Handle, Key, Source, Timestamp,
};

use super::NfsDestination;
use crate::socket::arbitrary;

/// DataSync's own name.
pub(super) const STAGING: &[u8] = b".aws-datasync";
const STAGING_MODE: u32 = 0o700;
/// How the names of single files begin.
const FILE: &str = "put-";
/// What an execution left there that nobody went on with is removed after so long, in seconds.
const LEFT_SECONDS: i64 = 24 * 3600;

/// What is known of the directory.
#[derive(Debug)]
pub(super) struct Staging {
    handle: RwLock<Option<Bytes>>,
    /// Tells the files of this execution from those of others.
    tag: u64,
}

impl Staging {
    pub(super) fn new(tag: u64) -> Self {
        Self {
            handle: RwLock::default(),
            tag,
        }
    }

    fn known(&self) -> Option<Bytes> {
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        handle.clone()
    }

    fn set(&self, handle: Option<Bytes>) {
        *self.handle.write().unwrap_or_else(PoisonError::into_inner) = handle;
    }

    /// A handle was of no use, or the directory is gone.
    pub(super) fn forget(&self) {
        self.set(None);
    }

    /// A name that nobody else gives.
    pub(super) fn new_name(&self) -> String {
        format!("{FILE}{:016x}-{:016x}", self.tag, arbitrary())
    }

    fn is_ours(&self, name: &[u8]) -> bool {
        name.starts_with(format!("{FILE}{:016x}-", self.tag).as_bytes())
    }
}

impl NfsDestination {
    /// The directory's handle, if it exists.
    pub(super) async fn staging(&self) -> Result<Option<Bytes>, EndpointError> {
        if let Some(known) = self.staging.known() {
            return Ok(Some(known));
        }
        let root = self.root().await?;
        let Some(found) = self.tree.lookup(&Handle(root.handle), STAGING).await? else {
            return Ok(None);
        };
        if found.attributes.kind != EntryKind::Directory {
            return Err(self.clash(&staging_key(), found.attributes.kind));
        }
        self.staging.set(Some(found.handle.0.clone()));
        Ok(Some(found.handle.0))
    }

    /// The directory's handle; it is made where it is missing.
    pub(super) async fn staging_made(&self) -> Result<Bytes, EndpointError> {
        if let Some(found) = self.staging().await? {
            return Ok(found);
        }
        let root = self.root().await?;
        self.note(&Key::default(), &root)?;
        let changes = self.tree.changes();
        match changes
            .make_directory(&root.handle, STAGING, STAGING_MODE)
            .await
        {
            Ok((handle, _)) => {
                self.staging.set(Some(handle.clone()));
                Ok(handle)
            }
            // Somebody was faster.
            Err(error) if error.kind == ErrorKind::Precondition => {
                let found = self.staging().await?;
                found.ok_or_else(|| self.of_item(&staging_key(), error))
            }
            Err(error) => Err(self.of_item(&staging_key(), error)),
        }
    }

    /// Removes a name from the directory. What is gone already is no failure; whatever else fails is
    /// tried again at the end.
    pub(super) async fn unstage(&self, staging: &[u8], name: &str) {
        match self.tree.changes().remove(staging, name.as_bytes()).await {
            Err(error) if error.kind != ErrorKind::NotFound => {
                tracing::debug!(%error, name, "a temporary file stays for now");
            }
            _ => {}
        }
    }

    /// Every entry of the directory.
    pub(super) async fn staged(&self, staging: &Bytes) -> Result<Vec<DirEntry>, EndpointError> {
        let mut entries = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.tree.read_dir(&Handle(staging.clone()), cursor).await?;
            entries.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() || entries.len() >= STAGED_MAX {
                return Ok(entries);
            }
        }
    }

    /// Removes what this execution left in the directory and what nobody has touched for a day, and
    /// the directory itself where nothing else is in it.
    pub(super) async fn clear_staging(&self) -> Result<(), EndpointError> {
        let Some(staging) = self.staging().await? else {
            return Ok(());
        };
        let changed = self.tree.attributes(&Handle(staging.clone())).await?.mtime;
        for entry in self.staged(&staging).await? {
            let Ok(name) = std::str::from_utf8(&entry.name) else {
                continue;
            };
            let is_left = is_left(&entry, changed);
            if self.staging.is_ours(&entry.name) || (name.starts_with(FILE) && is_left) {
                self.unstage(&staging, name).await;
            }
        }
        let root = self.root().await?;
        self.note(&Key::default(), &root)?;
        let removed = self
            .tree
            .changes()
            .remove_directory(&root.handle, STAGING)
            .await;
        if let Err(error) = removed {
            // Uploads of others, or of ours that are owed.
            tracing::debug!(%error, "the directory of temporary files stays");
        }
        self.staging.forget();
        Ok(())
    }
}

/// Entries of the directory that are looked at: as many as can be in flight, and far more.
const STAGED_MAX: usize = 16 << 10;

fn staging_key() -> Key {
    Key::from_listing(format!("{}/", STAGING.escape_ascii()))
}

/// Whether nobody has written to an entry for long, by the server's clock: `now` is when something
/// in the directory was changed last.
fn is_left(entry: &DirEntry, now: Timestamp) -> bool {
    let node = entry.node.as_ref();
    node.is_ok_and(|node| node.attributes.mtime.seconds.saturating_add(LEFT_SECONDS) < now.seconds)
}
