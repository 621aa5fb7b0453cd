use std::path::PathBuf;
use std::sync::Arc;

use crate::checksum::Algorithm;
use crate::faults::Faults;

/// What the store does with checksums; the weaker levels imitate older stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreIntegrity {
    /// As AWS: every checksum is verified, kept and returned; CRC64NVME if none was sent.
    #[default]
    Full,
    /// As AWS and others before CRC64NVME: a header of that is ignored, and an object has no checksum
    /// but the one that was sent.
    NoCrc64Nvme,
    /// `x-amz-checksum-*` is accepted and ignored, never returned; `Content-MD5` is verified.
    Md5Only,
    /// Nothing is verified.
    None,
}

impl StoreIntegrity {
    /// Whether checksums of this algorithm are verified, kept and returned.
    pub(crate) fn knows(self, algorithm: Algorithm) -> bool {
        match self {
            Self::Full => true,
            Self::NoCrc64Nvme => algorithm != Algorithm::Crc64Nvme,
            Self::Md5Only | Self::None => false,
        }
    }

    /// What is computed of content that comes without a checksum.
    pub(crate) fn default_algorithm(self) -> Option<Algorithm> {
        self.knows(Algorithm::Crc64Nvme)
            .then_some(Algorithm::Crc64Nvme)
    }
}

/// Settings of one store.
#[derive(Clone)]
pub struct StoreConfig {
    /// Directory that holds the buckets; created if absent.
    pub root: PathBuf,
    /// Pairs of access key id and secret access key.
    pub access_keys: Vec<(String, String)>,
    /// Region of all buckets, as `HeadBucket` reports it.
    pub region: String,
    pub integrity: StoreIntegrity,
    /// Sync files and directories to disk before a write is acknowledged.
    pub sync: bool,
    /// Smallest part that may be followed by another, in bytes (AWS: 5 MiB).
    pub part_size_min: u64,
    /// Refuse objects and parts that come without a checksum or MD5, as buckets with a default
    /// retention of Object Lock do.
    pub checksum_required: bool,
    /// Scripted failures, for tests.
    pub faults: Option<Arc<Faults>>,
}

impl StoreConfig {
    /// A store in `us-east-1` with full integrity, no access keys (every request is refused), no
    /// sync.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            access_keys: Vec::new(),
            region: "us-east-1".to_owned(),
            integrity: StoreIntegrity::Full,
            sync: false,
            part_size_min: 5 * 1024 * 1024,
            checksum_required: false,
            faults: None,
        }
    }

    /// Adds an access key.
    #[must_use]
    pub fn with_access_key(mut self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.access_keys.push((id.into(), secret.into()));
        self
    }
}

impl std::fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<&str> = self.access_keys.iter().map(|(id, _)| id.as_str()).collect();
        f.debug_struct("StoreConfig")
            .field("root", &self.root)
            .field("access_key_ids", &ids)
            .field("region", &self.region)
            .field("integrity", &self.integrity)
            .field("sync", &self.sync)
            .field("part_size_min", &self.part_size_min)
            .field("checksum_required", &self.checksum_required)
            .field("faults", &self.faults.is_some())
            .finish()
    }
}
