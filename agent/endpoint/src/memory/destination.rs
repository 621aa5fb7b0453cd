//! A destination that keeps objects in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::time::Instant;

use super::objects::{Objects, Stored, Transit};
use super::script::{Aftermath, error};
use super::source::flipped;
use super::{Operation, Script};
use crate::{
    Abilities, Crc64, Destination, EndpointError, ErrorKind, Integrity, Key, ListPage,
    ObjectHeader, ObjectState, OpenUpload, Pace, PartReceipt, PartStream, Payload, PosixMetadata,
    ReadBack, Receipt, Timestamp, UploadId,
};

/// Objects in memory as a destination. Bodies are taken slice by slice, as their pace grants.
#[derive(Debug)]
pub struct MemoryDestination {
    objects: Mutex<Objects>,
    script: Script,
    abilities: Abilities,
    page: usize,
    tells_dates: bool,
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
            },
            page: 1000,
            tells_dates: true,
        }
    }
}

/// Bytes of a body that are with the store but not acknowledged.
struct Held<'a> {
    objects: &'a Mutex<Objects>,
    bytes: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.objects
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .held -= self.bytes;
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

    /// Faults and calls.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }

    fn lock(&self) -> MutexGuard<'_, Objects> {
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

    /// The most body bytes that were on their way at once.
    #[must_use]
    pub fn held_max(&self) -> u64 {
        self.lock().held_max
    }

    fn hold(&self, bytes: u64) -> Held<'_> {
        let mut objects = self.lock();
        objects.held += bytes;
        objects.held_max = objects.held_max.max(objects.held);
        Held {
            objects: &self.objects,
            bytes,
        }
    }

    /// Takes a chunk as a socket would.
    async fn take(&self, chunk: &[u8], pace: &Arc<dyn Pace>, body: &mut BytesMut) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let length = rest.len().min(pace.slice_max().max(1));
            if let Some(grant) = pace.clone().grant(length) {
                grant.await;
            }
            let (slice, more) = rest.split_at(length);
            body.extend_from_slice(slice);
            rest = more;
            self.lock().transits.push(Transit {
                at: Instant::now(),
                bytes: length as u64,
            });
        }
    }

    /// Takes a body; gives what was stored and its checksum.
    async fn receive(
        &self,
        operation: Operation,
        key: &Key,
        payload: &Payload,
        aftermath: &Aftermath,
    ) -> Result<(Bytes, Crc64), EndpointError> {
        let held = self.hold(payload.length);
        let mut body = BytesMut::new();
        for chunk in &payload.chunks {
            self.take(chunk, &payload.pace, &mut body).await;
        }
        drop(held);
        if body.len() as u64 != payload.length {
            return Err(error(operation, key.as_str(), ErrorKind::Invalid));
        }
        self.checked((operation, key), body.freeze(), payload.crc64, aftermath)
    }

    /// Takes a body that is read meanwhile; gives also the checksum of what was sent.
    async fn receive_stream(
        &self,
        key: &Key,
        part: PartStream,
        aftermath: &Aftermath,
    ) -> Result<(Bytes, Crc64), EndpointError> {
        let fail = |kind| error(Operation::UploadPart, key.as_str(), kind);
        let PartStream {
            mut chunks,
            length,
            pace,
        } = part;
        let mut body = BytesMut::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| fail(ErrorKind::Unreachable))?;
            let held = self.hold(chunk.len() as u64);
            self.take(&chunk, &pace, &mut body).await;
            drop(held);
        }
        if body.len() as u64 != length {
            return Err(fail(ErrorKind::Invalid));
        }
        let sent = Crc64::of(&body);
        self.checked((Operation::UploadPart, key), body.freeze(), sent, aftermath)
    }

    /// What is stored of a body, unless its checksum is refused.
    fn checked(
        &self,
        (operation, key): (Operation, &Key),
        mut body: Bytes,
        sent: Crc64,
        aftermath: &Aftermath,
    ) -> Result<(Bytes, Crc64), EndpointError> {
        if aftermath.flip {
            body = flipped(&body);
        }
        let crc64 = Crc64::of(&body);
        if crc64 != sent && self.abilities.integrity != Integrity::ReadBack {
            return Err(error(operation, key.as_str(), ErrorKind::ChecksumRefused));
        }
        if aftermath.flip_stored {
            body = flipped(&body);
        }
        Ok((body, sent))
    }

    /// What the store remembers of a content's checksum.
    fn remembered(&self, crc64: Crc64) -> Option<Crc64> {
        (self.abilities.integrity == Integrity::Crc64).then_some(crc64)
    }

    fn receipt(&self, etag: String) -> Receipt {
        let vouched = self.abilities.integrity != Integrity::ReadBack;
        Receipt {
            etag,
            version_id: None,
            vouched,
            date: self.tells_dates.then(|| self.lock().now()),
        }
    }
}

impl Destination for MemoryDestination {
    fn abilities(&self) -> &Abilities {
        &self.abilities
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
        let (body, crc64) = self
            .receive(Operation::Put, key, &payload, &aftermath)
            .await?;
        let crc64 = self.remembered(crc64);
        let etag = self
            .lock()
            .store(Operation::Put, key, header, body, crc64)?;
        aftermath.reply(self.receipt(etag))
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
        let (body, crc64) = self
            .receive(Operation::UploadPart, key, &payload, &aftermath)
            .await?;
        let receipt = self.lock().store_part(key, upload, number, body, crc64)?;
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
        let (body, crc64) = self.receive_stream(key, part, &aftermath).await?;
        let receipt = self.lock().store_part(key, upload, number, body, crc64)?;
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
            let etag = objects.store(operation, key, &header, content, self.remembered(found))?;
            objects.uploads.remove(&upload.0);
            etag
        };
        aftermath.reply(self.receipt(etag))
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

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
    ) -> Result<Receipt, EndpointError> {
        let aftermath = self
            .script
            .enter(Operation::SetMetadata, key.as_str())
            .await?;
        let etag = self.lock().set_metadata(key, current, metadata)?;
        aftermath.reply(self.receipt(etag))
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

    async fn delete(&self, key: &Key, etag: &str) -> Result<(), EndpointError> {
        let aftermath = self.script.enter(Operation::Delete, key.as_str()).await?;
        self.lock().delete(key, etag)?;
        aftermath.reply(())
    }
}

/// The checksum of the whole from those of its parts.
fn whole(parts: &[PartReceipt]) -> Crc64 {
    parts.iter().fold(Crc64::EMPTY, |whole, part| {
        whole.followed_by(part.crc64, part.length)
    })
}
