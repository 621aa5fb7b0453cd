//! Objects that the destination's store copies by itself.

use datasync_endpoint::{
    Destination, EndpointError, EntryKind, ErrorKind, Key, ObjectHeader, ReadBack, Receipt, Source,
    StoredObject,
};
use tokio::time::Instant;

use super::{Mover, TryError, Written};
use crate::plan;
use crate::uploads::UploadError;
use crate::waits::Wait;
use crate::walk::SourceEntry;

impl<S: Source, D: Destination> Mover<S, D> {
    /// `None`: the item is to be read and written.
    pub(super) async fn copy_within(
        &self,
        entry: &SourceEntry,
        copy: &plan::Copy,
    ) -> Result<Option<Written>, TryError> {
        let attributes = &entry.node.attributes;
        let stored = self.source.stored(&entry.node.handle);
        // Only a write of ours can be refused where an object appears meanwhile.
        let may_be = attributes.kind == EntryKind::File && !copy.only_if_absent;
        let stored = stored.filter(|_| may_be);
        let Some(from) = stored.filter(|from| self.destination.may_copy(from)) else {
            return Ok(None);
        };
        let header = self.header(entry, attributes, copy).await?;
        let began = Instant::now();
        let copying = self.copied(&entry.key, &header, &from);
        let copied = self.waits().during(Wait::Destination, copying).await;
        let took = began.elapsed();
        let copied = match copied {
            Err(UploadError::Journal(error)) => return Err(error.into()),
            Err(UploadError::Destination(error)) => Err(error),
            Ok(copied) => Ok(copied),
        };
        match copied {
            Ok(Some((content, receipt))) => {
                self.confirm_written(&entry.key, &receipt, content).await?;
                Ok(Some(Written {
                    content,
                    receipt: Some(receipt),
                    took,
                }))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind == ErrorKind::Stale => Err(TryError::Changed),
            Err(error) => {
                tracing::info!(%error, "the store has not copied an object: it is read and written");
                Ok(None)
            }
        }
    }

    /// As [`Destination::copy`]. One that takes an upload is announced as every upload is; where the
    /// store does not make it after all, that is an error, so that no upload stays open.
    async fn copied(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, UploadError> {
        let destination = &*self.destination;
        let copy = || destination.copy(key, header, from);
        if from.size <= destination.abilities().put_max {
            return Ok(self.attempts.run(copy).await?);
        }
        let copy = || async move {
            let refused = || {
                let detail = "the store does not copy this object by itself";
                let target = key.as_str().escape_debug().to_string();
                EndpointError::new(ErrorKind::NotSupported, "UploadPartCopy", target, detail)
            };
            copy().await?.ok_or_else(refused)
        };
        let at_seconds = (self.now_seconds)();
        let copying = self
            .uploads
            .copy(key, at_seconds, destination, &self.attempts, copy);
        copying.await.map(Some)
    }
}
