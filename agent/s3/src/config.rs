use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use datasync_endpoint::Algorithm;
use datasync_model::{Proxy, S3Location};

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
    /// By what every object must be proven; the location is not opened at a store that does not check
    /// it. `None`: by the first that the store checks of CRC-64/NVME, CRC-32C and Content-MD5, else by
    /// reading back.
    pub checksum: Option<Algorithm>,
    /// The most requests in flight; at least 1.
    pub requests_max: usize,
    /// The way to the store, where it is not direct.
    pub proxy: Option<Proxy>,
    /// Certificates to trust besides the system's and the location's own, in PEM.
    pub ca_bundle: Option<String>,
    /// Asked for with every object that is written; `None`: the bucket's default.
    pub encryption: Option<Encryption>,
    /// Whether objects are written with the canned ACL `bucket-owner-full-control`.
    pub bucket_owner_full_control: bool,
    /// Whether requests agree to pay, as buckets with Requester Pays ask.
    pub requester_pays: bool,
}

/// Server-side encryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// SSE-S3 (`AES256`).
    S3,
    /// SSE-KMS or DSSE-KMS.
    Kms(Kms),
}

/// Encryption by a key of KMS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kms {
    /// Two layers (`aws:kms:dsse`).
    pub dual_layer: bool,
    /// Id, ARN or alias ARN; `None`: the bucket's key, or that of the account (`aws/s3`).
    pub key_id: Option<String>,
    /// Whether a bucket key saves calls of KMS; `None`: as the bucket says.
    pub bucket_key: Option<bool>,
}
