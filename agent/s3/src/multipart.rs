//! Objects in parts.

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::types::{ChecksumType, CompletedMultipartUpload, CompletedPart, StorageClass};
use datasync_endpoint::{
    Checksum, Crc64, EndpointError, ErrorKind, Integrity, Key, ObjectChecksum, ObjectHeader,
    PartReceipt, Receipt, UploadId,
};
use md5::{Digest as _, Md5};

use crate::calls::Operation;
use crate::check::{Check, checked};
use crate::date::AnswerDate;
use crate::destination::Store;
use crate::properties::{described, user_metadata};
use crate::put::{Reply, receipt};
use crate::requests::Wait;
use crate::sums::{Proof, Sum, told};

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
    /// By which checksum parts, and the objects made of them, are proven.
    pub(crate) fn part_proof(&self) -> Option<Proof> {
        Proof::of(self.traits.integrity).filter(|_| self.traits.parts)
    }

    pub(crate) async fn create(
        &self,
        key: &Key,
        header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        let object_key = self.place.object_key(key);
        let request = self.upload_with(header, size);
        self.begin(&object_key, request, self.part_proof()).await
    }

    /// A request for an upload of an object that is to have this header.
    pub(crate) fn upload_with(
        &self,
        header: &ObjectHeader,
        size: u64,
    ) -> CreateMultipartUploadFluentBuilder {
        let class = self.place.class_for(header.storage_class.as_deref(), size);
        let request = self.client.create_multipart_upload();
        described!(request, &header.properties)
            .set_metadata(Some(user_metadata(header)))
            .set_storage_class(class.as_deref().map(StorageClass::from))
    }

    /// Begins an upload of this key, whose parts are proven by `proof`.
    pub(crate) async fn begin(
        &self,
        object_key: &str,
        request: CreateMultipartUploadFluentBuilder,
        proof: Option<Proof>,
    ) -> Result<UploadId, EndpointError> {
        let request = request
            .bucket(&self.place.bucket)
            .key(object_key)
            .set_checksum_algorithm(proof.map(Proof::of_sdk))
            .set_checksum_type(proof.map(Proof::kind_in_parts))
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
        let ours = self.sum_of_whole(&object_key, parts, crc64)?;
        let whole = Whole {
            parts: parts.iter().map(|part| self.named(part)).collect(),
            length: parts.iter().map(|part| part.length).sum(),
            crc64: Some(crc64),
            if_absent: header.only_if_absent && self.traits.if_none_match,
        };
        let reply = self.finish(&object_key, upload, whole).await?;
        if let Some(ours) = ours {
            return self
                .receipt_of_content(operation, &object_key, reply, ours)
                .await;
        }
        let of_parts = self.traits.integrity == Integrity::Md5 && made_of(&reply.etag, parts);
        Ok(receipt(reply, of_parts))
    }

    /// What the store must tell of an object of these parts.
    ///
    /// # Errors
    /// If a part has no checksum of the algorithm: it was sent when the store was another.
    fn sum_of_whole(
        &self,
        object_key: &str,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Option<Sum>, EndpointError> {
        let algorithm = match self.part_proof() {
            None => return Ok(None),
            Some(Proof::Crc64) => return Ok(Some(Sum::Crc64(crc64))),
            Some(Proof::Other(algorithm)) => algorithm,
        };
        let of_algorithm = |part: &PartReceipt| {
            let checksum = part.checksum;
            checksum.filter(|checksum| checksum.algorithm() == algorithm)
        };
        let checksums: Option<Vec<Checksum>> = parts.iter().map(of_algorithm).collect();
        let whole = checksums.and_then(ObjectChecksum::of_parts);
        whole.map(|whole| Some(Sum::Other(whole))).ok_or_else(|| {
            let detail = format!("a part was sent without {algorithm}");
            let operation = Operation::CompleteMultipartUpload.name();
            let target = self.place.target(object_key);
            EndpointError::new(ErrorKind::Invalid, operation, target, detail)
        })
    }

    fn named(&self, part: &PartReceipt) -> CompletedPart {
        let check = match (self.part_proof(), part.checksum) {
            (Some(Proof::Crc64), _) => Check::Sum(Sum::Crc64(part.crc64)),
            (Some(Proof::Other(_)), Some(checksum)) => Check::Sum(checksum.into()),
            (Some(Proof::Other(_)) | None, _) => Check::Nothing,
        };
        checked!(CompletedPart::builder(), check)
            .part_number(i32::try_from(part.number).unwrap_or(i32::MAX))
            .e_tag(&part.etag)
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
        let is_full_object = self.part_proof() == Some(Proof::Crc64);
        let crc64 = whole.crc64.filter(|_| is_full_object);
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
            .set_checksum_crc64_nvme(crc64.map(|crc64| Sum::Crc64(crc64).text()))
            .set_checksum_type(crc64.map(|_| ChecksumType::FullObject))
            .set_mpu_object_size(length)
            .customize()
            .interceptor(date.clone())
            .send();
        let output = self
            .requests
            .send(Wait::LongAnswer, operation, &target, request)
            .await?;
        let told = told!(output, output.checksum_type());
        // Ceph 16 names no ETag here.
        let etag = match output.e_tag.filter(|etag| !etag.is_empty()) {
            Some(etag) => Some(etag),
            None => {
                let head = self.head(object_key).await;
                head.map_err(EndpointError::with_unknown_effect)?
                    .and_then(|head| head.e_tag)
            }
        };
        let reply = self.reply(operation, &target, etag, output.version_id, told)?;
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
            checksum: None,
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
