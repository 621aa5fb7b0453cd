//! What is remembered of every object from one execution of a pair of locations to the next, so that
//! a listing alone shows that nothing changed.
//!
//! One immutable file, sorted by key, read along with the merge. What an execution learns goes to a
//! log in its directory; at its end both are folded into a new file, which takes the old one's place.
//! Whatever is lost or damaged on the way costs a request for each object, and nothing else: an entry
//! counts only where the listing agrees with it.

mod codec;
mod entry;
mod file;
mod fold;
mod recall;

use std::path::{Path, PathBuf};
use std::time::Duration;

use datasync_endpoint::{ExtendedKinds, Key};
use datasync_model::{ExecutionSpec, Location};
use serde_json::json;
use tokio::time::Instant;

use crate::disk::Disk;
pub(crate) use entry::Entry;
use file::{FileError, Form, Reader, Writer};
use fold::{Fold, Source, removed};
pub(crate) use recall::{Recall, recall};

/// How long a record may stay in the process.
const FLUSH_EVERY: Duration = Duration::from_millis(200);

/// What makes a pair of locations this one: not how they are reached.
fn identity(spec: &ExecutionSpec) -> String {
    let place = |location: &Location| match location {
        Location::Nfs(nfs) => json!(["nfs", nfs.server_hostname, nfs.subdirectory]),
        Location::Efs(efs) => {
            let place = (&efs.file_system_id, &efs.access_point_id, &efs.subdirectory);
            json!(["efs", efs.region, place.0, place.1, place.2])
        }
        Location::S3(s3) => json!(["s3", s3.endpoint, s3.bucket, s3.prefix]),
    };
    let places = [place(&spec.source), place(&spec.destination)];
    let kinds = ExtendedKinds::of(&spec.extensions);
    if kinds.is_none() {
        return json!(places).to_string();
    }
    // An entry says that these were the same, too: what was remembered without them does not.
    json!([places, ["acls", kinds.acls, "xattrs", kinds.xattrs]]).to_string()
}

/// The catalog of a pair of locations, and what an execution adds to it.
#[derive(Debug)]
pub(crate) struct Catalog {
    file: PathBuf,
    directory: PathBuf,
    identity: String,
    log: Log,
    disk: Disk,
}

#[derive(Debug)]
enum Log {
    /// Nothing was learned in this run of the process.
    Unopened,
    Open {
        writer: Box<Writer>,
        /// When the oldest record came that is still in the process.
        since: Option<Instant>,
        /// Bytes of it that the budget of the disk knows of.
        counted: u64,
        order: Order,
    },
    /// It could not be written: what this execution learns is forgotten.
    Broken,
}

/// Whether keys come in order, each once.
#[derive(Debug, Default)]
struct Order {
    last: Option<Key>,
    is_broken: bool,
}

impl Order {
    fn next(&mut self, key: &Key) {
        self.is_broken = self.is_broken || self.last.as_ref().is_some_and(|last| last >= key);
        self.last = (!self.is_broken).then(|| key.clone());
    }
}

impl Catalog {
    /// The catalog in `file` for an execution with this directory.
    pub(crate) fn new(file: PathBuf, directory: &Path, spec: &ExecutionSpec, disk: Disk) -> Self {
        Self {
            file,
            directory: directory.to_owned(),
            identity: identity(spec),
            log: Log::Unopened,
            disk,
        }
    }

    /// How many entries the catalog in `file` has; `None` without a whole one.
    pub(crate) async fn entries(file: &Path) -> Option<u64> {
        file::count(file).await
    }

    /// Everything that is remembered of keys greater than `after`.
    pub(crate) async fn read(&self, after: Option<Key>) -> Remembered {
        let opened = Reader::open(&self.file, &self.identity, Form::Sorted).await;
        Remembered {
            source: Some(Source::lenient(opened)),
            next: None,
            after,
        }
    }

    /// How many objects are remembered; `None` if that cannot be told.
    pub(crate) async fn remembered(&self) -> Option<u64> {
        Self::entries(&self.file).await
    }

    /// Notes what is known of an object now; `None`: nothing. Where that cannot be written, this
    /// execution leaves the catalog as it is.
    pub(crate) async fn note(&mut self, key: &Key, entry: Option<&Entry>) {
        if let Err(error) = self.append(key, entry).await {
            self.give_up(&error);
        }
    }

    async fn append(&mut self, key: &Key, entry: Option<&Entry>) -> Result<(), FileError> {
        if matches!(self.log, Log::Unopened) {
            let writer = Box::new(Writer::create(self.free_log(), &self.identity).await?);
            self.log = Log::Open {
                writer,
                since: None,
                counted: 0,
                order: Order::default(),
            };
        }
        let Log::Open {
            writer,
            since,
            counted,
            order,
        } = &mut self.log
        else {
            return Ok(());
        };
        writer.push(key, entry).await?;
        order.next(key);
        let taken = self.disk.take(writer.bytes() - *counted);
        taken.map_err(|error| FileError::budget(&self.file, error))?;
        *counted = writer.bytes();
        if since.get_or_insert_with(Instant::now).elapsed() >= FLUSH_EVERY {
            *since = None;
            writer.flush().await?;
        }
        Ok(())
    }

    /// Gives what was noted to the kernel.
    pub(crate) async fn flush(&mut self) {
        if let Log::Open { writer, .. } = &mut self.log
            && let Err(error) = writer.flush().await
        {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &FileError) {
        tracing::warn!(%error, "the catalog stays as it is; the next execution asks the store more");
        self.log = Log::Broken;
    }

    /// Makes what was noted part of the catalog. Sorting takes about `memory_bytes`.
    pub(crate) async fn adopt(&mut self, memory_bytes: usize) {
        self.flush().await;
        if matches!(self.log, Log::Broken) {
            return;
        }
        let log = std::mem::replace(&mut self.log, Log::Unopened);
        let in_order = matches!(log, Log::Open { order, .. } if !order.is_broken);
        if let Err(error) = self.fold(memory_bytes, in_order).await {
            self.give_up(&error);
        }
    }

    /// `in_order`: the log of this run of the process is.
    async fn fold(&self, memory_bytes: usize, in_order: bool) -> Result<(), FileError> {
        let logs: Vec<_> = self.logs().take_while(|log| log.exists()).collect();
        let logged = logs.iter().map(|log| length(log)).sum();
        // Sorted runs of the logs, and the next catalog.
        let mut room = self.disk.share();
        room.grow(length(&self.file).saturating_add(2 * logged))
            .map_err(|error| FileError::budget(&self.file, error))?;
        let fold = Fold {
            directory: &self.directory,
            identity: &self.identity,
            memory_bytes,
        };
        let entries = match logs.as_slice() {
            [log] if in_order => Some(fold.adopt_ordered(log, &self.file).await?),
            logs => fold.adopt(logs, &self.file).await?,
        };
        if let Some(entries) = entries {
            tracing::info!(entries, file = %self.file.display(), "the catalog is up to date");
        }
        // The last first: what is left after a crash is still the beginning.
        for log in logs.iter().rev() {
            removed(log).await?;
        }
        self.disk.give_back(logged);
        Ok(())
    }

    /// One log for each run of the process.
    fn logs(&self) -> impl Iterator<Item = PathBuf> {
        (0..u32::MAX).map(|number| self.directory.join(format!("catalog-log-{number}")))
    }

    fn free_log(&self) -> PathBuf {
        let free = self.logs().find(|log| !log.exists());
        free.unwrap_or_else(|| self.directory.join("catalog-log"))
    }
}

/// Of a file, in bytes; none if it is absent.
fn length(file: &Path) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

/// The catalog as a stream in key order.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// `None` at the end.
    source: Option<Source>,
    next: Option<(Key, Entry)>,
    after: Option<Key>,
}

impl Remembered {
    /// No catalog.
    pub(crate) fn nothing() -> Self {
        Self {
            source: None,
            next: None,
            after: None,
        }
    }

    /// The next key that is less than `limit`, or any without one. Not cancel-safe.
    pub(crate) async fn pass(&mut self, limit: Option<&Key>) -> Option<Key> {
        self.fill().await;
        let (key, _) = self
            .next
            .take_if(|(key, _)| limit.is_none_or(|limit| *key < *limit))?;
        Some(key)
    }

    /// What is remembered of `key`, once all lesser ones are passed. Not cancel-safe.
    pub(crate) async fn take(&mut self, key: &Key) -> Option<Entry> {
        self.fill().await;
        let (_, entry) = self.next.take_if(|(next, _)| next == key)?;
        Some(entry)
    }

    async fn fill(&mut self) {
        while self.next.is_none()
            && let Some(source) = &mut self.source
        {
            // Damage ends a lenient source.
            match source.next().await {
                Ok(Some((key, Some(entry))))
                    if self.after.as_ref().is_none_or(|after| key > *after) =>
                {
                    self.next = Some((key, entry));
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => self.source = None,
            }
        }
    }
}

#[cfg(test)]
mod tests;
