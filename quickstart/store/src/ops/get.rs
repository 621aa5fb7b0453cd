//! GetObject and HeadObject.

use std::ops::Range;
use std::sync::Arc;

use s3s::dto::{self, ETag, ETagCondition, GetObjectInput, GetObjectOutput, StreamingBlob};
use s3s::dto::{HeadObjectInput, HeadObjectOutput};
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::attributes::{check_readable, unix_seconds};
use super::content::read;
use super::{Store, no_versions, on_disk, signed, timestamp};
use crate::bucket::Bucket;
use crate::checksum::{self, tell_checksums};
use crate::object::ObjectRecord;

/// Conditions of a read; RFC 9110 §13.2.2 gives their order.
struct Conditions {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    if_modified_since: Option<dto::Timestamp>,
    if_unmodified_since: Option<dto::Timestamp>,
}

impl Conditions {
    fn check(self, record: &ObjectRecord) -> S3Result<()> {
        let is = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == record.etag,
        };
        let failed = || {
            s3_error!(
                PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold"
            )
        };
        match (&self.if_match, self.if_unmodified_since) {
            (Some(condition), _) if !is(condition) => return Err(failed()),
            (None, Some(time)) if record.modified > unix_seconds(time.clone()) => {
                return Err(failed());
            }
            _ => {}
        }
        let unchanged = match (&self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => is(condition),
            (None, Some(time)) => record.modified <= unix_seconds(time),
            (None, None) => false,
        };
        if unchanged {
            Err(S3Error::new(S3ErrorCode::NotModified))
        } else {
            Ok(())
        }
    }
}

/// Which bytes are asked for, and whether that is less than all.
fn span(
    record: &ObjectRecord,
    range: Option<dto::Range>,
    part_number: Option<i32>,
) -> S3Result<(Range<u64>, bool)> {
    if let Some(number) = part_number {
        let index = usize::try_from(number).ok().and_then(|n| n.checked_sub(1));
        let count = if record.multipart {
            record.segments.len()
        } else {
            1
        };
        let index = index.filter(|i| *i < count).ok_or_else(|| {
            s3_error!(InvalidRange, "The requested partnumber is not satisfiable")
        })?;
        if !record.multipart {
            return Ok((0..record.size, true));
        }
        let start = record.segments[..index].iter().map(|s| s.size).sum();
        return Ok((start..start + record.segments[index].size, true));
    }
    match range {
        None => Ok((0..record.size, false)),
        Some(range) => {
            let span = range.check(record.size)?;
            Ok((span, true))
        }
    }
}

/// What a read asks for, of any input that has these fields.
macro_rules! asked_by {
    ($input:expr) => {
        Asked {
            conditions: Conditions {
                if_match: $input.if_match,
                if_none_match: $input.if_none_match,
                if_modified_since: $input.if_modified_since,
                if_unmodified_since: $input.if_unmodified_since,
            },
            version: $input.version_id,
            range: $input.range,
            part_number: $input.part_number,
            checksums: $input
                .checksum_mode
                .is_some_and(|mode| mode.as_str() == "ENABLED"),
        }
    };
}

struct Asked {
    conditions: Conditions,
    version: Option<String>,
    range: Option<dto::Range>,
    part_number: Option<i32>,
    checksums: bool,
}

/// What a read found: which bytes of which record, and what the headers say.
struct Found {
    bucket: Arc<Bucket>,
    record: ObjectRecord,
    span: Range<u64>,
    head: HeadObjectOutput,
    status: http::StatusCode,
}

impl Store {
    async fn find(&self, bucket: &str, key: String, asked: Asked) -> S3Result<Found> {
        no_versions(asked.version.as_deref())?;
        let bucket = self.bucket(bucket)?;
        let source = Arc::clone(&bucket);
        let record = on_disk(move || source.record(&key)).await?;
        asked.conditions.check(&record)?;
        let (span, partial) = span(&record, asked.range, asked.part_number)?;
        let with_checksum = asked.checksums && span == (0..record.size);
        let head = head_output(
            record.clone(),
            span.clone(),
            partial,
            asked.part_number,
            with_checksum,
        );
        Ok(Found {
            bucket,
            record,
            span,
            head,
            status: match partial {
                true => http::StatusCode::PARTIAL_CONTENT,
                false => http::StatusCode::OK,
            },
        })
    }

    pub(crate) async fn get(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let asked = asked_by!(input);
        let found = self.find(&input.bucket, input.key, asked).await?;
        check_readable(&found.record.attributes)?;
        let body = read(&found.bucket.disk, &found.record, found.span);
        let head = found.head;
        let mut output = GetObjectOutput {
            body: Some(StreamingBlob::wrap(body)),
            content_type: input.response_content_type.or(head.content_type),
            content_encoding: input.response_content_encoding.or(head.content_encoding),
            content_language: input.response_content_language.or(head.content_language),
            content_disposition: input
                .response_content_disposition
                .or(head.content_disposition),
            cache_control: input.response_cache_control.or(head.cache_control),
            expires: input.response_expires.or(head.expires),
            accept_ranges: head.accept_ranges,
            content_length: head.content_length,
            content_range: head.content_range,
            e_tag: head.e_tag,
            last_modified: head.last_modified,
            metadata: head.metadata,
            parts_count: head.parts_count,
            storage_class: head.storage_class,
            website_redirect_location: head.website_redirect_location,
            checksum_type: head.checksum_type,
            ..Default::default()
        };
        tell_checksums!(output, head);
        Ok(S3Response::with_status(output, found.status))
    }

    pub(crate) async fn head(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let asked = asked_by!(input);
        let found = self.find(&input.bucket, input.key, asked).await?;
        Ok(S3Response::with_status(found.head, found.status))
    }
}

fn head_output(
    record: ObjectRecord,
    span: Range<u64>,
    partial: bool,
    part_number: Option<i32>,
    with_checksum: bool,
) -> HeadObjectOutput {
    let checksum = record.checksum.as_ref().filter(|_| with_checksum);
    let fields = checksum::object_fields(checksum);
    let attributes = record.attributes;
    let content_range = (partial && !span.is_empty())
        .then(|| format!("bytes {}-{}/{}", span.start, span.end - 1, record.size));
    let mut output = HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        cache_control: attributes.cache_control,
        checksum_type: fields.checksum_type,
        content_disposition: attributes.content_disposition,
        content_encoding: attributes.content_encoding,
        content_language: attributes.content_language,
        content_length: Some(signed(span.end - span.start)),
        content_range,
        content_type: attributes
            .content_type
            .or_else(|| Some("binary/octet-stream".to_owned())),
        e_tag: Some(ETag::Strong(record.etag)),
        expires: attributes.expires.map(timestamp),
        last_modified: Some(timestamp(record.modified)),
        metadata: Some(attributes.metadata.into_iter().collect()),
        parts_count: part_number
            .filter(|_| record.multipart)
            .map(|_| i32::try_from(record.segments.len()).unwrap_or(i32::MAX)),
        storage_class: attributes.storage_class.map(dto::StorageClass::from),
        website_redirect_location: attributes.website_redirect_location,
        ..Default::default()
    };
    tell_checksums!(output, fields);
    output
}
