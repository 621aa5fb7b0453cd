//! What the in-memory store holds.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::time::Instant;

use super::Operation;
use super::bodies::Received;
use super::script::error;
use super::source::flipped;
use crate::{
    Crc64, EndpointError, ErrorKind, ExtendedMetadata, Key, ListedObject, ObjectChecksum,
    ObjectHeader, ObjectState, OpenUpload, PartReceipt, PosixMetadata, StoredPart, Timestamp,
    UploadId,
};

/// Seconds since 1970 at which the store's own clock starts; uploads begin at this second.
pub const EPOCH: i64 = 4_000_000_000;

/// An object in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The bytes.
    pub content: Bytes,
    /// POSIX metadata.
    pub metadata: PosixMetadata,
    /// Access control list and extended attributes.
    pub extended: Option<Box<ExtendedMetadata>>,
    /// Changes with every write.
    pub etag: String,
    /// What the store computed when the bytes came; `None` for a store that computes none.
    pub crc64: Option<Crc64>,
    /// The same of [`crate::Integrity::Checksum`].
    pub checksum: Option<ObjectChecksum>,
    /// In S3's words.
    pub storage_class: String,
    /// By the store's clock.
    pub last_modified: Timestamp,
}

/// Body bytes that came in at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transit {
    /// When.
    pub at: Instant,
    /// How many.
    pub bytes: u64,
}

/// A request body, from its first byte that was wanted to its last one or its break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodySpan {
    /// When it began.
    pub opened: Instant,
    /// When it ended.
    pub closed: Instant,
    /// How many bytes it was to have.
    pub bytes: u64,
}

/// A multipart upload that is open.
#[derive(Debug, Clone)]
pub(super) struct Upload {
    pub(super) key: Key,
    header: ObjectHeader,
    size: u64,
    initiated: Timestamp,
    parts: BTreeMap<u32, (PartReceipt, Bytes)>,
}

/// Objects, uploads and the store's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Objects {
    pub(super) objects: BTreeMap<Key, Stored>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) writes: BTreeMap<Key, u64>,
    pub(super) transits: Vec<Transit>,
    pub(super) bodies: Vec<BodySpan>,
    pub(super) held: u64,
    pub(super) held_max: u64,
    clock: i64,
}

impl Objects {
    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        self.now()
    }

    /// The store's time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp {
            seconds: EPOCH + self.clock,
            nanoseconds: 0,
        }
    }

    /// A new tag, unlike all others.
    fn tag(&mut self) -> String {
        format!("\"{:08x}\"", self.tick().seconds)
    }

    fn refuse_if_present(
        &self,
        operation: Operation,
        key: &Key,
        header: &ObjectHeader,
    ) -> Result<(), EndpointError> {
        if header.only_if_absent && self.objects.contains_key(key) {
            return Err(error(operation, key.as_str(), ErrorKind::Precondition));
        }
        Ok(())
    }

    /// Stores an object; gives its tag.
    pub(super) fn store(
        &mut self,
        operation: Operation,
        key: &Key,
        header: &ObjectHeader,
        content: Bytes,
        (crc64, checksum): (Option<Crc64>, Option<ObjectChecksum>),
    ) -> Result<String, EndpointError> {
        self.refuse_if_present(operation, key, header)?;
        let etag = self.tag();
        let stored = Stored {
            content,
            metadata: header.metadata,
            extended: header.extended.clone(),
            etag: etag.clone(),
            crc64,
            checksum,
            storage_class: header
                .storage_class
                .clone()
                .unwrap_or_else(|| "STANDARD".to_owned()),
            last_modified: self.tick(),
        };
        self.objects.insert(key.clone(), stored);
        *self.writes.entry(key.clone()).or_default() += 1;
        Ok(etag)
    }

    pub(super) fn list(&self, after: Option<&Key>, limit: usize) -> Vec<ListedObject> {
        use std::ops::Bound;
        let first = after.map_or(Bound::Unbounded, Bound::Excluded);
        let found = self
            .objects
            .range::<Key, _>((first, Bound::Unbounded))
            .take(limit);
        found
            .map(|(key, stored)| ListedObject {
                key: key.clone(),
                size: stored.content.len() as u64,
                etag: stored.etag.clone(),
                last_modified: stored.last_modified,
                storage_class: Some(stored.storage_class.clone()),
            })
            .collect()
    }

    pub(super) fn stat(&self, key: &Key) -> Option<ObjectState> {
        self.objects.get(key).map(|stored| ObjectState {
            kind: None,
            size: stored.content.len() as u64,
            etag: stored.etag.clone(),
            metadata: stored.metadata,
            crc64: stored.crc64,
            checksum: stored.checksum,
            storage_class: Some(stored.storage_class.clone()),
            extended: stored.extended.clone(),
        })
    }

    pub(super) fn set_metadata(
        &mut self,
        key: &Key,
        current: &ObjectState,
        (metadata, extended): (&PosixMetadata, Option<&ExtendedMetadata>),
        damages: bool,
    ) -> Result<String, EndpointError> {
        let etag = self.tag();
        let last_modified = self.tick();
        let fail = |kind| error(Operation::SetMetadata, key.as_str(), kind);
        let stored = self
            .objects
            .get_mut(key)
            .ok_or_else(|| fail(ErrorKind::NotFound))?;
        if stored.etag != current.etag {
            return Err(fail(ErrorKind::Precondition));
        }
        if damages {
            stored.content = flipped(&stored.content);
        }
        stored.metadata = *metadata;
        if let Some(extended) = extended {
            stored.extended = (!extended.is_empty()).then(|| Box::new(extended.clone()));
        }
        stored.etag.clone_from(&etag);
        stored.last_modified = last_modified;
        Ok(etag)
    }

    pub(super) fn delete(&mut self, key: &Key, etag: &str) -> Result<(), EndpointError> {
        if self
            .objects
            .get(key)
            .is_some_and(|stored| stored.etag != etag)
        {
            return Err(error(
                Operation::Delete,
                key.as_str(),
                ErrorKind::Precondition,
            ));
        }
        self.objects.remove(key);
        Ok(())
    }

    pub(super) fn create_upload(
        &mut self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> UploadId {
        self.tick();
        let id = format!("upload-{}", self.clock);
        let initiated = Timestamp {
            seconds: EPOCH,
            nanoseconds: 0,
        };
        let upload = Upload {
            key: key.clone(),
            header: header.clone(),
            size,
            initiated,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        UploadId(id)
    }

    /// An upload that has a part already.
    pub(super) fn create_copy(&mut self, key: &Key, header: &ObjectHeader, size: u64) -> UploadId {
        let id = self.create_upload(key, header, size);
        let receipt = PartReceipt {
            number: 1,
            etag: self.tag(),
            crc64: Crc64::EMPTY,
            checksum: None,
            length: 0,
        };
        if let Some(upload) = self.uploads.get_mut(&id.0) {
            upload.parts.insert(1, (receipt, Bytes::new()));
        }
        id
    }

    fn upload(
        &mut self,
        operation: Operation,
        key: &Key,
        id: &UploadId,
    ) -> Result<&mut Upload, EndpointError> {
        let found = self
            .uploads
            .get_mut(&id.0)
            .filter(|upload| upload.key == *key);
        found.ok_or_else(|| error(operation, key.as_str(), ErrorKind::NotFound))
    }

    pub(super) fn store_part(
        &mut self,
        key: &Key,
        id: &UploadId,
        number: u32,
        received: Received,
    ) -> Result<PartReceipt, EndpointError> {
        let etag = self.tag();
        let upload = self.upload(Operation::UploadPart, key, id)?;
        let receipt = PartReceipt {
            number,
            etag,
            crc64: received.crc64,
            checksum: received.checksum,
            length: received.body.len() as u64,
        };
        let part = (receipt.clone(), received.body);
        upload.parts.insert(number, part);
        Ok(receipt)
    }

    /// Completes an upload: every part must be as it was received, in order.
    pub(super) fn assemble(
        &mut self,
        key: &Key,
        id: &UploadId,
        parts: &[PartReceipt],
        part_min: u64,
    ) -> Result<(ObjectHeader, Bytes), EndpointError> {
        let fail = |kind| error(Operation::CompleteUpload, key.as_str(), kind);
        let upload = self.upload(Operation::CompleteUpload, key, id)?;
        let ordered = parts.windows(2).all(|pair| pair[0].number < pair[1].number);
        let large = parts
            .iter()
            .rev()
            .skip(1)
            .all(|part| part.length >= part_min);
        if parts.is_empty() || !ordered || !large {
            return Err(fail(ErrorKind::Invalid));
        }
        let mut content = Vec::new();
        for part in parts {
            match upload.parts.get(&part.number) {
                Some((receipt, bytes))
                    if (&receipt.etag, receipt.checksum) == (&part.etag, part.checksum) =>
                {
                    content.extend_from_slice(bytes);
                }
                _ => return Err(fail(ErrorKind::Invalid)),
            }
        }
        if content.len() as u64 != upload.size {
            return Err(fail(ErrorKind::Invalid));
        }
        Ok((upload.header.clone(), content.into()))
    }

    pub(super) fn open_uploads(&self, key: &Key) -> Vec<OpenUpload> {
        let found = self.uploads.iter().filter(|(_, upload)| upload.key == *key);
        found
            .map(|(id, upload)| OpenUpload {
                id: UploadId(id.clone()),
                initiated: upload.initiated,
            })
            .collect()
    }

    pub(super) fn parts(
        &mut self,
        key: &Key,
        id: &UploadId,
        tells_crc64: bool,
    ) -> Result<Vec<StoredPart>, EndpointError> {
        let upload = self.upload(Operation::ListParts, key, id)?;
        let parts = upload.parts.values();
        Ok(parts
            .map(|(receipt, content)| StoredPart {
                number: receipt.number,
                etag: receipt.etag.clone(),
                length: receipt.length,
                crc64: tells_crc64.then(|| Crc64::of(content)),
                checksum: receipt.checksum,
            })
            .collect())
    }

    /// An upload that somebody else began at this time.
    pub(super) fn add_foreign_upload(&mut self, key: &Key, initiated: Timestamp) -> UploadId {
        let header = ObjectHeader {
            metadata: PosixMetadata::default(),
            storage_class: None,
            only_if_absent: false,
            properties: None,
            extended: None,
        };
        let id = self.create_upload(key, &header, 0);
        if let Some(upload) = self.uploads.get_mut(&id.0) {
            upload.initiated = initiated;
        }
        id
    }
}
