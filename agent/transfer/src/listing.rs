//! The destination's objects in key order, one page ahead of the merge.

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
    out: mpsc::Sender<Listed>,
) {
    loop {
        let page = match attempts.run(|| destination.list(after.as_ref())).await {
            Ok(page) => page,
            Err(error) => {
                drop(out.send(Listed::Broken(error)).await);
                return;
            }
        };
        after = page
            .objects
            .last()
            .map(|object| object.key.clone())
            .or(after);
        for object in page.objects {
            if out.send(Listed::Object(object)).await.is_err() {
                return;
            }
        }
        if !page.more {
            drop(out.send(Listed::End).await);
            return;
        }
    }
}
