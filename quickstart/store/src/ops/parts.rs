//! UploadPart, UploadPartCopy, ListParts.

use std::ops::Range;
use std::sync::Arc;

use s3s::dto::{
    self, CopyPartResult, ListPartsInput, ListPartsOutput, UploadPartCopyInput,
    UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::buckets::owner;
use super::content::{read_as_body, receive};
use super::copy::Source;
use super::put::{Declared, receive_verified};
use super::{Store, on_disk, signed, timestamp};
use crate::access::RequestControl;
use crate::bucket::{Bucket, disk_error, now};
use crate::checksum::{self, Algorithm, checksums_of, tell_checksums};
use crate::config::StoreIntegrity;
use crate::disk::Received;
use crate::upload::{PART_NUMBER_MAX, Part, Plan};

/// The plan of the upload that a part is for.
fn plan_of(bucket: &Bucket, key: &str, upload: &str, number: i32) -> S3Result<Plan> {
    if !(1..=PART_NUMBER_MAX).contains(&number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive"
        ));
    }
    Ok(bucket.uploads().get(key, upload)?.plan.clone())
}

/// The algorithm that parts of an upload are hashed with.
fn part_algorithm(plan: &Plan, integrity: StoreIntegrity) -> Option<Algorithm> {
    let announced = plan.checksum.map(|(algorithm, _)| algorithm);
    announced.or(integrity.default_algorithm())
}

/// A part may carry only the kind of checksum that its upload announced.
fn check_algorithm(plan: &Plan, declared: Option<Algorithm>) -> S3Result<()> {
    let announced = plan.checksum.map(|(algorithm, _)| algorithm);
    match declared {
        Some(declared) if announced != Some(declared) => Err(s3_error!(
            InvalidRequest,
            "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
            announced.map_or("null".to_owned(), |a| a.name().to_ascii_lowercase()),
            declared.name().to_ascii_lowercase()
        )),
        _ => Ok(()),
    }
}

/// Adds what has arrived to its upload.
async fn store_part(
    bucket: Arc<Bucket>,
    plan: Plan,
    number: i32,
    received: Received,
    damaged: bool,
) -> S3Result<Part> {
    let part = Part {
        number,
        segment: received.segment(),
        modified: now(),
        etag: hex::encode(received.hashes.md5),
        checksum: received.hashes.value.clone(),
    };
    on_disk(move || {
        let stored = bucket
            .uploads()
            .put_part(&bucket.disk, &plan.key, &plan.id, part.clone())?;
        let replaced = stored.map_err(disk_error)?;
        received.content.keep();
        bucket.disk.discard(
            &replaced
                .map(|part| part.segment)
                .into_iter()
                .collect::<Vec<_>>(),
        );
        if damaged && part.segment.size > 0 {
            bucket.disk.flip_bit(&part.segment).map_err(disk_error)?;
        }
        Ok(part)
    })
    .await
}

impl Store {
    pub(crate) async fn put_part(
        &self,
        mut request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = &mut request.input;
        let bucket = self.bucket(&input.bucket)?;
        let plan = plan_of(&bucket, &input.key, &input.upload_id, input.part_number)?;
        let declared = Declared::read(
            &self.config,
            &request.headers,
            request.trailing_headers.take(),
            &checksums_of!(input),
            input.content_md5.take(),
        )?;
        check_algorithm(&plan, declared.algorithm())?;
        let algorithm = part_algorithm(&plan, self.config.integrity);
        let (body, length) = (input.body.take(), input.content_length);
        let received = receive_verified(&bucket.disk, body, length, &declared, algorithm).await?;
        let damaged = RequestControl::flips_bit(&request.extensions);
        let shown = plan.checksum.is_some();
        let part = store_part(bucket, plan, input.part_number, received, damaged).await?;
        let fields = checksum::fields(part.checksum.as_ref().filter(|_| shown), None);
        let mut output = UploadPartOutput {
            e_tag: Some(dto::ETag::Strong(part.etag)),
            ..Default::default()
        };
        tell_checksums!(output, fields);
        Ok(S3Response::new(output))
    }

    pub(crate) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let plan = plan_of(&bucket, &input.key, &input.upload_id, input.part_number)?;
        let source = Source::find(self, &input.copy_source).await?;
        source.check(
            input.copy_source_if_match.as_ref(),
            input.copy_source_if_none_match.as_ref(),
        )?;
        let range = copy_range(input.copy_source_range.as_deref(), source.record.size)?;
        let length = range.end - range.start;
        let body = read_as_body(&source.bucket.disk, &source.record, range);
        let algorithm = part_algorithm(&plan, self.config.integrity);
        let received = receive(&bucket.disk, body, Some(length), algorithm).await?;
        let shown = plan.checksum.is_some();
        let part = store_part(bucket, plan, input.part_number, received, false).await?;
        let fields = checksum::fields(part.checksum.as_ref().filter(|_| shown), None);
        let mut result = CopyPartResult {
            e_tag: Some(dto::ETag::Strong(part.etag)),
            last_modified: Some(timestamp(part.modified)),
            ..Default::default()
        };
        tell_checksums!(result, fields);
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..Default::default()
        }))
    }

    pub(crate) fn parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let uploads = bucket.uploads();
        let upload = uploads.get(&input.key, &input.upload_id)?;
        let max = usize::try_from(input.max_parts.unwrap_or(1000).clamp(0, 1000)).unwrap_or(1000);
        let marker = input.part_number_marker.unwrap_or_default();
        let mut after = upload
            .parts
            .range(marker.saturating_add(1)..)
            .map(|(_, part)| part);
        let page: Vec<&Part> = after.by_ref().take(max).collect();
        let truncated = after.next().is_some();
        let checksum = upload.plan.checksum;
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            part_number_marker: Some(marker),
            next_part_number_marker: page.last().filter(|_| truncated).map(|part| part.number),
            max_parts: i32::try_from(max).ok(),
            is_truncated: Some(truncated),
            parts: Some(
                page.into_iter()
                    .map(|part| listed(part, checksum.is_some()))
                    .collect(),
            ),
            checksum_algorithm: checksum
                .map(|(algorithm, _)| dto::ChecksumAlgorithm::from_static(algorithm.name())),
            checksum_type: checksum.map(|(_, kind)| dto::ChecksumType::from_static(kind.name())),
            owner: Some(owner()),
            storage_class: Some(dto::StorageClass::from(
                upload
                    .plan
                    .attributes
                    .storage_class
                    .clone()
                    .unwrap_or("STANDARD".to_owned()),
            )),
            ..Default::default()
        }))
    }
}

fn listed(part: &Part, with_checksum: bool) -> dto::Part {
    let fields = checksum::fields(part.checksum.as_ref().filter(|_| with_checksum), None);
    let mut listed = dto::Part {
        part_number: Some(part.number),
        e_tag: Some(dto::ETag::Strong(part.etag.clone())),
        size: Some(signed(part.segment.size)),
        last_modified: Some(timestamp(part.modified)),
        ..Default::default()
    };
    tell_checksums!(listed, fields);
    listed
}

/// `bytes=first-last`, both given and both within the source.
fn copy_range(header: Option<&str>, size: u64) -> S3Result<Range<u64>> {
    let Some(header) = header else {
        return Ok(0..size);
    };
    let parsed = header
        .strip_prefix("bytes=")
        .and_then(|text| text.split_once('-'));
    let parsed = parsed.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    match parsed {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some(_) => Err(s3_error!(
            InvalidRange,
            "The range {header} is not within the source object"
        )),
        None => Err(s3_error!(
            InvalidArgument,
            "The x-amz-copy-source-range value must be of the form bytes=first-last"
        )),
    }
}
