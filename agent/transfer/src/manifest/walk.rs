//! The entries that a manifest lists, in key order: each is looked up, no directory is read.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use datasync_endpoint::{EndpointError, EntryKind, EntryPath, ErrorKind, Key, Node, Source};
use datasync_model::Scope;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use tokio::sync::mpsc;

use super::frozen::Frozen;
use crate::attempts::Attempts;
use crate::lookups::Lookups;
use crate::sorter::SortError;
use crate::walk::{SourceEntry, WalkError, Walked, key_too_long};

/// Entries that are looked up one after the other: those of a directory share the way to it.
const SLICE: usize = 64;

/// How to walk by a manifest.
pub(crate) struct ManifestWalk<S> {
    pub(crate) manifest: PathBuf,
    pub(crate) source: Arc<S>,
    pub(crate) scope: Arc<Scope>,
    pub(crate) attempts: Arc<Attempts>,
    /// Emit only keys greater than this.
    pub(crate) resume_after: Option<Key>,
    /// The longest key in bytes.
    pub(crate) key_max: usize,
    /// Slices that are looked up at once.
    pub(crate) streams: usize,
}

impl<S: Source> ManifestWalk<S> {
    /// Walks until the end or until the receiver is gone.
    pub(crate) async fn run(self, out: mpsc::Sender<Vec<Walked>>) {
        let last = match self.emit(&out).await {
            Ok(()) => Walked::End,
            Err(error) => Walked::Broken(WalkError::Sort(error)),
        };
        // Whoever does not listen any more needs no end.
        drop(out.send(vec![last]).await);
    }

    async fn emit(&self, out: &mpsc::Sender<Vec<Walked>>) -> Result<(), SortError> {
        let mut frozen = Frozen::new(self.manifest.clone(), self.resume_after.clone());
        let mut under_way = FuturesOrdered::new();
        let mut is_ended = false;
        loop {
            while !is_ended && under_way.len() < self.streams {
                let keys = frozen.next(SLICE).await?;
                is_ended = keys.is_empty();
                if !is_ended {
                    under_way.push_back(self.look_up(keys.into()));
                }
            }
            let Some(walked) = under_way.next().await else {
                return Ok(());
            };
            if out.send(walked).await.is_err() {
                return Ok(());
            }
        }
    }

    async fn look_up(&self, keys: VecDeque<Key>) -> Vec<Walked> {
        let mut lookups = Lookups::new(&*self.source, &self.attempts);
        let mut walked = Vec::with_capacity(keys.len());
        for key in keys {
            // What names no path was refused when the manifest was taken in.
            let path = key.path().unwrap_or_default();
            let found = match self.refusal(&path, &key) {
                Some(error) => Err(error),
                None => found(&path, lookups.find(&path, false).await),
            };
            walked.push(match found {
                Ok(node) => Walked::Entry(SourceEntry { key, path, node }),
                Err(error) => Walked::Unknown {
                    path,
                    key,
                    error: Arc::new(error),
                },
            });
        }
        walked
    }

    /// Why an entry is not even looked up.
    fn refusal(&self, path: &EntryPath, key: &Key) -> Option<EndpointError> {
        if key.is_directory() {
            return Some(unfit(path, DIRECTORY));
        }
        if key.as_str().len() > self.key_max {
            return Some(key_too_long(path, key, self.key_max));
        }
        let is_left_out = !self.scope.contains(&path.to_absolute());
        is_left_out.then(|| unfit(path, "the manifest lists it, but it is always left out"))
    }
}

const DIRECTORY: &str = "the manifest lists a directory: it can only list files and links; use an \
                         include filter for all that is in a directory";

fn unfit(path: &EntryPath, detail: &str) -> EndpointError {
    EndpointError::new(
        ErrorKind::NotSupported,
        "manifest",
        path.to_string(),
        detail,
    )
}

/// The node, if it is one that a manifest can list.
fn found(
    path: &EntryPath,
    looked_up: Result<Option<Node>, EndpointError>,
) -> Result<Node, EndpointError> {
    match looked_up? {
        Some(node) if node.attributes.kind == EntryKind::Directory => Err(unfit(path, DIRECTORY)),
        Some(node) => Ok(node),
        None => Err(EndpointError::new(
            ErrorKind::NotFound,
            "LOOKUP",
            path.to_string(),
            "the manifest lists it, and it is not at the source",
        )),
    }
}
