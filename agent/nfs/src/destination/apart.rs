//! Directories that are made where they inherit nothing.

use datasync_endpoint::{EndpointError, ErrorKind, Handle, Source};

use super::NfsDestination;
use super::finding::DIRECTORY_MODE;
use crate::changes::Made;

impl NfsDestination {
    /// Makes a directory in the staging directory and gives it its name. One that is made in its place
    /// inherits what the list of the directory above says, and from Linux nobody can take that away again by
    /// version 4: it removes no default ACL. A name that is taken is a `Precondition`.
    pub(super) async fn make_apart(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> Result<Made, EndpointError> {
        // RENAME takes the place of an empty directory: they are made one after the other.
        let _turn = self.making.lock().await;
        let taken = |detail| EndpointError::new(ErrorKind::Precondition, "RENAME", "", detail);
        if self.tree.lookup(directory, name).await?.is_some() {
            return Err(taken("somebody was faster"));
        }
        let staging = self.staging_made().await?;
        let temporary = self.staging.new_name();
        let from = (&staging[..], temporary.as_bytes());
        let changes = self.tree.changes();
        changes
            .make_directory(from.0, from.1, DIRECTORY_MODE)
            .await?;
        if let Err(error) = changes.rename(from, (&directory.0, name)).await {
            self.unstage(&staging, &temporary).await;
            return Err(error);
        }
        // Some servers' handles go with the name.
        let found = self.tree.lookup(directory, name).await?;
        let found = found.ok_or_else(|| taken("it was removed as soon as it was made"))?;
        Ok((found.handle.0, found.attributes))
    }
}
