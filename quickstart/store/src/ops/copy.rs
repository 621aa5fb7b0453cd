//! CopyObject, and the source that it shares with UploadPartCopy.

use std::sync::Arc;

use s3s::dto::{self, CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource};
use s3s::dto::{ETagCondition, MetadataDirective, TaggingDirective};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::attributes::{attributes_of, check_readable, tags_from_header};
use super::content::{BODY_MAX, read_as_body, receive};
use super::{Store, no_versions, on_disk, timestamp};
use crate::bucket::{Bucket, Precondition, disk_error, now};
use crate::checksum::{self, Algorithm, ChecksumKind, ObjectChecksum, tell_checksums};
use crate::disk::Content;
use crate::object::{Attributes, ObjectRecord};

/// The object that is copied.
pub(crate) struct Source {
    pub(crate) bucket: Arc<Bucket>,
    pub(crate) record: ObjectRecord,
}

impl Source {
    pub(crate) async fn find(store: &Store, source: &CopySource) -> S3Result<Self> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = source
        else {
            return Err(s3_error!(
                NotImplemented,
                "Access points cannot be copied from."
            ));
        };
        no_versions(version_id.as_deref())?;
        let bucket = store.bucket(bucket)?;
        let (owner, key) = (bucket.clone(), key.clone());
        let record = on_disk(move || owner.record(&key)).await?;
        Ok(Self { bucket, record })
    }

    pub(crate) fn check(
        &self,
        if_match: Option<&ETagCondition>,
        if_none_match: Option<&ETagCondition>,
    ) -> S3Result<()> {
        let is = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == self.record.etag,
        };
        if if_match.is_some_and(|c| !is(c)) || if_none_match.is_some_and(is) {
            return Err(s3_error!(
                PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold"
            ));
        }
        check_readable(&self.record.attributes)
    }

    /// The content for the copy and the parts of its record that follow from the content.
    ///
    /// The copy of an object that was uploaded whole shares its bytes on disk. One that was
    /// uploaded in parts is hashed anew: its copy is no multipart object, so its ETag differs.
    async fn content(&self, bucket: &Bucket, algorithm: Option<Algorithm>) -> S3Result<Copied> {
        let record = &self.record;
        let known = record.checksum.as_ref().map(|c| c.value.algorithm);
        let segment = record.segments.first().filter(|_| !record.multipart);
        if let Some(segment) = segment.filter(|_| algorithm.is_none() || algorithm == known) {
            let (disk, from) = (bucket.disk.clone(), self.bucket.disk.data_path(&segment.id));
            let content = on_disk(move || disk.link(&from).map_err(disk_error)).await?;
            return Ok(Copied {
                content,
                etag: record.etag.clone(),
                checksum: record.checksum.clone(),
            });
        }
        let body = read_as_body(&self.bucket.disk, record, 0..record.size);
        let algorithm = algorithm.or(known);
        let received = receive(&bucket.disk, body, Some(record.size), algorithm).await?;
        let kind = ChecksumKind::FullObject;
        Ok(Copied {
            etag: hex::encode(received.hashes.md5),
            checksum: received
                .hashes
                .value
                .map(|value| ObjectChecksum { value, kind }),
            content: received.content,
        })
    }
}

struct Copied {
    content: Content,
    etag: String,
    checksum: Option<ObjectChecksum>,
}

impl Store {
    pub(crate) async fn copy(
        &self,
        mut request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = &mut request.input;
        let bucket = self.bucket(&input.bucket)?;
        let source = Source::find(self, &input.copy_source).await?;
        source.check(
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
        )?;
        if source.record.size > BODY_MAX {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy \
                 source: {BODY_MAX}"
            ));
        }
        let attributes = copied_attributes(input, &source, &bucket)?;
        let replaces_tags = input
            .tagging_directive
            .as_ref()
            .is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
        let tags = match replaces_tags {
            true => tags_from_header(input.tagging.as_deref())?,
            false => source.record.tags.clone(),
        };
        let algorithm = self.asked_algorithm(input.checksum_algorithm.as_ref())?;
        let copied = source.content(&bucket, algorithm).await?;
        let record = ObjectRecord {
            key: std::mem::take(&mut input.key),
            size: source.record.size,
            modified: now(),
            etag: copied.etag,
            segments: vec![copied.content.segment(source.record.size)],
            attributes,
            checksum: copied.checksum,
            tags,
            multipart: false,
        };
        let content = copied.content;
        let record = on_disk(move || {
            bucket.commit(&record, &Precondition::default())?;
            content.keep();
            Ok(record)
        })
        .await?;
        Ok(S3Response::new(output(record)))
    }
}

/// The source's attributes, or those of the request; the storage class is always the request's.
fn copied_attributes(
    input: &mut CopyObjectInput,
    source: &Source,
    bucket: &Arc<Bucket>,
) -> S3Result<Attributes> {
    let replaces = input
        .metadata_directive
        .as_ref()
        .is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
    let onto_itself = Arc::ptr_eq(&source.bucket, bucket) && source.record.key == input.key;
    let changes = replaces
        || input.storage_class.is_some()
        || input.website_redirect_location.is_some()
        || input.server_side_encryption.is_some();
    if onto_itself && !changes {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without \
             changing the object's metadata, storage class, website redirect location or \
             encryption attributes."
        ));
    }
    let asked = attributes_of!(input)?;
    if replaces {
        return Ok(asked);
    }
    Ok(Attributes {
        storage_class: asked.storage_class,
        website_redirect_location: asked.website_redirect_location,
        ..source.record.attributes.clone()
    })
}

fn output(record: ObjectRecord) -> CopyObjectOutput {
    let fields = checksum::object_fields(record.checksum.as_ref());
    let mut result = CopyObjectResult {
        e_tag: Some(dto::ETag::Strong(record.etag)),
        last_modified: Some(timestamp(record.modified)),
        checksum_type: fields.checksum_type,
        ..Default::default()
    };
    tell_checksums!(result, fields);
    CopyObjectOutput {
        copy_object_result: Some(result),
        ..Default::default()
    }
}
