//! Multipart uploads that can be gone on with.

use std::collections::BTreeMap;

use datasync_endpoint::{Checksum, Crc64, Fingerprint, ObjectHeader, PartReceipt};
use serde::{Deserialize, Serialize};

/// What an upload was begun with: the store keeps it until the upload is completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The source's file.
    pub(crate) version: Fingerprint,
    pub(crate) header: ObjectHeader,
    /// Length of every part but the last, in bytes.
    pub(crate) part: u64,
}

/// The receipt of a part, without what its number tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartMark {
    #[serde(rename = "e")]
    etag: Box<str>,
    /// Over the bytes that were read from the source.
    #[serde(rename = "c")]
    crc64: Crc64,
    /// The one that the store proved the part by, where it is another.
    #[serde(rename = "s", default, skip_serializing_if = "Option::is_none")]
    checksum: Option<Checksum>,
}

/// The longest ETag of a part that is kept, in bytes (S3's have 34): of a part with a longer one
/// the receipt is not kept. So an upload of 10,000 parts takes at most 3 MiB, at S3 less than 1, or
/// less than 2 with SHA-256.
const ETAG_MAX: usize = 128;

impl PartMark {
    /// `None` if the receipt is too long to be kept.
    pub(crate) fn of(receipt: &PartReceipt) -> Option<Self> {
        (receipt.etag.len() <= ETAG_MAX).then(|| Self {
            etag: receipt.etag.as_str().into(),
            crc64: receipt.crc64,
            checksum: receipt.checksum,
        })
    }

    /// The receipt of part `number`, which has `length` bytes.
    pub(crate) fn receipt(&self, number: u32, length: u64) -> PartReceipt {
        PartReceipt {
            number,
            etag: self.etag.to_string(),
            crc64: self.crc64,
            checksum: self.checksum,
            length,
        }
    }
}

/// An open upload with the parts that the store is known to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filling {
    pub(crate) begun: Begun,
    /// By number.
    pub(crate) parts: BTreeMap<u32, PartMark>,
}
