//! Objects that the store copies by itself, from another bucket or prefix of it.

use std::sync::atomic::Ordering;

use aws_sdk_s3::types::{CopyObjectResult, MetadataDirective, StorageClass, TaggingDirective};
use datasync_endpoint::{
    Crc64, EndpointError, ErrorKind, Integrity, Key, ObjectHeader, ReadBack, Receipt, StoredObject,
};

use crate::calls::Operation;
use crate::copy_parts::{Original, copy_source};
use crate::destination::Store;
use crate::listing::timestamp;
use crate::object::head_sums;
use crate::place::PUT_MAX;
use crate::properties::{described, user_metadata};
use crate::put::{CHECKSUMS, Reply};
use crate::requests::Wait;
use crate::sums::{Proof, Sum, told};

/// Smaller objects are read and written, in bytes: that is as many requests, and quicker ones.
const COPY_MIN: u64 = 1 << 20;

impl Store {
    pub(crate) fn may_copy(&self, from: &StoredObject) -> bool {
        self.traits.integrity == Integrity::Crc64
            && from.size >= COPY_MIN
            && (from.size <= PUT_MAX || self.part_proof().is_some())
            && self.place.endpoint == from.endpoint
            && !self.no_copies.load(Ordering::Relaxed)
    }

    /// Copies an object whose CRC-64/NVME the store tells, and compares that of the copy with it.
    /// `None`: it is to be read and written.
    pub(crate) async fn copied(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        // Only its own write can be refused where an object appears meanwhile.
        if header.only_if_absent || !self.may_copy(from) {
            return Ok(None);
        }
        let copied = self.copied_with_proof(key, header, from).await;
        match copied {
            Err(error) if error.kind == ErrorKind::PermissionDenied => {
                tracing::info!(%error, "objects are read and written: these keys may not copy them");
                self.no_copies.store(true, Ordering::Relaxed);
                Ok(None)
            }
            // This one cannot be copied, or none can: reading it tells what is wrong.
            Err(error) if matches!(error.kind, ErrorKind::NotSupported | ErrorKind::Invalid) => {
                tracing::info!(%error, "an object is read and written: the store does not copy it");
                Ok(None)
            }
            done => done,
        }
    }

    async fn copied_with_proof(
        &self,
        key: &Key,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Option<(ReadBack, Receipt)>, EndpointError> {
        let Some(crc64) = self.sum_of(from).await? else {
            return Ok(None);
        };
        let object_key = self.place.object_key(key);
        let (operation, reply) = if from.size > PUT_MAX {
            let copying = self.copy_of_parts(&object_key, header, from, crc64);
            (
                Operation::CompleteMultipartUpload,
                copying.await.map_err(stale)?,
            )
        } else {
            let copying = self.copy_of(&object_key, header, from);
            (Operation::CopyObject, copying.await.map_err(stale)?)
        };
        let ours = Sum::Crc64(crc64);
        let receipt = self.receipt(operation, &object_key, reply, ours).await?;
        let content = ReadBack {
            size: from.size,
            crc64,
        };
        Ok(Some((content, receipt)))
    }

    /// What the store tells of the whole object, if it is still there in this version.
    async fn sum_of(&self, from: &StoredObject) -> Result<Option<Crc64>, EndpointError> {
        let request = self
            .client
            .head_object()
            .bucket(&from.bucket)
            .key(&from.key)
            .if_match(&from.etag)
            .checksum_mode(CHECKSUMS)
            .send();
        let target = target(from);
        let operation = Operation::HeadObject;
        let asked = self
            .requests
            .send(Wait::Answer, operation, &target, request);
        let head = asked.await.map_err(stale)?;
        let is_it = head.e_tag() == Some(&from.etag)
            && head
                .content_length()
                .and_then(|size| u64::try_from(size).ok())
                == Some(from.size);
        Ok(head_sums(&head).crc64.filter(|_| is_it))
    }

    async fn copy_of(
        &self,
        object_key: &str,
        header: &ObjectHeader,
        from: &StoredObject,
    ) -> Result<Reply, EndpointError> {
        let operation = Operation::CopyObject;
        let class = self
            .place
            .class_for(header.storage_class.as_deref(), from.size);
        let request = described!(self.client.copy_object(), &header.properties)
            .bucket(&self.place.bucket)
            .key(object_key)
            .copy_source(copy_source(&from.bucket, &from.key))
            .copy_source_if_match(&from.etag)
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Replace)
            .set_metadata(Some(user_metadata(header)))
            .set_storage_class(class.as_deref().map(StorageClass::from))
            .checksum_algorithm(Proof::Crc64.of_sdk())
            .customize()
            .interceptor(self.write_headers.clone())
            .send();
        let target = self.place.target(object_key);
        let copying = self
            .requests
            .send(Wait::LongAnswer, operation, &target, request);
        let output = copying.await?;
        let result = output
            .copy_object_result
            .unwrap_or_else(|| CopyObjectResult::builder().build());
        let told = told!(result, result.checksum_type());
        let date = result.last_modified().map(timestamp);
        let reply = self.reply(operation, &target, result.e_tag, output.version_id, told)?;
        Ok(Reply { date, ..reply })
    }

    async fn copy_of_parts(
        &self,
        object_key: &str,
        header: &ObjectHeader,
        from: &StoredObject,
        crc64: Crc64,
    ) -> Result<Reply, EndpointError> {
        let request = self.upload_with(header, from.size);
        let original = Original {
            bucket: &from.bucket,
            key: &from.key,
            etag: &from.etag,
            size: from.size,
            crc64: Some(crc64),
        };
        self.copy_in_parts(object_key, request, &original).await
    }
}

fn target(from: &StoredObject) -> String {
    format!("s3://{}/{}", from.bucket, from.key.escape_debug())
}

/// The original is gone or another.
fn stale(error: EndpointError) -> EndpointError {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Precondition => EndpointError {
            kind: ErrorKind::Stale,
            ..error
        },
        _ => error,
    }
}
