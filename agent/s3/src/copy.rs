//! New metadata for an object whose content stays: a copy onto itself.

use std::collections::HashMap;

use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{
    CompletedPart, CopyObjectResult, CopyPartResult, MetadataDirective, TaggingDirective,
};
use aws_smithy_types::date_time::{DateTime, Format};
use datasync_endpoint::{
    EndpointError, ErrorKind, ExtendedMetadata, Integrity, Key, ObjectState, PosixMetadata,
    Receipt, UploadId,
};

use crate::calls::Operation;
use crate::destination::Store;
use crate::listing::timestamp;
use crate::multipart::Whole;
use crate::object::replaced_metadata;
use crate::place::{PARTS_MAX, PUT_MAX, in_path};
use crate::properties::tagging;
use crate::put::{Reply, receipt};
use crate::requests::Wait;
use crate::sums::{Proof, Sum, Told, told};

/// Copied parts are at least this long, in bytes: few requests, each of some seconds.
const COPY_PART_MIN: u64 = 1 << 30;

/// `bytes=a-b` of every part of an object.
fn ranges(size: u64) -> Vec<String> {
    let part = size.div_ceil(u64::from(PARTS_MAX)).max(COPY_PART_MIN);
    (0..size.div_ceil(part))
        .map(|index| {
            let first = index * part;
            format!("bytes={first}-{}", (first + part).min(size) - 1)
        })
        .collect()
}

/// A request that writes what HEAD told of an object besides its content and user metadata.
macro_rules! kept {
    ($request:expr, $head:expr) => {
        $request
            .set_storage_class($head.storage_class.clone())
            .set_content_type($head.content_type.clone())
            .set_content_encoding($head.content_encoding.clone())
            .set_content_disposition($head.content_disposition.clone())
            .set_content_language($head.content_language.clone())
            .set_cache_control($head.cache_control.clone())
            .set_expires(expires($head))
            .set_website_redirect_location($head.website_redirect_location.clone())
            .set_server_side_encryption($head.server_side_encryption.clone())
            .set_ssekms_key_id($head.ssekms_key_id.clone())
            .set_bucket_key_enabled($head.bucket_key_enabled)
    };
}

fn expires(head: &HeadObjectOutput) -> Option<DateTime> {
    DateTime::from_str(head.expires_string()?, Format::HttpDate).ok()
}

impl Store {
    fn copy_source(&self, object_key: &str) -> String {
        let bucket = &self.place.bucket;
        format!("{bucket}/{}", in_path(object_key))
    }

    pub(crate) async fn replace_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        (metadata, extended): (&PosixMetadata, Option<&ExtendedMetadata>),
    ) -> Result<Receipt, EndpointError> {
        let object_key = self.place.object_key(key);
        let changed = |detail: &str| {
            let target = self.place.target(&object_key);
            let operation = Operation::CopyObject.name();
            EndpointError::new(ErrorKind::Precondition, operation, target, detail)
        };
        let head = self
            .head(&object_key)
            .await?
            .ok_or_else(|| changed("the object is gone"))?;
        if head.e_tag() != Some(&current.etag) {
            return Err(changed("the object was replaced meanwhile"));
        }
        let map = replaced_metadata(head.metadata(), metadata, extended);
        let reply = if current.size > PUT_MAX {
            self.copy_in_parts(&object_key, &head, current, map).await?
        } else {
            self.copy_whole(&object_key, &head, current, map).await?
        };
        match self.sum_of_copy(current) {
            Some(ours) => {
                self.receipt(Operation::CopyObject, &object_key, reply, ours)
                    .await
            }
            None => {
                // Equal ETags of a store that computes them: the content is the same.
                let same =
                    self.traits.integrity != Integrity::ReadBack && reply.etag == current.etag;
                Ok(receipt(reply, same))
            }
        }
    }

    /// What the store must tell of a copy: the CRC-64 of the object, or its other checksum, unless
    /// that is of other parts than those of the copy.
    fn sum_of_copy(&self, current: &ObjectState) -> Option<Sum> {
        match Proof::of(self.traits.integrity)? {
            Proof::Crc64 => current.crc64.map(Sum::Crc64),
            Proof::Other(_) if current.size > PUT_MAX => None,
            Proof::Other(_) => {
                let whole = current.checksum.filter(|checksum| checksum.parts.is_none());
                whole.map(Sum::Other)
            }
        }
    }

    async fn copy_whole(
        &self,
        object_key: &str,
        head: &HeadObjectOutput,
        current: &ObjectState,
        map: HashMap<String, String>,
    ) -> Result<Reply, EndpointError> {
        let operation = Operation::CopyObject;
        let proof = Proof::of(self.traits.integrity);
        let request = kept!(self.client.copy_object(), head)
            .bucket(&self.place.bucket)
            .key(object_key)
            .copy_source(self.copy_source(object_key))
            .copy_source_if_match(&current.etag)
            .metadata_directive(MetadataDirective::Replace)
            .tagging_directive(TaggingDirective::Copy)
            .set_metadata(Some(map))
            .set_checksum_algorithm(proof.map(Proof::of_sdk))
            .customize()
            .interceptor(self.write_headers.clone())
            .send();
        let target = self.place.target(object_key);
        let output = self
            .requests
            .send(Wait::LongAnswer, operation, &target, request)
            .await?;
        let result = output
            .copy_object_result
            .unwrap_or_else(|| CopyObjectResult::builder().build());
        let told = told!(result, result.checksum_type());
        let date = result.last_modified().map(timestamp);
        let reply = self.reply(operation, &target, result.e_tag, output.version_id, told)?;
        Ok(Reply { date, ..reply })
    }

    /// CopyObject ends at 5 GiB; parts can be copied too.
    async fn copy_in_parts(
        &self,
        object_key: &str,
        head: &HeadObjectOutput,
        current: &ObjectState,
        map: HashMap<String, String>,
    ) -> Result<Reply, EndpointError> {
        let upload = self.create_like(object_key, head, map).await?;
        let copied = self.copy_parts(object_key, &upload, current).await;
        if let Err(error) = &copied {
            // Where completing was not answered, aborting ends it only if it has not happened.
            if let Err(kept) = self.abort(object_key, &upload).await {
                tracing::warn!(%error, %kept, upload = upload.0, "an upload of a copy stays open");
            }
        }
        copied
    }

    async fn create_like(
        &self,
        object_key: &str,
        head: &HeadObjectOutput,
        map: HashMap<String, String>,
    ) -> Result<UploadId, EndpointError> {
        let tags = self.tags(object_key).await?;
        let request = kept!(self.client.create_multipart_upload(), head)
            .set_tagging(tags)
            .set_metadata(Some(map));
        self.begin(object_key, request, self.part_proof()).await
    }

    /// The object's tags as `x-amz-tagging` takes them; a store without tags has none.
    async fn tags(&self, object_key: &str) -> Result<Option<String>, EndpointError> {
        let request = self
            .client
            .get_object_tagging()
            .bucket(&self.place.bucket)
            .key(object_key)
            .send();
        let target = self.place.target(object_key);
        let answer = self
            .requests
            .send(Wait::Answer, Operation::GetObjectTagging, &target, request)
            .await;
        let output = match answer {
            Err(error) if error.kind == ErrorKind::NotSupported => return Ok(None),
            answer => answer?,
        };
        let tags = output.tag_set().iter();
        Ok(tagging(tags.map(|tag| (tag.key(), tag.value()))))
    }

    async fn copy_parts(
        &self,
        object_key: &str,
        upload: &UploadId,
        current: &ObjectState,
    ) -> Result<Reply, EndpointError> {
        let target = self.place.target(object_key);
        let mut parts = Vec::new();
        for (number, range) in (1..).zip(ranges(current.size)) {
            let request = self
                .client
                .upload_part_copy()
                .bucket(&self.place.bucket)
                .key(object_key)
                .upload_id(&upload.0)
                .part_number(number)
                .copy_source(self.copy_source(object_key))
                .copy_source_if_match(&current.etag)
                .copy_source_range(range)
                .send();
            let operation = Operation::UploadPartCopy;
            let output = self
                .requests
                .send(Wait::LongAnswer, operation, &target, request)
                .await?;
            let result = output
                .copy_part_result
                .unwrap_or_else(|| CopyPartResult::builder().build());
            let part = self.reply(operation, &target, result.e_tag, None, Told::default())?;
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .e_tag(part.etag)
                    .set_checksum_crc64_nvme(result.checksum_crc64_nvme)
                    .set_checksum_crc32_c(result.checksum_crc32_c)
                    .set_checksum_sha256(result.checksum_sha256)
                    .build(),
            );
        }
        let whole = Whole {
            parts,
            length: current.size,
            crc64: current.crc64,
            if_absent: false,
        };
        self.finish(object_key, upload, whole).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_object_once() {
        assert_eq!(
            ranges((1 << 30) + 1),
            ["bytes=0-1073741823", "bytes=1073741824-1073741824"]
        );
        let most = u64::from(PARTS_MAX) * PUT_MAX;
        let all = ranges(most);
        assert_eq!(all.len(), 10_000);
        assert!(all[9_999].ends_with(&format!("-{}", most - 1)));
    }
}
