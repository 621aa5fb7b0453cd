//! PutObject, and what it shares with UploadPart: declared checksums.

use futures::StreamExt as _;
use http::HeaderMap;
use s3s::dto::{self, PutObjectInput, PutObjectOutput, StreamingBlob};
use s3s::{S3Request, S3Response, S3Result, TrailingHeaders, s3_error};

use super::attributes::{attributes_of, tags_from_header};
use super::content::receive;
use super::{Store, on_disk};
use crate::access::RequestControl;
use crate::bucket::{Precondition, disk_error, now};
use crate::checksum::{
    self, Algorithm, ChecksumKind, Hashes, ObjectChecksum, Value, checksums_of, tell_checksums,
};
use crate::config::{StoreConfig, StoreIntegrity};
use crate::disk::{Disk, Received};
use crate::object::ObjectRecord;

/// What a request says about the checksum of its body.
#[derive(Debug)]
pub(crate) struct Declared {
    /// From the headers.
    value: Option<Value>,
    /// From `x-amz-trailer`: the value follows the body.
    trailer: Option<Algorithm>,
    content_md5: Option<String>,
    trailers: Option<TrailingHeaders>,
    integrity: StoreIntegrity,
}

impl Declared {
    /// Reads the declaration, refusing contradictions as AWS does.
    pub(crate) fn read(
        config: &StoreConfig,
        headers: &HeaderMap,
        trailers: Option<TrailingHeaders>,
        fields: &dto::Checksum,
        content_md5: Option<String>,
    ) -> S3Result<Self> {
        let mut declared = Self {
            value: None,
            trailer: None,
            content_md5,
            trailers,
            integrity: config.integrity,
        };
        if config.integrity.knows(Algorithm::Sha256) {
            declared.read_checksums(headers, fields)?;
        }
        if config.checksum_required
            && declared.algorithm().is_none()
            && declared.content_md5.is_none()
        {
            return Err(s3_error!(
                InvalidRequest,
                "Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests \
                 with Object Lock parameters"
            ));
        }
        Ok(declared)
    }

    fn read_checksums(&mut self, headers: &HeaderMap, fields: &dto::Checksum) -> S3Result<()> {
        let integrity = self.integrity;
        let is_known = |algorithm: &Algorithm| integrity.knows(*algorithm);
        let value = checksum::single(fields, false)?;
        self.value = value.filter(|value| is_known(&value.algorithm));
        let trailer = headers
            .get("x-amz-trailer")
            .and_then(|text| text.to_str().ok());
        let trailer = trailer.and_then(|name| Algorithm::from_header(name.trim()));
        self.trailer = trailer.filter(is_known);
        let promised = headers.get("x-amz-sdk-checksum-algorithm");
        if promised.is_some() && self.algorithm().is_none() {
            return Err(s3_error!(
                InvalidRequest,
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or \
                 x-amz-trailer headers were found."
            ));
        }
        Ok(())
    }

    /// The algorithm that the client chose.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.value
            .as_ref()
            .map(|value| value.algorithm)
            .or(self.trailer)
    }

    /// Compares with what arrived; call after the body was read.
    pub(crate) fn verify(&self, hashes: &Hashes) -> S3Result<()> {
        if self.integrity == StoreIntegrity::None {
            return Ok(());
        }
        if let Some(md5) = &self.content_md5 {
            checksum::verify_content_md5(md5, &hashes.md5)?;
        }
        let Some(computed) = &hashes.value else {
            return Ok(());
        };
        if let Some(value) = &self.value {
            value.verify(computed)?;
        }
        let Some(algorithm) = self.trailer else {
            return Ok(());
        };
        let trailers = self
            .trailers
            .as_ref()
            .and_then(TrailingHeaders::take)
            .unwrap_or_default();
        let name = format!("x-amz-checksum-{}", algorithm.name().to_ascii_lowercase());
        let text = trailers
            .get(&name)
            .and_then(|value| value.to_str().ok())
            .ok_or_else(|| {
                s3_error!(
                    InvalidRequest,
                    "The trailer {name} was announced and did not come."
                )
            })?;
        Value::parse(algorithm, text, false)?.verify(computed)
    }
}

/// Stores a body and verifies what the request declared about it.
pub(crate) async fn receive_verified(
    disk: &Disk,
    body: Option<StreamingBlob>,
    length: Option<i64>,
    declared: &Declared,
    algorithm: Option<Algorithm>,
) -> S3Result<Received> {
    let length = length.and_then(|length| u64::try_from(length).ok());
    let body = futures::stream::iter(body).flatten();
    let received = receive(disk, body, length, algorithm).await?;
    declared.verify(&received.hashes)?;
    Ok(received)
}

impl Store {
    pub(crate) async fn put(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        let bucket = self.bucket(&input.bucket)?;
        let declared = Declared::read(
            &self.config,
            &request.headers,
            request.trailing_headers.take(),
            &checksums_of!(input),
            input.content_md5.take(),
        )?;
        let precondition = Precondition {
            if_match: input.if_match.take(),
            if_none_match: input.if_none_match.take(),
        };
        bucket.check(&input.key, &precondition)?;
        let attributes = attributes_of!(input)?;
        let tags = tags_from_header(input.tagging.as_deref())?;
        let kept = self.config.integrity.default_algorithm();
        let algorithm = declared.algorithm().or(kept);
        let length = input.content_length;
        let received = receive_verified(
            &bucket.disk,
            input.body.take(),
            length,
            &declared,
            algorithm,
        )
        .await?;
        let checksum = received.hashes.value.clone();
        let record = ObjectRecord {
            key: std::mem::take(&mut input.key),
            size: received.size,
            modified: now(),
            etag: hex::encode(received.hashes.md5),
            segments: vec![received.segment()],
            attributes,
            checksum: checksum.map(|value| ObjectChecksum {
                value,
                kind: ChecksumKind::FullObject,
            }),
            tags,
            multipart: false,
        };
        let damaged = RequestControl::flips_bit(&request.extensions) && received.size > 0;
        let record = on_disk(move || {
            bucket.commit(&record, &precondition)?;
            received.content.keep();
            if damaged {
                bucket
                    .disk
                    .flip_bit(&record.segments[0])
                    .map_err(disk_error)?;
            }
            Ok(record)
        })
        .await?;
        Ok(S3Response::new(put_output(&record)))
    }
}

fn put_output(record: &ObjectRecord) -> PutObjectOutput {
    let fields = checksum::object_fields(record.checksum.as_ref());
    let mut output = PutObjectOutput {
        e_tag: Some(dto::ETag::Strong(record.etag.clone())),
        checksum_type: fields.checksum_type,
        ..Default::default()
    };
    tell_checksums!(output, fields);
    output
}
