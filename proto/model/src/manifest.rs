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

words! {
    /// What an agent says in its Hello that it can do beyond the first release: an execution that
    /// needs one of these is never given to an agent that does not name it.
    Ability {
        /// Executions of [`crate::Extensions::manifest`].
        Manifest = "manifest",
        /// Executions of [`crate::Extensions::report`].
        TaskReport = "task-report",
        /// Executions of [`crate::Extensions::bandwidth_timetable`].
        BandwidthTimetable = "bandwidth-timetable",
        /// Executions of [`crate::Extensions::checksum_algorithm`].
        ChecksumAlgorithm = "checksum-algorithm",
    }
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
