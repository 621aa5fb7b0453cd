//! CreateMultipartUpload, CompleteMultipartUpload, AbortMultipartUpload.

use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    self, AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::attributes::{attributes_of, tags_from_header};
use super::{Store, on_disk};
use crate::bucket::{Bucket, Precondition, disk_error, now};
use crate::checksum::{
    self, Algorithm, ChecksumKind, ObjectChecksum, Value, checksums_of, combine, tell_checksums,
};
use crate::config::StoreIntegrity;
use crate::disk::random_id;
use crate::object::ObjectRecord;
use crate::upload::{Part, Plan, Upload};

/// Ids of one key sort by age.
fn upload_id() -> S3Result<String> {
    Ok(format!(
        "{:016x}{}",
        now(),
        random_id().map_err(disk_error)?
    ))
}

impl Store {
    pub(crate) async fn create_upload(
        &self,
        mut request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = &mut request.input;
        let bucket = self.bucket(&input.bucket)?;
        let algorithm = self.asked_algorithm(input.checksum_algorithm.as_ref())?;
        let kind = input.checksum_type.as_ref().map(|kind| kind.as_str());
        if kind.is_some() && algorithm.is_none() && self.keeps_checksums() {
            return Err(s3_error!(
                InvalidRequest,
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header."
            ));
        }
        let checksum = match algorithm {
            Some(algorithm) => Some((algorithm, algorithm.multipart_kind(kind)?)),
            None => None,
        };
        let plan = Plan {
            id: upload_id()?,
            key: input.key.clone(),
            initiated: now(),
            attributes: attributes_of!(input)?,
            tags: tags_from_header(input.tagging.as_deref())?,
            checksum,
        };
        let output = CreateMultipartUploadOutput {
            bucket: Some(std::mem::take(&mut input.bucket)),
            key: Some(plan.key.clone()),
            upload_id: Some(plan.id.clone()),
            checksum_algorithm: checksum
                .map(|(algorithm, _)| dto::ChecksumAlgorithm::from_static(algorithm.name())),
            checksum_type: checksum.map(|(_, kind)| dto::ChecksumType::from_static(kind.name())),
            ..Default::default()
        };
        on_disk(move || {
            bucket
                .uploads()
                .create(&bucket.disk, plan)
                .map_err(disk_error)
        })
        .await?;
        Ok(S3Response::new(output))
    }

    pub(crate) async fn complete_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let mut input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let rules = Rules {
            part_size_min: self.config.part_size_min,
            integrity: self.config.integrity,
        };
        let name = input.bucket.clone();
        let precondition = Precondition {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
        };
        let record = on_disk(move || complete(&bucket, &rules, &input, &precondition)).await?;
        let fields = checksum::object_fields(record.checksum.as_ref());
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!("/{name}/{}", record.key)),
            bucket: Some(name),
            key: Some(record.key),
            e_tag: Some(dto::ETag::Strong(record.etag)),
            checksum_type: fields.checksum_type,
            ..Default::default()
        };
        tell_checksums!(output, fields);
        Ok(S3Response::new(output))
    }

    pub(crate) async fn abort_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        on_disk(move || {
            let removed = bucket
                .uploads()
                .remove(&bucket.disk, &input.key, &input.upload_id)?;
            let upload = removed.map_err(disk_error)?;
            let segments: Vec<_> = upload
                .parts
                .into_values()
                .map(|part| part.segment)
                .collect();
            bucket.disk.discard(&segments);
            Ok(())
        })
        .await?;
        let status = http::StatusCode::NO_CONTENT;
        Ok(S3Response::with_status(
            AbortMultipartUploadOutput::default(),
            status,
        ))
    }
}

struct Rules {
    part_size_min: u64,
    integrity: StoreIntegrity,
}

/// Makes the object; the upload ends only after the object is there.
fn complete(
    bucket: &Bucket,
    rules: &Rules,
    input: &CompleteMultipartUploadInput,
    precondition: &Precondition,
) -> S3Result<ObjectRecord> {
    let _writer = bucket.lock(&input.key);
    let upload = bucket.uploads().get(&input.key, &input.upload_id)?.clone();
    let named = input
        .multipart_upload
        .as_ref()
        .and_then(|m| m.parts.as_deref())
        .unwrap_or_default();
    let parts = choose(&upload, named, rules)?;
    let size: u64 = parts.iter().map(|part| part.segment.size).sum();
    if input
        .mpu_object_size
        .is_some_and(|told| u64::try_from(told) != Ok(size))
    {
        return Err(s3_error!(
            InvalidRequest,
            "The provided 'x-amz-mp-object-size' header does not match what was computed."
        ));
    }
    let checksum = whole_checksum(&upload, &parts, rules, input)?;
    let record = ObjectRecord {
        key: input.key.clone(),
        size,
        modified: now(),
        etag: multipart_etag(&parts)?,
        segments: parts.iter().map(|part| part.segment.clone()).collect(),
        attributes: upload.plan.attributes.clone(),
        checksum,
        tags: upload.plan.tags.clone(),
        multipart: true,
    };
    bucket.commit_locked(&record, precondition)?;
    let removed = bucket
        .uploads()
        .remove(&bucket.disk, &input.key, &input.upload_id)?;
    let closed = removed.map_err(disk_error)?;
    let unused = closed.parts.into_values().map(|part| part.segment);
    let unused: Vec<_> = unused
        .filter(|segment| !record.segments.contains(segment))
        .collect();
    bucket.disk.discard(&unused);
    Ok(record)
}

/// The parts that the request names, in its order, each as it claims to be.
fn choose<'a>(
    upload: &'a Upload,
    named: &[CompletedPart],
    rules: &Rules,
) -> S3Result<Vec<&'a Part>> {
    if named.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "You must specify at least one part"
        ));
    }
    if !named
        .windows(2)
        .all(|pair| pair[0].part_number < pair[1].part_number)
    {
        return Err(s3_error!(
            InvalidPartOrder,
            "The list of parts was not in ascending order. Parts must be ordered by part number."
        ));
    }
    let mut parts = Vec::with_capacity(named.len());
    for name in named {
        let number = name.part_number.unwrap_or_default();
        let found = upload.parts.get(&number).filter(|part| {
            name.e_tag
                .as_ref()
                .is_some_and(|etag| etag.value() == part.etag)
        });
        let part = found.ok_or_else(|| {
            s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found. The part may not have \
                 been uploaded, or the specified entity tag may not match the part's entity tag."
            )
        })?;
        if rules.integrity.knows(Algorithm::Sha256) {
            check_named_checksum(upload, name, part)?;
        }
        parts.push(part);
    }
    let (_, but_last) = parts.split_last().unwrap_or((&parts[0], &[]));
    if but_last
        .iter()
        .any(|part| part.segment.size < rules.part_size_min)
    {
        return Err(s3_error!(
            EntityTooSmall,
            "Your proposed upload is smaller than the minimum allowed size"
        ));
    }
    Ok(parts)
}

fn check_named_checksum(upload: &Upload, name: &CompletedPart, part: &Part) -> S3Result<()> {
    let fields = checksums_of!(name);
    match (checksum::single(&fields, false)?, upload.plan.checksum) {
        (Some(named), _) if Some(&named) != part.checksum.as_ref() => Err(s3_error!(
            InvalidPart,
            "One or more of the specified parts could not be found. The part may not have been \
             uploaded, or the specified checksum may not match the part's checksum."
        )),
        (None, Some((algorithm, ChecksumKind::Composite))) => Err(s3_error!(
            InvalidRequest,
            "The upload was created using a {} checksum. The complete request must include the \
             checksum for each part. It was missing for part {} in the request.",
            algorithm.name().to_ascii_lowercase(),
            part.number
        )),
        _ => Ok(()),
    }
}

/// The object's checksum, compared with the one that the request carries.
fn whole_checksum(
    upload: &Upload,
    parts: &[&Part],
    rules: &Rules,
    input: &CompleteMultipartUploadInput,
) -> S3Result<Option<ObjectChecksum>> {
    let by_default = rules.integrity.default_algorithm();
    let by_default = by_default.map(|algorithm| (algorithm, ChecksumKind::FullObject));
    let Some((algorithm, kind)) = upload.plan.checksum.or(by_default) else {
        return Ok(None);
    };
    if input
        .checksum_type
        .as_ref()
        .is_some_and(|told| told.as_str() != kind.name())
    {
        return Err(s3_error!(
            InvalidRequest,
            "The upload was created using the {} checksum mode. The complete request must use the \
             same checksum mode.",
            kind.name()
        ));
    }
    let sums: Vec<(Option<&Value>, u64)> = parts
        .iter()
        .map(|part| (part.checksum.as_ref(), part.segment.size))
        .collect();
    let computed = combine(algorithm, kind, &sums);
    let fields = checksums_of!(input);
    if let Some(told) = checksum::single(&fields, kind == ChecksumKind::Composite)? {
        match &computed {
            Some(computed) if computed.value.algorithm == told.algorithm => {
                told.verify(&computed.value)?;
            }
            _ => {
                return Err(s3_error!(
                    InvalidRequest,
                    "The upload was created with another checksum algorithm than {}.",
                    told.algorithm.name()
                ));
            }
        }
    }
    Ok(computed)
}

/// MD5 of the parts' MD5s, then their number.
fn multipart_etag(parts: &[&Part]) -> S3Result<String> {
    let mut md5 = Md5::new();
    for part in parts {
        let raw = hex::decode(&part.etag).map_err(|e| s3_error!(e, InternalError))?;
        md5.update(&raw);
    }
    Ok(format!("{}-{}", hex::encode(md5.finalize()), parts.len()))
}
