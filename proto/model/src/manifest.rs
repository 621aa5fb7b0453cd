//! Manifests: objects that list what an execution transfers.

use serde::{Deserialize, Serialize};

use crate::S3Location;
use crate::word::words;

words! {
    /// `ManifestConfig.Action`.
    ManifestAction { Transfer = "TRANSFER" }
}

words! {
    /// `ManifestConfig.Format`.
    ManifestFormat { Csv = "CSV" }
}

/// The largest manifest in bytes (DataSync quotas, ENHANCED mode: 20 GB).
pub const MANIFEST_BYTES_MAX: u64 = 20_000_000_000;

/// The manifest of an execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The bucket, without a prefix. Its ARN is that of no location: credentials for the bucket
    /// travel under it.
    pub store: S3Location,
    /// The role whose credentials read it.
    pub role_arn: String,
    /// Key of the object in its bucket.
    pub key: String,
    /// Version of the object; `None`: the latest when the execution reads it.
    pub version_id: Option<String>,
}
