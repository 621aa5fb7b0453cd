//! A destination that keeps objects in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use datasync_model::RequestCounts;

use super::objects::{BodySpan, Objects, Stored, Transit};
use super::script::{Aftermath, error};
use super::source::flipped;
use super::{MemorySource, Operation, Script};
use crate::{
    Abilities, Crc64, DELETE_MAX, Destination, EndpointError, ErrorKind, ExtendedMetadata,
    Integrity, Key, ListPage, NoTree, ObjectChecksum, ObjectHeader, ObjectIdentifier, ObjectState,
    OpenUpload, PartReceipt, PartStream, Payload, PosixMetadata, ReadBack, Receipt, StoredObject,
    StoredPart, Timestamp, UploadId,
};

/// Objects in memory as a destination. Bodies are taken slice by slice, as their pace grants.
#[derive(Debug)]
pub struct MemoryDestination {
    pub(super) objects: Mutex<Objects>,
    pub(super) script: Script,
    pub(super) abilities: Abilities,
    page: usize,
    tells_dates: bool,
    /// Whose objects the store copies by itself.
    pub(super) originals: Option<Arc<MemorySource>>,
}

impl Default for MemoryDestination {
    fn default() -> Self {
        Self {
            objects: Mutex::default(),
            script: Script::default(),
            abilities: Abilities {
                integrity: Integrity::Crc64,
                object_max: 5 << 40,
                put_max: 5 << 30,
                part_min: 5 << 20,
                part_max: 5 << 30,
                parts_max: 10_000,
                key_max: 1024,
                has_root: true,
                keeps_link_times: true,
                user_metadata_max: Some(2048),
            },
            page: 1000,
            tells_dates: true,
            originals: None,
        }
    }
}

impl MemoryDestination {
    /// An empty store with S3's limits that vouches for CRC-64/NVME.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With other limits or abilities.
    #[must_use]
    pub fn with_abilities(mut self, edit: impl FnOnce(&mut Abilities)) -> Self {
        edit(&mut self.abilities);
        self
    }

    /// Listings come in pages of this many objects.
    #[must_use]
    pub fn with_page(self, objects: usize) -> Self {
        Self {
            page: objects.clamp(1, 1000),
            ..self
        }
    }

    /// Answers do not tell the time.
    #[must_use]
    pub fn without_dates(self) -> Self {
        Self {
            tells_dates: false,
            ..self
        }
    }

    /// The store copies this source's objects by itself.
    #[must_use]
    pub fn with_originals(self, source: Arc<MemorySource>) -> Self {
        Self {
            originals: Some(source),
            ..self
        }
    }

    /// A store of its own with the same objects and uploads; nothing is scripted.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self {
            objects: Mutex::new(self.lock().clone()),
            script: Script::default(),
            abilities: self.abilities.clone(),
            originals: self.originals.clone(),
            ..*self
        }
    }

    /// Faults and calls.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The objects as they are now.
    #[must_use]
    pub fn snapshot(&self) -> BTreeMap<Key, Stored> {
        self.lock().objects.clone()
    }

    /// Changes objects behind the back of whoever uses the store.
    pub fn edit<T>(&self, edit: impl FnOnce(&mut BTreeMap<Key, Stored>) -> T) -> T {
        edit(&mut self.lock().objects)
    }

    /// How often each key was written, deleted ones included.
    #[must_use]
    pub fn writes(&self) -> BTreeMap<Key, u64> {
        self.lock().writes.clone()
    }

    /// Keys of the multipart uploads that are open, one for each.
    #[must_use]
    pub fn open_upload_keys(&self) -> Vec<Key> {
        self.lock()
            .uploads
            .values()
            .map(|upload| upload.key.clone())
            .collect()
    }

    /// Adds an upload that somebody else began at `initiated`.
    pub fn add_foreign_upload(&self, key: &Key, initiated: Timestamp) -> UploadId {
        self.lock().add_foreign_upload(key, initiated)
    }

    /// Body bytes as they came in.
    #[must_use]
    pub fn transits(&self) -> Vec<Transit> {
        self.lock().transits.clone()
    }

    /// Bodies that ended, in this order.
    #[must_use]
    pub fn bodies(&self) -> Vec<BodySpan> {
        self.lock().bodies.clone()
    }

    /// The most body bytes that were on their way at once.
    #[must_use]
    pub fn held_max(&self) -> u64 {
        self.lock().held_max
    }

    /// The upload of a copy onto itself, with a part.
    fn begin_copy(&self, key: &Key, current: &ObjectState) -> UploadId {
        let header = ObjectHeader {
            metadata: current.metadata,
            storage_class: None,
            only_if_absent: false,
            properties: None,
            extended: None,
        };
        self.lock().create_copy(key, &header, current.size)
    }

    /// What the store remembers of a content's checksum.
    pub(super) fn remembered(&self, crc64: Crc64) -> Option<Crc64> {
        (self.abilities.integrity == Integrity::Crc64).then_some(crc64)
    }

    async fn delete_one(&self, object: &ObjectIdentifier) -> Result<(), EndpointError> {
        let key = object.key.as_str();
        let aftermath = self.script.enter(Operation::Delete, key).await?;
        self.lock().delete(&object.key, &object.etag)?;
        aftermath.reply(())
    }

    pub(super) fn receipt(
        &self,
        etag: String,
        checksum: Option<ObjectChecksum>,
        aftermath: &Aftermath,
    ) -> Receipt {
        let vouched = self.abilities.integrity != Integrity::ReadBack && !aftermath.unvouched;
        Receipt {
            etag,
            version_id: None,
            vouched,
            checksum,
            date: self.tells_dates.then(|| self.lock().now()),
        }
    }
}

impl Destination for MemoryDestination {
    type Tree = NoTree;

    fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    fn requests(&self) -> RequestCounts {
        self.script.requests()
    }

    async fn list(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        let target = after.map_or("", Key::as_str);
        let aftermath = self.script.enter(Operation::List, target).await?;
        let mut objects = self.lock().list(after, self.page + 1);
        let more = objects.len() > self.page;
        objects.truncate(self.page);
        aftermath.reply(ListPage { objects, more })
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let aftermath = self.script.enter(Operation::Stat, key.as_str()).await?;
        let found = self.lock().stat(key);
        aftermath.reply(found)
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        let aftermath = self.script.enter(Operation::Put, key.as_str()).await?;
        let received = self
            .receive(Operation::Put, key, &payload, &aftermath)
            .await?;
        let checksum = received.checksum.map(ObjectChecksum::whole);
        let checksums = (self.remembered(received.crc64), checksum);
        let etag = self
            .lock()
            .store(Operation::Put, key, header, received.body, checksums)?;
        let receipt = self.receipt(etag, checksum, &aftermath);
        aftermath.reply(receipt)
    }

    fn may_copy(&self, _from: &StoredObject) -> bool {
        self.originals.is_some()
    }

    async fn copy(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        self.copied(key, header, from).await
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::CreateUpload, key.as_str())
            .await?;
        let id = self.lock().create_upload(key, header, size);
        aftermath.reply(id)
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::UploadPart, key.as_str())
            .await?;
        let received = self
            .receive(Operation::UploadPart, key, &payload, &aftermath)
            .await?;
        let receipt = self.lock().store_part(key, upload, number, received)?;
        aftermath.reply(receipt)
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        let operation = Operation::UploadPart;
        let aftermath = self.script.enter(operation, key.as_str()).await?;
        let received = self.receive_stream(key, part, &aftermath).await?;
        let receipt = self.lock().store_part(key, upload, number, received)?;
        aftermath.reply(receipt)
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
        let aftermath = self.script.enter(operation, key.as_str()).await?;
        let checksum = ObjectChecksum::of_parts(parts.iter().filter_map(|part| part.checksum));
        let etag = {
            let mut objects = self.lock();
            let (begun, content) = objects.assemble(key, upload, parts, self.abilities.part_min)?;
            let found = Crc64::of(&content);
            let vouches = self.abilities.integrity == Integrity::Crc64;
            // Bytes that were flipped after they were received are not seen by the store.
            if vouches && !aftermath.flip_stored && whole(parts) != crc64 {
                return Err(error(operation, key.as_str(), ErrorKind::ChecksumRefused));
            }
            let content = if aftermath.flip_stored {
                flipped(&content)
            } else {
                content
            };
            let header = ObjectHeader {
                only_if_absent: header.only_if_absent,
                ..begun
            };
            let checksums = (self.remembered(found), checksum);
            let etag = objects.store(operation, key, &header, content, checksums)?;
            objects.uploads.remove(&upload.0);
            etag
        };
        let receipt = self.receipt(etag, checksum, &aftermath);
        aftermath.reply(receipt)
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::AbortUpload, key.as_str())
            .await?;
        self.lock().uploads.remove(&upload.0);
        aftermath.reply(())
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::OpenUploads, key.as_str())
            .await?;
        let found = self.lock().open_uploads(key);
        aftermath.reply(found)
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::ListParts, key.as_str())
            .await?;
        let tells_crc64 = self.abilities.integrity == Integrity::Crc64;
        let found = self.lock().parts(key, upload, tells_crc64)?;
        aftermath.reply(found)
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::SetMetadata, key.as_str())
            .await?;
        let copy = (current.size > self.abilities.put_max).then(|| self.begin_copy(key, current));
        if let Some(upload) = &copy
            && let Err(error) = self.script.enter(Operation::CopyPart, key.as_str()).await
        {
            self.abort_upload(key, upload).await?;
            return Err(error);
        }
        let etag = {
            let mut objects = self.lock();
            if let Some(upload) = &copy {
                objects.uploads.remove(&upload.0);
            }
            objects.set_metadata(key, current, (metadata, extended), aftermath.flip_stored)?
        };
        let receipt = self.receipt(etag, None, &aftermath);
        aftermath.reply(receipt)
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let aftermath = self.script.enter(Operation::ReadBack, key.as_str()).await?;
        let content = self
            .lock()
            .objects
            .get(key)
            .map(|stored| stored.content.clone());
        match content {
            Some(content) => aftermath.reply(ReadBack {
                size: content.len() as u64,
                crc64: Crc64::of(&content),
            }),
            None => Err(error(
                Operation::ReadBack,
                key.as_str(),
                ErrorKind::NotFound,
            )),
        }
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        let operation = Operation::DeleteBatch;
        let target = objects.first().map_or("", |object| object.key.as_str());
        let for_all = |failed: EndpointError| {
            let one = |object: &ObjectIdentifier| {
                let error = error(operation, object.key.as_str(), failed.kind);
                Err(EndpointError {
                    effect: failed.effect,
                    ..error
                })
            };
            objects.iter().map(one).collect()
        };
        if objects.len() > DELETE_MAX {
            return for_all(error(operation, target, ErrorKind::Invalid));
        }
        let batch = match self.script.enter(operation, target).await {
            Ok(aftermath) => aftermath,
            Err(failed) => return for_all(failed),
        };
        let mut outcomes = Vec::with_capacity(objects.len());
        for object in objects {
            outcomes.push(self.delete_one(object).await);
        }
        batch.reply(outcomes).unwrap_or_else(for_all)
    }
}

/// The checksum of the whole from those of its parts.
fn whole(parts: &[PartReceipt]) -> Crc64 {
    parts.iter().fold(Crc64::EMPTY, |whole, part| {
        whole.followed_by(part.crc64, part.length)
    })
}
