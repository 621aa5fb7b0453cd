//! `ManifestConfig`, as it was given: DescribeTask answers the same members.

use datasync_model::{ManifestAction, ManifestFormat};
use serde::{Deserialize, Serialize};

/// What a task transfers by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ManifestConfig {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<ManifestAction>,
    /// Absent means CSV, the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) format: Option<ManifestFormat>,
    pub(crate) source: ManifestSource,
}

/// Where the manifest is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ManifestSource {
    #[serde(rename = "S3")]
    pub(crate) s3: ManifestObject,
}

/// An object of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ManifestObject {
    pub(crate) manifest_object_path: String,
    pub(crate) bucket_access_role_arn: String,
    #[serde(rename = "S3BucketArn")]
    pub(crate) s3_bucket_arn: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest_object_version_id: Option<String>,
}
