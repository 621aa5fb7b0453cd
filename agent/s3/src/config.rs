use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use datasync_model::S3Location;

/// How to reach a location.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// Bucket, prefix, endpoint, region, trust, storage class.
    pub location: S3Location,
    /// Asked for credentials as they expire.
    pub credentials: SharedCredentialsProvider,
    /// The largest object in bytes. `None`: what AWS allows, or 5 TiB where the location has its
    /// own endpoint.
    pub object_max: Option<u64>,
    /// The longest wait for an answer, and for progress while a body is sent or read. Completing
    /// an upload and copying may take ten times as long.
    pub request_timeout: Duration,
    /// The most requests in flight; at least 1.
    pub requests_max: usize,
}
