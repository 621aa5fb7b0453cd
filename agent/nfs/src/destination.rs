//! An export, or a directory below one, as the destination of the data path.
//!
//! Objects are files, links and directories; what is atomic and what is not, and where things lie
//! meanwhile, is in `docs/semantics.md` and `docs/adr/0016-nfs-destination.md`.

mod apart;
mod deleting;
mod directories;
mod dressing;
mod endowing;
mod finding;
mod linking;
mod parts;
mod place;
mod publishing;
mod putting;
mod reading;
mod redressing;
mod settling;
mod staging;
mod times;
mod trial;
mod uploads;
mod whole;
mod writing;

use std::future::Future;
use std::path::Path;
use std::sync::Arc;

use datasync_endpoint::{
    Abilities, Crc64, Destination, EndpointError, ErrorKind, ExtendedMetadata, Integrity, Key,
    ListPage, ObjectHeader, ObjectIdentifier, ObjectState, OpenUpload, PartReceipt, PartStream,
    Payload, PosixMetadata, ReadBack, Receipt, Settled, Source as _, StoredPart, UploadId,
    part_length,
};
use datasync_model::RequestCounts;
use tokio::sync::{Mutex, Semaphore};

use crate::config::NfsConfig;
use crate::socket::arbitrary;
use crate::versions::NfsSource;
use directories::Directories;
use endowing::Endowment;
use settling::{Log, own_disk};
use staging::Staging;
use times::{Times, Why};
use uploads::Uploads;
use writing::IN_HAND_KIB;

/// The longest path that Linux takes, in bytes; a byte takes up to four in a key.
const KEY_MAX: usize = 4 * 4096;
/// Offsets are signed at most servers.
const FILE_MAX: u64 = i64::MAX as u64;

/// A directory of an NFS server that is written to.
#[derive(Debug)]
pub struct NfsDestination {
    tree: Arc<NfsSource>,
    abilities: Abilities,
    directories: Directories,
    staging: Staging,
    uploads: Uploads,
    /// Held while a directory is made apart.
    making: Mutex<()>,
    /// `None` where nothing is written.
    log: Option<Log>,
    /// KiB that WRITEs, and READs of contents that are read back, may hold.
    in_hand: Arc<Semaphore>,
}

impl NfsDestination {
    /// Mounts and tries whether a file can be written, for an execution that keeps in `log`, a file of
    /// its own, which directories get their times at the end. A run of the process that goes on with
    /// the execution opens the same file.
    ///
    /// # Errors
    /// As [`NfsSource::mount`], and of the trial: `PermissionDenied` for an export that is read-only
    /// or does not let this agent write, `NoSpace`. `Invalid` if the log cannot be opened.
    pub async fn open(config: NfsConfig, log: &Path) -> Result<Self, EndpointError> {
        let opened = Self::mount(config).await?;
        let opened_log = Log::open(log, arbitrary()).map_err(|error| {
            let detail = own_disk(&format!("{}: {error}", log.display()));
            opened.fault(ErrorKind::Invalid, "open", &Key::default(), detail)
        })?;
        let mut destination = Self {
            staging: Staging::new(opened_log.times.tag()),
            log: Some(opened_log),
            ..opened
        };
        destination.abilities.keeps_link_times = Box::pin(destination.try_out()).await?;
        Ok(destination)
    }

    /// Mounts for looking only: nothing is written to find out whether it could be.
    ///
    /// # Errors
    /// As [`NfsSource::mount`].
    pub async fn open_to_look(config: NfsConfig) -> Result<Self, EndpointError> {
        Self::mount(config).await
    }

    /// Tries whether the location can be written to, and leaves nothing behind.
    ///
    /// # Errors
    /// As [`NfsDestination::open`].
    pub async fn probe(config: NfsConfig) -> Result<(), EndpointError> {
        let destination = Self::mount(config).await?;
        Box::pin(destination.try_out()).await?;
        Ok(())
    }

    async fn mount(config: NfsConfig) -> Result<Self, EndpointError> {
        let tree = Arc::new(NfsSource::mount(config).await?);
        let file_max = tree
            .write_limits()
            .file_max
            .unwrap_or(FILE_MAX)
            .min(FILE_MAX);
        let abilities = Abilities {
            integrity: Integrity::ReadBack,
            object_max: file_max,
            put_max: u64::MAX,
            part_min: part_length(0, parts::PARTS_MAX),
            part_max: u64::MAX,
            parts_max: parts::PARTS_MAX,
            key_max: KEY_MAX,
            has_root: true,
            // Not known before a trial.
            keeps_link_times: false,
            user_metadata_max: None,
        };
        Ok(Self {
            tree,
            abilities,
            directories: Directories::default(),
            staging: Staging::new(arbitrary()),
            uploads: Uploads::default(),
            making: Mutex::default(),
            log: None,
            in_hand: Arc::new(Semaphore::new(IN_HAND_KIB)),
        })
    }

    fn write_max(&self) -> u32 {
        self.tree.write_limits().write_max
    }

    /// Makes a call, and once more with handles that are looked up anew where one of them means
    /// nothing any more.
    async fn fresh<T, F>(&self, call: impl Fn() -> F + Send + Sync) -> Result<T, EndpointError>
    where
        F: Future<Output = Result<T, EndpointError>> + Send,
    {
        match call().await {
            Err(error) if error.kind == ErrorKind::Stale => {
                self.forget_handles();
                call().await
            }
            answer => answer,
        }
    }

    fn forget_handles(&self) {
        self.directories.clear();
        self.staging.forget();
        self.uploads.clear();
    }

    fn log_times(&self, key: &Key, why: Why, times: Times) -> Result<(), EndpointError> {
        let Some(log) = &self.log else {
            return Ok(());
        };
        let logged = log.times.add(key, why, times);
        logged.map_err(|error| {
            let detail = own_disk(&error.to_string());
            self.fault(ErrorKind::NoSpace, "SETATTR", key, detail)
        })
    }

    fn fault(
        &self,
        kind: ErrorKind,
        operation: &'static str,
        key: &Key,
        detail: impl Into<String>,
    ) -> EndpointError {
        let target = format!("{} {}", self.tree.target(), key.as_str().escape_debug());
        EndpointError::new(kind, operation, target, detail)
    }

    /// An error of a call that was about this object.
    fn of_item(&self, key: &Key, error: EndpointError) -> EndpointError {
        let name = key.as_str().escape_debug().to_string();
        if error.target.ends_with(&name) && !name.is_empty() {
            return error;
        }
        let target = format!("{} {name}", self.tree.target());
        EndpointError { target, ..error }
    }
}

impl Destination for NfsDestination {
    type Tree = NfsSource;

    fn tree(&self) -> Option<Arc<NfsSource>> {
        Some(Arc::clone(&self.tree))
    }

    fn abilities(&self) -> &Abilities {
        &self.abilities
    }

    fn requests(&self) -> RequestCounts {
        self.tree.requests()
    }

    async fn list(&self, _after: Option<&Key>) -> Result<ListPage, EndpointError> {
        let detail = "a tree is listed by walking it";
        Err(self.fault(ErrorKind::NotSupported, "READDIR", &Key::default(), detail))
    }

    async fn stat(&self, key: &Key) -> Result<Option<ObjectState>, EndpointError> {
        let found = self.fresh(|| self.state(key)).await;
        found.map_err(|error| self.of_item(key, error))
    }

    async fn put(
        &self,
        key: &Key,
        header: &ObjectHeader,
        payload: Payload,
    ) -> Result<Receipt, EndpointError> {
        let put = self.fresh(|| self.put_once(key, header, &payload)).await;
        put.map_err(|error| self.of_item(key, error))
    }

    async fn link(
        &self,
        key: &Key,
        to: &ObjectIdentifier,
        only_if_absent: bool,
    ) -> Result<Receipt, EndpointError> {
        let linked = self.fresh(|| self.link_once(key, to, only_if_absent)).await;
        linked.map_err(|error| self.of_item(key, error))
    }

    async fn create_upload(
        &self,
        key: &Key,
        _header: &ObjectHeader,
        size: u64,
    ) -> Result<UploadId, EndpointError> {
        self.fresh(|| self.new_upload(key, size)).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        payload: Payload,
    ) -> Result<PartReceipt, EndpointError> {
        self.fresh(|| self.put_part(key, upload, number, &payload))
            .await
    }

    async fn stream_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        part: PartStream,
    ) -> Result<PartReceipt, EndpointError> {
        match Box::pin(self.put_stream(key, upload, number, part)).await {
            // Only its reader can give the part once more.
            Err(error) if error.kind == ErrorKind::Stale => {
                self.forget_handles();
                let kind = ErrorKind::Busy;
                Err(EndpointError { kind, ..error })
            }
            answer => answer,
        }
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        header: &ObjectHeader,
        parts: &[PartReceipt],
        crc64: Crc64,
    ) -> Result<Receipt, EndpointError> {
        self.fresh(|| self.complete(key, upload, header, (parts, crc64)))
            .await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), EndpointError> {
        self.fresh(|| self.abort(key, upload)).await
    }

    async fn open_uploads(&self, key: &Key) -> Result<Vec<OpenUpload>, EndpointError> {
        self.fresh(|| self.open_of(key)).await
    }

    async fn parts(&self, key: &Key, upload: &UploadId) -> Result<Vec<StoredPart>, EndpointError> {
        self.fresh(|| self.stored_parts(key, upload)).await
    }

    async fn set_metadata(
        &self,
        key: &Key,
        current: &ObjectState,
        metadata: &PosixMetadata,
        extended: Option<&ExtendedMetadata>,
    ) -> Result<Receipt, EndpointError> {
        let wanted = Endowment { metadata, extended };
        let set = self.fresh(|| self.redress(key, current, wanted)).await;
        set.map_err(|error| self.of_item(key, error))
    }

    async fn read_back(&self, key: &Key) -> Result<ReadBack, EndpointError> {
        let read = self.fresh(|| self.content(key)).await;
        read.map_err(|error| self.of_item(key, error))
    }

    async fn delete(&self, objects: &[ObjectIdentifier]) -> Vec<Result<(), EndpointError>> {
        self.delete_all(objects).await
    }

    async fn settle(&self) -> Result<Settled, EndpointError> {
        self.settle_some().await
    }
}
