//! What a dry run found.

use serde::{Deserialize, Serialize};

use crate::{BytesPerSecond, Failure};

/// Requests that a run will make, without retries, besides those that the dry run made as well:
/// reading directories, listing, and asking about objects that are not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlannedRequests {
    /// READ.
    pub read: u64,
    /// READLINK.
    pub readlink: u64,
    /// GETATTR, where READs do not tell that the file is as it was.
    pub getattr: u64,
    /// LOOKUP, before deletes: at most.
    pub lookup: u64,
    /// PutObject.
    pub put_object: u64,
    /// CreateMultipartUpload, and as many CompleteMultipartUpload.
    pub multipart_upload: u64,
    /// UploadPart.
    pub upload_part: u64,
    /// CopyObject, for metadata alone.
    pub copy_object: u64,
    /// HeadObject of the end check.
    pub head_object: u64,
    /// Objects to be deleted, each with a DeleteObject or in a batch.
    pub delete_object: u64,
}

impl PlannedRequests {
    /// Adds each count of `more`.
    pub fn add(&mut self, more: &Self) {
        self.read += more.read;
        self.readlink += more.readlink;
        self.getattr += more.getattr;
        self.lookup += more.lookup;
        self.put_object += more.put_object;
        self.multipart_upload += more.multipart_upload;
        self.upload_part += more.upload_part;
        self.copy_object += more.copy_object;
        self.head_object += more.head_object;
        self.delete_object += more.delete_object;
    }
}

/// What a run would do, besides what the counters say: `to_transfer`, `bytes_to_transfer`,
/// `to_delete`, `unchanged` and `skipped`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Of the items to be transferred: those of which only the metadata differs.
    pub metadata_only: u64,
    /// What it takes.
    pub requests: PlannedRequests,
    /// Why nothing would be deleted, although there is something to delete.
    pub withheld: Option<Failure>,
    /// How long the bytes take at the task's `BytesPerSecond`, in milliseconds; `None` without a
    /// limit.
    pub at_limit_ms: Option<u64>,
}

/// How long `bytes` take at `rate`, in milliseconds; `None` without a limit.
#[must_use]
pub fn time_at(rate: BytesPerSecond, bytes: u64) -> Option<u64> {
    let milliseconds = u128::from(bytes) * 1000 / u128::from(rate.limit()?.get());
    Some(u64::try_from(milliseconds).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_says_how_long_it_takes() {
        let rate = BytesPerSecond::try_from(1 << 20).unwrap();
        assert_eq!(time_at(rate, 90 << 20), Some(90_000));
        assert_eq!(time_at(BytesPerSecond::UNLIMITED, 90 << 20), None);
    }
}
