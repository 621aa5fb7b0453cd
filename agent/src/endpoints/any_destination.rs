//! A destination of whatever kind the location is.

use std::sync::Arc;

use datasync_endpoint::{
    Abilities, Crc64, Destination, EndpointError, ExtendedMetadata, Key, ListPage, ObjectHeader,
    ObjectIdentifier, ObjectState, OpenUpload, PartReceipt, PartStream, Payload, PosixMetadata,
    ReadBack, Receipt, Settled, StoredObject, StoredPart, UploadId,
};
use datasync_model::RequestCounts;
use datasync_nfs::{NfsDestination, NfsSource};
use datasync_s3::S3Destination;

/// A store or a file system that is written to.
#[derive(Debug)]
pub(crate) enum AnyDestination {
    S3(Box<S3Destination>),
    Nfs(Box<NfsDestination>),
}

impl Destination for AnyDestination {
    type Tree = NfsSource;

    fn tree(&self) -> Option<Arc<NfsSource>> {
        match self {
            Self::S3(_) => None,
            Self::Nfs(nfs) => nfs.tree(),
        }
    }

    fn abilities(&self) -> &Abilities {
        match self {
            Self::S3(s3) => s3.abilities(),
            Self::Nfs(nfs) => nfs.abilities(),
        }
    }

    fn requests(&self) -> RequestCounts {
        match self {
            Self::S3(s3) => s3.requests(),
            Self::Nfs(nfs) => nfs.requests(),
        }
    }

    async fn list(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        match self {
            Self::S3(s3) => s3.list(after).await,
            Self::Nfs(nfs) => nfs.list(after).await,
        }
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        match self {
            Self::S3(s3) => s3.stat(key).await,
            Self::Nfs(nfs) => nfs.stat(key).await,
        }
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        match self {
            Self::S3(s3) => s3.put(key, header, payload).await,
            Self::Nfs(nfs) => Box::pin(nfs.put(key, header, payload)).await,
        }
    }

    fn may_copy(&self, from: &StoredObject) -> bool {
        match self {
            Self::S3(s3) => s3.may_copy(from),
            Self::Nfs(nfs) => nfs.may_copy(from),
        }
    }

    async fn copy(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        match self {
            Self::S3(s3) => s3.copy(key, header, from).await,
            Self::Nfs(nfs) => nfs.copy(key, header, from).await,
        }
    }

    async fn link(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        match self {
            Self::S3(s3) => s3.link(key, to, only_if_absent).await,
            Self::Nfs(nfs) => Box::pin(nfs.link(key, to, only_if_absent)).await,
        }
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        match self {
            Self::S3(s3) => s3.create_upload(key, header, size).await,
            Self::Nfs(nfs) => nfs.create_upload(key, header, size).await,
        }
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        match self {
            Self::S3(s3) => s3.upload_part(key, upload, number, payload).await,
            Self::Nfs(nfs) => Box::pin(nfs.upload_part(key, upload, number, payload)).await,
        }
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        match self {
            Self::S3(s3) => s3.stream_part(key, upload, number, part).await,
            Self::Nfs(nfs) => nfs.stream_part(key, upload, number, part).await,
        }
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        match self {
            Self::S3(s3) => s3.complete_upload(key, upload, header, parts, crc64).await,
            Self::Nfs(nfs) => {
                Box::pin(nfs.complete_upload(key, upload, header, parts, crc64)).await
            }
        }
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        match self {
            Self::S3(s3) => s3.abort_upload(key, upload).await,
            Self::Nfs(nfs) => nfs.abort_upload(key, upload).await,
        }
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        match self {
            Self::S3(s3) => s3.open_uploads(key).await,
            Self::Nfs(nfs) => nfs.open_uploads(key).await,
        }
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        match self {
            Self::S3(s3) => s3.parts(key, upload).await,
            Self::Nfs(nfs) => nfs.parts(key, upload).await,
        }
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        match self {
            Self::S3(s3) => s3.set_metadata(key, current, metadata, extended).await,
            Self::Nfs(nfs) => Box::pin(nfs.set_metadata(key, current, metadata, extended)).await,
        }
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        match self {
            Self::S3(s3) => s3.read_back(key).await,
            Self::Nfs(nfs) => nfs.read_back(key).await,
        }
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        match self {
            Self::S3(s3) => s3.delete(objects).await,
            Self::Nfs(nfs) => Box::pin(nfs.delete(objects)).await,
        }
    }

    async fn settle(&self) -> Result<Settled, EndpointError> {
        match self {
            Self::S3(s3) => s3.settle().await,
            Self::Nfs(nfs) => nfs.settle().await,
        }
    }
}
