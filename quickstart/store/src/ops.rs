//! The S3 operations: from s3s's inputs to the bucket and back.

mod attributes;
mod buckets;
mod content;
mod copy;
mod delete;
mod get;
mod list;
mod multipart;
mod parts;
mod put;
mod tagging;
mod uploads;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, UNIX_EPOCH};

use s3s::dto::{self, Timestamp};
use s3s::{S3Result, s3_error};

use crate::bucket::{Bucket, disk_error};
use crate::checksum::Algorithm;
use crate::config::StoreConfig;
use crate::disk::{Disk, blocking};

mod service;

/// All buckets and the settings that the operations need.
pub(crate) struct Store {
    config: StoreConfig,
    buckets: RwLock<BTreeMap<String, Arc<Bucket>>>,
}

impl Store {
    /// Opens the buckets below the root. Blocks.
    pub(crate) fn open(config: StoreConfig) -> io::Result<Self> {
        fs::create_dir_all(&config.root)?;
        let mut buckets = BTreeMap::new();
        for directory in fs::read_dir(&config.root)? {
            let directory = directory?;
            let Ok(name) = directory.file_name().into_string() else {
                continue;
            };
            // Directories that are not of our making are left alone.
            if directory.path().join("records").is_dir() {
                let bucket = Bucket::open(Disk::new(directory.path(), config.sync))?;
                buckets.insert(name, Arc::new(bucket));
            }
        }
        Ok(Self {
            config,
            buckets: RwLock::new(buckets),
        })
    }

    fn bucket(&self, name: &str) -> S3Result<Arc<Bucket>> {
        let buckets = self.buckets.read().unwrap_or_else(PoisonError::into_inner);
        buckets
            .get(name)
            .cloned()
            .ok_or_else(|| s3_error!(NoSuchBucket, "The specified bucket does not exist"))
    }

    fn keeps_checksums(&self) -> bool {
        self.config.integrity.knows(Algorithm::Sha256)
    }

    /// The algorithm of `x-amz-checksum-algorithm`; a store that keeps no checksums does not look.
    fn asked_algorithm(
        &self,
        asked: Option<&dto::ChecksumAlgorithm>,
    ) -> S3Result<Option<Algorithm>> {
        let asked = asked.filter(|_| self.keeps_checksums());
        let Some(name) = asked else {
            return Ok(None);
        };
        let algorithm = Algorithm::from_name(name.as_str())?;
        if self.config.integrity.knows(algorithm) {
            return Ok(Some(algorithm));
        }
        Err(s3_error!(
            InvalidRequest,
            "Checksum algorithm provided is unsupported."
        ))
    }
}

/// Runs file work of an operation on the blocking pool.
async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    blocking(work).await.map_err(disk_error)?
}

fn timestamp(seconds: i64) -> Timestamp {
    let seconds = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    (UNIX_EPOCH + seconds).into()
}

fn signed(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Refuses requests for a version: buckets here keep none.
fn no_versions(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null") => Ok(()),
        Some(_) => Err(s3_error!(
            NoSuchVersion,
            "The specified version does not exist."
        )),
    }
}
