//! ListMultipartUploads.

use std::collections::BTreeSet;

use s3s::dto::{self, ListMultipartUploadsInput, ListMultipartUploadsOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::buckets::owner;
use super::list::{Encoding, page_size};
use super::{Store, timestamp};
use crate::upload::{Plan, Upload};

impl Store {
    pub(crate) fn list_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let max = page_size(input.max_uploads)?;
        let uploads = bucket.uploads();
        let page = page(uploads.iter(), &input, max);
        let last = page.uploads.last().filter(|_| page.truncated);
        let output = ListMultipartUploadsOutput {
            next_key_marker: last.map(|plan| encoding.name(&plan.key)),
            next_upload_id_marker: last.map(|plan| plan.id.clone()),
            uploads: Some(
                page.uploads
                    .iter()
                    .map(|plan| listed(plan, encoding))
                    .collect(),
            ),
            common_prefixes: Some(
                page.prefixes
                    .iter()
                    .map(|prefix| dto::CommonPrefix {
                        prefix: Some(encoding.name(prefix)),
                    })
                    .collect(),
            ),
            is_truncated: Some(page.truncated),
            key_marker: encoding.option(input.key_marker.as_deref()),
            upload_id_marker: input.upload_id_marker,
            prefix: encoding.option(input.prefix.as_deref()),
            delimiter: encoding.option(input.delimiter.as_deref()),
            max_uploads: i32::try_from(max).ok(),
            encoding_type: encoding.reply(),
            bucket: Some(input.bucket),
            request_charged: None,
        };
        Ok(S3Response::new(output))
    }
}

struct UploadPage<'a> {
    uploads: Vec<&'a Plan>,
    prefixes: BTreeSet<String>,
    truncated: bool,
}

/// Uploads after the markers: those of later keys, and later uploads of the marked key.
fn page<'a>(
    uploads: impl Iterator<Item = &'a Upload>,
    input: &ListMultipartUploadsInput,
    max: usize,
) -> UploadPage<'a> {
    let prefix = input.prefix.as_deref().unwrap_or_default();
    let key_marker = input.key_marker.as_deref();
    let id_marker = input.upload_id_marker.as_deref();
    let mut page = UploadPage {
        uploads: Vec::new(),
        prefixes: BTreeSet::new(),
        truncated: false,
    };
    for Upload { plan, .. } in uploads {
        let passed = match (key_marker, id_marker) {
            (Some(key), Some(id)) => (plan.key.as_str(), plan.id.as_str()) <= (key, id),
            (Some(key), None) => plan.key.as_str() <= key,
            _ => false,
        };
        let Some(rest) = plan.key.strip_prefix(prefix).filter(|_| !passed) else {
            continue;
        };
        let delimiter = input.delimiter.as_deref().filter(|d| !d.is_empty());
        let rolled_up = delimiter.and_then(|d| rest.find(d).map(|at| at + d.len()));
        let rolled_up = rolled_up.map(|end| format!("{prefix}{}", &rest[..end]));
        if rolled_up
            .as_ref()
            .is_some_and(|prefix| page.prefixes.contains(prefix))
        {
            continue;
        }
        if page.uploads.len() + page.prefixes.len() == max {
            page.truncated = max > 0;
            break;
        }
        match rolled_up {
            Some(prefix) => {
                page.prefixes.insert(prefix);
            }
            None => page.uploads.push(plan),
        }
    }
    page
}

fn listed(plan: &Plan, encoding: Encoding) -> dto::MultipartUpload {
    dto::MultipartUpload {
        key: Some(encoding.name(&plan.key)),
        upload_id: Some(plan.id.clone()),
        initiated: Some(timestamp(plan.initiated)),
        checksum_algorithm: plan
            .checksum
            .map(|(algorithm, _)| dto::ChecksumAlgorithm::from_static(algorithm.name())),
        checksum_type: plan
            .checksum
            .map(|(_, kind)| dto::ChecksumType::from_static(kind.name())),
        owner: Some(owner()),
        initiator: None,
        storage_class: Some(dto::StorageClass::from(
            plan.attributes
                .storage_class
                .clone()
                .unwrap_or("STANDARD".to_owned()),
        )),
    }
}
