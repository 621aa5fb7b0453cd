//! Whole objects: written under a name that nobody looks at, made what they are to be, and renamed.

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, EndpointError, EntryKind, ErrorKind, Handle, Key, ObjectHeader, ObjectState,
    Payload, PosixMetadata, ReadBack, Receipt, Source,
};

use super::NfsDestination;
use super::endowing::{self, Endowment};
use super::place::{Place, place};
use super::publishing::Published;
use super::times::{Times, Why};

/// What a file is made with, before it is what it is to be.
pub(super) const UNFINISHED_MODE: u32 = 0o600;
/// The longest target of a symbolic link, in bytes.
const LINK_TARGET_MAX: u64 = 4096;

pub(super) fn endowment(header: &ObjectHeader) -> Endowment<'_> {
    Endowment {
        metadata: &header.metadata,
        extended: header.extended.as_deref(),
    }
}

/// What is to be written, by the type bits of its permissions, else by its key.
fn kind_of(key: &Key, metadata: &PosixMetadata) -> Option<EntryKind> {
    if key.is_directory() {
        return Some(EntryKind::Directory);
    }
    match metadata.permissions {
        Some(permissions) if permissions > 0o7777 => EntryKind::from_mode(permissions),
        _ => Some(EntryKind::File),
    }
}

impl NfsDestination {
    pub(super) async fn put_once(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: &Payload,
    ) -> Result<Receipt, EndpointError> {
        match kind_of(key, &header.metadata) {
            Some(EntryKind::Directory) if key.is_directory() => {
                self.put_directory(key, header).await
            }
            Some(EntryKind::File) => self.put_file(key, header, payload).await,
            Some(EntryKind::Symlink) => self.put_link(key, header, payload).await,
            Some(kind @ (EntryKind::BlockDevice | EntryKind::CharDevice)) => {
                self.put_device(key, header, kind).await
            }
            Some(kind) => {
                let detail = format!("an entry of type {kind:?} is not written under such a key");
                Err(self.fault(ErrorKind::NotSupported, "MKNOD", key, detail))
            }
            None => {
                let detail = "the type bits of the permissions name no type";
                Err(self.fault(ErrorKind::Invalid, "MKNOD", key, detail))
            }
        }
    }

    async fn put_file(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: &Payload,
    ) -> Result<Receipt, EndpointError> {
        let target = self.target(key)?;
        let staging = self.staging_made().await?;
        let mut name = self.staging.new_name();
        let whole = self.make_whole(key, (&staging, &name), payload).await?;
        let is_whole = whole.is_some();
        let (file, made) = match whole {
            Some(made) => made,
            None => {
                name = self.staging.new_name();
                let changes = self.tree.changes();
                let making = changes.make_file(&staging, name.as_bytes(), UNFINISHED_MODE);
                making.await.map_err(|error| self.of_item(key, error))?
            }
        };
        let written = async {
            if !is_whole {
                self.write_payload(&file, 0, payload).await?;
                let sent = ReadBack {
                    size: payload.length,
                    crc64: payload.crc64,
                };
                self.holds(key, &file, sent).await?;
            }
            let entry = (&file, EntryKind::File, &made);
            self.publish((&staging, &name), entry, &target, (key, header))
                .await
        };
        let published = Box::pin(written).await;
        self.ended(published, (&staging, &name), (key, header), payload.length)
            .await
    }

    async fn put_link(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: &Payload,
    ) -> Result<Receipt, EndpointError> {
        if payload.length > LINK_TARGET_MAX {
            let detail = format!("the target of the link has {} bytes", payload.length);
            return Err(self.fault(ErrorKind::TooLarge, "SYMLINK", key, detail));
        }
        let target = self.target(key)?;
        let content = payload.chunks.concat();
        let staging = self.staging_made().await?;
        let name = self.staging.new_name();
        let making = self
            .tree
            .changes()
            .make_link(&staging, name.as_bytes(), &content);
        let (link, made) = making.await.map_err(|error| self.of_item(key, error))?;
        let written = async {
            let target_made = self.tree.read_link(&Handle(link.clone())).await?;
            if target_made != content {
                let detail = "the link leads elsewhere than it was made to";
                return Err(self.fault(ErrorKind::ChecksumRefused, "READLINK", key, detail));
            }
            let entry = (&link, EntryKind::Symlink, &made);
            self.publish((&staging, &name), entry, &target, (key, header))
                .await
        };
        let published = Box::pin(written).await;
        self.ended(published, (&staging, &name), (key, header), payload.length)
            .await
    }

    async fn put_device(
        &self,
        key: &Key,
        header: &ObjectHeader,
        kind: EntryKind,
    ) -> Result<Receipt, EndpointError> {
        let Some(numbers) = header.metadata.device else {
            let detail = "the numbers of the device are not known: an object tells them by the user \
                          metadata file-rdev; exclude it, or set PreserveDevices to NONE";
            return Err(self.fault(ErrorKind::NotSupported, "MKNOD", key, detail));
        };
        let target = self.target(key)?;
        let staging = self.staging_made().await?;
        let name = self.staging.new_name();
        let device = (kind, numbers);
        let changes = self.tree.changes();
        let making = changes.make_device(&staging, name.as_bytes(), device, UNFINISHED_MODE);
        let (entry, made) = making.await.map_err(|error| self.of_item(key, error))?;
        let entry = (&entry, kind, &made);
        let publishing = self.publish((&staging, &name), entry, &target, (key, header));
        let published = Box::pin(publishing).await;
        self.ended(published, (&staging, &name), (key, header), 0)
            .await
    }

    /// The receipt of what was published; what was not is removed.
    async fn ended(
        &self,
        published: Result<Published, EndpointError>,
        (staging, name): (&Bytes, &str),
        (key, header): (&Key, &ObjectHeader),
        length: u64,
    ) -> Result<Receipt, EndpointError> {
        match published {
            Ok((attributes, endowed)) => {
                self.is_kept_as(key, &attributes, (&header.metadata, length))?;
                endowing::endowed(receipt(&attributes), endowed)
            }
            Err(error) => {
                self.unstage(staging, name).await;
                Err(self.of_item(key, error))
            }
        }
    }

    /// Where an object goes that is no root.
    pub(super) fn target(&self, key: &Key) -> Result<Place, EndpointError> {
        let found = place(key)?;
        found.ok_or_else(|| {
            let detail = "the location's root is a directory and stays one";
            self.fault(ErrorKind::InvalidName, "CREATE", key, detail)
        })
    }

    async fn put_directory(
        &self,
        key: &Key,
        header: &ObjectHeader,
    ) -> Result<Receipt, EndpointError> {
        let (handle, made) = match place(key)? {
            None => {
                let root = self.tree.root().await?;
                (root.handle.0, root.attributes)
            }
            Some(target) => self.directory_made(key, header, &target).await?,
        };
        let metadata = &header.metadata;
        let dressed = self
            .dress(&handle, (EntryKind::Directory, &made), metadata)
            .await;
        dressed.map_err(|error| self.of_item(key, error))?;
        let endowed = self.endow(key, (&handle, &made), endowment(header)).await;
        let endowed = endowed.map_err(|error| self.of_item(key, error))?;
        self.directories.edit(key, |known| known.is_implied = false);
        let times = Times::wanted(metadata);
        if times != Times::default() {
            self.log_times(key, Why::Written, times)?;
        }
        let attributes = self.tree.attributes(&Handle(handle)).await?;
        let attributes = Attributes {
            mtime: metadata.mtime.unwrap_or(attributes.mtime),
            ..attributes
        };
        self.is_kept_as(key, &attributes, (metadata, 0))?;
        endowing::endowed(receipt(&attributes), endowed)
    }

    /// A directory that is there afterwards.
    async fn directory_made(
        &self,
        key: &Key,
        header: &ObjectHeader,
        target: &Place,
    ) -> Result<(Bytes, Attributes), EndpointError> {
        let known = self.directories.get(key);
        let is_implied = known.is_some_and(|known| known.is_implied);
        let above = self.find(&target.directory).await?;
        if let Some(above) = above
            && let Some(found) = self
                .tree
                .lookup(&Handle(above.handle), &target.name)
                .await?
        {
            if found.attributes.kind != EntryKind::Directory {
                return Err(self.clash(key, found.attributes.kind));
            }
            if header.only_if_absent && !is_implied {
                let detail = "a directory of this name exists";
                return Err(self.fault(ErrorKind::Precondition, "MKDIR", key, detail));
            }
            return Ok((found.handle.0, found.attributes));
        }
        // As those that lead to something, and known from then on.
        let handle = self.writable(key).await?;
        let attributes = self.tree.attributes(&Handle(handle.clone())).await?;
        Ok((handle, attributes))
    }

    /// Whether what is there is what was set: a server that answers otherwise is not believed. Times
    /// are left out, since servers keep them as exactly as they can.
    pub(super) fn is_kept_as(
        &self,
        key: &Key,
        found: &Attributes,
        (metadata, length): (&PosixMetadata, u64),
    ) -> Result<(), EndpointError> {
        let state = ObjectState::of_entry(found);
        let is_link = found.kind == EntryKind::Symlink;
        let wanted = PosixMetadata {
            mtime: None,
            permissions: metadata
                .permissions
                .filter(|mode| !is_link && *mode > 0o7777),
            ..*metadata
        };
        if state.size != length {
            let detail = format!(
                "{length} bytes were written, and the file has {}",
                state.size
            );
            return Err(self.fault(ErrorKind::Protocol, "GETATTR", key, detail));
        }
        if wanted.agrees_with(&state.metadata) {
            return Ok(());
        }
        let found = state.metadata;
        let keeps_owners = (wanted.owner.is_none() || wanted.owner == found.owner)
            && (wanted.group.is_none() || wanted.group == found.group);
        let (kind, advice) = if keeps_owners {
            (ErrorKind::Invalid, "look at the server's file system")
        } else {
            (ErrorKind::PermissionDenied, OWNERS_ADVICE)
        };
        let detail = format!(
            "the server answered that it had set what it was asked for, but keeps {} instead of {}: \
             {advice}",
            told(&found),
            told(&wanted)
        );
        Err(self.fault(kind, "SETATTR", key, detail))
    }
}

/// Owner, group and permissions in words.
fn told(metadata: &PosixMetadata) -> String {
    let word = |number: Option<u32>| number.map_or("any".to_owned(), |number| number.to_string());
    let mode = metadata.permissions;
    let mode = mode.map_or("any".to_owned(), |mode| format!("{:04o}", mode & 0o7777));
    let (owner, group) = (word(metadata.owner), word(metadata.group));
    format!("user {owner}, group {group}, mode {mode}")
}

/// What to do where this agent may not give entries to others.
pub(super) const OWNERS_ADVICE: &str = "export the destination with no_root_squash, or run the task with Uid \
                             and Gid NONE";

/// What is known of an object that was written, and read back where it has content.
pub(super) fn receipt(attributes: &Attributes) -> Receipt {
    let listed = datasync_endpoint::ListedObject::of_entry(Key::default(), attributes);
    Receipt {
        etag: listed.etag,
        version_id: None,
        vouched: true,
        checksum: None,
        date: Some(listed.last_modified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_bits_decide_what_is_written_unless_the_key_does() {
        let of = |key: &str, permissions| {
            let metadata = PosixMetadata {
                permissions,
                ..PosixMetadata::default()
            };
            kind_of(&Key::from_listing(key.to_owned()), &metadata)
        };
        for (key, permissions, kind) in [
            ("a", None, Some(EntryKind::File)),
            ("a", Some(0o644), Some(EntryKind::File)),
            ("a", Some(0o120_777), Some(EntryKind::Symlink)),
            ("a", Some(0o040_755), Some(EntryKind::Directory)),
            ("a", Some(0o060_600), Some(EntryKind::BlockDevice)),
            ("a", Some(0o170_000), None),
            ("a/", None, Some(EntryKind::Directory)),
            ("", Some(0o040_700), Some(EntryKind::Directory)),
        ] {
            assert_eq!(of(key, permissions), kind, "{key} {permissions:?}");
        }
    }
}
