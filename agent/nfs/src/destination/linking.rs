//! One more name for a file that is there (RFC 1813 §3.3.15, RFC 8881 §18.9).

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, EndpointError, EntryKind, ErrorKind, Handle, Key, Node, ObjectIdentifier,
    ObjectState, Receipt, Source, is_same_file,
};

use super::NfsDestination;
use super::place::Place;
use super::putting::receipt;

impl NfsDestination {
    pub(super) async fn link_once(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        let target = self.target(key)?;
        let file = self.file_of(key, to).await?;
        let directory = self.writable(&target.directory).await?;
        let found = self.named(&directory, &target).await?;
        match found.map(|node| node.attributes) {
            Some(found) if is_one(&found, &file.attributes) => return Ok(receipt(&found)),
            Some(found) if found.kind == EntryKind::Directory => {
                return Err(self.clash(key, EntryKind::Directory));
            }
            _ if only_if_absent => {
                let changes = self.tree.changes();
                let linked = changes.link(&file.handle.0, &directory, &target.name);
                linked.await.map_err(refused)?;
            }
            _ => self.link_over(&file, &directory, &target).await?,
        }
        // What the server says of the name counts, not that it took the call.
        let named = self.named(&directory, &target).await?;
        let named = named.filter(|node| is_one(&node.attributes, &file.attributes));
        let Some(named) = named else {
            let detail = "the name leads to another file than the one that it was given to";
            return Err(self.fault(ErrorKind::Busy, "LINK", key, detail));
        };
        Ok(receipt(&named.attributes))
    }

    /// The file that is to have one more name. An earlier try may have given it one and taken it back.
    async fn file_of(&self, key: &Key, to: &ObjectIdentifier) -> Result<Node, EndpointError> {
        let found = self.entry(&to.key).await?;
        let is_it = |node: &Node| {
            let etag = ObjectState::of_entry(&node.attributes).etag;
            node.attributes.kind == EntryKind::File && is_same_file(&etag, &to.etag)
        };
        found.filter(is_it).ok_or_else(|| {
            let name = to.key.as_str().escape_debug();
            let detail = format!("{name}, whose file it was to be, is another one by now");
            self.fault(ErrorKind::NotFound, "LINK", key, detail)
        })
    }

    async fn named(
        &self,
        directory: &Bytes,
        target: &Place,
    ) -> Result<Option<Node>, EndpointError> {
        let directory = Handle(directory.clone());
        self.tree.lookup(&directory, &target.name).await
    }

    /// Takes the place of whatever has the name, but for a directory.
    async fn link_over(
        &self,
        file: &Node,
        directory: &Bytes,
        target: &Place,
    ) -> Result<(), EndpointError> {
        let staging = self.staging_made().await?;
        let name = self.staging.new_name();
        let changes = self.tree.changes();
        let linked = changes.link(&file.handle.0, &staging, name.as_bytes());
        linked.await.map_err(refused)?;
        let from = (&staging[..], name.as_bytes());
        let renamed = changes.rename(from, (&directory[..], &target.name[..]));
        let renamed = renamed.await;
        if renamed.is_err() {
            self.unstage(&staging, &name).await;
        }
        renamed
    }
}

fn is_one(found: &Attributes, file: &Attributes) -> bool {
    found.kind == EntryKind::File && (found.fsid, found.file_id) == (file.fsid, file.file_id)
}

/// A server without hard links (Linux answers `PERM`), a file that has as many names as it may have
/// (`MLINK`), and one in another file system are all files that get no further name. Where it is the
/// directory that may not be written to, a file of its own is refused as well.
fn refused(error: EndpointError) -> EndpointError {
    let kind = match error.kind {
        ErrorKind::Invalid | ErrorKind::PermissionDenied => ErrorKind::NotSupported,
        kind => kind,
    };
    EndpointError { kind, ..error }
}
