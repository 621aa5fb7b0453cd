//! Nothing is written for an execution that may be another agent's by now.
//!
//! A process that was stopped (a debugger, a frozen machine) goes on in the middle of whatever it
//! did. So the lease is asked for at every step of a request and before every slice of a body, not
//! by a timer alone.

use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use datasync_endpoint::{
    Abilities, Crc64, Destination, EndpointError, ExtendedMetadata, Grant, Key, ListPage,
    ObjectHeader, ObjectIdentifier, ObjectState, OpenUpload, Pace, PartReceipt, PartStream,
    Payload, PosixMetadata, ReadBack, Receipt, Settled, StoredObject, StoredPart, UploadId,
};
use datasync_model::RequestCounts;
use tokio_util::sync::CancellationToken;

use crate::lease::Lease;

/// Open while a lease lasts; once shut it stays so, and with it ends the run that it guards.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    /// `None`: the execution is nobody else's, ever.
    lease: Option<Lease>,
    /// Ends the run.
    run: CancellationToken,
}

impl Fence {
    /// `run` ends the run: it fires once the fence is found shut, and shuts it when it fires.
    pub(super) fn new(lease: Option<Lease>, run: CancellationToken) -> Self {
        Self { lease, run }
    }

    /// What ends the run.
    pub(super) fn run(&self) -> &CancellationToken {
        &self.run
    }

    fn is_open(&self) -> bool {
        let Some(lease) = &self.lease else {
            return true;
        };
        if self.run.is_cancelled() {
            return false;
        }
        let lasts = lease.lasts();
        if !lasts {
            self.run.cancel();
        }
        lasts
    }

    /// Resolves once the fence is shut.
    pub(super) async fn shut(&self) {
        let Some(lease) = &self.lease else {
            return pending().await;
        };
        tokio::select! {
            () = self.run.cancelled() => {}
            () = lease.ended() => self.run.cancel(),
        }
    }

    /// Carries out `call` while the fence is open; behind a shut one it never ends, and is dropped
    /// with the run.
    pub(super) async fn guard<F: Future>(&self, mut call: Pin<&mut F>) -> F::Output {
        poll_fn(|context| {
            if self.is_open() {
                call.as_mut().poll(context)
            } else {
                Poll::Pending
            }
        })
        .await
    }

    /// `pace` while the fence is open.
    pub(super) fn pace(&self, pace: Arc<dyn Pace>) -> Arc<dyn Pace> {
        if self.lease.is_none() {
            return pace;
        }
        let fence = self.clone();
        Arc::new(FencedPace { fence, pace })
    }
}

/// Grants nothing behind a shut fence.
#[derive(Debug)]
struct FencedPace {
    fence: Fence,
    pace: Arc<dyn Pace>,
}

impl Pace for FencedPace {
    fn slice_max(&self) -> usize {
        self.pace.slice_max()
    }

    fn grant(self: Arc<Self>, bytes: usize) -> Option<Grant> {
        if !self.fence.is_open() {
            return Some(Box::pin(pending()));
        }
        let grant = Arc::clone(&self.pace).grant(bytes)?;
        Some(Box::pin(async move { self.fence.guard(pin!(grant)).await }))
    }

    fn held(&self) -> Duration {
        self.pace.held()
    }
}

/// A destination behind a fence. Reading is free.
#[derive(Debug)]
pub(super) struct Fenced<D> {
    destination: Arc<D>,
    fence: Fence,
}

impl<D> Fenced<D> {
    pub(super) fn new(destination: Arc<D>, fence: Fence) -> Self {
        Self { destination, fence }
    }
}

impl<D: Destination> Destination for Fenced<D> {
    type Tree = D::Tree;

    fn tree(&self) -> Option<Arc<Self::Tree>> {
        self.destination.tree()
    }

    fn abilities(&self) -> &Abilities {
        self.destination.abilities()
    }

    fn requests(&self) -> RequestCounts {
        self.destination.requests()
    }

    async fn list(&self, after: Option<&Key>) -> Result<ListPage, EndpointError> {
        self.destination.list(after).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        self.destination.stat(key).await
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        mut payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        payload.pace = self.fence.pace(payload.pace);
        let call = pin!(self.destination.put(key, header, payload));
        self.fence.guard(call).await
    }

    fn may_copy(&self, from: &StoredObject) -> bool {
        self.destination.may_copy(from)
    }

    async fn copy(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        let call = pin!(self.destination.copy(key, header, from));
        self.fence.guard(call).await
    }

    async fn link(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        let call = pin!(self.destination.link(key, to, only_if_absent));
        self.fence.guard(call).await
    }

    async fn create_upload(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        let call = pin!(self.destination.create_upload(key, header, size));
        self.fence.guard(call).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        mut payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        payload.pace = self.fence.pace(payload.pace);
        let call = pin!(self.destination.upload_part(key, upload, number, payload));
        self.fence.guard(call).await
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        mut part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        part.pace = self.fence.pace(part.pace);
        let call = pin!(self.destination.stream_part(key, upload, number, part));
        self.fence.guard(call).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        let destination = &self.destination;
        let call = pin!(destination.complete_upload(key, upload, header, parts, crc64));
        self.fence.guard(call).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        let call = pin!(self.destination.abort_upload(key, upload));
        self.fence.guard(call).await
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        self.destination.open_uploads(key).await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        self.destination.parts(key, upload).await
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        let destination = &self.destination;
        let call = pin!(destination.set_metadata(key, current, metadata, extended));
        self.fence.guard(call).await
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        self.destination.read_back(key).await
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        let call = pin!(self.destination.delete(objects));
        self.fence.guard(call).await
    }

    async fn settle(&self) -> Result<Settled, EndpointError> {
        let call = pin!(self.destination.settle());
        self.fence.guard(call).await
    }
}

#[cfg(test)]
mod tests;
