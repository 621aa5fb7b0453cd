//! A source or a destination whose server is spared.

use std::sync::Arc;

use bytes::Bytes;
use datasync_endpoint::{
    Abilities, Attributes, Crc64, Destination, DirCursor, DirPage, EndpointError, ExtendedKinds,
    ExtendedMetadata, Handle, Key, ListPage, Node, ObjectHeader, ObjectIdentifier,
    ObjectProperties, ObjectState, OpenUpload, Pace, PartReceipt, PartStream, Payload,
    PosixMetadata, ReadBack, ReadReply, Receipt, Settled, Source, StoredObject, StoredPart,
    UploadId,
};

use datasync_model::RequestCounts;

use super::{Access, Calls, Overload, Request, Server};
use crate::waits::Waits;

/// How much reading an object back moves is known at the end: taken for a part of a common size.
const READ_BACK: u64 = 8 << 20;

/// Makes the calls of `inner` when the server can bear them.
#[derive(Debug)]
pub(crate) struct Spared<E> {
    inner: E,
    access: Access,
}

impl<E> Spared<E> {
    pub(crate) fn new(inner: E, server: &Server, waits: Arc<Waits>) -> Self {
        Self {
            inner,
            access: server.join(waits),
        }
    }

    /// The calls that are made through this.
    pub(crate) fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.access.calls)
    }
}

/// A request about one item that moves `bytes` of its content.
fn moving(operation: &'static str, bytes: u64) -> Request<'static> {
    Request {
        bytes: Some(bytes),
        operation,
        pace: None,
    }
}

/// A request with a body of `bytes`, which `pace` may hold back.
fn sending<'a>(operation: &'static str, bytes: u64, pace: &'a dyn Pace) -> Request<'a> {
    Request {
        bytes: Some(bytes),
        operation,
        pace: Some(pace),
    }
}

/// A request of which there are few at a time, by their nature.
fn few(operation: &'static str) -> Request<'static> {
    Request {
        bytes: None,
        operation,
        pace: None,
    }
}

impl<S: Source> Source for Spared<Arc<S>> {
    fn read_max(&self) -> u32 {
        self.inner.read_max()
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        let call = || self.inner.root();
        self.access.ask(few("GETATTR"), call).await
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        let call = || self.inner.read_dir(directory, cursor.clone());
        self.access.ask(few("READDIR"), call).await
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        let call = || self.inner.lookup(directory, name);
        self.access.ask(moving("LOOKUP", 0), call).await
    }

    async fn lookup_directory(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> Result<Option<Node>, EndpointError> {
        let call = || self.inner.lookup_directory(directory, name);
        self.access.ask(moving("LOOKUP", 0), call).await
    }

    fn is_item(&self, node: &Node) -> bool {
        self.inner.is_item(node)
    }

    fn names_versions(&self) -> bool {
        self.inner.names_versions()
    }

    fn stored(&self, file: &Handle) -> Option<StoredObject> {
        self.inner.stored(file)
    }

    fn has_properties(&self) -> bool {
        self.inner.has_properties()
    }

    async fn properties(&self, item: &Handle) -> Result<Option<ObjectProperties>, EndpointError> {
        let call = || self.inner.properties(item);
        self.access.ask(moving("HeadObject", 0), call).await
    }

    fn extended_kinds(&self) -> ExtendedKinds {
        self.inner.extended_kinds()
    }

    async fn extended(&self, item: &Node) -> Result<ExtendedMetadata, EndpointError> {
        let call = || self.inner.extended(item);
        self.access.ask(moving("GETATTR", 0), call).await
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        let call = || self.inner.attributes(handle);
        self.access.ask(moving("GETATTR", 0), call).await
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let call = || self.inner.read(file, offset, length);
        let reply = self.access.ask(moving("READ", length.into()), call).await?;
        self.access.calls.count_read(reply.data.len() as u64);
        Ok(reply)
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        let call = || self.inner.read_link(link);
        self.access.ask(moving("READLINK", 0), call).await
    }
}

impl<D: Destination> Destination for Spared<Arc<D>> {
    type Tree = Spared<Arc<D::Tree>>;

    fn tree(&self) -> Option<Arc<Self::Tree>> {
        let inner = self.inner.tree()?;
        let access = self.access.again();
        Some(Arc::new(Spared { inner, access }))
    }

    fn abilities(&self) -> &Abilities {
        self.inner.abilities()
    }

    fn requests(&self) -> RequestCounts {
        self.inner.requests()
    }

    async fn list(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        let call = || self.inner.list(after);
        self.access.ask(few("ListObjectsV2"), call).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let call = || self.inner.stat(key);
        self.access.ask(moving("HeadObject", 0), call).await
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        let pace = Arc::clone(&payload.pace);
        let request = sending("PutObject", payload.length, &*pace);
        let call = || self.inner.put(key, header, payload);
        self.access.ask(request, call).await
    }

    fn may_copy(&self, from: &StoredObject) -> bool {
        self.inner.may_copy(from)
    }

    async fn copy(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        let call = || self.inner.copy(key, header, from);
        self.access.ask(few("CopyObject"), call).await
    }

    async fn link(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        let call = || self.inner.link(key, to, only_if_absent);
        self.access.ask(moving("LINK", 0), call).await
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        let call = || self.inner.create_upload(key, header, size);
        self.access.ask(few("CreateMultipartUpload"), call).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        let pace = Arc::clone(&payload.pace);
        let request = sending("UploadPart", payload.length, &*pace);
        let call = || self.inner.upload_part(key, upload, number, payload);
        self.access.ask(request, call).await
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        let pace = Arc::clone(&part.pace);
        let request = sending("UploadPart", part.length, &*pace);
        let call = || self.inner.stream_part(key, upload, number, part);
        self.access.ask(request, call).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        let call = || {
            self.inner
                .complete_upload(key, upload, header, parts, crc64)
        };
        self.access.ask(few("CompleteMultipartUpload"), call).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        let call = || self.inner.abort_upload(key, upload);
        self.access.ask(few("AbortMultipartUpload"), call).await
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        let call = || self.inner.open_uploads(key);
        self.access.ask(few("ListMultipartUploads"), call).await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        let call = || self.inner.parts(key, upload);
        self.access.ask(few("ListParts"), call).await
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        let call = || self.inner.set_metadata(key, current, metadata, extended);
        self.access.ask(moving("CopyObject", 0), call).await
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let call = || self.inner.read_back(key);
        self.access.ask(moving("GetObject", READ_BACK), call).await
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        let call = || self.inner.delete(objects);
        let overloaded = |outcomes: &Vec<Result<(), EndpointError>>| {
            let errors = outcomes.iter().filter_map(|outcome| outcome.as_ref().err());
            errors.filter_map(Overload::of).next()
        };
        let request = moving("DeleteObjects", 0);
        match self.access.make(request, call, overloaded).await {
            Ok((outcomes, held)) => outcomes
                .into_iter()
                .map(|outcome| outcome.map_err(|error| error.held_for(held)))
                .collect(),
            Err(not_sent) => objects
                .iter()
                .map(|_| Err(not_sent.clone().into()))
                .collect(),
        }
    }

    async fn settle(&self) -> Result<Settled, EndpointError> {
        let call = || self.inner.settle();
        self.access.ask(few("SETATTR"), call).await
    }
}
