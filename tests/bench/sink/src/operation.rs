//! What a request asks for, in S3's own words.

use http::{HeaderMap, Method};

use crate::query::Target;

/// Where the agent writes its probe when it opens a store, and deletes it again.
const PROBES: &str = ".aws-datasync/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    AbortMultipartUpload,
    CompleteMultipartUpload,
    CopyObject,
    CreateBucket,
    CreateMultipartUpload,
    DeleteObject,
    DeleteObjects,
    GetBucketLocation,
    GetObject,
    HeadBucket,
    HeadObject,
    ListBuckets,
    ListMultipartUploads,
    ListObjects,
    ListObjectsV2,
    ListParts,
    PutObject,
    UploadPart,
}

impl Operation {
    /// `None` for what the sink cannot do.
    pub(crate) fn of(method: &Method, target: &Target, headers: &HeaderMap) -> Option<Self> {
        let has = |name| target.parameter(name).is_some();
        let operation = match (method, target.bucket.is_empty(), target.key.is_empty()) {
            (&Method::GET, true, _) => Self::ListBuckets,
            (_, true, _) => return None,
            (&Method::PUT, _, true) => Self::CreateBucket,
            (&Method::HEAD, _, true) => Self::HeadBucket,
            (&Method::POST, _, true) if has("delete") => Self::DeleteObjects,
            (&Method::GET, _, true) if has("location") => Self::GetBucketLocation,
            (&Method::GET, _, true) if has("uploads") => Self::ListMultipartUploads,
            (&Method::GET, _, true) if target.parameter("list-type") == Some("2") => {
                Self::ListObjectsV2
            }
            (&Method::GET, _, true) => Self::ListObjects,
            (&Method::PUT, _, false) if has("uploadId") => Self::UploadPart,
            (&Method::PUT, _, false) if headers.contains_key("x-amz-copy-source") => {
                Self::CopyObject
            }
            (&Method::PUT, _, false) => Self::PutObject,
            (&Method::POST, _, false) if has("uploads") => Self::CreateMultipartUpload,
            (&Method::POST, _, false) if has("uploadId") => Self::CompleteMultipartUpload,
            (&Method::DELETE, _, false) if has("uploadId") => Self::AbortMultipartUpload,
            (&Method::DELETE, _, false) => Self::DeleteObject,
            (&Method::HEAD, _, false) => Self::HeadObject,
            (&Method::GET, _, false) if has("uploadId") => Self::ListParts,
            (&Method::GET, _, false) => Self::GetObject,
            _ => return None,
        };
        Some(operation)
    }

    pub(crate) fn sends_payload(self) -> bool {
        matches!(self, Self::PutObject | Self::UploadPart)
    }
}

/// Whether a request belongs to the probe of a store rather than to a copy.
pub(crate) fn is_probe(target: &Target) -> bool {
    target.key.starts_with(PROBES)
        || target
            .parameter("prefix")
            .is_some_and(|prefix| prefix.starts_with(PROBES))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: &Method, uri: &str) -> Option<Operation> {
        Operation::of(
            method,
            &Target::of(&uri.parse().unwrap()),
            &HeaderMap::new(),
        )
    }

    #[test]
    fn parameters_tell_apart_what_method_and_path_do_not() {
        use Operation as O;
        let expected = [
            (Method::GET, "/", Some(O::ListBuckets)),
            (
                Method::GET,
                "/b?list-type=2&prefix=a",
                Some(O::ListObjectsV2),
            ),
            (Method::GET, "/b?prefix=a", Some(O::ListObjects)),
            (Method::GET, "/b?uploads", Some(O::ListMultipartUploads)),
            (Method::PUT, "/b", Some(O::CreateBucket)),
            (Method::PUT, "/b/k", Some(O::PutObject)),
            (
                Method::PUT,
                "/b/k?partNumber=1&uploadId=u",
                Some(O::UploadPart),
            ),
            (Method::GET, "/b/k?uploadId=u", Some(O::ListParts)),
            (Method::POST, "/b/k?uploads", Some(O::CreateMultipartUpload)),
            (
                Method::DELETE,
                "/b/k?uploadId=u",
                Some(O::AbortMultipartUpload),
            ),
            (Method::DELETE, "/b", None),
        ];
        for (method, uri, operation) in expected {
            assert_eq!(of(&method, uri), operation, "{method} {uri}");
        }
    }

    #[test]
    fn a_put_with_a_source_copies() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-copy-source", "/b/other".parse().unwrap());
        let target = Target::of(&"/b/k".parse().unwrap());
        let operation = Operation::of(&Method::PUT, &target, &headers);
        assert_eq!(operation, Some(Operation::CopyObject));
    }

    #[test]
    fn probes_are_known_by_key_and_by_prefix() {
        let probe = |uri: &str| is_probe(&Target::of(&uri.parse().unwrap()));
        assert!(probe("/b/.aws-datasync/probe-1"));
        assert!(probe("/b?list-type=2&prefix=.aws-datasync%2Fprobe-"));
        assert!(!probe("/b/file"));
        assert!(!probe("/b?list-type=2"));
    }
}
