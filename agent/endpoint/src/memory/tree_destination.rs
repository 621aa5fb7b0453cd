//! A tree of files in memory as a destination, as an NFS server is one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasync_model::RequestCounts;

use super::placed::{Entries, Times};
use super::script::error;
use super::{MemoryDestination, MemorySource, Operation, Script, Stored, Tree};
use crate::{
    Abilities, Attributes, Crc64, Destination, EndpointError, EntryKind, ErrorKind,
    ExtendedMetadata, Integrity, Key, ListPage, ListedObject, ObjectHeader, ObjectIdentifier,
    ObjectState, OpenUpload, PartReceipt, PartStream, Payload, PosixMetadata, ReadBack, Receipt,
    Settled, StoredPart, UploadId,
};

/// Files, links and directories in memory as a destination. What was said of the times of directories
/// outlives whoever uses it, as a log on the agent's disk does.
#[derive(Debug)]
pub struct MemoryTreeDestination {
    tree: Arc<MemorySource>,
    /// Bodies and uploads that are under way, faults and calls.
    staging: MemoryDestination,
    times: Mutex<BTreeMap<Key, Times>>,
    has_links: bool,
}

impl MemoryTreeDestination {
    /// Writes into this tree, which others may change too; every content is to be read back.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        let staging = MemoryDestination::new().with_abilities(|abilities| {
            abilities.integrity = Integrity::ReadBack;
            abilities.put_max = u64::MAX;
            abilities.part_max = u64::MAX;
        });
        Self {
            tree: Arc::new(MemorySource::new(tree)),
            staging,
            times: Mutex::default(),
            has_links: true,
        }
    }

    /// With other limits or abilities.
    #[must_use]
    pub fn with_abilities(self, edit: impl FnOnce(&mut Abilities)) -> Self {
        Self {
            staging: self.staging.with_abilities(edit),
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

    /// A tree of its own with the same entries, uploads and times to be set; nothing is scripted.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            tree: Arc::new(MemorySource::new(self.tree.snapshot())),
            staging: self.staging.fork(),
            times: Mutex::new(self.times().clone()),
            has_links: self.has_links,
        }
    }

    /// Faults and calls of what writes; the tree has a script of its own.
    #[must_use]
    pub fn script(&self) -> &Script {
        self.staging.script()
    }

    /// What is written into.
    #[must_use]
    pub fn files(&self) -> &MemorySource {
        &self.tree
    }

    /// Keys of the uploads that are open, one for each.
    #[must_use]
    pub fn open_upload_keys(&self) -> Vec<Key> {
        self.staging.open_upload_keys()
    }

    /// The entries as objects.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<Key, Stored> {
        let tree = self.tree.snapshot();
        let entries = tree.entries().into_iter();
        let objects = entries.map(|(path, inode)| {
            let key = path.key(inode.attributes.kind == EntryKind::Directory);
            let state = ObjectState::of_entry(&inode.attributes);
            let listed = ListedObject::of_entry(key.clone(), &inode.attributes);
            let stored = Stored {
                content: inode.content.clone(),
                metadata: state.metadata,
                extended: None,
                etag: state.etag,
                crc64: None,
                checksum: None,
                storage_class: String::new(),
                last_modified: listed.last_modified,
            };
            (key, stored)
        });
        objects.collect()
    }

    fn times(&self) -> MutexGuard<'_, BTreeMap<Key, Times>> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn edit<T>(&self, edit: impl FnOnce(&mut Entries<'_>) -> T) -> T {
        let mut times = self.times();
        self.tree.edit(|tree| {
            edit(&mut Entries {
                tree,
                times: &mut times,
            })
        })
    }

    async fn delete_one(&self, object: &ObjectIdentifier) -> Result<(), EndpointError> {
        let target = object.key.as_str();
        let aftermath = self.script().enter(Operation::Delete, target).await?;
        self.edit(|entries| entries.delete(object))?;
        aftermath.reply(())
    }
}

fn receipt(attributes: &Attributes) -> Receipt {
    let listed = ListedObject::of_entry(Key::default(), attributes);
    Receipt {
        etag: listed.etag,
        version_id: None,
        vouched: true,
        checksum: None,
        date: Some(listed.last_modified),
    }
}

impl Destination for MemoryTreeDestination {
    type Tree = MemorySource;

    fn tree(&self) -> Option<Arc<MemorySource>> {
        Some(Arc::clone(&self.tree))
    }

    fn abilities(&self) -> &Abilities {
        self.staging.abilities()
    }

    fn requests(&self) -> RequestCounts {
        self.staging.requests()
    }

    async fn list(&self, _after: Option<&Key>) -> Result<ListPage, EndpointError> {
        Err(error(Operation::List, "", ErrorKind::NotSupported))
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let aftermath = self.script().enter(Operation::Stat, key.as_str()).await?;
        let found = self.edit(|entries| entries.find(key).map(|inode| inode.attributes));
        aftermath.reply(found.map(|attributes| ObjectState::of_entry(&attributes)))
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::Put;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let receiving = self.staging.receive(operation, key, &payload, &aftermath);
        let content = receiving.await?.body;
        if Crc64::of(&content) != payload.crc64 {
            return Err(error(operation, key.as_str(), ErrorKind::ChecksumRefused));
        }
        let made = self.edit(|entries| entries.publish(key, header, content))?;
        aftermath.reply(receipt(&made))
    }

    async fn link(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::Link;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let refused = |kind| error(operation, key.as_str(), kind);
        let made = self.edit(|entries| {
            let file = entries
                .file(to)
                .ok_or_else(|| refused(ErrorKind::NotFound))?;
            if !self.has_links {
                return Err(refused(ErrorKind::NotSupported));
            }
            entries.link(key, (&to.key, &file), only_if_absent)
        })?;
        aftermath.reply(receipt(&made))
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        self.staging.create_upload(key, header, size).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        self.staging.upload_part(key, upload, number, payload).await
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        self.staging.stream_part(key, upload, number, part).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::CompleteUpload;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let part_min = self.abilities().part_min;
        let mut staged = self.staging.lock();
        let (_, content) = staged.assemble(key, upload, parts, part_min)?;
        if Crc64::of(&content) != crc64 {
            return Err(error(operation, key.as_str(), ErrorKind::ChecksumRefused));
        }
        let made = self.edit(|entries| entries.publish(key, header, content))?;
        staged.uploads.remove(&upload.0);
        drop(staged);
        aftermath.reply(receipt(&made))
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        self.staging.abort_upload(key, upload).await
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        self.staging.open_uploads(key).await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        self.staging.parts(key, upload).await
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
        let made = self.edit(|entries| entries.redress(key, current, metadata))?;
        aftermath.reply(receipt(&made))
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let operation = Operation::ReadBack;
        let aftermath = self.script().enter(operation, key.as_str()).await?;
        let content = self.edit(|entries| entries.find(key).map(|inode| inode.content.clone()));
        let content = content.ok_or_else(|| error(operation, key.as_str(), ErrorKind::NotFound))?;
        aftermath.reply(ReadBack {
            size: content.len() as u64,
            crc64: Crc64::of(&content),
        })
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        let mut outcomes = Vec::with_capacity(objects.len());
        for object in objects {
            outcomes.push(self.delete_one(object).await);
        }
        outcomes
    }

    async fn settle(&self) -> Result<Settled, EndpointError> {
        self.edit(|entries| entries.settle());
        Ok(Settled::default())
    }
}
