//! The source side: listing, reading, looking up. No mutating call exists.

use std::future::Future;

use bytes::Bytes;
use datasync_model::RequestCounts;

use crate::{
    Attributes, EndpointError, ExtendedKinds, ExtendedMetadata, ObjectProperties, StoredObject,
};

/// A server's opaque name of an entry: an NFS file handle, or an object's key with what tells its
/// version. At most 128 bytes for NFS, about 1,300 for S3.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Handle(pub Bytes);

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({} bytes)", self.0.len())
    }
}

/// An entry that was looked up.
#[derive(Debug, Clone)]
pub struct Node {
    /// For later calls.
    pub handle: Handle,
    /// As of the lookup.
    pub attributes: Attributes,
}

/// One entry of a directory. `.` and `..` never occur.
#[derive(Debug, Clone)]
pub struct DirEntry {
    /// The name: 1 to 255 bytes, of an object store up to 1024; no `/`, no NUL (checked by the
    /// implementation). Beside an error it may be what the server lists that is no name: the rest of
    /// a key up to and with its next `/`.
    pub name: Bytes,
    /// Handle and attributes; the implementation looks up what the server left out. The error of
    /// one entry does not fail the page.
    pub node: Result<Node, std::sync::Arc<EndpointError>>,
}

/// Where to go on in a directory, in the words of who wrote the page before: an NFS cookie with its
/// verifier, an S3 continuation token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirCursor(pub Bytes);

/// A page of a directory, in the server's order.
#[derive(Debug, Clone)]
pub struct DirPage {
    /// The entries.
    pub entries: Vec<DirEntry>,
    /// `None` after the last page.
    pub next: Option<DirCursor>,
}

/// Bytes of a file.
#[derive(Debug, Clone)]
pub struct ReadReply {
    /// At most as many bytes as were asked for; fewer is legal, none only at the end of the file.
    pub data: Bytes,
    /// Whether the last byte of `data` is the last of the file.
    pub eof: bool,
    /// Attributes after the READ, where the server sent them.
    pub attributes: Option<Attributes>,
}

/// Where entries come from. All calls may run concurrently on one value, and a call that is
/// dropped leaves the connection usable (or retired).
///
/// Implementations answer transient errors as they are; retrying is the engine's decision.
pub trait Source: Send + Sync + 'static {
    /// The most bytes that one [`Source::read`] can return.
    fn read_max(&self) -> u32;

    /// Requests made so far, retries included, in the words of the protocol; none where nobody
    /// counts them.
    fn requests(&self) -> RequestCounts {
        RequestCounts::default()
    }

    /// The directory that the transfer starts from.
    fn root(&self) -> impl Future<Output = Result<Node, EndpointError>> + Send;

    /// One page of a directory; `cursor` is `None` for the first page.
    fn read_dir(
        &self,
        directory: &Handle,
        cursor: Option<DirCursor>,
    ) -> impl Future<Output = Result<DirPage, EndpointError>> + Send;

    /// Looks up one name; `Ok(None)` only if the server said that it does not exist. Where a file and
    /// a directory may have one name, the file.
    fn lookup(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> impl Future<Output = Result<Option<Node>, EndpointError>> + Send;

    /// The same for a name that should be a directory's: where a file and a directory may have one
    /// name, the directory.
    fn lookup_directory(
        &self,
        directory: &Handle,
        name: &[u8],
    ) -> impl Future<Output = Result<Option<Node>, EndpointError>> + Send {
        self.lookup(directory, name)
    }

    /// Whether a node is an item of its own. A directory that no object stands for only leads to
    /// what is in it: nothing is made of it where objects are copied to objects, nor of the root.
    fn is_item(&self, _node: &Node) -> bool {
        true
    }

    /// Whether a fingerprint names one version of a file's content and metadata, as the ETag and date of
    /// an object do, and not only a state that a file may be given again.
    fn names_versions(&self) -> bool {
        false
    }

    /// Where the store of a file finds it, if it is an object and taken as it is.
    fn stored(&self, _file: &Handle) -> Option<StoredObject> {
        None
    }

    /// Whether [`Source::properties`] can tell anything.
    fn has_properties(&self) -> bool {
        false
    }

    /// What an object carries besides content and POSIX metadata, of the version that the handle
    /// names; a [`crate::ErrorKind::Stale`] if there is another by now.
    fn properties(
        &self,
        _item: &Handle,
    ) -> impl Future<Output = Result<Option<ObjectProperties>, EndpointError>> + Send {
        std::future::ready(Ok(None))
    }

    /// What [`Source::extended`] tells.
    fn extended_kinds(&self) -> ExtendedKinds {
        ExtendedKinds::default()
    }

    /// Access control list and extended attributes of an item as it is now, as far as
    /// [`Source::extended_kinds`] goes: a call or more for each item. A
    /// [`crate::ErrorKind::TooLarge`] for more than the bounds of [`crate::Acl`] and
    /// [`crate::Xattrs`].
    fn extended(
        &self,
        _item: &Node,
    ) -> impl Future<Output = Result<ExtendedMetadata, EndpointError>> + Send {
        std::future::ready(Ok(ExtendedMetadata::default()))
    }

    /// Present attributes, not from any cache.
    fn attributes(
        &self,
        handle: &Handle,
    ) -> impl Future<Output = Result<Attributes, EndpointError>> + Send;

    /// Reads `length` bytes (at most [`Source::read_max`]) at `offset`.
    fn read(
        &self,
        file: &Handle,
        offset: u64,
        length: u32,
    ) -> impl Future<Output = Result<ReadReply, EndpointError>> + Send;

    /// The target of a symbolic link: at most 4096 bytes.
    fn read_link(&self, link: &Handle)
    -> impl Future<Output = Result<Bytes, EndpointError>> + Send;
}
