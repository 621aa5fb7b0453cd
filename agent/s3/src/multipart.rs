//! Objects in parts.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use datasync_endpoint::{
    Crc64, EndpointError, ErrorKind, Integrity, Key, ObjectHeader, PartReceipt, PartStream,
    Payload, Receipt, UploadId,
};
use md5::{Digest as _, Md5};

use crate::body::{Digests, PacedBody, Progress};
use crate::calls::Operation;
use crate::date::AnswerDate;
use crate::destination::Store;
use crate::object::{crc64_of, crc64_text, metadata_map};
use crate::put::{Check, Reply, receipt, stream};
use crate::requests::Wait;
use crate::trailer::{CHUNK, Trailed, TrailerHeaders};

/// What an upload is completed with.
pub(crate) struct Whole {
    pub(crate) parts: Vec<CompletedPart>,
    /// In bytes.
    pub(crate) length: u64,
    /// Of the whole object, where it is known.
    pub(crate) crc64: Option<Crc64>,
    /// Sends `If-None-Match: *`.
    pub(crate) if_absent: bool,
}

impl Store {
    /// Whether parts carry CRC-64/NVME and the store vouches for the whole object.
    pub(crate) fn full_object(&self) -> bool {
        self.traits.integrity == Integrity::Crc64 && self.traits.multipart_crc64
    }

    /// What proves a part.
    fn part_integrity(&self) -> Integrity {
        match self.traits.integrity {
            Integrity::Crc64 if !self.traits.multipart_crc64 => Integrity::ReadBack,
            integrity => integrity,
        }
    }

    pub(crate) async fn create(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        let object_key = self.place.object_key(key);
        let class = self.place.class_for(header.storage_class.as_deref(), size);
        let request = self
            .client
            .create_multipart_upload()
            .set_metadata(Some(metadata_map(&header.metadata)))
            .set_storage_class(class.as_deref().map(StorageClass::from));
        self.begin(&object_key, request).await
    }

    /// Begins an upload of this key, with the checksums that the store can do.
    pub(crate) async fn begin(
        &self,
        object_key: &str,
        request: CreateMultipartUploadFluentBuilder,
    ) -> Result<UploadId, EndpointError> {
        let crc64 = self.full_object();
        let request = request
            .bucket(&self.place.bucket)
            .key(object_key)
            .set_checksum_algorithm(crc64.then_some(ChecksumAlgorithm::Crc64Nvme))
            .set_checksum_type(crc64.then_some(ChecksumType::FullObject))
            .customize()
            .interceptor(self.write_headers.clone())
            .send();
        let target = self.place.target(object_key);
        let operation = Operation::CreateMultipartUpload;
        let output = self
            .requests
            .send(Wait::Answer, operation, &target, request)
            .await?;
        output.upload_id.map(UploadId).ok_or_else(|| {
            let detail = "the store answered without an upload id";
            EndpointError::new(ErrorKind::Protocol, operation.name(), target, detail)
                .with_unknown_effect()
        })
    }

    pub(crate) async fn part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: &Payload,
    ) -> Result<PartReceipt, EndpointError> {
        let check = Check::of(key, payload, self.part_integrity()).await?;
        self.part_with(&self.place.object_key(key), upload, number, payload, &check)
            .await
    }

    pub(crate) async fn part_with(
        &self,
        object_key: &str,
        upload: &UploadId,
        number: u32,
        payload: &Payload,
        check: &Check,
    ) -> Result<PartReceipt, EndpointError> {
        let progress = Progress::new();
        let body = (stream(payload, &progress), progress);
        let place = (object_key, upload, number);
        let reply = self.send_part(place, check, body).await?;
        if reply.crc64.is_some_and(|found| found != payload.crc64) {
            return Err(self.other_part(object_key, number));
        }
        Ok(PartReceipt {
            number,
            etag: reply.etag,
            crc64: payload.crc64,
            length: payload.length,
        })
    }

    /// No checksum can go ahead of these bytes. It follows them where the store takes it there; the
    /// store's own, or the ETag where that is an MD5, is compared afterwards. What neither proves is
    /// proven when the whole is.
    pub(crate) async fn streamed_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        let object_key = self.place.object_key(key);
        let length = part.length;
        let by_md5 = self.part_integrity() == Integrity::Md5 && self.traits.etag_is_md5;
        let digests = Arc::new(Mutex::new(Digests {
            md5: by_md5.then(Md5::new),
            ..Digests::default()
        }));
        let place = (object_key.as_str(), upload, number);
        let reply = if self.full_object() && self.traits.trailers {
            self.send_trailed(place, part, CHUNK, &digests).await?
        } else {
            let progress = Progress::new();
            let body = PacedBody::streamed(part, Arc::clone(&digests), Arc::clone(&progress));
            let body = (ByteStream::new(SdkBody::from_body_1_x(body)), progress);
            self.send_part(place, &Check::Nothing, body).await?
        };
        let mut digests = digests.lock().unwrap_or_else(PoisonError::into_inner);
        let crc64 = digests.crc64.finish();
        let other_md5 = digests
            .md5
            .take()
            .is_some_and(|md5| is_other_md5(&reply.etag, &md5.finalize()));
        if other_md5 || reply.crc64.is_some_and(|found| found != crc64) {
            return Err(self.other_part(&object_key, number));
        }
        Ok(PartReceipt {
            number,
            etag: reply.etag,
            crc64,
            length,
        })
    }

    fn other_part(&self, object_key: &str, number: u32) -> EndpointError {
        let target = format!("{} part {number}", self.place.target(object_key));
        let detail = "the store answered with another checksum than that of the bytes sent";
        let operation = Operation::UploadPart.name();
        EndpointError::new(ErrorKind::ChecksumRefused, operation, target, detail)
            .with_unknown_effect()
    }

    /// A part in chunks of `chunk` bytes, with its checksum behind it: `digests` go on with the part's
    /// bytes.
    pub(crate) async fn send_trailed(
        &self,
        place: (&str, &UploadId, u32),
        part: PartStream,
        chunk: u64,
        digests: &Arc<Mutex<Digests>>,
    ) -> Result<Reply, EndpointError> {
        let length = part.length;
        let progress = Progress::new();
        let body = PacedBody::streamed(part, Arc::clone(digests), Arc::clone(&progress));
        let body = Trailed::new(body, length, chunk, Arc::clone(digests));
        let body = (ByteStream::new(SdkBody::from_body_1_x(body)), progress);
        self.send_part(place, &Check::Trailer(length), body).await
    }

    async fn send_part(
        &self,
        (object_key, upload, number): (&str, &UploadId, u32),
        check: &Check,
        (body, progress): (ByteStream, Arc<Progress>),
    ) -> Result<Reply, EndpointError> {
        let operation = Operation::UploadPart;
        let target = format!("{} part {number}", self.place.target(object_key));
        let (crc64, md5) = check.pair();
        let request = self
            .client
            .upload_part()
            .bucket(&self.place.bucket)
            .key(object_key)
            .upload_id(&upload.0)
            .part_number(i32::try_from(number).unwrap_or(i32::MAX))
            .set_checksum_crc64_nvme(crc64)
            .set_content_md5(md5)
            .body(body)
            .customize();
        let request = match check {
            Check::Trailer(length) => request.interceptor(TrailerHeaders(*length)),
            _ => request.disable_payload_signing(),
        };
        let output = self
            .requests
            .send(Wait::Body(progress), operation, &target, request.send())
            .await?;
        let crc64 = crc64_of(output.checksum_crc64_nvme(), None);
        self.reply(operation, &target, output.e_tag, None, crc64)
    }

    pub(crate) async fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        let operation = Operation::CompleteMultipartUpload;
        let object_key = self.place.object_key(key);
        if header.only_if_absent && !self.traits.if_none_match {
            self.refuse_present(operation, &object_key).await?;
        }
        let whole = Whole {
            parts: parts.iter().map(|part| self.named(part)).collect(),
            length: parts.iter().map(|part| part.length).sum(),
            crc64: Some(crc64),
            if_absent: header.only_if_absent && self.traits.if_none_match,
        };
        let reply = self.finish(&object_key, upload, whole).await?;
        if self.full_object() {
            return self.receipt(operation, &object_key, reply, crc64).await;
        }
        let of_parts = self.traits.integrity == Integrity::Md5 && made_of(&reply.etag, parts);
        Ok(receipt(reply, of_parts))
    }

    fn named(&self, part: &PartReceipt) -> CompletedPart {
        let crc64 = self.full_object().then(|| crc64_text(part.crc64));
        CompletedPart::builder()
            .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
            .e_tag(&part.etag)
            .set_checksum_crc64_nvme(crc64)
            .build()
    }

    /// Makes the object of an upload's parts; its checksum goes along where the store compares it.
    pub(crate) async fn finish(
        &self,
        object_key: &str,
        upload: &UploadId,
        whole: Whole,
    ) -> Result<Reply, EndpointError> {
        let operation = Operation::CompleteMultipartUpload;
        let target = self.place.target(object_key);
        let crc64 = whole.crc64.filter(|_| self.full_object());
        let length = crc64.and_then(|_| i64::try_from(whole.length).ok());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(whole.parts));
        let date = AnswerDate::default();
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.place.bucket)
            .key(object_key)
            .upload_id(&upload.0)
            .multipart_upload(parts.build())
            .set_if_none_match(whole.if_absent.then(|| "*".to_owned()))
            .set_checksum_crc64_nvme(crc64.map(crc64_text))
            .set_checksum_type(crc64.map(|_| ChecksumType::FullObject))
            .set_mpu_object_size(length)
            .customize()
            .interceptor(date.clone())
            .send();
        let output = self
            .requests
            .send(Wait::LongAnswer, operation, &target, request)
            .await?;
        let found = crc64_of(output.checksum_crc64_nvme(), output.checksum_type());
        // Ceph 16 names no ETag here.
        let etag = match output.e_tag.filter(|etag| !etag.is_empty()) {
            Some(etag) => Some(etag),
            None => {
                let head = self.head(object_key).await;
                head.map_err(EndpointError::with_unknown_effect)?
                    .and_then(|head| head.e_tag)
            }
        };
        let reply = self.reply(operation, &target, etag, output.version_id, found)?;
        Ok(Reply {
            date: date.told(),
            ..reply
        })
    }

    pub(crate) async fn abort(
        &self,
        object_key: &str,
        upload: &UploadId,
    ) -> Result<(), EndpointError> {
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.place.bucket)
            .key(object_key)
            .upload_id(&upload.0)
            .send();
        let target = self.place.target(object_key);
        let aborted = self
            .requests
            .send(
                Wait::Answer,
                Operation::AbortMultipartUpload,
                &target,
                request,
            )
            .await;
        match aborted {
            Ok(_) => Ok(()),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Whether the ETag is an MD5, and not this one.
fn is_other_md5(etag: &str, digest: &[u8]) -> bool {
    hex::decode(etag.trim_matches('"')).is_ok_and(|found| found.len() == 16 && found != digest)
}

/// Whether the ETag is the one that S3 forms of the parts' own: the MD5 of their MD5s and their
/// number. Each part was proven by its MD5, so this proves the whole.
fn made_of(etag: &str, parts: &[PartReceipt]) -> bool {
    let mut hasher = Md5::new();
    for part in parts {
        match hex::decode(part.etag.trim_matches('"')) {
            Ok(digest) if digest.len() == 16 => hasher.update(digest),
            _ => return false,
        }
    }
    let expected = format!("{}-{}", hex::encode(hasher.finalize()), parts.len());
    etag.trim_matches('"').eq_ignore_ascii_case(&expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etags_of_uploads_are_made_of_their_parts() {
        let part = |number, content: &[u8]| PartReceipt {
            number,
            etag: format!("\"{}\"", hex::encode(Md5::digest(content))),
            crc64: Crc64::of(content),
            length: content.len() as u64,
        };
        let parts = [part(1, b"a"), part(2, b"b")];
        let digests = [Md5::digest(b"a"), Md5::digest(b"b")].concat();
        let etag = format!("\"{}-2\"", hex::encode(Md5::digest(&digests)));
        assert!(made_of(&etag, &parts));
        assert!(!made_of(&etag, &parts[..1]));
        let odd = PartReceipt {
            etag: "opaque".to_owned(),
            ..parts[0].clone()
        };
        assert!(!made_of(&etag, &[odd]));
    }
}
