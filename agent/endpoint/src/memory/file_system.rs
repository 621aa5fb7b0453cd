//! A destination that is a file system in memory.

use std::sync::Arc;

use bytes::Bytes;
use datasync_model::RequestCounts;

use super::script::error;
use super::{MemoryDestination, MemorySource, Operation, Script, Tree};
use crate::{
    Abilities, Attributes, Crc64, Destination, EndpointError, EntryKind, EntryPath, ErrorKind,
    ExtendedMetadata, Integrity, Key, ListPage, ListedObject, ObjectHeader, ObjectIdentifier,
    ObjectState, OpenUpload, PartReceipt, PartStream, Payload, PosixMetadata, ReadBack, Receipt,
    StoredPart, UploadId, is_same_entry,
};

/// The longest name in bytes.
const NAME_MAX: usize = 255;

/// A [`Tree`] as a destination. Its directories keep the times that they are given, whatever is
/// changed in them.
#[derive(Debug)]
pub struct MemoryFileSystem {
    tree: Arc<MemorySource>,
    /// Takes bodies, and keeps what is not complete.
    uploads: MemoryDestination,
    has_links: bool,
}

impl MemoryFileSystem {
    /// Writes to this tree.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        let uploads = MemoryDestination::new().with_abilities(|abilities| {
            abilities.integrity = Integrity::ReadBack;
            abilities.key_max = 4096;
        });
        Self {
            tree: Arc::new(MemorySource::new(tree)),
            uploads,
            has_links: true,
        }
    }

    /// With other limits or abilities.
    #[must_use]
    pub fn with_abilities(self, edit: impl FnOnce(&mut Abilities)) -> Self {
        Self {
            uploads: self.uploads.with_abilities(edit),
            ..self
        }
    }

    /// Refuses to give a file a second name.
    #[must_use]
    pub fn without_hard_links(self) -> Self {
        Self {
            has_links: false,
            ..self
        }
    }

    /// A file system of its own with the same entries and uploads; nothing is scripted.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            tree: Arc::new(MemorySource::new(self.snapshot())),
            uploads: self.uploads.fork(),
            ..*self
        }
    }

    /// Faults and calls of the destination; walks of its tree are not among them.
    #[must_use]
    pub fn script(&self) -> &Script {
        self.uploads.script()
    }

    /// The tree as it is now.
    #[must_use]
    pub fn snapshot(&self) -> Tree {
        self.tree.snapshot()
    }

    /// Changes the tree behind the back of whoever writes to it.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut Tree) -> T) -> T {
        self.tree.edit(edit)
    }

    /// Keys of the uploads that are open, one for each.
    #[must_use]
    pub fn open_upload_keys(&self) -> Vec<Key> {
        self.uploads.open_upload_keys()
    }

    fn found(&self, key: &Key) -> Option<Attributes> {
        let path = path(Operation::Stat, key).ok()?;
        self.edit(|tree| at(tree, &path, key.is_directory()))
    }

    fn receipt(&self, key: &Key) -> Receipt {
        let found = self.found(key).unwrap();
        let listed = ListedObject::of_entry(key.clone(), &found);
        Receipt {
            etag: listed.etag,
            version_id: None,
            vouched: false,
            checksum: None,
            date: Some(listed.last_modified),
        }
    }

    fn store(
        &self,
        operation: Operation,
        key: &Key,
        header: &ObjectHeader,
        content: Bytes,
    ) -> Result<(), EndpointError> {
        let path = path(operation, key)?;
        self.edit(|tree| store(tree, (operation, key, &path), header, content))
    }

    fn delete_one(&self, object: &ObjectIdentifier) -> Result<(), EndpointError> {
        let (operation, key) = (Operation::Delete, &object.key);
        let fail = |kind| Err(error(operation, key.as_str(), kind));
        let path = path(operation, key)?;
        let Some(found) = self.found(key) else {
            return Ok(());
        };
        let etag = ObjectState::of_entry(&found).etag;
        if !key.is_directory() && !is_same_entry(&etag, &object.etag) {
            return fail(ErrorKind::Precondition);
        }
        self.edit(|tree| {
            let prefix = [path.to_absolute(), b"/".to_vec()].concat();
            let entries = tree.entries();
            if key.is_directory()
                && entries
                    .iter()
                    .any(|(below, _)| below.to_absolute().starts_with(&prefix))
            {
                return fail(ErrorKind::Invalid);
            }
            in_parent(tree, &path, |tree| tree.remove(path.to_absolute()));
            Ok(())
        })
    }

    fn give_name(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<(), EndpointError> {
        let operation = Operation::Link;
        let fail = |kind| Err(error(operation, key.as_str(), kind));
        let (path, existing) = (path(operation, key)?, path(operation, &to.key)?);
        let file = self.found(&to.key).filter(|file| {
            file.kind == EntryKind::File
                && is_same_entry(&ObjectState::of_entry(file).etag, &to.etag)
        });
        let Some(file) = file else {
            return fail(ErrorKind::NotFound);
        };
        if !self.has_links {
            return fail(ErrorKind::NotSupported);
        }
        self.edit(|tree| {
            leads_to(tree, (operation, key, &path))?;
            let found = tree.get(path.to_absolute()).map(|inode| inode.attributes);
            match found {
                Some(found) if found.file_id == file.file_id => return Ok(()),
                Some(found) if found.kind == EntryKind::Directory => {
                    return fail(ErrorKind::InvalidName);
                }
                Some(_) if only_if_absent => return fail(ErrorKind::Precondition),
                _ => {}
            }
            in_parent(tree, &path, |tree| {
                tree.remove(path.to_absolute());
                tree.hard_link(existing.to_absolute(), path.to_absolute());
                // The inode was changed.
                tree.set(path.to_absolute(), |_| {});
            });
            Ok(())
        })
    }
}

fn path(operation: Operation, key: &Key) -> Result<EntryPath, EndpointError> {
    let found = key.path().ok();
    let found = found.filter(|path| path.names().all(|name| name.len() <= NAME_MAX));
    found.ok_or_else(|| error(operation, key.as_str(), ErrorKind::InvalidName))
}

/// The entry there, if it is of this kind.
fn at(tree: &Tree, path: &EntryPath, is_directory: bool) -> Option<Attributes> {
    let found = tree.get(path.to_absolute())?.attributes;
    (is_directory == (found.kind == EntryKind::Directory)).then_some(found)
}

/// Nothing but directories, or nothing, may lead to an entry.
fn leads_to(
    tree: &Tree,
    (operation, key, path): (Operation, &Key, &EntryPath),
) -> Result<(), EndpointError> {
    let names: Vec<_> = path.names().collect();
    let mut above = EntryPath::ROOT;
    for name in names.iter().take(names.len().saturating_sub(1)) {
        above = above.child(name);
        let found = tree.get(above.to_absolute());
        if found.is_some_and(|inode| inode.attributes.kind != EntryKind::Directory) {
            return Err(error(operation, key.as_str(), ErrorKind::InvalidName));
        }
    }
    Ok(())
}

/// Changes a directory that keeps its times.
fn in_parent(tree: &mut Tree, path: &EntryPath, change: impl FnOnce(&mut Tree)) {
    let names: Vec<_> = path.names().collect();
    let Some((_, above)) = names.split_last() else {
        return change(tree);
    };
    let above = above
        .iter()
        .fold(EntryPath::ROOT, |above, name| above.child(name));
    let above = above.to_absolute();
    let mtime = tree.get(&above).map(|inode| inode.attributes.mtime);
    change(tree);
    if let Some(mtime) = mtime {
        tree.set(&above, |attributes| attributes.mtime = mtime);
    }
}

fn kind_of(key: &Key, metadata: &PosixMetadata) -> EntryKind {
    if key.is_directory() {
        return EntryKind::Directory;
    }
    let kind = metadata.permissions.and_then(EntryKind::from_mode);
    kind.unwrap_or(EntryKind::File)
}

fn store(
    tree: &mut Tree,
    (operation, key, path): (Operation, &Key, &EntryPath),
    header: &ObjectHeader,
    content: Bytes,
) -> Result<(), EndpointError> {
    let fail = |kind| Err(error(operation, key.as_str(), kind));
    leads_to(tree, (operation, key, path))?;
    let kind = kind_of(key, &header.metadata);
    let absolute = path.to_absolute();
    let found = tree.get(&absolute).map(|inode| inode.attributes.kind);
    let is_directory = |kind| kind == EntryKind::Directory;
    if found.is_some_and(|found| is_directory(found) != is_directory(kind))
        || is_directory(kind) != key.is_directory()
    {
        return fail(ErrorKind::InvalidName);
    }
    let is_device = matches!(kind, EntryKind::BlockDevice | EntryKind::CharDevice);
    if is_device && header.metadata.device.is_none() {
        return fail(ErrorKind::NotSupported);
    }
    if header.only_if_absent && found.is_some() {
        return fail(ErrorKind::Precondition);
    }
    in_parent(tree, path, |tree| {
        if kind == EntryKind::Directory {
            tree.add_dir(&absolute);
        } else {
            tree.add(&absolute, kind, content);
        }
        tree.set(&absolute, |attributes| dress(attributes, &header.metadata));
    });
    Ok(())
}

fn dress(attributes: &mut Attributes, metadata: &PosixMetadata) {
    if let Some(permissions) = metadata.permissions {
        attributes.mode = permissions & 0o7777;
    }
    attributes.uid = metadata.owner.unwrap_or(attributes.uid);
    attributes.gid = metadata.group.unwrap_or(attributes.gid);
    attributes.mtime = metadata.mtime.unwrap_or(attributes.mtime);
    attributes.atime = metadata.atime.unwrap_or(attributes.atime);
    attributes.device = metadata.device.or(attributes.device);
}

impl Destination for MemoryFileSystem {
    type Tree = MemorySource;

    fn abilities(&self) -> &Abilities {
        self.uploads.abilities()
    }

    fn requests(&self) -> RequestCounts {
        self.uploads.requests()
    }

    fn tree(&self) -> Option<Arc<MemorySource>> {
        Some(Arc::clone(&self.tree))
    }

    async fn list(&self, _after: Option<&Key>) -> Result<ListPage, EndpointError> {
        Err(error(Operation::List, "", ErrorKind::NotSupported))
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let aftermath = self.script().enter(Operation::Stat, key.as_str()).await?;
        let found = self.found(key);
        aftermath.reply(found.as_ref().map(ObjectState::of_entry))
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::Put;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let receiving = self.uploads.receive(operation, key, &payload, &aftermath);
        let received = receiving.await?;
        self.store(operation, key, header, received.body)?;
        aftermath.reply(self.receipt(key))
    }

    async fn link(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        let aftermath = self.script().enter(Operation::Link, key.as_str()).await?;
        self.give_name(key, to, only_if_absent)?;
        aftermath.reply(self.receipt(key))
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        self.uploads.create_upload(key, header, size).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        self.uploads.upload_part(key, upload, number, payload).await
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        self.uploads.stream_part(key, upload, number, part).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        _crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::CompleteUpload;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let part_min = self.abilities().part_min;
        let assembled = self.uploads.lock().assemble(key, upload, parts, part_min);
        let (_, content) = assembled?;
        self.store(operation, key, header, content)?;
        self.uploads.lock().uploads.remove(&upload.0);
        aftermath.reply(self.receipt(key))
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        self.uploads.abort_upload(key, upload).await
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        self.uploads.open_uploads(key).await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        self.uploads.parts(key, upload).await
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::SetMetadata;
        if extended.is_some() {
            return Err(error(operation, key.as_str(), ErrorKind::NotSupported));
        }
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let found = self.found(key).as_ref().map(ObjectState::of_entry);
        if found.is_none_or(|found| found.etag != current.etag) {
            return Err(error(operation, key.as_str(), ErrorKind::Precondition));
        }
        let path = path(operation, key)?.to_absolute();
        self.edit(|tree| tree.set(path, |attributes| dress(attributes, metadata)));
        aftermath.reply(self.receipt(key))
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let operation = Operation::ReadBack;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        if self.found(key).is_none() {
            return Err(error(operation, key.as_str(), ErrorKind::NotFound));
        }
        let path = path(operation, key)?.to_absolute();
        let content = self.edit(|tree| tree.get(path).map(|inode| inode.content.clone()));
        let content = content.unwrap_or_default();
        aftermath.reply(ReadBack {
            size: content.len() as u64,
            crc64: Crc64::of(&content),
        })
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        let mut outcomes = Vec::with_capacity(objects.len());
        for object in objects {
            let entered = self.script().enter(Operation::Delete, object.key.as_str());
            let deleted = match entered.await {
                Ok(aftermath) => {
                    let deleted = self.delete_one(object);
                    deleted.and_then(|()| aftermath.reply(()))
                }
                Err(error) => Err(error),
            };
            outcomes.push(deleted);
        }
        outcomes
    }
}
