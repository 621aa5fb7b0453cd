//! One bucket: its files, its index, and the operations that change both together.

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use s3s::dto::ETagCondition;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use crate::disk::Disk;
use crate::index::{Entry, Index};
use crate::object::ObjectRecord;
use crate::upload::Uploads;

/// Writers of one key exclude each other; this many locks serve all keys.
const STRIPES: usize = 64;

/// A failure of the disk is the store's fault, never the client's.
pub(crate) fn disk_error(error: io::Error) -> S3Error {
    let text = format!("We encountered an internal error: {error}");
    let is_full = matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    );
    let mut answer = S3Error::with_source(S3ErrorCode::InternalError, Box::new(error));
    answer.set_message(text);
    if is_full {
        answer.set_code(S3ErrorCode::Custom("InsufficientStorage".into()));
        answer.set_status_code(http::StatusCode::INSUFFICIENT_STORAGE);
    }
    answer
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let elapsed = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)
}

/// Conditions on the object that a write replaces or a delete removes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Precondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl Precondition {
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html>
    fn check(&self, current: Option<&str>) -> S3Result<()> {
        let failed = || {
            s3_error!(
                PreconditionFailed,
                "At least one of the pre-conditions you specified did not hold"
            )
        };
        match &self.if_none_match {
            Some(ETagCondition::Any) if current.is_some() => return Err(failed()),
            Some(ETagCondition::ETag(_)) => {
                return Err(s3_error!(
                    NotImplemented,
                    "If-None-Match takes only * on writes."
                ));
            }
            _ => {}
        }
        match (&self.if_match, current) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(ETagCondition::ETag(wanted)), Some(etag)) if wanted.value() == etag => Ok(()),
            (Some(ETagCondition::ETag(_)), None) => Err(no_such_key()),
            _ => Err(failed()),
        }
    }
}

pub(crate) fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "The specified key does not exist.")
}

/// A bucket. All methods block on the disk.
pub(crate) struct Bucket {
    pub(crate) disk: Disk,
    pub(crate) created: i64,
    index: RwLock<Index>,
    uploads: Mutex<Uploads>,
    stripes: [Mutex<()>; STRIPES],
    hasher: RandomState,
}

impl Bucket {
    /// Reads a bucket back; content that nothing refers to is removed.
    pub(crate) fn open(disk: Disk) -> io::Result<Self> {
        disk.create()?;
        let created = fs::metadata(disk.root())?
            .modified()?
            .duration_since(UNIX_EPOCH);
        let created = created.map(|age| age.as_secs()).unwrap_or_default();
        let uploads = Uploads::load(&disk)?;
        let mut live: HashSet<String> = HashSet::new();
        for upload in uploads.iter() {
            live.extend(upload.parts.values().map(|part| part.segment.id.clone()));
        }
        let mut index = Index::new();
        for path in files_in_shards(disk.records())? {
            let Some(record) = disk.read_json::<ObjectRecord>(&path)? else {
                continue;
            };
            live.extend(record.segments.iter().map(|segment| segment.id.clone()));
            index.insert(record.key.as_str().into(), entry(&record));
        }
        for path in files_in_shards(disk.data())? {
            let known = path
                .file_name()
                .and_then(|n| n.to_str())
                .is_some_and(|n| live.contains(n));
            if !known {
                fs::remove_file(&path)?;
            }
        }
        for file in fs::read_dir(disk.root().join("tmp"))? {
            fs::remove_file(file?.path())?;
        }
        Ok(Self {
            disk,
            created: i64::try_from(created).unwrap_or(i64::MAX),
            index: RwLock::new(index),
            uploads: Mutex::new(uploads),
            stripes: std::array::from_fn(|_| Mutex::new(())),
            hasher: RandomState::new(),
        })
    }

    pub(crate) fn index(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn index_mut(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn uploads(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Excludes other writers of the key.
    pub(crate) fn lock(&self, key: &str) -> MutexGuard<'_, ()> {
        let stripe = usize::try_from(self.hasher.hash_one(key) % 64).unwrap_or_default();
        self.stripes[stripe % STRIPES]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The record of an object.
    pub(crate) fn record(&self, key: &str) -> S3Result<ObjectRecord> {
        let known = self.index().contains_key(key);
        let record = if known { self.read(key)? } else { None };
        record.ok_or_else(no_such_key)
    }

    fn read(&self, key: &str) -> S3Result<Option<ObjectRecord>> {
        self.disk
            .read_json(&self.disk.record_path(key))
            .map_err(disk_error)
    }

    /// Fails if the object that is there now does not satisfy the condition.
    pub(crate) fn check(&self, key: &str, precondition: &Precondition) -> S3Result<()> {
        precondition.check(self.index().get(key).map(|entry| &*entry.etag))
    }

    /// Makes a record the current one; what it replaces is discarded.
    pub(crate) fn commit(
        &self,
        record: &ObjectRecord,
        precondition: &Precondition,
    ) -> S3Result<()> {
        let _writer = self.lock(&record.key);
        self.commit_locked(record, precondition)
    }

    /// As [`Self::commit`], for a caller that holds the key's lock.
    pub(crate) fn commit_locked(
        &self,
        record: &ObjectRecord,
        precondition: &Precondition,
    ) -> S3Result<()> {
        self.check(&record.key, precondition)?;
        let replaced = self.read(&record.key)?;
        let path = self.disk.record_path(&record.key);
        self.disk.write_json(&path, record).map_err(disk_error)?;
        self.index_mut()
            .insert(record.key.as_str().into(), entry(record));
        if let Some(replaced) = replaced {
            let gone: Vec<_> = replaced
                .segments
                .into_iter()
                .filter(|s| !record.segments.contains(s))
                .collect();
            self.disk.discard(&gone);
        }
        Ok(())
    }

    /// Changes a record in place.
    pub(crate) fn update(&self, key: &str, change: impl FnOnce(&mut ObjectRecord)) -> S3Result<()> {
        let _writer = self.lock(key);
        let mut record = self.record(key)?;
        change(&mut record);
        self.commit_locked(&record, &Precondition::default())
    }

    /// Removes an object; one that is not there counts as removed.
    pub(crate) fn delete(&self, key: &str, precondition: &Precondition) -> S3Result<()> {
        let _writer = self.lock(key);
        self.check(key, precondition)?;
        let Some(record) = self.read(key)? else {
            return Ok(());
        };
        self.disk
            .remove(&self.disk.record_path(key))
            .map_err(disk_error)?;
        self.index_mut().remove(key);
        self.disk.discard(&record.segments);
        Ok(())
    }

    /// No objects and no open uploads.
    pub(crate) fn is_empty(&self) -> bool {
        self.index().is_empty() && self.uploads().is_empty()
    }
}

fn entry(record: &ObjectRecord) -> Entry {
    Entry {
        size: record.size,
        modified: record.modified,
        etag: record.etag.as_str().into(),
        storage_class: record.attributes.storage_class.as_deref().map(Into::into),
        checksum: record
            .checksum
            .as_ref()
            .map(|c| (c.value.algorithm, c.kind)),
    }
}

fn files_in_shards(directory: PathBuf) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for shard in fs::read_dir(directory)? {
        for file in fs::read_dir(shard?.path())? {
            files.push(file?.path());
        }
    }
    Ok(files)
}
