//! Whole objects in one request.

use std::sync::Arc;

use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, StorageClass};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use datasync_endpoint::{
    EndpointError, ErrorKind, Integrity, Key, ObjectHeader, Payload, Receipt, Timestamp,
};

use crate::body::{PacedBody, Progress};
use crate::calls::Operation;
use crate::check::{Check, checked};
use crate::date::AnswerDate;
use crate::destination::Store;
use crate::lean::BODY_MAX;
use crate::object::head_sums;
use crate::properties::{described, user_metadata};
use crate::requests::Wait;
use crate::sums::{Sum, Told, told};

/// A put, but for its body.
#[derive(Debug)]
pub(crate) struct Write<'a> {
    pub(crate) object_key: &'a str,
    pub(crate) header: &'a ObjectHeader,
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
    pub(crate) told: Told,
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
            header,
            storage_class: self
                .place
                .class_for(header.storage_class.as_deref(), payload.length),
            if_absent: header.only_if_absent && self.traits.if_none_match,
            check: Check::of(key, payload, self.traits.integrity).await?,
        };
        let reply = self.put_object(&write, payload).await?;
        match write.check {
            Check::Sum(ours) => {
                self.receipt_of_content(Operation::PutObject, &object_key, reply, ours)
                    .await
            }
            _ => Ok(receipt(reply, self.traits.integrity == Integrity::Md5)),
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
        let told = told!(output, output.checksum_type());
        let reply = self.reply(operation, &target, output.e_tag, output.version_id, told)?;
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
        let request = described!(self.client.put_object(), &write.header.properties);
        checked!(request, write.check)
            .bucket(&self.place.bucket)
            .key(write.object_key)
            .set_metadata(Some(user_metadata(write.header)))
            .set_storage_class(write.storage_class.as_deref().map(StorageClass::from))
            .set_if_none_match(write.if_absent.then(|| "*".to_owned()))
            .set_content_md5(write.check.content_md5())
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
        told: Told,
    ) -> Result<Reply, EndpointError> {
        let etag = etag.filter(|etag| !etag.is_empty()).ok_or_else(|| {
            let detail = "the store answered without an ETag";
            EndpointError::new(ErrorKind::Protocol, operation.name(), target, detail)
                .with_unknown_effect()
        })?;
        Ok(Reply {
            etag,
            version_id,
            told,
            date: None,
        })
    }

    /// The receipt of content that was just sent with `ours`. A store that does not tell it, though the
    /// settings ask for it, has not proven it.
    pub(crate) async fn receipt_of_content(
        &self,
        operation: Operation,
        object_key: &str,
        reply: Reply,
        ours: Sum,
    ) -> Result<Receipt, EndpointError> {
        let receipt = self.receipt(operation, object_key, reply, ours).await?;
        if receipt.vouched || self.required.is_none() {
            return Ok(receipt);
        }
        let name = ours.proof().name();
        let detail = format!("the store does not tell the {name} of what was written");
        let target = self.place.target(object_key);
        let kind = ErrorKind::ChecksumRefused;
        Err(EndpointError::new(kind, operation.name(), target, detail).with_unknown_effect())
    }

    /// Compares the store's checksum with ours; a store that tells it only on HEAD is asked.
    pub(crate) async fn receipt(
        &self,
        operation: Operation,
        object_key: &str,
        reply: Reply,
        ours: Sum,
    ) -> Result<Receipt, EndpointError> {
        let found = match reply.told.sum(ours.proof()) {
            Some(found) => Some(found),
            None => self
                .told_later(object_key, &reply.etag)
                .await
                .and_then(|told| told.sum(ours.proof())),
        };
        match found {
            None => Ok(receipt(reply, false)),
            Some(found) if found == ours => Ok(Receipt {
                checksum: ours.other(),
                ..receipt(reply, true)
            }),
            Some(found) => {
                let detail = format!(
                    "the store holds {} {}, we sent {}",
                    ours.proof().name(),
                    found.text(),
                    ours.text()
                );
                let target = self.place.target(object_key);
                let kind = ErrorKind::ChecksumRefused;
                Err(EndpointError::new(kind, operation.name(), target, detail)
                    .with_unknown_effect())
            }
        }
    }

    async fn told_later(&self, object_key: &str, etag: &str) -> Option<Told> {
        match self.head(object_key).await {
            Ok(Some(head)) if head.e_tag() == Some(etag) => Some(head_sums(&head)),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, "no checksum of a written object");
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
        checksum: None,
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
