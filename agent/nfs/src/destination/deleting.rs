//! Entries that go.

use datasync_endpoint::{
    EndpointError, EntryKind, ErrorKind, Handle, ObjectIdentifier, ObjectState, Source,
    is_same_entry,
};
use futures::{StreamExt, stream};

use super::NfsDestination;
use super::place::{Place, place};

/// Entries that are removed at the same time.
const REMOVALS: usize = 16;

impl NfsDestination {
    /// Removes entries in their order, a directory once those before it are gone.
    pub(super) async fn delete_all(
        &self,
        objects: &[ObjectIdentifier],
    ) -> Vec<Result<(), EndpointError>> {
        let mut outcomes = Vec::with_capacity(objects.len());
        let is_directory = |object: &ObjectIdentifier| object.key.is_directory();
        for alike in objects.chunk_by(|one, next| is_directory(one) == is_directory(next)) {
            let at_once = match alike.first() {
                // One may be in the other.
                Some(first) if is_directory(first) => 1,
                _ => REMOVALS,
            };
            let removals: Vec<_> = alike.iter().map(|object| self.delete(object)).collect();
            let removals = stream::iter(removals).buffered(at_once);
            outcomes.extend(removals.collect::<Vec<_>>().await);
        }
        outcomes
    }

    async fn delete(&self, object: &ObjectIdentifier) -> Result<(), EndpointError> {
        let deleted = self.fresh(|| self.delete_once(object)).await;
        deleted.map_err(|error| self.of_item(&object.key, error))
    }

    /// The ETag is compared before, not by the server.
    async fn delete_once(&self, object: &ObjectIdentifier) -> Result<(), EndpointError> {
        let key = &object.key;
        let Some(Place { directory, name }) = place(key)? else {
            let detail = "the location's root is not removed";
            return Err(self.fault(ErrorKind::Invalid, "RMDIR", key, detail));
        };
        let Some(above) = self.find(&directory).await? else {
            return Ok(());
        };
        let Some(found) = self
            .tree
            .lookup(&Handle(above.handle.clone()), &name)
            .await?
        else {
            return Ok(());
        };
        let is_directory = found.attributes.kind == EntryKind::Directory;
        if is_directory != key.is_directory() {
            return Ok(());
        }
        // A directory is removed only if it is empty: whatever was changed in it, nothing is lost.
        let etag = ObjectState::of_entry(&found.attributes).etag;
        if !is_directory && !is_same_entry(&etag, &object.etag) {
            let detail = "it was changed since it was listed: it stays";
            return Err(self.fault(ErrorKind::Precondition, "REMOVE", key, detail));
        }
        self.note(&directory, &above)?;
        let changes = self.tree.changes();
        let removed = if is_directory {
            self.directories.forget(key);
            changes.remove_directory(&above.handle, &name).await
        } else {
            changes.remove(&above.handle, &name).await
        };
        match removed {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) if is_directory && is_not_empty(&error) => {
                let detail = format!(
                    "{}: what is in the directory stays (it is out of the task's scope, or could \
                     not be removed), and so does the directory",
                    error.detail
                );
                Err(EndpointError { detail, ..error })
            }
            removed => removed,
        }
    }
}

/// `NOTEMPTY`, for which some servers say `EXIST` (RFC 1813 §3.3.13).
fn is_not_empty(error: &EndpointError) -> bool {
    matches!(error.kind, ErrorKind::Invalid | ErrorKind::Precondition)
}
