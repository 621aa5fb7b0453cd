//! What the store holds after a write: asked where its word is not enough, or did not come.

use datasync_endpoint::{
    Destination, Effect, EndpointError, Integrity, Key, ObjectHeader, ObjectIdentifier,
    ObjectState, ReadBack, Receipt, Source, WithoutExtended,
};

use datasync_model::ErrorCode;

use super::{Mover, TryError, destination_error};
use crate::extended::agrees;
use crate::outcome::ItemFailure;
use crate::verify::{SourceContent, compared};
use crate::waits::Wait;

impl<S: Source, D: Destination> Mover<S, D> {
    pub(crate) async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let asked = self.attempts.run(|| self.destination.stat(key));
        self.waits().during(Wait::Destination, asked).await
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, ItemFailure> {
        let read = self.attempts.run(|| self.destination.read_back(key));
        self.waits()
            .during(Wait::Destination, read)
            .await
            .map_err(|error| ItemFailure::of_destination(&error))
    }

    /// Whether a receipt proves the content. A file system vouches for what it has read back itself; a
    /// store that proves nothing may say what it likes.
    pub(super) fn is_proof(&self, receipt: &Receipt) -> bool {
        let vouches = self.destination.abilities().integrity != Integrity::ReadBack;
        receipt.vouched && (vouches || self.destination.tree().is_some())
    }

    /// Makes sure that the store holds what was sent, where its word is not enough.
    pub(super) async fn confirm(
        &self,
        key: &Key,
        receipt: &Receipt,
        sent: ReadBack,
    ) -> Result<(), ItemFailure> {
        if self.is_proof(receipt) {
            return Ok(());
        }
        compared(sent, self.read_back(key).await?)
    }

    /// Why a write failed. Where the content is in its place it is confirmed first: a later execution
    /// takes it for good.
    pub(super) async fn not_whole(
        &self,
        key: &Key,
        error: &EndpointError,
        sent: ReadBack,
    ) -> TryError {
        if let Some(receipt) = WithoutExtended::receipt(error)
            && let Err(unproven) = self.confirm_written(key, receipt, sent).await
        {
            return unproven;
        }
        destination_error(error)
    }

    /// As [`Mover::confirm`], for what was just written. An object that is not what was sent, or that
    /// cannot be read back, is deleted: a later execution would take it for good by its size and date.
    pub(super) async fn confirm_written(
        &self,
        key: &Key,
        receipt: &Receipt,
        sent: ReadBack,
    ) -> Result<(), TryError> {
        let Err(mut unproven) = self.confirm(key, receipt, sent).await else {
            return Ok(());
        };
        // What stood there is lost: that is told by its name, whatever ends the execution.
        unproven.endpoint_wide = false;
        let written = [ObjectIdentifier {
            key: key.clone(),
            etag: receipt.etag.clone(),
        }];
        let deleting = self.attempts.run(|| async {
            let outcomes = self.destination.delete(&written).await;
            outcomes.into_iter().collect::<Result<(), _>>()
        });
        let deleted = deleting.await;
        if let Err(error) = deleted {
            tracing::warn!(%error, "an object stays at the destination that is not proven");
            return Err(TryError::Failed(unproven));
        }
        if unproven.failure.code == ErrorCode::ChecksumMismatch {
            return Err(TryError::Conflict(unproven));
        }
        Err(TryError::Failed(unproven))
    }

    /// Decides by what is there now on a write that was refused, or whose reply was lost.
    pub(super) async fn settle(
        &self,
        key: &Key,
        header: &ObjectHeader,
        sent: &SourceContent,
        error: &EndpointError,
    ) -> Result<(), TryError> {
        let found = self.stat(key).await.map_err(|e| destination_error(&e))?;
        let kinds = self.source.extended_kinds();
        let abilities = self.destination.abilities();
        let alike = |found: &ObjectState| {
            let (wanted, extended) = (header.extended.as_deref(), found.extended.as_deref());
            found.size == sent.read.size
                && header.metadata.agrees_with(&found.metadata)
                && agrees(wanted, extended, kinds, abilities)
        };
        match found {
            Some(found) if alike(&found) && self.holds(key, &found, sent).await? => Ok(()),
            Some(_) if header.only_if_absent => Err(TryError::Exists),
            // The upload, or the object that stood in the way, is gone.
            None if error.effect == Effect::None => {
                Err(TryError::Conflict(ItemFailure::of_destination(error)))
            }
            Some(_) | None => Err(destination_error(error)),
        }
    }

    /// Whether an object of the right size and metadata has this content: by the checksum that comes
    /// with the content, where one does.
    ///
    /// # Errors
    /// Where only reading back can tell, another content: it may be ours, damaged.
    pub(super) async fn holds(
        &self,
        key: &Key,
        found: &ObjectState,
        content: &SourceContent,
    ) -> Result<bool, ItemFailure> {
        let is_of_size = found.size == content.read.size;
        if content.checksum.is_some() {
            return Ok(is_of_size && found.checksum == content.checksum);
        }
        if let Some(crc64) = found.crc64 {
            return Ok(is_of_size && crc64 == content.read.crc64);
        }
        compared(content.read, self.read_back(key).await?)?;
        Ok(true)
    }
}
