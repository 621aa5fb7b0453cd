//! The entries of a destination that is a tree which a manifest lists: each is looked up.

use std::path::PathBuf;
use std::sync::Arc;

use datasync_endpoint::{EndpointError, EntryKind, ErrorKind, Key, ListedObject, Source};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc;

use super::frozen::Frozen;
use crate::attempts::Attempts;
use crate::listing::Listed;
use crate::lookups::Lookups;
use crate::outcome::chain;

/// Keys that are looked up one after the other.
const SLICE: usize = 64;
/// Slices at the same time.
const SLICES: usize = 8;

/// Looks up until the end of the manifest or until the receiver is gone.
pub(crate) async fn look_up_wanted<T: Source>(
    tree: Arc<T>,
    attempts: Arc<Attempts>,
    manifest: PathBuf,
    after: Option<Key>,
    out: mpsc::Sender<Vec<Listed>>,
) {
    let mut frozen = Frozen::new(manifest, after);
    loop {
        let keys = match frozen.next(SLICE * SLICES).await {
            Ok(keys) => keys,
            Err(error) => {
                let detail = chain(&error);
                let error = EndpointError::new(ErrorKind::Invalid, "manifest", "", detail);
                drop(out.send(vec![Listed::Broken(error)]).await);
                return;
            }
        };
        if keys.is_empty() {
            drop(out.send(vec![Listed::End]).await);
            return;
        }
        let slices: Vec<Vec<Key>> = keys.chunks(SLICE).map(<[_]>::to_vec).collect();
        let found = slices
            .into_iter()
            .map(|keys| found(&*tree, &attempts, keys));
        let found: Result<Vec<_>, _> = stream::iter(found).buffered(SLICES).try_collect().await;
        let page = match found {
            Ok(found) => found.into_iter().flatten().map(Listed::Object).collect(),
            Err(error) => {
                drop(out.send(vec![Listed::Broken(error)]).await);
                return;
            }
        };
        if out.send(page).await.is_err() {
            return;
        }
    }
}

/// The entries of these keys, as far as they exist and are of the kind that the key says.
async fn found<T: Source>(
    tree: &T,
    attempts: &Attempts,
    keys: Vec<Key>,
) -> Result<Vec<ListedObject>, EndpointError> {
    let mut lookups = Lookups::new(tree, attempts);
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let Ok(path) = key.path() else { continue };
        let Some(node) = lookups.find(&path, key.is_directory()).await? else {
            continue;
        };
        let is_directory = node.attributes.kind == EntryKind::Directory;
        if is_directory == key.is_directory() {
            found.push(ListedObject::of_entry(key, &node.attributes));
        }
    }
    Ok(found)
}
