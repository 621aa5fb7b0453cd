//! A source of any kind that a location can be.

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, DirCursor, DirPage, EndpointError, ExtendedKinds, ExtendedMetadata, Handle, Node,
    ObjectProperties, ReadReply, Source, StoredObject,
};
use datasync_model::{NfsVersion, RequestCounts};
use datasync_nfs::NfsSource;
use datasync_s3::S3Source;

/// What a location is read by.
#[derive(Debug)]
pub(crate) enum AnySource {
    Nfs(Box<NfsSource>),
    S3(Box<S3Source>),
}

impl AnySource {
    /// The version of NFS that is spoken, where it is NFS.
    pub(crate) fn nfs_version(&self) -> Option<NfsVersion> {
        match self {
            Self::Nfs(nfs) => Some(nfs.version()),
            Self::S3(_) => None,
        }
    }
}

impl Source for AnySource {
    fn read_max(&self) -> u32 {
        match self {
            Self::Nfs(nfs) => nfs.read_max(),
            Self::S3(s3) => s3.read_max(),
        }
    }

    fn requests(&self) -> RequestCounts {
        match self {
            Self::Nfs(nfs) => nfs.requests(),
            Self::S3(s3) => s3.requests(),
        }
    }

    fn is_item(&self, node: &Node) -> bool {
        match self {
            Self::Nfs(nfs) => nfs.is_item(node),
            Self::S3(s3) => s3.is_item(node),
        }
    }

    fn names_versions(&self) -> bool {
        match self {
            Self::Nfs(nfs) => nfs.names_versions(),
            Self::S3(s3) => s3.names_versions(),
        }
    }

    fn stored(&self, file: &Handle) -> Option<StoredObject> {
        match self {
            Self::Nfs(nfs) => nfs.stored(file),
            Self::S3(s3) => s3.stored(file),
        }
    }

    fn has_properties(&self) -> bool {
        match self {
            Self::Nfs(nfs) => nfs.has_properties(),
            Self::S3(s3) => s3.has_properties(),
        }
    }

    fn extended_kinds(&self) -> ExtendedKinds {
        match self {
            Self::Nfs(nfs) => nfs.extended_kinds(),
            Self::S3(s3) => s3.extended_kinds(),
        }
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.root().await,
            Self::S3(s3) => s3.root().await,
        }
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.read_dir(directory, cursor).await,
            Self::S3(s3) => s3.read_dir(directory, cursor).await,
        }
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.lookup(directory, name).await,
            Self::S3(s3) => s3.lookup(directory, name).await,
        }
    }

    async fn lookup_directory(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> Result<Option<Node>, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.lookup_directory(directory, name).await,
            Self::S3(s3) => s3.lookup_directory(directory, name).await,
        }
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.attributes(handle).await,
            Self::S3(s3) => s3.attributes(handle).await,
        }
    }

    async fn extended(&self, item: &Node) -> Result<ExtendedMetadata, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.extended(item).await,
            Self::S3(s3) => s3.extended(item).await,
        }
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.read(file, offset, length).await,
            Self::S3(s3) => s3.read(file, offset, length).await,
        }
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.read_link(link).await,
            Self::S3(s3) => s3.read_link(link).await,
        }
    }

    async fn properties(&self, item: &Handle) -> Result<Option<ObjectProperties>, EndpointError> {
        match self {
            Self::Nfs(nfs) => nfs.properties(item).await,
            Self::S3(s3) => s3.properties(item).await,
        }
    }
}
