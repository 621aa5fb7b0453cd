//! The destination's objects in key order: while the merge consumes one page, the next waits and the
//! one after it is on its way.
//!
//! The pages are asked for one after the other, since where a page begins is only known from the one
//! before. See `docs/adr/0004-walk.md` for why the catalog is not used to guess it.
//!
//! A destination that is a tree has no pages: it is walked as the source is.

use std::sync::Arc;

use datasync_endpoint::{Destination, EndpointError, EntryPath, Key, ListedObject};
use tokio::sync::mpsc;

use crate::attempts::Attempts;
use crate::sorter::SortError;
use crate::walk::{WalkError, Walked};

/// What the listing gives.
#[derive(Debug)]
pub(crate) enum Listed {
    Object(ListedObject),
    /// The listing cannot go on.
    Broken(EndpointError),
    /// A directory of a tree cannot be sorted.
    Unsorted(SortError),
    /// Every object was given.
    End,
}

/// Lists until the end or until the receiver is gone.
pub(crate) async fn list<D: Destination>(
    destination: Arc<D>,
    attempts: Arc<Attempts>,
    mut after: Option<Key>,
    out: mpsc::Sender<Vec<Listed>>,
) {
    loop {
        let page = match attempts.run(|| destination.list(after.as_ref())).await {
            Ok(page) => page,
            Err(error) => {
                drop(out.send(vec![Listed::Broken(error)]).await);
                return;
            }
        };
        let last = page.objects.last();
        after = last.map(|object| object.key.clone()).or(after);
        let is_end = !page.more;
        let end = is_end.then_some(Listed::End);
        let objects = page.objects.into_iter().map(Listed::Object);
        if out.send(objects.chain(end).collect()).await.is_err() || is_end {
            return;
        }
    }
}

/// Passes on what the walk of a tree meets, until its end or until the receiver is gone.
pub(crate) async fn list_tree(
    mut walked: mpsc::Receiver<Vec<Walked>>,
    out: mpsc::Sender<Vec<Listed>>,
) {
    while let Some(met) = walked.recv().await {
        let mut page = Vec::with_capacity(met.len());
        for step in met {
            page.extend(listed(step));
            if !matches!(page.last(), None | Some(Listed::Object(_))) {
                // Whoever hears it has sent all it wanted.
                drop(out.send(page).await);
                return;
            }
        }
        if !page.is_empty() && out.send(page).await.is_err() {
            return;
        }
    }
}

/// `None` for an entry of which nothing is known but its name: it counts as absent, so that it is
/// never taken for one that is as it should be, nor for one to delete.
fn listed(met: Walked) -> Option<Listed> {
    Some(match met {
        Walked::Entry(entry) => {
            let attributes = &entry.node.attributes;
            Listed::Object(ListedObject::of_entry(entry.key, attributes))
        }
        Walked::Unknown { path, error, .. } => {
            tracing::warn!(%path, %error, "an entry of the destination cannot be looked at");
            return None;
        }
        Walked::Unread { directory, error } => Listed::Broken(unread(&directory.path, &error)),
        Walked::Broken(WalkError::Root(error)) => Listed::Broken(error),
        Walked::Broken(WalkError::Sort(error)) => Listed::Unsorted(error),
        Walked::End => Listed::End,
    })
}

fn unread(directory: &EntryPath, error: &EndpointError) -> EndpointError {
    let detail = format!(
        "the destination's directory {directory} cannot be read to its end: {}",
        error.detail
    );
    EndpointError::new(error.kind, error.operation, error.target.clone(), detail)
}

#[cfg(test)]
mod tests {
    use datasync_endpoint::memory::{MemoryDestination, Operation, Stored};
    use datasync_endpoint::{Crc64, PosixMetadata, Timestamp};
    use tokio::task::JoinSet;

    use super::*;
    use crate::paged;
    use crate::retry::RetryLimits;

    fn store(objects: u32, page: usize) -> Arc<MemoryDestination> {
        let store = MemoryDestination::new().with_page(page);
        store.edit(|stored| {
            for number in 0..objects {
                let object = Stored {
                    content: bytes::Bytes::new(),
                    metadata: PosixMetadata::default(),
                    extended: None,
                    etag: String::new(),
                    crc64: Some(Crc64(0)),
                    checksum: None,
                    storage_class: "STANDARD".to_owned(),
                    last_modified: Timestamp::default(),
                };
                stored.insert(Key::from_listing(format!("{number:04}")), object);
            }
        });
        Arc::new(store)
    }

    #[tokio::test(start_paused = true)]
    async fn pages_are_asked_for_while_one_is_consumed_and_no_more_than_there_are() {
        let store = store(100, 10);
        let attempts = Arc::new(Attempts::new(RetryLimits::default(), 0));
        let (out, mut listed) = paged::channel(1);
        let mut task = JoinSet::new();
        task.spawn(list(store.clone(), attempts, None, out));
        let asked = || store.script().count(Operation::List);
        for number in 0..100 {
            let Some(Listed::Object(object)) = listed.next().await else {
                panic!("an object");
            };
            assert_eq!(object.key.as_str(), format!("{number:04}"));
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            // The page that is consumed, one that waits, one that will.
            assert_eq!(asked(), (number / 10 + 3).min(10));
        }
        assert!(matches!(listed.next().await, Some(Listed::End)));
        assert_eq!(asked(), 10);
    }
}
