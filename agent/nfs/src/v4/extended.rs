//! What of an entry's metadata beyond POSIX's a server tells.

use datasync_endpoint::{
    EndpointError, EntryKind, ErrorKind, ExtendedKinds, ExtendedMetadata, Node, XATTRS_MAX,
    XATTRS_SIZE_MAX, Xattrs,
};

use super::client::Client;
use crate::counts::Procedure;

/// The minor version that has extended attributes (RFC 8276).
pub(crate) const MINOR_OF_XATTRS: u32 = 2;

impl Client {
    /// Whether the server has what is to be kept.
    ///
    /// # Errors
    /// `NotSupported` if it has not.
    pub(super) async fn require(
        &self,
        root: &[u8],
        kinds: ExtendedKinds,
    ) -> Result<(), EndpointError> {
        if kinds.is_none() {
            return Ok(());
        }
        let lacking = |detail: &str| {
            Err(self.error(
                ErrorKind::NotSupported,
                Procedure::GetAttr,
                detail.to_owned(),
            ))
        };
        let told = self.extended_support(root).await?;
        if kinds.acls && !told.has_acls {
            return lacking(
                "the task keeps access control lists (datasync:acls=PRESERVE), and this server does \
                 not offer them for this file system (supported_attrs lacks acl, or aclsupport is \
                 0): keep none, or have the server offer them",
            );
        }
        if kinds.xattrs && (self.minor < MINOR_OF_XATTRS || !told.has_xattrs) {
            return lacking(
                "the task keeps extended attributes (datasync:xattrs=PRESERVE), which need NFS \
                 version 4.2 and a server that offers them for this file system (xattr_support): \
                 keep none, or have the server offer them",
            );
        }
        Ok(())
    }

    /// List and attributes of an entry. Links have neither, and only files and directories have
    /// attributes of the namespace `user`.
    pub(super) async fn extended(
        &self,
        node: &Node,
        kinds: ExtendedKinds,
    ) -> Result<ExtendedMetadata, EndpointError> {
        let (entry, kind) = (&node.handle.0, node.attributes.kind);
        let mut found = ExtendedMetadata::default();
        if kinds.acls && kind != EntryKind::Symlink {
            found.acl = self.acl(entry).await?;
        }
        if kinds.xattrs && matches!(kind, EntryKind::File | EntryKind::Directory) {
            found.xattrs = self.xattrs(entry).await?;
        }
        Ok(found)
    }

    async fn xattrs(&self, entry: &[u8]) -> Result<Xattrs, EndpointError> {
        let mut found = Xattrs::default();
        let (mut cookie, mut listed) = (Some(0), 0);
        while let Some(at) = cookie {
            let page = self.xattr_names(entry, at).await?;
            // Each page has a name: so a listing without end ends, too.
            listed += page.names.len();
            if listed > XATTRS_MAX {
                return Err(self.too_many_xattrs());
            }
            for name in &page.names {
                // `None`: removed since it was listed.
                if let Some(value) = self.xattr(entry, name).await?
                    && !found.add(name, &value)
                {
                    return Err(self.too_many_xattrs());
                }
            }
            cookie = page.next;
        }
        Ok(found)
    }

    fn too_many_xattrs(&self) -> EndpointError {
        let detail = format!(
            "it has more than {XATTRS_MAX} extended attributes, or more than {XATTRS_SIZE_MAX} bytes \
             of them, or one twice"
        );
        self.error(ErrorKind::TooLarge, Procedure::ListXattrs, detail)
    }
}

#[cfg(test)]
mod tests;
