//! The right that a request to a bucket needs (Amazon S3 API reference, "Required permissions for Amazon S3
//! API operations").

/// The IAM action of an operation; `None` for one that needs rights at two places.
pub(super) fn right(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "ListObjectsV2" | "HeadBucket" => "s3:ListBucket",
        "GetObject" | "HeadObject" => "s3:GetObject",
        "GetObjectTagging" => "s3:GetObjectTagging",
        "PutObject" | "CreateMultipartUpload" | "UploadPart" | "CompleteMultipartUpload" => {
            "s3:PutObject"
        }
        "ListParts" => "s3:ListMultipartUploadParts",
        "ListMultipartUploads" => "s3:ListBucketMultipartUploads",
        "AbortMultipartUpload" => "s3:AbortMultipartUpload",
        "DeleteObject" | "DeleteObjects" => "s3:DeleteObject",
        _ => return None,
    })
}
