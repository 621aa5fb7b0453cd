use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use datasync_endpoint::{
    Abilities, Algorithm, Crc64, Crc64Hasher, Destination, EndpointError, ErrorKind,
    ExtendedMetadata, Integrity, Key, ListPage, NoTree, ObjectHeader, ObjectIdentifier,
    ObjectState, OpenUpload, PartReceipt, PartStream, Payload, PosixMetadata, ReadBack, Receipt,
    StoredObject, StoredPart, UploadId,
};
use datasync_model::RequestCounts;

use crate::calls::{CallCounts, Operation};
use crate::error::chain;
use crate::headers::Headers;
use crate::lean::Lean;
use crate::object::{head_extended, head_metadata, head_sums};
use crate::place::{Place, class_of};
use crate::put::CHECKSUMS;
use crate::requests::{Requests, Wait};

/// What the probe found out about the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traits {
    pub(crate) integrity: Integrity,
    /// A wrong CRC-64/NVME of an object is refused, whatever else proves what is sent.
    pub(crate) crc64: bool,
    /// Parts are proven by a checksum as objects are.
    pub(crate) parts: bool,
    /// A part's checksum may follow its bytes, and is checked there.
    pub(crate) trailers: bool,
    /// `If-None-Match: *` on writes is honoured.
    pub(crate) if_none_match: bool,
    /// `If-Match` on deletes of single objects is honoured.
    pub(crate) if_match: bool,
    /// The ETag of a body is its MD5, which encryption by KMS changes.
    pub(crate) etag_is_md5: bool,
    /// Deletes may go in batches: those honour ETags too, or nothing does.
    pub(crate) batches: bool,
}

impl Traits {
    /// Of a store that was not asked yet.
    pub(crate) const UNKNOWN: Self = Self {
        integrity: Integrity::ReadBack,
        crc64: false,
        parts: false,
        trailers: false,
        if_none_match: false,
        if_match: false,
        etag_is_md5: false,
        batches: false,
    };
}

/// A bucket with a client for it. The operations are in the modules of their names.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) client: Client,
    pub(crate) lean: Option<Lean>,
    pub(crate) place: Place,
    pub(crate) requests: Arc<Requests>,
    pub(crate) traits: Traits,
    /// By what objects must be proven, if that was asked for.
    pub(crate) required: Option<Algorithm>,
    /// Of requests that make an object.
    pub(crate) write_headers: Headers,
    /// Set once the store turned out not to know DeleteObjects.
    pub(crate) single_deletes: AtomicBool,
    /// Set once the store refused to copy from another place in it.
    pub(crate) no_copies: AtomicBool,
}

impl Store {
    /// What HEAD tells; `None` if there is no such object.
    pub(crate) async fn head(
        &self,
        object_key: &str,
    ) -> Result<Option<HeadObjectOutput>, EndpointError> {
        let request = self
            .client
            .head_object()
            .bucket(&self.place.bucket)
            .key(object_key)
            .checksum_mode(CHECKSUMS)
            .send();
        let target = self.place.target(object_key);
        let answer = self
            .requests
            .send(Wait::Answer, Operation::HeadObject, &target, request)
            .await;
        match answer {
            Ok(head) => Ok(Some(head)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind == ErrorKind::PermissionDenied => {
                self.missing_or_refused(object_key, error).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn state(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let object_key = self.place.object_key(key);
        let Some(head) = self.head(&object_key).await? else {
            return Ok(None);
        };
        let size = head
            .content_length()
            .and_then(|size| u64::try_from(size).ok());
        let (Some(size), Some(etag)) = (size, head.e_tag()) else {
            return Err(EndpointError::new(
                ErrorKind::Protocol,
                Operation::HeadObject.name(),
                self.place.target(&object_key),
                "the store answered without a size or an ETag",
            ));
        };
        let sums = head_sums(&head);
        let algorithm = self.traits.integrity.algorithm();
        Ok(Some(ObjectState {
            kind: None,
            size,
            etag: etag.to_owned(),
            metadata: head_metadata(&head),
            crc64: sums.crc64.filter(|_| self.traits.crc64),
            checksum: algorithm.and_then(|algorithm| sums.of(algorithm)),
            storage_class: Some(class_of(head.storage_class().map(|class| class.as_str()))),
            extended: head_extended(&head),
        }))
    }

    async fn read(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let object_key = self.place.object_key(key);
        let target = self.place.target(&object_key);
        let operation = Operation::GetObject;
        let _turn = self.requests.turn(operation, &target).await?;
        let request = self
            .client
            .get_object()
            .bucket(&self.place.bucket)
            .key(&object_key)
            .send();
        let mut output = self
            .requests
            .within(Wait::Answer, operation, &target, Box::pin(request))
            .await?
            .map_err(|error| {
                crate::error::from_sdk(&error, operation, &target, &self.requests.clock)
            })?;
        // With a length announced, the answer ends; what else it may be is compared below.
        let announced = output.content_length.ok_or_else(|| {
            let detail = "the store does not say how long the object is";
            EndpointError::new(ErrorKind::Protocol, operation.name(), &target, detail)
        })?;
        let mut hasher = Crc64Hasher::default();
        let mut size = 0;
        loop {
            let next = output.body.try_next();
            let bytes = self
                .requests
                .within(Wait::Answer, operation, &target, next)
                .await?
                .map_err(|error| {
                    let detail = format!("the answer broke off at byte {size}: {}", chain(&error));
                    let kind = ErrorKind::Unreachable;
                    EndpointError::new(kind, operation.name(), target.clone(), detail)
                })?;
            let Some(bytes) = bytes else { break };
            hasher.update(&bytes);
            size += bytes.len() as u64;
        }
        if u64::try_from(announced) != Ok(size) {
            let detail = format!("{announced} bytes were announced, {size} came");
            let kind = ErrorKind::Unreachable;
            return Err(EndpointError::new(kind, operation.name(), target, detail));
        }
        Ok(ReadBack {
            size,
            crc64: hasher.finish(),
        })
    }
}

/// An S3 location that was opened and probed.
#[derive(Debug)]
pub struct S3Destination {
    pub(crate) store: Store,
    pub(crate) abilities: Abilities,
}

impl S3Destination {
    /// Requests sent so far, those of [`S3Destination::open`] included.
    #[must_use]
    pub fn calls(&self) -> CallCounts {
        self.store.requests.calls.snapshot()
    }
}

impl Destination for S3Destination {
    type Tree = NoTree;

    fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    fn requests(&self) -> RequestCounts {
        self.calls().iter().collect()
    }

    async fn list(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        self.store.list_page(after).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        self.store.state(key).await
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        self.store.put_whole(key, header, &payload).await
    }

    fn may_copy(&self, from: &StoredObject) -> bool {
        self.store.may_copy(from)
    }

    async fn copy(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        self.store.copied(key, header, from).await
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        self.store.create(key, header, size).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        self.store.part(key, upload, number, &payload).await
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        self.store.streamed_part(key, upload, number, part).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        self.store.complete(key, upload, header, parts, crc64).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        let object_key = self.store.place.object_key(key);
        self.store.abort(&object_key, upload).await
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        self.store
            .uploads_of(&self.store.place.object_key(key))
            .await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        let object_key = self.store.place.object_key(key);
        self.store.parts_of(&object_key, upload).await
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        self.store
            .replace_metadata(key, current, (metadata, extended))
            .await
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        self.store.read(key).await
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        self.store.remove_all(objects).await
    }
}
