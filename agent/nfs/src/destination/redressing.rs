//! New metadata for an entry that is there.

use datasync_endpoint::{
    Attributes, EndpointError, EntryKind, ErrorKind, Handle, Key, ObjectState, Receipt, Source,
};

use super::NfsDestination;
use super::endowing::{self, Endowment};
use super::putting::receipt;
use super::times::{Times, Why};
use crate::changes::NewAttributes;

impl NfsDestination {
    /// Sets metadata if the entry is the one that was looked at. Version 3 asks the server to look at
    /// the ctime once more; between our look and the change version 4 has a gap.
    pub(super) async fn redress(
        &self,
        key: &Key,
        current: &ObjectState,
        wanted: Endowment<'_>,
    ) -> Result<Receipt, EndpointError> {
        let metadata = wanted.metadata;
        let found = self.entry(key).await?;
        let found =
            found.filter(|node| ObjectState::of_entry(&node.attributes).etag == current.etag);
        let Some(found) = found else {
            let detail = "it was changed or removed since it was looked at";
            return Err(self.fault(ErrorKind::Precondition, "SETATTR", key, detail));
        };
        let kind = found.attributes.kind;
        if kind != EntryKind::Directory {
            // Nothing but the condition: what follows changes the ctime itself.
            let nothing = NewAttributes {
                mtime: Some(found.attributes.mtime),
                ..NewAttributes::default()
            };
            let unchanged = Some(found.attributes.ctime);
            let changes = self.tree.changes();
            changes
                .set_attributes(&found.handle.0, &nothing, unchanged)
                .await?;
        }
        self.dress(&found.handle.0, (kind, &found.attributes), metadata)
            .await?;
        let found = (&found.handle.0, &found.attributes);
        let endowed = self.endow(key, found, wanted).await?;
        let times = Times::wanted(metadata);
        if kind == EntryKind::Directory && times != Times::default() {
            self.log_times(key, Why::Written, times)?;
        }
        let attributes = self.tree.attributes(&Handle(found.0.clone())).await?;
        let attributes = match kind {
            EntryKind::Directory => Attributes {
                mtime: metadata.mtime.unwrap_or(attributes.mtime),
                ..attributes
            },
            _ => attributes,
        };
        self.is_kept_as(key, &attributes, (metadata, current.size))?;
        endowing::endowed(receipt(&attributes), endowed)
    }
}
