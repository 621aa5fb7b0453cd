//! Whole objects in one request.

use std::sync::Arc;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, StorageClass};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use datasync_endpoint::{
    Crc64, Crc64Hasher, EndpointError, ErrorKind, Integrity, Key, ObjectHeader, Payload,
    PosixMetadata, Receipt, Timestamp,
};
use md5::{Digest as _, Md5};

use crate::body::{PacedBody, Progress};
use crate::calls::Operation;
use crate::date::AnswerDate;
use crate::destination::Store;
use crate::lean::BODY_MAX;
use crate::object::{crc64_of, crc64_text, head_crc64, metadata_map};
use crate::requests::Wait;

/// The checksum header that goes with a body.
#[derive(Debug, Clone)]
pub(crate) enum Check {
    Crc64(String),
    Md5(String),
    /// It follows a content of this length in bytes.
    Trailer(u64),
    Nothing,
}

impl Check {
    pub(crate) fn crc64(crc64: Crc64) -> Self {
        Self::Crc64(crc64_text(crc64))
    }

    pub(crate) fn md5(digest: &[u8]) -> Self {
        Self::Md5(BASE64.encode(digest))
    }

    /// Header name and value.
    pub(crate) fn header(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::Crc64(value) => Some(("x-amz-checksum-crc64nvme", value)),
            Self::Md5(value) => Some(("content-md5", value)),
            Self::Trailer(_) | Self::Nothing => None,
        }
    }

    pub(crate) fn pair(&self) -> (Option<String>, Option<String>) {
        match self {
            Self::Crc64(value) => (Some(value.clone()), None),
            Self::Md5(value) => (None, Some(value.clone())),
            Self::Trailer(_) | Self::Nothing => (None, None),
        }
    }

    /// The header that proves a body to a store with this integrity.
    ///
    /// # Errors
    /// If MD5 would be taken of other bytes than those that the payload's own checksum is of.
    pub(crate) async fn of(
        key: &Key,
        payload: &Payload,
        integrity: Integrity,
    ) -> Result<Self, EndpointError> {
        match integrity {
            Integrity::Crc64 => Ok(Self::crc64(payload.crc64)),
            Integrity::ReadBack => Ok(Self::Nothing),
            Integrity::Md5 => {
                let mut hasher = Md5::new();
                let mut crc64 = Crc64Hasher::default();
                for chunk in &payload.chunks {
                    crc64.update(chunk);
                    hasher.update(chunk);
                    // MD5 takes about 2 ms per MiB: others may run in between.
                    tokio::task::yield_now().await;
                }
                if crc64.finish() != payload.crc64 {
                    return Err(EndpointError::new(
                        ErrorKind::ChecksumRefused,
                        "Content-MD5",
                        key.as_str(),
                        "the body changed in memory after it was read",
                    ));
                }
                Ok(Self::md5(&hasher.finalize()))
            }
        }
    }
}

/// A put, but for its body.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) object_key: &'a str,
    pub(crate) metadata: &'a PosixMetadata,
    pub(crate) storage_class: Option<String>,
    /// Sends `If-None-Match: *`.
    pub(crate) if_absent: bool,
    pub(crate) check: Check,
}

/// What the store said to a write.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) etag: String,
    pub(crate) version_id: Option<String>,
    pub(crate) crc64: Option<Crc64>,
    /// Of the write, or of the answer.
    pub(crate) date: Option<Timestamp>,
}

impl Store {
    pub(crate) async fn put_whole(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: &Payload,
    ) -> Result<Receipt, EndpointError> {
        let object_key = self.place.object_key(key);
        if header.only_if_absent && !self.traits.if_none_match {
            self.refuse_present(Operation::PutObject, &object_key)
                .await?;
        }
        let write = Write {
            object_key: &object_key,
            metadata: &header.metadata,
            storage_class: self
                .place
                .class_for(header.storage_class.as_deref(), payload.length),
            if_absent: header.only_if_absent && self.traits.if_none_match,
            check: Check::of(key, payload, self.traits.integrity).await?,
        };
        let reply = self.put_object(&write, payload).await?;
        match self.traits.integrity {
            Integrity::Crc64 => {
                self.receipt(Operation::PutObject, &object_key, reply, payload.crc64)
                    .await
            }
            Integrity::Md5 => Ok(receipt(reply, true)),
            Integrity::ReadBack => Ok(receipt(reply, false)),
        }
    }

    /// For stores that do not know `If-None-Match`.
    pub(crate) async fn refuse_present(
        &self,
        operation: Operation,
        object_key: &str,
    ) -> Result<(), EndpointError> {
        match self.head(object_key).await? {
            None => Ok(()),
            Some(_) => Err(EndpointError::new(
                ErrorKind::Precondition,
                operation.name(),
                self.place.target(object_key),
                "the object exists",
            )),
        }
    }

    pub(crate) async fn put_object(
        &self,
        write: &Write<'_>,
        payload: &Payload,
    ) -> Result<Reply, EndpointError> {
        if let Some(lean) = &self.lean
            && payload.length < BODY_MAX
            && let Some(reply) = self.lean_put(lean, write, payload).await?
        {
            return Ok(reply);
        }
        let progress = Progress::new();
        let target = self.place.target(write.object_key);
        let date = AnswerDate::default();
        let request = self.sdk_put(write, payload, Arc::clone(&progress), &date);
        let operation = Operation::PutObject;
        let output = self
            .requests
            .send(Wait::Body(progress), operation, &target, request)
            .await?;
        let crc64 = crc64_of(output.checksum_crc64_nvme(), output.checksum_type());
        let reply = self.reply(operation, &target, output.e_tag, output.version_id, crc64)?;
        Ok(Reply {
            date: date.told(),
            ..reply
        })
    }

    async fn sdk_put(
        &self,
        write: &Write<'_>,
        payload: &Payload,
        progress: Arc<Progress>,
        date: &AnswerDate,
    ) -> Result<PutObjectOutput, SdkError<PutObjectError, HttpResponse>> {
        let (crc64, md5) = write.check.pair();
        self.client
            .put_object()
            .bucket(&self.place.bucket)
            .key(write.object_key)
            .set_metadata(Some(metadata_map(write.metadata)))
            .set_storage_class(write.storage_class.as_deref().map(StorageClass::from))
            .set_if_none_match(write.if_absent.then(|| "*".to_owned()))
            .set_checksum_crc64_nvme(crc64)
            .set_content_md5(md5)
            .body(stream(payload, &progress))
            .customize()
            .disable_payload_signing()
            .interceptor(date.clone())
            .interceptor(self.write_headers.clone())
            .send()
            .await
    }

    pub(crate) fn reply(
        &self,
        operation: Operation,
        target: &str,
        etag: Option<String>,
        version_id: Option<String>,
        crc64: Option<Crc64>,
    ) -> Result<Reply, EndpointError> {
        let etag = etag.filter(|etag| !etag.is_empty()).ok_or_else(|| {
            let detail = "the store answered without an ETag";
            EndpointError::new(ErrorKind::Protocol, operation.name(), target, detail)
                .with_unknown_effect()
        })?;
        Ok(Reply {
            etag,
            version_id,
            crc64,
            date: None,
        })
    }

    /// Compares the store's checksum with ours; a store that tells it only on HEAD is asked.
    pub(crate) async fn receipt(
        &self,
        operation: Operation,
        object_key: &str,
        reply: Reply,
        ours: Crc64,
    ) -> Result<Receipt, EndpointError> {
        let found = match reply.crc64 {
            Some(crc64) => Some(crc64),
            None => self.told_later(object_key, &reply.etag).await,
        };
        match found {
            None => Ok(receipt(reply, false)),
            Some(found) if found == ours => Ok(receipt(reply, true)),
            Some(found) => {
                let detail = format!(
                    "the store holds CRC64NVME {}, we sent {}",
                    crc64_text(found),
                    crc64_text(ours)
                );
                let target = self.place.target(object_key);
                let kind = ErrorKind::ChecksumRefused;
                Err(EndpointError::new(kind, operation.name(), target, detail)
                    .with_unknown_effect())
            }
        }
    }

    async fn told_later(&self, object_key: &str, etag: &str) -> Option<Crc64> {
        match self.head(object_key).await {
            Ok(Some(head)) if head.e_tag() == Some(etag) => head_crc64(&head),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, "no checksum of a written object; it is read back");
                None
            }
        }
    }
}

/// A receipt of the reply.
pub(crate) fn receipt(reply: Reply, vouched: bool) -> Receipt {
    Receipt {
        etag: reply.etag,
        version_id: reply.version_id,
        vouched,
        date: reply.date,
    }
}

/// The payload as the SDK takes it. It can be sent once: there are no attempts but ours.
pub(crate) fn stream(payload: &Payload, progress: &Arc<Progress>) -> ByteStream {
    let body = PacedBody::new(payload, Arc::clone(progress));
    ByteStream::new(SdkBody::from_body_1_x(body))
}

/// The mode in which answers carry checksums.
pub(crate) const CHECKSUMS: ChecksumMode = ChecksumMode::Enabled;

#[cfg(test)]
mod tests {
    use datasync_endpoint::Unpaced;

    use super::*;

    #[tokio::test]
    async fn a_body_that_changed_in_memory_gets_no_md5() {
        let key = Key::from_listing("key".to_owned());
        let payload = |crc64| Payload {
            chunks: vec!["body".into()],
            length: 4,
            crc64,
            pace: Arc::new(Unpaced),
        };
        let good = payload(Crc64::of(b"body"));
        assert!(Check::of(&key, &good, Integrity::Md5).await.is_ok());
        let changed = payload(Crc64::of(b"bodx"));
        let error = Check::of(&key, &changed, Integrity::Md5).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::ChecksumRefused);
    }
}
