//! New metadata for an object whose content stays: a copy onto itself.

use std::collections::HashMap;

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::types::{CopyObjectResult, MetadataDirective, TaggingDirective};
use aws_smithy_types::date_time::{DateTime, Format};
use datasync_endpoint::{
    EndpointError, ErrorKind, ExtendedMetadata, Integrity, Key, ObjectState, PosixMetadata, Receipt,
};

use crate::calls::Operation;
use crate::copy_parts::{Original, copy_source};
use crate::destination::Store;
use crate::listing::timestamp;
use crate::object::replaced_metadata;
use crate::place::PUT_MAX;
use crate::properties::tagging;
use crate::put::{Reply, receipt};
use crate::requests::Wait;
use crate::sums::{Proof, Sum, told};

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
            let request = self.like(&object_key, &head, map).await?;
            let itself = Original {
                bucket: &self.place.bucket,
                key: &object_key,
                etag: &current.etag,
                size: current.size,
                crc64: current.crc64,
            };
            self.copy_in_parts(&object_key, request, &itself).await?
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
            .copy_source(copy_source(&self.place.bucket, object_key))
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

    /// A request for an upload of the same object with other user metadata.
    async fn like(
        &self,
        object_key: &str,
        head: &HeadObjectOutput,
        map: HashMap<String, String>,
    ) -> Result<CreateMultipartUploadFluentBuilder, EndpointError> {
        let tags = self.tags(object_key).await?;
        Ok(kept!(self.client.create_multipart_upload(), head)
            .set_tagging(tags)
            .set_metadata(Some(map)))
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
}
