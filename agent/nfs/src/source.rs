//! An NFSv3 export as the source of the data path.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, DirCursor, DirPage, EndpointError, EntryKind, ErrorKind, Handle, Node, ReadReply,
    Source,
};
use datasync_model::RequestCounts;

use crate::changes::{Changes, WriteLimits};
use crate::client::{Client, Sizes};
use crate::config::NfsConfig;
use crate::counts::{CallCounts, Counters};
use crate::directory::{Listing, Trails, page_size, read_page};
use crate::mount::mount;
use crate::position::Position;

/// The READ size where the server does not say (RFC 1813 leaves it open; every server takes this).
const READ_SIZE_UNKNOWN: u32 = 32 << 10;

/// A server that says less gives less: READs of a few bytes each would not come to an end.
const READ_SIZE_MIN: u32 = 4 << 10;

/// A mounted NFSv3 export, or a directory below one.
#[derive(Debug)]
pub(crate) struct Nfs3Source {
    config: NfsConfig,
    client: Client,
    counters: Arc<Counters>,
    root: RwLock<Bytes>,
    read_max: u32,
    write_limits: WriteLimits,
    page_size: u32,
    /// Set once the server has said that it does not know READDIRPLUS.
    plain_listing: AtomicBool,
    trails: Trails,
}

impl Nfs3Source {
    /// Resolves the host, mounts the path, and asks for the server's sizes.
    ///
    /// # Errors
    /// With texts for people: `Unreachable` or `Timeout` where no server answers,
    /// `ContainerNotFound` for a path that is not there, `PermissionDenied` for one that is not
    /// exported to this agent or may not be looked into, `Invalid` for a bad configuration.
    pub(crate) async fn mount(config: NfsConfig) -> Result<Self, EndpointError> {
        let counters = Arc::new(Counters::default());
        let mounted = Box::pin(mount(&config, &counters, None)).await?;
        let client = Client::new(mounted.nfs, &config, Arc::clone(&counters));
        let root = descend(&client, &config, mounted.handle, &mounted.below).await?;
        let sizes = match client.sizes(&root).await {
            Ok(sizes) => sizes,
            Err(error) if error.kind.is_transient() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "the server does not tell its sizes; small READs are used");
                Sizes {
                    read_max: READ_SIZE_UNKNOWN,
                    write_max: 0,
                    directory_preferred: 0,
                    file_max: 0,
                }
            }
        };
        let limit = |told| match told {
            0 => READ_SIZE_UNKNOWN,
            told => told.clamp(READ_SIZE_MIN, config.read_size_max),
        };
        let read_max = limit(sizes.read_max);
        tracing::info!(
            server = %mounted.nfs, path = config.path, read_max, event = "export.mounted", "mounted an NFS export"
        );
        Ok(Self {
            client,
            counters,
            root: RwLock::new(root),
            read_max,
            write_limits: WriteLimits {
                write_max: limit(sizes.write_max),
                file_max: (sizes.file_max > 0).then_some(sizes.file_max),
            },
            page_size: page_size(sizes.directory_preferred),
            plain_listing: AtomicBool::new(false),
            trails: Trails::default(),
            config,
        })
    }

    /// Calls made since the mount, per procedure.
    pub(crate) fn calls(&self) -> CallCounts {
        self.counters.snapshot()
    }

    pub(crate) fn changes(&self) -> Changes<'_> {
        Changes::V3(&self.client)
    }

    pub(crate) fn target(&self) -> &str {
        &self.client.target
    }

    pub(crate) fn write_limits(&self) -> WriteLimits {
        self.write_limits
    }

    fn root_handle(&self) -> Bytes {
        self.root
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The server forgot the root's handle (it was restarted, or the export replaced): asks again.
    async fn mount_again(&self) -> Result<Bytes, EndpointError> {
        let nfs = self.client.transport.address();
        let mounted = Box::pin(mount(&self.config, &self.counters, Some(nfs))).await?;
        if mounted.nfs != nfs {
            let detail = format!(
                "NFS has moved from {nfs} to {}: mount the location anew",
                mounted.nfs
            );
            let target = self.client.target.clone();
            return Err(EndpointError::new(ErrorKind::Stale, "MNT", target, detail));
        }
        let root = descend(&self.client, &self.config, mounted.handle, &mounted.below).await?;
        *self.root.write().unwrap_or_else(PoisonError::into_inner) = root.clone();
        Ok(root)
    }

    fn listing(&self) -> Listing {
        if self.plain_listing.load(Ordering::Relaxed) {
            Listing::Plain
        } else {
            Listing::Plus
        }
    }

    async fn page(
        &self,
        directory: &Handle,
        cursor: Option<Position>,
    ) -> Result<DirPage, EndpointError> {
        let listing = self.listing();
        let page = read_page(&self.client, &directory.0, cursor, self.page_size, listing).await;
        match page {
            Err(error) if listing == Listing::Plus && error.kind == ErrorKind::NotSupported => {
                tracing::info!(%error, "READDIR is used instead");
                self.plain_listing.store(true, Ordering::Relaxed);
                // A cursor of READDIRPLUS means nothing to READDIR.
                if cursor.is_some() {
                    return Err(EndpointError {
                        kind: ErrorKind::BadCookie,
                        ..error
                    });
                }
                let listing = Listing::Plain;
                read_page(&self.client, &directory.0, None, self.page_size, listing).await
            }
            page => page,
        }
    }
}

/// From what was mounted down to the path that was asked for.
async fn descend(
    client: &Client,
    config: &NfsConfig,
    mounted: Bytes,
    below: &[String],
) -> Result<Bytes, EndpointError> {
    let mut handle = mounted;
    for name in below {
        let (child, _) = client
            .lookup(&handle, name.as_bytes())
            .await
            .map_err(|error| missing_below(error, config, name))?;
        handle = child;
    }
    let attributes = client.attributes(&handle).await?;
    if attributes.kind != EntryKind::Directory {
        return Err(EndpointError::new(
            ErrorKind::ContainerNotFound,
            "MNT",
            client.target.clone(),
            "the path is not a directory; name the export or a directory below it",
        ));
    }
    Ok(handle)
}

fn missing_below(error: EndpointError, config: &NfsConfig, name: &str) -> EndpointError {
    if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Invalid) {
        return error;
    }
    EndpointError::new(
        ErrorKind::ContainerNotFound,
        "LOOKUP",
        format!("{}:{}", config.server_hostname, config.path),
        format!(
            "a directory above is exported, but {name:?} is not a directory in it ({}); check the \
             location's Subdirectory",
            error.detail
        ),
    )
}

impl Source for Nfs3Source {
    fn read_max(&self) -> u32 {
        self.read_max
    }

    fn requests(&self) -> RequestCounts {
        self.counters.requests()
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        let mut handle = self.root_handle();
        let attributes = match self.client.attributes(&handle).await {
            Err(error) if error.kind == ErrorKind::Stale => {
                handle = Box::pin(self.mount_again()).await?;
                self.client.attributes(&handle).await?
            }
            answered => answered?,
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
        let page = self.page(directory, cursor).await?;
        match self.trails.follow(&directory.0, cursor, &page) {
            Ok(()) => Ok(page),
            Err(circle) => {
                let procedure = self.listing().procedure();
                Err(self
                    .client
                    .error(circle.kind(), procedure, circle.to_string()))
            }
        }
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        match self.client.lookup(&directory.0, name).await {
            Ok((handle, attributes)) => Ok(Some(Node {
                handle: Handle(handle),
                attributes,
            })),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        self.client.attributes(&handle.0).await
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        self.client
            .read(&file.0, offset, length.min(self.read_max))
            .await
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        self.client.read_link(&link.0).await
    }
}

#[cfg(test)]
mod tests;
