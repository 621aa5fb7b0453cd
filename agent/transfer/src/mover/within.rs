//! Objects that the destination's store copies by itself.

use datasync_endpoint::{Destination, EntryKind, ErrorKind, Source};
use tokio::time::Instant;

use super::{Mover, TryError, Written};
use crate::plan;
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
        let stored = stored.filter(|_| attributes.kind == EntryKind::File);
        let Some(from) = stored.filter(|from| self.destination.may_copy(from)) else {
            return Ok(None);
        };
        let header = self.header(entry, attributes, copy).await?;
        let began = Instant::now();
        let copying = self
            .attempts
            .run(|| self.destination.copy(&entry.key, &header, &from));
        let copied = self.waits().during(Wait::Destination, copying).await;
        let took = began.elapsed();
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
}
