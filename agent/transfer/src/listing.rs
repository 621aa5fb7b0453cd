//! The destination's objects in key order: while the merge consumes one page, the next waits and the
//! one after it is on its way.
//!
//! The pages are asked for one after the other, since where a page begins is only known from the one
//! before. See `docs/adr/0004-walk.md` for why the catalog is not used to guess it.

use std::sync::Arc;

use datasync_endpoint::{Destination, EndpointError, Key, ListedObject};
use tokio::sync::mpsc;

use crate::attempts::Attempts;

/// What the listing gives.
#[derive(Debug)]
pub(crate) enum Listed {
    Object(ListedObject),
    /// The listing cannot go on.
    Broken(EndpointError),
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
