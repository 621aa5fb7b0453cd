//! Whether the location can be written to: found out before an execution begins.

use bytes::Bytes;
use datasync_endpoint::{EndpointError, ErrorKind, Handle, Key, Source, Timestamp};

use super::NfsDestination;
use super::putting::UNFINISHED_MODE;
use super::times::Times;
use crate::changes::NewAttributes;

impl NfsDestination {
    /// Makes a file in the staging directory, writes to it, sets what is set of every file, and
    /// removes both; the root's times are as before afterwards. Gives whether symbolic links keep the
    /// times that they are given.
    pub(super) async fn try_out(&self) -> Result<bool, EndpointError> {
        let times = Times::of(&self.tree.root().await?.attributes);
        let tried = self.write_and_remove().await;
        self.restore_root(times).await;
        tried.map_err(|error| self.cannot_write(error))
    }

    async fn write_and_remove(&self) -> Result<bool, EndpointError> {
        let was_there = self.staging().await?.is_some();
        let staging = self.staging_made().await?;
        let name = self.staging.new_name();
        let changes = self.tree.changes();
        let (file, _) = changes
            .make_file(&staging, name.as_bytes(), UNFINISHED_MODE)
            .await?;
        let written = async {
            changes.write(&file, 0, b"trial", false).await?;
            changes.commit(&file).await?;
            let new = NewAttributes {
                mode: Some(UNFINISHED_MODE),
                ..NewAttributes::default()
            };
            self.set(&file, &new).await
        };
        let tried = match written.await {
            Ok(()) => self.try_link(&staging).await,
            Err(error) => Err(error),
        };
        self.unstage(&staging, &name).await;
        if !was_there {
            self.clear_staging().await?;
        }
        tried
    }

    /// Some servers answer that they have set a link's times and leave them.
    async fn try_link(&self, staging: &Bytes) -> Result<bool, EndpointError> {
        let name = self.staging.new_name();
        let changes = self.tree.changes();
        let (link, _) = changes
            .make_link(staging, name.as_bytes(), b"trial")
            .await?;
        let time = Timestamp {
            seconds: 1,
            nanoseconds: 0,
        };
        let new = NewAttributes {
            mtime: Some(time),
            ..NewAttributes::default()
        };
        let kept = match self.set(&link, &new).await {
            Ok(()) => {
                let found = self.tree.attributes(&Handle(link)).await;
                found.map(|found| found.mtime == time)
            }
            Err(error) if error.kind.is_transient() => Err(error),
            Err(_) => Ok(false),
        };
        self.unstage(staging, &name).await;
        kept
    }

    fn cannot_write(&self, error: EndpointError) -> EndpointError {
        if error.kind != ErrorKind::PermissionDenied {
            return error;
        }
        let detail = format!(
            "the location cannot be written to: {}; let the agent write there (Access_Type or rw in \
             the export, and no_root_squash for an agent that runs as root)",
            error.detail
        );
        self.of_item(&Key::default(), EndpointError { detail, ..error })
    }
}
