//! An NFSv4 directory as the source of the data path.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, DirCursor, DirPage, EndpointError, EntryKind, ErrorKind, ExtendedKinds,
    ExtendedMetadata, Handle, Node, ReadReply, Source,
};
use datasync_model::RequestCounts;

use super::client::Client;
use super::directory::read_page;
use super::holes::{Extent, Holes, zeros};
use super::session::MESSAGE_ROOM;
use crate::changes::{Changes, WriteLimits};
use crate::config::NfsConfig;
use crate::counts::{CallCounts, Counters, Procedure};
use crate::directory::{PAGE_MAX, Trails, page_size};
use crate::hostname::ServerName;
use crate::mount::{NFS_PORT, normalize, resolve, with_port};
use crate::position::Position;

/// The READ size where the server does not say.
const READ_SIZE_UNKNOWN: u32 = 32 << 10;
const READ_SIZE_MIN: u32 = 4 << 10;
/// The minor version that has SEEK.
const MINOR_OF_SEEK: u32 = 2;
/// For giving the session back at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A directory of a server that speaks version 4.
#[derive(Debug)]
pub(crate) struct Nfs4Source {
    client: Arc<Client>,
    counters: Arc<Counters>,
    root: RwLock<Bytes>,
    /// From the server's root down.
    path: Vec<String>,
    read_max: u32,
    write_limits: WriteLimits,
    page_size: u32,
    trails: Trails,
    holes: Holes,
    extended: ExtendedKinds,
}

impl Nfs4Source {
    /// Finds the path on the first address of the server that answers.
    ///
    /// # Errors
    /// As [`crate::NfsSource::mount`]; `NotSupported` where the server lacks the minor version.
    pub(crate) async fn mount(config: &NfsConfig, minor: u32) -> Result<Self, EndpointError> {
        config.check()?;
        let target = format!("{}:{}", config.server_hostname, config.path);
        let fault = |detail| EndpointError::new(ErrorKind::Invalid, "LOOKUP", &target, detail);
        let server =
            ServerName::parse(&config.server_hostname).map_err(|error| fault(error.to_string()))?;
        let path = normalize(&config.path).map_err(fault)?;
        let names = path.split('/').filter(|name| !name.is_empty());
        let path: Vec<String> = names.map(str::to_owned).collect();
        let port = server.port.unwrap_or(NFS_PORT);
        let mut failure = None;
        for address in resolve(&server, config).await? {
            let address = with_port(address, port);
            match Self::mount_at(address, config, minor, path.clone()).await {
                Ok(source) => return Ok(source),
                Err(error) if is_silent(&error) => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| fault("the name has no address".to_owned())))
    }

    async fn mount_at(
        address: SocketAddr,
        config: &NfsConfig,
        minor: u32,
        path: Vec<String>,
    ) -> Result<Self, EndpointError> {
        let counters = Arc::new(Counters::default());
        let client = Arc::new(Client::new(address, minor, config, Arc::clone(&counters)));
        let mut source = Self {
            client,
            counters,
            root: RwLock::default(),
            path,
            read_max: READ_SIZE_UNKNOWN,
            write_limits: WriteLimits {
                write_max: READ_SIZE_MIN,
                file_max: None,
            },
            page_size: page_size(PAGE_MAX),
            trails: Trails::default(),
            holes: Holes::default(),
            extended: config.extended,
        };
        let root = source.descend().await?;
        let (attributes, told) = source.client.root_attributes(&root).await?;
        if attributes.kind != EntryKind::Directory {
            let detail = "the path is not a directory; name a directory".to_owned();
            let kind = ErrorKind::ContainerNotFound;
            return Err(source.client.error(kind, Procedure::Lookup, detail));
        }
        source.client.require(&root, config.extended).await?;
        let (request_max, reply_max) = source.client.message_max().await?;
        let limit = |told: Option<u64>, message_max: u32| {
            let told = told.map_or(READ_SIZE_UNKNOWN, |told| {
                u32::try_from(told).unwrap_or(u32::MAX)
            });
            let most = config
                .read_size_max
                .min(message_max.saturating_sub(MESSAGE_ROOM));
            told.clamp(READ_SIZE_MIN, most.max(READ_SIZE_MIN))
        };
        source.read_max = limit(told.read_max, reply_max);
        source.write_limits = WriteLimits {
            write_max: limit(told.write_max, request_max),
            file_max: told.file_max,
        };
        source.page_size = source.page_size.min(reply_max.saturating_sub(MESSAGE_ROOM));
        tracing::info!(
            server = %address, path = config.path, minor, read_max = source.read_max,
            "found a directory by NFS version 4"
        );
        Ok(source)
    }

    pub(crate) fn calls(&self) -> CallCounts {
        self.counters.snapshot()
    }

    pub(crate) fn changes(&self) -> Changes<'_> {
        Changes::V4(&self.client)
    }

    pub(crate) fn target(&self) -> &str {
        &self.client.target
    }

    pub(crate) fn write_limits(&self) -> WriteLimits {
        self.write_limits
    }

    /// From the server's root to the path; exports on the way are crossed without notice.
    async fn descend(&self) -> Result<Bytes, EndpointError> {
        let mut handle = self.client.server_root().await?;
        for name in &self.path {
            let found = self.client.lookup(&handle, name.as_bytes()).await;
            handle = found.map_err(|error| self.missing(error, name))?.0;
        }
        *self.root.write().unwrap_or_else(PoisonError::into_inner) = handle.clone();
        Ok(handle)
    }

    fn missing(&self, error: EndpointError, name: &str) -> EndpointError {
        if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) {
            return error;
        }
        let detail = format!(
            "{name:?} is not a directory of the server's NFSv4 tree ({}); check the location's \
             Subdirectory: its path may differ from that of NFSv3",
            error.detail
        );
        self.client
            .error(ErrorKind::ContainerNotFound, Procedure::Lookup, detail)
    }
}

/// Holes, which are read without being transferred where the server tells of them.
impl Nfs4Source {
    fn heed(&self, file: &Handle, now: Option<&Attributes>) {
        if let Some(now) = now {
            self.holes.heed(&file.0, now.fingerprint());
        }
    }

    /// What is read at `offset`, where a hole is. A file that one READ is enough for is not asked about.
    async fn hole(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<Option<ReadReply>, EndpointError> {
        if self.client.minor < MINOR_OF_SEEK || length < self.read_max || self.holes.is_lacking() {
            return Ok(None);
        }
        if let Some(extent) = self.holes.find(&file.0, offset) {
            return Ok(in_hole(&extent, offset, length));
        }
        let extent = match self.client.extent(&file.0, offset).await {
            Ok(extent) => extent,
            Err(error) if error.kind == ErrorKind::NotSupported => {
                tracing::info!(%error, "the server does not tell where holes are");
                self.holes.lack();
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        self.heed(file, Some(&extent.attributes));
        let read = in_hole(&extent, offset, length).map(|read| ReadReply {
            attributes: Some(extent.attributes),
            ..read
        });
        self.holes.note(&file.0, extent);
        Ok(read)
    }
}

/// Attributes do not come with it: they may be of a while ago.
fn in_hole(extent: &Extent, offset: u64, length: u32) -> Option<ReadReply> {
    let left = extent.range.end.saturating_sub(offset);
    if !extent.is_hole || left == 0 {
        return None;
    }
    let data = zeros(left.min(length.into()));
    Some(ReadReply {
        eof: offset + data.len() as u64 >= extent.attributes.size,
        data,
        attributes: None,
    })
}

/// Whether nothing at the address answers: another one may.
pub(crate) fn is_silent(error: &EndpointError) -> bool {
    matches!(error.kind, ErrorKind::Unreachable | ErrorKind::Timeout)
}

impl Drop for Nfs4Source {
    fn drop(&mut self) {
        let client = Arc::clone(&self.client);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            #[expect(
                clippy::disallowed_methods,
                reason = "it outlives its source by design, for as long as FAREWELL at most"
            )]
            runtime.spawn(async move {
                // A server that does not answer forgets the client when its lease ends.
                let ended = tokio::time::timeout(FAREWELL, client.end()).await;
                ended.unwrap_or_default();
            });
        }
    }
}

impl Source for Nfs4Source {
    fn read_max(&self) -> u32 {
        self.read_max
    }

    fn requests(&self) -> RequestCounts {
        self.counters.requests()
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        let root = self
            .root
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (handle, attributes) = match self.client.attributes(&root).await {
            Err(error) if error.kind == ErrorKind::Stale => {
                let handle = self.descend().await?;
                let attributes = self.client.attributes(&handle).await?;
                (handle, attributes)
            }
            answered => (root, answered?),
        };
        Ok(Node {
            handle: Handle(handle),
            attributes,
        })
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        let cursor = Position::of(cursor.as_ref())?;
        let page = read_page(&self.client, &directory.0, cursor, self.page_size).await?;
        match self.trails.follow(&directory.0, cursor, &page) {
            Ok(()) => {
                for node in page
                    .entries
                    .iter()
                    .filter_map(|entry| entry.node.as_ref().ok())
                {
                    self.heed(&node.handle, Some(&node.attributes));
                }
                Ok(page)
            }
            Err(circle) => {
                Err(self
                    .client
                    .error(circle.kind(), Procedure::ReadDir, circle.to_string()))
            }
        }
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        match self.client.lookup(&directory.0, name).await {
            Ok((handle, attributes)) => {
                let handle = Handle(handle);
                self.heed(&handle, Some(&attributes));
                Ok(Some(Node { handle, attributes }))
            }
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        let attributes = self.client.attributes(&handle.0).await?;
        self.heed(handle, Some(&attributes));
        Ok(attributes)
    }

    fn extended_kinds(&self) -> ExtendedKinds {
        self.extended
    }

    async fn extended(&self, item: &Node) -> Result<ExtendedMetadata, EndpointError> {
        self.client.extended(item, self.extended).await
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let length = length.min(self.read_max);
        if let Some(hole) = self.hole(file, offset, length).await? {
            return Ok(hole);
        }
        let read = self.client.read(&file.0, offset, length).await?;
        self.heed(file, read.attributes.as_ref());
        Ok(read)
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        self.client.read_link(&link.0).await
    }
}
