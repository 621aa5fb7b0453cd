//! Objects above 5 GiB that the store copies by itself: CopyObject ends there, parts can be copied too.

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::types::{CompletedPart, CopyPartResult};
use datasync_endpoint::{Crc64, EndpointError, UploadId};
use futures::future::join_all;

use crate::calls::Operation;
use crate::destination::Store;
use crate::multipart::Whole;
use crate::place::{PARTS_MAX, in_path};
use crate::put::Reply;
use crate::requests::Wait;
use crate::sums::Told;

/// Copied parts are at least this long, in bytes: few requests, each of some seconds.
const PART_MIN: u64 = 1 << 30;
/// Parts of one object that are copied at once.
const AT_ONCE: usize = 4;

/// One version of an object that is copied.
#[derive(Debug)]
pub(crate) struct Original<'a> {
    pub(crate) bucket: &'a str,
    pub(crate) key: &'a str,
    pub(crate) etag: &'a str,
    /// In bytes.
    pub(crate) size: u64,
    /// Of the whole object, where the store tells it.
    pub(crate) crc64: Option<Crc64>,
}

/// `x-amz-copy-source` of an object.
pub(crate) fn copy_source(bucket: &str, object_key: &str) -> String {
    format!("{bucket}/{}", in_path(object_key))
}

/// Number and `bytes=a-b` of every part of an object.
fn ranges(size: u64) -> Vec<(i32, String)> {
    let part = size.div_ceil(u64::from(PARTS_MAX)).max(PART_MIN);
    let range = |index: u64| {
        let first = index * part;
        format!("bytes={first}-{}", (first + part).min(size) - 1)
    };
    (1..).zip((0..size.div_ceil(part)).map(range)).collect()
}

impl Store {
    /// Begins an upload by `request`, fills it with the content of `original` and completes it, with the
    /// checksum of the original where that is known. If that fails, the upload is aborted.
    pub(crate) async fn copy_in_parts(
        &self,
        object_key: &str,
        request: CreateMultipartUploadFluentBuilder,
        original: &Original<'_>,
    ) -> Result<Reply, EndpointError> {
        let proof = self.part_proof();
        let upload = self.begin(object_key, request, proof).await?;
        let copied = self.filled_by_copies(object_key, &upload, original).await;
        if let Err(error) = &copied {
            // Where completing was not answered, aborting ends it only if it has not happened.
            if let Err(kept) = self.abort(object_key, &upload).await {
                tracing::warn!(%error, %kept, upload = upload.0, "an upload of a copy stays open");
            }
        }
        copied
    }

    async fn filled_by_copies(
        &self,
        object_key: &str,
        upload: &UploadId,
        original: &Original<'_>,
    ) -> Result<Reply, EndpointError> {
        let mut parts = Vec::new();
        for ranges in ranges(original.size).chunks(AT_ONCE) {
            let copies = ranges.iter().map(|(number, range)| {
                self.copy_part(object_key, upload, original, (*number, range))
            });
            // All end before an abort: none comes after it.
            for copied in join_all(copies).await {
                parts.push(copied?);
            }
        }
        let whole = Whole {
            parts,
            length: original.size,
            crc64: original.crc64,
            if_absent: false,
        };
        self.finish(object_key, upload, whole).await
    }

    async fn copy_part(
        &self,
        object_key: &str,
        upload: &UploadId,
        original: &Original<'_>,
        (number, range): (i32, &str),
    ) -> Result<CompletedPart, EndpointError> {
        let request = self
            .client
            .upload_part_copy()
            .bucket(&self.place.bucket)
            .key(object_key)
            .upload_id(&upload.0)
            .part_number(number)
            .copy_source(copy_source(original.bucket, original.key))
            .copy_source_if_match(original.etag)
            .copy_source_range(range)
            .send();
        let operation = Operation::UploadPartCopy;
        let target = self.place.target(object_key);
        let output = self
            .requests
            .send(Wait::LongAnswer, operation, &target, request)
            .await?;
        let result = output
            .copy_part_result
            .unwrap_or_else(|| CopyPartResult::builder().build());
        let part = self.reply(operation, &target, result.e_tag, None, Told::default())?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .e_tag(part.etag)
            .set_checksum_crc64_nvme(result.checksum_crc64_nvme)
            .set_checksum_crc32_c(result.checksum_crc32_c)
            .set_checksum_sha256(result.checksum_sha256)
            .build())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::PUT_MAX;

    #[test]
    fn ranges_cover_the_object_once() {
        let text = |number, range: &str| (number, range.to_owned());
        assert_eq!(
            ranges((1 << 30) + 1),
            [
                text(1, "bytes=0-1073741823"),
                text(2, "bytes=1073741824-1073741824")
            ]
        );
        let most = u64::from(PARTS_MAX) * PUT_MAX;
        let all = ranges(most);
        assert_eq!(all.len(), 10_000);
        assert!(all[9_999].1.ends_with(&format!("-{}", most - 1)));
    }
}
