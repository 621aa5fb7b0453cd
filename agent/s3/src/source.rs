//! A bucket, or a prefix in it, as a source.
//!
//! Directories are read up to the next slash, as DataSync reads them ("Evaluating S3 request costs").
//! Every object below the prefix is an item; keys that are no paths are refused by name.

mod attributes;
mod clashes;
mod directory;
mod extended;
mod facts;
mod found;
mod handle;
mod names;
mod nodes;
mod properties;
mod read;
mod recent;

use std::time::SystemTime;

use bytes::Bytes;
use datasync_endpoint::{
    Attributes, Crc64, DirCursor, DirPage, EndpointError, ErrorKind, ExtendedKinds,
    ExtendedMetadata, Handle, Node, ObjectProperties, ReadReply, Source, StoredObject, Timestamp,
    encode_name,
};
use datasync_model::RequestCounts;
use tokio::sync::Semaphore;

use crate::calls::{CallCounts, Operation};
use crate::config::S3Config;
use crate::destination::Store;
use crate::open::connected;
use facts::Facts;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use found::listed_names;
use handle::{Form, Item};
use recent::Recent;

/// The most bytes of one GET.
const READ_MAX: u32 = 4 << 20;
/// Questions about the entries of all directories that are read at once: however many these are,
/// the store is not to be asked more.
const HEADS_MAX: usize = 64;
/// The longest target of a link, in bytes (Linux, PATH_MAX).
const LINK_MAX: u64 = 4096;

/// What objects are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Objects, to be copied to objects: a listing tells all that is compared, and a directory without
    /// an object of its own is no item.
    Objects {
        /// Whether system and user metadata are copied.
        metadata: bool,
        /// Whether tags are copied.
        tags: bool,
    },
    /// Files, links and directories of a file system, as their user metadata describe them.
    Files,
}

/// An S3 location that was opened to be read.
#[derive(Debug)]
pub struct S3Source {
    store: Store,
    shape: Shape,
    /// What is told of files beyond POSIX metadata.
    extended: ExtendedKinds,
    /// Identifies the bucket.
    fsid: u64,
    opened: Timestamp,
    recent: Recent,
    /// Objects that are asked about at once for directories that are read.
    heads: Semaphore,
}

impl S3Source {
    /// Finds the bucket's region and tests the access by a listing. Nothing is ever written.
    ///
    /// # Errors
    /// Whatever keeps the location from being listed, in words: no such bucket, access denied, wrong
    /// credentials, unreachable, TLS not trusted, a listing out of order.
    pub async fn open(config: S3Config, shape: Shape) -> Result<Self, EndpointError> {
        let (store, _) = connected(&config).await?;
        let endpoint = config.location.endpoint.as_deref().unwrap_or_default();
        let bucket = format!("{endpoint}/{}", store.place.bucket);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default();
        Ok(Self {
            store,
            shape,
            extended: ExtendedKinds::default(),
            fsid: Crc64::of(bucket.as_bytes()).0,
            opened: Timestamp {
                seconds: i64::try_from(now.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: now.subsec_nanos(),
            },
            recent: Recent::default(),
            heads: Semaphore::new(HEADS_MAX),
        })
    }

    /// Tells lists and attributes, too, where objects are taken for files.
    #[must_use]
    pub fn with_extended(self, extended: ExtendedKinds) -> Self {
        Self { extended, ..self }
    }

    /// Requests sent so far, those of [`S3Source::open`] included.
    #[must_use]
    pub fn calls(&self) -> CallCounts {
        self.store.requests.calls.snapshot()
    }

    fn error(
        &self,
        kind: ErrorKind,
        operation: Operation,
        object_key: &str,
        detail: impl Into<String>,
    ) -> EndpointError {
        let target = self.store.place.target(object_key);
        EndpointError::new(kind, operation.name(), target, detail)
    }

    /// Remembers what a copy will ask for.
    fn note(&self, item: &Item, facts: Facts) {
        if matches!(self.shape, Shape::Objects { metadata: true, .. }) {
            self.recent.note(item, facts);
        }
    }

    /// Whether any key begins so.
    async fn has_below(&self, prefix: &str) -> Result<bool, EndpointError> {
        let page = self.list(prefix, None, 1).await?;
        Ok(!page.objects.is_empty() || !page.prefixes.is_empty())
    }
}

impl Source for S3Source {
    fn read_max(&self) -> u32 {
        READ_MAX
    }

    fn requests(&self) -> RequestCounts {
        self.calls().iter().collect()
    }

    fn is_item(&self, node: &Node) -> bool {
        let Ok(item) = Item::of(&node.handle) else {
            return self.shape == Shape::Files;
        };
        match (item.form, self.shape) {
            (Form::Object | Form::Marker, _) => true,
            (Form::Prefix | Form::Burdened, Shape::Objects { .. }) => false,
            // Nothing says what the root is to be like: it stays as it is.
            (Form::Prefix, Shape::Files) => item.key != self.store.place.prefix,
            (Form::Burdened, Shape::Files) => true,
        }
    }

    fn names_versions(&self) -> bool {
        true
    }

    fn stored(&self, file: &Handle) -> Option<StoredObject> {
        let Shape::Objects { .. } = self.shape else {
            return None;
        };
        let item = Item::of(file).ok()?;
        Some(StoredObject {
            endpoint: self.store.place.endpoint.clone(),
            bucket: self.store.place.bucket.clone(),
            key: item.key,
            etag: item.etag,
            size: item.size,
        })
    }

    fn has_properties(&self) -> bool {
        matches!(self.shape, Shape::Objects { metadata, tags } if metadata || tags)
    }

    async fn root(&self) -> Result<Node, EndpointError> {
        self.directory(self.store.place.prefix.clone()).await
    }

    async fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> Result<DirPage, EndpointError> {
        self.page(&Item::of(directory)?, cursor).await
    }

    async fn lookup(&self, directory: &Handle, name: &[u8]) -> Result<Option<Node>, EndpointError> {
        let key = format!("{}{}", Item::of(directory)?.key, encode_name(name));
        if let Some(facts) = self.head(&key, None).await? {
            return Ok(Some(self.file_node(&key, &facts, None)));
        }
        self.lookup_directory(directory, name).await
    }

    async fn lookup_directory(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> Result<Option<Node>, EndpointError> {
        let key = format!("{}{}/", Item::of(directory)?.key, encode_name(name));
        let facts = self.head(&key, None).await?;
        if facts.is_none() && !self.has_below(&key).await? {
            return Ok(None);
        }
        Ok(Some(self.directory_node(key, facts.as_ref())))
    }

    async fn attributes(&self, handle: &Handle) -> Result<Attributes, EndpointError> {
        let item = Item::of(handle)?;
        if item.etag.is_empty() {
            return Ok(self.directory_node(item.key, None).attributes);
        }
        match self.head(&item.key, None).await? {
            Some(facts) => {
                let attributes = self.node_of(&item, &facts).attributes;
                self.note(&item, facts);
                Ok(attributes)
            }
            None => {
                let detail = "the object is gone";
                Err(self.error(ErrorKind::Stale, Operation::HeadObject, &item.key, detail))
            }
        }
    }

    fn extended_kinds(&self) -> ExtendedKinds {
        match self.shape {
            Shape::Objects { .. } => ExtendedKinds::default(),
            Shape::Files => self.extended,
        }
    }

    async fn extended(&self, item: &Node) -> Result<ExtendedMetadata, EndpointError> {
        self.extended_of(&Item::of(&item.handle)?).await
    }

    async fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> Result<ReadReply, EndpointError> {
        let item = Item::of(file)?;
        self.content(&item, offset, length.min(READ_MAX)).await
    }

    async fn read_link(&self, link: &Handle) -> Result<Bytes, EndpointError> {
        let item = Item::of(link)?;
        if item.size > LINK_MAX {
            let detail = format!(
                "a link's target of {} bytes: the most is {LINK_MAX}",
                item.size
            );
            let kind = ErrorKind::InvalidName;
            return Err(self.error(kind, Operation::GetObject, &item.key, detail));
        }
        let length = u32::try_from(item.size).unwrap_or(READ_MAX);
        Ok(self.content(&item, 0, length).await?.data)
    }

    async fn properties(&self, item: &Handle) -> Result<Option<ObjectProperties>, EndpointError> {
        self.properties_of(&Item::of(item)?).await
    }
}
